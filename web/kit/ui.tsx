/** Building blocks: button, dialog, menu, label chip, standing, toast. */
import { type Signal, signal } from '@preact/signals';
import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useId, useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { Label } from '../data/types';
import { type Key, t } from './i18n';
import { Icon, type IconName } from './icons';

/** A button that is an icon; its name is read aloud and shown as a tip with
 * the key that does the same. */
export function IconButton(p: {
  icon: IconName;
  label: string;
  keys?: string;
  onClick: (e: MouseEvent) => void;
  pressed?: boolean;
  filled?: boolean;
  disabled?: boolean;
  class?: string;
}): JSX.Element {
  return (
    <button
      type="button"
      class={`icon-button ${p.class ?? ''}`}
      aria-label={p.label}
      aria-pressed={p.pressed}
      title={p.keys ? `${p.label} (${p.keys})` : p.label}
      disabled={p.disabled}
      onClick={p.onClick}
    >
      <Icon name={p.icon} filled={p.filled} />
    </button>
  );
}

export function Button(p: {
  children: ComponentChildren;
  onClick?: (e: MouseEvent) => void;
  kind?: 'primary' | 'plain' | 'danger' | 'quiet';
  type?: 'button' | 'submit';
  disabled?: boolean;
  title?: string;
  icon?: IconName;
}): JSX.Element {
  return (
    <button
      type={p.type ?? 'button'}
      class={`button ${p.kind ?? 'plain'}`}
      disabled={p.disabled}
      title={p.title}
      onClick={p.onClick}
    >
      {p.icon && <Icon name={p.icon} />}
      <span>{p.children}</span>
    </button>
  );
}

/** A modal dialog over <dialog>: focus is kept inside and given back, Escape
 * closes, the page behind is inert. */
export function Dialog(p: {
  title: string;
  onClose: () => void;
  children: ComponentChildren;
  class?: string;
  role?: 'alertdialog';
}): JSX.Element {
  const ref = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const before = document.activeElement as HTMLElement | null;
    ref.current?.showModal();
    return () => before?.focus?.();
  }, []);
  return (
    <dialog
      ref={ref}
      class={`dialog ${p.class ?? ''}`}
      role={p.role}
      aria-labelledby={id}
      onCancel={(e) => {
        e.preventDefault();
        p.onClose();
      }}
      onClick={(e) => e.target === ref.current && p.onClose()}
    >
      <div class="dialog-box">
        <header class="dialog-head">
          <h2 id={id}>{p.title}</h2>
          <IconButton icon="close" label={t('close')} keys="Esc" onClick={p.onClose} />
        </header>
        {p.children}
      </div>
    </dialog>
  );
}

export interface MenuItem {
  label: string;
  onChoose: () => void;
  icon?: IconName;
  /** Drawn in the icon's place. */
  mark?: JSX.Element;
  checked?: boolean;
  hint?: string;
  disabled?: boolean;
}

