import Stack from '@mui/material/Stack';
import { useCallback, useMemo, useState } from 'react';
import { healthInterval, useEnvironments } from '../../api/environments';
import type { Environment } from '../../api/types';
import { ErrorNotice } from '../../components/ErrorNotice';
import { PageHeading } from '../../components/PageHeading';
import { VisuallyHidden } from '../../components/VisuallyHidden';
import { countText } from '../../components/quantity';
import { EnvironmentList, EnvironmentListSkeleton } from './EnvironmentList';
import { NoMatch, NothingYet } from './Empty';
import { toRows } from './rows';
import { SearchField } from './SearchField';
import { useSearch } from './useSearch';

export function ProjectsPage() {
  const { text, change, search } = useSearch();
  const [interval, setInterval] = useState(() => healthInterval([]));
  const query = useEnvironments(search, interval);
  const { data, error, hasNextPage, isFetchingNextPage, fetchNextPage } = query;
  const rows = useMemo(() => toRows(data?.pages.flatMap((page) => page.environments) ?? [], hasNextPage === true), [data, hasNextPage]);

  const onVisible = useCallback((visible: Environment[]) => setInterval(healthInterval(visible.map(({ health }) => health))), []);
  const onEnd = useCallback(() => {
    if (hasNextPage && !isFetchingNextPage) void fetchNextPage();
  }, [hasNextPage, isFetchingNextPage, fetchNextPage]);

  const found = rows.filter((row) => row.kind === 'environment').length;
  return (
    <>
      <PageHeading title="Projects" sx={{ pt: 3 }}>
        Projects
      </PageHeading>
      <SearchField value={text} onChange={change} isBusy={query.isPreviousData} />
      <VisuallyHidden role="status">{data && search ? `${countText(found, 'environment')}${hasNextPage ? ' or more' : ''} found` : ''}</VisuallyHidden>
      <Stack spacing={2}>
        {error ? <ErrorNotice error={error} title={data && 'What you see may be out of date'} onRetry={() => void query.refetch()} /> : null}
        {!data && !error && <EnvironmentListSkeleton />}
        {data && rows.length > 0 && <EnvironmentList rows={rows} isGrowing={isFetchingNextPage} onVisible={onVisible} onEnd={onEnd} />}
        {data && rows.length === 0 && (search ? <NoMatch search={search} onClear={() => change('')} /> : <NothingYet />)}
      </Stack>
    </>
  );
}
