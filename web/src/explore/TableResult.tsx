import Box from '@mui/material/Box';
import Stack from '@mui/material/Stack';
import Typography from '@mui/material/Typography';
import { NoSeries } from './NoSeries';
import type { Outcome, Run } from './run';
import { SampleList } from './SampleList';
import { letterOf } from './state';
import { formatTime } from './time';
import { VectorTable } from './VectorTable';

/** The answers to the instant queries, one after the other. */
export function TableResult({ run, severalQueries }: { run: Run; severalQueries: boolean }) {
  const answered = run.outcomes.filter(({ instant }) => instant);
  return (
    <Stack spacing={2.5} data-testid="explore-table">
      {answered.map((outcome) => (
        <Box key={outcome.query}>
          {severalQueries && (
            <Typography variant="h3" component="h2" noWrap sx={{ px: 1, pb: 0.5 }}>
              {letterOf(outcome.query)}{' '}
              <Box component="span" sx={{ fontWeight: 400, color: 'text.secondary' }}>
                {outcome.expr}
              </Box>
            </Typography>
          )}
          <Result outcome={outcome} />
        </Box>
      ))}
    </Stack>
  );
}

function Result({ outcome: { instant, query, expr } }: { outcome: Outcome }) {
  const label = `Result of query ${letterOf(query)}`;
  const single = instant?.series[0]?.samples[0];
  if (!instant) return null;
  if (instant.kind === 'scalar' || instant.kind === 'string') {
    return (
      <Box sx={{ px: 1, py: 1 }}>
        <Box sx={{ fontSize: 22, fontWeight: 600, overflowWrap: 'anywhere', whiteSpace: 'pre-wrap' }}>{single?.value}</Box>
        <Typography variant="caption" color="text.secondary">
          {instant.kind} at {formatTime(single?.time ?? 0)}
        </Typography>
      </Box>
    );
  }
  if (instant.series.length === 0) return <NoSeries graph={false} />;
  return instant.kind === 'vector' ? <VectorTable result={instant} label={label} /> : <SampleList result={instant} expr={expr} label={label} />;
}
