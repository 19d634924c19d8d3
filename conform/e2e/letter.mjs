// The way of a letter, with the programs that people use: Chromium on the
// webmail, mbsync and curl on IMAP, swaks on submission, and a citizen in the
// outside world. Run by e2e_test.go against a running demo:
//
//     node letter.mjs HTTPS_URL OPS_URL USER PASSWORD COLLEAGUE SHOTS
//
// Prints a line for each step; exits with 1 at the first that does not hold.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const [https, ops, user, password, colleague, shots] = process.argv.slice(2);
const require = createRequire(new URL('../../web/package.json', import.meta.url));
const { chromium } = require('playwright-core');

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
const context = await browser.newContext({ ignoreHTTPSErrors: true, viewport: { width: 1360, height: 850 }, locale: 'hi-IN', timezoneId: 'Asia/Kolkata' });
const page = await context.newPage();
const trouble = [];
page.on('pageerror', (e) => trouble.push(`error: ${e.message}`));
page.on('request', (r) => {
  if (!r.url().startsWith(https) && !/^(data|blob|about):/.test(r.url())) trouble.push(`request to ${r.url()}`);
});

const CITIZEN = 'gauri.sahu@gmail.com';
const mark = `e2e-${Date.now()}`;
const said = (text) => console.log(`ok ${text}`);
const shot = (name) => page.screenshot({ path: join(shots, `${name}.png`) });
const toast = async (pattern) => {
  await page.waitForFunction((p) => new RegExp(p).test(document.querySelector('.toast')?.textContent ?? ''), pattern.source);
};

/** The menu of labels: the one with this word is chosen by keyboard-free click. */
async function label(word) {
  await page.locator('.composer .label-choice button, .composer .label-menu > button').first().click();
  await page.locator('[role=menuitemradio]', { hasText: word }).first().click();
}

async function compose(to, subject, text, word) {
  await page.keyboard.press('c');
  await page.waitForSelector('.composer .editor');
  await page.locator('.composer input:not([type=file])').first().focus();
  await page.keyboard.type(`${to},`);
  await page.locator('.subject-field input').fill(subject);
  await page.locator('.editor').click();
  await page.keyboard.type(text);
  await label(word);
}

const send = () => page.locator('.composer-foot .primary').click();

async function outside(path, form) {
  const r = await fetch(`${ops}${path}`, {
    method: form ? 'POST' : 'GET', headers: { Accept: 'application/json' }, body: form && new URLSearchParams(form),
  });
  return r.json();
}

/** Asks until there is an answer; the test's own time limit ends it. */
async function until(what) {
  for (;;) {
    const got = await what();
    if (got) return got;
    await new Promise((r) => setTimeout(r, 100));
  }
}

process.on('uncaughtException', async (e) => {
  console.error(e);
  await shot('failed').catch(() => {});
  process.exit(1);
});

await page.goto(`${https}/`);
await page.waitForSelector('.signin');
await page.keyboard.type(user);
await page.keyboard.press('Tab');
await page.keyboard.type(password);
await page.keyboard.press('Enter');
await page.waitForSelector('.row:not(.skeleton)');
await shot('1-inbox');
said('an official signs in on the web');

const OPEN = /सार्वजनिक|अवर्गीकृत/;
const OFFICIAL = /कार्यालयीन|सरकारी/;

await compose(colleague, `${mark} सहकर्मी को`, 'कृपया देखें।', OFFICIAL);
await send();
await toast(/भेजा गया/);
said('and writes to a colleague');

await compose(CITIZEN, `${mark} नागरिक को`, 'आपकी सड़क का काम सोमवार से शुरू होगा।', OPEN);
await page.waitForFunction(() => /Gmail/.test(document.querySelector('.advice')?.textContent ?? ''));
await shot('2-advice');
await send();
await toast(/भेजा गया/);
said('and to a citizen at an outside provider');

const arrived = await until(async () => (await outside(`/outside?to=${CITIZEN}`)).find((m) => m.subject === `${mark} नागरिक को`));
assert.match(arrived.text, /सोमवार/);
assert.ok(arrived.signed, 'the letter is signed');
said('the citizen gets it, signed');

const answer = await outside('/outside/send', { from: CITIZEN, to: user, subject: `Re: ${mark} नागरिक को`, text: 'धन्यवाद।', reply: String(arrived.id) });
assert.ok(answer.ok, answer.reply);
await page.waitForFunction((m) => [...document.querySelectorAll('.row:not(.skeleton) .row-subject')].some((x) => x.textContent.includes(m)), `Re: ${mark} नागरिक को`);
await page.locator('.row:not(.skeleton)', { hasText: mark }).first().click();
await page.waitForSelector('.message .body');
await shot('3-answer');
said('the answer shows up in the open page, in its thread');

await compose(CITIZEN, `${mark} गलत`, 'यह भीतर की बात है।', OFFICIAL);
await send();
await page.waitForSelector('.refusal');
await shot('4-refusal');
const refusal = await page.locator('.refusal').innerText();
assert.match(refusal, /DLP-FOREIGN-OFFICIAL/);
assert.match(refusal, /वेबमेल/);
said('what must not leave is refused on the page, with rule and reason in Hindi');

assert.deepEqual(trouble, []);
said('no error in the page, no request to another host');
await browser.close();
console.log(`mark ${mark}`);
