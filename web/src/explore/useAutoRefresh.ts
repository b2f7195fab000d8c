import { useEffect, useRef } from 'react';

/** Refreshes each so many seconds: not while a run is still going, and not while nobody looks; then at once on return. */
export function useAutoRefresh(seconds: number, busy: boolean, refresh: () => void): void {
  const latest = useRef({ busy, refresh });
  latest.current = { busy, refresh };
  useEffect(() => {
    if (seconds <= 0) return;
    let due = false;
    const tick = () => {
      due = document.hidden;
      if (!document.hidden && !latest.current.busy) latest.current.refresh();
    };
    const onVisible = () => {
      if (due && !document.hidden) tick();
    };
    const timer = setInterval(tick, seconds * 1000);
    document.addEventListener('visibilitychange', onVisible);
    return () => {
      clearInterval(timer);
      document.removeEventListener('visibilitychange', onVisible);
    };
  }, [seconds]);
}
