import { useEffect, useState } from 'react';
import { ApiError } from '../../api/client';
import { ErrorNotice } from '../../components/ErrorNotice';

/** The seconds that are left to wait after too many attempts; 0: go ahead. */
export function useWait(error: unknown): number {
  const [left, setLeft] = useState(0);
  useEffect(() => {
    setLeft(error instanceof ApiError && error.status === 429 ? (error.retryAfter ?? 0) : 0);
    const timer = setInterval(() => setLeft((seconds) => Math.max(0, seconds - 1)), 1000);
    return () => clearInterval(timer);
  }, [error]);
  return left;
}

export function SignInError({ error }: { error: unknown }) {
  return error ? <ErrorNotice error={error} lead="Sign-in failed: " /> : null;
}

/** What a button says: it counts down while it has to wait. */
export function submitLabel(label: string, isLoading: boolean, wait: number): string {
  if (isLoading) return 'Signing in…';
  return wait > 0 ? `Try again in ${wait} s` : label;
}
