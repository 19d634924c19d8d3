/**
 * The rich text editor, behind an interface of our own so that another can
 * take its place. Squire gives the caret, lists, quotes and undo.
 */
import Squire from 'squire-rte';
import { sanitiseForEditor } from '../data/sanitise';

export interface Editor {
  html(): string;
  focus(where: 'start' | 'end'): void;
  /** Puts plain text at the caret. */
  insert(text: string): void;
  toggle(what: 'bold' | 'italic' | 'list' | 'quote'): void;
  link(url: string): void;
  /** The text that is selected. */
  selection(): string;
  destroy(): void;
}

/** Turns `root` into an editor holding `html`, which is cleaned first: a
 * quoted letter is a stranger's text. `changed` follows every edit by hand. */
export function createEditor(root: HTMLElement, html: string, changed: () => void): Editor {
  const s = new Squire(root, {
    blockTag: 'DIV',
    addLinks: true,
    sanitizeToDOMFragment: (h: string) => document.importNode(sanitiseForEditor(h), true),
    didError: () => {},
  });
  s.setHTML(html);
  // setHTML reports itself as input a moment later; that is no edit. Told by
  // the text and not by a delay: keys can be faster than any timer.
  const start = s.getHTML();
  let edited = false;
  s.addEventListener('input', () => {
    edited ||= s.getHTML() !== start;
    if (edited) changed();
  });
  return {
    html: () => s.getHTML(),
    focus: (where) => {
      s.focus();
      if (where === 'start') s.moveCursorToStart();
      else s.moveCursorToEnd();
    },
    insert: (text) => {
      s.insertPlainText(text, false);
    },
    toggle: (what) => {
      if (what === 'bold') s.hasFormat('b') ? s.removeBold() : s.bold();
      else if (what === 'italic') s.hasFormat('i') ? s.removeItalic() : s.italic();
      else if (what === 'list') s.hasFormat('ul') ? s.removeList() : s.makeUnorderedList();
      else s.hasFormat('blockquote') ? s.decreaseQuoteLevel() : s.increaseQuoteLevel();
      s.focus();
    },
    link: (url) => {
      s.makeLink(url);
      s.focus();
    },
    selection: () => s.getSelectedText(),
    destroy: () => s.destroy(),
  };
}
