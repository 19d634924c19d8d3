/** One message of a conversation: who, to whom, what, and its files. */
import type { JSX } from 'preact';
import { useMemo, useState } from 'preact/hooks';
import { shownName } from '../data/address';
import { linkify, splitQuotes } from '../data/quote';
import { emailStanding, type Standing } from '../data/standing';
import { me } from '../data/store';
import type { Address, BodyPart, Email, Label } from '../data/types';
import { fileSize, fullDate, shortDate } from '../kit/format';
import { type Key, t } from '../kit/i18n';
import { Icon, type IconName } from '../kit/icons';
import { width } from '../kit/prefs';
import { LabelChip, Menu } from '../kit/ui';
import { answer, continueDraft } from './composers';
import { HtmlBody } from './frame';
import { downloadPath, setRead } from './state';

const STANDING_ICON: Record<Standing, IconName> = {
  self: 'person',
  colleague: 'building',
  government: 'building',
  outside: 'outside',
  failed: 'warn',
};

/** What the sender is to the state: a word and a shape, never colour alone. */
export function StandingBadge({ standing }: { standing: Standing }): JSX.Element {
  return (
    <span class={`standing standing-${standing}`} title={t(`standing.${standing}.long` as Key)}>
      <Icon name={STANDING_ICON[standing]} />
      <span>{t(`standing.${standing}` as Key)}</span>
    </span>
  );
}

function Names({ list }: { list: Address[] }): JSX.Element {
  const mine = me.value?.address.toLowerCase();
  return (
    <span>
      {list.map((a, i) => (
        <span key={a.email} title={a.email}>
          {i > 0 && ', '}
          {a.email.toLowerCase() === mine ? t('row.me') : shownName(a)}
        </span>
      ))}
    </span>
  );
}

function Quoted({ text }: { text: string }): JSX.Element {
  const [shown, setShown] = useState(false);
  return (
    <div class="quoted">
      <button type="button" class="fold" aria-expanded={shown} onClick={() => setShown(!shown)}>
        {shown ? t('quote.hide') : t('quote.show')}
      </button>
      {shown && <Plain text={text} />}
    </div>
  );
}

function Plain({ text }: { text: string }): JSX.Element {
  return (
    <div class="plain" dir="auto">
      {linkify(text).map((s, i) =>
        s.href ? (
          <a key={i} href={s.href} target="_blank" rel="noopener noreferrer nofollow">
            {s.text}
          </a>
        ) : (
          s.text
        ),
      )}
    </div>
  );
}

function TextBody({ text }: { text: string }): JSX.Element {
  const blocks = useMemo(() => splitQuotes(text), [text]);
  return (
    <div class="text-body">
      {blocks.map((b, i) => (b.quoted ? <Quoted key={i} text={b.text} /> : <Plain key={i} text={b.text} />))}
    </div>
  );
}

function Body({ email }: { email: Email }): JSX.Element {
  const parts = email.htmlBody ?? [];
  const value = (p: BodyPart) => email.bodyValues?.[p.partId ?? '']?.value ?? '';
  const html = parts
    .filter((p) => p.type === 'text/html')
    .map(value)
    .join('<hr>');
  const inline = useMemo(() => [...parts, ...(email.attachments ?? [])], [email]);
  const cut = Object.values(email.bodyValues ?? {}).some((v) => v.isTruncated);
  const odd = Object.values(email.bodyValues ?? {}).some((v) => v.isEncodingProblem);
  return (
    <div class="body">
      {odd && <p class="body-note">{t('body.encoding')}</p>}
      {html ? (
        <HtmlBody html={html} parts={inline} title={email.subject || t('no.subject')} />
      ) : (
        <TextBody
          text={(email.textBody ?? [])
            .filter((p) => p.type.startsWith('text/'))
            .map(value)
            .join('\n')}
        />
      )}
      {cut && email.blobId && (
        <p class="body-note">
          {t('body.cut')}{' '}
          <a href={downloadPath(email.blobId, 'letter.eml', 'message/rfc822')} download>
            {t('download')}
          </a>
        </p>
      )}
    </div>
  );
}

function Files({ list }: { list: BodyPart[] }): JSX.Element | null {
  const files = list.filter(
    (p) => p.blobId && !(p.cid && p.disposition === 'inline' && p.type.startsWith('image/')),
  );
  if (!files.length) return null;
  return (
    <ul class="files" aria-label={t('files.label')}>
      {files.map((p) => {
        const name = p.name ?? t('files.unnamed');
        const ext = /\.([\p{L}\p{N}]{1,5})$/u.exec(name)?.[1]?.toUpperCase() ?? '';
        return (
          <li key={p.blobId}>
            <a class="file" href={downloadPath(p.blobId!, name, p.type)} download={name} title={name}>
              <span class="file-kind" aria-hidden="true">
                {ext || <Icon name="attach" />}
              </span>
              <span class="file-text">
                <span class="file-name">{name}</span>
                <small>{fileSize(p.size)}</small>
              </span>
              <Icon name="download" />
            </a>
          </li>
        );
      })}
    </ul>
  );
}

