import Box from '@mui/material/Box';
import { useEffect, useMemo, useRef, useState, type RefObject } from 'react';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { chartData, chartOptions } from './chartOptions';
import { seriesColour, useChartColours } from './colours';
import type { Line } from './lines';
import { clearHighlight, drawHighlight, pointedAt, type Pointed } from './pointer';
import type { Grid, Span } from './range';
import { Tooltip } from './Tooltip';
import type { Unit } from './units';

interface ChartProps {
  lines: Line[];
  grid: Grid;
  span: Span;
  unit: Unit;
  stacked: boolean;
  severalQueries: boolean;
  /** The line that the legend points at. */
  highlighted: number | undefined;
  height: number;
  /** The chart in a sentence, for those who do not see it. */
  summary: string;
  onZoom: (from: number, to: number) => void;
  onZoomOut: () => void;
}

/** The lines on a canvas. The nearest one is drawn again above the others, and told in a tooltip. */
export function Chart(props: ChartProps) {
  const { lines, grid, span, unit, stacked, severalQueries, highlighted, height, summary } = props;
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>();
  const overlay = useRef<HTMLCanvasElement>();
  const pointer = useRef({ left: -1, top: -1 });
  const [pointed, setPointed] = useState<Pointed>();
  const colours = useChartColours();
  const { dark, text, grid: gridColour, paper, accent } = colours;
  const input = useMemo(
    () => ({ lines, grid, span, unit, stacked, colours: { dark, text, grid: gridColour, paper, accent } }),
    [lines, grid, span, unit, stacked, dark, text, gridColour, paper, accent],
  );
  const latest = useRef({ props, shown: highlighted });
  latest.current = { props, shown: highlighted ?? pointed?.nearest };

  useEffect(() => {
    const draw = (target: uPlot) => highlight(target, overlay.current, input.lines, latest.current.shown, dark, paper);
    const created = new uPlot(
      chartOptions(input, { width: host.current!.clientWidth, height: latest.current.props.height }, {
        onCursor: (target) => setPointed(pointedAt(target, input.lines)),
        onSelect: (from, to) => latest.current.props.onZoom(from, to),
        onZoomOut: () => latest.current.props.onZoomOut(),
        onDraw: draw,
      }),
      chartData(input),
      host.current!,
    );
    overlay.current = document.createElement('canvas');
    overlay.current.className = 'explore-highlight';
    created.over.append(overlay.current);
    plot.current = created;
    // After a refresh the pointer is still where it was.
    const { left, top } = pointer.current;
    const frame = left >= 0 ? requestAnimationFrame(() => created.setCursor({ left, top })) : 0;
    return () => {
      cancelAnimationFrame(frame);
      pointer.current = { left: created.cursor.left ?? -1, top: created.cursor.top ?? -1 };
      plot.current = undefined;
      setPointed(undefined);
      created.destroy();
    };
  }, [input, dark, paper]);

  useSize(host, plot, height);

  useEffect(() => {
    if (plot.current) highlight(plot.current, overlay.current, lines, highlighted ?? pointed?.nearest, dark, paper);
  }, [lines, highlighted, pointed, dark, paper]);

  return (
    <Box sx={{ position: 'relative', height, ...canvasStyles }}>
      <Box ref={host} data-testid="explore-chart" role="img" aria-label={summary} sx={{ height, overflow: 'hidden' }} />
      {pointed && plot.current && <Tooltip plot={plot.current} {...{ pointed, unit, dark, severalQueries }} />}
    </Box>
  );
}

/** The canvas follows its place. */
function useSize(host: RefObject<HTMLDivElement>, plot: { current: uPlot | undefined }, height: number) {
  useEffect(() => {
    const element = host.current!;
    const observer = new ResizeObserver(() => plot.current?.setSize({ width: element.clientWidth, height }));
    observer.observe(element);
    return () => observer.disconnect();
  }, [host, plot, height]);
}

const canvasStyles = {
  '& .uplot': { fontFamily: 'inherit' },
  '& .explore-highlight': { position: 'absolute', inset: 0, pointerEvents: 'none' },
  '& .u-hz .u-cursor-x': { borderRight: '1px solid', borderColor: 'text.secondary', opacity: 0.5 },
  '& .u-hz .u-cursor-y': { display: 'none' },
  '& .u-select': { bgcolor: 'primary.main', opacity: 0.18 },
};

function highlight(plot: uPlot, canvas: HTMLCanvasElement | undefined, lines: Line[], index: number | undefined, dark: boolean, paper: string) {
  if (!canvas) return;
  const at = lines.length > 1 || plot.cursor.idx != null ? lines.findIndex((line) => line.index === index) : -1;
  if (at < 0) clearHighlight(canvas, plot);
  else drawHighlight(canvas, plot, at, seriesColour(lines[at]!.index, dark), paper);
}
