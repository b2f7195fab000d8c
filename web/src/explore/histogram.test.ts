import { expect, it } from 'vitest';
import { barsOf, shortBound } from './histogram';

it('has bars as high as their part of the fullest bucket', () => {
  const bars = barsOf({
    count: '6',
    sum: '1',
    buckets: [
      { rule: 0, left: '0.5', right: '1', count: '4' },
      { rule: 3, left: '-1', right: '1', count: '2' },
      { rule: 1, left: '-2', right: '-1', count: 'NaN' },
      { rule: 2, left: '1', right: '+Inf', count: '-1' },
    ],
  });
  expect(bars.map(({ bounds, height }) => [bounds, height])).toEqual([['(0.5, 1]', 1], ['[-1, 1]', 0.5], ['[-2, -1)', 0], ['(1, +Inf)', 0]]);
  expect(barsOf({ count: '0', sum: '0', buckets: [] })).toEqual([]);
});

it('shortens bounds', () => {
  expect(['0.2726269331663144', '+Inf', '-1', ''].map(shortBound)).toEqual(['0.273', '+Inf', '-1', '']);
});
