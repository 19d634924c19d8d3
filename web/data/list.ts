/**
 * A window onto a list of any length: ids by position, fetched as they come
 * into view (RFC 8621 section 4.4, Email/query with position and limit).
 */
import { signal } from '@preact/signals';
import { HEAD_PROPERTIES, jmap, putEmails, putThreads, states } from './store';
import type { Email } from './types';

/** Positions fetched at once: about three screens of a desktop. */
export const PAGE = 60;

/** A fast scroll passes thousands of rows; only the rows where it rests this
 * long are asked for. */
const SETTLE_MS = 70;

/** A row taken out stays out this long even if an answer that was already on
 * its way still names it. */
const HIDE_MS = 4000;

export class MessageList {
  /** Rows in all; null until the first answer. */
  readonly total = signal<number | null>(null);
  /** Bumped whenever the ids change. */
  readonly version = signal(0);
  readonly failed = signal(false);
  private ids: (string | undefined)[] = [];
  private queryState = '';
  private visible: [number, number] = [0, 0];
  private timer: ReturnType<typeof setTimeout> | undefined;
  private inFlight = new Set<string>();
  private generation = 0;
  /** Rows taken out whose move may not have reached the server yet. */
  private hidden = new Map<string, number>();

  constructor(
    /** A JMAP filter; its JSON is the list's identity. */
    readonly filter: Record<string, unknown>,
    /** False while searching: every hit is shown, not one per conversation. */
    readonly collapse = true,
  ) {}

  idAt(i: number): string | undefined {
    return this.ids[i];
  }
  indexOf(id: string): number {
    return this.ids.indexOf(id);
  }
  loadedIds(): string[] {
    return this.ids.filter((x): x is string => x !== undefined);
  }

  /** Says which rows are in view (last exclusive); fetches what is missing. */
  show(first: number, last: number): void {
    this.visible = [first, last];
    clearTimeout(this.timer);
    if (this.total.peek() === null) {
      void this.fetch(0, PAGE);
      return;
    }
    const [from, to] = this.missing();
    if (from < to) this.timer = setTimeout(() => void this.fetch(...this.missing()), SETTLE_MS);
  }

  /** The unfetched run in view, grown to a page. */
  private missing(): [number, number] {
    const total = this.total.peek() ?? PAGE;
    let [a, b] = this.visible;
    b = Math.min(b, total);
    while (a < b && this.ids[a] !== undefined) a++;
    while (b > a && this.ids[b - 1] !== undefined) b--;
    if (a >= b) return [0, 0];
    if (b - a < PAGE) {
      const spare = PAGE - (b - a);
      // Grow in the direction that is still unknown, so scrolling up does not
      // fetch what lies below twice.
      const up = a > 0 && this.ids[a - 1] === undefined ? Math.min(a, Math.floor(spare / 2)) : 0;
      a -= up;
      b = Math.min(total, b + spare - up);
    }
    return [a, b];
  }

  private async fetch(from: number, to: number): Promise<void> {
    if (to <= from) return;
    const key = `${from}:${to}:${this.generation}`;
    if (this.inFlight.has(key)) return;
    this.inFlight.add(key);
    const gen = this.generation;
    try {
      const query = {
        filter: this.filter,
        sort: [{ property: 'receivedAt', isAscending: false }],
        collapseThreads: this.collapse,
        position: from,
        limit: to - from,
        calculateTotal: true,
      };
      const r = await jmap.call([
        ['Email/query', query, 'q'],
        [
          'Email/get',
          { '#ids': { resultOf: 'q', name: 'Email/query', path: '/ids' }, properties: HEAD_PROPERTIES },
          'e',
        ],
        ['Thread/get', { '#ids': { resultOf: 'e', name: 'Email/get', path: '/list/*/threadId' } }, 't'],
        [
          'Email/get',
          {
            '#ids': { resultOf: 't', name: 'Thread/get', path: '/list/*/emailIds' },
            properties: ['id', 'threadId', 'mailboxIds', 'keywords', 'from', 'receivedAt'],
          },
          'x',
        ],
      ]);
      if (gen !== this.generation) return;
      const q = r.q as { ids: string[]; total?: number; queryState: string; position: number };
      putEmails(r.x?.list as Record<string, unknown>[]);
      putEmails(r.e?.list as Record<string, unknown>[]);
      putThreads(r.t?.list as { id: string; emailIds: string[] }[]);
      states.Email ||= String(r.e?.state);
      this.accept(q);
      this.failed.value = false;
    } catch {
      this.failed.value = true;
    } finally {
      this.inFlight.delete(key);
    }
  }

  private accept(q: { ids: string[]; total?: number; queryState: string; position: number }): void {
    // Another state means that positions may have moved: what was known at
    // other positions is no longer to be trusted.
    if (this.queryState && q.queryState !== this.queryState) this.ids = [];
    this.queryState = q.queryState;
    const ids = q.ids.filter((id) => (this.hidden.get(id) ?? 0) < Date.now());
    ids.forEach((id, i) => {
      this.ids[q.position + i] = id;
    });
    const gone = q.ids.length - ids.length;
    const total = (q.total ?? Math.max(this.total.peek() ?? 0, q.position + q.ids.length)) - gone;
    this.ids.length = Math.min(this.ids.length, total);
    this.total.value = total;
    this.version.value++;
    const [a, b] = this.missing();
    if (a < b) this.show(...this.visible);
  }

  /** Whether one of these is a row that is known here. */
  names(ids: string[]): boolean {
    const here = new Set(this.ids);
    return ids.some((id) => here.has(id));
  }

  /** Whether an email may belong in this list. Only a mailbox can be told
   * without the server; of a search, only that it is not for drafts being
   * written, which change with every pause of the hand. */
  takes(e: Email | undefined): boolean {
    if (!e) return false;
    const m = this.filter.inMailbox;
    return typeof m === 'string' ? !!e.mailboxIds[m] : !e.keywords.$draft;
  }

  /** Fetches the rows in view again; what is shown stays until then. */
  async refresh(): Promise<void> {
    this.generation++;
    const [a, b] = this.visible;
    const from = Math.max(0, a - 10);
    await this.fetch(from, Math.max(b + 10, from + PAGE));
  }

  /** Takes a row out at once, before the server has been told. Returns the
   * place, for put(); -1 if the row was not there. */
  take(id: string): number {
    const i = this.ids.indexOf(id);
    if (i < 0) return -1;
    this.hidden.set(id, Date.now() + HIDE_MS);
    this.ids.splice(i, 1);
    this.total.value = Math.max(0, (this.total.peek() ?? 1) - 1);
    this.version.value++;
    return i;
  }

  /** Puts a row back where take() found it. */
  put(id: string, at: number): void {
    this.hidden.delete(id);
    if (at < 0 || this.ids.includes(id)) return;
    if (at > this.ids.length) this.ids.length = at;
    this.ids.splice(at, 0, id);
    this.total.value = (this.total.peek() ?? 0) + 1;
    this.version.value++;
  }
}
