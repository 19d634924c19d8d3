/** What the webmail is showing, and the verbs that its buttons and keys share. */
import { batch, computed, effect, signal, untracked } from '@preact/signals';
import * as act from '../data/actions';
import { MessageList } from '../data/list';
import { Live } from '../data/live';
import { parseSearch } from '../data/search';
import {
  emailSignal,
  jmap,
  loadThread,
  mailboxById,
  mailboxes,
  mailboxWithRole,
  prune,
  threadSignal,
} from '../data/store';
import type { Email, Mailbox } from '../data/types';
import { t } from '../kit/i18n';
import { width } from '../kit/prefs';
import { say, toast } from '../kit/ui';
import { go, place } from './route';

export const list = signal<MessageList | null>(null);
/** Row under the keyboard. */
export const cursor = signal<string | null>(null);
export const selected = signal<ReadonlySet<string>>(new Set());
export const showHelp = signal(false);
export const navOpen = signal(false);
export const live = new Live(() => list.peek());

export const mailbox = computed<Mailbox | null>(() => {
  const id = place.value.mailbox;
  return (id && mailboxById.value.get(id)) || null;
});

export const openEmail = computed<Email | undefined>(() => {
  const id = place.value.open;
  return id ? emailSignal(id).value : undefined;
});

/** Keeps the list in step with the place. */
export function startState(): () => void {
  return effect(() => {
    const { mailbox: m, query } = place.value;
    if (!mailboxes.value.length) return;
    if (m === null && query === null) {
      const inbox = mailboxWithRole('inbox') ?? mailboxes.value[0];
      if (inbox) untracked(() => go({ mailbox: inbox.id }, true));
      return;
    }
    untracked(() => {
      const filter = query !== null ? parseSearch(query, mailboxes.peek()) : { inMailbox: m };
      const key = JSON.stringify(filter);
      if (list.peek() && JSON.stringify(list.peek()!.filter) === key) return;
      const next = new MessageList(filter, query === null);
      batch(() => {
        list.value = next;
        cursor.value = place.peek().open;
        selected.value = new Set();
      });
      next.show(0, 1);
      prune(new Set(next.loadedIds()));
    });
  });
}

/** The rows that an action means: the selection, else the opened or pointed row. */
export function targets(): string[] {
  if (selected.peek().size) return [...selected.peek()];
  const id = place.peek().open ?? cursor.peek();
  return id ? [id] : [];
}

export function open(id: string): void {
  const e = emailSignal(id).peek();
  if (!e) return;
  const was = place.peek().open;
  cursor.value = id;
  go({ open: id }, was !== null);
  const l = list.peek();
  const i = l?.indexOf(id) ?? -1;
  const next = l?.idAt(i + 1);
  void loadThread(e.threadId)
    .then(() => {
      // The next letter, before it is asked for.
      const n = next && emailSignal(next).peek();
      if (n) void loadThread(n.threadId).catch(() => {});
    })
    .catch(() => {});
}

export function closeLetter(): void {
  go({ open: null });
}

/** Moves the cursor; with a letter open it opens the neighbour. */
export function step(by: number): void {
  const l = list.peek();
  if (!l) return;
  const here = cursor.peek() ? l.indexOf(cursor.peek()!) : -1;
  const at = Math.max(0, Math.min((l.total.peek() ?? 1) - 1, here + by));
  const id = l.idAt(at);
  if (!id) {
    l.show(at, at + 1);
    return;
  }
  cursor.value = id;
  if (place.peek().open || width.peek() === 'wide') open(id);
}

export function toggleSelect(id: string, to?: string): void {
  const next = new Set(selected.peek());
  const l = list.peek();
  if (to && l) {
    const [a, b] = [l.indexOf(id), l.indexOf(to)].sort((x, y) => x - y) as [number, number];
    for (let i = a; i <= b; i++) {
      const x = l.idAt(i);
      if (x) next.add(x);
    }
  } else if (!next.delete(id)) next.add(id);
  selected.value = next;
}

