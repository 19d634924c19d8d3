// Real tasks against a running server: ten by keyboard alone, five by thumb.
// Prints the time to the first rows on a line of 1 Mbit/s.
//   node e2e/real.mjs URL USER PASSWORD [filter]
// The account must hold letters, one of them with an attachment. Letters are
// moved and put back, one is sent to oneself. Exit status 1 if a task fails.
import assert from 'node:assert/strict';
import { launch, SIZES } from './browser.mjs';

const [url = 'https://127.0.0.1:8443', user = '', password = '', filter = ''] = process.argv.slice(2);
const origin = new URL(url).origin;
const stamp = `e2e ${Date.now().toString(36)}`;
const text = (page, sel) => page.locator(sel).first().textContent();
const rows = (page) => page.waitForSelector('.row:not(.skeleton)');
const subject = (page, n) => text(page, `.row[aria-rowindex="${n}"] .row-subject`);
const subjectIs = (page, n, s) =>
  page.waitForFunction(
    ([i, want]) => document.querySelector(`.row[aria-rowindex="${i}"] .row-subject`)?.textContent === want,
    [n, s],
  );
const gone = (page, sel) => page.waitForFunction((q) => !document.querySelector(q), sel);
async function press(page, ...keys) {
  for (const k of keys) await page.keyboard.press(k);
}
async function search(page, words) {
  await press(page, '/');
  await page.keyboard.type(words);
  await press(page, 'Enter');
}
/** The label, by keyboard from the subject field. */
async function label(page, downs) {
  await page.locator('.label-menu > button').focus();
  await press(page, 'Enter');
  await page.waitForSelector('[role=menuitemradio]:focus');
  for (let i = 0; i < downs; i++) await press(page, 'ArrowDown');
  await press(page, 'Enter');
}

/** A browser window of our own; whatever goes wrong gathers in `trouble`. */
async function visit(browser, size, state) {
  const context = await browser.newContext({
    viewport: SIZES[size],
    locale: 'en-IN',
    timezoneId: 'Asia/Kolkata',
    hasTouch: size === 'phone',
    isMobile: size === 'phone',
    ignoreHTTPSErrors: true,
    ...(state ? { storageState: state } : {}),
  });
  await context.addInitScript(() => {
    localStorage.setItem('mohar.lang', 'en');
    globalThis.violations = [];
    document.addEventListener('securitypolicyviolation', (e) =>
      globalThis.violations.push(`${e.violatedDirective} ${e.blockedURI}`),
    );
  });
  const page = await context.newPage();
  page.trouble = [];
  page.on('pageerror', (e) => page.trouble.push(`error: ${e.message}`));
  page.on('console', (m) => m.type() === 'error' && page.trouble.push(`console: ${m.text()}`));
  page.on('request', (r) => {
    if (new URL(r.url()).origin !== origin && !/^(data|blob|about):/.test(r.url()))
      page.trouble.push(`request to ${r.url()}`);
  });
  await page.goto(`${origin}/`);
  return page;
}

