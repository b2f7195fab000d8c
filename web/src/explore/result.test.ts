import { describe, expect, it } from 'vitest';
import { parseAnswer, parseInstant, parseRange, parseValue } from './result';

const answerOf = (resultType: string, result: unknown, extra = {}) => parseAnswer(JSON.stringify({ status: 'success', data: { resultType, result }, ...extra }));
const grid = { start: 100, step: 10, points: 5 };
const histogram = (count: string) => ({ count, sum: '7.5', buckets: [[0, '0.5', '1', '2'], [3, '-1', '1', count]] });

describe('answers', () => {
  it('have warnings and infos', () => {
    expect(answerOf('vector', [], { warnings: ['w', 5], infos: ['i'] })).toMatchObject({ warnings: ['w'], infos: ['i'] });
  });
  it.each(['', '<html>', 'null', '[]', '{}', '{"status":"error"}', '{"status":"success","data":null}', '{"status":"success","data":{"result":[]}}'])('refuses %j', (text) => {
    expect(() => parseAnswer(text)).toThrow('format is unknown');
  });
  it.each([
    ['vector', {}], ['vector', [5]], ['vector', [{ metric: {}, value: 'x' }]], ['vector', [{ metric: {}, value: [1, 2] }]], ['matrix', [{ metric: {}, histograms: [[1, 'x']] }]],
    ['matrix', [{ metric: {}, histograms: [[1, { buckets: [[1]] }]] }]], ['scalar', 5], ['unheard-of', []],
  ])('refuses a wrong %s', (resultType, result) => {
    expect(() => parseInstant(answerOf(resultType, result))).toThrow('format is unknown');
  });
});

it('reads values as Prometheus writes them', () => {
  expect(['1', '-2.5e-7', '+Inf', '-Inf', 'NaN', ''].map(parseValue)).toEqual([1, -2.5e-7, Infinity, -Infinity, NaN, NaN]);
});

describe('instant answers', () => {
  it('keep values as strings', () => {
    const result = parseInstant(answerOf('vector', [{ metric: { a: '1' }, value: [1.5, '1.0000000000000000001'] }, { metric: {}, value: [1.5, 'NaN'] }]));
    expect(result.series[0]).toEqual({ labels: { a: '1' }, samples: [{ time: 1.5, value: '1.0000000000000000001' }] });
    expect(result).toMatchObject({ kind: 'vector', samples: 2 });
  });
  it('can be scalars and strings', () => {
    expect(parseInstant(answerOf('scalar', [1, '5'])).series[0]?.samples).toEqual([{ time: 1, value: '5' }]);
    expect(parseInstant(answerOf('string', [1, '=a'])).kind).toBe('string');
  });
  it('can be histograms', () => {
    const result = parseInstant(answerOf('vector', [{ metric: {}, histogram: [1, histogram('3')] }]));
    expect(result.series[0]?.samples[0]).toEqual({
      time: 1,
      value: '3',
      histogram: { count: '3', sum: '7.5', buckets: [{ rule: 0, left: '0.5', right: '1', count: '2' }, { rule: 3, left: '-1', right: '1', count: '3' }] },
    });
  });
  it('can be ranges with both kinds of samples, in order of time', () => {
    const result = parseInstant(answerOf('matrix', [{ metric: {}, values: [[1, '1'], [3, '3']], histograms: [[2, histogram('2')]] }]));
    expect(result.series[0]?.samples.map(({ time, value }) => [time, value])).toEqual([[1, '1'], [2, '2'], [3, '3']]);
    expect(result.samples).toBe(3);
  });
});

describe('range answers', () => {
  const parse = (entries: unknown[]) => parseRange(answerOf('matrix', entries), grid);
  it('leave gaps where points are missing', () => {
    const { values, samples } = parse([{ metric: {}, values: [[100, '1'], [110, '2'], [140, '5']] }]);
    expect([...values]).toEqual([1, 2, NaN, NaN, 5]);
    expect(samples).toBe(3);
  });
  it('have gaps for what is no number, but know it as the last value', () => {
    const { values, series } = parse([{ metric: {}, values: [[100, '1'], [110, 'NaN'], [120, '+Inf'], [130, '3'], [140, '-Inf']] }]);
    expect([...values]).toEqual([1, NaN, NaN, 3, NaN]);
    expect(series[0]?.stats).toEqual({ last: -Infinity, min: 1, max: 3, mean: 2 });
  });
  it('put every series into its own points', () => {
    const { values } = parse([{ metric: {}, values: [[140, '1']] }, { metric: {} }, { metric: {}, values: [[100, '3']] }]);
    expect([...values]).toEqual([NaN, NaN, NaN, NaN, 1, NaN, NaN, NaN, NaN, NaN, 3, NaN, NaN, NaN, NaN]);
  });
  it('ignore points outside of the grid, and forgive milliseconds', () => {
    expect([...parse([{ metric: {}, values: [[90, '9'], [110.001, '2'], [150, '9']] }]).values]).toEqual([NaN, 2, NaN, NaN, NaN]);
  });
  it('draw the count of histograms, and keep the last', () => {
    const { values, series } = parse([{ metric: {}, histograms: [[100, histogram('3')], [120, histogram('4')]] }]);
    expect([...values]).toEqual([3, NaN, 4, NaN, NaN]);
    expect(series[0]?.histogram).toMatchObject({ time: 120, histogram: { count: '4', sum: '7.5' } });
  });
  it('know nothing about a series without points', () => {
    expect(parse([{ metric: {} }]).series[0]?.stats).toEqual({ last: NaN, min: NaN, max: NaN, mean: NaN });
  });
  it('are refused where they are none', () => {
    expect(() => parseRange(answerOf('vector', []), grid)).toThrow();
    expect(() => parse([{ metric: {}, values: [[1, 5]] }])).toThrow();
  });
});
