import { describe, expect, it } from 'vitest';
import { choose, columnOf, drawnLines, linesOf, lonePoints, stack } from './lines';
import type { Labels } from './labels';
import type { Run } from './run';

const stats = { last: 0, min: 0, max: 0, mean: 0 };
const run = (...outcomes: { query: number; expr: string; series: Labels[] }[]): Run => ({
  mode: 'graph',
  span: { start: 0, end: 20 },
  grid: { start: 0, step: 10, points: 2 },
  elapsed: 1,
  outcomes: outcomes.map(({ query, expr, series }) => ({
    query,
    expr,
    notes: { warnings: [], infos: [] },
    range: { series: series.map((labels) => ({ labels, stats })), values: Float64Array.from(series.flatMap((_, at) => [at, at + 10])), samples: 0 },
  })),
});

describe('names in the legend', () => {
  it('leave out what all have in common', () => {
    const { lines, common } = linesOf(run({ query: 0, expr: 'up', series: [{ __name__: 'up', job: 'a', i: '1' }, { __name__: 'up', job: 'a', i: '2' }] }));
    expect(common).toEqual([['__name__', 'up'], ['job', 'a']]);
    expect(lines.map(({ name, fullName }) => [name, fullName])).toEqual([['{i="1"}', 'up{job="a", i="1"}'], ['{i="2"}', 'up{job="a", i="2"}']]);
    expect(lines.map(({ values }) => [...values])).toEqual([[0, 10], [1, 11]]);
  });
  it('are the query where there are no labels, and in full where nothing else is left', () => {
    const two = linesOf(run({ query: 0, expr: 'sum(a)', series: [{}] }, { query: 2, expr: 'sum(b)', series: [{}] }));
    expect(two.lines.map(({ name, query, index }) => [name, query, index])).toEqual([['sum(a)', 0, 0], ['sum(b)', 2, 1]]);
    const same = linesOf(run({ query: 0, expr: 'up', series: [{ a: '1' }] }, { query: 1, expr: 'up', series: [{ a: '1' }] }));
    expect(same.lines.map(({ name }) => name)).toEqual(['{a="1"}', '{a="1"}']);
  });
});

describe('columns', () => {
  it('have null for a gap', () => {
    expect(columnOf(Float64Array.of(1, NaN, 0))).toEqual([1, null, 0]);
  });
  it('stack', () => {
    const grid = { start: 0, step: 1, points: 3 };
    expect(stack([Float64Array.of(1, NaN, NaN), Float64Array.of(2, 5, NaN)], grid)).toEqual([[1, 0, null], [3, 5, null]]);
  });
  it('know points that no line reaches', () => {
    expect(lonePoints([1, null, 2, 3, null, 4])).toEqual([0, 5]);
    expect(lonePoints([7])).toEqual([0]);
    expect(lonePoints([])).toEqual([]);
  });
});

describe('choosing', () => {
  it('shows one alone, and again all', () => {
    const one = choose(undefined, 2, false, 4);
    expect([...one!]).toEqual([2]);
    expect(choose(one, 2, false, 4)).toBeUndefined();
    expect([...choose(one, 3, false, 4)!]).toEqual([3]);
  });
  it('toggles', () => {
    const without = choose(undefined, 1, true, 3);
    expect([...without!]).toEqual([0, 2]);
    expect(choose(without, 1, true, 3)).toBeUndefined();
    expect(choose(new Set([1]), 1, true, 3)).toBeUndefined();
  });
  it('draws what is chosen, up to a limit', () => {
    const { lines } = linesOf(run({ query: 0, expr: 'x', series: [{ a: '1' }, { a: '2' }, { a: '3' }] }));
    expect(drawnLines(lines, undefined, 2).map(({ index }) => index)).toEqual([0, 1]);
    expect(drawnLines(lines, new Set([2]), 2).map(({ index }) => index)).toEqual([2]);
  });
});
