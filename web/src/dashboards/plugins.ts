import { dynamicImportPluginLoader, type PluginLoader, type PluginModuleResource, type PluginType } from '@perses-dev/plugin-system';

/** Tells Perses which plugins there are, without loading any. */
function pluginModule(name: string, plugins: [kind: PluginType, name: string][]): PluginModuleResource {
  return {
    kind: 'PluginModule',
    metadata: { name, version: '' },
    spec: { plugins: plugins.map(([kind, plugin]) => ({ kind, spec: { name: plugin, display: { name: plugin } } })) },
  };
}

/** Every kind of panel, variable and query that dashboards may use here. Each is loaded with the first dashboard that has it. */
export const pluginLoader: PluginLoader = dynamicImportPluginLoader([
  {
    resource: pluginModule('prometheus', [
      ['Datasource', 'PrometheusDatasource'],
      ['TimeSeriesQuery', 'PrometheusTimeSeriesQuery'],
      ['Variable', 'PrometheusLabelValuesVariable'],
      ['Variable', 'PrometheusLabelNamesVariable'],
      ['Variable', 'PrometheusPromQLVariable'],
    ]),
    importPlugin: () =>
      import('@perses-dev/prometheus-plugin').then(
        ({ PrometheusDatasource, PrometheusTimeSeriesQuery, PrometheusLabelValuesVariable, PrometheusLabelNamesVariable, PrometheusPromQLVariable }) => ({
          PrometheusDatasource,
          PrometheusTimeSeriesQuery,
          PrometheusLabelValuesVariable,
          PrometheusLabelNamesVariable,
          PrometheusPromQLVariable,
        }),
      ),
  },
  {
    resource: pluginModule('time-series-chart', [['Panel', 'TimeSeriesChart']]),
    importPlugin: () => import('@perses-dev/timeseries-chart-plugin').then(({ TimeSeriesChart }) => ({ TimeSeriesChart })),
  },
  {
    resource: pluginModule('stat-chart', [['Panel', 'StatChart']]),
    importPlugin: () => import('@perses-dev/stat-chart-plugin').then(({ StatChart }) => ({ StatChart })),
  },
  {
    resource: pluginModule('gauge-chart', [['Panel', 'GaugeChart']]),
    importPlugin: () => import('@perses-dev/gauge-chart-plugin').then(({ GaugeChart }) => ({ GaugeChart })),
  },
  {
    resource: pluginModule('table', [['Panel', 'Table']]),
    importPlugin: () => import('@perses-dev/table-plugin').then(({ Table }) => ({ Table })),
  },
  {
    resource: pluginModule('markdown', [['Panel', 'Markdown']]),
    importPlugin: () => import('./markdown').then(({ Markdown }) => ({ Markdown })),
  },
  {
    resource: pluginModule('static-list-variable', [['Variable', 'StaticListVariable']]),
    importPlugin: () => import('@perses-dev/static-list-variable-plugin').then(({ StaticListVariable }) => ({ StaticListVariable })),
  },
]);
