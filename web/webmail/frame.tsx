/**
 * Shows the HTML of a letter. The document comes from /mailframe.html, a page
 * of the same origin with a policy of its own: a srcdoc or blob frame would
 * inherit the page's policy, which forbids the inline styles that letters are
 * made of. It is sandboxed without allow-scripts, so nothing in it can run;
 * allow-same-origin lets this page write the cleaned HTML into it, measure it
 * and lend it blob: pictures.
 */
import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { type Clean, sanitise } from '../data/sanitise';
import { jmap } from '../data/store';
import type { BodyPart } from '../data/types';
import { t } from '../kit/i18n';
import { dark } from '../kit/prefs';
import { Button } from '../kit/ui';
import { startKeys } from './keys';

/** A letter higher than this scrolls inside its frame. */
const MAX_HEIGHT_PX = 20_000;
/** Inline pictures fetched for one letter. */
const MAX_CID_IMAGES = 60;

const PAPER = `
:root{color-scheme:light}
html{overflow-x:auto;overflow-y:hidden}
body{margin:0;padding:2px 1px;font:15px/1.65 system-ui,"Noto Sans","Noto Sans Devanagari","Nirmala UI",Mangal,sans-serif;color:#1c1f26;background:#fff;overflow-wrap:anywhere}
img{max-width:100%;height:auto}
table{max-width:100%}
pre{white-space:pre-wrap}
blockquote{margin:.6em 0;padding-inline-start:1em;border-inline-start:2px solid #c9ceda;color:#4a5060}
a{color:#2b46b0}
a[data-host]::after{content:" (" attr(data-host) ")";font-size:.85em;color:#5a6172}
a[data-odd]::after{content:" \\26A0\\FE0E " attr(data-host);color:#a3251b;font-weight:600}
`;
const PAPER_DARK = `
:root{color-scheme:dark}
body{color:#e6e8ee;background:#171a21}
blockquote{border-color:#414858;color:#b3bac9}
a{color:#a9b8ff}
a[data-host]::after{color:#a3abbd}
a[data-odd]::after{color:#ff9d92}
`;

/** Fetches the pictures that the letter carries along. */
function useCids(parts: BodyPart[]): ReadonlyMap<string, string> {
  const [map, setMap] = useState<ReadonlyMap<string, string>>(new Map());
  useEffect(() => {
    const inline = parts
      .filter((p) => p.cid && p.blobId && p.type.startsWith('image/') && p.type !== 'image/svg+xml')
      .slice(0, MAX_CID_IMAGES);
    if (!inline.length) return;
    let gone = false;
    const urls: string[] = [];
    void Promise.all(
      inline.map(async (p) => {
        const url = URL.createObjectURL(await jmap.blob(p.blobId!, p.type));
        urls.push(url);
        return [p.cid!, url] as const;
      }),
    )
      .then((list) => !gone && setMap(new Map(list)))
      .catch(() => {});
    return () => {
      gone = true;
      for (const u of urls) URL.revokeObjectURL(u);
    };
  }, [parts]);
  return map;
}

export function HtmlBody({
  html,
  parts,
  title,
}: {
  html: string;
  parts: BodyPart[];
  title: string;
}): JSX.Element {
  const frame = useRef<HTMLIFrameElement>(null);
  const [remote, setRemote] = useState(false);
  const [clean, setClean] = useState<Clean | null>(null);
  const [loaded, setLoaded] = useState(0);
  const cids = useCids(parts);

  useEffect(() => {
    const realm = frame.current?.contentWindow as (Window & typeof globalThis) | null;
    if (loaded && realm) setClean(sanitise(html, cids, remote, realm));
  }, [html, cids, remote, loaded]);

  useEffect(() => {
    const doc = frame.current?.contentDocument;
    if (!clean || !doc?.body || !loaded) return;
    const style = doc.createElement('style');
    style.textContent = PAPER + (!dark.value ? '' : clean.coloured ? 'body{padding:12px}' : PAPER_DARK);
    doc.head.querySelector('style')?.remove();
    doc.head.append(style);
    doc.body.innerHTML = clean.html;
    const el = frame.current!;
    const grow = () => {
      el.style.height = `${Math.min(MAX_HEIGHT_PX, Math.ceil(doc.documentElement.getBoundingClientRect().height) + 2)}px`;
    };
    grow();
    const watch = new ResizeObserver(grow);
    watch.observe(doc.documentElement);
    watch.observe(doc.body);
    // Keys pressed while the letter has the focus still move through the list.
    const keys = startKeys();
    keys.stop();
    doc.addEventListener('keydown', keys.handler);
    return () => {
      watch.disconnect();
      doc.removeEventListener('keydown', keys.handler);
    };
  }, [clean, loaded, dark.value]);

  return (
    <div class="html-body">
      {clean && clean.remote > 0 && !remote && (
        <div class="remote-bar">
          <span>{t('remote.blocked', { n: clean.remote })}</span>
          <Button
            kind="quiet"
            icon="image"
            onClick={() => {
              setLoaded(0);
              setRemote(true);
            }}
          >
            {t('remote.show')}
          </Button>
        </div>
      )}
      <iframe
        ref={frame}
        class={clean?.coloured ? 'paper' : ''}
        key={String(remote)}
        title={title}
        src={remote ? '/mailframe-remote.html' : '/mailframe.html'}
        sandbox="allow-same-origin allow-popups allow-popups-to-escape-sandbox"
        referrerpolicy="no-referrer"
        onLoad={() => setLoaded((n) => n + 1)}
      />
    </div>
  );
}
