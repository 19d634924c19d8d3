/** Addresses as people type and paste them (RFC 5322 section 3.4, leniently). */
import type { Address } from './types';

/** Recipients taken from one paste; the server has its own limit. */
const MAX_PASTED = 500;

/** Not a grammar: enough to tell an address from a slip of the finger. UTF-8
 * local parts and domains are addresses (RFC 6531). */
export function isAddress(s: string): boolean {
  const at = s.lastIndexOf('@');
  return (
    at > 0 &&
    at < s.length - 3 &&
    s.length <= 320 &&
    !/[\s<>(),;:\\"[\]]/u.test(s) &&
    /^[^.@]+(\.[^.@]+)+\.?$/u.test(s.slice(at + 1))
  );
}

/** Splits "A <a@x>, b@y; c@z" into addresses. What is no address comes back
 * with its text as `email`, so that the writer can mend it. */
export function parseAddresses(text: string): Address[] {
  const out: Address[] = [];
  for (const piece of text.match(/(?:"[^"]*"|[^,;\n"])+/gu) ?? []) {
    const s = piece.trim();
    if (!s) continue;
    if (out.length >= MAX_PASTED) break;
    const m = /^(.*?)<([^<>]+)>$/u.exec(s);
    if (m) out.push({ name: m[1]!.trim().replace(/^"|"$/g, '') || null, email: m[2]!.trim() });
    else out.push({ name: null, email: s.replace(/^mailto:/i, '') });
  }
  return out;
}

export const sameAddress = (a: Address, b: Address): boolean =>
  a.email.toLowerCase() === b.email.toLowerCase();

export function unique(list: Address[], without: Address[] = []): Address[] {
  const out: Address[] = [];
  for (const a of list) if (![...out, ...without].some((b) => sameAddress(a, b))) out.push(a);
  return out;
}

/** The name to show: the display name unless it is itself an address, which
 * is how a stranger dresses up as a colleague. */
export function shownName(a: Address): string {
  const n = (a.name ?? '').trim();
  if (!n || (n.includes('@') && n.toLowerCase() !== a.email.toLowerCase())) return a.email;
  return n;
}

export function formatAddress(a: Address): string {
  return a.name ? `${a.name} <${a.email}>` : a.email;
}
