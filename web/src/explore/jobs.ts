import { graphCsv } from './csv';
import type { Grid } from './range';
import { parseAnswer, parseInstant, parseRange, type InstantResult, type Notes, type RangeResult } from './result';

/** What is too much work for the page's own thread. */
export type Job =
  | { kind: 'range'; body: Blob; grid: Grid }
  | { kind: 'instant'; body: Blob }
  | { kind: 'csv'; grid: Grid; parts: { body: Blob; prefix: string; expr: string }[] };

export type Reply = { notes: Notes; range: RangeResult } | { notes: Notes; instant: InstantResult } | { csv: Blob } | { failure: string };

export async function runJob(job: Job): Promise<Reply> {
  try {
    if (job.kind === 'csv') return { csv: await csvOf(job) };
    const answer = parseAnswer(await job.body.text());
    const notes = { warnings: answer.warnings, infos: answer.infos };
    return job.kind === 'range' ? { notes, range: parseRange(answer, job.grid) } : { notes, instant: parseInstant(answer) };
  } catch (error) {
    return { failure: error instanceof Error ? error.message : String(error) };
  }
}

async function csvOf(job: Extract<Job, { kind: 'csv' }>): Promise<Blob> {
  const parts = [];
  for (const { body, prefix, expr } of job.parts) parts.push({ answer: parseAnswer(await body.text()), prefix, expr });
  return new Blob([graphCsv(parts, job.grid)], { type: 'text/csv' });
}
