/**
 * What the page knows of the account: mailboxes, emails and threads as
 * signals, filled over JMAP, kept current by data/live.ts.
 */
import { computed, type Signal, signal } from '@preact/signals';
import { type Invocation, Jmap } from './jmap';
import { asLabel, type Email, type Identity, type Mailbox, type Me, type Role } from './types';

export const LABEL_PROPERTY = 'header:Mohar-Label:asText';
export const STANDING_PROPERTY = 'header:Mohar-Standing:asText';

/** Fields of a list row and of a folded message. */
export const HEAD_PROPERTIES = [
  'id',
  'threadId',
  'mailboxIds',
  'keywords',
  'from',
  'to',
  'subject',
  'receivedAt',
  'preview',
  'hasAttachment',
  'size',
  LABEL_PROPERTY,
  STANDING_PROPERTY,
];

/** What an opened message needs besides. */
export const BODY_PROPERTIES = [
  ...HEAD_PROPERTIES,
  'blobId',
  'cc',
  'bcc',
  'replyTo',
  'sentAt',
  'messageId',
  'inReplyTo',
  'references',
  'bodyValues',
  'textBody',
  'htmlBody',
  'attachments',
];
const PART_PROPERTIES = ['partId', 'blobId', 'size', 'name', 'type', 'charset', 'disposition', 'cid'];

/** A body is cut at this many octets (the reader then offers the download);
 * longer ones stall an old machine for seconds. */
export const MAX_BODY_BYTES = 1 << 20;

/** Emails kept in memory before those out of sight are let go. */
const MAX_CACHED_EMAILS = 6000;

export const jmap = new Jmap();
export const me = signal<Me | null>(null);
export const mailboxes = signal<Mailbox[]>([]);
export const identities = signal<Identity[]>([]);
/** The server is out of reach; the page says so calmly and retries. */
export const offline = signal(false);
/** Last known states, for the /changes methods. */
export const states = { Email: '', Mailbox: '', Thread: '' };

const emails = new Map<string, Signal<Email | undefined>>();
const threads = new Map<string, Signal<string[] | undefined>>();

export function emailSignal(id: string): Signal<Email | undefined> {
  let s = emails.get(id);
  if (!s) emails.set(id, (s = signal<Email | undefined>(undefined)));
  return s;
}

export function threadSignal(id: string): Signal<string[] | undefined> {
  let s = threads.get(id);
  if (!s) threads.set(id, (s = signal<string[] | undefined>(undefined)));
  return s;
}

export const known = (id: string): boolean => emails.get(id)?.peek() !== undefined;
export const cachedIds = (): string[] => [...emails.keys()].filter(known);

const byRole = computed(() => new Map(mailboxes.value.filter((m) => m.role).map((m) => [m.role, m])));
export function mailboxWithRole(role: Exclude<Role, null>): Mailbox | undefined {
  return byRole.value.get(role);
}
export const mailboxById = computed(() => new Map(mailboxes.value.map((m) => [m.id, m])));

/** Turns the header properties into fields and keeps what was known before:
 * a list window must not forget an opened body. */
export function putEmails(list: Record<string, unknown>[]): void {
  for (const raw of list) {
    const e = raw as unknown as Email;
    const next = { ...emailSignal(e.id).peek(), ...e };
    if (LABEL_PROPERTY in raw) next.label = asLabel(raw[LABEL_PROPERTY]);
    if (STANDING_PROPERTY in raw) {
      const v = raw[STANDING_PROPERTY];
      next.standing = typeof v === 'string' && v.trim() ? v.trim() : null;
    }
    emailSignal(e.id).value = next;
  }
}

export function putThreads(list: { id: string; emailIds: string[] }[]): void {
  for (const t of list) threadSignal(t.id).value = t.emailIds;
}

/** Forgets emails that no list window and no opened thread names. */
export function prune(keep: Set<string>): void {
  if (emails.size <= MAX_CACHED_EMAILS) return;
  for (const [id, s] of emails) {
    if (keep.has(id)) continue;
    const t = s.peek()?.threadId;
    emails.delete(id);
    if (t) threads.delete(t);
  }
}

/** Empties everything at sign-out: the next person at this desk sees nothing. */
export function forget(): void {
  emails.clear();
  threads.clear();
  mailboxes.value = [];
  identities.value = [];
  me.value = null;
  states.Email = states.Mailbox = states.Thread = '';
}

export async function loadMailboxes(): Promise<void> {
  const r = await jmap.call([['Mailbox/get', { ids: null }, 'm']]);
  states.Mailbox = String(r.m?.state);
  mailboxes.value = r.m?.list as Mailbox[];
}

export async function loadIdentities(): Promise<void> {
  const r = await jmap.call([['Identity/get', { ids: null }, 'i']]);
  identities.value = r.i?.list as Identity[];
}

/** The method calls that fetch full messages. */
function bodyCall(ids: string[] | null, callId: string, ref?: Record<string, unknown>): Invocation {
  return [
    'Email/get',
    {
      ...(ref ? { '#ids': ref } : { ids }),
      properties: BODY_PROPERTIES,
      bodyProperties: PART_PROPERTIES,
      fetchTextBodyValues: true,
      fetchHTMLBodyValues: true,
      maxBodyValueBytes: MAX_BODY_BYTES,
    },
    callId,
  ];
}

const loadingThreads = new Map<string, Promise<void>>();

/** Fetches a conversation with its bodies unless it is here already. Used by
 * the reader and, one row ahead of it, by the prefetch. */
export function loadThread(threadId: string): Promise<void> {
  const ids = threadSignal(threadId).peek();
  if (ids?.every((id) => emailSignal(id).peek()?.bodyValues)) return Promise.resolve();
  const running = loadingThreads.get(threadId);
  if (running) return running;
  const p = jmap
    .call([
      ['Thread/get', { ids: [threadId] }, 't'],
      bodyCall(null, 'e', { resultOf: 't', name: 'Thread/get', path: '/list/*/emailIds' }),
    ])
    .then((r) => {
      putEmails(r.e?.list as Record<string, unknown>[]);
      putThreads(r.t?.list as { id: string; emailIds: string[] }[]);
    })
    .finally(() => loadingThreads.delete(threadId));
  loadingThreads.set(threadId, p);
  return p;
}

/** Fetches single messages with bodies. */
export async function loadEmails(ids: string[]): Promise<void> {
  const r = await jmap.call([bodyCall(ids, 'e')]);
  putEmails(r.e?.list as Record<string, unknown>[]);
}

/** Fetches the head fields of emails again, after a change elsewhere, and
 * the conversations they stand in. */
export async function refreshHeads(ids: string[]): Promise<void> {
  if (!ids.length) return;
  const r = await jmap.call([
    ['Email/get', { ids, properties: HEAD_PROPERTIES }, 'e'],
    ['Thread/get', { '#ids': { resultOf: 'e', name: 'Email/get', path: '/list/*/threadId' } }, 't'],
  ]);
  putEmails(r.e?.list as Record<string, unknown>[]);
  putThreads((r.t?.list ?? []) as { id: string; emailIds: string[] }[]);
}

export function dropEmail(id: string): void {
  const e = emails.get(id)?.peek();
  emails.delete(id);
  const t = e && threads.get(e.threadId);
  if (t?.peek()) t.value = t.peek()?.filter((x) => x !== id);
}
