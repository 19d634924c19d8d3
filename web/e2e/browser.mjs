// A browser for the tests: system Chromium, no network but this machine.
import { chromium } from 'playwright-core';

export const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
const ARGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

export const SIZES = {
  desktop: { width: 1360, height: 850 },
  tablet: { width: 820, height: 1100 },
  phone: { width: 390, height: 844 },
};

export const launch = () => chromium.launch({ executablePath: CHROMIUM, headless: true, args: ARGS });

/** A page of the webmail, signed in, in one language, theme and size. Errors
 * of the page and requests to other hosts are gathered in `page.trouble`. */
export async function open(
  browser,
  url,
  { lang = 'en', theme = 'light', size = 'desktop', signedIn = true, density = 'comfortable' } = {},
) {
  const context = await browser.newContext({
    viewport: SIZES[size],
    colorScheme: theme,
    locale: lang === 'hi' ? 'hi-IN' : 'en-IN',
    timezoneId: 'Asia/Kolkata',
    hasTouch: size === 'phone',
    isMobile: size === 'phone',
    deviceScaleFactor: 1,
  });
  if (signedIn) await context.addCookies([{ name: 'mohar', value: '1', url }]);
  await context.addInitScript(
    ([l, d]) => {
      localStorage.setItem('mohar.lang', l);
      localStorage.setItem('mohar.density', d);
    },
    [lang, density],
  );
  const page = await context.newPage();
  page.trouble = [];
  page.on('pageerror', (e) => page.trouble.push(`error: ${e.message}`));
  page.on('console', (m) => m.type() === 'error' && page.trouble.push(`console: ${m.text()}`));
  page.on('request', (r) => {
    if (!r.url().startsWith(url) && !/^(data|blob|about):/.test(r.url()))
      page.trouble.push(`request to ${r.url()}`);
  });
  // Chromium reports a request before its policy stops it.
  page.on('requestfailed', (r) => {
    if (r.failure()?.errorText !== 'csp') return;
    page.trouble = page.trouble.filter((x) => x !== `request to ${r.url()}`);
  });
  await page.goto(`${url}/`);
  await page.waitForSelector(signedIn ? '.row:not(.skeleton)' : '.signin');
  return page;
}
