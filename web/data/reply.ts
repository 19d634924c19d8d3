/** What an answer or a forward starts from. */
import { unique } from './address';
import type { Seed } from './compose';
import { escapeHtml, textToHtml } from './quote';
import { sanitiseForEditor } from './sanitise';
import type { Address, BodyPart, Email } from './types';

const RE = /^\s*(?:(?:re|fwd?|fw|उत्तर|अग्रेषित)\s*:\s*)+/iu;

/** "Re: " once, however often it was answered. */
export function replySubject(s: string | null): string {
  return `Re: ${(s ?? '').replace(RE, '')}`;
}
export function forwardSubject(s: string | null): string {
  return `Fwd: ${(s ?? '').replace(RE, '')}`;
}

function bodyHtml(e: Email): string {
  const html = (e.htmlBody ?? [])
    .map((p) => {
      const v = e.bodyValues?.[p.partId ?? '']?.value ?? '';
      return p.type === 'text/html' ? v : p.type.startsWith('text/') ? textToHtml(v) : '';
    })
    .join('');
  const box = document.createElement('div');
  box.append(sanitiseForEditor(html));
  return box.innerHTML;
}

/** `intro` is the sentence above the quotation, in the writer's language. */
export function reply(e: Email, mine: string, all: boolean, intro: string): Seed {
  const self: Address = { name: null, email: mine };
  const sentByMe = e.from?.[0]?.email.toLowerCase() === mine.toLowerCase();
  const back = e.replyTo?.length ? e.replyTo : (e.from ?? []);
  const to = sentByMe ? (e.to ?? []) : back;
  const cc = all ? unique([...(sentByMe ? [] : (e.to ?? [])), ...(e.cc ?? [])], [...to, self]) : [];
  return {
    to: unique(to, sentByMe ? [] : [self]).length ? unique(to) : back,
    cc,
    subject: replySubject(e.subject),
    html: `<div><br></div><div><br></div><div>${escapeHtml(intro)}</div><blockquote>${bodyHtml(e)}</blockquote>`,
    label: e.label,
    floor: e.label,
    inReplyTo: e.messageId ?? null,
    references: [...(e.references ?? []), ...(e.messageId ?? [])],
    answers: e.id,
  };
}

const isFile = (p: BodyPart): p is BodyPart & { blobId: string } => p.blobId !== null;

export function forward(e: Email, intro: string): Seed {
  return {
    subject: forwardSubject(e.subject),
    html: `<div><br></div><div><br></div><div>${escapeHtml(intro)}</div><blockquote>${bodyHtml(e)}</blockquote>`,
    label: e.label,
    floor: e.label,
    forwards: e.id,
    attachments: (e.attachments ?? [])
      .filter(isFile)
      .map((p) => ({ name: p.name ?? 'file', type: p.type, size: p.size, blobId: p.blobId })),
  };
}

/** A stored draft, to be written on. */
export function resume(e: Email): Seed {
  return {
    to: e.to ?? [],
    cc: e.cc ?? [],
    bcc: e.bcc ?? [],
    subject: e.subject ?? '',
    html: bodyHtml(e),
    label: e.label,
    inReplyTo: e.inReplyTo ?? null,
    references: e.references ?? null,
    attachments: (e.attachments ?? [])
      .filter(isFile)
      .map((p) => ({ name: p.name ?? 'file', type: p.type, size: p.size, blobId: p.blobId })),
    draftId: e.id,
  };
}
