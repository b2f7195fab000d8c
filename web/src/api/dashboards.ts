import { useQuery, useQueryClient } from '@tanstack/react-query';
import { request } from './client';
import type { DashboardDetail, DashboardList } from './types';

const liveInterval = 1_000;
const steadyInterval = 15_000;

/** An answer, and the tag by which the gateway tells whether it is still the same. */
interface Tagged<T> {
  body: T;
  etag: string | undefined;
}

/** Asks for what may have changed; where it has not, the answer is the very one that there was. */
async function fetchTagged<T>(path: string, before: Tagged<T> | undefined, signal?: AbortSignal): Promise<Tagged<T>> {
  const headers: HeadersInit = before?.etag ? { 'If-None-Match': before.etag } : {};
  const response = await request('api/v1/' + path, { signal, headers });
  if (response.status === 304 && before) return before;
  return { body: (await response.json()) as T, etag: response.headers.get('ETag') ?? undefined };
}

/** Follows something while somebody looks: a hidden tab asks for nothing. */
function useFollowed<T extends { live: boolean }>(key: readonly string[], path: string) {
  const client = useQueryClient();
  const query = useQuery({
    queryKey: key,
    queryFn: ({ signal }) => fetchTagged<T>(path, client.getQueryData<Tagged<T>>(key), signal),
    refetchInterval: (last, { state }) => (last?.body.live && !state.error ? liveInterval : steadyInterval),
    // The tag tells what is new: to compare a dashboard member by member would be work for nothing.
    structuralSharing: false,
    // An answer that says nothing new is nothing to draw for: menus and dialogs of the dashboard would not survive it.
    notifyOnChangeProps: ['data', 'error'],
  });
  return { data: query.data?.body, etag: query.data?.etag, error: query.error, refetch: query.refetch };
}

function dashboardsPath(project: string): string {
  return `projects/${encodeURIComponent(project)}/dashboards`;
}

export function useDashboards(project: string) {
  return useFollowed<DashboardList>(['dashboards', project], dashboardsPath(project));
}

export function useDashboard(project: string, dashboard: string) {
  return useFollowed<DashboardDetail>(['dashboard', project, dashboard], `${dashboardsPath(project)}/${encodeURIComponent(dashboard)}`);
}
