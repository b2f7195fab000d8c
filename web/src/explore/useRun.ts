import { useCallback, useEffect, useRef, useState } from 'react';
import { execute, type Plan, type Run } from './run';

interface Running {
  run?: Run;
  loading: boolean;
  /** The last run was stopped by hand: what is shown is older. */
  cancelled: boolean;
  cancel: () => void;
}

/** Runs the plan whenever its key or the count changes; a newer run stops the older one. */
export function useRun(plan: Plan | undefined, key: string, count: number, width: () => number, onDone: (run: Run) => void): Running {
  const [run, setRun] = useState<Run>();
  const [loading, setLoading] = useState(false);
  const [cancelled, setCancelled] = useState(false);
  const current = useRef<AbortController>();
  const latest = useRef({ plan, width, onDone });
  latest.current = { plan, width, onDone };

  useEffect(() => {
    const { plan: next, width: measure } = latest.current;
    setCancelled(false);
    if (!next) {
      setRun(undefined);
      return;
    }
    const controller = new AbortController();
    current.current = controller;
    setLoading(true);
    void execute(next, measure(), controller.signal).then((done) => {
      if (controller.signal.aborted) return;
      setRun(done);
      setLoading(false);
      latest.current.onDone(done);
    });
    return () => {
      controller.abort();
      setLoading(false);
    };
  }, [key, count]);

  const cancel = useCallback(() => {
    current.current?.abort();
    setLoading(false);
    setCancelled(true);
  }, []);
  return { run, loading, cancelled, cancel };
}
