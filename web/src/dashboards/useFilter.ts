import { useCallback, useEffect, useRef, useState } from 'react';
import { useSearchParams } from 'react-router-dom';
import { useDebounced } from '../components/useDebounced';
import type { Filter } from './tree';

/** What the list is narrowed to. It is in the address, so that back and a reload keep it. */
export function useFilter() {
  const [parameters, setParameters] = useSearchParams();
  const addressed = parameters.get('search') ?? '';
  const tag = parameters.get('tag') ?? '';
  const [search, setSearch] = useState(addressed);
  const settled = useDebounced(search.trim());
  const written = useRef(addressed);
  const latest = useRef(setParameters);
  latest.current = setParameters;

  const write = useCallback((name: 'search' | 'tag', value: string) => {
    const change = (now: URLSearchParams) => {
      const next = new URLSearchParams(now);
      if (value) next.set(name, value);
      else next.delete(name);
      return next;
    };
    latest.current(change, { replace: true, preventScrollReset: true });
  }, []);

  useEffect(() => {
    if (settled === written.current) return;
    written.current = settled;
    write('search', settled);
  }, [settled, write]);
  // Somebody else changed the address: a link, or the browser's back button.
  useEffect(() => {
    if (addressed === written.current) return;
    written.current = addressed;
    setSearch(addressed);
  }, [addressed]);

  const setTag = useCallback((value: string) => write('tag', value), [write]);
  const filter: Filter = { search, tag };
  return { filter, setSearch, setTag };
}
