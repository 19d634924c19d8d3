/**
 * What a sender is to the state, as far as this page may say it. The server's
 * Mohar-Standing field decides if it is there; otherwise the address's domain
 * does: one's own organisation, or outside.
 */
import type { Address, Email, RecipientClass } from './types';

export type Standing = 'self' | 'colleague' | 'government' | 'outside' | 'failed';

export const domainOf = (address: string): string => {
  const at = address.lastIndexOf('@');
  return at < 0 ? '' : asciiDomain(address.slice(at + 1));
};

/** The A-label form, so that राज्य.example and its twin compare equal. */
function asciiDomain(d: string): string {
  try {
    return new URL(`http://${d}/`).hostname.toLowerCase();
  } catch {
    return d.toLowerCase();
  }
}

/** `field` wins; `mine` is the reader's own address. */
export function standingOf(from: Address | undefined, field: string | null, mine: string): Standing {
  const word = (field ?? '').split(/[;\s]/)[0]?.toLowerCase();
  if (word === 'own' || word === 'colleague') return 'colleague';
  if (word === 'government') return 'government';
  if (word === 'failed' || word === 'fail') return 'failed';
  if (word === 'outside' || word === 'foreign-webmail' || word === 'private-cloud' || word === 'other')
    return 'outside';
  if (!from) return 'outside';
  if (from.email.toLowerCase() === mine.toLowerCase()) return 'self';
  const a = domainOf(from.email);
  const b = domainOf(mine);
  if (!a) return 'outside';
  return a === b || a.endsWith(`.${b}`) || b.endsWith(`.${a}`) ? 'colleague' : 'outside';
}

export const emailStanding = (e: Email, mine: string): Standing => standingOf(e.from?.[0], e.standing, mine);

/** Groups recipients for the line under them: class -> addresses, in the
 * order from near to far. */
export function groupClasses(
  list: { address: string; class: RecipientClass }[],
): { class: RecipientClass; addresses: string[] }[] {
  const order: RecipientClass[] = [
    'own',
    'government',
    'other',
    'foreign-webmail',
    'private-cloud',
    'unknown',
  ];
  return order
    .map((c) => ({ class: c, addresses: list.filter((r) => r.class === c).map((r) => r.address) }))
    .filter((g) => g.addresses.length);
}

const PROVIDERS: [RegExp, string][] = [
  [/(^|\.)(gmail|googlemail)\.com$/, 'Gmail'],
  [/(^|\.)(yahoo\.[a-z.]+|ymail\.com|rocketmail\.com)$/, 'Yahoo'],
  [/(^|\.)(outlook|hotmail|live|msn)\.[a-z.]+$/, 'Outlook'],
  [/(^|\.)(rediffmail|rediff)\.com$/, 'Rediff'],
  [/(^|\.)(icloud|me|mac)\.com$/, 'iCloud'],
  [/(^|\.)(proton|protonmail|pm)\.(me|com|ch)$/, 'Proton'],
];

/** A name that people know for a webmail domain, else the domain itself. */
export function providerName(address: string): string {
  const d = domainOf(address);
  return PROVIDERS.find(([re]) => re.test(d))?.[1] ?? d;
}
