import { MutationCache, QueryCache, QueryClient } from '@tanstack/react-query';
import { ApiError } from '../api/client';
import { onUnauthorized } from '../api/session';

/** Asking again helps when the gateway or the network had a bad moment, and never with a request that is wrong. */
function shouldRetry(failures: number, error: unknown): boolean {
  if (error instanceof ApiError && error.status >= 400 && error.status < 500) return false;
  return failures < 2;
}

export const queryClient: QueryClient = new QueryClient({
  queryCache: new QueryCache({ onError: (error) => onUnauthorized(queryClient, error) }),
  mutationCache: new MutationCache({
    onError: (error, _variables, _context, mutation) => {
      if (!mutation.meta?.keepSession) onUnauthorized(queryClient, error);
    },
  }),
  defaultOptions: {
    // 'always': a request that cannot be sent fails with a sentence, instead of waiting silently for a network.
    queries: { retry: shouldRetry, staleTime: 5_000, networkMode: 'always' },
    mutations: { networkMode: 'always' },
  },
});
