export type EnvironmentTab = 'explore' | 'connect' | 'diagnosis';

/** Where a screen of an environment is, for the router. */
export function environmentScreen(project: string, environment: string, tab: EnvironmentTab): string {
  return `/projects/${encodeURIComponent(project)}/environments/${encodeURIComponent(environment)}/${tab}`;
}

export function tokensScreen(project: string): string {
  return `/projects/${encodeURIComponent(project)}/tokens`;
}

/** The list of projects, narrowed to one. */
export function projectsScreen(search?: string): string {
  return search ? `/?${new URLSearchParams({ search }).toString()}` : '/';
}
