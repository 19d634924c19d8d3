/** Dates and sizes as people say them; everything by Intl. */
import { type Lang, lang, locale } from './i18n';

const DAY = 86_400_000;
const cache = new Map<string, Intl.DateTimeFormat>();

function fmt(l: Lang, key: string, o: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const k = l + key;
  let f = cache.get(k);
  if (!f) cache.set(k, (f = new Intl.DateTimeFormat(locale(l), o)));
  return f;
}

const midnight = (t: number): number => new Date(t).setHours(0, 0, 0, 0);

/** Short form for a list: the hour today, then the weekday for a week, then
 * the date, with the year if it is not this one. */
export function shortDate(iso: string, now = Date.now(), l: Lang = lang.value): string {
  const d = new Date(iso);
  const days = Math.round((midnight(now) - midnight(d.getTime())) / DAY);
  if (days === 0) return fmt(l, 't', { hour: 'numeric', minute: '2-digit' }).format(d);
  if (days === 1) return new Intl.RelativeTimeFormat(locale(l), { numeric: 'auto' }).format(-1, 'day');
  if (days > 1 && days < 7) return fmt(l, 'w', { weekday: 'short' }).format(d);
  if (d.getFullYear() === new Date(now).getFullYear())
    return fmt(l, 'd', { day: 'numeric', month: 'short' }).format(d);
  return fmt(l, 'y', { day: 'numeric', month: 'short', year: 'numeric' }).format(d);
}

/** Full form for a letter's head and for tooltips. */
export function fullDate(iso: string, l: Lang = lang.value): string {
  return fmt(l, 'f', { dateStyle: 'medium', timeStyle: 'short' }).format(new Date(iso));
}

/** "12 kB", "3.4 MB". */
export function fileSize(bytes: number, l: Lang = lang.value): string {
  const units = ['kilobyte', 'megabyte', 'gigabyte'] as const;
  // Nobody weighs a file in bytes; the smallest is 1 kB.
  let v = Math.max(1, bytes / 1000);
  let i = 0;
  while (v >= 1000 && i < units.length - 1) {
    v /= 1000;
    i++;
  }
  return new Intl.NumberFormat(locale(l), {
    style: 'unit',
    unit: units[i],
    unitDisplay: 'short',
    maximumFractionDigits: v < 10 && i > 0 ? 1 : 0,
  }).format(v);
}
