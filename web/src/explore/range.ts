/** Times are unix seconds, lengths are seconds, everywhere in Explore. */
export type TimeRange = { kind: 'relative'; seconds: number } | { kind: 'absolute'; from: number; to: number };

export interface Span {
  start: number;
  end: number;
}

/** The evaluation times of a range query: points of them, from start on, step apart. */
export interface Grid {
  start: number;
  step: number;
  points: number;
}

const minute = 60;
const hour = 60 * minute;
const day = 24 * hour;

export const presets = [5 * minute, 15 * minute, 30 * minute, hour, 3 * hour, 6 * hour, 12 * hour, day, 2 * day, 7 * day, 30 * day];
export const defaultRange: TimeRange = { kind: 'relative', seconds: hour };
export const stepChoices = [1, 5, 15, 30, minute, 5 * minute, 15 * minute, hour, 6 * hour, day];

/** Prometheus answers no more than this for one series. */
export const maxPoints = 11_000;
const minSpan = 1;
const maxSpan = 10 * 365 * day;
const minAutoStep = 15;
const pixelsPerPoint = 2.5;

const niceSteps = [15, 20, 30, 60, 120, 180, 300, 600, 900, 1200, 1800, hour, 2 * hour, 3 * hour, 4 * hour, 6 * hour, 12 * hour, day];

const unitSeconds: Record<string, number> = { ms: 0.001, s: 1, m: minute, h: hour, d: day, w: 7 * day, y: 365 * day };

/** Reads a Prometheus duration such as 1h30m, or a number of seconds. */
export function parseDuration(text: string): number | undefined {
  if (/^\d{1,12}(\.\d{1,3})?$/.test(text)) return Number(text) || undefined;
  const match = /^(?:\d{1,9}(?:ms|[smhdwy]))+$/.exec(text);
  if (!match) return undefined;
  let total = 0;
  for (const [, amount, unit] of text.matchAll(/(\d+)(ms|[smhdwy])/g)) total += Number(amount) * (unitSeconds[unit ?? ''] ?? 0);
  return total > 0 ? round(total) : undefined;
}

/** Writes what parseDuration reads, in the fewest parts. */
export function formatDuration(seconds: number): string {
  let rest = Math.round(seconds * 1000);
  if (rest <= 0) return '0s';
  const parts: string[] = [];
  for (const [unit, size] of [['d', day], ['h', hour], ['m', minute], ['s', 1], ['ms', 0.001]] as const) {
    const amount = Math.floor(rest / (size * 1000));
    if (amount > 0) parts.push(`${amount}${unit}`);
    rest -= amount * size * 1000;
  }
  return parts.join('');
}

export function describeDuration(seconds: number): string {
  for (const [name, size] of [['day', day], ['hour', hour], ['minute', minute], ['second', 1]] as const) {
    if (seconds >= size && seconds % size === 0) return seconds === size ? `1 ${name}` : `${seconds / size} ${name}s`;
  }
  return formatDuration(seconds);
}

export function resolve(range: TimeRange, now: number): Span {
  return range.kind === 'absolute' ? { start: range.from, end: range.to } : { start: round(now - range.seconds), end: now };
}

/** Moves by half of the span, so that half of what one saw stays; never past now. */
export function shift(span: Span, direction: -1 | 1, now: number): TimeRange {
  const length = span.end - span.start;
  const end = Math.min(span.end + (direction * length) / 2, Math.max(now, span.end));
  return absolute(end - length, end);
}

/** Doubles the span: around its middle, but a relative range still ends now. */
export function zoomOut(range: TimeRange, now: number): TimeRange {
  if (range.kind === 'relative') return { kind: 'relative', seconds: Math.min(range.seconds * 2, maxSpan) };
  const length = range.to - range.from;
  const end = Math.min(range.to + length / 2, Math.max(now, range.to));
  return absolute(end - Math.min(length * 2, maxSpan), end);
}

export function absolute(from: number, to: number): TimeRange {
  const start = round(Math.min(from, to));
  return { kind: 'absolute', from: start, to: round(Math.max(from, to, start + minSpan)) };
}

/** A range as it stands in an address or a form, or undefined where it makes no sense. */
export function checkedRange(range: TimeRange): TimeRange | undefined {
  if (range.kind === 'relative') return range.seconds >= minSpan && range.seconds <= maxSpan ? range : undefined;
  const length = range.to - range.from;
  const sane = Number.isFinite(length) && length >= minSpan && length <= maxSpan && range.from >= 0 && range.to <= 1e11;
  return sane ? range : undefined;
}

/** The step for a chart of this width: about one point each few pixels, on a round number of seconds. */
export function autoStep(span: Span, width: number): number {
  const points = Math.max(50, width / pixelsPerPoint);
  const exact = Math.max(minAutoStep, (span.end - span.start) / points);
  return niceSteps.find((step) => step >= exact) ?? Math.ceil(exact / day) * day;
}

/** A chosen step, made longer where it would ask for more points than Prometheus answers. */
export function effectiveStep(chosen: number | undefined, span: Span, width: number): number {
  const step = chosen ?? autoStep(span, width);
  const least = (span.end - span.start) / (maxPoints - 1);
  return step >= least ? step : (niceSteps.find((nice) => nice >= least) ?? Math.ceil(least / day) * day);
}

/** Times are multiples of the step: so a refresh asks for the same points again, and lines do not tremble. */
export function gridOf(span: Span, step: number): Grid {
  const first = Math.ceil(round(span.start / step));
  const last = Math.floor(round(span.end / step));
  if (last < first) return { start: span.end, step, points: 1 };
  return { start: round(first * step), step, points: last - first + 1 };
}

export function gridEnd(grid: Grid): number {
  return round(grid.start + (grid.points - 1) * grid.step);
}

export function gridTimes(grid: Grid): number[] {
  return Array.from({ length: grid.points }, (_, index) => round(grid.start + index * grid.step));
}

/** To whole milliseconds, which is how exact Prometheus' times are. */
function round(seconds: number): number {
  return Math.round(seconds * 1000) / 1000;
}
