// Runs axe-core (WCAG 2.1 A and AA) over every view in both languages and
// themes, on desktop and phone. Exit status 1 if anything is found.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { serve } from '../dev/serve.mjs';
import { launch, open } from './browser.mjs';
import { VIEWS } from './views.mjs';

const source = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const only = new RegExp(process.argv[2] ?? '');
const s = await serve({ mails: 2000 });
const browser = await launch();
let found = 0;
let pages = 0;
// Each view in one mix of language and theme per size; together every
// language and every theme meets every view.
const MIXES = [
  ['desktop', 'hi', 'light'],
  ['desktop', 'en', 'dark'],
  ['phone', 'hi', 'dark'],
  ['phone', 'en', 'light'],
];
for (const [size, lang, theme] of MIXES)
  for (const [name, view] of Object.entries(VIEWS)) {
    const id = `${name}-${lang}-${theme}-${size}`;
    if (!only.test(id)) continue;
    const page = await open(browser, s.url, {
      size,
      lang,
      theme,
      signedIn: name !== 'signin',
      density: view.density,
    });
    await view.go(page);
    await page.waitForTimeout(250);
    await page.evaluate(source);
    const r = await page.evaluate(() =>
      globalThis.axe.run(document, {
        runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice'],
        iframes: false,
      }),
    );
    pages++;
    for (const v of r.violations) {
      found++;
      console.log(`${id}: ${v.id} (${v.impact}) ${v.help}`);
      for (const n of v.nodes.slice(0, 3))
        console.log(
          `    ${n.html.slice(0, 160)}\n      ${n.failureSummary?.split('\n').slice(1, 3).join(' ')}`,
        );
    }
    const bad = page.trouble.filter((x) => !/401/.test(x));
    if (bad.length) {
      found++;
      console.log(id, bad);
    }
    await page.context().close();
  }
await browser.close();
await s.close();
console.log(`axe: ${pages} pages, ${found} findings`);
process.exit(found ? 1 : 0);
