import { useCallback, useEffect, useMemo, useRef, useState } from 'react';
import { useSearchParams } from 'react-router-dom';
import { formatState, maxQueries, parseState, runKey, type ExploreState, type Query } from './state';

/** The part of the state that changes what is asked; the rest changes only how it looks. */
export type Asked = Partial<Pick<ExploreState, 'queries' | 'mode' | 'range' | 'step'>>;
export type Shown = Partial<Pick<ExploreState, 'unit' | 'stacked' | 'refresh'>>;

/**
 * The state in the address, and the drafts in the editors. A run puts the drafts into the address, as a new entry of
 * the history; how the result looks replaces the entry.
 */
export function useExploreState() {
  const [params, setParams] = useSearchParams();
  const search = params.toString();
  const state = useMemo(() => parseState(new URLSearchParams(search)), [search]);
  const [drafts, setDrafts] = useState(state.queries);
  const [count, setCount] = useState(0);
  const latest = useRef({ state, drafts, setParams });
  latest.current = { state, drafts, setParams };

  // Back, forward and links change the address from outside: then its queries win over the drafts.
  const addressed = JSON.stringify(state.queries);
  useEffect(() => {
    setDrafts((now) => (JSON.stringify(now) === addressed ? now : (JSON.parse(addressed) as Query[])));
  }, [addressed]);

  const write = useCallback((next: ExploreState, replace: boolean) => {
    latest.current.setParams(formatState(next), { replace, preventScrollReset: true });
  }, []);

  /** Runs the drafts, with the change; also where nothing differs from the last run. */
  const ask = useCallback(
    (change: Asked = {}, replace = false) => {
      const { state: now, drafts: queries } = latest.current;
      const next: ExploreState = { ...now, queries, ...change };
      setDrafts(next.queries);
      if (formatState(next).toString() !== formatState(now).toString()) write(next, replace);
      if (runKey(next) === runKey(now)) setCount((last) => last + 1);
    },
    [write],
  );

  const show = useCallback((change: Shown) => write({ ...latest.current.state, ...change }, true), [write]);
  /** Asks the same again. */
  const refresh = useCallback(() => setCount((last) => last + 1), []);
  return { state, drafts, count, ask, show, refresh, ...useDraftChanges(latest, setDrafts, ask) };
}

function useDraftChanges(
  latest: { current: { state: ExploreState; drafts: Query[] } },
  setDrafts: (change: (now: Query[]) => Query[]) => void,
  ask: (change?: Asked, replace?: boolean) => void,
) {
  const edit = useCallback(
    (index: number, expr: string) => setDrafts((now) => now.map((query, at) => (at === index ? { ...query, expr } : query))),
    [setDrafts],
  );
  const add = useCallback(
    (expr = '') => setDrafts((now) => (now.length < maxQueries ? [...now, { expr, hidden: false }] : now)),
    [setDrafts],
  );
  const remove = useCallback(
    (index: number) => {
      const { drafts, state } = latest.current;
      if (index >= state.queries.length) setDrafts((now) => now.filter((_, at) => at !== index));
      else ask({ queries: drafts.filter((_, at) => at !== index) });
    },
    [latest, setDrafts, ask],
  );
  const toggleHidden = useCallback(
    (index: number) => {
      const { drafts } = latest.current;
      ask({ queries: drafts.map((query, at) => (at === index ? { ...query, hidden: !query.hidden } : query)) }, true);
    },
    [latest, ask],
  );
  return { edit, add, remove, toggleHidden };
}
