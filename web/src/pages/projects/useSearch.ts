import { useEffect, useRef, useState } from 'react';
import { useSearchParams } from 'react-router-dom';

const settleMilliseconds = 200;

/** The text in the search box, and what of it has settled: that is in the address, so that back and a reload keep it. */
export function useSearch() {
  const [parameters, setParameters] = useSearchParams();
  const search = parameters.get('search') ?? '';
  const [text, setText] = useState(search);
  const written = useRef(search);
  const timer = useRef<ReturnType<typeof setTimeout>>();

  // Somebody else changed the address: a link, or the browser's back button.
  useEffect(() => {
    if (search === written.current) return;
    clearTimeout(timer.current);
    written.current = search;
    setText(search);
  }, [search]);
  useEffect(() => () => clearTimeout(timer.current), []);

  const change = (next: string) => {
    setText(next);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => {
      const settled = next.trim();
      if (settled === written.current) return;
      written.current = settled;
      setParameters(settled ? { search: settled } : {}, { replace: true, preventScrollReset: true });
    }, settleMilliseconds);
  };
  return { text, change, search };
}
