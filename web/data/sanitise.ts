/**
 * HTML of received mail made safe to show. First of three walls: this
 * allow-list; then a frame sandboxed without scripts; then the frame's own
 * Content-Security-Policy (public/mailframe.html). Each holds alone.
 */
import DOMPurify from 'dompurify';

export interface Clean {
  html: string;
  /** Outside pictures that were left out. */
  remote: number;
  /** The sender chose colours, so the letter needs white paper in the dark theme. */
  coloured: boolean;
}

/** Content-ID (without brackets) -> local blob: URL. */
export type CidMap = ReadonlyMap<string, string>;

// SVG and MathML are left out whole: they are the parsers' quarrel that
// mutation attacks live on, and letters do not need them.
const CONFIG = {
  USE_PROFILES: { html: true },
  FORBID_TAGS: [
    'form',
    'input',
    'button',
    'select',
    'textarea',
    'option',
    'dialog',
    'audio',
    'video',
    'source',
    'track',
    'picture',
    'link',
    'meta',
    'base',
    'template',
    'slot',
    'map',
    'area',
    'math',
    'svg',
    'iframe',
    'object',
    'embed',
  ],
  FORBID_ATTR: [
    'id',
    'name',
    'contenteditable',
    'tabindex',
    'autofocus',
    'popover',
    'usemap',
    'ping',
    'is',
    'slot',
    'part',
    'accesskey',
  ],
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
  ADD_ATTR: ['target', 'data-host', 'data-odd'],
  // Asked of every attribute, so values that are no URI must pass; relative
  // links are taken out below.
  ALLOWED_URI_REGEXP: /^(?:(?:https?|mailto|tel|cid|blob|data):|[^a-z]|[a-z+.-]+(?:[^a-z+.\-:]|$))/i,
  WHOLE_DOCUMENT: false,
  FORCE_BODY: true,
};

