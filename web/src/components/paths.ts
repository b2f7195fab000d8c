export type EnvironmentTab = 'explore' | 'connect' | 'diagnosis';

/** Where a screen of an environment is, for the router. */
export function environmentScreen(project: string, environment: string, tab: EnvironmentTab): string {
  return `/projects/${encodeURIComponent(project)}/environments/${encodeURIComponent(environment)}/${tab}`;
}

export function tokensScreen(project: string): string {
  return `/projects/${encodeURIComponent(project)}/tokens`;
}

export function dashboardsScreen(project: string): string {
  return `/projects/${encodeURIComponent(project)}/dashboards`;
}

export function dashboardScreen(project: string, dashboard: string): string {
  return `${dashboardsScreen(project)}/${encodeURIComponent(dashboard)}`;
}

/** The list of projects, narrowed to one. */
export function projectsScreen(search?: string): string {
  return search ? `/?${new URLSearchParams({ search }).toString()}` : '/';
}
