/** One row of the list: a conversation, or a hit of a search. */
import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { isUnread } from '../data/actions';
import { shownName, unique } from '../data/address';
import { people } from '../data/people';
import { emailStanding } from '../data/standing';
import { emailSignal, loadEmails, me, threadSignal } from '../data/store';
import type { Address, Email } from '../data/types';
import { fullDate, shortDate } from '../kit/format';
import { t } from '../kit/i18n';
import { Icon } from '../kit/icons';
import { density, width } from '../kit/prefs';
import { LabelChip } from '../kit/ui';
import { continueDraft } from './composers';
import { place } from './route';
import * as s from './state';

/** Who to name in the row: the writers of the conversation, or, in Sent and
 * Drafts, whom one wrote to. */
function names(e: Email, thread: string[], outgoing: boolean, mine: string): string {
  if (outgoing) return `${t('row.to')} ${(e.to ?? []).map(shownName).join(', ') || t('row.nobody')}`;
  const all = thread.map((id) => emailSignal(id).value).filter((x): x is Email => !!x && !x.keywords.$draft);
  const from: Address[] = unique(all.flatMap((x) => x.from ?? []));
  if (from.length <= 1) {
    const a = from[0] ?? e.from?.[0];
    return a ? shownName(a) : t('unknown.sender');
  }
  return from
    .map((a) => (a.email.toLowerCase() === mine.toLowerCase() ? t('row.me') : shownName(a)))
    .join(', ');
}

function Skeleton({ index, top, height }: { index: number; top: number; height: number }): JSX.Element {
  return (
    <div
      class="row skeleton"
      role="row"
      aria-rowindex={index + 1}
      style={{ transform: `translateY(${top}px)`, height: `${height}px` }}
    >
      <div role="gridcell" aria-label={t('loading')}>
        <i class={`bar w${(index % 4) + 1}`} />
        <i class={`bar long w${((index + 2) % 4) + 1}`} />
      </div>
    </div>
  );
}

/** Distance of a thumb's swipe after which letting go archives. */
const SWIPE_PX = 96;

/** Swipe towards the end of the line archives. Set on the element directly:
 * sixty renders a second would not keep up with a thumb on an old phone. */
function useSwipe(id: string | undefined) {
  const start = useRef<{ x: number; y: number; el: HTMLElement } | null>(null);
  return {
    onTouchStart: (e: TouchEvent & { currentTarget: HTMLElement }) => {
      const p = e.touches[0];
      start.current = p ? { x: p.clientX, y: p.clientY, el: e.currentTarget } : null;
    },
    onTouchMove: (e: TouchEvent) => {
      const p = e.touches[0];
      const s0 = start.current;
      if (!p || !s0) return;
      const dx = p.clientX - s0.x;
      if (Math.abs(p.clientY - s0.y) > Math.abs(dx)) return;
      s0.el.style.setProperty('--swipe', `${Math.max(0, Math.min(dx, 160))}px`);
      s0.el.classList.toggle('swiped', dx > SWIPE_PX);
    },
    onTouchEnd: () => {
      const s0 = start.current;
      start.current = null;
      if (!s0) return;
      const go = s0.el.classList.contains('swiped');
      s0.el.classList.remove('swiped');
      s0.el.style.removeProperty('--swipe');
      if (go && id) void s.archive([id]);
    },
  };
}

/** What a click or tap on a row means. */
function choose(ev: MouseEvent, e: Email, alone: boolean): void {
  const { id } = e;
  if (ev.shiftKey && s.cursor.peek()) s.toggleSelect(s.cursor.peek()!, id);
  else if (ev.ctrlKey || ev.metaKey) s.toggleSelect(id);
  else if (e.keywords.$draft && alone) {
    s.cursor.value = id;
    void loadEmails([id]).then(() => continueDraft(emailSignal(id).peek()!));
  } else s.open(id);
}

