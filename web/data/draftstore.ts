/**
 * The copy of a letter on this machine, written with every keystroke, for the
 * moments when the server cannot be reached or the browser dies.
 *
 * Letters labelled confidential or above never get one: an office machine has
 * more than one user. All copies go at sign-out.
 */
import type { Address, Label } from './types';

const PREFIX = 'mohar.draft.';
const NEVER_LOCAL: readonly (Label | null)[] = ['confidential', 'secret', 'top-secret'];

/** Whether a letter with this label may have a copy on this machine. */
export const keptLocally = (l: Label | null): boolean => !NEVER_LOCAL.includes(l);

export interface LocalDraft {
  owner: string;
  at: number;
  serverId: string | null;
  to: Address[];
  cc: Address[];
  bcc: Address[];
  subject: string;
  html: string;
  label: Label | null;
  floor: Label | null;
  inReplyTo: string[] | null;
  references: string[] | null;
  answers: string | null;
}

interface Source {
  key: number;
  serverId: string | null;
  floor: Label | null;
  to: { peek(): Address[] };
  cc: { peek(): Address[] };
  bcc: { peek(): Address[] };
  subject: { peek(): string };
  html: { peek(): string };
  label: { peek(): Label | null };
  seed: { inReplyTo?: string[] | null; references?: string[] | null; answers?: string | null };
}

let owner = '';
/** Names whose drafts these are; '' stops writing. */
export function setDraftOwner(address: string): void {
  owner = address;
}
// One page load's keys never meet another's.
const load = Math.random().toString(36).slice(2, 8);
const keyOf = (d: { key: number }) => `${PREFIX}${load}.${d.key}`;

export function saveLocal(d: Source): void {
  if (!owner) return;
  if (!keptLocally(d.label.peek())) {
    clearLocal(d);
    return;
  }
  const v: LocalDraft = {
    owner,
    at: Date.now(),
    serverId: d.serverId,
    to: d.to.peek(),
    cc: d.cc.peek(),
    bcc: d.bcc.peek(),
    subject: d.subject.peek(),
    html: d.html.peek(),
    label: d.label.peek(),
    floor: d.floor,
    inReplyTo: d.seed.inReplyTo ?? null,
    references: d.seed.references ?? null,
    answers: d.seed.answers ?? null,
  };
  try {
    localStorage.setItem(keyOf(d), JSON.stringify(v));
  } catch {
    // Storage full or forbidden: the server's copy is then the only one.
  }
}

export function clearLocal(d: { key: number }): void {
  try {
    localStorage.removeItem(keyOf(d));
  } catch {
    // As above.
  }
}

/** Letters that an earlier page load left unsaved, newest first; each is
 * handed out once. */
export function takeLeftovers(): LocalDraft[] {
  const out: LocalDraft[] = [];
  try {
    for (const k of Object.keys(localStorage)) {
      if (!k.startsWith(PREFIX) || k.startsWith(`${PREFIX}${load}.`)) continue;
      const v = JSON.parse(localStorage.getItem(k) ?? 'null') as LocalDraft | null;
      if (!v || v.owner !== owner) continue;
      localStorage.removeItem(k);
      if (v.html || v.subject || v.to.length) out.push(v);
    }
  } catch {
    // As above.
  }
  return out.sort((a, b) => b.at - a.at);
}

export function clearAllLocal(): void {
  try {
    for (const k of Object.keys(localStorage)) if (k.startsWith(PREFIX)) localStorage.removeItem(k);
  } catch {
    // As above.
  }
}
