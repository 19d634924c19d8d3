/** The place in the webmail, kept in the URL's fragment so that Back, reload
 * and a bookmark work and the server needs to know nothing of it:
 * #/m/<mailbox>/<email>  and  #/s/<query>/<email>. */
import { signal } from '@preact/signals';

export interface Place {
  mailbox: string | null;
  query: string | null;
  /** The opened row (an email id), null for the list alone. */
  open: string | null;
}

export const place = signal<Place>({ mailbox: null, query: null, open: null });

export function parsePlace(hash: string): Place {
  const [kind, a, b] = hash.replace(/^#\/?/, '').split('/').map(safeDecode);
  const open = b || null;
  if (kind === 'm' && a) return { mailbox: a, query: null, open };
  if (kind === 's' && a) return { mailbox: null, query: a, open };
  return { mailbox: null, query: null, open: null };
}

function safeDecode(s: string): string {
  try {
    return decodeURIComponent(s);
  } catch {
    return '';
  }
}

export function formatPlace(p: Place): string {
  const base =
    p.query !== null
      ? `#/s/${encodeURIComponent(p.query)}`
      : p.mailbox
        ? `#/m/${encodeURIComponent(p.mailbox)}`
        : '#/';
  return p.open ? `${base}/${encodeURIComponent(p.open)}` : base;
}

/** `replace` for steps that Back should not retrace, as from letter to letter. */
export function go(p: Partial<Place>, replace = false): void {
  const next = { ...place.peek(), ...p };
  place.value = next;
  const url = formatPlace(next);
  if (url === location.hash) return;
  if (replace) history.replaceState(null, '', url);
  else history.pushState(null, '', url);
}

export function startRoute(): () => void {
  const read = () => {
    place.value = parsePlace(location.hash);
  };
  read();
  window.addEventListener('popstate', read);
  return () => window.removeEventListener('popstate', read);
}
