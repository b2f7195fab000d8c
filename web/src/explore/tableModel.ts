import { commonLabels, labelNames, type Label } from './labels';
import { parseValue, type InstantResult, type InstantSeries, type Sample } from './result';

export interface Sort {
  /** A label's name, or valueColumn. */
  column: string;
  descending: boolean;
}

/** No label has this name: names never contain a space. */
export const valueColumn = ' value';

export interface TableModel {
  /** The labels in which the series differ: each has a column. */
  columns: string[];
  /** The labels that all of them have in common. */
  common: Label[];
  rows: InstantSeries[];
}

const collator = new Intl.Collator('en', { numeric: true });

export function tableOf(result: InstantResult): TableModel {
  const labels = result.series.map((series) => series.labels);
  const common = commonLabels(labels);
  const folded = new Set(common.map(([name]) => name));
  return { columns: labelNames(labels).filter((name) => !folded.has(name)), common, rows: result.series };
}

export function sortRows(rows: InstantSeries[], sort: Sort | undefined): InstantSeries[] {
  if (!sort) return rows;
  const direction = sort.descending ? -1 : 1;
  if (sort.column !== valueColumn) {
    const text = (row: InstantSeries) => row.labels[sort.column] ?? '';
    return [...rows].sort((a, b) => direction * collator.compare(text(a), text(b)));
  }
  const keyed = rows.map((row) => ({ row, value: parseValue(row.samples[0]?.value ?? '') }));
  keyed.sort((a, b) => compareValues(a.value, b.value, direction));
  return keyed.map(({ row }) => row);
}

/** What is no number comes last in both directions. */
function compareValues(a: number, b: number, direction: number): number {
  if (Number.isNaN(a) || Number.isNaN(b)) return Number(Number.isNaN(a)) - Number(Number.isNaN(b));
  return a === b ? 0 : direction * (a < b ? -1 : 1);
}

/** First one way, then the other, then as the server ordered them. Values begin with the largest. */
export function nextSort(sort: Sort | undefined, column: string): Sort | undefined {
  const first = column === valueColumn;
  if (sort?.column !== column) return { column, descending: first };
  return sort.descending === first ? { column, descending: !first } : undefined;
}

export type ListEntry = { kind: 'series'; series: InstantSeries } | { kind: 'sample'; sample: Sample };

/** The samples of range vectors, each series' after its name. */
export function listOf(result: InstantResult): ListEntry[] {
  return result.series.flatMap((series): ListEntry[] => [
    { kind: 'series', series },
    ...series.samples.map((sample): ListEntry => ({ kind: 'sample', sample })),
  ]);
}

const sampled = 500;

/** How many characters wide the columns should be, judged by the first rows. */
export function columnWidths({ columns, rows }: TableModel): number[] {
  return columns.map((name) => {
    const longest = rows.slice(0, sampled).reduce((most, { labels }) => Math.max(most, labels[name]?.length ?? 0), name.length + 3);
    return Math.min(48, longest + 2);
  });
}
