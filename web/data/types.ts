/** JMAP objects as the webmail uses them (RFC 8621 sections 2, 3, 4 and 7). */

export interface Address {
  name: string | null;
  email: string;
}

export type Role = 'inbox' | 'drafts' | 'sent' | 'archive' | 'junk' | 'trash' | 'important' | null;

export interface Mailbox {
  id: string;
  name: string;
  parentId: string | null;
  role: Role;
  sortOrder: number;
  totalEmails: number;
  unreadEmails: number;
  totalThreads: number;
  unreadThreads: number;
  myRights?: Record<string, boolean>;
}

export interface BodyPart {
  partId: string | null;
  blobId: string | null;
  size: number;
  name: string | null;
  type: string;
  charset: string | null;
  disposition: string | null;
  cid: string | null;
}

export interface BodyValue {
  value: string;
  isEncodingProblem: boolean;
  isTruncated: boolean;
}

/** An email as far as it has been fetched: the head fields come with every
 * list window, the body fields (`bodyValues` onward) only when it is opened. */
export interface Email {
  id: string;
  threadId: string;
  blobId?: string;
  mailboxIds: Record<string, boolean>;
  keywords: Record<string, boolean>;
  from: Address[] | null;
  to: Address[] | null;
  cc?: Address[] | null;
  bcc?: Address[] | null;
  replyTo?: Address[] | null;
  subject: string | null;
  receivedAt: string;
  sentAt?: string | null;
  preview: string;
  hasAttachment: boolean;
  size: number;
  label: Label | null;
  standing: string | null;
  messageId?: string[] | null;
  inReplyTo?: string[] | null;
  references?: string[] | null;
  bodyValues?: Record<string, BodyValue>;
  textBody?: BodyPart[];
  htmlBody?: BodyPart[];
  attachments?: BodyPart[];
}

export interface Identity {
  id: string;
  name: string;
  email: string;
  textSignature?: string;
  htmlSignature?: string;
}

/** The labels of the Mohar-Label field, in rising order. */
export const LABELS = ['open', 'official', 'restricted', 'confidential', 'secret', 'top-secret'] as const;
export type Label = (typeof LABELS)[number];

/** Reads a Mohar-Label value; an unknown word is no label, never a lower one. */
export function asLabel(v: unknown): Label | null {
  const s = typeof v === 'string' ? v.trim().toLowerCase() : '';
  return (LABELS as readonly string[]).includes(s) ? (s as Label) : null;
}

/** A sentence in both languages, as the rulebook gives it. */
export interface Bilingual {
  en: string;
  hi: string;
}

export interface Reason {
  rule: string;
  what: Bilingual;
  advice: Bilingual;
  recipients: string[];
}

export type RecipientClass = 'own' | 'government' | 'foreign-webmail' | 'private-cloud' | 'other' | 'unknown';

export type Verdict = 'allow' | 'ask-reason' | 'hold' | 'quarantine' | 'refuse';

export interface Explanation {
  verdict: Verdict;
  recipients: { address: string; class: RecipientClass; name?: string }[];
  reasons: Reason[];
}

export interface Me {
  address: string;
  name: string;
  post: string;
  lang: string;
  category: string;
}
