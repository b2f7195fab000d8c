import type { Bucket, Histogram } from './result';

export interface Bar {
  /** In interval notation, such as (0.25, 0.5]. */
  bounds: string;
  count: string;
  /** Its part of the fullest bucket, from 0 to 1. */
  height: number;
}

export function barsOf({ buckets }: Histogram): Bar[] {
  const most = Math.max(0, ...buckets.map(({ count }) => Number(count) || 0));
  return buckets.map((bucket) => ({
    bounds: boundsOf(bucket),
    count: bucket.count,
    height: most > 0 ? Math.max(0, (Number(bucket.count) || 0) / most) : 0,
  }));
}

function boundsOf({ rule, left, right }: Bucket): string {
  const open = rule === 1 || rule === 3 ? '[' : '(';
  const close = rule === 0 || rule === 3 ? ']' : ')';
  return `${open}${left}, ${right}${close}`;
}

/** A bound for people: buckets have bounds such as 0.2726269331663144. */
export function shortBound(text: string): string {
  const value = Number(text);
  return Number.isFinite(value) && text !== '' ? String(Number(value.toPrecision(3))) : text;
}
