import { describe, expect, it } from 'vitest';
import type { InstantResult } from './result';
import { columnWidths, listOf, nextSort, sortRows, tableOf, valueColumn } from './tableModel';

const result = (rows: [Record<string, string>, string][]): InstantResult => ({
  kind: 'vector',
  samples: rows.length,
  series: rows.map(([labels, value]) => ({ labels, samples: [{ time: 1, value }] })),
});
const rows = result([[{ j: 'x', i: 'h10' }, '5'], [{ j: 'x', i: 'h9' }, 'NaN'], [{ j: 'x', i: 'h1' }, '-Inf'], [{ j: 'x' }, '1e3']]);

describe('the table', () => {
  it('folds what all rows have in common', () => {
    const model = tableOf(rows);
    expect(model.columns).toEqual(['i']);
    expect(model.common).toEqual([['j', 'x']]);
    expect(columnWidths(model)).toEqual([6]);
  });
  it('sorts by value as numbers, with NaN last', () => {
    const values = (descending: boolean) => sortRows(rows.series, { column: valueColumn, descending }).map(({ samples }) => samples[0]?.value);
    expect(values(true)).toEqual(['1e3', '5', '-Inf', 'NaN']);
    expect(values(false)).toEqual(['-Inf', '5', '1e3', 'NaN']);
  });
  it('sorts by label, numbers in it as such', () => {
    expect(sortRows(rows.series, { column: 'i', descending: false }).map(({ labels }) => labels.i)).toEqual([undefined, 'h1', 'h9', 'h10']);
    expect(sortRows(rows.series, undefined)).toBe(rows.series);
  });
  it('goes back to the order of the server with the third click', () => {
    const first = nextSort(undefined, valueColumn);
    const second = nextSort(first, valueColumn);
    expect([first, second, nextSort(second, valueColumn)]).toEqual([{ column: valueColumn, descending: true }, { column: valueColumn, descending: false }, undefined]);
    expect(nextSort(first, 'i')).toEqual({ column: 'i', descending: false });
  });
  it('lists samples after their series', () => {
    expect(listOf(rows).slice(0, 2).map(({ kind }) => kind)).toEqual(['series', 'sample']);
  });
});
