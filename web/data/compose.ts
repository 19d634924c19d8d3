/**
 * A letter being written: its fields as signals, saved within a second, sent
 * through EmailSubmission/set (RFC 8621 section 7.5).
 */
import { batch, computed, signal } from '@preact/signals';
import { isAddress } from './address';
import { clearLocal, saveLocal } from './draftstore';
import { JmapError, POLICY } from './jmap';
import { htmlToText } from './sanitise';
import { identities, jmap, LABEL_PROPERTY, mailboxWithRole, me } from './store';
import { type Address, type Explanation, LABELS, type Label, type Reason } from './types';

export interface Attachment {
  key: number;
  name: string;
  type: string;
  size: number;
  blobId: string | null;
  /** 0..1 while uploading. */
  progress: number;
  failed: boolean;
}

export type Saved = 'empty' | 'dirty' | 'saving' | 'saved' | 'local';
export type SendResult =
  | { ok: true }
  | { ok: false; why: 'policy'; reasons: Reason[]; text: string }
  | { ok: false; why: 'offline' | 'server'; text: string };

/** Idle time before a draft goes to the server. */
const SAVE_AFTER_MS = 500;
/** Idle time before the policy is asked again while recipients change. */
const EXPLAIN_AFTER_MS = 250;
/** Carries the writer's reason when the policy asks for one. */
const REASON_PROPERTY = 'header:Mohar-Reason:asText';

let nextKey = 1;

export interface Seed {
  to?: Address[];
  cc?: Address[];
  bcc?: Address[];
  subject?: string;
  html?: string;
  label?: Label | null;
  floor?: Label | null;
  inReplyTo?: string[] | null;
  references?: string[] | null;
  /** Id of the email answered, for the policy and for $answered. */
  answers?: string | null;
  forwards?: string | null;
  attachments?: { name: string; type: string; size: number; blobId: string }[];
  draftId?: string | null;
}

export class Draft {
  readonly key = nextKey++;
  readonly to;
  readonly cc;
  readonly bcc;
  readonly subject;
  readonly html;
  readonly label;
  readonly reason = signal('');
  readonly attachments = signal<Attachment[]>([]);
  readonly saved = signal<Saved>('empty');
  /** Who the readers are, by the last answer of the policy. Its verdict counts
   * only as `advice` gives it. */
  readonly explanation = signal<Explanation | null>(null);
  /** From a change of people or label until the policy has answered. */
  readonly checking = signal(false);
  /** The policy's word on the letter as it stands: null while it is asked, and
   * as long as no label is chosen, as it would judge a label of its own. */
  readonly advice = computed(() =>
    this.checking.value || this.label.value === null ? null : this.explanation.value,
  );
  readonly sending = signal(false);
  /** A reply may not be labelled lower than what it answers. */
  readonly floor: Label | null;
  /** The email that holds the draft on the server; another one after every save. */
  readonly stored;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private explainTimer: ReturnType<typeof setTimeout> | undefined;
  private explainRound = 0;
  private saving: Promise<void> = Promise.resolve();
  private closed = false;

  constructor(readonly seed: Seed) {
    this.to = signal<Address[]>(seed.to ?? []);
    this.cc = signal<Address[]>(seed.cc ?? []);
    this.bcc = signal<Address[]>(seed.bcc ?? []);
    this.subject = signal(seed.subject ?? '');
    this.html = signal(seed.html ?? '');
    this.label = signal<Label | null>(seed.label ?? null);
    this.floor = seed.floor ?? null;
    this.stored = signal<string | null>(seed.draftId ?? null);
    this.attachments.value = (seed.attachments ?? []).map((a) => ({
      ...a,
      key: nextKey++,
      progress: 1,
      failed: false,
    }));
    if (seed.to?.length) this.explain();
  }

  get serverId(): string | null {
    return this.stored.peek();
  }
  recipients(): Address[] {
    return [...this.to.peek(), ...this.cc.peek(), ...this.bcc.peek()];
  }
  allowedLabels(): Label[] {
    return LABELS.slice(this.floor ? LABELS.indexOf(this.floor) : 0);
  }
  uploading(): boolean {
    return this.attachments.value.some((a) => a.blobId === null && !a.failed);
  }

