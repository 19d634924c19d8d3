/** Keys typed while a writing window is still coming. Its code, and the letter
 * it answers, may take seconds on a slow line; until then a field out of sight
 * has the focus, so that no key is lost and none is taken for a command: an
 * `e` among them would archive a letter. */
import { signal } from '@preact/signals';
import type { JSX } from 'preact';
import { t } from '../kit/i18n';

/** From the key press until the writing window has the focus. */
export const opening = signal(false);

const ID = 'typeahead';
const field = () => document.getElementById(ID) as HTMLTextAreaElement | null;

/** Takes the focus, at once; what was caught before and not yet handed over
 * stays. */
export function catchKeys(): void {
  opening.value = true;
  field()?.focus({ preventScroll: true });
}

/** Ends the catching and returns what was typed. Called after the focus went
 * to the window, so that a word being composed (IME) is in it. */
export function takeTyped(): string {
  opening.value = false;
  const f = field();
  const v = f?.value ?? '';
  if (f) f.value = '';
  return v;
}

/** No window came: what was typed had nowhere to go. */
export function dropTyped(): void {
  takeTyped();
  field()?.blur();
}

export function TypeAhead(): JSX.Element {
  return (
    <textarea
      id={ID}
      class="sr-only"
      tabIndex={-1}
      aria-label={t('compose.new')}
      autocapitalize="none"
      autocomplete="off"
      spellcheck={false}
      onKeyDown={(e) => {
        // Tab ends a recipient; the focus must not wander off meanwhile.
        if (e.key !== 'Tab') return;
        e.preventDefault();
        e.currentTarget.value += '\n';
      }}
    />
  );
}
