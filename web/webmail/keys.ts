/** The keyboard. Letters follow the key's place when the layout is not Latin,
 * so that they work on an InScript keyboard too. */

import { lastDone } from '../data/actions';
import { answer, front, write } from './composers';
import { place } from './route';
import * as s from './state';
import { catchKeys, opening } from './typeahead';

/** How long `g` waits for its second key. */
const CHORD_MS = 1500;

const CODES: Record<string, string> = { Slash: '/', Digit3: '3' };

/** The Latin character that a key press means. */
export function keyOf(e: { key: string; code: string; shiftKey: boolean }): string {
  if (e.key.length !== 1 || /[\x20-\x7e]/.test(e.key)) return e.key;
  const m = /^Key([A-Z])$/.exec(e.code);
  if (m) return e.shiftKey ? m[1]! : m[1]!.toLowerCase();
  if (e.code === 'Slash') return e.shiftKey ? '?' : '/';
  if (e.code === 'Digit3' && e.shiftKey) return '#';
  return CODES[e.code] ?? e.key;
}

function typing(target: EventTarget | null): boolean {
  const el = target as HTMLElement | null;
  if (!el?.closest) return false;
  return !!el.closest(
    'input:not([type=checkbox]), textarea, select, [contenteditable=true], [role=menu], dialog',
  );
}

const GO = { i: 'inbox', d: 'drafts', t: 'sent', a: 'archive', j: 'junk', '#': 'trash' } as const;

function plain(k: string): boolean {
  switch (k) {
    case 'j':
      s.step(1);
      return true;
    case 'k':
      s.step(-1);
      return true;
    case 'o':
    case 'Enter': {
      const id = s.cursor.peek();
      if (id) s.open(id);
      return !!id;
    }
    case 'u':
      s.closeLetter();
      return true;
    case 'e':
      void s.archive();
      return true;
    case '#':
    case 'Delete':
      void s.remove();
      return true;
    case '!':
      void s.junk();
      return true;
    case 's':
      s.toggleFlag();
      return true;
    case 'x': {
      const id = s.cursor.peek() ?? place.peek().open;
      if (id) s.toggleSelect(id);
      return true;
    }
    case 'r':
      void answer('reply');
      return true;
    case 'a':
      void answer('replyAll');
      return true;
    case 'f':
      void answer('forward');
      return true;
    case 'c':
      write({});
      return true;
    case 'I':
      s.setRead(true);
      return true;
    case 'U':
      s.setRead(false);
      return true;
    case 'z':
      if (lastDone.peek()) s.undo();
      return true;
    case '/':
      document.querySelector<HTMLInputElement>('#search')?.focus();
      return true;
    case '?':
      s.showHelp.value = true;
      return true;
  }
  return false;
}

/** Handles one key press; also bound inside the frames of HTML letters. */
export function startKeys(): { handler: (e: KeyboardEvent) => void; stop: () => void } {
  let chord = 0;
  const handler = (e: KeyboardEvent) => {
    if (e.defaultPrevented || e.ctrlKey || e.metaKey || e.altKey || e.isComposing) return;
    if (document.querySelector('dialog[open]')) return;
    if (e.key === 'Escape' && !typing(e.target)) {
      if (s.navOpen.peek()) s.navOpen.value = false;
      else if (s.selected.peek().size) s.selected.value = new Set();
      else if (front.peek() === null && place.peek().open) s.closeLetter();
      return;
    }
    if (typing(e.target)) return;
    if (opening.peek()) {
      // Focus taken before the browser acts on the key lets the key through
      // to the field.
      catchKeys();
      return;
    }
    const k = keyOf(e);
    // Enter and space belong to the control that has the focus.
    if (k === 'Enter' && (e.target as HTMLElement | null)?.closest?.('button, a, [role=option]')) return;
    if (chord && Date.now() - chord < CHORD_MS) {
      chord = 0;
      const role = GO[k as keyof typeof GO];
      if (role) {
        s.goRole(role);
        e.preventDefault();
        return;
      }
    }
    if (k === 'g') {
      chord = Date.now();
      return;
    }
    if (plain(k)) e.preventDefault();
  };
  document.addEventListener('keydown', handler);
  return { handler, stop: () => document.removeEventListener('keydown', handler) };
}
