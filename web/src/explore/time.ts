const pad = (value: number, length = 2) => String(value).padStart(length, '0');

export function formatDate(seconds: number): string {
  const date = new Date(seconds * 1000);
  return `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())}`;
}

/** The local time of day; with milliseconds only where there are some. */
export function formatClock(seconds: number): string {
  const date = new Date(seconds * 1000);
  const clock = `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}`;
  return date.getMilliseconds() === 0 ? clock : `${clock}.${pad(date.getMilliseconds(), 3)}`;
}

export function formatTime(seconds: number): string {
  return `${formatDate(seconds)} ${formatClock(seconds)}`;
}

export function formatSpan(start: number, end: number): string {
  const from = `${formatDate(start)} ${formatClock(Math.floor(start))}`;
  const to = formatClock(Math.floor(end));
  return formatDate(start) === formatDate(end) ? `${from} to ${to}` : `${from} to ${formatDate(end)} ${to}`;
}

/** RFC 3339 in UTC. */
export function formatRfc3339(seconds: number): string {
  return new Date(Math.round(seconds * 1000)).toISOString();
}

/** The value of an input of type datetime-local. */
export function toInput(seconds: number): string {
  return `${formatDate(seconds)}T${formatClock(Math.floor(seconds))}`;
}

/** Reads RFC 3339, what such an input gives (local time), or unix seconds. */
export function parseTime(text: string): number | undefined {
  const value = /^\d{1,11}(\.\d+)?$/.test(text) ? Number(text) * 1000 : Date.parse(text);
  return Number.isFinite(value) && text !== '' ? Math.round(value) / 1000 : undefined;
}

/** Two lines for each tick: the time of day, and the date where it begins or changes. */
export function axisTimes(splits: number[], increment: number): string[] {
  let lastDate = '';
  return splits.map((split) => {
    const date = formatDate(split);
    const showDate = date !== lastDate;
    lastDate = date;
    if (increment >= 86_400) return date.slice(5);
    const clock = increment >= 60 ? formatClock(split).slice(0, 5) : formatClock(split);
    return showDate ? `${clock}\n${date.slice(5)}` : clock;
  });
}
