/** The letter pane: one conversation. */
import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { markRead } from '../data/actions';
import { emailSignal, loadEmails, loadThread, threadSignal } from '../data/store';
import { type Email, LABELS, type Label } from '../data/types';
import { t } from '../kit/i18n';
import { Icon } from '../kit/icons';
import { width } from '../kit/prefs';
import { Button, IconButton, LabelChip } from '../kit/ui';
import { answer, drafts } from './composers';
import { MoveMenu } from './listpane';
import { Message } from './message';
import { place } from './route';
import * as s from './state';

/** A letter counts as read once it was in view this long; stepping past it with j does not. */
const READ_AFTER_MS = 350;

function Toolbar({ email }: { email: Email }): JSX.Element {
  const flagged = !!email.keywords.$flagged;
  const junk = s.mailbox.value?.role === 'junk';
  return (
    <div class="letter-bar" role="toolbar" aria-label={t('letter.tools')}>
      {width.value !== 'wide' && (
        <IconButton icon="back" label={t('back')} keys="u" onClick={s.closeLetter} />
      )}
      <IconButton icon="archive" label={t('archive')} keys="e" onClick={() => void s.archive([email.id])} />
      <IconButton icon="trash" label={t('delete')} keys="#" onClick={() => void s.remove([email.id])} />
      <IconButton
        icon="junk"
        label={junk ? t('notJunk') : t('junk')}
        keys="!"
        onClick={() => void s.junk([email.id])}
      />
      <MoveMenu exclude={s.mailbox.value?.id} />
      <span class="grow" />
      <IconButton
        icon="unread"
        label={t('mark.unread')}
        keys="Shift+u"
        onClick={() => s.setRead(false, [email.id])}
      />
      <IconButton
        icon="flag"
        label={t('flag')}
        keys="s"
        pressed={flagged}
        filled={flagged}
        class={flagged ? 'flagged' : ''}
        onClick={() => s.toggleFlag([email.id])}
      />
    </div>
  );
}

/** The strictest label of the conversation heads it. */
function strictest(list: Email[]): Label | null {
  let at = -1;
  for (const e of list) if (e.label) at = Math.max(at, LABELS.indexOf(e.label));
  return LABELS[at] ?? null;
}

export function Reader(): JSX.Element {
  const id = place.value.open;
  const e = id ? emailSignal(id).value : undefined;
  const [failed, setFailed] = useState(false);
  const top = useRef<HTMLElement>(null);

  useEffect(() => {
    setFailed(false);
    if (!id) return;
    top.current?.scrollTo(0, 0);
    const load = emailSignal(id).peek()
      ? loadThread(emailSignal(id).peek()!.threadId)
      : loadEmails([id]).then(() => loadThread(emailSignal(id).peek()?.threadId ?? ''));
    load.catch(() => setFailed(true));
    const timer = setTimeout(() => void markRead([id], true), READ_AFTER_MS);
    return () => clearTimeout(timer);
  }, [id]);

  if (!id) {
    return (
      <section class="reader none" aria-label={t('letter.label')}>
        <div class="empty">
          <Icon name="unread" />
          <p>{t('letter.none')}</p>
          <p class="hint">{t('letter.noneHint')}</p>
        </div>
      </section>
    );
  }
  const ids = (e && threadSignal(e.threadId).value) || [id];
  // A draft that is open beside the letter need not be shown twice.
  const beingWritten = new Set(drafts.value.map((d) => d.stored.value));
  const list = ids
    .map((x) => emailSignal(x).value)
    .filter((x): x is Email => !!x && !(x.keywords.$draft && beingWritten.has(x.id)));
  const ready = !!e && list.some((x) => x.bodyValues);
  const label = strictest(list);
  const subject = e ? e.subject || t('no.subject') : t('loading');
  const last = list.filter((x) => !x.keywords.$draft).pop();
  return (
    <section class="reader" aria-label={t('letter.label')} ref={top}>
      {e && <Toolbar email={e} />}
      <article class="conversation">
        <header class="subject-line">
          {width.value === 'wide' ? <h2>{subject}</h2> : <h1>{subject}</h1>}
          {label && <LabelChip label={label} />}
        </header>
        {failed && (
          <div class="notice">
            {t('letter.failed')}{' '}
            <Button
              kind="quiet"
              onClick={() => e && void loadThread(e.threadId).then(() => setFailed(false))}
            >
              {t('retry')}
            </Button>
          </div>
        )}
        {ready
          ? list.map((x, i) => (
              <Message
                key={x.id}
                email={x}
                startOpen={i === list.length - 1 || x.id === id || !x.keywords.$seen}
                only={list.length === 1}
                head={label}
              />
            ))
          : !failed && <Waiting />}
        {ready && last && (
          <footer class="answer-bar">
            <Button icon="reply" title="r" onClick={() => void answer('reply', last)}>
              {t('reply')}
            </Button>
            {(last.to?.length ?? 0) + (last.cc?.length ?? 0) > 1 && (
              <Button icon="replyAll" title="a" onClick={() => void answer('replyAll', last)}>
                {t('replyAll')}
              </Button>
            )}
            <Button icon="forward" title="f" onClick={() => void answer('forward', last)}>
              {t('forward')}
            </Button>
          </footer>
        )}
      </article>
    </section>
  );
}

function Waiting(): JSX.Element {
  return (
    <div class="message waiting" aria-busy="true" role="status" aria-label={t('loading')}>
      <i class="bar w2" />
      <i class="bar long" />
      <i class="bar long w3" />
      <i class="bar long w4" />
    </div>
  );
}
