const minute = 60;
const hour = 60 * minute;
const day = 24 * hour;

interface Unit {
  seconds: number;
  short: string;
  long: string;
}

const units: readonly Unit[] = [
  { seconds: day, short: 'd', long: 'day' },
  { seconds: hour, short: 'h', long: 'hour' },
  { seconds: minute, short: 'min', long: 'minute' },
  { seconds: 1, short: 's', long: 'second' },
];

function amount(seconds: number): string {
  const unit = units.find((candidate) => seconds >= candidate.seconds) ?? units[units.length - 1]!;
  const count = Math.floor(seconds / unit.seconds);
  if (unit.seconds === day) return `${count} ${count === 1 ? 'day' : 'days'}`;
  return `${count} ${unit.short}`;
}

/** How far a moment is from now: "2 s ago", "in 5 days". Both in milliseconds since 1970, or the moment as a date. */
export function relativeTime(moment: string | number, now: number): string {
  const difference = Math.round((new Date(moment).getTime() - now) / 1000);
  if (Number.isNaN(difference)) return 'at an unknown time';
  if (Math.abs(difference) < 1) return 'just now';
  return difference < 0 ? `${amount(-difference)} ago` : `in ${amount(difference)}`;
}

/** The same for what has happened: where the gateway's clock is ahead of this one, that is now and not soon. */
export function timeSince(moment: string, now: number): string {
  return relativeTime(moment, Math.max(now, Date.parse(moment) || now));
}

/** A length of time in words, exactly, in at most two units: "30 days", "1 hour 30 minutes". */
export function durationText(seconds: number): string {
  if (seconds <= 0) return '0 seconds';
  const parts: string[] = [];
  let rest = Math.round(seconds);
  for (const unit of units) {
    const count = Math.floor(rest / unit.seconds);
    if (count === 0) continue;
    parts.push(`${count} ${unit.long}${count === 1 ? '' : 's'}`);
    rest -= count * unit.seconds;
  }
  return parts.slice(0, 2).join(' ');
}

const dateAndTime = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'short' });
const dateOnly = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium' });

function format(formatter: Intl.DateTimeFormat, moment: string | number): string {
  const date = new Date(moment);
  return Number.isNaN(date.getTime()) ? 'unknown' : formatter.format(date);
}

/** Such as "21 Nov 2025, 20:10". */
export function dateTimeText(moment: string | number): string {
  return format(dateAndTime, moment);
}

/** Such as "21 Nov 2025". */
export function dateText(moment: string | number): string {
  return format(dateOnly, moment);
}