/** Who, how many, from outside, when. */
function WhoLine(p: {
  email: Email;
  who: string;
  count: number;
  unread: boolean;
  outgoing: boolean;
}): JSX.Element {
  const { email: e } = p;
  const standing = p.outgoing ? 'self' : emailStanding(e, me.value?.address ?? '');
  const failed = standing === 'failed';
  return (
    <div class="row-line">
      <span class="row-from">
        {p.unread && <span class="sr-only">{t('row.unread')} </span>}
        {p.who}
      </span>
      {p.count > 1 && (
        <span class="row-count" title={t('row.messages', { n: p.count })}>
          {p.count}
        </span>
      )}
      {(failed || standing === 'outside') && (
        <span
          class={`row-outside ${standing}`}
          title={t(failed ? 'standing.failed.long' : 'standing.outside.long')}
        >
          <Icon name={failed ? 'warn' : 'outside'} />
          <span>{t(failed ? 'standing.failed' : 'standing.outside')}</span>
        </span>
      )}
      <time class="row-time" dateTime={e.receivedAt} title={fullDate(e.receivedAt)}>
        {shortDate(e.receivedAt)}
      </time>
    </div>
  );
}

/** Subject, marks, and the first words if there is room for them. */
function WhatLines({ email: e }: { email: Email }): JSX.Element {
  const compact = density.value === 'compact' && width.value !== 'narrow';
  return (
    <>
      <div class="row-line">
        <span class="row-subject">{e.subject || t('no.subject')}</span>
        {e.hasAttachment && (
          <span class="row-mark" title={t('row.attachment')}>
            <Icon name="attach" />
            <span class="sr-only">{t('row.attachment')}</span>
          </span>
        )}
        {e.keywords.$flagged && (
          <span class="row-mark flagged" title={t('row.flagged')}>
            <Icon name="flag" filled />
            <span class="sr-only">{t('row.flagged')}</span>
          </span>
        )}
        {compact && e.label && <LabelChip label={e.label} small />}
      </div>
      {!compact && (
        <div class="row-line">
          <span class="row-preview">{e.preview}</span>
          {e.label && <LabelChip label={e.label} small />}
        </div>
      )}
    </>
  );
}

export function Row(p: { id: string | undefined; index: number; top: number; height: number }): JSX.Element {
  const { id, index } = p;
  const swipe = useSwipe(id);
  const e = id ? emailSignal(id).value : undefined;
  useEffect(() => {
    people.meet(e?.from);
    people.meet(e?.to);
  }, [e?.id]);
  if (!id || !e) return <Skeleton index={index} top={p.top} height={p.height} />;

  const role = s.mailbox.value?.role;
  const searching = place.value.query !== null;
  const whole = searching ? [id] : (threadSignal(e.threadId).value ?? [id]);
  const thread =
    role === 'drafts' ? whole : whole.filter((x) => x === id || !emailSignal(x).value?.keywords.$draft);
  const outgoing = role === 'sent' || role === 'drafts';
  const unread = searching ? !e.keywords.$seen : isUnread(id);
  const who = names(e, thread, outgoing, me.value?.address ?? '');
  const isOpen = place.value.open === id;
  const picked = s.selected.value.has(id);
  return (
    <div
      id={`row-${index}`}
      class={`row ${unread ? 'unread' : ''} ${isOpen ? 'open' : ''} ${s.cursor.value === id ? 'cursor' : ''} ${picked ? 'picked' : ''}`}
      role="row"
      aria-rowindex={index + 1}
      aria-selected={picked || isOpen}
      style={{ transform: `translateY(${p.top}px)`, height: `${p.height}px` }}
      onClick={(ev) => choose(ev, e, thread.length === 1)}
      {...swipe}
    >
      <div class="row-check" role="gridcell">
        <input
          type="checkbox"
          tabIndex={-1}
          checked={picked}
          aria-label={t('row.select', { name: who })}
          onClick={(ev) => {
            ev.stopPropagation();
            s.toggleSelect(id);
          }}
        />
        <span class="unread-dot" aria-hidden="true" />
      </div>
      <div class="row-main" role="gridcell">
        <WhoLine email={e} who={who} count={thread.length} unread={unread} outgoing={outgoing} />
        <WhatLines email={e} />
      </div>
    </div>
  );
}
