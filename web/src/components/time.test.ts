import { describe, expect, it } from 'vitest';
import { dateText, dateTimeText, durationText, relativeTime, timeSince } from './time';

const now = Date.parse('2025-11-21T20:00:00Z');
const after = (seconds: number) => new Date(now + seconds * 1000).toISOString();

describe('relativeTime', () => {
  it.each([
    [0, 'just now'],
    [-2, '2 s ago'],
    [-59, '59 s ago'],
    [-60, '1 min ago'],
    [-3599, '59 min ago'],
    [-7200, '2 h ago'],
    [-86400, '1 day ago'],
    [-86400 * 400, '400 days ago'],
    [30, 'in 30 s'],
    [86400 * 5, 'in 5 days'],
  ])('%d seconds from now is "%s"', (seconds, text) => {
    expect(relativeTime(after(seconds), now)).toBe(text);
  });
  it('does not show what is no time', () => {
    expect(relativeTime('soon', now)).toBe('at an unknown time');
  });
});

describe('timeSince', () => {
  it('never lies ahead', () => expect(timeSince(after(5), now)).toBe('just now'));
  it('is the time that has passed', () => expect(timeSince(after(-5), now)).toBe('5 s ago'));
});

describe('durationText', () => {
  it.each([
    [0, '0 seconds'],
    [1, '1 second'],
    [90, '1 minute 30 seconds'],
    [3600, '1 hour'],
    [86400 * 30, '30 days'],
    [90061, '1 day 1 hour'],
  ])('%d is "%s"', (seconds, text) => {
    expect(durationText(seconds)).toBe(text);
  });
});

describe('dates', () => {
  it('are written with the month in letters', () => {
    expect(dateText('2025-11-21T12:00:00Z')).toBe('21 Nov 2025');
    expect(dateTimeText('2025-11-21T12:00:00Z')).toMatch(/^21 Nov 2025, \d\d:\d\d$/);
  });
  it('that are none do not throw', () => {
    expect(dateText('soon')).toBe('unknown');
  });
});
