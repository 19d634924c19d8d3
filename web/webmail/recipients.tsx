/** Recipients as chips, with completion (ARIA combobox with a listbox). */
import type { Signal } from '@preact/signals';
import type { JSX, RefObject } from 'preact';
import { useId, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { isAddress, parseAddresses, shownName, unique } from '../data/address';
import { people } from '../data/people';
import { standingOf } from '../data/standing';
import { me } from '../data/store';
import type { Address, RecipientClass } from '../data/types';
import { t } from '../kit/i18n';
import { Icon } from '../kit/icons';
import { takeTyped } from './typeahead';

interface Props {
  label: string;
  value: Signal<Address[]>;
  classes: Map<string, RecipientClass>;
  /** Addresses that a reason of the policy names. */
  blamed: Set<string>;
  onChange: () => void;
  /** Takes the focus as the window opens, and what was typed before. */
  first?: boolean;
  end?: JSX.Element | false;
}

/** The field's text, its completions, and the list they end in. */
function useField(p: Props, input: RefObject<HTMLInputElement | null>) {
  const [text, setText] = useState('');
  const [at, setAt] = useState(0);
  const mine = me.value?.address ?? '';
  const hits = text.length
    ? people.find(text, mine).filter((a) => !p.value.value.some((b) => b.email === a.email))
    : [];
  const set = (list: Address[]) => {
    p.value.value = unique(list);
    p.onChange();
  };
  const write = (v: string) => {
    setText(v);
    setAt(0);
  };
  const add = (list: Address[]) => {
    if (list.length) set([...p.value.peek(), ...list]);
    write('');
  };
  const parse = (v: string) => add(parseAddresses(v).map((a) => people.named(a)));
  const takeText = () => {
    if (text.trim()) parse(text.trim());
  };
  useLayoutEffect(() => {
    if (!p.first) return;
    input.current?.focus();
    // What stands before the last separator is whole; the rest is still being typed.
    const typed = takeTyped();
    const cut = Math.max(...[',', ';', '\n'].map((c) => typed.lastIndexOf(c))) + 1;
    if (typed.slice(0, cut).trim()) parse(typed.slice(0, cut));
    if (typed.slice(cut)) write(typed.slice(cut));
  }, []);
  const onKey = (e: KeyboardEvent) => {
    if (e.isComposing) return;
    const by = { ArrowDown: 1, ArrowUp: hits.length - 1 }[e.key];
    if (hits.length && by !== undefined) {
      e.preventDefault();
      setAt((at + by) % hits.length);
    } else if (hits.length && (e.key === 'Enter' || e.key === 'Tab') && !e.shiftKey && !e.ctrlKey) {
      e.preventDefault();
      const hit = hits[at];
      if (hit) add([hit]);
    } else if (['Enter', ',', ';', 'Tab'].includes(e.key) && text.trim() && !e.ctrlKey) {
      if (e.key !== 'Tab') e.preventDefault();
      takeText();
    } else if (e.key === ' ' && isAddress(text.trim())) {
      e.preventDefault();
      takeText();
    } else if (e.key === 'Backspace' && !text && p.value.peek().length) {
      // The last chip becomes text again, so that a typing error can be mended.
      const last = p.value.peek()[p.value.peek().length - 1]!;
      set(p.value.peek().slice(0, -1));
      write(last.email);
      e.preventDefault();
    } else if (e.key === 'Escape' && hits.length) {
      e.stopPropagation();
      write('');
    }
  };
  return { text, at, hits, mine, set, write, add, parse, takeText, onKey };
}

function Chip(p: {
  address: Address;
  class: RecipientClass | undefined;
  blamed: boolean;
  mine: string;
  onRemove: () => void;
}): JSX.Element {
  const a = p.address;
  const bad = !isAddress(a.email);
  const near = p.class
    ? p.class === 'own' || p.class === 'government'
    : standingOf(a, null, p.mine) !== 'outside';
  return (
    <span class={`chip ${bad ? 'bad' : near ? 'near' : 'far'} ${p.blamed ? 'blamed' : ''}`} title={a.email}>
      {bad || p.blamed ? <Icon name="warn" /> : !near && <Icon name="outside" />}
      <span class="chip-name">{shownName(a)}</span>
      {bad && <span class="sr-only">{t('chip.bad')}</span>}
      <button type="button" aria-label={t('chip.remove', { name: a.email })} onClick={p.onRemove}>
        <Icon name="close" />
      </button>
    </span>
  );
}

function Completions(p: {
  id: string;
  hits: Address[];
  at: number;
  onChoose: (a: Address) => void;
}): JSX.Element {
  return (
    <ul
      class="completions"
      role="listbox"
      id={`${p.id}-list`}
      aria-label={t('chip.suggestions')}
      hidden={!p.hits.length}
    >
      {p.hits.map((a, i) => (
        <li
          key={a.email}
          id={`${p.id}-${i}`}
          role="option"
          aria-selected={i === p.at}
          onPointerDown={(e) => {
            e.preventDefault();
            p.onChoose(a);
          }}
        >
          <span>{a.name ?? a.email}</span>
          {a.name && <small>{a.email}</small>}
        </li>
      ))}
    </ul>
  );
}

export function Recipients(p: Props): JSX.Element {
  const input = useRef<HTMLInputElement>(null);
  const id = useId();
  const f = useField(p, input);
  return (
    <div class="recipients" onClick={(e) => e.target === e.currentTarget && input.current?.focus()}>
      <label for={id}>{p.label}</label>
      <div class="chips">
        {p.value.value.map((a) => (
          <Chip
            key={a.email}
            address={a}
            class={p.classes.get(a.email.toLowerCase())}
            blamed={p.blamed.has(a.email.toLowerCase())}
            mine={f.mine}
            onRemove={() => {
              f.set(p.value.peek().filter((x) => x !== a));
              input.current?.focus();
            }}
          />
        ))}
        <input
          ref={input}
          id={id}
          type="text"
          inputMode="email"
          autocomplete="off"
          autocapitalize="none"
          spellcheck={false}
          role="combobox"
          aria-expanded={f.hits.length > 0}
          aria-controls={`${id}-list`}
          aria-autocomplete="list"
          aria-activedescendant={f.hits.length ? `${id}-${f.at}` : undefined}
          value={f.text}
          onInput={(e) => f.write(e.currentTarget.value)}
          onKeyDown={f.onKey}
          onBlur={f.takeText}
          onPaste={(e) => {
            const v = e.clipboardData?.getData('text/plain') ?? '';
            if (!/[,;\n]/.test(v)) return;
            e.preventDefault();
            f.parse(v);
          }}
        />
        <Completions id={id} hits={f.hits} at={f.at} onChoose={(a) => f.add([a])} />
      </div>
      {p.end}
    </div>
  );
}
