import type { Labels } from './labels';
import type { Grid } from './range';

export interface Bucket {
  /** Which of its bounds belong to it: 0 the right one, 1 the left one, 2 none, 3 both. */
  rule: number;
  left: string;
  right: string;
  count: string;
}

export interface Histogram {
  count: string;
  sum: string;
  buckets: Bucket[];
}

/** Values stay the strings that the server wrote. */
export interface Sample {
  time: number;
  value: string;
  histogram?: Histogram;
}

export interface InstantSeries {
  labels: Labels;
  samples: Sample[];
}

export interface InstantResult {
  kind: 'vector' | 'matrix' | 'scalar' | 'string';
  series: InstantSeries[];
  samples: number;
}

export interface Stats {
  last: number;
  min: number;
  max: number;
  mean: number;
}

export interface RangeSeries {
  labels: Labels;
  stats: Stats;
  /** The last native histogram of the series; its line in the chart is then the count of observations. */
  histogram?: { time: number; histogram: Histogram };
}

export interface RangeResult {
  series: RangeSeries[];
  /** For each series the grid's points, one series after the other; NaN where there is nothing to draw. */
  values: Float64Array;
  samples: number;
}

export interface Notes {
  warnings: string[];
  infos: string[];
}

export interface Answer extends Notes {
  resultType: string;
  result: unknown;
}

const notOne = 'The answer is none of a Prometheus server: its format is unknown.';

export function parseAnswer(text: string): Answer {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    throw new Error(notOne);
  }
  if (!isObject(body) || body.status !== 'success' || !isObject(body.data)) throw new Error(notOne);
  const { resultType, result } = body.data;
  if (typeof resultType !== 'string') throw new Error(notOne);
  return { resultType, result, warnings: strings(body.warnings), infos: strings(body.infos) };
}

/** Prometheus writes infinity as +Inf and -Inf, which Number does not know. */
export function parseValue(text: string): number {
  if (text === '+Inf' || text === 'Inf') return Infinity;
  if (text === '-Inf') return -Infinity;
  return text === '' ? NaN : Number(text);
}

export function parseInstant({ resultType, result }: Answer): InstantResult {
  if (resultType === 'scalar' || resultType === 'string') {
    return { kind: resultType, series: [{ labels: {}, samples: [sampleOf(result)] }], samples: 1 };
  }
  if ((resultType !== 'vector' && resultType !== 'matrix') || !Array.isArray(result)) throw new Error(notOne);
  const series = result.map((entry: unknown) => {
    if (!isObject(entry)) throw new Error(notOne);
    return { labels: labelsOf(entry.metric), samples: samplesOf(entry) };
  });
  return { kind: resultType, series, samples: series.reduce((sum, { samples }) => sum + samples.length, 0) };
}

/** A server answers only the points that there are: what is missing in the grid becomes a gap. */
export function parseRange({ resultType, result }: Answer, grid: Grid): RangeResult {
  if (resultType !== 'matrix' || !Array.isArray(result)) throw new Error(notOne);
  const values = new Float64Array(result.length * grid.points).fill(NaN);
  let samples = 0;
  const series = result.map((entry: unknown, index): RangeSeries => {
    if (!isObject(entry)) throw new Error(notOne);
    const filler = new Filler(values.subarray(index * grid.points, (index + 1) * grid.points), grid);
    for (const point of listOf(entry.values)) filler.add(...timeAndText(point));
    const histogram = fillHistograms(filler, listOf(entry.histograms));
    samples += filler.samples;
    return { labels: labelsOf(entry.metric), stats: filler.stats(), ...(histogram ? { histogram } : {}) };
  });
  return { series, values, samples };
}

function fillHistograms(filler: Filler, points: unknown[]): RangeSeries['histogram'] {
  let last: RangeSeries['histogram'];
  for (const point of points) {
    const { time, histogram } = histogramSample(point);
    filler.add(time, histogram.count);
    last = { time, histogram };
  }
  return last;
}

/** Puts one series into the grid, and counts on the way. */
class Filler {
  samples = 0;
  private lastTime = -Infinity;
  private last = NaN;
  private min = Infinity;
  private max = -Infinity;
  private sum = 0;
  private finite = 0;

  constructor(
    private readonly column: Float64Array,
    private readonly grid: Grid,
  ) {}

  add(time: number, text: string) {
    const value = parseValue(text);
    this.samples++;
    if (time >= this.lastTime) {
      this.lastTime = time;
      this.last = value;
    }
    if (!Number.isFinite(value)) return;
    this.min = Math.min(this.min, value);
    this.max = Math.max(this.max, value);
    this.sum += value;
    this.finite++;
    const index = Math.round((time - this.grid.start) / this.grid.step);
    if (index >= 0 && index < this.column.length) this.column[index] = value;
  }

  stats(): Stats {
    if (this.finite === 0) return { last: this.last, min: NaN, max: NaN, mean: NaN };
    return { last: this.last, min: this.min, max: this.max, mean: this.sum / this.finite };
  }
}

function samplesOf(entry: Record<string, unknown>): Sample[] {
  if (entry.value !== undefined) return [sampleOf(entry.value)];
  if (entry.histogram !== undefined) return [histogramSample(entry.histogram)];
  const samples = listOf(entry.values).map(sampleOf);
  const histograms = listOf(entry.histograms).map(histogramSample);
  if (histograms.length === 0) return samples;
  return [...samples, ...histograms].sort((a, b) => a.time - b.time);
}

function timeAndText(point: unknown): [number, string] {
  if (!Array.isArray(point) || typeof point[0] !== 'number' || typeof point[1] !== 'string') throw new Error(notOne);
  return [point[0], point[1]];
}

function sampleOf(point: unknown): Sample {
  const [time, value] = timeAndText(point);
  return { time, value };
}

function histogramSample(point: unknown): Sample & { histogram: Histogram } {
  if (!Array.isArray(point) || typeof point[0] !== 'number' || !isObject(point[1])) throw new Error(notOne);
  const { count, sum, buckets } = point[1];
  const histogram = { count: String(count ?? ''), sum: String(sum ?? ''), buckets: listOf(buckets).map(bucketOf) };
  return { time: point[0], value: histogram.count, histogram };
}

function bucketOf(bucket: unknown): Bucket {
  if (!Array.isArray(bucket) || bucket.length < 4) throw new Error(notOne);
  return { rule: Number(bucket[0]), left: String(bucket[1]), right: String(bucket[2]), count: String(bucket[3]) };
}

function labelsOf(metric: unknown): Labels {
  if (!isObject(metric)) return {};
  return metric as Labels;
}

function listOf(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

function strings(value: unknown): string[] {
  return listOf(value).filter((entry): entry is string => typeof entry === 'string');
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
