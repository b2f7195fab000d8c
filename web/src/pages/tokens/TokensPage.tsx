import Box from '@mui/material/Box';
import Button from '@mui/material/Button';
import FormControlLabel from '@mui/material/FormControlLabel';
import Skeleton from '@mui/material/Skeleton';
import Stack from '@mui/material/Stack';
import Switch from '@mui/material/Switch';
import Typography from '@mui/material/Typography';
import { useEffect, useState, type ReactNode } from 'react';
import { useParams } from 'react-router-dom';
import { ApiError } from '../../api/client';
import { useTokens } from '../../api/tokens';
import type { Token } from '../../api/types';
import { Breadcrumb } from '../../components/Breadcrumb';
import { ErrorNotice } from '../../components/ErrorNotice';
import { PlusIcon } from '../../components/icons';
import { Notice } from '../../components/Notice';
import { PageHeading } from '../../components/PageHeading';
import { VisuallyHidden } from '../../components/VisuallyHidden';
import { TokenDialog, type TokenAction } from './TokenDialog';
import { TokenTable } from './TokenTable';
import { isLive } from './tokenState';

export default function TokensPage() {
  const { project = '' } = useParams();
  const [action, setAction] = useState<TokenAction | null>(null);
  const query = useTokens(project);
  const isForbidden = query.error instanceof ApiError && query.error.status === 403;
  return (
    <Stack spacing={2} sx={{ pt: 2 }}>
      <Box sx={{ display: 'flex', flexWrap: 'wrap', alignItems: 'flex-end', gap: 1.5 }}>
        <Box sx={{ flex: '1 1 240px', minWidth: 0 }}>
          <Breadcrumb project={project} />
          <PageHeading title={`Tokens · ${project}`}>
            Tokens<VisuallyHidden> of {project}</VisuallyHidden>
          </PageHeading>
        </Box>
        {!isForbidden && (
          <Button variant="contained" startIcon={<PlusIcon />} onClick={() => setAction({ kind: 'create' })} data-testid="token-new">
            New token
          </Button>
        )}
      </Box>
      {isForbidden ? (
        <Notice>Tokens of {project} are for its maintainers. Ask one of them to make a token for you, or to make you a maintainer.</Notice>
      ) : (
        <Tokens query={query} onAction={setAction} />
      )}
      {action && <TokenDialog project={project} action={action} onClose={() => setAction(null)} />}
    </Stack>
  );
}

interface TokensProps {
  query: ReturnType<typeof useTokens>;
  onAction: (action: TokenAction) => void;
}

function Tokens({ query, onAction }: TokensProps) {
  const [showsAll, setShowsAll] = useState(false);
  const { data, error, hasNextPage, isFetchingNextPage, fetchNextPage, refetch } = query;
  const tokens = data?.pages.flatMap((page) => page.tokens) ?? [];
  const shown = showsAll ? tokens : tokens.filter(isLive);

  // A page may hold nothing but old tokens: then the answer is on one of the next.
  const looksEmpty = data !== undefined && shown.length === 0;
  useEffect(() => {
    if (looksEmpty && hasNextPage && !isFetchingNextPage) void fetchNextPage();
  }, [looksEmpty, hasNextPage, isFetchingNextPage, fetchNextPage]);

  return (
    <>
      <FormControlLabel
        control={<Switch size="small" checked={showsAll} onChange={(_event, checked) => setShowsAll(checked)} />}
        label="Show revoked and expired ones too"
        slotProps={{ typography: { variant: 'body2' } }}
        sx={{ alignSelf: 'flex-start', ml: 0, gap: 1 }}
        data-testid="token-show-all"
      />
      {error ? <ErrorNotice error={error} title={data && 'What you see may be out of date'} onRetry={() => void refetch()} /> : null}
      <List isLoading={(!data && !error) || (looksEmpty && hasNextPage === true)} tokens={shown} hasHidden={tokens.length > shown.length} isKnown={data !== undefined} onAction={onAction} />
      {hasNextPage && !looksEmpty && (
        <Button variant="outlined" color="inherit" disabled={isFetchingNextPage} onClick={() => void fetchNextPage()} sx={{ alignSelf: 'center' }}>
          {isFetchingNextPage ? 'Loading…' : 'Show more'}
        </Button>
      )}
    </>
  );
}

interface ListProps {
  isLoading: boolean;
  isKnown: boolean;
  hasHidden: boolean;
  tokens: Token[];
  onAction: (action: TokenAction) => void;
}

function List({ isLoading, isKnown, hasHidden, tokens, onAction }: ListProps): ReactNode {
  if (isLoading) return <Skeleton variant="rounded" height={280} />;
  if (!isKnown) return null;
  if (tokens.length > 0) return <TokenTable tokens={tokens} onAction={onAction} />;
  return (
    <Box sx={{ px: 3, py: 6, textAlign: 'center', border: '1px dashed', borderColor: 'divider', borderRadius: 1.5, bgcolor: 'background.paper' }}>
      <Typography variant="h2" component="p">
        {hasHidden ? 'No token is in force' : 'No tokens yet'}
      </Typography>
      <Typography sx={{ color: 'text.secondary', mt: 0.5 }}>A client such as Grafana needs one to query this project. Make one with “New token”.</Typography>
    </Box>
  );
}
