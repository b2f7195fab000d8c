import type { DashboardResource } from '@perses-dev/core';
import type { HiddenDatasource, PersesObject } from '../api/types';

const duration = /^(?:\d{1,9}(?:ms|[smhdwy]))+$/;

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function recordOf(value: unknown): Record<string, unknown> {
  return isRecord(value) ? value : {};
}

function records(value: unknown): Record<string, unknown>[] {
  return Array.isArray(value) ? value.filter(isRecord) : [];
}

function durationOf(value: unknown): string | undefined {
  return typeof value === 'string' && duration.test(value) ? value : undefined;
}

/** Every panel with what Perses takes for granted. */
function panelsOf(value: unknown): Record<string, unknown> {
  const panels = Object.entries(recordOf(value)).flatMap(([key, panel]) => {
    const spec = recordOf(recordOf(panel).spec);
    if (!isRecord(spec.plugin)) return [];
    return [[key, { kind: 'Panel', spec: { ...spec, display: { name: '', ...recordOf(spec.display) }, plugin: { spec: {}, ...spec.plugin } } }]];
  });
  return Object.fromEntries(panels) as Record<string, unknown>;
}

const panelReference = /^#\/spec\/panels\/(.+)$/s;

/** A layout without the places whose panel is not there. */
function layoutsOf(value: unknown, panels: Record<string, unknown>): Record<string, unknown>[] {
  const isThere = (item: Record<string, unknown>) => {
    const key = panelReference.exec(String(recordOf(item.content).$ref))?.[1];
    return key !== undefined && Object.hasOwn(panels, key);
  };
  return records(value).map((layout) => {
    const spec = recordOf(layout.spec);
    return { ...layout, spec: { ...spec, items: records(spec.items).filter(isThere) } };
  });
}

/**
 * The dashboard as Perses' components want it. Whoever applied it may have left out anything, and a missing list or a
 * place without its panel must not cost the reader the rest of the dashboard.
 */
export function toResource({ metadata, spec }: PersesObject, project: string): DashboardResource {
  const panels = panelsOf(spec.panels);
  const datasources = Object.entries(recordOf(spec.datasources)).filter(([, one]) => isRecord(recordOf(one).plugin));
  return {
    kind: 'Dashboard',
    metadata: { ...metadata, project: metadata.project ?? project },
    spec: {
      ...spec,
      duration: durationOf(spec.duration) ?? '1h',
      refreshInterval: durationOf(spec.refreshInterval) ?? '0s',
      variables: records(spec.variables).filter((variable) => typeof recordOf(variable.spec).name === 'string'),
      panels,
      layouts: layoutsOf(spec.layouts, panels),
      datasources: Object.fromEntries(datasources),
    },
  } as unknown as DashboardResource;
}

/** How people call the dashboard. */
export function titleOf({ metadata, spec }: PersesObject): string {
  const { name } = recordOf(spec.display);
  return typeof name === 'string' && name.trim() !== '' ? name : metadata.name;
}

export function descriptionOf({ spec }: PersesObject): string | undefined {
  const { description } = recordOf(spec.display);
  return typeof description === 'string' && description.trim() !== '' ? description : undefined;
}

/** The names of data sources that something in the dashboard asks for. */
function askedFor(value: unknown, names = new Set<string>()): Set<string> {
  if (Array.isArray(value)) for (const one of value) askedFor(one, names);
  if (!isRecord(value)) return names;
  for (const [key, one] of Object.entries(value)) {
    if (key === 'datasource' && isRecord(one) && typeof one.name === 'string') names.add(one.name);
    else askedFor(one, names);
  }
  return names;
}

/** Those of the hidden data sources that this dashboard wants to use: the others are nothing to its reader. */
export function hiddenOf({ spec }: PersesObject, hidden: readonly HiddenDatasource[]): HiddenDatasource[] {
  const names = askedFor({ panels: spec.panels, variables: spec.variables });
  return hidden.filter(({ scope, name }) => scope === 'dashboard' || names.has(name));
}
