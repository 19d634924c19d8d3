// The webmail and the page of a rule in Chromium, under the policies that the
// server sends: nothing of ours may break them, and what does break them is
// heard. Run by browser_test.go:
//
//     node policy.mjs HTTPS_URL USER PASSWORD
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';

const [https, user, password] = process.argv.slice(2);
const require = createRequire(new URL('../../../web/package.json', import.meta.url));
const { chromium } = require('playwright-core');

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
const context = await browser.newContext({ ignoreHTTPSErrors: true, viewport: { width: 1360, height: 850 }, locale: 'en-IN' });
const trouble = [];
await context.exposeFunction('heard', (text) => trouble.push(text));
await context.addInitScript(() => {
  addEventListener('securitypolicyviolation', (e) => globalThis.heard?.(`${e.violatedDirective} ${e.blockedURI} ${e.sourceFile}:${e.lineNumber}`));
});
const page = await context.newPage();
page.on('pageerror', (e) => trouble.push(`error: ${e.message}`));
page.on('console', (m) => /Content.Security.Policy|Trusted/i.test(m.text()) && trouble.push(`console: ${m.text()}`));
const quiet = (where) => assert.deepEqual(trouble, [], where);

await page.goto(`${https}/`);
await page.waitForSelector('.signin');
await page.keyboard.type(user);
await page.keyboard.press('Tab');
await page.keyboard.type(password);
await page.keyboard.press('Enter');
await page.waitForSelector('.row:not(.skeleton)');
quiet('sign-in and list');
await page.locator('.row:not(.skeleton)', { hasText: 'policy-in-browser' }).first().click();
await page.frameLocator('iframe[src^="/mailframe"]').locator('p', { hasText: 'styled words' }).waitFor();
quiet('a letter in HTML');
await page.goto(`${https}/`);
await page.waitForSelector('.row:not(.skeleton)');
await page.keyboard.press('c');
await page.waitForSelector('.composer .editor');
await page.locator('.editor').click();
await page.keyboard.type('text');
quiet('writing');

const cookies = await context.cookies();
assert.deepEqual(cookies.map((c) => [c.name, c.secure, c.httpOnly, c.sameSite]), [['__Host-mohar', true, true, 'Strict']]);

await page.goto(`${https}/rule/DLP-FOREIGN-OFFICIAL`);
assert.equal(await page.locator('h1 code').textContent(), 'DLP-FOREIGN-OFFICIAL');
assert.equal(await page.evaluate(() => getComputedStyle(document.querySelector('main')).borderRadius), '8px');
await page.locator('header a').click();
await page.waitForSelector('html[lang=hi]');
quiet('the page of a rule');
if (process.env.MOHAR_SHOTS) await page.screenshot({ path: `${process.env.MOHAR_SHOTS}/rule.png` });

// The ear itself: something that the policy forbids is heard.
await page.goto(`${https}/`);
await page.waitForSelector('.row:not(.skeleton)');
quiet('before the planted violation');
await page.evaluate(() => { new Image().src = 'https://elsewhere.example/x.png'; });
while (trouble.length === 0) await page.waitForTimeout(50);
await browser.close();
console.log('ok');
