import { describe, expect, it } from 'vitest';
import { commonLabels, formatLabels, labelNames } from './labels';

describe('names of series', () => {
  it('are in PromQL notation', () => {
    expect(formatLabels({ __name__: 'up', job: 'a', instance: 'b' })).toBe('up{job="a", instance="b"}');
    expect(formatLabels({ __name__: 'up' })).toBe('up');
    expect(formatLabels({ job: 'a' })).toBe('{job="a"}');
    expect(formatLabels({})).toBe('');
  });
  it('escape', () => {
    expect(formatLabels({ a: 'say "hi"\\\n' })).toBe('{a="say \\"hi\\"\\\\\\n"}');
    expect(formatLabels({ __name__: 'my metric', 'my.label': '1' })).toBe('{"my metric", "my.label"="1"}');
    expect(formatLabels({ a: '<img src=x onerror=alert(1)>' })).toBe('{a="<img src=x onerror=alert(1)>"}');
  });
  it('leave out what is omitted', () => {
    expect(formatLabels({ __name__: 'up', job: 'a', x: '1' }, new Set(['__name__', 'job']))).toBe('{x="1"}');
  });
});

describe('common labels', () => {
  it('are those that all have with the same value', () => {
    expect(commonLabels([{ __name__: 'up', a: '1', b: '2' }, { __name__: 'up', a: '1', b: '3' }])).toEqual([['__name__', 'up'], ['a', '1']]);
    expect(commonLabels([{ a: '1' }, {}])).toEqual([]);
    expect(commonLabels([{ toString: 'x' }, {}])).toEqual([]);
  });
  it('do not exist for one series alone', () => {
    expect(commonLabels([{ a: '1' }])).toEqual([]);
    expect(commonLabels([])).toEqual([]);
  });
});

it('lists label names with the metric first', () => {
  expect(labelNames([{ z: '1' }, { __name__: 'up', a: '1' }])).toEqual(['__name__', 'a', 'z']);
});
