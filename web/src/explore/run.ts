import { environmentPath, request } from '../api/client';
import { parse } from './parser';
import { effectiveStep, gridEnd, gridOf, resolve, type Grid, type Span, type TimeRange } from './range';
import type { InstantResult, Notes, RangeResult } from './result';
import type { Mode, Query } from './state';

export interface Plan {
  project: string;
  environment: string;
  queries: Query[];
  mode: Mode;
  range: TimeRange;
  step?: number;
}

export interface Outcome {
  /** Which of the queries it is. */
  query: number;
  expr: string;
  notes: Notes;
  range?: RangeResult;
  instant?: InstantResult;
  error?: unknown;
  /** The answer as it came, for the CSV: with the digits that the server wrote. */
  body?: Blob;
}

/** A finished run of all the queries, with the times that it stands for. */
export interface Run {
  mode: Mode;
  span: Span;
  grid: Grid;
  outcomes: Outcome[];
  /** In milliseconds. */
  elapsed: number;
}

/** So many questions at once leave the environment room for others. */
const parallel = 4;
const noNotes: Notes = { warnings: [], infos: [] };

export async function execute(plan: Plan, width: number, signal: AbortSignal): Promise<Run> {
  const started = performance.now();
  const span = resolve(plan.range, Date.now() / 1000);
  const grid = gridOf(span, effectiveStep(plan.step, span, width));
  const pending = plan.queries.flatMap(({ expr, hidden }, query) => (hidden || expr.trim() === '' ? [] : [{ expr, query }]));
  const outcomes: Outcome[] = [];
  const work = async () => {
    for (let next = pending.shift(); next; next = pending.shift()) outcomes.push(await ask(plan, next, span, grid, signal));
  };
  await Promise.all(Array.from({ length: parallel }, work));
  outcomes.sort((a, b) => a.query - b.query);
  return { mode: plan.mode, span, grid, outcomes, elapsed: performance.now() - started };
}

async function ask(plan: Plan, { expr, query }: { expr: string; query: number }, span: Span, grid: Grid, signal: AbortSignal): Promise<Outcome> {
  const outcome: Outcome = { query, expr, notes: noNotes };
  try {
    signal.throwIfAborted();
    const response = await request(`${environmentPath(plan.project, plan.environment)}api/v1/${plan.mode === 'graph' ? 'query_range' : 'query'}`, {
      method: 'POST',
      body: plan.mode === 'graph' ? rangeForm(expr, grid) : new URLSearchParams({ query: expr, time: String(span.end) }),
      signal,
    });
    const body = await response.blob();
    const parsed = await parse(plan.mode === 'graph' ? { kind: 'range', body, grid } : { kind: 'instant', body });
    return { ...outcome, ...parsed, body };
  } catch (error) {
    return { ...outcome, error };
  }
}

function rangeForm(expr: string, grid: Grid): URLSearchParams {
  return new URLSearchParams({ query: expr, start: String(grid.start), end: String(gridEnd(grid)), step: String(grid.step) });
}
