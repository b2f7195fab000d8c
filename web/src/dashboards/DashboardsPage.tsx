import Box from '@mui/material/Box';
import Button from '@mui/material/Button';
import Skeleton from '@mui/material/Skeleton';
import Stack from '@mui/material/Stack';
import { useMemo } from 'react';
import { useParams } from 'react-router-dom';
import { useDashboards } from '../api/dashboards';
import { ApiError } from '../api/client';
import { useSession } from '../api/session';
import type { DashboardList } from '../api/types';
import { Breadcrumb } from '../components/Breadcrumb';
import { ErrorNotice } from '../components/ErrorNotice';
import { PageHeading } from '../components/PageHeading';
import { countText } from '../components/quantity';
import { VisuallyHidden } from '../components/VisuallyHidden';
import { NativeChoice } from '../explore/NativeChoice';
import { NotFoundPage } from '../pages/NotFoundPage';
import { SearchField } from '../pages/projects/SearchField';
import { DashboardTree } from './DashboardTree';
import { EmptyBox } from './EmptyBox';
import { NoDashboards } from './NoDashboards';
import { Problems } from './Problems';
import { allTags, countDashboards, filterTree, isFiltering, toTree } from './tree';
import { useFilter } from './useFilter';

export default function DashboardsPage() {
  const { project = '' } = useParams();
  const session = useSession().data;
  if (session && !session.dashboards) return <NotFoundPage />;
  return <Dashboards key={project} project={project} />;
}

function Dashboards({ project }: { project: string }) {
  const { data, error, refetch } = useDashboards(project);
  // A bad moment of the network leaves what is there; a project that is not for this person does not.
  const isGone = error instanceof ApiError && [403, 404].includes(error.status);
  const shown = isGone ? undefined : data;
  return (
    <Stack spacing={1.5} sx={{ pt: 2 }}>
      <Box>
        <Breadcrumb project={project} />
        <PageHeading title={`Dashboards · ${project}`}>
          Dashboards<VisuallyHidden> of {project}</VisuallyHidden>
        </PageHeading>
      </Box>
      {error ? <ErrorNotice error={error} title={shown && 'What you see may be out of date'} onRetry={() => void refetch()} /> : null}
      {!data && !error && <ListSkeleton />}
      {shown && <Problems problems={shown.problems} />}
      {shown && (shown.dashboards.length + shown.folders.length > 0 ? <List project={project} list={shown} /> : <NoDashboards project={project} />)}
    </Stack>
  );
}

function List({ project, list }: { project: string; list: DashboardList }) {
  const { filter, setSearch, setTag } = useFilter();
  const tree = useMemo(() => toTree(list), [list]);
  const tags = useMemo(() => allTags(list.dashboards), [list]);
  const { search, tag } = filter;
  const found = useMemo(() => filterTree(tree, { search, tag }), [tree, search, tag]);
  const isNarrowed = isFiltering(filter);
  return (
    <>
      <Box sx={{ display: 'grid', gridTemplateColumns: tags.length > 0 ? 'minmax(0, 1fr) fit-content(220px)' : '1fr', alignItems: 'center', columnGap: 1.5, position: 'sticky', top: 0, zIndex: 2, bgcolor: 'background.default' }}>
        <SearchField value={search} onChange={setSearch} label="Search dashboards" />
        {tags.length > 0 && (
          <NativeChoice
            label="Tag"
            value={tag}
            choices={[{ value: '', title: 'Every tag' }, ...tags.map((value) => ({ value, title: value }))]}
            onChange={setTag}
            data-testid="dashboards-tag"
          />
        )}
      </Box>
      <VisuallyHidden role="status">{isNarrowed ? `${countText(countDashboards(found), 'dashboard')} found` : ''}</VisuallyHidden>
      {found.length > 0 ? (
        <DashboardTree project={project} nodes={found} isAllOpen={isNarrowed} />
      ) : (
        <EmptyBox title="No dashboard matches">
          Search for words of its title, its name or its tags.
          <Box sx={{ mt: 2 }}>
            <Button
              variant="outlined"
              color="inherit"
              onClick={() => {
                setSearch('');
                setTag('');
              }}
            >
              Show all
            </Button>
          </Box>
        </EmptyBox>
      )}
    </>
  );
}

function ListSkeleton() {
  return (
    <Box aria-busy="true" sx={{ display: 'grid', gap: 1.5 }}>
      <VisuallyHidden role="status">Loading the dashboards</VisuallyHidden>
      <Skeleton variant="rounded" height={40} />
      <Skeleton variant="rounded" height={260} />
    </Box>
  );
}
