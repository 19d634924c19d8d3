/** Recipients as chips, with completion (ARIA combobox with a listbox). */
import type { Signal } from '@preact/signals';
import type { JSX } from 'preact';
import { useId, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { isAddress, parseAddresses, shownName, unique } from '../data/address';
import { people } from '../data/people';
import { standingOf } from '../data/standing';
import { me } from '../data/store';
import type { Address, RecipientClass } from '../data/types';
import { t } from '../kit/i18n';
import { Icon } from '../kit/icons';

interface Props {
  label: string;
  value: Signal<Address[]>;
  classes: Map<string, RecipientClass>;
  /** Addresses that a reason of the policy names. */
  blamed: Set<string>;
  onChange: () => void;
  autoFocus?: boolean;
  end?: JSX.Element | false;
}

export function Recipients(p: Props): JSX.Element {
  const [text, setText] = useState('');
  const [at, setAt] = useState(0);
  const input = useRef<HTMLInputElement>(null);
  useLayoutEffect(() => {
    if (p.autoFocus) input.current?.focus();
  }, []);
  const id = useId();
  const mine = me.value?.address ?? '';
  const hits = text.length
    ? people.find(text, mine).filter((a) => !p.value.value.some((b) => b.email === a.email))
    : [];

  const set = (list: Address[]) => {
    p.value.value = unique(list);
    p.onChange();
  };
  const add = (list: Address[]) => {
    if (list.length) set([...p.value.peek(), ...list]);
    setText('');
    setAt(0);
  };
  const takeText = () => {
    const v = text.trim();
    if (v) add(parseAddresses(v).map((a) => people.named(a)));
  };
  const onKey = (e: KeyboardEvent) => {
    if (e.isComposing) return;
    if (hits.length && (e.key === 'ArrowDown' || e.key === 'ArrowUp')) {
      e.preventDefault();
      setAt((at + (e.key === 'ArrowDown' ? 1 : hits.length - 1)) % hits.length);
    } else if (hits.length && (e.key === 'Enter' || e.key === 'Tab') && !e.shiftKey && !e.ctrlKey) {
      e.preventDefault();
      const hit = hits[at];
      if (hit) add([hit]);
    } else if (
      (e.key === 'Enter' || e.key === ',' || e.key === ';' || e.key === 'Tab') &&
      text.trim() &&
      !e.ctrlKey
    ) {
      if (e.key !== 'Tab') e.preventDefault();
      takeText();
    } else if (e.key === ' ' && isAddress(text.trim())) {
      e.preventDefault();
      takeText();
    } else if (e.key === 'Backspace' && !text && p.value.peek().length) {
      // The last chip becomes text again, so that a typing error can be mended.
      const last = p.value.peek()[p.value.peek().length - 1]!;
      set(p.value.peek().slice(0, -1));
      setText(last.email);
      e.preventDefault();
    } else if (e.key === 'Escape' && hits.length) {
      e.stopPropagation();
      setText('');
    }
  };
  return (
    <div class="recipients" onClick={(e) => e.target === e.currentTarget && input.current?.focus()}>
      <label for={id}>{p.label}</label>
      <div class="chips">
        {p.value.value.map((a) => {
          const bad = !isAddress(a.email);
          const cls = p.classes.get(a.email.toLowerCase());
          const near = cls ? cls === 'own' || cls === 'government' : standingOf(a, null, mine) !== 'outside';
          const blamed = p.blamed.has(a.email.toLowerCase());
          return (
            <span
              key={a.email}
              class={`chip ${bad ? 'bad' : near ? 'near' : 'far'} ${blamed ? 'blamed' : ''}`}
              title={a.email}
            >
              {bad || blamed ? <Icon name="warn" /> : !near && <Icon name="outside" />}
              <span class="chip-name">{shownName(a)}</span>
              {bad && <span class="sr-only">{t('chip.bad')}</span>}
              <button
                type="button"
                aria-label={t('chip.remove', { name: a.email })}
                onClick={() => {
                  set(p.value.peek().filter((x) => x !== a));
                  input.current?.focus();
                }}
              >
                <Icon name="close" />
              </button>
            </span>
          );
        })}
        <input
          ref={input}
          id={id}
          type="text"
          inputMode="email"
          autocomplete="off"
          autocapitalize="none"
          spellcheck={false}
          role="combobox"
          aria-expanded={hits.length > 0}
          aria-controls={`${id}-list`}
          aria-autocomplete="list"
          aria-activedescendant={hits.length ? `${id}-${at}` : undefined}
          value={text}
          onInput={(e) => {
            setText(e.currentTarget.value);
            setAt(0);
          }}
          onKeyDown={onKey}
          onBlur={takeText}
          onPaste={(e) => {
            const v = e.clipboardData?.getData('text/plain') ?? '';
            if (!/[,;\n]/.test(v)) return;
            e.preventDefault();
            add(parseAddresses(v).map((a) => people.named(a)));
          }}
        />
        <ul
          class="completions"
          role="listbox"
          id={`${id}-list`}
          aria-label={t('chip.suggestions')}
          hidden={!hits.length}
        >
          {hits.map((a, i) => (
            <li
              key={a.email}
              id={`${id}-${i}`}
              role="option"
              aria-selected={i === at}
              onPointerDown={(e) => {
                e.preventDefault();
                add([a]);
              }}
            >
              <span>{a.name ?? a.email}</span>
              {a.name && <small>{a.email}</small>}
            </li>
          ))}
        </ul>
      </div>
      {p.end}
    </div>
  );
}
