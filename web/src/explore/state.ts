import { checkedRange, defaultRange, formatDuration, parseDuration, type TimeRange } from './range';
import { formatRfc3339, parseTime } from './time';
import { isUnit, type Unit } from './units';

export interface Query {
  expr: string;
  hidden: boolean;
}

export type Mode = 'graph' | 'table';

/** What the address of the page says: with it, a reload or a colleague sees the same. */
export interface ExploreState {
  queries: Query[];
  mode: Mode;
  range: TimeRange;
  /** In seconds; absent: chosen for the chart's width. */
  step?: number;
  unit: Unit;
  stacked: boolean;
  /** In seconds; 0: off. */
  refresh: number;
}

export const maxQueries = 26;
export const refreshChoices = [0, 10, 30, 60, 300];

export function letterOf(index: number): string {
  return String.fromCharCode(65 + index);
}

/** Reads an address, which anybody may have written: what makes no sense there becomes the default. */
export function parseState(params: URLSearchParams): ExploreState {
  const hidden = new Set((params.get('hide') ?? '').split(','));
  const queries = params
    .getAll('q')
    .slice(0, maxQueries)
    .map((expr, index) => ({ expr, hidden: hidden.has(String(index)) }));
  const unit = params.get('unit') ?? '';
  const refresh = parseDuration(params.get('refresh') ?? '') ?? 0;
  const step = parseDuration(params.get('step') ?? '');
  return {
    queries: queries.length > 0 ? queries : [{ expr: '', hidden: false }],
    mode: params.get('mode') === 'table' ? 'table' : 'graph',
    range: parseRange(params),
    ...(step === undefined || step < 1 ? {} : { step }),
    unit: isUnit(unit) ? unit : 'none',
    stacked: params.get('stacked') === '1',
    refresh: refreshChoices.includes(refresh) ? refresh : 0,
  };
}

function parseRange(params: URLSearchParams): TimeRange {
  const from = parseTime(params.get('from') ?? '');
  const to = parseTime(params.get('to') ?? '');
  if (from !== undefined && to !== undefined) return checkedRange({ kind: 'absolute', from, to }) ?? defaultRange;
  const seconds = parseDuration(params.get('range') ?? '');
  return (seconds && checkedRange({ kind: 'relative', seconds })) || defaultRange;
}

export function formatState(state: ExploreState): URLSearchParams {
  const params = new URLSearchParams();
  const blank = state.queries.every(({ expr, hidden }) => expr === '' && !hidden);
  const queries = blank && state.queries.length === 1 ? [] : state.queries;
  for (const { expr } of queries) params.append('q', expr);
  const hidden = queries.flatMap((query, index) => (query.hidden ? [index] : []));
  if (hidden.length > 0) params.set('hide', hidden.join(','));
  if (state.mode === 'table') params.set('mode', 'table');
  if (state.range.kind === 'relative') {
    params.set('range', formatDuration(state.range.seconds));
  } else {
    params.set('from', formatRfc3339(state.range.from));
    params.set('to', formatRfc3339(state.range.to));
  }
  if (state.step !== undefined) params.set('step', formatDuration(state.step));
  if (state.unit !== 'none') params.set('unit', state.unit);
  if (state.stacked) params.set('stacked', '1');
  if (state.refresh > 0) params.set('refresh', formatDuration(state.refresh));
  return params;
}

/** What a run depends on: as long as it stays the same, no new run is due. */
export function runKey({ queries, mode, range, step }: ExploreState): string {
  return JSON.stringify([queries, mode, range, mode === 'graph' ? step : undefined]);
}
