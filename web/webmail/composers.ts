/** The letters being written. One is in front; the others wait as tabs. */
import { signal } from '@preact/signals';
import { shownName } from '../data/address';
import { Draft, type Seed } from '../data/compose';
import { takeLeftovers } from '../data/draftstore';
import { forward, reply, resume } from '../data/reply';
import { emailSignal, loadEmails, me } from '../data/store';
import type { Email } from '../data/types';
import { fullDate } from '../kit/format';
import { t } from '../kit/i18n';
import { toast } from '../kit/ui';
import { letterToAnswer } from './state';
import { catchKeys, dropTyped } from './typeahead';

export const drafts = signal<Draft[]>([]);
export const front = signal<number | null>(null);
/** What the writing window does as it opens: an answer starts in the text. */
export const focusBody = new WeakSet<Draft>();

export function write(seed: Seed, inBody = false): Draft {
  const open = seed.draftId ? drafts.peek().find((d) => d.serverId === seed.draftId) : undefined;
  if (open) {
    if (front.peek() === open.key) dropTyped();
    else catchKeys();
    front.value = open.key;
    return open;
  }
  const d = new Draft(seed);
  if (inBody) focusBody.add(d);
  catchKeys();
  drafts.value = [...drafts.peek(), d];
  front.value = d.key;
  return d;
}

export function drop(d: Draft): void {
  dropTyped();
  drafts.value = drafts.peek().filter((x) => x !== d);
  if (front.peek() === d.key) front.value = drafts.peek()[drafts.peek().length - 1]?.key ?? null;
}

const intro = (e: Email): string =>
  t('quote.intro', {
    date: fullDate(e.sentAt ?? e.receivedAt),
    name: e.from?.[0] ? shownName(e.from[0]) : '',
  });

async function fetchLetter(to?: Email): Promise<Email | undefined> {
  const e = to ?? (await letterToAnswer());
  if (!e || e.bodyValues) return e;
  await loadEmails([e.id]);
  return emailSignal(e.id).peek() ?? e;
}

export async function answer(how: 'reply' | 'replyAll' | 'forward', to?: Email): Promise<void> {
  catchKeys();
  const e = await fetchLetter(to).catch(() => {
    toast.value = { text: t('letter.failed'), alert: true };
    return undefined;
  });
  if (!e) {
    dropTyped();
    return;
  }
  const mine = me.peek()?.address ?? '';
  if (how === 'forward')
    write(
      forward(
        e,
        t('quote.forwarded', {
          date: fullDate(e.sentAt ?? e.receivedAt),
          name: e.from?.[0] ? shownName(e.from[0]) : '',
        }),
      ),
    );
  else write(reply(e, mine, how === 'replyAll', intro(e)), true);
}

export function continueDraft(e: Email): void {
  write(resume(e), true);
}

/** Letters that were not saved when the page last closed come back. */
export function restoreLeftovers(): number {
  const left = takeLeftovers();
  for (const l of left) {
    const d = write({ ...l, draftId: l.serverId });
    d.touched('text');
  }
  return left.length;
}
