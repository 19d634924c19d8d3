/** The letter pane: one conversation. */
import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { markRead } from '../data/actions';
import { emailSignal, loadEmails, loadThread, mailboxWithRole, threadSignal } from '../data/store';
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

/** Fetches the conversation of a letter; counts the letter as read after a while. */
function useConversation(id: string) {
  const [failed, setFailed] = useState(false);
  const load = async () => {
    setFailed(false);
    try {
      if (!emailSignal(id).peek()) await loadEmails([id]);
      const thread = emailSignal(id).peek()?.threadId;
      if (!thread) throw new Error('gone');
      await loadThread(thread);
    } catch {
      setFailed(true);
    }
  };
  useEffect(() => {
    void load();
    const timer = setTimeout(() => void markRead([id], true), READ_AFTER_MS);
    return () => clearTimeout(timer);
  }, [id]);
  return { failed, load };
}

/** In Trash and nowhere else. */
function thrownAway(e: Email): boolean {
  const trash = mailboxWithRole('trash');
  const where = Object.keys(e.mailboxIds);
  return !!trash && where.length === 1 && where[0] === trash.id;
}

/** The messages of a conversation that are here, oldest first. */
function messagesOf(id: string, e: Email | undefined): Email[] {
  const ids = (e && threadSignal(e.threadId).value) || [id];
  // A draft that is open beside the letter need not be shown twice.
  const beingWritten = new Set(drafts.value.map((d) => d.stored.value));
  return ids
    .map((x) => emailSignal(x).value)
    .filter((x): x is Email => !!x && !(x.keywords.$draft && beingWritten.has(x.id)))
    .filter((x) => x.id === id || s.mailbox.value?.role === 'trash' || !thrownAway(x));
}

function AnswerBar({ email }: { email: Email }): JSX.Element {
  return (
    <footer class="answer-bar">
      <Button icon="reply" title="r" onClick={() => void answer('reply', email)}>
        {t('reply')}
      </Button>
      {(email.to?.length ?? 0) + (email.cc?.length ?? 0) > 1 && (
        <Button icon="replyAll" title="a" onClick={() => void answer('replyAll', email)}>
          {t('replyAll')}
        </Button>
      )}
      <Button icon="forward" title="f" onClick={() => void answer('forward', email)}>
        {t('forward')}
      </Button>
    </footer>
  );
}

function Nothing(): JSX.Element {
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

function Conversation({ id }: { id: string }): JSX.Element {
  const e = emailSignal(id).value;
  const top = useRef<HTMLElement>(null);
  const { failed, load } = useConversation(id);
  useEffect(() => top.current?.scrollTo(0, 0), [id]);
  const list = messagesOf(id, e);
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
            <Button kind="quiet" onClick={() => void load()}>
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
        {ready && last && <AnswerBar email={last} />}
      </article>
    </section>
  );
}

export function Reader(): JSX.Element {
  const id = place.value.open;
  return id ? <Conversation id={id} /> : <Nothing />;
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
