import type { DatasourceResource, DatasourceSelector, GlobalDatasourceResource } from '@perses-dev/core';
import type { BuildDatasourceProxyUrlParams, DatasourceApi } from '@perses-dev/dashboards';
import type { DashboardDetail, HiddenDatasource, PersesObject } from '../api/types';
import { sentenceCase } from '../components/sentenceCase';

type Offered = Pick<DashboardDetail, 'datasources' | 'hidden'>;

/** Where the data of a data source comes from: always the gateway, whatever the object says. */
export function proxyUrl(api: URL, { project, dashboard, name }: BuildDatasourceProxyUrlParams): string {
  const encoded = encodeURIComponent;
  const path = !project
    ? `globaldatasources/${encoded(name)}`
    : dashboard
      ? `projects/${encoded(project)}/dashboards/${encoded(dashboard)}/datasources/${encoded(name)}`
      : `projects/${encoded(project)}/datasources/${encoded(name)}`;
  return `${api.href.replace(/\/$/, '')}/proxy/${path}`;
}

/** What a data source is, as far as it matters for finding it. */
interface Plain {
  default?: boolean;
  plugin?: { kind?: string };
}

function isMeant({ metadata, spec }: PersesObject, { kind, name }: DatasourceSelector): boolean {
  const { default: isDefault, plugin } = spec as Plain;
  return plugin?.kind === kind && (name === undefined ? isDefault === true : metadata.name === name);
}

/** What a panel says in the place of data. */
export function hiddenSentence({ name, reason }: HiddenDatasource): string {
  return `The data source ${name} cannot be used: ${sentenceCase(reason)}`;
}

function refuse(hidden: HiddenDatasource | undefined): void {
  if (hidden) throw new Error(hiddenSentence(hidden));
}

/**
 * Finds data sources in what the gateway has answered with the dashboard. Perses asks here after the dashboard's own: one
 * of the project wins over a global one of the same name, also where it is hidden, so that nothing is read from
 * elsewhere than the dashboard says.
 */
export function makeDatasourceApi({ datasources, hidden }: Offered, api: URL): DatasourceApi {
  const ofKind = (kind: string) => datasources.filter((datasource) => datasource.kind === kind);
  const locals = ofKind('Datasource');
  const globals = ofKind('GlobalDatasource');
  const hiddenIn = (scope: HiddenDatasource['scope'], name: string | undefined) => hidden.find((one) => one.scope === scope && one.name === name);
  const list = (all: PersesObject[], kind?: string) => all.filter(({ spec }) => kind === undefined || (spec as Plain).plugin?.kind === kind);
  return {
    buildProxyUrl: (params) => proxyUrl(api, params),
    async getDatasource(_project, selector) {
      refuse(hiddenIn('dashboard', selector.name));
      const found = locals.find((one) => isMeant(one, selector));
      if (!found) refuse(hiddenIn('project', selector.name));
      return found as DatasourceResource | undefined;
    },
    async getGlobalDatasource(selector) {
      const found = globals.find((one) => isMeant(one, selector));
      if (!found) refuse(hiddenIn('global', selector.name));
      if (!found && selector.name === undefined) throw new Error(noDefault(hidden));
      return found as GlobalDatasourceResource | undefined;
    },
    listDatasources: async (_project, kind) => list(locals, kind) as unknown as DatasourceResource[],
    listGlobalDatasources: async (kind) => list(globals, kind) as unknown as GlobalDatasourceResource[],
  };
}

function noDefault(hidden: readonly HiddenDatasource[]): string {
  const sentence = 'It names no data source, and there is no default one here.';
  return [sentence, ...hidden.map(hiddenSentence)].join(' ');
}
