// How to get to each view of the webmail.
const row = (page, n) => page.locator('.row:not(.skeleton)').nth(n).click();
const letter = (page) => page.waitForSelector('.message .body');

async function write(page, to, label) {
  await page.keyboard.press('c');
  await page.waitForSelector('.composer .editor');
  const box = page.locator('.recipients input').first();
  for (const a of to) {
    await box.fill(a);
    await box.press(',');
  }
  if (label) {
    await page.locator('.label-menu > button').click();
    await page.locator('.label-menu [role=menuitemradio]').nth(label).click();
  }
  await page.locator('.subject-field input').fill('जन सुनवाई की तैयारी');
  await page.locator('.editor').click();
  await page.keyboard.type('महोदय, आपका आवेदन मिल गया है।');
  await page.waitForTimeout(700);
}

export const VIEWS = {
  signin: { go: async () => {} },
  list: { go: async () => {} },
  compact: { density: 'compact', go: async (p) => row(p, 3) },
  letter: {
    go: async (p) => {
      await row(p, 1);
      await letter(p);
    },
  },
  html: {
    go: async (p) => {
      await p.locator('#search').fill('from:digest');
      await p.locator('#search').press('Enter');
      await p.waitForTimeout(300);
      await row(p, 0);
      await letter(p);
    },
  },
  thread: {
    go: async (p) => {
      await p.locator('.row:has(.row-count)').first().click();
      await letter(p);
    },
  },
  compose: {
    go: (p) =>
      write(p, ['anita.sharma@rajya.example', 'ravi.meena@rajya.example', 'suresh.chand1961@gmail.com'], 0),
  },
  warned: { go: (p) => write(p, ['anita.sharma@rajya.example', 'suresh.chand1961@gmail.com'], 1) },
  labels: {
    go: async (p) => {
      await write(p, ['anita.sharma@rajya.example'], null);
      await p.locator('.label-menu > button').click();
    },
  },
  refused: {
    go: async (p) => {
      await write(p, ['anita.sharma@rajya.example', 'suresh.chand1961@gmail.com'], 1);
      await p.locator('.composer-foot .primary').click();
      await p.waitForSelector('.refusal');
      await p.waitForTimeout(200);
    },
  },
  reply: {
    go: async (p) => {
      await row(p, 1);
      await letter(p);
      await p.keyboard.press('r');
      await p.waitForSelector('.composer .editor');
      await p.keyboard.type('महोदय, स्वीकृति आज जारी कर दी गई है।');
      await p.waitForTimeout(1200);
    },
  },
  help: {
    go: async (p) => {
      await p.keyboard.press('?');
    },
  },
  search: {
    go: async (p) => {
      await p.locator('#search').fill('विषय:बजट zzz');
      await p.locator('#search').press('Enter');
      await p.waitForSelector('.empty');
    },
  },
  selection: {
    go: async (p) => {
      for (const k of ['j', 'x', 'j', 'x']) await p.keyboard.press(k);
    },
  },
};
