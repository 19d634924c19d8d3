import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import en from './catalog/en.json';
import hi from './catalog/hi.json';
import { fileSize, shortDate } from './format';
import { preferred, translate } from './i18n';

const texts = (v: string | { one: string; other: string }): string[] =>
  typeof v === 'string' ? [v] : [v.one, v.other];
const names = (v: string | { one: string; other: string }): string[] =>
  [...new Set(texts(v).flatMap((x) => [...x.matchAll(/\{(\w+)\}/g)].map((m) => m[1]!)))]
    .filter((x) => x !== 'n')
    .sort();

function sources(dir: string): string {
  return readdirSync(dir, { withFileTypes: true })
    .map((f) =>
      f.isDirectory()
        ? sources(`${dir}/${f.name}`)
        : /\.tsx?$/.test(f.name) && !/\.test\./.test(f.name)
          ? readFileSync(`${dir}/${f.name}`, 'utf8')
          : '',
    )
    .join('\n');
}

describe('catalogues', () => {
  it('hold the same keys in the same order', () => {
    expect(Object.keys(hi)).toEqual(Object.keys(en));
  });
  it.each(Object.entries(en))('%s is said in both languages', (key, value) => {
    const other = (hi as Record<string, string | { one: string; other: string }>)[key]!;
    expect(typeof other).toBe(typeof value);
    expect(names(other)).toEqual(names(value));
    for (const x of [...texts(value), ...texts(other)]) {
      expect(x.trim()).toBe(x);
      expect(x).not.toBe('');
      expect(x).not.toContain('!');
    }
    if (key !== 'advice.who')
      for (const x of texts(other)) expect(x, 'Devanagari').toMatch(/[\u0900-\u097f]/);
    for (const x of texts(value))
      expect(x, 'no Devanagari in English').not.toMatch(key.startsWith('help.') ? /^$/ : /[\u0900-\u097f]/);
  });
  it('hold nothing that is not used', () => {
    const all = sources('webmail') + sources('kit');
    const dynamic = [...all.matchAll(/t\(\s*`([\w.]+?)\$\{/g)].map((m) => m[1]!);
    const unused = Object.keys(en).filter(
      (k) => !all.includes(`'${k}'`) && !dynamic.some((d) => k.startsWith(d)),
    );
    expect(unused).toEqual([]);
  });
});

it('leaves no words in the markup', () => {
  // Text between tags that has letters and is no expression would stay
  // untranslated.
  const bare = [...sources('webmail').matchAll(/>\s*([A-Za-z][A-Za-z ,.']{2,})\s*<\//g)].map((m) => m[1]);
  expect(bare).toEqual([]);
});

it('picks plurals by the language', () => {
  expect(translate('en', 'selection.count', { n: 0 })).toBe('0 selected');
  expect(translate('hi', 'selection.count', { n: 0 })).toBe('0 चुना गया');
  expect(translate('hi', 'selection.count', { n: 2 })).toBe('2 चुने गए');
  expect(translate('hi', 'count.threads', { n: 123456 })).toBe('1,23,456 वार्तालाप');
});

it.each([
  [['hi-IN', 'en'], null, 'hi'],
  [['en-US', 'hi'], null, 'en'],
  [['ta', 'hi'], null, 'hi'],
  [['ta'], null, 'hi'],
  [['en'], 'hi', 'hi'],
] as const)('prefers by %s and %s', (languages, stored, want) => {
  expect(preferred(languages, stored)).toBe(want);
});

describe('dates', () => {
  const now = new Date(2026, 10, 23, 15, 0).getTime();
  it.each([
    [new Date(2026, 10, 23, 9, 5), 'en', /9:05/],
    [new Date(2026, 10, 22, 23, 59), 'en', /yesterday/i],
    [new Date(2026, 10, 22, 9, 0), 'hi', /कल/],
    [new Date(2026, 10, 18, 9, 0), 'en', /^Wed/],
    [new Date(2026, 5, 2, 9, 0), 'en', /2 Jun/],
    [new Date(2024, 5, 2, 9, 0), 'hi', /2024/],
  ] as const)('%s in %s', (d, l, want) => {
    expect(shortDate(d.toISOString(), now, l)).toMatch(want);
  });
  it('says sizes', () => {
    expect(fileSize(616, 'en')).toMatch(/^1\s?kB$/);
    expect(fileSize(3_400_000, 'en')).toMatch(/3\.4\s?MB/);
  });
});
