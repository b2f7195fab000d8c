import Box from '@mui/material/Box';
import Button from '@mui/material/Button';
import ButtonBase from '@mui/material/ButtonBase';
import Skeleton from '@mui/material/Skeleton';
import Typography from '@mui/material/Typography';
import { Fragment, useMemo } from 'react';
import { monospace } from '../theme';
import { examplesFor } from './metrics';
import { useMetrics } from './useMetrics';

interface EmptyStateProps {
  project: string;
  environment: string;
  onPick: (expr: string) => void;
  onBrowse: () => void;
}

/** Before the first query: a few that this environment can answer. */
export function EmptyState({ project, environment, onPick, onBrowse }: EmptyStateProps) {
  const { names, metadata, isLoading } = useMetrics(project, environment);
  const examples = useMemo(() => examplesFor(names, metadata), [names, metadata]);
  return (
    <Box sx={{ p: { xs: 2, sm: 3 }, minHeight: 300 }}>
      <Typography variant="h2">Ask this environment something</Typography>
      <Typography color="text.secondary" sx={{ mt: 0.5, mb: 2, maxWidth: 620 }}>
        Write a query above, or begin with one of these.{' '}
        <Button size="small" onClick={onBrowse} sx={{ minHeight: 0, py: 0, px: 0.5, verticalAlign: 'baseline' }}>
          Browse the metrics
        </Button>
      </Typography>
      <Box sx={{ display: 'grid', gap: 1.5, gridTemplateColumns: { xs: 'minmax(0, 1fr)', md: 'repeat(2, minmax(0, 1fr))' } }}>
        {isLoading
          ? [0, 1, 2, 3].map((at) => <Skeleton key={at} variant="rounded" height={64} />)
          : examples.map(({ expr, says }) => (
              <ButtonBase key={expr} onClick={() => onPick(expr)} sx={card}>
                <Box component="span" sx={{ color: 'text.secondary', fontSize: 12.5 }}>
                  {says}
                </Box>
                <Box component="span" sx={{ fontFamily: monospace, fontSize: 12.5, overflowWrap: 'anywhere', textWrap: 'balance' }}>
                  <Breakable text={expr} />
                </Box>
              </ButtonBase>
            ))}
      </Box>
    </Box>
  );
}

/** Text that wraps after brackets and underscores, and not in front of what closes a bracket. */
function Breakable({ text }: { text: string }) {
  return text.split(/(?<=[(_])/).map((part, at) => (
    <Fragment key={at}>
      {at > 0 && <wbr />}
      {part}
    </Fragment>
  ));
}

const card = {
  fontFamily: 'inherit',
  flexDirection: 'column',
  alignItems: 'flex-start',
  justifyContent: 'center',
  gap: 0.25,
  textAlign: 'left',
  px: 1.75,
  py: 1.25,
  minHeight: 64,
  border: '1px solid',
  borderColor: 'divider',
  borderRadius: 1,
  '&:hover': { bgcolor: 'action.hover', borderColor: 'primary.main' },
};
