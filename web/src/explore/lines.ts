import { commonLabels, formatLabels, type Label, type Labels } from './labels';
import type { Grid } from './range';
import type { RangeSeries, Stats } from './result';
import type { Run } from './run';

/** A series of the graph. Its place in the list of all lines gives it its colour. */
export interface Line {
  index: number;
  /** Which of the queries it comes from. */
  query: number;
  /** Without the labels that all lines have in common. */
  name: string;
  fullName: string;
  labels: Labels;
  stats: Stats;
  histogram?: RangeSeries['histogram'];
  /** The grid's points; NaN where there is nothing to draw. */
  values: Float64Array;
}

export interface Lines {
  lines: Line[];
  common: Label[];
}

export function linesOf(run: Run): Lines {
  const found: Omit<Line, 'index' | 'name'>[] = [];
  for (const { query, expr, range } of run.outcomes) {
    range?.series.forEach(({ labels, stats, histogram }, index) => {
      const values = range.values.subarray(index * run.grid.points, (index + 1) * run.grid.points);
      found.push({ query, fullName: formatLabels(labels) || expr, labels, stats, histogram, values });
    });
  }
  const common = commonLabels(found.map(({ labels }) => labels));
  const omit = new Set(common.map(([name]) => name));
  const lines = found.map((line, index) => ({ ...line, index, name: formatLabels(line.labels, omit) || line.fullName }));
  return { lines, common };
}

/** A column as the chart wants it: null is a gap. */
export function columnOf(values: Float64Array): (number | null)[] {
  return Array.from(values, (value) => (Number.isNaN(value) ? null : value));
}

/**
 * Puts the columns on top of each other, the first one at the bottom. Where a series has no value the next one stands
 * on what is below; where none has one there is a gap.
 */
export function stack(columns: Float64Array[], { points }: Grid): (number | null)[][] {
  const total = new Float64Array(points);
  const empty = Array.from({ length: points }, (_, at) => columns.every((column) => Number.isNaN(column[at] ?? NaN)));
  return columns.map((column) =>
    Array.from(column, (value, at) => {
      if (empty[at]) return null;
      const sum = (total[at] ?? 0) + (Number.isNaN(value) ? 0 : value);
      total[at] = sum;
      return sum;
    }),
  );
}

/** Points with a gap on both sides: no line reaches them, so they are drawn as dots. */
export function lonePoints(column: ArrayLike<number | null | undefined>): number[] {
  const lone: number[] = [];
  for (let at = 0; at < column.length; at++) {
    if (column[at] != null && column[at - 1] == null && column[at + 1] == null) lone.push(at);
  }
  return lone;
}

/** Which lines are drawn: the chosen ones, or all, up to the limit. */
export function drawnLines(lines: Line[], chosen: ReadonlySet<number> | undefined, limit: number): Line[] {
  const drawn: Line[] = [];
  for (const line of lines) {
    if (drawn.length >= limit) break;
    if (!chosen || chosen.has(line.index)) drawn.push(line);
  }
  return drawn;
}

/** A click shows one line alone, and a second click on it all of them again; with toggle it comes or goes. */
export function choose(chosen: ReadonlySet<number> | undefined, index: number, toggle: boolean, total: number): ReadonlySet<number> | undefined {
  if (!toggle) return chosen?.size === 1 && chosen.has(index) ? undefined : new Set([index]);
  const next = new Set(chosen ?? Array.from({ length: total }, (_, at) => at));
  if (!next.delete(index)) next.add(index);
  return next.size === total || next.size === 0 ? undefined : next;
}
