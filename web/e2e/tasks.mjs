// Real tasks in a real browser, most of them with the keyboard alone, against
// the cardboard server with 100,000 letters. Exit status 1 if one fails.
import assert from 'node:assert/strict';
import { serve } from '../dev/serve.mjs';
import { launch, open } from './browser.mjs';

const only = new RegExp(process.argv[2] ?? '');
const text = (page, sel) => page.locator(sel).first().textContent();
const toast = (page) => page.waitForSelector('.toast').then(() => text(page, '.toast span'));
const subjects = (page) => page.locator('.row:not(.skeleton) .row-subject').allInnerTexts();

const TASKS = {
  async 'sign in: a wrong password is answered in Hindi, a right one opens the inbox'(url, browser) {
    const page = await open(browser, url, { lang: 'hi', signedIn: false });
    await page.keyboard.type('meera.joshi@rajya.example');
    await page.keyboard.press('Tab');
    await page.keyboard.type('wrong');
    await page.keyboard.press('Enter');
    await page.waitForFunction(() =>
      document.querySelector('#signin-error').textContent.includes('पासवर्ड सही नहीं'),
    );
    await page.locator('#password').fill('secret');
    await page.keyboard.press('Enter');
    await page.waitForSelector('.row:not(.skeleton)');
    page.trouble = page.trouble.filter((x) => !/401/.test(x));
    return page;
  },
  async 'scroll to the end of 100,000 letters and back'(url, browser) {
    const page = await open(browser, url);
    await page.locator('#list').focus();
    const rows = Number(await page.locator('#list').getAttribute('aria-rowcount'));
    assert.ok(rows > 40_000, `rows ${rows}`);
    await page.evaluate(() => document.querySelector('#list').scrollTo(0, 1e9));
    await page.waitForFunction(
      (n) => document.querySelector(`.row:not(.skeleton)[aria-rowindex="${n}"]`),
      rows,
    );
    assert.ok((await page.locator('.row').count()) < 60, 'few rows in the document');
    await page.evaluate(() => document.querySelector('#list').scrollTo(0, 0));
    await page.waitForSelector('.row:not(.skeleton)[aria-rowindex="1"]');
    return page;
  },
  async 'read with j, archive with e, take it back with z'(url, browser) {
    const page = await open(browser, url);
    await page.keyboard.press('j');
    await page.waitForSelector('.message .body');
    const before = await subjects(page);
    await page.keyboard.press('e');
    assert.equal(await toast(page), 'Archived');
    await page.waitForFunction(
      (s) => document.querySelector('.row[aria-rowindex="1"] .row-subject')?.textContent === s,
      before[1],
    );
    await page.keyboard.press('z');
    await page.waitForFunction(
      (s) => document.querySelector('.row[aria-rowindex="1"] .row-subject')?.textContent === s,
      before[0],
    );
    return page;
  },
  async 'star, select two, delete them, go to Trash by g #'(url, browser) {
    const page = await open(browser, url);
    await page.keyboard.press('j');
    await page.keyboard.press('s');
    for (const k of ['x', 'j', 'x']) await page.keyboard.press(k);
    assert.equal(await text(page, '.selection-bar h1'), '2 selected');
    await page.keyboard.press('#');
    assert.equal(await toast(page), '2 moved to Trash');
    await page.keyboard.press('g');
    await page.keyboard.press('#');
    await page.waitForFunction(() => document.querySelectorAll('.row:not(.skeleton)').length === 2);
    return page;
  },
  async 'answer with r: label inherited and not lowered, sent with Ctrl+Enter'(url, browser, mock) {
    const page = await open(browser, url);
    await page.locator('.row:has(.label-confidential)').first().click();
    await page.waitForSelector('.message .body');
    await page.keyboard.press('r');
    await page.waitForSelector('.composer .editor');
    assert.equal(await text(page, '.composer .label-chip'), 'Confidential');
    await page.locator('.label-menu > button').click();
    assert.equal(await page.locator('.label-menu [role=menuitemradio][disabled]').count(), 3);
    await page.keyboard.press('Escape');
    await page.locator('.editor').focus();
    await page.keyboard.type('Noted, thank you.');
    await page.waitForSelector('.advice-hold');
    await page.keyboard.press('Control+Enter');
    assert.equal(await toast(page), 'Handed to another officer for approval');
    const sent = [...mock.emails.values()].find((e) => e.preview?.startsWith('Noted, thank you.'));
    assert.ok(
      sent.mailboxIds.m2 && !sent.keywords.$draft && sent.label === 'confidential' && sent.inReplyTo,
      'in Sent',
    );
    assert.match(sent.bodyValues.t.value, /wrote:\n> /);
    return page;
  },
  async 'write: refused, told why in Hindi, mended with the button, sent'(url, browser, mock) {
    const page = await open(browser, url, { lang: 'hi' });
    await page.keyboard.press('c');
    await page.waitForSelector('.composer .editor');
    await page.keyboard.type('anita.sharma@rajya.example, suresh.chand1961@gmail.com,');
    await page.waitForFunction(() =>
      document.querySelector('.advice')?.textContent.includes('1 सहकर्मी और Gmail पर 1 नागरिक'),
    );
    await page.locator('.composer-foot .primary').click();
    await page.waitForSelector('.label-choice .field-error');
    await page.keyboard.press('Enter');
    await page.waitForSelector('[role=menuitemradio]:focus');
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('Enter');
    await page.locator('.subject-field input').fill('परीक्षण');
    await page.locator('.composer-foot .primary').click();
    await page.waitForSelector('.refusal');
    assert.match(await text(page, '.refusal-what'), /वेबमेल/);
    assert.match(await text(page, '.refusal-rule'), /MAIL-03/);
    await page.locator('.refusal .button', { hasText: 'इस प्राप्तकर्ता को हटाएँ' }).click();
    assert.equal(await page.locator('.composer .chip').count(), 1);
    await page.locator('.composer-foot .primary').click();
    assert.match(await toast(page), /को भेजा गया/);
    assert.ok([...mock.emails.values()].some((e) => e.subject === 'परीक्षण' && e.mailboxIds.m2));
    return page;
  },
  async 'a draft is on the server within a second and survives a reload'(url, browser, mock) {
    const page = await open(browser, url);
    await page.keyboard.press('c');
    await page.waitForSelector('.composer .editor');
    await page.locator('.subject-field input').fill('unfinished business');
    const at = Date.now();
    await page.waitForFunction(() => document.querySelector('.saved')?.textContent === 'Saved');
    assert.ok(
      [...mock.emails.values()].filter((e) => e.subject === 'unfinished business').length === 1,
      'one copy',
    );
    console.log(`      saved after ${Date.now() - at} ms`);
    await page.locator('.editor').click();
    await page.keyboard.type('last words');
    await page.reload();
    await page.waitForSelector('.composer .editor');
    assert.match(await text(page, '.editor'), /last words/);
    return page;
  },
  async 'keys typed right after c never act on the letters'(url, browser, mock) {
    const page = await open(browser, url);
    await page.keyboard.press('j');
    const archived = () => [...mock.emails.values()].filter((e) => e.mailboxIds.m3).length;
    const before = archived();
    for (let i = 0; i < 2; i++) {
      await page.keyboard.press('c');
      await page.keyboard.type('eee##!sx');
      await page.waitForSelector('.recipients input:focus');
      await page.keyboard.type('ravi.meena@rajya.example,');
      await page.waitForFunction((n) => document.querySelectorAll('.composer .chip').length === n, 1);
      assert.equal(await page.locator('.dock-tab').count(), 0);
      await page.locator('.composer-foot .icon-button').last().click();
      await page.waitForFunction(() => !document.querySelector('.composer'));
    }
    assert.equal(archived(), before);
    return page;
  },
  async 'a slow machine and line: what is typed after c is the recipient, after r the text'(
    url,
    browser,
    mock,
  ) {
    const page = await open(browser, url);
    const cdp = await page.context().newCDPSession(page);
    await cdp.send('Emulation.setCPUThrottlingRate', { rate: 6 });
    // The first window's code comes late, and so does the letter answered.
    await page.route('**/assets/composer-*.js', async (r) => {
      await new Promise((done) => setTimeout(done, 1200));
      await r.continue();
    });
    await page.reload();
    await page.waitForSelector('.row:not(.skeleton)');
    const away = () => [...mock.emails.values()].filter((e) => e.mailboxIds.m3 || e.mailboxIds.m5).length;
    const before = away();
    await page.keyboard.press('c');
    await page.keyboard.type('ravi.meena@rajya.example,e#!ju');
    await page.waitForSelector('.composer .editor');
    assert.equal(await page.locator('.composer .chip').count(), 1);
    assert.equal(await page.locator('.recipients input:focus').inputValue(), 'e#!ju');
    await page.locator('.composer-foot .icon-button').last().click();
    await page.waitForFunction(() => !document.querySelector('.composer'));
    await page.locator('#list').focus();
    await page.keyboard.press('j');
    await page.keyboard.press('r');
    await page.keyboard.type('Seen, e#!s done.');
    await page.waitForSelector('.editor:focus');
    assert.match(await text(page, '.editor'), /^Seen, e#!s done\./);
    await page.waitForFunction(() => document.querySelector('.saved')?.textContent === 'Saved');
    assert.ok([...mock.emails.values()].some((e) => e.preview?.startsWith('Seen, e#!s done.')));
    assert.equal(away(), before);
    return page;
  },
  async 'before a label the advice neither warns nor refuses'(url, browser) {
    const page = await open(browser, url);
    await page.keyboard.press('c');
    await page.keyboard.type('suresh.chand1961@gmail.com,');
    await page.waitForFunction(() => document.querySelector('.advice strong')?.textContent.includes('Gmail'));
    assert.match(await text(page, '.advice'), /choose a label; until then the letter counts as official/);
    assert.equal(await page.locator('.chip.blamed, .advice-refuse, .why').count(), 0);
    const choose = async (n) => {
      await page.locator('.label-menu > button').click();
      await page.locator('.label-menu [role=menuitemradio]').nth(n).click();
    };
    await choose(1);
    await page.waitForSelector('.why.advice-refuse');
    assert.equal(await page.locator('.chip.blamed').count(), 1);
    await choose(0);
    assert.equal(await page.locator('.chip.blamed, .advice-refuse, .why').count(), 0);
    await page.waitForSelector('.advice-allow');
    return page;
  },
  async 'attach a file'(url, browser, mock) {
    const page = await open(browser, url);
    await page.keyboard.press('c');
    await page.waitForSelector('.composer .editor');
    await page
      .locator('.composer input[type=file]')
      .setInputFiles({ name: 'सूची.txt', mimeType: 'text/plain', buffer: Buffer.from('एक') });
    await page.waitForFunction(() => document.querySelector('.saved')?.textContent === 'Saved');
    assert.equal(
      [...mock.emails.values()].find((e) => e.attachments?.[0]?.name === 'सूची.txt')?.attachments.length,
      1,
    );
    return page;
  },
  async 'hostile HTML neither runs nor calls home; links say where they go'(url, browser) {
    const page = await open(browser, url);
    await page.keyboard.press('/');
    await page.keyboard.type('from:digest');
    await page.keyboard.press('Enter');
    await page.waitForFunction(() =>
      document.querySelector('.row:not(.skeleton) .row-from')?.textContent.includes('Digest'),
    );
    await page.locator('.row').first().click();
    const frame = page.frameLocator('.html-body iframe');
    await frame.locator('table').waitFor();
    assert.match(await text(page, '.remote-bar'), /2 pictures/);
    assert.equal(await frame.locator('script').count(), 0);
    assert.equal(await frame.locator('a[data-odd]').getAttribute('data-host'), 'login.example.org');
    // The walls behind the sanitiser: a script put into the frame by force.
    const ran = await page.evaluate(async () => {
      const doc = document.querySelector('.html-body iframe').contentDocument;
      const el = doc.createElement('script');
      el.textContent = 'document.documentElement.dataset.ran = 1';
      doc.body.append(el);
      doc.body.insertAdjacentHTML(
        'beforeend',
        '<img src="x" onerror="document.documentElement.dataset.ran = 1"><img src="https://pixel.example/x.gif">',
      );
      await new Promise((r) => setTimeout(r, 300));
      return doc.documentElement.dataset.ran ?? 'no';
    });
    assert.equal(ran, 'no');
    page.trouble = page.trouble.filter((x) => !/^console:/.test(x)); // the walls complain, as they should
    return page;
  },
  async 'a new letter appears and is announced without a reload'(url, browser, mock) {
    const page = await open(browser, url, { lang: 'hi' });
    mock.deliver({ name: 'अनीता शर्मा', email: 'anita.sharma@rajya.example' }, 'अभी-अभी');
    await page.waitForFunction(
      () => document.querySelector('.row[aria-rowindex="1"] .row-subject')?.textContent === 'अभी-अभी',
    );
    await page.waitForFunction(() =>
      [...document.querySelectorAll('[aria-live]')].some((x) =>
        x.textContent.includes('अनीता शर्मा का नया पत्र'),
      ),
    );
    return page;
  },
  async 'change the language at any time'(url, browser) {
    const page = await open(browser, url, { lang: 'en' });
    await page.locator('.topbar .lang-switch').click();
    await page.waitForFunction(
      () =>
        document.documentElement.lang === 'hi' &&
        document.querySelector('.list-head h1').textContent === 'आवक',
    );
    await page.reload();
    return page;
  },
  async 'the same keys on an InScript keyboard'(url, browser) {
    const page = await open(browser, url);
    // On InScript the J key types र.
    await page.evaluate(() =>
      document.body.dispatchEvent(new KeyboardEvent('keydown', { key: 'र', code: 'KeyJ', bubbles: true })),
    );
    await page.waitForSelector('.message .body');
    return page;
  },
  async 'a phone: open, swipe to archive, write full screen'(url, browser) {
    const page = await open(browser, url, { size: 'phone', lang: 'hi' });
    const before = await subjects(page);
    await page.evaluate(() => {
      const el = document.querySelector('.row[aria-rowindex="2"]');
      const r = el.getBoundingClientRect();
      const at = (x) => [new Touch({ identifier: 1, target: el, clientX: x, clientY: r.top + 20 })];
      const fire = (type, x) =>
        el.dispatchEvent(new TouchEvent(type, { touches: type === 'touchend' ? [] : at(x), bubbles: true }));
      fire('touchstart', 30);
      fire('touchmove', 100);
      fire('touchmove', 180);
      fire('touchend', 180);
    });
    await page.waitForFunction(
      (s) => document.querySelector('.row[aria-rowindex="2"] .row-subject')?.textContent === s,
      before[2],
    );
    await page.locator('.bottombar .primary').tap();
    await page.waitForSelector('.composer .editor');
    const box = await page.locator('.composer').boundingBox();
    assert.equal(Math.round(box.width), 390);
    return page;
  },
};

const browser = await launch();
let failed = 0;
for (const [name, run] of Object.entries(TASKS)) {
  if (!only.test(name)) continue;
  const s = await serve({ mails: 100_000 });
  try {
    const page = await run(s.url, browser, s.mock);
    assert.deepEqual(page.trouble, [], 'no errors, no requests to other hosts');
    console.log(`  ok  ${name}`);
  } catch (e) {
    failed++;
    await browser.contexts()[0]?.pages()[0]?.screenshot({ path: '/tmp/fail.png' });
    console.log(`FAIL  ${name}\n      ${String(e.stack).split('\n').slice(0, 14).join('\n      ')}`);
  }
  for (const c of browser.contexts()) await c.close();
  await s.close();
}
await browser.close();
process.exit(failed ? 1 : 0);
