import uPlot from 'uplot';
import { seriesColour, translucent, type ChartColours } from './colours';
import { columnOf, lonePoints, stack, type Line } from './lines';
import { gridTimes, type Grid, type Span } from './range';
import { axisTimes } from './time';
import { formatTick, type Unit } from './units';

export interface ChartInput {
  lines: Line[];
  grid: Grid;
  span: Span;
  unit: Unit;
  stacked: boolean;
  colours: ChartColours;
}

interface ChartEvents {
  onCursor: (plot: uPlot) => void;
  onSelect: (from: number, to: number) => void;
  onZoomOut: () => void;
  onDraw: (plot: uPlot) => void;
}

/** A drag shorter than this was a click. */
const minDrag = 6;
const font = '11px system-ui, sans-serif';
const binarySteps = Array.from({ length: 61 }, (_, power) => 2 ** power);

/** Columns for uPlot: the times, then each line; stacked ones stand on each other. */
export function chartData({ lines, grid, stacked }: ChartInput): uPlot.AlignedData {
  const values = lines.map((line) => line.values);
  return [gridTimes(grid), ...(stacked ? stack(values, grid) : values.map(columnOf))];
}

export function chartOptions(input: ChartInput, size: { width: number; height: number }, events: ChartEvents): uPlot.Options {
  const { lines, span, stacked, colours } = input;
  return {
    ...size,
    // On the right there is room for half of the last time.
    padding: [10, 26, 0, 0],
    legend: { show: false },
    cursor: {
      points: { show: false },
      drag: { x: true, y: false, setScale: false, dist: minDrag },
      bind: { dblclick: () => () => (events.onZoomOut(), null) },
    },
    series: [{}, ...lines.map((line, at) => seriesOptions(line, at, lines.length, stacked, colours))],
    bands: stacked ? lines.slice(1).map((line, at): uPlot.Band => ({ series: [at + 2, at + 1], fill: fillOf(line, colours) })) : [],
    scales: { x: { time: true, range: () => [span.start, span.end] }, y: { range: (_, min, max) => valueRange(min, max, stacked) } },
    axes: axesOf(input),
    hooks: {
      setCursor: [events.onCursor],
      draw: [events.onDraw],
      setSelect: [(plot) => select(plot, events.onSelect)],
    },
  };
}

function seriesOptions(line: Line, at: number, total: number, stacked: boolean, colours: ChartColours): uPlot.Series {
  return {
    stroke: seriesColour(line.index, colours.dark),
    width: total > 50 ? 1 : 1.5,
    ...(stacked && at === 0 ? { fill: fillOf(line, colours) } : {}),
    points: {
      show: false,
      size: 5,
      filter: (plot, index) => {
        const lone = lonePoints(plot.data[index] ?? []);
        return lone.length > 0 ? lone : null;
      },
      fill: seriesColour(line.index, colours.dark),
    },
  };
}

function fillOf(line: Line, colours: ChartColours): string {
  return translucent(seriesColour(line.index, colours.dark), 0.35);
}

function valueRange(min: number | null, max: number | null, stacked: boolean): [number, number] {
  if (min === null || max === null || !Number.isFinite(max - min)) return [0, 1];
  const [low, high] = uPlot.rangeNum(min, max, { min: { pad: 0.1, soft: 0, mode: 3 }, max: { pad: 0.1, soft: 0, mode: 3 } });
  if (!stacked) return [low ?? min, high ?? max];
  return [Math.min(0, low ?? 0), Math.max(0, high ?? 0)];
}

function axesOf({ unit, colours }: ChartInput): uPlot.Axis[] {
  const shared: uPlot.Axis = {
    stroke: colours.text,
    font,
    grid: { stroke: colours.grid, width: 1 },
    ticks: { show: false },
  };
  return [
    { ...shared, size: 42, space: 70, values: (_, splits, __, ___, increment) => axisTimes(splits, increment), grid: { ...shared.grid, show: false } },
    {
      ...shared,
      size: (_, values) => 18 + 6.6 * Math.max(4, ...(values ?? []).map((value) => value.length)),
      values: (_, splits, __, ___, increment) => splits.map((split) => formatTick(unit, split, increment)),
      ...(unit.startsWith('bytes') ? { incrs: binarySteps } : {}),
    },
  ];
}

function select(plot: uPlot, onSelect: ChartEvents['onSelect']) {
  const { left, width } = plot.select;
  if (width < minDrag) return;
  const from = plot.posToVal(left, 'x');
  const to = plot.posToVal(left + width, 'x');
  plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
  onSelect(from, to);
}
