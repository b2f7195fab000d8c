import { expect, it } from 'vitest';
import { axisTimes, formatClock, formatRfc3339, formatSpan, formatTime, parseTime, toInput } from './time';

const local = (text: string) => new Date(text).getTime() / 1000;

it('writes local times', () => {
  expect(formatTime(local('2026-01-05T07:08:09'))).toBe('2026-01-05 07:08:09');
  expect(formatClock(local('2026-01-05T07:08:09.25'))).toBe('07:08:09.250');
  expect(formatSpan(local('2026-01-05T07:00:00.5'), local('2026-01-05T08:00:00'))).toBe('2026-01-05 07:00:00 to 08:00:00');
  expect(formatSpan(local('2026-01-05T07:00:00'), local('2026-01-06T08:00:00'))).toBe('2026-01-05 07:00:00 to 2026-01-06 08:00:00');
});

it('reads what it writes', () => {
  for (const seconds of [0, 1_700_000_000, 1_700_000_000.123]) expect(parseTime(formatRfc3339(seconds))).toBe(seconds);
  expect(parseTime(toInput(1_700_000_000.7))).toBe(1_700_000_000);
});

it('reads unix seconds, and no rubbish', () => {
  expect(parseTime('1700000000.5')).toBe(1_700_000_000.5);
  expect(['', 'x', 'now-1h'].map(parseTime)).toEqual([undefined, undefined, undefined]);
});

it('writes the date where it begins or changes', () => {
  const midnight = local('2026-01-06T00:00:00');
  expect(axisTimes([midnight - 3600, midnight, midnight + 3600], 3600)).toEqual(['23:00\n01-05', '00:00\n01-06', '01:00']);
  expect(axisTimes([midnight, midnight + 15], 15)).toEqual(['00:00:00\n01-06', '00:00:15']);
  expect(axisTimes([midnight], 86_400)).toEqual(['01-06']);
});
