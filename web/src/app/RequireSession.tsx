import { useQueryClient } from '@tanstack/react-query';
import { useRef } from 'react';
import { Navigate, useLocation } from 'react-router-dom';
import { hasSignedOut, useSession } from '../api/session';
import { ErrorNotice } from '../components/ErrorNotice';
import type { SignInState } from '../pages/signin/signInState';
import { Shell, ShellSkeleton } from './Shell';

/** Lets through whoever is signed in, and sends everybody else to sign in and back again. */
export function RequireSession() {
  const { data, error, refetch } = useSession();
  const client = useQueryClient();
  const location = useLocation();
  const wasSignedIn = useRef(false);

  if (!data) {
    return <ShellSkeleton>{error ? <ErrorNotice error={error} onRetry={() => void refetch()} /> : null}</ShellSkeleton>;
  }
  if (data.user) {
    wasSignedIn.current = true;
    return <Shell session={data} user={data.user} />;
  }
  const state: SignInState = hasSignedOut(client)
    ? {}
    : { from: location.pathname + location.search + location.hash, ended: wasSignedIn.current };
  return <Navigate to="/signin" replace state={state} />;
}
