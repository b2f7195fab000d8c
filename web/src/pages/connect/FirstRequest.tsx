import Box from '@mui/material/Box';
import CircularProgress from '@mui/material/CircularProgress';
import { useTokenInUse } from '../../api/tokens';
import type { Token } from '../../api/types';
import { ErrorNotice } from '../../components/ErrorNotice';
import { CheckIcon } from '../../components/icons';
import { Panel } from '../../components/Panel';
import { timeSince } from '../../components/time';
import { useNow } from '../../components/useNow';
import { VisuallyHidden } from '../../components/VisuallyHidden';

/** Shows whether it works, without having to look into the client. */
export function FirstRequest({ project, id }: { project: string; id: string }) {
  const { data, error, refetch } = useTokenInUse(project, id);
  const isUsed = data?.lastUsedAt !== undefined;
  return (
    <Panel title="4. First request" description="It shows up here as soon as a client has used the token.">
      <VisuallyHidden role="status">{isUsed ? `${clientOf(data)} has used the token. It works.` : 'Waiting for the first request.'}</VisuallyHidden>
      <Box data-testid="first-request" data-used={isUsed}>
        {isUsed ? <Used token={data} at={data.lastUsedAt!} /> : <Waiting />}
      </Box>
      {error && !isUsed ? (
        <Box sx={{ mt: 1.5 }}>
          <ErrorNotice error={error} onRetry={() => void refetch()} />
        </Box>
      ) : null}
    </Panel>
  );
}

function clientOf({ lastClient }: Token): string {
  return lastClient ?? 'A client';
}

const line = { display: 'flex', alignItems: 'center', gap: 1.25, px: 1.75, minHeight: 48, borderRadius: 1, border: '1px solid' } as const;

function Waiting() {
  return (
    <Box sx={{ ...line, borderColor: 'divider', color: 'text.secondary' }}>
      <CircularProgress size={18} aria-hidden />
      Waiting for the first request…
    </Box>
  );
}

function Used({ token, at }: { token: Token; at: string }) {
  const now = useNow();
  return (
    <Box
      sx={(theme) => ({
        ...line,
        fontWeight: 600,
        borderColor: `rgba(${theme.vars.palette.success.mainChannel} / 0.45)`,
        bgcolor: `rgba(${theme.vars.palette.success.mainChannel} / 0.09)`,
      })}
    >
      <CheckIcon sx={{ color: 'success.main' }} />
      <span>
        {clientOf(token)} asked {timeSince(at, now)}
      </span>
    </Box>
  );
}
