import { formatLabels, labelNames, type Labels } from './labels';
import { gridTimes, type Grid } from './range';
import type { Answer, InstantSeries } from './result';
import { formatRfc3339 } from './time';

/**
 * A cell with text. Spreadsheets take what begins with one of these characters for a formula, and label values come
 * from whoever runs a target: so such a text gets an apostrophe in front.
 */
export function textCell(text: string): string {
  return quote(/^[=+\-@\t\r\n]/.test(text) ? `'${text}` : text);
}

/** A cell with a sample's value: what is a number stays one, with its sign; anything else is text. */
export function valueCell(value: string): string {
  return /^[+-]?(\d+(\.\d*)?([eE][+-]?\d+)?|Inf|NaN)$/.test(value) || value === '' ? value : textCell(value);
}

function quote(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text;
}

function lines(rows: Iterable<string[]>): string {
  let text = '';
  for (const row of rows) text += row.join(',') + '\r\n';
  return text;
}

export interface CsvPart {
  answer: Answer;
  /** Such as "A: ", where there are several queries. */
  prefix: string;
  /** Stands for a series without labels. */
  expr: string;
}

/** A row for each time of the grid and a column for each series; a native histogram has two, its count and its sum. */
export function graphCsv(parts: CsvPart[], grid: Grid): string {
  const columns: { title: string; cells: string[] }[] = [];
  for (const { answer, prefix, expr } of parts) {
    for (const entry of Array.isArray(answer.result) ? (answer.result as RawSeries[]) : []) {
      const title = prefix + (formatLabels(entry.metric ?? {}) || expr);
      if (entry.values?.length) columns.push({ title, cells: column(grid, entry.values) });
      if (!entry.histograms?.length) continue;
      for (const field of ['count', 'sum'] as const) {
        const points = entry.histograms.map(([time, histogram]): RawPoint => [time, histogram[field]]);
        columns.push({ title: `${title} ${field}`, cells: column(grid, points) });
      }
    }
  }
  const times = gridTimes(grid).map(formatRfc3339);
  return lines([
    ['time', ...columns.map(({ title }) => textCell(title))],
    ...times.map((time, index) => [time, ...columns.map(({ cells }) => cells[index] ?? '')]),
  ]);
}

type RawPoint = [number, string];
interface RawSeries {
  metric?: Labels;
  values?: RawPoint[];
  histograms?: [number, { count: string; sum: string }][];
}

function column(grid: Grid, points: RawPoint[]): string[] {
  const cells: string[] = [];
  for (const [time, value] of points) cells[Math.round((time - grid.start) / grid.step)] = valueCell(value);
  return cells;
}

export interface CsvRow extends InstantSeries {
  query: string;
}

/** A row for each sample: the query's letter where there are several, the labels, the time and the value. */
export function tableCsv(rows: CsvRow[], severalQueries: boolean): string {
  const names = labelNames(rows.map(({ labels }) => labels));
  const histograms = rows.some(({ samples }) => samples.some(({ histogram }) => histogram));
  const head = [...(severalQueries ? ['query'] : []), ...names, 'time', 'value', ...(histograms ? ['sum'] : [])];
  return lines([
    head.map(textCell),
    ...rows.flatMap(({ query, labels, samples }) =>
      samples.map((sample) => [
        ...(severalQueries ? [query] : []),
        ...names.map((name) => textCell(labels[name] ?? '')),
        formatRfc3339(sample.time),
        valueCell(sample.value),
        ...(histograms ? [valueCell(sample.histogram?.sum ?? '')] : []),
      ]),
    ),
  ]);
}
