import Box from '@mui/material/Box';
import LinearProgress from '@mui/material/LinearProgress';
import Paper from '@mui/material/Paper';
import Skeleton from '@mui/material/Skeleton';
import Stack from '@mui/material/Stack';
import Typography from '@mui/material/Typography';
import { GraphResult, useChartHeight } from './GraphResult';
import { absolute, zoomOut, type TimeRange } from './range';
import { ResultHead } from './ResultHead';
import type { Run } from './run';
import type { ExploreState } from './state';
import { TableResult } from './TableResult';
import type { Shown } from './useExploreState';
import { Warnings } from './Warnings';

interface ResultPanelProps {
  project: string;
  environment: string;
  state: ExploreState;
  run: Run | undefined;
  loading: boolean;
  cancelled: boolean;
  onShow: (change: Shown) => void;
  onRange: (range: TimeRange) => void;
}

/** The last result; it stays, paler, until the next one is here. */
export function ResultPanel({ project, environment, state, run, loading, cancelled, onShow, onRange }: ResultPanelProps) {
  const severalQueries = (run?.outcomes.length ?? 0) > 1;
  const answered = run?.outcomes.some(({ error }) => error === undefined) ?? false;
  return (
    <Stack spacing={1.5}>
      {run && <Warnings run={run} severalQueries={severalQueries} />}
      <Paper variant="outlined" aria-busy={loading} sx={{ position: 'relative', overflow: 'clip', p: { xs: 1, sm: 1.5 } }}>
        {loading && <LinearProgress aria-label="The query runs" sx={{ position: 'absolute', insetInline: 0, top: 0, height: 2, zIndex: 4 }} />}
        {!run && <Waiting cancelled={cancelled} allHidden={state.queries.every(({ expr, hidden }) => hidden || expr.trim() === '')} />}
        {run && (
          <Box sx={{ opacity: loading ? 0.5 : 1, transition: 'opacity 120ms', transitionDelay: loading ? '250ms' : '0ms' }}>
            {!answered && <Failed />}
            {answered && (
              <ResultHead
                {...{ run, project, environment, cancelled }}
                unit={state.unit}
                stacked={state.stacked}
                onUnit={(unit) => onShow({ unit })}
                onStacked={(stacked) => onShow({ stacked })}
              />
            )}
            {answered && run.mode === 'table' && <TableResult run={run} severalQueries={severalQueries} />}
            {answered && run.mode === 'graph' && (
              <GraphResult
                {...{ run, severalQueries }}
                unit={state.unit}
                stacked={state.stacked}
                onZoom={(from, to) => onRange(absolute(from, to))}
                onZoomOut={() => onRange(zoomOut(state.range, Date.now() / 1000))}
              />
            )}
          </Box>
        )}
      </Paper>
    </Stack>
  );
}

/** As high as the chart that comes in its place. */
function Waiting({ cancelled, allHidden }: { cancelled: boolean; allHidden: boolean }) {
  const height = useChartHeight();
  if (allHidden) return <Centered height={height + 40}>All queries are hidden. Show one to see its result.</Centered>;
  if (cancelled) return <Centered height={height + 40}>The run was cancelled. Run it again to see a result.</Centered>;
  return (
    <Stack spacing={1}>
      <Skeleton variant="rounded" height={32} />
      <Skeleton variant="rounded" height={height} />
    </Stack>
  );
}

function Failed() {
  const height = useChartHeight();
  return <Centered height={height}>There is nothing to show: what went wrong is said at the query.</Centered>;
}

/** A sentence where a result would be. */
function Centered({ height, children }: { height: number; children: string }) {
  return (
    <Box sx={{ height, display: 'grid', placeItems: 'center', textAlign: 'center', px: 2 }}>
      <Typography color="text.secondary">{children}</Typography>
    </Box>
  );
}
