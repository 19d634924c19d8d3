/**
 * What a reader does to mail: flags and moves. Every action shows at once, is
 * sent, and is taken back with a word if the server refuses it.
 */
import { batch, signal } from '@preact/signals';
import type { MessageList } from './list';
import { emailSignal, jmap, loadMailboxes, mailboxes, mailboxWithRole, threadSignal } from './store';
import type { Email, Mailbox, Role } from './types';

type Patch = Record<string, boolean | null>;

/** What was done last, so that it can be undone. */
export interface Done {
  what: 'archived' | 'deleted' | 'moved' | 'junked' | 'restored';
  count: number;
  to: string;
  undo: () => Promise<void>;
}
export const lastDone = signal<Done | null>(null);
/** Set when the server refused an action that was already shown. */
export const actionFailed = signal(0);

/** All messages of the conversation of `id` (at least the one itself). */
export function conversation(id: string): string[] {
  const e = emailSignal(id).peek();
  return (e && threadSignal(e.threadId).peek()) || [id];
}

function applyPatch(e: Email, p: Patch): Email {
  const next = { ...e, keywords: { ...e.keywords }, mailboxIds: { ...e.mailboxIds } };
  for (const [path, v] of Object.entries(p)) {
    const at = path.indexOf('/');
    const target = path.slice(0, at) === 'keywords' ? next.keywords : next.mailboxIds;
    if (v) target[path.slice(at + 1)] = true;
    else delete target[path.slice(at + 1)];
  }
  return next;
}

/** How the counts of the mailboxes change when `before` becomes `after`. */
function recount(before: Email, after: Email): void {
  const unread = (e: Email) => (e.keywords.$seen ? 0 : 1);
  mailboxes.value = mailboxes.peek().map((m) => {
    const was = before.mailboxIds[m.id] ? 1 : 0;
    const is = after.mailboxIds[m.id] ? 1 : 0;
    const dt = is - was;
    const du = is * unread(after) - was * unread(before);
    if (!dt && !du) return m;
    return { ...m, totalEmails: m.totalEmails + dt, unreadEmails: Math.max(0, m.unreadEmails + du) };
  });
}

/** Shows the patches, sends them, and takes them back on failure. */
async function commit(patches: Map<string, Patch>): Promise<boolean> {
  const before = new Map<string, Email>();
  batch(() => {
    for (const [id, p] of patches) {
      const e = emailSignal(id).peek();
      if (!e) continue;
      before.set(id, e);
      const after = applyPatch(e, p);
      emailSignal(id).value = after;
      recount(e, after);
    }
  });
  const takeBack = (ids: Iterable<string>) =>
    batch(() => {
      for (const id of ids) {
        const old = before.get(id);
        const now = emailSignal(id).peek();
        if (!old || !now) continue;
        recount(now, old);
        emailSignal(id).value = { ...now, keywords: old.keywords, mailboxIds: old.mailboxIds };
      }
    });
  try {
    const r = await jmap.call([['Email/set', { update: Object.fromEntries(patches) }, 's']]);
    const refused = Object.keys((r.s?.notUpdated as object | null) ?? {});
    if (!refused.length) return true;
    takeBack(refused);
  } catch {
    takeBack(before.keys());
  }
  actionFailed.value++;
  return false;
}

/** Sets or clears a keyword on messages. */
export function setKeyword(ids: string[], keyword: string, on: boolean): Promise<boolean> {
  const patches = new Map<string, Patch>();
  for (const id of ids) {
    const e = emailSignal(id).peek();
    if (e && !!e.keywords[keyword] !== on) patches.set(id, { [`keywords/${keyword}`]: on || null });
  }
  return patches.size ? commit(patches) : Promise.resolve(true);
}

/** Marks whole conversations read or unread. Unread marks only the newest
 * message, as a reader means "come back to this". */
export function markRead(rowIds: string[], read: boolean): Promise<boolean> {
  return setKeyword(read ? rowIds.flatMap(conversation) : rowIds, '$seen', read);
}

export function isUnread(rowId: string): boolean {
  return conversation(rowId).some((id) => {
    const e = emailSignal(id).value;
    return e !== undefined && !e.keywords.$seen && !e.keywords.$draft;
  });
}

/**
 * Moves conversations out of one mailbox into another. Messages that lie
 * elsewhere (one's own answers in Sent) stay where they are.
 * `from` null moves each message out of every mailbox it is in (search hits).
 */
export async function move(
  rowIds: string[],
  from: Mailbox | null,
  to: Mailbox,
  what: Done['what'],
  list: MessageList | null,
): Promise<void> {
  if (from?.id === to.id) return;
  const patches = new Map<string, Patch>();
  const back = new Map<string, Patch>();
  for (const id of from ? rowIds.flatMap(conversation) : rowIds) {
    const e = emailSignal(id).peek();
    if (!e) continue;
    const leaves = from ? [from.id] : Object.keys(e.mailboxIds);
    if (!leaves.some((m) => e.mailboxIds[m])) continue;
    const p: Patch = {};
    const b: Patch = {};
    for (const m of leaves) {
      p[`mailboxIds/${m}`] = null;
      b[`mailboxIds/${m}`] = true;
    }
    p[`mailboxIds/${to.id}`] = true;
    if (!e.mailboxIds[to.id]) b[`mailboxIds/${to.id}`] = null;
    if (to.role === 'junk') {
      p['keywords/$junk'] = true;
      b['keywords/$junk'] = null;
    } else if (from?.role === 'junk') {
      p['keywords/$junk'] = null;
      b['keywords/$junk'] = true;
    }
    patches.set(id, p);
    back.set(id, b);
  }
  if (!patches.size) return;
  const places = rowIds.map((id) => [id, list?.take(id) ?? -1] as const);
  // Backwards, so that each row finds its old place again.
  const putBack = () => {
    for (const [id, at] of [...places].reverse()) list?.put(id, at);
  };
  lastDone.value = {
    what,
    count: rowIds.length,
    to: to.name,
    undo: async () => {
      lastDone.value = null;
      putBack();
      await commit(back);
    },
  };
  if (!(await commit(patches))) {
    putBack();
    lastDone.value = null;
  }
}

/** The mailbox with a role, made if the account has none. */
export async function ensureRole(role: Exclude<Role, null>, name: string): Promise<Mailbox | undefined> {
  const m = mailboxWithRole(role);
  if (m) return m;
  await jmap.call([['Mailbox/set', { create: { n: { name, role, parentId: null } } }, 'c']]);
  await loadMailboxes();
  return mailboxWithRole(role);
}

/** Deletes for ever; asked for only from Trash, and confirmed by the page. */
export async function destroy(rowIds: string[], trash: Mailbox, list: MessageList | null): Promise<void> {
  const ids = rowIds.flatMap(conversation).filter((id) => emailSignal(id).peek()?.mailboxIds[trash.id]);
  for (const id of rowIds) list?.take(id);
  try {
    const r = await jmap.call([['Email/set', { destroy: ids }, 's']]);
    if (Object.keys((r.s?.notDestroyed as object | null) ?? {}).length) throw new Error('refused');
  } catch {
    actionFailed.value++;
    await list?.refresh();
  }
  await loadMailboxes();
}
