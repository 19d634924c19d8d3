/** Coming in and going out: what is fetched first, and what is left behind
 * on this machine afterwards, which is nothing. */
import { signal } from '@preact/signals';
import { clearAllLocal, setDraftOwner } from '../data/draftstore';
import { people } from '../data/people';
import { signOut, whoAmI } from '../data/signin';
import { forget, jmap, loadIdentities, loadMailboxes, me } from '../data/store';
import { lang, t } from '../kit/i18n';
import { toast } from '../kit/ui';
import { drafts, front, restoreLeftovers } from './composers';
import { place } from './route';
import { list, live } from './state';

type Phase = 'starting' | 'signed-out' | 'ready' | 'unreachable';
export const phase = signal<Phase>('starting');

/** Asks who is signed in and, if anyone is, loads the account. */
export async function enter(): Promise<void> {
  jmap.lang = () => lang.peek();
  jmap.onSignedOut = () => {
    live.stop();
    phase.value = 'signed-out';
  };
  // Both at once: on a slow line every round trip is seen.
  const session = jmap.start();
  session.catch(() => {});
  try {
    const who = await whoAmI();
    if (!who) {
      phase.value = 'signed-out';
      return;
    }
    me.value = who;
    setDraftOwner(who.address);
    await session;
    await Promise.all([loadMailboxes(), loadIdentities()]);
    phase.value = 'ready';
    // The writing window's code comes while the reader reads.
    setTimeout(() => void import('./composer').catch(() => {}), 1500);
    live.start();
    if (restoreLeftovers()) toast.value = { text: t('draft.restored') };
  } catch {
    if (phase.peek() !== 'signed-out') phase.value = 'unreachable';
  }
}

/** Signs out. */
export async function leave(): Promise<void> {
  for (const d of drafts.peek()) await d.close();
  live.stop();
  await signOut();
  setDraftOwner('');
  clearAllLocal();
  people.clear();
  forget();
  drafts.value = [];
  front.value = null;
  list.value = null;
  history.replaceState(null, '', '#/');
  place.value = { mailbox: null, query: null, open: null };
  phase.value = 'signed-out';
}
