import Box from '@mui/material/Box';
import Button from '@mui/material/Button';
import Skeleton from '@mui/material/Skeleton';
import Stack from '@mui/material/Stack';
import Typography from '@mui/material/Typography';
import { lazy, Suspense, useMemo, useState } from 'react';
import { Link, useParams } from 'react-router-dom';
import { ApiError, gatewayBase } from '../api/client';
import { useDashboard } from '../api/dashboards';
import { useSession } from '../api/session';
import type { DashboardDetail, HiddenDatasource } from '../api/types';
import { Breadcrumb } from '../components/Breadcrumb';
import { ErrorNotice } from '../components/ErrorNotice';
import { CodeIcon } from '../components/icons';
import { Notice } from '../components/Notice';
import { PageHeading } from '../components/PageHeading';
import { dashboardsScreen } from '../components/paths';
import { sentenceCase } from '../components/sentenceCase';
import { VisuallyHidden } from '../components/VisuallyHidden';
import { NotFoundPage } from '../pages/NotFoundPage';
import { makeDatasourceApi } from './datasourceApi';
import { descriptionOf, hiddenOf, titleOf, toResource } from './resource';

const PersesView = lazy(() => import('./PersesView'));
const SourceDialog = lazy(() => import('./SourceDialog'));

export default function DashboardPage() {
  const { project = '', dashboard = '' } = useParams();
  const session = useSession().data;
  if (!session) return null;
  if (!session.dashboards) return <NotFoundPage />;
  // Another dashboard is another screen: nothing of the one before may stay.
  return <Screen key={`${project}/${dashboard}`} project={project} name={dashboard} apiPath={session.dashboards.path} />;
}

function Screen({ project, name, apiPath }: { project: string; name: string; apiPath: string }) {
  const { data, etag, error, refetch } = useDashboard(project, name);
  // A bad moment of the network leaves what is there; a dashboard that is gone, or not for this person, does not stay.
  const isGone = error instanceof ApiError && [403, 404].includes(error.status);
  const detail = isGone ? undefined : data;
  return (
    <Stack spacing={1.5} sx={{ pt: 2 }}>
      <Header project={project} name={name} detail={detail} />
      {error ? <ErrorNotice error={error} title={detail ? 'What you see may be out of date' : `${project} / ${name} cannot be shown`} onRetry={() => void refetch()} /> : null}
      {error && !detail ? (
        <Button component={Link} to={dashboardsScreen(project)} variant="outlined" color="inherit" sx={{ alignSelf: 'flex-start' }}>
          All dashboards of {project}
        </Button>
      ) : null}
      {detail ? <Shown project={project} detail={detail} apiPath={apiPath} version={etag ?? ''} /> : !error && <ViewSkeleton />}
    </Stack>
  );
}

function Header({ project, name, detail }: { project: string; name: string; detail?: DashboardDetail }) {
  const [isSourceOpen, setSourceOpen] = useState(false);
  const title = detail ? titleOf(detail.dashboard) : name;
  const description = detail && descriptionOf(detail.dashboard);
  return (
    <Box sx={{ display: 'flex', flexWrap: 'wrap', alignItems: 'flex-end', gap: 1.5 }}>
      <Box sx={{ flex: '1 1 240px', minWidth: 0 }}>
        <Breadcrumb project={project} between={[{ to: dashboardsScreen(project), label: 'Dashboards' }]} />
        <PageHeading title={`${title} · ${project}`} sx={{ overflowWrap: 'anywhere' }}>
          {title}
          <VisuallyHidden>, dashboard of {project}</VisuallyHidden>
        </PageHeading>
        {description && <Typography sx={{ color: 'text.secondary', overflowWrap: 'anywhere' }}>{description}</Typography>}
      </Box>
      <Button variant="outlined" color="inherit" startIcon={<CodeIcon />} disabled={!detail} onClick={() => setSourceOpen(true)} data-testid="dashboard-view-source">
        View source
      </Button>
      {detail && isSourceOpen && (
        <Suspense fallback={null}>
          <SourceDialog detail={detail} title={title} onClose={() => setSourceOpen(false)} />
        </Suspense>
      )}
    </Box>
  );
}

const viewStyle = {
  // Groups stand on the page itself, and not on a strip of their own.
  '& [data-testid="panel-group-header"]': { bgcolor: 'transparent' },
};

interface ShownProps {
  project: string;
  detail: DashboardDetail;
  apiPath: string;
  version: string;
}

function Shown({ project, detail, apiPath, version }: ShownProps) {
  const { dashboard, datasources, hidden } = detail;
  const wanted = useMemo(() => hiddenOf(dashboard, hidden), [dashboard, hidden]);
  const resource = useMemo(() => toResource(dashboard, project), [dashboard, project]);
  const datasourceApi = useMemo(() => makeDatasourceApi({ datasources, hidden }, new URL(apiPath.replace(/^\//, ''), gatewayBase)), [datasources, hidden, apiPath]);
  return (
    <>
      <HiddenNotice hidden={wanted} />
      <Suspense fallback={<ViewSkeleton />}>
        <Box data-testid="dashboard-view" sx={viewStyle}>
          <PersesView resource={resource} datasourceApi={datasourceApi} version={version} />
        </Box>
      </Suspense>
    </>
  );
}

/** Why some panels have no data. */
function HiddenNotice({ hidden }: { hidden: readonly HiddenDatasource[] }) {
  if (hidden.length === 0) return null;
  return (
    <Notice severity="warning" title={hidden.length === 1 ? 'A data source cannot be used' : 'Some data sources cannot be used'} data-testid="dashboard-hidden">
      <Box component="ul" sx={{ m: 0, pl: 2.25 }}>
        {hidden.map(({ scope, name, reason }) => (
          <li key={`${scope}/${name}`}>
            <strong>{name}</strong>: {sentenceCase(reason)}
          </li>
        ))}
      </Box>
    </Notice>
  );
}

function ViewSkeleton() {
  return (
    <Box aria-busy="true" sx={{ display: 'grid', gap: 1.5, gridTemplateColumns: { xs: '1fr', md: '1fr 1fr' } }}>
      <VisuallyHidden role="status">Loading the dashboard</VisuallyHidden>
      {[0, 1, 2, 3].map((index) => (
        <Skeleton key={index} variant="rounded" height={220} />
      ))}
    </Box>
  );
}
