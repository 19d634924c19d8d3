// Pictures of every view in both languages, themes and sizes, for looking at.
//   node e2e/shots.mjs [filter]
import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { serve } from '../dev/serve.mjs';
import { launch, open } from './browser.mjs';
import { VIEWS } from './views.mjs';

const out = fileURLToPath(new URL('./out/', import.meta.url));
mkdirSync(out, { recursive: true });
const only = process.argv[2] ?? '';
const s = await serve({ mails: 3000 });
const browser = await launch();
for (const size of ['desktop', 'phone', 'tablet'])
  for (const lang of ['hi', 'en'])
    for (const theme of ['light', 'dark'])
      for (const [name, view] of Object.entries(VIEWS)) {
        const id = `${name}-${lang}-${theme}-${size}`;
        if (!new RegExp(only).test(id) || (size === 'tablet' && theme === 'dark')) continue;
        const page = await open(browser, s.url, {
          lang,
          theme,
          size,
          signedIn: name !== 'signin',
          density: view.density,
        });
        await view.go(page);
        await page.waitForTimeout(250);
        await page.screenshot({ path: `${out}${id}.png` });
        if (page.trouble.length) console.log(id, page.trouble);
        await page.context().close();
      }
await browser.close();
await s.close();
console.log(`pictures in ${out}`);
