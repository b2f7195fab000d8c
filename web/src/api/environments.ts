import { useInfiniteQuery, useQuery } from '@tanstack/react-query';
import { call } from './client';
import { withParameters } from './paging';
import type { Diagnosis, EnvironmentDetail, EnvironmentList, Health, ProjectList, Provisioning } from './types';

const pageSize = 200;
const checkingInterval = 1_500;
const steadyInterval = 10_000;

/** How long to wait before asking for health again. */
export function healthInterval(health: Iterable<Health>): number {
  for (const { status } of health) if (status === 'checking') return checkingInterval;
  return steadyInterval;
}

function projectPath(project: string): string {
  return `projects/${encodeURIComponent(project)}`;
}

function environmentApiPath(project: string, environment: string): string {
  return `${projectPath(project)}/environments/${encodeURIComponent(environment)}`;
}

/** Every environment of the caller that matches, page by page, with its health as it is now. */
export function useEnvironments(search: string, refetchInterval: number) {
  return useInfiniteQuery({
    queryKey: ['environments', search],
    queryFn: ({ pageParam, signal }) =>
      call<EnvironmentList>('GET', withParameters('environments', { search, limit: pageSize, after: pageParam as string | undefined }), undefined, signal),
    getNextPageParam: (last) => last.next,
    keepPreviousData: true,
    refetchInterval,
  });
}

/** The first environments that match, for a list to choose from; asked for once that list is open. */
export function useEnvironmentChoices(search: string, project: string | undefined, isOpen: boolean) {
  const path = project === undefined ? 'environments' : `${projectPath(project)}/environments`;
  return useQuery({
    queryKey: ['environment-choices', project ?? null, search],
    queryFn: ({ signal }) => call<EnvironmentList>('GET', withParameters(path, { search, limit: 50 }), undefined, signal),
    keepPreviousData: true,
    enabled: isOpen,
    staleTime: 30_000,
  });
}

export function useEnvironment(project: string, environment: string) {
  return useQuery({
    queryKey: ['environment', project, environment],
    queryFn: ({ signal }) => call<EnvironmentDetail>('GET', environmentApiPath(project, environment), undefined, signal),
    refetchInterval: (detail) => healthInterval(detail ? [detail.health] : []),
  });
}

export function useProjects() {
  return useQuery({
    queryKey: ['projects'],
    queryFn: ({ signal }) => call<ProjectList>('GET', 'projects', undefined, signal),
  });
}

export function useProvisioning(project: string, environment: string) {
  return useQuery({
    queryKey: ['provisioning', project, environment],
    queryFn: ({ signal }) => call<Provisioning>('GET', `${environmentApiPath(project, environment)}/provisioning`, undefined, signal),
    staleTime: 60_000,
  });
}

/** Walks to the environment's Prometheus. That may take ten seconds a hop, so it runs only when asked for. */
export function useDiagnosis(project: string, environment: string) {
  return useQuery({
    queryKey: ['diagnosis', project, environment],
    queryFn: ({ signal }) => call<Diagnosis>('GET', `${environmentApiPath(project, environment)}/doctor`, undefined, signal),
    staleTime: 60_000,
    refetchOnWindowFocus: false,
    refetchOnReconnect: false,
    retry: false,
  });
}