  /** Called after every change by hand. */
  touched(what: 'text' | 'people'): void {
    if (this.closed) return;
    this.saved.value = 'dirty';
    saveLocal(this);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.save(), SAVE_AFTER_MS);
    if (what === 'people') this.explain();
  }

  /** Asks the policy, after a pause, what sending would do. */
  explain(): void {
    clearTimeout(this.explainTimer);
    const round = ++this.explainRound;
    if (!this.askable().length || !jmap.has(POLICY)) {
      this.explanation.value = null;
      this.checking.value = false;
      return;
    }
    this.checking.value = true;
    this.explainTimer = setTimeout(() => void this.ask(round), EXPLAIN_AFTER_MS);
  }

  /** Resolves with the advice on the letter as it stands, asking now if the
   * answer is still out: a letter sent at once must not miss its question. */
  async settled(): Promise<Explanation | null> {
    if (this.checking.peek()) {
      clearTimeout(this.explainTimer);
      await this.ask(++this.explainRound);
    }
    return this.advice.peek();
  }

  private askable(): string[] {
    return this.recipients()
      .map((a) => a.email)
      .filter(isAddress);
  }

  private async ask(round: number): Promise<void> {
    const args = {
      from: me.peek()?.address,
      to: this.askable(),
      label: this.label.peek(),
      inReplyTo: this.seed.answers ?? null,
    };
    // Without an answer the line says so; sending asks again.
    const r = await jmap.call([['Policy/explain', args, 'p']]).catch(() => null);
    if (round !== this.explainRound) return;
    batch(() => {
      this.explanation.value = r ? (r.p as unknown as Explanation) : null;
      this.checking.value = false;
    });
  }

  /** Email/set "create" properties (RFC 8621 section 4.6). */
  toEmail(): Record<string, unknown> {
    const html = this.html.peek();
    const drafts = mailboxWithRole('drafts');
    const files = this.attachments.peek().filter((a) => a.blobId);
    const list = (a: Address[]) => (a.length ? a.filter((x) => isAddress(x.email)) : null);
    return {
      mailboxIds: drafts ? { [drafts.id]: true } : {},
      keywords: { $draft: true, $seen: true },
      from: [{ name: me.peek()?.name || null, email: this.identity()?.email ?? me.peek()?.address ?? '' }],
      to: list(this.to.peek()),
      cc: list(this.cc.peek()),
      bcc: list(this.bcc.peek()),
      subject: this.subject.peek(),
      ...(this.seed.inReplyTo ? { inReplyTo: this.seed.inReplyTo } : {}),
      ...(this.seed.references ? { references: this.seed.references } : {}),
      ...(this.label.peek() ? { [LABEL_PROPERTY]: this.label.peek() } : {}),
      ...(this.reason.peek().trim() ? { [REASON_PROPERTY]: this.reason.peek().trim() } : {}),
      bodyValues: { t: { value: htmlToText(html) }, h: { value: html } },
      textBody: [{ partId: 't', type: 'text/plain' }],
      htmlBody: [{ partId: 'h', type: 'text/html' }],
      ...(files.length
        ? {
            attachments: files.map((a) => ({
              blobId: a.blobId,
              type: a.type,
              name: a.name,
              disposition: 'attachment',
            })),
          }
        : {}),
    };
  }

  private identity() {
    const list = identities.peek();
    return list.find((i) => i.email === me.peek()?.address) ?? list[0];
  }

  /** Writes the draft to the server: a new email, then the old one away, as
   * JMAP emails do not change (RFC 8621 section 4). One save at a time. */
  save(): Promise<void> {
    clearTimeout(this.timer);
    this.saving = this.saving.then(() => this.saveOnce());
    return this.saving;
  }

  private async saveOnce(): Promise<void> {
    if (this.closed || this.saved.peek() !== 'dirty') return;
    this.saved.value = 'saving';
    try {
      const old = this.serverId;
      const r = await jmap.call([
        ['Email/set', { create: { d: this.toEmail() }, ...(old ? { destroy: [old] } : {}) }, 's'],
      ]);
      const made = (r.s?.created as Record<string, { id: string }> | null)?.d;
      if (!made) throw new JmapError('method', 'notCreated');
      this.stored.value = made.id;
      // Typed on meanwhile: still dirty, and the next timer is running.
      if (this.saved.peek() === 'saving') this.saved.value = 'saved';
    } catch {
      if (this.saved.peek() === 'saving') this.saved.value = 'local';
      if (!this.closed)
        this.timer = setTimeout(() => {
          this.saved.value = 'dirty';
          void this.save();
        }, 5000);
    }
  }

  async attach(file: File): Promise<void> {
    const a: Attachment = {
      key: nextKey++,
      name: file.name,
      type: file.type || 'application/octet-stream',
      size: file.size,
      blobId: null,
      progress: 0,
      failed: false,
    };
    const change = (p: Partial<Attachment>) => {
      this.attachments.value = this.attachments.peek().map((x) => (x.key === a.key ? { ...x, ...p } : x));
    };
    this.attachments.value = [...this.attachments.peek(), a];
    try {
      const up = await jmap.upload(file, (progress) => change({ progress }));
      change({ blobId: up.blobId, progress: 1, size: up.size });
      this.touched('text');
    } catch {
      change({ failed: true });
    }
  }
  detach(key: number): void {
    this.attachments.value = this.attachments.peek().filter((a) => a.key !== key);
    this.touched('text');
  }

  /** Sends: the final email and its submission in one request. On refusal the
   * letter stays a draft. */
  async send(): Promise<SendResult> {
    clearTimeout(this.timer);
    this.sending.value = true;
    await this.saving;
    const sent = mailboxWithRole('sent');
    const drafts = mailboxWithRole('drafts');
    const after: Record<string, unknown> = { 'keywords/$draft': null };
    if (drafts) after[`mailboxIds/${drafts.id}`] = null;
    if (sent) after[`mailboxIds/${sent.id}`] = true;
    try {
      const old = this.serverId;
      const r = await jmap.call(
        [
          ['Email/set', { create: { d: this.toEmail() }, ...(old ? { destroy: [old] } : {}) }, 'e'],
          [
            'EmailSubmission/set',
            {
              create: { s: { identityId: this.identity()?.id, emailId: '#d' } },
              onSuccessUpdateEmail: { '#s': after },
            },
            's',
          ],
        ],
        ['s'],
      );
      const made = (r.e?.created as Record<string, { id: string }> | null)?.d;
      if (made) this.stored.value = made.id;
      const no =
        (r.s?.notCreated as Record<string, Refusal> | null)?.s ??
        (r.e?.notCreated as Record<string, Refusal> | null)?.d;
      if (no) {
        if (no['mohar:reasons']?.length)
          return { ok: false, why: 'policy', reasons: no['mohar:reasons'], text: no.description ?? '' };
        return { ok: false, why: 'server', text: no.description ?? no.type };
      }
      if (r.s?.error) return { ok: false, why: 'server', text: String(r.s.error) };
      this.finish();
      await this.markAnswered();
      return { ok: true };
    } catch (e) {
      const off = e instanceof JmapError && e.trouble === 'offline';
      return { ok: false, why: off ? 'offline' : 'server', text: e instanceof Error ? e.message : '' };
    } finally {
      this.sending.value = false;
    }
  }

  private async markAnswered(): Promise<void> {
    const { answers, forwards } = this.seed;
    const id = answers ?? forwards;
    if (!id) return;
    const keyword = answers ? 'keywords/$answered' : 'keywords/$forwarded';
    await jmap.call([['Email/set', { update: { [id]: { [keyword]: true } } }, 'a']]).catch(() => {});
  }

  private finish(): void {
    this.closed = true;
    clearTimeout(this.timer);
    clearTimeout(this.explainTimer);
    clearLocal(this);
  }

  /** Keeps the draft and stops writing. */
  async close(): Promise<void> {
    if (this.saved.peek() === 'dirty') await this.save();
    if (this.saved.peek() === 'saved' || this.saved.peek() === 'empty') clearLocal(this);
    this.closed = true;
    clearTimeout(this.timer);
    clearTimeout(this.explainTimer);
  }

  /** Throws the letter away. */
  async discard(): Promise<void> {
    this.finish();
    await this.saving;
    if (this.serverId) await jmap.call([['Email/set', { destroy: [this.serverId] }, 'd']]).catch(() => {});
  }
}

interface Refusal {
  type: string;
  description?: string;
  'mohar:reasons'?: Reason[];
}
