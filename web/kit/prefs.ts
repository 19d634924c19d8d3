/** How the page looks: theme and density, remembered on this machine. */
import { effect, signal } from '@preact/signals';
import { lang } from './i18n';

export type Theme = 'auto' | 'light' | 'dark';
export type Density = 'comfortable' | 'compact';

function read(key: string, allowed: string[], otherwise: string): string {
  try {
    const v = localStorage.getItem(key);
    return v && allowed.includes(v) ? v : otherwise;
  } catch {
    return otherwise;
  }
}
function write(key: string, v: string): void {
  try {
    localStorage.setItem(key, v);
  } catch {
    // Private mode: lasts for this page.
  }
}

export const theme = signal<Theme>(read('mohar.theme', ['auto', 'light', 'dark'], 'auto') as Theme);
export const density = signal<Density>(
  read('mohar.density', ['comfortable', 'compact'], 'comfortable') as Density,
);
/** The theme in force, after the system's wish. */
export const dark = signal(false);

/** Viewport classes of the layout: three panes, list or letter, phone. */
export type Width = 'wide' | 'medium' | 'narrow';
export const width = signal<Width>('wide');

/** Binds the preferences to the document; returns what unbinds them. */
export function startPrefs(): () => void {
  const scheme = matchMedia('(prefers-color-scheme: dark)');
  const wide = matchMedia('(min-width: 900px)');
  const medium = matchMedia('(min-width: 600px)');
  const onScheme = () => {
    dark.value = theme.value === 'dark' || (theme.value === 'auto' && scheme.matches);
  };
  const onWidth = () => {
    width.value = wide.matches ? 'wide' : medium.matches ? 'medium' : 'narrow';
  };
  onWidth();
  const stop = effect(() => {
    onScheme();
    const root = document.documentElement;
    root.dataset.theme = dark.value ? 'dark' : 'light';
    root.dataset.density = density.value;
    root.lang = lang.value;
    write('mohar.theme', theme.value);
    write('mohar.density', density.value);
  });
  scheme.addEventListener('change', onScheme);
  wide.addEventListener('change', onWidth);
  medium.addEventListener('change', onWidth);
  return () => {
    stop();
    scheme.removeEventListener('change', onScheme);
    wide.removeEventListener('change', onWidth);
    medium.removeEventListener('change', onWidth);
  };
}