/** Folded away on the screen; on paper always there, where "to me" says nothing. */
function Details({ email, open }: { email: Email; open: boolean }): JSX.Element {
  const rows: [Key, Address[] | null | undefined][] = [
    ['field.from', email.from],
    ['field.to', email.to],
    ['field.cc', email.cc],
    ['field.bcc', email.bcc],
    ['field.replyTo', email.replyTo],
  ];
  return (
    <dl class={`details ${open ? '' : 'folded-away'}`}>
      {rows.map(([k, list]) =>
        list?.length ? (
          <div key={k}>
            <dt>{t(k)}</dt>
            <dd>{list.map((a) => (a.name ? `${a.name} <${a.email}>` : a.email)).join(', ')}</dd>
          </div>
        ) : null,
      )}
      <div>
        <dt>{t('field.date')}</dt>
        <dd>{fullDate(email.sentAt ?? email.receivedAt)}</dd>
      </div>
    </dl>
  );
}

/** A message of which only the first words show. */
function Folded({ email, name, onOpen }: { email: Email; name: string; onOpen: () => void }): JSX.Element {
  const date = email.sentAt ?? email.receivedAt;
  const mine = email.from?.[0]?.email.toLowerCase() === me.value?.address.toLowerCase();
  return (
    <button type="button" class="message folded" aria-expanded="false" onClick={onOpen}>
      <span class="folded-from">{mine ? t('row.me') : name}</span>
      <span class="folded-text">{email.preview}</span>
      <time dateTime={date}>{shortDate(date)}</time>
    </button>
  );
}

/** The date, and what can be done with this one message. */
function HeadEnd({ email, onFold }: { email: Email; onFold: (() => void) | null }): JSX.Element {
  const date = email.sentAt ?? email.receivedAt;
  return (
    <div class="message-end">
      <time dateTime={date} title={fullDate(date)}>
        {width.value === 'narrow' ? shortDate(date) : fullDate(date)}
      </time>
      <Menu
        label={t('more')}
        align="end"
        items={[
          { label: t('reply'), icon: 'reply', onChoose: () => void answer('reply', email) },
          { label: t('replyAll'), icon: 'replyAll', onChoose: () => void answer('replyAll', email) },
          { label: t('forward'), icon: 'forward', onChoose: () => void answer('forward', email) },
          { label: t('mark.unread'), icon: 'unread', onChoose: () => setRead(false, [email.id]) },
          { label: t('print'), onChoose: () => window.print() },
          ...(onFold ? [{ label: t('fold'), onChoose: onFold }] : []),
        ]}
      >
        <Icon name="more" />
      </Menu>
    </div>
  );
}

/** The sender's address, and to whom the message went; unfolds the particulars. */
function ToLine(p: {
  email: Email;
  address: string | null;
  open: boolean;
  onToggle: () => void;
}): JSX.Element {
  const all = [...(p.email.to ?? []), ...(p.email.cc ?? [])];
  return (
    <div class="who-to">
      {p.address && <span class="who-address">{p.address}</span>}
      <button type="button" class="to-line" aria-expanded={p.open} onClick={p.onToggle}>
        {t('field.toShort')} <Names list={all.slice(0, 4)} />
        {all.length > 4 && ' …'}
        <Icon name="down" />
      </button>
    </div>
  );
}

/** `head` is the label that heads the conversation; a message shows its own
 * only where it differs. */
export function Message(p: {
  email: Email;
  startOpen: boolean;
  only: boolean;
  head: Label | null;
}): JSX.Element {
  const { email } = p;
  const [open, setOpen] = useState(p.startOpen);
  const [details, setDetails] = useState(false);
  const from = email.from?.[0];
  const standing = emailStanding(email, me.value?.address ?? '');
  const name = from ? shownName(from) : t('unknown.sender');
  const draft = !!email.keywords.$draft;
  if (!open && !p.only) return <Folded email={email} name={name} onOpen={() => setOpen(true)} />;
  return (
    <section class={`message ${draft ? 'draft' : ''}`} aria-label={t('message.by', { name })}>
      <header class="message-head">
        <span class={`avatar standing-${standing}`} aria-hidden="true">
          {[...name][0]?.toUpperCase()}
        </span>
        <div class="message-who">
          <div class="who-line">
            <strong class="who-name">{name}</strong>
            {draft ? (
              <span class="draft-word">{t('draft.word')}</span>
            ) : (
              <StandingBadge standing={standing} />
            )}
            {email.label && email.label !== p.head && <LabelChip label={email.label} small />}
          </div>
          <ToLine
            email={email}
            address={standing !== 'self' && from && from.email !== name ? from.email : null}
            open={details}
            onToggle={() => setDetails(!details)}
          />
        </div>
        <HeadEnd email={email} onFold={p.only ? null : () => setOpen(false)} />
      </header>
      <Details email={email} open={details} />
      {standing === 'failed' && (
        <p class="warning">
          <Icon name="warn" /> {t('standing.failed.long')}
        </p>
      )}
      {draft && (
        <p class="body">
          <button type="button" class="button primary" onClick={() => continueDraft(email)}>
            {t('draft.continue')}
          </button>
        </p>
      )}
      <Body email={email} />
      <Files list={email.attachments ?? []} />
    </section>
  );
}
