/**
 * The search line: words and the operators that fingers know from elsewhere,
 * turned into a JMAP filter (RFC 8621 section 4.4.1).
 *
 *   from:x to:x cc:x subject:x  has:attachment  is:unread is:read is:flagged
 *   in:name  before:2026-01-31 after:2026-01-01  larger:2m smaller:500k
 *   label:secret  "exact words"  -not
 *
 * The Hindi spellings beside them mean the same.
 */
import { asLabel, LABELS, type Label, type Mailbox } from './types';

type Filter = Record<string, unknown>;

/** A search line longer than this is cut; nobody types it, a paste might. */
export const MAX_QUERY_CHARS = 500;
const MAX_TERMS = 40;

const ALIAS: Record<string, string> = {
  प्रेषक: 'from',
  से: 'from',
  प्राप्तकर्ता: 'to',
  को: 'to',
  विषय: 'subject',
  में: 'in',
  पहले: 'before',
  बाद: 'after',
  चिह्न: 'label',
  वर्गीकरण: 'label',
};
const VALUE_ALIAS: Record<string, string> = {
  संलग्नक: 'attachment',
  अपठित: 'unread',
  पठित: 'read',
  तारांकित: 'flagged',
  starred: 'flagged',
};
const LABEL_ALIAS: Record<string, Label> = {
  अवर्गीकृत: 'open',
  सरकारी: 'official',
  'सरकारी उपयोग': 'official',
  प्रतिबंधित: 'restricted',
  गोपनीय: 'confidential',
  गुप्त: 'secret',
  'परम गुप्त': 'top-secret',
};

function* terms(line: string): Generator<{ not: boolean; op: string; value: string }> {
  const re = /(-?)(?:([\p{L}\p{M}]+):)?(?:"([^"]*)"?|(\S+))/gu;
  let n = 0;
  for (const m of line.slice(0, MAX_QUERY_CHARS).normalize('NFC').matchAll(re)) {
    if (++n > MAX_TERMS) return;
    const value = m[3] ?? m[4] ?? '';
    if (value === '') continue;
    yield { not: m[1] === '-', op: (m[2] ?? '').toLowerCase(), value };
  }
}

/** A day in the reader's own time zone as a UTC instant; null if it is none. */
function day(v: string): string | null {
  if (!/^\d{4}-\d{2}-\d{2}$/.test(v)) return null;
  const d = new Date(`${v}T00:00:00`);
  return Number.isNaN(d.getTime()) ? null : d.toISOString().replace(/\.\d+Z$/, 'Z');
}

function bytes(v: string): number | null {
  const m = /^(\d{1,12})([km]?)b?$/i.exec(v);
  return m ? Number(m[1]) * ({ '': 1, k: 1024, m: 1048576 }[m[2]!.toLowerCase()] ?? 1) : null;
}

function findMailbox(name: string, all: Mailbox[]): Mailbox | undefined {
  const want = name.toLowerCase();
  return all.find((m) => m.role === want) ?? all.find((m) => m.name.toLowerCase() === want);
}

function one(op: string, value: string, boxes: Mailbox[]): Filter | null {
  const v = VALUE_ALIAS[value] ?? value;
  switch (ALIAS[op] ?? op) {
    case 'from':
    case 'to':
    case 'cc':
    case 'bcc':
    case 'subject':
    case 'body':
      return { [ALIAS[op] ?? op]: value };
    case 'has':
      return v === 'attachment' ? { hasAttachment: true } : null;
    case 'is':
      if (v === 'unread') return { notKeyword: '$seen' };
      if (v === 'read') return { hasKeyword: '$seen' };
      return v === 'flagged' ? { hasKeyword: '$flagged' } : null;
    case 'in': {
      const m = findMailbox(value, boxes);
      return m ? { inMailbox: m.id } : null;
    }
    case 'before':
    case 'after': {
      const d = day(value);
      return d ? { [ALIAS[op] ?? op]: d } : null;
    }
    case 'larger':
    case 'smaller': {
      const b = bytes(value);
      return b === null ? null : { [op === 'larger' ? 'minSize' : 'maxSize']: b };
    }
    case 'label': {
      const l = LABEL_ALIAS[value] ?? asLabel(value);
      return l ? { header: ['Mohar-Label', l] } : null;
    }
  }
  return null;
}

/** The filter for a search line. A term whose operator or value is unknown is
 * searched for as plain text, so nothing typed is silently dropped. */
export function parseSearch(line: string, boxes: Mailbox[]): Filter {
  const all: Filter[] = [];
  for (const t of terms(line)) {
    const f = (t.op && one(t.op, t.value, boxes)) || { text: t.op ? `${t.op}:${t.value}` : t.value };
    all.push(t.not ? { operator: 'NOT', conditions: [f] } : f);
  }
  if (all.length === 1) return all[0]!;
  return { operator: 'AND', conditions: all };
}

export const LABEL_ORDER = Object.fromEntries(LABELS.map((l, i) => [l, i])) as Record<Label, number>;
