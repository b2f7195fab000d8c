import { describe, expect, it } from 'vitest';
import { presets } from './range';
import { formatState, maxQueries, parseState, refreshChoices, runKey, type ExploreState } from './state';
import { units } from './units';

const parse = (search: string) => parseState(new URLSearchParams(search));

describe('state in the address', () => {
  it('has defaults', () => {
    expect(parse('')).toEqual({
      queries: [{ expr: '', hidden: false }],
      mode: 'graph',
      range: { kind: 'relative', seconds: 3600 },
      unit: 'none',
      stacked: false,
      refresh: 0,
    });
  });
  it('reads the example', () => {
    const { queries, range } = parse('?q=up&q=rate(x[5m])&range=3h');
    expect(queries.map(({ expr }) => expr)).toEqual(['up', 'rate(x[5m])']);
    expect(range).toEqual({ kind: 'relative', seconds: 10_800 });
  });
  it('reads everything', () => {
    const state = parse('q=a&q=&q=b&hide=1,2&mode=table&from=2026-11-21T20:00:00Z&to=1795296000&step=1m&unit=bytes/s&stacked=1&refresh=30s');
    expect(state.queries.map(({ hidden }) => hidden)).toEqual([false, true, true]);
    expect(state).toMatchObject({ mode: 'table', range: { kind: 'absolute', from: 1_795_291_200, to: 1_795_296_000 }, step: 60, unit: 'bytes/s', stacked: true, refresh: 30 });
  });
  it.each([
    'range=-1h', 'range=zzz', 'range=', 'from=5&to=4', 'from=x&to=y', 'from=2026-01-01T00:00:00Z', 'step=abc', 'step=0', 'step=-1', 'step=1ms', 'mode=pie', 'unit=__proto__', 'unit=toString',
    'refresh=1s', 'refresh=x', 'stacked=yes', 'hide=,,x,-1', 'hide=9', 'from=1e400&to=1e500',
  ])('takes the default instead of %s', (search) => {
    expect(parse(search)).toEqual(parse(''));
  });
  it('takes no more queries than there are letters', () => {
    expect(parse('q=up&'.repeat(100)).queries).toHaveLength(maxQueries);
  });
});

/** A small generator with a seed: the same cases each time. */
function random(seed: number) {
  let state = seed;
  return (below: number) => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return Math.floor((state / 2_147_483_648) * below);
  };
}

const alphabet = ['up', '{a="b&c=d"}', ' ', '+', '%', '#', '"', '\\', '\n', 'é', '😀', '=', '<img src=x onerror=alert(1)>', '[5m]', ';', '?'];

function anyState(next: (below: number) => number): ExploreState {
  const text = () => Array.from({ length: next(6) }, () => alphabet[next(alphabet.length)]).join('');
  const from = next(2e9) + next(1000) / 1000;
  return {
    queries: Array.from({ length: 1 + next(5) }, () => ({ expr: text(), hidden: next(3) === 0 })),
    mode: next(2) ? 'graph' : 'table',
    range: next(2) ? { kind: 'relative', seconds: presets[next(presets.length)]! } : { kind: 'absolute', from, to: Math.round((from + 1 + next(1e7)) * 1000) / 1000 },
    ...(next(2) ? { step: 1 + next(90_000) } : {}),
    unit: units[next(units.length)]!.unit,
    stacked: next(2) === 1,
    refresh: refreshChoices[next(refreshChoices.length)]!,
  };
}

describe('round trip', () => {
  it('reads what it writes', () => {
    const next = random(7);
    for (let round = 0; round < 200; round++) {
      const state = anyState(next);
      expect(parse(formatState(state).toString())).toEqual(state);
    }
  });
  it('never throws, and what it reads it can write', () => {
    const next = random(11);
    const names = ['q', 'hide', 'mode', 'range', 'from', 'to', 'step', 'unit', 'stacked', 'refresh'];
    for (let round = 0; round < 200; round++) {
      const params = new URLSearchParams();
      for (let at = next(8); at > 0; at--) params.append(names[next(names.length)]!, alphabet[next(alphabet.length)]! + String(next(1e9)));
      const state = parseState(params);
      expect(parseState(formatState(state))).toEqual(state);
    }
  });
});

describe('what a run depends on', () => {
  const state = parse('q=up');
  it('changes with what is asked, not with how it looks', () => {
    expect(runKey({ ...state, unit: 'bytes', stacked: true, refresh: 30 })).toBe(runKey(state));
    expect(runKey({ ...state, mode: 'table' })).not.toBe(runKey(state));
    expect(runKey({ ...state, step: 60 })).not.toBe(runKey(state));
    expect(runKey({ ...state, mode: 'table', step: 60 })).toBe(runKey({ ...state, mode: 'table' }));
  });
});
