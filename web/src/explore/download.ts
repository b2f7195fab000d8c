import { tableCsv, type CsvRow } from './csv';
import { parse } from './parser';
import { formatRfc3339 } from './time';
import { letterOf } from './state';
import type { Run } from './run';

/** The run's data as CSV, with the digits that the server wrote. */
export async function csvOf(run: Run): Promise<Blob> {
  const answered = run.outcomes.filter(({ body }) => body);
  const several = answered.length > 1;
  if (run.mode === 'graph') {
    const parts = answered.map(({ body, query, expr }) => ({ body: body!, prefix: several ? `${letterOf(query)}: ` : '', expr }));
    const reply = await parse({ kind: 'csv', grid: run.grid, parts });
    return 'csv' in reply ? reply.csv : new Blob();
  }
  const rows = answered.flatMap(({ instant, query }): CsvRow[] => (instant?.series ?? []).map((series) => ({ ...series, query: letterOf(query) })));
  return new Blob([tableCsv(rows, several)], { type: 'text/csv' });
}

export function fileName(project: string, environment: string, run: Run): string {
  const time = formatRfc3339(run.span.end).slice(0, 19).replace(/:/g, '');
  return `${project}-${environment}-${time}Z.csv`;
}

export function save(blob: Blob, name: string): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  // The browser needs the address until it has begun to read.
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
