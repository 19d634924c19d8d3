/**
 * Words in Hindi and English. Catalogues are flat JSON files: key -> text, or
 * key -> {one, other} where the number `n` chooses (CLDR plural rules).
 * `{name}` in a text is filled from the parameters.
 */
import { signal } from '@preact/signals';
import en from './catalog/en.json';
import hi from './catalog/hi.json';

export type Lang = 'hi' | 'en';
export type Key = keyof typeof en;
type Entry = string | { one: string; other: string };

const CATALOGUES: Record<Lang, Record<string, Entry>> = { en, hi };
const STORE = 'mohar.lang';

/** Hindi if the browser prefers it to English, English otherwise; what the
 * reader chose before wins. */
export function preferred(languages: readonly string[], stored: string | null): Lang {
  if (stored === 'hi' || stored === 'en') return stored;
  for (const l of languages) {
    if (/^hi\b/i.test(l)) return 'hi';
    if (/^en\b/i.test(l)) return 'en';
  }
  return 'hi';
}

function stored(): string | null {
  try {
    return localStorage.getItem(STORE);
  } catch {
    return null;
  }
}

export const lang = signal<Lang>(preferred(navigator.languages ?? [navigator.language], stored()));

export function setLang(l: Lang): void {
  lang.value = l;
  try {
    localStorage.setItem(STORE, l);
  } catch {
    // Private mode: the choice lasts for this page.
  }
}

const rules = { en: new Intl.PluralRules('en-IN'), hi: new Intl.PluralRules('hi-IN') };

/** The text for a key in the page's language; `params.n` picks the plural. */
export function t(key: Key, params: Record<string, string | number> = {}): string {
  return translate(lang.value, key, params);
}

export function translate(l: Lang, key: Key, params: Record<string, string | number> = {}): string {
  const e = CATALOGUES[l][key] ?? key;
  let text: string;
  if (typeof e === 'string') text = e;
  else text = rules[l].select(Number(params.n ?? 0)) === 'one' ? e.one : e.other;
  return text.replace(/\{(\w+)\}/g, (_, k: string) => {
    const v = params[k];
    return v === undefined ? '' : typeof v === 'number' ? new Intl.NumberFormat(locale(l)).format(v) : v;
  });
}

export const locale = (l: Lang): string => (l === 'hi' ? 'hi-IN' : 'en-IN');

/** The half of a sentence given in both languages. */
export const pick = (s: { en: string; hi: string }): string => s[lang.value] || s.en || s.hi;
