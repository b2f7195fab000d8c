import Box from '@mui/material/Box';
import Button from '@mui/material/Button';
import useMediaQuery from '@mui/material/useMediaQuery';
import { useCallback, useEffect, useMemo, useState } from 'react';
import { Chart } from './Chart';
import { useChartColours } from './colours';
import { CommonLabels } from './CommonLabels';
import { HistogramPanel } from './HistogramPanel';
import { Legend } from './Legend';
import { choose, drawnLines, linesOf } from './lines';
import { NoSeries } from './NoSeries';
import { formatDuration } from './range';
import type { Run } from './run';
import { formatSpan } from './time';
import { formatCount, type Unit } from './units';

interface GraphResultProps {
  run: Run;
  severalQueries: boolean;
  unit: Unit;
  stacked: boolean;
  onZoom: (from: number, to: number) => void;
  onZoomOut: () => void;
}

const fewLines = 200;
const manyLines = 2000;

/** So high that the legend begins inside a window of the usual size. */
export function useChartHeight(): number {
  return useMediaQuery('(max-width: 599.95px), (max-height: 899.95px)') ? 260 : 360;
}

/** The chart, its legend, and the histograms below. */
export function GraphResult({ run, severalQueries, unit, stacked, onZoom, onZoomOut }: GraphResultProps) {
  const { lines, common } = useMemo(() => linesOf(run), [run]);
  const [chosen, setChosen] = useState<ReadonlySet<number>>();
  const [limit, setLimit] = useState(fewLines);
  const [highlighted, setHighlighted] = useState<number>();
  const { dark } = useChartColours();
  const height = useChartHeight();

  // A refresh with the same series keeps what was chosen among them.
  const signature = useMemo(() => lines.map(({ fullName }) => fullName).join('\n'), [lines]);
  useEffect(() => {
    setChosen(undefined);
    setLimit(fewLines);
  }, [signature]);

  const drawn = useMemo(() => drawnLines(lines, chosen, limit), [lines, chosen, limit]);
  const drawnSet = useMemo(() => new Set(drawn.map(({ index }) => index)), [drawn]);
  const onChoose = useCallback(
    (index: number, toggle: boolean) => setChosen((now) => choose(now, index, toggle, lines.length)),
    [lines.length],
  );
  if (lines.length === 0) return <Box sx={{ minHeight: height }}>{run.outcomes.some(({ range }) => range) && <NoSeries graph />}</Box>;

  const { start, end } = run.span;
  const summary = `Chart of ${formatCount(lines.length)} series from ${formatSpan(start, end)}, a point each ${formatDuration(run.grid.step)}.`;
  return (
    <Box>
      <Chart
        {...{ unit, stacked, severalQueries, highlighted, height, onZoom, onZoomOut }}
        lines={drawn}
        grid={run.grid}
        span={run.span}
        summary={`${summary} The view Table shows values as text.`}
      />
      <Limit total={chosen ? chosen.size : lines.length} shown={drawn.length} onMore={limit < manyLines ? () => setLimit(manyLines) : undefined} />
      <Box sx={{ mt: 1 }}>
        <CommonLabels common={common} />
        <Legend lines={lines} drawn={drawnSet} onHighlight={setHighlighted} {...{ severalQueries, unit, dark, onChoose }} />
      </Box>
      <HistogramPanel lines={drawn} />
    </Box>
  );
}

/** Says so where the chart leaves lines out, since more of them tell nobody anything and cost time. */
function Limit({ total, shown, onMore }: { total: number; shown: number; onMore?: () => void }) {
  if (shown >= total) return null;
  return (
    <Box sx={{ display: 'flex', flexWrap: 'wrap', alignItems: 'center', gap: 1, px: 1, fontSize: 13, color: 'text.secondary' }}>
      Showing {formatCount(shown)} of {formatCount(total)} series.
      {onMore ? (
        <Button size="small" onClick={onMore}>
          {total <= manyLines ? 'Show all' : `Show ${formatCount(manyLines)}`}
        </Button>
      ) : (
        'Choose series in the legend, or narrow the query with topk or label matchers.'
      )}
    </Box>
  );
}
