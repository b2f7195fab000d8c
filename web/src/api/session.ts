import { useMutation, useQuery, useQueryClient, type QueryClient } from '@tanstack/react-query';
import { ApiError, call, request } from './client';
import type { Session } from './types';

const sessionKey = ['session'] as const;
const signedOutKey = ['session', 'signed-out'] as const;

export function useSession() {
  return useQuery({
    queryKey: sessionKey,
    queryFn: ({ signal }) => call<Session>('GET', 'session', undefined, signal),
    staleTime: 60_000,
  });
}

function forgetAnswers(client: QueryClient) {
  void client.cancelQueries();
  client.removeQueries({ predicate: (query) => query.queryKey[0] !== 'session' });
}

/** Forgets everything but the ways to sign in: what the next person sees comes from their own session. */
function forget(client: QueryClient) {
  const session = client.getQueryData<Session>(sessionKey);
  forgetAnswers(client);
  client.getMutationCache().clear();
  if (session) client.setQueryData<Session>(sessionKey, { ...session, user: null, expiresAt: undefined });
  else void client.invalidateQueries(sessionKey);
}

/** The gateway said that there is no session any more. */
export function onUnauthorized(client: QueryClient, error: unknown) {
  if (!(error instanceof ApiError) || error.status !== 401) return;
  if (client.getQueryData<Session>(sessionKey)?.user !== null) forget(client);
}

/** Whether the person signed out on purpose, so that nothing has to be explained. */
export function hasSignedOut(client: QueryClient): boolean {
  return client.getQueryData(signedOutKey) === true;
}

export function useSignOut() {
  const client = useQueryClient();
  return useMutation({
    // The answer has no content that matters, and may have none at all.
    mutationFn: (scope: 'here' | 'everywhere') => request(`api/v1/${scope === 'here' ? 'session' : 'sessions'}`, { method: 'DELETE' }),
    onSuccess: () => {
      client.setQueryData(signedOutKey, true);
      forget(client);
      void client.invalidateQueries({ queryKey: sessionKey, exact: true });
    },
  });
}

export type Credentials = { kind: 'local'; name: string; password: string } | { kind: 'kubernetes'; token: string };

/** Signs in with what the person entered. A 401 here is about that, not about a session. */
export function useSignIn() {
  const client = useQueryClient();
  return useMutation({
    meta: { keepSession: true },
    cacheTime: 0,
    mutationFn: ({ kind, ...body }: Credentials) => call<Session>('POST', `session/${kind}`, body),
    onSuccess: (session) => {
      // The session may have ended unnoticed, and another person may have signed in.
      forgetAnswers(client);
      client.removeQueries(signedOutKey);
      client.setQueryData(sessionKey, session);
    },
  });
}

/** Sends the person to the identity provider; the gateway brings them back to returnTo. */
export function useOidcSignIn() {
  return useMutation({
    meta: { keepSession: true },
    mutationFn: (returnTo: string) => call<{ url: string }>('POST', 'session/oidc', { returnTo }),
    onSuccess: ({ url }) => window.location.assign(url),
  });
}
