import Box from '@mui/material/Box';
import Button from '@mui/material/Button';
import LinearProgress from '@mui/material/LinearProgress';
import Stack from '@mui/material/Stack';
import Typography from '@mui/material/Typography';
import { useDiagnosis } from '../../api/environments';
import type { Diagnosis } from '../../api/types';
import { ErrorNotice } from '../../components/ErrorNotice';
import { RefreshIcon } from '../../components/icons';
import { Notice } from '../../components/Notice';
import { sentenceCase } from '../../components/sentenceCase';
import { dateTimeText, timeSince } from '../../components/time';
import { useNow } from '../../components/useNow';
import { VisuallyHidden } from '../../components/VisuallyHidden';
import { useEnvironmentParams } from '../environment/useEnvironmentParams';
import { HopList, HopListSkeleton } from './HopList';
import { summarize } from './summary';

/** Walks the way of a request, and says where it ends and what to do. */
export default function DiagnosisPage() {
  const { project, environment } = useEnvironmentParams();
  const { data, error, isFetching, dataUpdatedAt, refetch } = useDiagnosis(project, environment);
  return (
    <Stack spacing={2} sx={{ pt: 2.5, maxWidth: 860 }}>
      <Box sx={{ display: 'flex', flexWrap: 'wrap', alignItems: 'center', columnGap: 2, rowGap: 1 }}>
        <Typography sx={{ flex: '1 1 260px', color: 'text.secondary' }}>
          The way of a query from the gateway to this environment's Prometheus, hop by hop.
        </Typography>
        {data && <RunTime at={dataUpdatedAt} />}
        <Button size="small" variant="outlined" startIcon={<RefreshIcon />} disabled={isFetching} onClick={() => void refetch()} data-testid="diagnosis-run">
          {isFetching ? 'Running…' : 'Run again'}
        </Button>
      </Box>
      {error && !isFetching ? <ErrorNotice error={error} title="The diagnosis did not run" onRetry={() => void refetch()} /> : null}
      {isFetching && !data && <Running />}
      {data && <Result diagnosis={data} isStale={isFetching} />}
    </Stack>
  );
}

function RunTime({ at }: { at: number }) {
  const now = useNow();
  return (
    <Typography variant="body2" title={dateTimeText(at)} sx={{ color: 'text.secondary' }}>
      Ran {timeSince(new Date(at).toISOString(), now)}
    </Typography>
  );
}

function Running() {
  return (
    <>
      <Notice severity="info" role="status" title="Checking every hop…">
        A hop that does not answer takes up to ten seconds.
      </Notice>
      <HopListSkeleton />
    </>
  );
}

function Result({ diagnosis, isStale }: { diagnosis: Diagnosis; isStale: boolean }) {
  const { isGood, text } = summarize(diagnosis.hops);
  return (
    <>
      <Notice severity={isGood ? 'success' : 'error'} title={text} data-testid="diagnosis-summary">
        {diagnosis.target && (
          <Box component="span" sx={{ color: 'text.secondary' }}>
            {sentenceCase(diagnosis.target)}
          </Box>
        )}
      </Notice>
      <VisuallyHidden role="status">{isStale ? 'Checking every hop again' : text}</VisuallyHidden>
      <Box aria-busy={isStale} sx={{ position: 'relative', opacity: isStale ? 0.6 : 1, transition: 'opacity 150ms' }}>
        {isStale && <LinearProgress aria-label="Checking every hop again" sx={{ position: 'absolute', top: 0, left: 0, right: 0, zIndex: 1, borderRadius: 1 }} />}
        <HopList hops={diagnosis.hops} />
      </Box>
    </>
  );
}
