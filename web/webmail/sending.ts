/** How a letter leaves the writing window: sent, kept or thrown away. */
import { useLayoutEffect, useState } from 'preact/hooks';
import { isAddress, shownName } from '../data/address';
import type { Draft, SendResult } from '../data/compose';
import { people } from '../data/people';
import { t } from '../kit/i18n';
import { toast } from '../kit/ui';
import { drop } from './composers';
import { live } from './state';

type Problem = 'label' | 'nobody' | 'address' | 'uploading' | 'reason';
type Refusal = Extract<SendResult, { why: 'policy' }>;

export interface Sending {
  /** What stopped the last attempt before the server was asked. */
  problem: Problem | null;
  refusal: Refusal | null;
  /** Puts the refusal away. */
  forgive: () => void;
  send: () => Promise<void>;
  close: () => Promise<void>;
  discard: () => Promise<void>;
}

/** What stops a letter from going out before the server is asked to send it. */
async function problemOf(d: Draft): Promise<Problem | null> {
  if (!d.recipients().length) return 'nobody';
  if (d.recipients().some((a) => !isAddress(a.email))) return 'address';
  if (!d.label.peek()) return 'label';
  if (d.uploading()) return 'uploading';
  const advice = await d.settled();
  if (advice?.verdict === 'ask-reason' && !d.reason.peek().trim()) return 'reason';
  return null;
}

const FOCUS: Partial<Record<Problem, string>> = {
  label: '.composer .label-menu > button',
  nobody: '.composer .recipients input',
  address: '.composer .recipients input',
  reason: '.composer .reason input',
};

export function useSending(draft: Draft): Sending {
  const [stopped, setStopped] = useState<{ by: Problem } | null>(null);
  const [refusal, setRefusal] = useState<Refusal | null>(null);
  useLayoutEffect(() => {
    const where = stopped && FOCUS[stopped.by];
    if (where) document.querySelector<HTMLElement>(where)?.focus();
  }, [stopped]);
  const send = async () => {
    // A half-typed recipient becomes a chip first. The focus comes back: keys
    // typed on must not become commands while the server answers.
    const at = document.activeElement as HTMLElement | null;
    at?.blur();
    at?.focus();
    const p = await problemOf(draft);
    setStopped(p && { by: p });
    if (p) return;
    const held = draft.advice.peek()?.verdict === 'hold';
    const r = await draft.send();
    if (r.ok) {
      people.meet(draft.recipients(), 5);
      drop(draft);
      const [first] = draft.recipients();
      toast.value = {
        text: held
          ? t('sent.held')
          : t('sent.done', { n: draft.recipients().length, name: first ? shownName(first) : '' }),
      };
      void live.sync();
    } else if (r.why === 'policy') setRefusal(r);
    else
      toast.value = {
        text: r.why === 'offline' ? t('sent.offline') : t('sent.failed', { text: r.text }),
        alert: true,
      };
  };
  const close = async () => {
    drop(draft);
    await draft.close();
    if (draft.serverId) toast.value = { text: t('draft.kept') };
  };
  const discard = async () => {
    drop(draft);
    await draft.discard();
    toast.value = { text: t('draft.discarded') };
    void live.sync();
  };
  return { problem: stopped?.by ?? null, refusal, forgive: () => setRefusal(null), send, close, discard };
}