/** After rows went away: the next one down takes their place. */
function leave(ids: string[]): void {
  const l = list.peek();
  selected.value = new Set();
  const current = place.peek().open ?? cursor.peek();
  if (!l || !current || !ids.includes(current)) return;
  let i = l.indexOf(current);
  while (i >= 0 && ids.includes(l.idAt(i) ?? '')) i++;
  let next = l.idAt(i);
  if (!next) {
    i = l.indexOf(current);
    while (i >= 0 && ids.includes(l.idAt(i) ?? '')) i--;
    next = l.idAt(i);
  }
  cursor.value = next ?? null;
  if (!place.peek().open) return;
  if (next && width.peek() === 'wide') open(next);
  else go({ open: null }, true);
}

async function moveTo(ids: string[], to: Mailbox | undefined, what: act.Done['what']): Promise<void> {
  const l = list.peek();
  if (!ids.length || !to) return;
  leave(ids);
  const done = act.move(ids, mailbox.peek(), to, what, l);
  announce();
  await done;
}

function announce(): void {
  const d = act.lastDone.peek();
  if (!d) return;
  const text = t(`done.${d.what}`, { n: d.count, to: d.to });
  toast.value = { text, action: { label: t('undo'), run: undo } };
}

export function undo(): void {
  const d = act.lastDone.peek();
  toast.value = null;
  if (!d) return;
  void d.undo().then(() => list.peek()?.refresh());
  say(t('undone'));
}

export async function archive(ids = targets()): Promise<void> {
  await moveTo(ids, await act.ensureRole('archive', t('role.archive')), 'archived');
}

/** Set while the page asks whether to delete for ever. */
export const confirmDestroy = signal<string[] | null>(null);

export async function remove(ids = targets()): Promise<void> {
  if (!ids.length) return;
  const here = mailbox.peek();
  if (here?.role === 'trash') {
    confirmDestroy.value = ids;
    return;
  }
  await moveTo(ids, await act.ensureRole('trash', t('role.trash')), 'deleted');
}

export async function destroyForEver(ids: string[]): Promise<void> {
  const trash = mailboxWithRole('trash');
  confirmDestroy.value = null;
  if (!trash) return;
  leave(ids);
  await act.destroy(ids, trash, list.peek());
}

export async function junk(ids = targets()): Promise<void> {
  if (mailbox.peek()?.role === 'junk') await moveTo(ids, mailboxWithRole('inbox'), 'restored');
  else await moveTo(ids, await act.ensureRole('junk', t('role.junk')), 'junked');
}

export async function moveInto(to: Mailbox, ids = targets()): Promise<void> {
  await moveTo(ids, to, 'moved');
}

export function toggleFlag(ids = targets()): void {
  const on = !ids.every((id) => emailSignal(id).peek()?.keywords.$flagged);
  void act.setKeyword(ids, '$flagged', on);
}

export function setRead(read: boolean, ids = targets()): void {
  void act.markRead(ids, read);
  selected.value = new Set();
  if (!read && width.peek() !== 'wide') go({ open: null });
}

/** The letter that r, a and f answer: the newest of the open conversation
 * that is no draft. */
export async function letterToAnswer(): Promise<Email | undefined> {
  const id = place.peek().open ?? cursor.peek();
  const e = id ? emailSignal(id).peek() : undefined;
  if (!e) return undefined;
  await loadThread(e.threadId);
  const ids = threadSignal(e.threadId).peek() ?? [e.id];
  return (
    [...ids]
      .reverse()
      .map((x) => emailSignal(x).peek())
      .find((x) => x && !x.keywords.$draft) ?? emailSignal(e.id).peek()
  );
}

export function goRole(role: 'inbox' | 'drafts' | 'sent' | 'archive' | 'junk' | 'trash'): void {
  const m = mailboxWithRole(role);
  if (m) go({ mailbox: m.id, query: null, open: null });
}

export const downloadPath = (blobId: string, name: string, type: string): string =>
  jmap.downloadPath(blobId, name, type);
