import Box from '@mui/material/Box';
import Button from '@mui/material/Button';
import Skeleton from '@mui/material/Skeleton';
import Stack from '@mui/material/Stack';
import { Suspense, type ReactNode } from 'react';
import { Link, Outlet, useLocation } from 'react-router-dom';
import { useEnvironment } from '../../api/environments';
import { ApiError } from '../../api/client';
import { ScreenSkeleton } from '../../app/ScreenSkeleton';
import { Breadcrumb } from '../../components/Breadcrumb';
import { ErrorNotice } from '../../components/ErrorNotice';
import { HealthBadge } from '../../components/Health';
import { DiagnosisIcon, ExploreIcon, KeyIcon, PlugIcon } from '../../components/icons';
import { NavTabs } from '../../components/NavTabs';
import { PageHeading } from '../../components/PageHeading';
import { environmentScreen, projectsScreen, tokensScreen, type EnvironmentTab } from '../../components/paths';
import { VisuallyHidden } from '../../components/VisuallyHidden';
import { EnvironmentSwitcher } from './EnvironmentSwitcher';
import { useEnvironmentParams } from './useEnvironmentParams';

const tabNames: Record<EnvironmentTab, string> = { explore: 'Explore', connect: 'Connect', diagnosis: 'Diagnosis' };

function useCurrentTab(): EnvironmentTab {
  const last = useLocation().pathname.split('/').filter(Boolean).pop();
  return last === 'connect' || last === 'diagnosis' ? last : 'explore';
}

/** Everything about one environment has this around it. The screens below bring their own space above them, and no h1. */
export default function EnvironmentLayout() {
  const { project, environment } = useEnvironmentParams();
  const tab = useCurrentTab();
  const { data, error, refetch } = useEnvironment(project, environment);
  // A bad moment of the network leaves what is there; an environment that is not for this person does not.
  const isGone = error instanceof ApiError && [403, 404].includes(error.status);

  return (
    <>
      <Stack spacing={1.25} sx={{ pt: 2 }}>
        <EnvironmentHeader project={project} environment={environment} tab={tab}>
          {data && !isGone ? <HealthBadge health={data.health} /> : error ? null : <Skeleton variant="text" width={64} />}
        </EnvironmentHeader>
        <NavTabs
          label={`Environment ${environment}`}
          tabs={[
            { to: environmentScreen(project, environment, 'explore'), label: tabNames.explore, icon: <ExploreIcon /> },
            { to: environmentScreen(project, environment, 'connect'), label: tabNames.connect, icon: <PlugIcon /> },
            { to: environmentScreen(project, environment, 'diagnosis'), label: tabNames.diagnosis, icon: <DiagnosisIcon /> },
            { to: tokensScreen(project), label: 'Tokens', icon: <KeyIcon /> },
          ]}
        />
      </Stack>
      {error && (!data || isGone) ? (
        <Stack spacing={2} sx={{ py: 2.5, alignItems: 'flex-start' }}>
          <ErrorNotice error={error} title={`${project} / ${environment} cannot be shown`} onRetry={() => void refetch()} />
          <Button component={Link} to={projectsScreen()} variant="outlined" color="inherit">
            Go to your projects
          </Button>
        </Stack>
      ) : (
        <Suspense fallback={<ScreenSkeleton />}>
          {/* Another environment is another screen: nothing of the one before may stay. */}
          <Outlet key={`${project}/${environment}`} />
        </Suspense>
      )}
    </>
  );
}

interface EnvironmentHeaderProps {
  project: string;
  environment: string;
  tab: EnvironmentTab;
  children: ReactNode;
}

function EnvironmentHeader({ project, environment, tab, children }: EnvironmentHeaderProps) {
  return (
    <Box sx={{ display: 'flex', flexWrap: 'wrap', alignItems: 'flex-end', columnGap: 3, rowGap: 1 }}>
      <Box sx={{ minWidth: 0, flex: '1 1 260px' }}>
        <Breadcrumb project={project} />
        <Stack direction="row" sx={{ alignItems: 'baseline', columnGap: 1.75, flexWrap: 'wrap' }}>
          <PageHeading title={`${tabNames[tab]} · ${project} / ${environment}`} sx={{ overflowWrap: 'anywhere' }}>
            {environment}
            <VisuallyHidden> of {project}: {tabNames[tab]}</VisuallyHidden>
          </PageHeading>
          {children}
        </Stack>
      </Box>
      <EnvironmentSwitcher tab={tab} />
    </Box>
  );
}
