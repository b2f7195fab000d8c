import Box from '@mui/material/Box';
import { ThemeProvider } from '@mui/material/styles';
import useMediaQuery from '@mui/material/useMediaQuery';
import type { DashboardResource } from '@perses-dev/core';
import { ChartsProvider, ErrorAlert, ErrorBoundary } from '@perses-dev/components';
import {
  Dashboard,
  DashboardProvider,
  DatasourceStoreProvider,
  VariableList,
  VariableProviderWithQueryParams,
  type DatasourceApi,
} from '@perses-dev/dashboards';
import {
  PluginRegistry,
  ReactRouterProvider,
  TimeRangeControls,
  TimeRangeProviderWithQueryParams,
  useInitialRefreshInterval,
  useInitialTimeRange,
  usePluginBuiltinVariableDefinitions,
} from '@perses-dev/plugin-system';
import { QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { memo, useEffect, useMemo, useState, type ReactNode } from 'react';
import { JsonParam, QueryParamProvider, useQueryParam } from 'use-query-params';
import { ReactRouter6Adapter } from 'use-query-params/adapters/react-router-6';
import { guardLinks } from './links';
import { pluginLoader } from './plugins';
import { persesChartsTheme, persesTheme } from './theme';

interface PersesViewProps {
  resource: DashboardResource;
  datasourceApi: DatasourceApi;
  /** Tells one state of the dashboard and its data sources from another: another is shown afresh. */
  version: string;
}

/**
 * A dashboard in Perses' own components: what its ViewDashboard puts together, but for everything that edits. Time range
 * and variables are in the address, so they outlive a change of the dashboard as they outlive a reload.
 */
const PersesView = memo(function PersesView({ resource, datasourceApi, version }: PersesViewProps) {
  useEffect(guardLinks, []);
  return (
    <Surroundings key={version}>
      <DatasourceStoreProvider dashboardResource={resource} datasourceApi={datasourceApi}>
        <WithViewedPanel resource={resource}>
          <WithTimeAndVariables resource={resource}>
            <Toolbar hasVariables={resource.spec.variables.length > 0} />
            <ErrorBoundary FallbackComponent={ErrorAlert}>
              <Dashboard
                // Also without a pointer that can rest on a panel.
                panelOptions={{ showIcons: 'always' }}
                emptyDashboardProps={{ title: 'No panels yet', description: 'This dashboard has no panels that can be shown.', actions: false }}
              />
            </ErrorBoundary>
          </WithTimeAndVariables>
        </WithViewedPanel>
      </DatasourceStoreProvider>
    </Surroundings>
  );
});

export default PersesView;

/** Names a panel, and of one that is there for each value of a variable, which. */
interface PanelReference {
  ref: string;
  repeatVariable?: [string, string];
}

/** Which panel fills the screen is in the address too. */
function WithViewedPanel({ resource, children }: { resource: DashboardResource; children: ReactNode }) {
  const [panel, setPanel] = useQueryParam<PanelReference | null | undefined>('viewPanelRef', JsonParam);
  return (
    <DashboardProvider
      initialState={{ dashboardResource: resource, viewPanelRef: isPanelReference(panel) ? panel : undefined, setViewPanelRef: setPanel }}
    >
      {children}
    </DashboardProvider>
  );
}

/** An address may say anything. */
function isPanelReference(value: unknown): value is PanelReference {
  return typeof value === 'object' && value !== null && typeof (value as Partial<PanelReference>).ref === 'string';
}

/** Theme, plugins and a cache of queries that ends with the screen. */
function Surroundings({ children }: { children: ReactNode }) {
  const isDark = useMediaQuery('(prefers-color-scheme: dark)', { noSsr: true });
  const [theme, chartsTheme] = useMemo(() => {
    const made = persesTheme(isDark ? 'dark' : 'light');
    return [made, persesChartsTheme(made)] as const;
  }, [isDark]);
  const [client] = useState(() => new QueryClient({ defaultOptions: { queries: { refetchOnWindowFocus: false, retry: false, networkMode: 'always' } } }));
  return (
    <ThemeProvider theme={theme}>
      <QueryClientProvider client={client}>
        <ChartsProvider chartsTheme={chartsTheme} enablePinning={false} enableSyncGrouping={false}>
          <PluginRegistry pluginLoader={pluginLoader} defaultPluginKinds={{ Panel: 'TimeSeriesChart', TimeSeriesQuery: 'PrometheusTimeSeriesQuery' }}>
            <QueryParamProvider adapter={ReactRouter6Adapter} options={{ updateType: 'replaceIn' }}>
              <ReactRouterProvider>{children}</ReactRouterProvider>
            </QueryParamProvider>
          </PluginRegistry>
        </ChartsProvider>
      </QueryClientProvider>
    </ThemeProvider>
  );
}

function WithTimeAndVariables({ resource, children }: { resource: DashboardResource; children: ReactNode }) {
  const { spec, metadata } = resource;
  const initialTimeRange = useInitialTimeRange(spec.duration);
  const initialRefreshInterval = useInitialRefreshInterval(spec.refreshInterval ?? '0s');
  const { data: ofPlugins } = usePluginBuiltinVariableDefinitions();
  const builtIn = useMemo(
    () => [builtInVariable('__dashboard', metadata.name), builtInVariable('__project', metadata.project), ...(ofPlugins ?? [])],
    [metadata.name, metadata.project, ofPlugins],
  );
  return (
    <TimeRangeProviderWithQueryParams initialTimeRange={initialTimeRange} initialRefreshInterval={initialRefreshInterval}>
      <VariableProviderWithQueryParams initialVariableDefinitions={spec.variables} builtinVariableDefinitions={builtIn}>
        {children}
      </VariableProviderWithQueryParams>
    </TimeRangeProviderWithQueryParams>
  );
}

function builtInVariable(name: string, value: string) {
  return { kind: 'BuiltinVariable' as const, spec: { name, value: () => value, source: 'Dashboard', display: { name, hidden: true } } };
}

function Toolbar({ hasVariables }: { hasVariables: boolean }) {
  return (
    <Box
      role="group"
      aria-label="Variables and time range"
      data-testid="dashboard-toolbar"
      sx={{ display: 'flex', flexWrap: 'wrap', alignItems: 'flex-start', gap: 1, mb: 1.5, pt: 0.75 }}
    >
      {hasVariables && (
        <Box sx={{ display: 'flex', flexWrap: 'wrap', gap: 1, flex: '1 1 280px', minWidth: 0 }}>
          <VariableList />
        </Box>
      )}
      <Box sx={{ ml: 'auto', maxWidth: '100%', overflowX: 'auto' }}>
        <TimeRangeControls />
      </Box>
    </Box>
  );
}