/** A button with a menu (ARIA menu button pattern: arrows, Home, End, letters). */
export function Menu(p: {
  label: string;
  items: MenuItem[];
  children: ComponentChildren;
  class?: string;
  align?: 'start' | 'end';
  up?: boolean;
}): JSX.Element {
  const [open, setOpen] = useState(false);
  const box = useRef<HTMLDivElement>(null);
  const items = () => [
    ...(box.current?.querySelectorAll<HTMLElement>('[role^=menuitem]:not([disabled])') ?? []),
  ];
  useLayoutEffect(() => {
    if (!open) return;
    (items().find((x) => x.getAttribute('aria-checked') === 'true') ?? items()[0])?.focus();
    const away = (e: Event) => !box.current?.contains(e.target as Node) && setOpen(false);
    document.addEventListener('pointerdown', away);
    return () => document.removeEventListener('pointerdown', away);
  }, [open]);
  const close = () => {
    setOpen(false);
    box.current?.querySelector<HTMLElement>('[aria-haspopup]')?.focus();
  };
  const onKey = (e: KeyboardEvent) => {
    if (!open) return;
    const list = items();
    const at = list.indexOf(document.activeElement as HTMLElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1 + list.length, Home: 0, End: list.length - 1 }[e.key];
    if (to !== undefined) list[to % list.length]?.focus();
    else if (e.key === 'Escape') close();
    else if (e.key === 'Tab') setOpen(false);
    else if (e.key.length === 1 && e.key !== ' ') {
      list.find((x) => x.textContent?.trim().toLowerCase().startsWith(e.key.toLowerCase()))?.focus();
    } else return;
    e.stopPropagation();
    if (e.key !== 'Tab') e.preventDefault();
  };
  return (
    <div class={`menu ${p.class ?? ''}`} ref={box} onKeyDown={onKey}>
      <button
        type="button"
        class="menu-button"
        aria-haspopup="menu"
        aria-expanded={open}
        aria-label={p.label}
        title={p.label}
        onClick={() => setOpen(!open)}
      >
        {p.children}
      </button>
      {open && (
        <div role="menu" aria-label={p.label} class={`menu-list ${p.align ?? 'start'} ${p.up ? 'up' : ''}`}>
          {p.items.map((i) => (
            <button
              type="button"
              role={i.checked === undefined ? 'menuitem' : 'menuitemradio'}
              aria-checked={i.checked}
              disabled={i.disabled}
              tabIndex={-1}
              key={i.label}
              onClick={() => {
                close();
                i.onChoose();
              }}
            >
              {i.icon && <Icon name={i.icon} />}
              {i.mark}
              <span>
                {i.label}
                {i.hint && <small>{i.hint}</small>}
              </span>
              {i.checked && <Icon name="check" />}
            </button>
          ))}
        </div>
      )}
    </div>
  );
}

/** Shapes that tell the labels apart without colour: more ink, more secret. */
const SHAPES: Record<Label, string> = {
  open: 'M6 2a4 4 0 1 1 0 8a4 4 0 1 1 0-8z',
  official: 'M6 1.500a4.5 4.5 0 1 1 0 9a4.5 4.5 0 1 1 0-9z',
  restricted: 'M6 1.5 11 10.500H1z',
  confidential: 'M6 .8 11.2 6 6 11.2.8 6z',
  secret: 'M1.5 1.500h9v9h-9z',
  'top-secret': 'M.8 .8h4.600v10.400H.8z M6.6 .8h4.600v10.400H6.600z',
};

export function LabelShape({ label }: { label: Label }): JSX.Element {
  return (
    <svg class="label-shape" viewBox="0 0 12 12" width="10" height="10" aria-hidden="true" focusable="false">
      <path d={SHAPES[label]} class={label === 'open' ? 'hollow' : ''} />
    </svg>
  );
}

export const labelName = (l: Label): string => t(`label.${l}` as Key);

/** The label of a letter: word, shape and colour, the same everywhere. */
export function LabelChip({ label, small }: { label: Label; small?: boolean }): JSX.Element {
  return (
    <span class={`label-chip label-${label} ${small ? 'small' : ''}`}>
      <LabelShape label={label} />
      <span>{labelName(label)}</span>
    </span>
  );
}

export interface Toast {
  text: string;
  action?: { label: string; run: () => void };
  alert?: boolean;
}
/** Shown one at a time; a new one takes the old one's place. */
export const toast: Signal<Toast | null> = signal(null);
/** Said by screen readers without being shown. */
export const spoken: Signal<string> = signal('');

/** Time to reach for "Undo"; long enough to read a sentence twice. */
const TOAST_MS = 8000;

export function say(text: string): void {
  spoken.value = '';
  queueMicrotask(() => {
    spoken.value = text;
  });
}

export function Toasts(): JSX.Element {
  const v = toast.value;
  useEffect(() => {
    if (!v) return;
    const id = setTimeout(() => {
      if (toast.peek() === v) toast.value = null;
    }, TOAST_MS);
    return () => clearTimeout(id);
  }, [v]);
  return (
    <>
      <div class="toasts" role="status" aria-live="polite">
        {v && (
          <div class={`toast ${v.alert ? 'alert' : ''}`}>
            <span>{v.text}</span>
            {v.action && (
              <button type="button" class="toast-action" onClick={v.action.run}>
                {v.action.label}
              </button>
            )}
            <IconButton icon="close" label={t('close')} onClick={() => (toast.value = null)} />
          </div>
        )}
      </div>
      <div class="sr-only" aria-live="polite">
        {spoken.value}
      </div>
    </>
  );
}
