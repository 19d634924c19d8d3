/** Plain text letters: the part that is new, and the part quoted from before. */

export interface TextBlock {
  quoted: boolean;
  text: string;
}

/** Lines shown of one body; a longer one is offered as a download. */
export const MAX_TEXT_LINES = 20_000;

const ATTRIBUTION =
  /^(?:On .{5,120} wrote:|.{5,120} ने लिखा:?|-{2,}\s*(?:Original Message|Forwarded message|मूल संदेश).*)$/iu;

/** Splits a text into blocks, so that quoted ones can be folded. The line
 * that introduces a quotation belongs to it. */
export function splitQuotes(text: string): TextBlock[] {
  const lines = text.replace(/\r\n?/g, '\n').split('\n').slice(0, MAX_TEXT_LINES);
  const out: TextBlock[] = [];
  lines.forEach((line, i) => {
    const introduces =
      ATTRIBUTION.test(line.trim()) && lines.slice(i + 1, i + 3).some((l) => l.startsWith('>'));
    const quoted = line.startsWith('>') || introduces;
    const last = out[out.length - 1];
    // An empty line joins the block before it.
    if (last && (last.quoted === quoted || (line.trim() === '' && last.quoted))) last.text += `\n${line}`;
    else out.push({ quoted, text: line });
  });
  return out;
}

const URL_RE = /\b(?:https?:\/\/[^\s<>"'\u0964]+|[\w.+-]+@[\w-]+(?:\.[\w-]+)+)/giu;

export interface Span {
  text: string;
  href?: string;
}

/** Finds links in plain text; never more than the text's own characters. */
export function linkify(text: string): Span[] {
  const out: Span[] = [];
  let at = 0;
  for (const m of text.matchAll(URL_RE)) {
    let hit = m[0];
    // A full stop or bracket after a link belongs to the sentence.
    hit = hit.replace(/[.,;:!?)\]}]+$/, '');
    const i = m.index;
    if (i > at) out.push({ text: text.slice(at, i) });
    out.push({ text: hit, href: /^https?:/i.test(hit) ? hit : `mailto:${hit}` });
    at = i + hit.length;
  }
  if (at < text.length) out.push({ text: text.slice(at) });
  return out;
}

const escapes: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
export const escapeHtml = (s: string): string => s.replace(/[&<>"]/g, (c) => escapes[c]!);

/** Text as simple HTML blocks, for the editor. */
export function textToHtml(text: string): string {
  return text
    .split(/\r?\n/)
    .map((l) => `<div>${escapeHtml(l) || '<br>'}</div>`)
    .join('');
}
