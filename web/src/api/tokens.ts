import { useInfiniteQuery, useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { call } from './client';
import { withParameters } from './paging';
import type { NewToken, Token, TokenList, TokenSecret } from './types';

function tokensPath(project: string, id?: string): string {
  const list = `projects/${encodeURIComponent(project)}/tokens`;
  return id === undefined ? list : `${list}/${encodeURIComponent(id)}`;
}

export function useTokens(project: string) {
  return useInfiniteQuery({
    queryKey: ['tokens', project],
    queryFn: ({ pageParam, signal }) =>
      call<TokenList>('GET', withParameters(tokensPath(project), { limit: 100, after: pageParam as string | undefined }), undefined, signal),
    getNextPageParam: (last) => last.next,
    refetchInterval: 30_000,
  });
}

/** One token, asked for again and again: quickly until it is used for the first time. */
export function useTokenInUse(project: string, id: string) {
  return useQuery({
    queryKey: ['token', project, id],
    queryFn: ({ signal }) => call<Token>('GET', tokensPath(project, id), undefined, signal),
    refetchInterval: (token) => (token?.lastUsedAt ? 5_000 : 2_000),
  });
}

/** A mutation that changes a project's tokens. Its answer may hold a secret, which no cache keeps. */
function useTokenMutation<Variables, Answer>(project: string, mutationFn: (variables: Variables) => Promise<Answer>) {
  const client = useQueryClient();
  return useMutation({
    mutationFn,
    cacheTime: 0,
    onSuccess: () => void client.invalidateQueries(['tokens', project]),
  });
}

export function useCreateToken(project: string) {
  return useTokenMutation(project, (token: NewToken) => call<TokenSecret>('POST', tokensPath(project), token));
}

export function useRotateToken(project: string) {
  return useTokenMutation(project, ({ id, overlapSeconds }: { id: string; overlapSeconds: number }) =>
    call<TokenSecret>('POST', `${tokensPath(project, id)}/rotate`, { overlapSeconds }),
  );
}

export function useRevokeToken(project: string) {
  return useTokenMutation(project, (id: string) => call<{ token: Token }>('DELETE', tokensPath(project, id)));
}