const REMOTE = /^(?:https?:)?\/\//i;
const CSS_URL = /url\s*\(\s*(['"]?)([^)]*?)\1\s*\)/gi;

/** The host a link goes to, in the form the reader's eye should judge: an
 * internationalised name that mixes scripts stays in its xn-- form. */
export function linkHost(href: string): string {
  try {
    const u = new URL(href);
    return /^https?:$/.test(u.protocol)
      ? u.hostname
      : u.protocol === 'mailto:'
        ? decodeURIComponent(u.pathname)
        : '';
  } catch {
    return '';
  }
}

/** The text of a link looks like an address of another place than its own. */
export function isOddLink(text: string, host: string): boolean {
  const m = /(?:https?:\/\/)?((?:[\p{L}\p{N}-]+\.)+[\p{L}]{2,})/iu.exec(text.trim());
  if (!m || !host) return false;
  const shown = linkHost(`http://${m[1]}/`);
  const strip = (h: string) => h.replace(/^www\./, '');
  return shown !== '' && strip(shown) !== strip(host) && !strip(host).endsWith(`.${strip(shown)}`);
}

function cleanCss(css: string, allowRemote: boolean, cids: CidMap): { css: string; remote: number } {
  let remote = 0;
  const out = css
    // Comments can split a word that the rules below look for.
    .replace(/\/\*[\s\S]*?\*\//g, '')
    .replace(/@import[^;]*;?/gi, '')
    .replace(/(?:expression|behavior|-moz-binding)\s*[:(]/gi, 'x-')
    .replace(CSS_URL, (_, __, url: string) => {
      if (/^cid:/i.test(url)) return `url("${cids.get(url.slice(4)) ?? ''}")`;
      if (/^data:image\//i.test(url)) return `url("${url}")`;
      remote++;
      return allowRemote && /^https:/i.test(url) ? `url("${url.replace(/["\\]/g, '')}")` : 'none';
    });
  return { css: out, remote };
}

/**
 * Cleans one HTML body. With `allowRemote` outside pictures over https stay;
 * else they are taken out and counted. `realm` is the window whose parser is
 * used: the mail frame's own, as the page's policy would report every inline
 * style that the parser meets.
 */
export function sanitise(
  html: string,
  cids: CidMap,
  allowRemote: boolean,
  realm: Window & typeof globalThis = window,
): Clean {
  const purify = DOMPurify(realm);
  let remote = 0;
  let coloured = false;

  purify.addHook('uponSanitizeElement', (node, data) => {
    if (data.tagName !== 'style') return;
    const r = cleanCss(node.textContent ?? '', allowRemote, cids);
    node.textContent = r.css;
    remote += r.remote;
    if (/color|background/i.test(r.css)) coloured = true;
  });
  purify.addHook('afterSanitizeAttributes', (el) => {
    const style = el.getAttribute('style');
    if (style !== null) {
      const r = cleanCss(style, allowRemote, cids);
      remote += r.remote;
      if (/(?:^|[;\s-])(?:color|background)/i.test(r.css)) coloured = true;
      el.setAttribute('style', r.css.replace(/position\s*:\s*(?:fixed|sticky)/gi, 'position:static'));
    }
    if (el.hasAttribute('bgcolor') || el.hasAttribute('color')) coloured = true;
    const bg = el.getAttribute('background');
    if (bg !== null) {
      el.removeAttribute('background');
      if (REMOTE.test(bg)) remote++;
    }
    el.removeAttribute('srcset');
    if (el.nodeName === 'IMG') remote += cleanImage(el, allowRemote, cids);
    else el.removeAttribute('src');
    if (el.nodeName === 'A') cleanLink(el);
    else el.removeAttribute('href');
  });
  const out = purify.sanitize(html, CONFIG) as unknown as string;
  purify.removeAllHooks();
  return { html: out, remote, coloured };
}

/** Returns 1 if an outside picture was met. */
function cleanImage(el: Element, allowRemote: boolean, cids: CidMap): number {
  const src = (el.getAttribute('src') ?? '').trim();
  el.setAttribute('loading', 'lazy');
  if (/^cid:/i.test(src)) {
    const local = cids.get(decodeSafe(src.slice(4)));
    if (local) el.setAttribute('src', local);
    else el.removeAttribute('src');
    return 0;
  }
  if (/^data:image\/(?:png|jpe?g|gif|webp);base64,/i.test(src)) return 0;
  if (!src) return 0;
  if (allowRemote && /^https:/i.test(src)) return 1;
  el.removeAttribute('src');
  return REMOTE.test(src) ? 1 : 0;
}

function decodeSafe(s: string): string {
  try {
    return decodeURIComponent(s);
  } catch {
    return s;
  }
}

function cleanLink(el: Element): void {
  const href = el.getAttribute('href') ?? '';
  if (!/^(?:https?|mailto|tel):/i.test(href)) {
    el.removeAttribute('href');
    return;
  }
  const host = linkHost(href);
  const text = el.textContent ?? '';
  el.setAttribute('target', '_blank');
  el.setAttribute('rel', 'noopener noreferrer nofollow');
  el.removeAttribute('title');
  if (isOddLink(text, host)) el.setAttribute('data-odd', '');
  if (host && !text.toLowerCase().includes(host.replace(/^www\./, ''))) el.setAttribute('data-host', host);
}

const EDITOR_CONFIG = {
  ALLOWED_TAGS: [
    ...[
      'a',
      'b',
      'strong',
      'i',
      'em',
      'u',
      's',
      'p',
      'div',
      'br',
      'ul',
      'ol',
      'li',
      'blockquote',
      'pre',
      'code',
    ],
    ...['h1', 'h2', 'h3', 'h4', 'hr', 'table', 'thead', 'tbody', 'tr', 'td', 'th', 'sub', 'sup', 'span'],
  ],
  ALLOWED_ATTR: ['href', 'colspan', 'rowspan', 'dir', 'lang'],
  ALLOWED_URI_REGEXP: /^(?:(?:https?|mailto|tel):|[^a-z]|[a-z+.-]+(?:[^a-z+.\-:]|$))/i,
  ALLOW_DATA_ATTR: false,
};

/** For quoting in an answer and for pasted text: structure and links only, no
 * styles, no pictures. One instance serves the page, as its Trusted Types
 * policy may be made only once. */
export function sanitiseForEditor(html: string): DocumentFragment {
  const out = DOMPurify.sanitize(html, {
    ...EDITOR_CONFIG,
    RETURN_DOM_FRAGMENT: true,
  }) as unknown as DocumentFragment;
  for (const a of out.querySelectorAll('a[href]')) {
    if (!/^(?:https?|mailto|tel):/i.test(a.getAttribute('href') ?? '')) a.removeAttribute('href');
  }
  return out;
}

interface TrustedTypes {
  createPolicy(name: string, rules: { createHTML(s: string): string }): unknown;
}

/** Makes the page's default Trusted Types policy: whatever string reaches
 * innerHTML or a parser (the editor's undo, the text twin of a letter) goes
 * through the editor's allow-list first. Scripts and script URLs get no rule
 * and so are refused. */
export function guardPage(): void {
  const tt = (window as unknown as { trustedTypes?: TrustedTypes }).trustedTypes;
  tt?.createPolicy('default', { createHTML: (s) => String(DOMPurify.sanitize(s, EDITOR_CONFIG)) });
}

/** Plain text of an HTML fragment, for the text/plain twin of what is sent. */
export function htmlToText(html: string): string {
  const doc = new DOMParser().parseFromString(html, 'text/html');
  const walk = (n: Node, quote: string): string => {
    if (n.nodeType === 3) return (n.textContent ?? '').replace(/\s+/g, ' ');
    if (!(n instanceof Element)) return '';
    const inner = [...n.childNodes].map((c) => walk(c, quote)).join('');
    switch (n.nodeName) {
      case 'BR':
        return '\n';
      case 'LI':
        return `- ${inner.trim()}\n`;
      case 'BLOCKQUOTE':
        return `\n${inner
          .trim()
          .split('\n')
          .map((l) => `> ${l}`)
          .join('\n')}\n`;
      case 'P':
      case 'DIV':
      case 'H1':
      case 'H2':
      case 'H3':
      case 'H4':
      case 'TR':
      case 'PRE':
      case 'UL':
      case 'OL':
        return inner.endsWith('\n') ? inner : `${inner}\n`;
      case 'TD':
      case 'TH':
        return `${inner}\t`;
      case 'HR':
        return '\n---\n';
      case 'A': {
        const href = n.getAttribute('href') ?? '';
        return href && !inner.includes(href.replace(/^mailto:/, '')) ? `${inner} <${href}>` : inner;
      }
    }
    return inner;
  };
  return walk(doc.body, '')
    .replace(/[ \t]+\n/g, '\n')
    .replace(/\n{3,}/g, '\n\n')
    .trim();
}