const KEYBOARD = {
  async 'open a letter, go back to the list'(page) {
    await press(page, 'j');
    await page.waitForSelector('.message .body');
    await press(page, 'u');
    await gone(page, '.message');
  },
  async 'archive and undo'(page) {
    const [first, second] = [await subject(page, 1), await subject(page, 2)];
    await press(page, 'j', 'e');
    await subjectIs(page, 1, second);
    await press(page, 'z');
    await subjectIs(page, 1, first);
  },
  async 'star and take the star off'(page) {
    await press(page, 'j');
    await page.waitForSelector('.message .body');
    const on = await page.locator('.letter-bar .flagged').count();
    await press(page, 's');
    await page.waitForFunction((n) => document.querySelectorAll('.letter-bar .flagged').length !== n, on);
    await press(page, 's');
    await page.waitForFunction((n) => document.querySelectorAll('.letter-bar .flagged').length === n, on);
  },
  async 'select two, delete, undo'(page) {
    const first = await subject(page, 1);
    await press(page, 'j', 'x', 'j', 'x');
    assert.match(await text(page, '.selection-bar h1'), /^2 /);
    await press(page, '#');
    await page.waitForSelector('.toast');
    await press(page, 'z');
    await subjectIs(page, 1, first);
  },
  async 'go to Sent, Drafts, Archive and the inbox'(page) {
    for (const [k, name] of [
      ['t', 'Sent'],
      ['d', 'Drafts'],
      ['a', 'Archive'],
      ['i', 'Inbox'],
    ]) {
      await press(page, 'g', k);
      await page.waitForFunction((n) => document.querySelector('.list-head h1')?.textContent === n, name);
    }
    await rows(page);
  },
  async 'search, open a hit, clear'(page) {
    await search(page, 'has:attachment');
    await page.waitForFunction(
      () => document.querySelector('.list-head h1')?.textContent === 'Search results',
    );
    await page.waitForSelector('.row:not(.skeleton) .row-mark');
    await page.locator('#list').focus();
    await press(page, 'j');
    await page.waitForSelector('.message .files a');
    await press(page, 'g', 'i');
    await page.waitForFunction(() => document.querySelector('.list-head h1')?.textContent === 'Inbox');
  },
  async 'a search that finds nothing says so'(page) {
    await search(page, `subject:${stamp.replace(' ', '')}zz`);
    await page.waitForSelector('.empty');
  },
  async 'write to oneself, label, send, see it arrive'(page) {
    await press(page, 'c');
    await page.keyboard.type(`${user},`);
    await page.waitForSelector('.composer .editor');
    await page.waitForFunction(() => /until then/.test(document.querySelector('.advice')?.textContent ?? ''));
    await label(page, 1);
    await page.waitForSelector('.advice-allow');
    await press(page, 'Tab');
    await page.keyboard.type(stamp);
    await press(page, 'Tab');
    await page.keyboard.type('The first line.');
    await press(page, 'Control+Enter');
    await page.waitForSelector('.toast');
    assert.match(await text(page, '.toast span'), /^Sent to /);
    await subjectIs(page, 1, stamp);
  },
  async 'answer a letter, keep the draft, throw it away'(page) {
    await press(page, 'j', 'r');
    await page.keyboard.type('Noted, e#');
    await page.waitForSelector('.editor:focus');
    assert.match(await text(page, '.editor'), /^Noted, e#/);
    await page.waitForFunction(() => document.querySelector('.saved')?.textContent === 'Saved');
    await press(page, 'Escape');
    await gone(page, '.composer');
    await press(page, 'g', 'd');
    await page.waitForFunction(() => document.querySelector('.list-head h1')?.textContent === 'Drafts');
    await page.waitForFunction(() =>
      document.querySelector('.row[aria-rowindex="1"] .row-preview')?.textContent.startsWith('Noted, e#'),
    );
    await press(page, 'j', '#');
    await page.waitForFunction(
      () =>
        !document.querySelector('.row[aria-rowindex="1"] .row-preview')?.textContent.startsWith('Noted, e#'),
    );
  },
  async 'the keys are shown, and Escape puts them away'(page) {
    await press(page, '?');
    await page.waitForSelector('dialog[open] .help-groups');
    await press(page, 'Escape');
    await gone(page, 'dialog[open]');
  },
};

const THUMB = {
  async 'open a letter and go back'(page) {
    await page.locator('.row:not(.skeleton)').first().tap();
    await page.waitForSelector('.message .body');
    await page.locator('.letter-bar .icon-button').first().tap();
    await rows(page);
  },
  async 'swipe to archive, undo with a tap'(page) {
    const [first, second] = [await subject(page, 1), await subject(page, 2)];
    const box = await page.locator('.row[aria-rowindex="1"]').boundingBox();
    const cdp = await page.context().newCDPSession(page);
    const at = (x) => [{ x: box.x + x, y: box.y + box.height / 2 }];
    await cdp.send('Input.dispatchTouchEvent', { type: 'touchStart', touchPoints: at(40) });
    for (const x of [80, 130, 190, 220])
      await cdp.send('Input.dispatchTouchEvent', { type: 'touchMove', touchPoints: at(x) });
    await cdp.send('Input.dispatchTouchEvent', { type: 'touchEnd', touchPoints: [] });
    await subjectIs(page, 1, second);
    await page.locator('.toast-action').tap();
    await subjectIs(page, 1, first);
  },
  async 'the folders open from the bottom bar'(page) {
    await page.locator('.bottombar button').last().tap();
    await page.waitForSelector('.nav');
    await page.locator('.nav a, .nav button').filter({ hasText: 'Sent' }).first().tap();
    await page.waitForFunction(() => document.querySelector('.list-head h1')?.textContent === 'Sent');
  },
  async 'write full screen, choose a label, discard'(page) {
    await page.locator('.bottombar .primary').tap();
    await page.waitForSelector('.composer .editor');
    const box = await page.locator('.composer').boundingBox();
    assert.equal(Math.round(box.width), SIZES.phone.width);
    await page.locator('.label-menu > button').tap();
    await page.locator('[role=menuitemradio]').nth(1).tap();
    assert.equal(await text(page, '.label-choice .label-chip'), 'Official');
    await page.locator('.composer-foot .icon-button').last().tap();
    await gone(page, '.composer');
  },
  async 'answer from the foot of a letter'(page) {
    await page.locator('.row:not(.skeleton)').first().tap();
    await page.waitForSelector('.answer-bar');
    await page.locator('.answer-bar .button').first().tap();
    await page.waitForSelector('.editor:focus');
    await page.locator('.composer-foot .icon-button').last().tap();
    await gone(page, '.composer');
  },
};

const browser = await launch();
let failed = 0;
async function task(name, run, page) {
  if (!name.includes(filter)) return;
  try {
    await run(page);
    const bad = [...page.trouble, ...(await page.evaluate(() => globalThis.violations))];
    assert.deepEqual(bad, [], 'no errors, no policy violations, no requests to other hosts');
    console.log(`  ok  ${name}`);
  } catch (e) {
    failed++;
    if (process.env.SHOT) await page.screenshot({ path: `${process.env.SHOT}/fail-${failed}.png` });
    console.log(`FAIL  ${name}\n      ${String(e.stack).split('\n').slice(0, 12).join('\n      ')}`);
  }
}

const first = await visit(browser, 'desktop');
await first.waitForSelector('#user');
await first.keyboard.type(user);
await press(first, 'Tab');
await first.keyboard.type(password);
await press(first, 'Enter');
await rows(first);
first.trouble = first.trouble.filter((x) => !/401/.test(x));
await task('sign in', async () => {}, first);
const state = await first.context().storageState();
await first.context().close();

for (const [size, tasks] of [
  ['desktop', KEYBOARD],
  ['phone', THUMB],
])
  for (const [name, run] of Object.entries(tasks)) {
    const page = await visit(browser, size, state);
    page.setDefaultTimeout(10_000);
    await rows(page);
    await task(`${size}: ${name}`, run, page);
    await page.context().close();
  }

// An office's slow line: 1 Mbit/s down, 256 kbit/s up, 100 ms, nothing cached.
const slow = await visit(browser, 'desktop', state);
const cdp = await slow.context().newCDPSession(slow);
await cdp.send('Network.enable');
await cdp.send('Network.setCacheDisabled', { cacheDisabled: true });
await cdp.send('Network.emulateNetworkConditions', {
  offline: false,
  latency: 100,
  downloadThroughput: 125_000,
  uploadThroughput: 32_000,
});
let received = 0;
cdp.on('Network.loadingFinished', (e) => (received += e.encodedDataLength));
const from = performance.now();
await slow.reload({ waitUntil: 'commit' });
await rows(slow);
const took = Math.round(performance.now() - from);
console.log(`first rows at 1 Mbit/s, 100 ms: ${took} ms, ${Math.round(received / 1024)} KB received`);
await browser.close();
process.exit(failed ? 1 : 0);
