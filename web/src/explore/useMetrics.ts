import { useQuery, type QueryClient } from '@tanstack/react-query';
import { environmentPath, request } from '../api/client';
import { describeMetric, type Metric, type MetadataByName } from './metrics';

/** Completion and the list of metrics look back this far, so that they cost little. */
export const lookbackSeconds = 3600;
const staleTime = 5 * 60_000;

async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  const response = await request(path, { signal });
  return ((await response.json()) as { data: T }).data;
}

function namesQuery(project: string, environment: string) {
  return {
    queryKey: ['explore', project, environment, 'metric names'],
    queryFn: async ({ signal }: { signal?: AbortSignal }) => {
      const end = Math.floor(Date.now() / 1000);
      const path = `${environmentPath(project, environment)}api/v1/label/__name__/values?start=${end - lookbackSeconds}&end=${end}`;
      const names = await get<unknown>(path, signal);
      return Array.isArray(names) ? names.map(String) : [];
    },
    staleTime,
  };
}

function metadataQuery(project: string, environment: string) {
  return {
    queryKey: ['explore', project, environment, 'metadata'],
    queryFn: ({ signal }: { signal?: AbortSignal }) => get<MetadataByName>(`${environmentPath(project, environment)}api/v1/metadata`, signal),
    staleTime,
  };
}

/** The metrics of the environment; their types and help come a little later, or never. */
export function useMetrics(project: string, environment: string) {
  const names = useQuery(namesQuery(project, environment));
  const metadata = useQuery(metadataQuery(project, environment));
  return { names: names.data, metadata: metadata.data, error: names.error, isLoading: names.isLoading, retry: () => void names.refetch() };
}

/** One metric's description, for the hint at the pointer. Errors mean no hint. */
export async function fetchMetric(client: QueryClient, project: string, environment: string, name: string): Promise<Metric | undefined> {
  try {
    const metric = describeMetric(name, await client.fetchQuery(metadataQuery(project, environment)));
    return metric.type || metric.help ? metric : undefined;
  } catch {
    return undefined;
  }
}
