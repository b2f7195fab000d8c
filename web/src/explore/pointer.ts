import type uPlot from 'uplot';
import type { Line } from './lines';

/** What is at the pointer: the nearest line first, then those with the next values. */
export interface Pointed {
  time: number;
  nearest: number;
  rows: { line: Line; value: number }[];
  more: number;
  left: number;
  top: number;
}

const maxRows = 8;

/** Finds the lines at the pointer's time; undefined where there is none. */
export function pointedAt(plot: uPlot, lines: Line[]): Pointed | undefined {
  const { idx, left = -1, top = -1 } = plot.cursor;
  if (idx == null || left < 0 || top < 0) return undefined;
  const found: { line: Line; value: number; distance: number }[] = [];
  lines.forEach((line, at) => {
    const drawn = plot.data[at + 1]?.[idx];
    const value = line.values[idx];
    if (drawn == null || value === undefined || Number.isNaN(value)) return;
    found.push({ line, value, distance: Math.abs(plot.valToPos(drawn, 'y') - top) });
  });
  const nearest = found.reduce((best, row) => (row.distance < best.distance ? row : best), found[0]!);
  if (!nearest) return undefined;
  const close = found.sort((a, b) => a.distance - b.distance).slice(0, maxRows);
  close.sort((a, b) => b.value - a.value);
  return { time: plot.data[0]?.[idx] ?? NaN, nearest: nearest.line.index, rows: close, more: found.length - close.length, left, top };
}

/** Draws one line again, wider and with a halo, on a canvas of its own: the others need no redraw for that. */
export function drawHighlight(canvas: HTMLCanvasElement, plot: uPlot, at: number, colour: string, halo: string): void {
  const context = prepare(canvas, plot);
  const column = at >= 0 ? plot.data[at + 1] : undefined;
  if (!context || !column) return;
  const times = plot.data[0]!;
  const path = new Path2D();
  let open = false;
  for (let index = 0; index < column.length; index++) {
    const value = column[index];
    if (value == null) {
      open = false;
      continue;
    }
    const x = plot.valToPos(times[index] ?? 0, 'x');
    const y = plot.valToPos(value, 'y');
    if (open) path.lineTo(x, y);
    else path.moveTo(x, y);
    open = true;
  }
  stroke(context, path, halo, 6);
  stroke(context, path, colour, 2.5);
  drawDot(context, plot, column, colour, halo);
}

export function clearHighlight(canvas: HTMLCanvasElement, plot: uPlot): void {
  prepare(canvas, plot);
}

function prepare(canvas: HTMLCanvasElement, plot: uPlot): CanvasRenderingContext2D | null {
  const ratio = window.devicePixelRatio || 1;
  const { clientWidth: width, clientHeight: height } = plot.over;
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const context = canvas.getContext('2d');
  context?.scale(ratio, ratio);
  return context;
}

function stroke(context: CanvasRenderingContext2D, path: Path2D, colour: string, width: number) {
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.lineJoin = 'round';
  context.stroke(path);
}

function drawDot(context: CanvasRenderingContext2D, plot: uPlot, column: ArrayLike<number | null | undefined>, colour: string, halo: string) {
  const { idx } = plot.cursor;
  const value = idx == null ? null : column[idx];
  if (idx == null || value == null) return;
  context.beginPath();
  context.arc(plot.valToPos(plot.data[0]?.[idx] ?? 0, 'x'), plot.valToPos(value, 'y'), 4.5, 0, 2 * Math.PI);
  context.fillStyle = colour;
  context.strokeStyle = halo;
  context.lineWidth = 2;
  context.fill();
  context.stroke();
}
