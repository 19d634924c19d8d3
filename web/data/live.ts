/**
 * Keeps the page current: the server's EventSource says that something
 * changed (RFC 8620 section 7.3), the /changes methods say what.
 */
import { signal } from '@preact/signals';
import type { MessageList } from './list';
import {
  dropEmail,
  emailSignal,
  jmap,
  known,
  loadMailboxes,
  mailboxWithRole,
  offline,
  refreshHeads,
  states,
} from './store';
import type { Email } from './types';

/** Asked this often even if no event came: a proxy may swallow the stream. */
const POLL_MS = 120_000;
/** Ids asked for by one Email/changes. */
const MAX_CHANGES = 200;

/** The newest letters, for the live region and the title; page clears it. */
export const arrived = signal<Email[]>([]);

export class Live {
  private source: EventSource | undefined;
  private timer: ReturnType<typeof setInterval> | undefined;
  private busy: Promise<void> | undefined;
  private again = false;

  constructor(private readonly list: () => MessageList | null) {}

  start(): void {
    this.stop();
    const src = new EventSource(jmap.eventSourcePath(), { withCredentials: true });
    src.addEventListener('state', () => void this.sync());
    src.onopen = () => {
      // After a gap the stream does not repeat what was missed.
      if (offline.peek()) void this.sync();
      offline.value = false;
    };
    src.onerror = () => {
      if (!navigator.onLine) offline.value = true;
    };
    this.source = src;
    this.timer = setInterval(() => void this.sync(), POLL_MS);
    window.addEventListener('online', this.onOnline);
    window.addEventListener('offline', this.onOffline);
  }

  stop(): void {
    this.source?.close();
    clearInterval(this.timer);
    window.removeEventListener('online', this.onOnline);
    window.removeEventListener('offline', this.onOffline);
  }

  private onOnline = () => {
    offline.value = false;
    void this.sync();
  };
  private onOffline = () => {
    offline.value = true;
  };

  /** One round of changes at a time; a hint that comes meanwhile asks for one more. */
  sync(): Promise<void> {
    if (this.busy) {
      this.again = true;
      return this.busy;
    }
    this.busy = this.round()
      .then(() => {
        offline.value = false;
      })
      .catch((e: { trouble?: string }) => {
        if (e.trouble === 'offline') offline.value = true;
      })
      .finally(() => {
        this.busy = undefined;
        if (this.again) {
          this.again = false;
          void this.sync();
        }
      });
    return this.busy;
  }

  private async round(): Promise<void> {
    await loadMailboxes();
    if (!states.Email) return;
    const r = await jmap.call(
      [['Email/changes', { sinceState: states.Email, maxChanges: MAX_CHANGES }, 'c']],
      ['c'],
    );
    const c = r.c as {
      error?: string;
      newState: string;
      created: string[];
      updated: string[];
      destroyed: string[];
      hasMoreChanges: boolean;
    };
    if (c.error) {
      // cannotCalculateChanges: too much happened; start from what is there now.
      const now = await jmap.call([['Email/get', { ids: [] }, 'e']]);
      states.Email = String(now.e?.state);
      await this.list()?.refresh();
      return;
    }
    const same = c.newState === states.Email;
    states.Email = c.newState;
    if (same) return;
    // Asked before the cache forgets what was where.
    const list = this.list();
    const stale = c.updated.some((id) => !known(id)) || !!list?.names([...c.destroyed, ...c.updated]);
    for (const id of c.destroyed) dropEmail(id);
    const seen = [...c.created, ...c.updated.filter(known)];
    await refreshHeads(seen);
    // A draft saved beside the list changes no row of it.
    if (stale || seen.some((id) => list?.takes(emailSignal(id).peek()))) await list?.refresh();
    // Spam and one's own letters are not announced.
    const inbox = mailboxWithRole('inbox')?.id ?? '';
    const fresh = c.created
      .map((id) => emailSignal(id).peek())
      .filter((e): e is Email => !!e && !!e.mailboxIds[inbox] && !e.keywords.$seen && !e.keywords.$draft);
    if (fresh.length) arrived.value = fresh;
    if (c.hasMoreChanges) this.again = true;
  }
}
