import { describe, expect, it } from 'vitest';
import {
  absolute, autoStep, checkedRange, describeDuration, effectiveStep, formatDuration, gridEnd, gridOf, gridTimes, maxPoints, parseDuration, presets, resolve, shift, zoomOut,
} from './range';

const now = 1_700_000_000;

describe('durations', () => {
  it.each([['15s', 15], ['1h30m', 5400], ['2d', 172_800], ['500ms', 0.5], ['90', 90], ['1w', 604_800], ['1y', 31_536_000], ['0.25', 0.25]])('reads %s', (text, seconds) => {
    expect(parseDuration(text)).toBe(seconds);
  });
  it.each(['', '0', '0s', '-5m', '5', '1h ', 'm', '1x', '1e9', 'NaN', '1h-1m', '99999999999999s'].filter((text) => text !== '5'))('does not read %j', (text) => {
    expect(parseDuration(text)).toBeUndefined();
  });
  it('reads what it writes', () => {
    for (let seconds = 0.001; seconds < 1e9; seconds *= 1.7) {
      const rounded = Math.round(seconds * 1000) / 1000;
      expect(parseDuration(formatDuration(rounded))).toBeCloseTo(rounded, 3);
    }
  });
  it('says presets in words', () => {
    expect(presets.map(describeDuration).slice(0, 5)).toEqual(['5 minutes', '15 minutes', '30 minutes', '1 hour', '3 hours']);
    expect(describeDuration(5400)).toBe('90 minutes');
  });
});

describe('ranges', () => {
  it('resolves', () => {
    expect(resolve({ kind: 'relative', seconds: 3600 }, now)).toEqual({ start: now - 3600, end: now });
    expect(resolve({ kind: 'absolute', from: 1, to: 2 }, now)).toEqual({ start: 1, end: 2 });
  });
  it('shifts by half, and not past now', () => {
    expect(shift({ start: now - 3600, end: now }, -1, now)).toEqual({ kind: 'absolute', from: now - 5400, to: now - 1800 });
    expect(shift({ start: now - 4600, end: now - 1000 }, 1, now)).toEqual({ kind: 'absolute', from: now - 3600, to: now });
  });
  it('leaves a range in the future where it is', () => {
    expect(shift({ start: now + 100, end: now + 200 }, 1, now)).toEqual({ kind: 'absolute', from: now + 100, to: now + 200 });
  });
  it('zooms out', () => {
    expect(zoomOut({ kind: 'relative', seconds: 3600 }, now)).toEqual({ kind: 'relative', seconds: 7200 });
    expect(zoomOut({ kind: 'absolute', from: now - 9000, to: now - 7000 }, now)).toEqual({ kind: 'absolute', from: now - 10_000, to: now - 6000 });
    expect(zoomOut({ kind: 'absolute', from: now - 100, to: now }, now)).toEqual({ kind: 'absolute', from: now - 200, to: now });
  });
  it('puts two times in order, a second apart at least', () => {
    expect(absolute(20, 10)).toEqual({ kind: 'absolute', from: 10, to: 20 });
    expect(absolute(10, 10)).toEqual({ kind: 'absolute', from: 10, to: 11 });
  });
  it('refuses what makes no sense', () => {
    expect(checkedRange({ kind: 'absolute', from: 10, to: 10 })).toBeUndefined();
    expect(checkedRange({ kind: 'absolute', from: NaN, to: 10 })).toBeUndefined();
    expect(checkedRange({ kind: 'absolute', from: 0, to: 1e11 })).toBeUndefined();
    expect(checkedRange({ kind: 'relative', seconds: 1e12 })).toBeUndefined();
    expect(checkedRange({ kind: 'absolute', from: 10, to: 20 })).toEqual({ kind: 'absolute', from: 10, to: 20 });
  });
});

describe('steps', () => {
  it('is 15 s at least, and about a point each few pixels', () => {
    expect(autoStep({ start: now - 300, end: now }, 1200)).toBe(15);
    expect(autoStep({ start: now - 3600, end: now }, 1200)).toBe(15);
    expect(autoStep({ start: now - 86_400, end: now }, 1200)).toBe(180);
    expect(autoStep({ start: now - 30 * 86_400, end: now }, 1200)).toBe(7200);
    expect(autoStep({ start: now - 10 * 365 * 86_400, end: now }, 300)).toBe(31 * 86_400);
  });
  it('never asks for more points than Prometheus answers', () => {
    for (let length = 1; length < 10 * 365 * 86_400; length *= 2.3) {
      for (const chosen of [undefined, 1, 15, 3600]) {
        for (const width of [0, 320, 1280, 60_000]) {
          const span = { start: now - length, end: now };
          const grid = gridOf(span, effectiveStep(chosen, span, width));
          expect(grid.points).toBeGreaterThanOrEqual(1);
          expect(grid.points).toBeLessThanOrEqual(maxPoints);
          expect(grid.start).toBeGreaterThanOrEqual(span.start - 0.002);
          expect(gridEnd(grid)).toBeLessThanOrEqual(span.end + 0.002);
        }
      }
    }
  });
  it('puts the points on multiples of the step', () => {
    const grid = gridOf({ start: 1001, end: 1061 }, 15);
    expect(grid).toEqual({ start: 1005, step: 15, points: 4 });
    expect(gridTimes(grid)).toEqual([1005, 1020, 1035, 1050]);
    expect(gridOf({ start: 1001, end: 1004 }, 15)).toEqual({ start: 1004, step: 15, points: 1 });
    expect(gridOf({ start: 10, end: 11 }, 0.25).points).toBe(5);
  });
});
