const bases = ['none', 'short', 'bytes', 'seconds', 'percent', 'ratio'] as const;
type Base = (typeof bases)[number];
type PerSecond = 'none/s' | 'short/s' | 'bytes/s';
export type Unit = Base | PerSecond;

export const units: { unit: Unit; title: string }[] = [
  { unit: 'none', title: 'Number' },
  { unit: 'none/s', title: 'Number per second' },
  { unit: 'short', title: 'Short (k, M, G)' },
  { unit: 'short/s', title: 'Short per second' },
  { unit: 'bytes', title: 'Bytes (KiB, MiB)' },
  { unit: 'bytes/s', title: 'Bytes per second' },
  { unit: 'seconds', title: 'Seconds' },
  { unit: 'percent', title: 'Percent (0–100)' },
  { unit: 'ratio', title: 'Percent (0–1)' },
];

export function isUnit(text: string): text is Unit {
  return units.some(({ unit }) => unit === text);
}

type Scale = readonly [factor: number, suffix: string];

const scales: Record<Base, readonly Scale[]> = {
  none: [[1, '']],
  short: [[1e18, ' E'], [1e15, ' P'], [1e12, ' T'], [1e9, ' G'], [1e6, ' M'], [1e3, ' k'], [1, '']],
  bytes: [[2 ** 60, ' EiB'], [2 ** 50, ' PiB'], [2 ** 40, ' TiB'], [2 ** 30, ' GiB'], [2 ** 20, ' MiB'], [2 ** 10, ' KiB'], [1, ' B']],
  seconds: [[86_400, ' d'], [3600, ' h'], [60, ' min'], [1, ' s'], [1e-3, ' ms'], [1e-6, ' µs'], [1e-9, ' ns']],
  percent: [[1, '%']],
  ratio: [[0.01, '%']],
};

/** A value for people; the table and the CSV show the server's own digits instead. */
export function formatValue(unit: Unit, value: number): string {
  return format(unit, value, (scaled) => significant(scaled, unit === 'none' ? 6 : 4));
}

/** A tick of an axis: with as many decimals as tell it from its neighbours, which are increment away. */
export function formatTick(unit: Unit, value: number, increment: number): string {
  return format(unit, value, (scaled, factor) => {
    const decimals = decimalsOf(increment / factor);
    return decimals > 6 ? significant(scaled, 6) : decimal(scaled, decimals);
  });
}

/** How many decimals write this number: two for 0.25. */
function decimalsOf(increment: number): number {
  for (let decimals = 0; decimals <= 6; decimals++) {
    const scaled = increment * 10 ** decimals;
    if (scaled > 0.99 && Math.abs(scaled - Math.round(scaled)) < 0.01 * scaled) return decimals;
  }
  return increment >= 1 ? 0 : 7;
}

function format(unit: Unit, value: number, digits: (scaled: number, factor: number) => string): string {
  const [base, perSecond] = unit.split('/') as [Base, string?];
  const rate = perSecond ? '/s' : '';
  if (Number.isNaN(value)) return 'NaN';
  if (!Number.isFinite(value)) return value > 0 ? '+Inf' : '-Inf';
  const size = Math.abs(value);
  const list = scales[base];
  const smallest = list[list.length - 1] ?? [1, ''];
  const [factor, suffix] = size === 0 ? (list.find(([f]) => f === 1) ?? smallest) : (list.find(([f]) => size >= f) ?? smallest);
  return digits(size === 0 ? 0 : value / factor, factor) + suffix + rate;
}

const grouped = new Map<string, Intl.NumberFormat>();

function formatter(options: Intl.NumberFormatOptions): Intl.NumberFormat {
  const key = JSON.stringify(options);
  const known = grouped.get(key) ?? new Intl.NumberFormat('en-US', options);
  grouped.set(key, known);
  return known;
}

function significant(value: number, digits: number): string {
  const size = Math.abs(value);
  if (size !== 0 && (size >= 1e15 || size < 1e-6)) return exponential(value, digits);
  if (size >= 10 ** (digits - 2)) return decimal(value, size >= 10 ** digits ? 0 : 2);
  return formatter({ maximumSignificantDigits: digits }).format(value);
}

function exponential(value: number, digits: number): string {
  return value.toExponential(digits - 1).replace(/\.?0+e/, 'e');
}

function decimal(value: number, decimals: number): string {
  if (Math.abs(value) >= 1e15) return exponential(value, 4);
  const text = formatter({ maximumFractionDigits: decimals }).format(value);
  return text === '-0' ? '0' : text;
}

/** A count, such as 3,412. */
export function formatCount(value: number): string {
  return formatter({ maximumFractionDigits: 0 }).format(value);
}
