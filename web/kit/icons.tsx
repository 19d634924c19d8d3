/** The few icons, drawn on one 20-unit grid with one stroke. */
import type { JSX } from 'preact';

const PATHS = {
  inbox: 'M3 11.5h4l1.2 2h3.6l1.2-2h4M3 11.5 5 4.5h10l2 7v4H3z',
  drafts: 'M4 16.5h12M5 13.5 13.5 5l1.8 1.8-8.5 8.5-2.5.7z',
  sent: 'M3.5 10 16.5 4l-4.5 12.5-2.8-5.2z M9.2 11.3 16.5 4',
  archive: 'M3.5 4.5h13v3.5h-13z M4.5 8v7.5h11V8 M8 11h4',
  trash: 'M4.5 6h11 M8 6V4h4v2 M6 6l.7 10h6.6L14 6 M8.6 8.8v4.6 M11.4 8.8v4.6',
  junk: 'M10 3 17 7v6l-7 4-7-4V7z M10 7v3.6 M10 13v.2',
  folder: 'M3 5.5h5l1.5 2H17v8H3z',
  flag: 'M10 3.4l2 4.3 4.7.6-3.5 3.2.9 4.7-4.1-2.3-4.1 2.3.9-4.7-3.5-3.2 4.7-.6z',
  attach: 'M15 9.2l-5.4 5.4a3.2 3.2 0 0 1-4.5-4.5l5.8-5.8a2.1 2.1 0 0 1 3 3l-5.6 5.6a1 1 0 0 1-1.4-1.5l5-5',
  reply: 'M8.5 5 3.5 9.5l5 4.5v-3c4 0 6.5 1 8 4 0-4.5-2.5-7.5-8-7.5z',
  replyAll: 'M6 5 1.8 9.5 6 14 M10 5 5.5 9.5l4.5 4.5v-3c3.6 0 6 1 7.5 4 0-4.5-2.5-7.5-7.5-7.5z',
  forward: 'M11.5 5l5 4.5-5 4.5v-3c-4 0-6.5 1-8 4 0-4.5 2.5-7.5 8-7.5z',
  search: 'M9 3.8a5.2 5.2 0 1 1 0 10.4a5.2 5.2 0 1 1 0-10.4z M12.9 12.9 17 17',
  compose: 'M10.5 4.5h-6v11h11v-6 M8 12l.6-2.6L15 3l2 2-6.4 6.4z',
  close: 'M5 5l10 10M15 5 5 15',
  back: 'M12.5 4.5 7 10l5.5 5.5',
  chevron: 'M7.5 5l5 5-5 5',
  down: 'M5 7.5l5 5 5-5',
  menu: 'M3 5.5h14M3 10h14M3 14.5h14',
  more: 'M4.5 10h.01M10 10h.01M15.5 10h.01',
  check: 'M4 10.5l4 4 8-9',
  download: 'M10 3.5v9 M6.5 9l3.5 3.5L13.5 9 M4 16h12',
  settings: 'M3 6h8M15 6h2M3 14h2M9 14h8 M13 4v4 M7 12v4',
  warn: 'M10 3.5 17.5 16.5h-15z M10 8.5v3.5 M10 14.2v.1',
  outside: 'M8 4.5H4.5v11h11V12 M11.5 4.5h4v4 M15.5 4.5 9 11',
  building: 'M4 16.5V8l6-4 6 4v8.5z M3 16.5h14 M8 16.5v-4h4v4 M7.5 9.5h.01M12.5 9.5h.01',
  person: 'M10 4a2.8 2.8 0 1 1 0 5.6a2.8 2.8 0 1 1 0-5.6z M4.5 16.5c.5-3 2.6-4.5 5.5-4.5s5 1.5 5.5 4.5',
  unread: 'M3 5.5h14v9.5H3z M3 6l7 5 7-5',
  image: 'M3.5 4.5h13v11h-13z M3.5 13l3.8-3.8 3 3 2.2-2.2 4 4 M12.5 7.5h.01',
  bold: 'M6.5 4h4a2.8 2.8 0 0 1 0 5.6h-4zM6.5 9.6h4.8a3.2 3.2 0 0 1 0 6.4H6.5z',
  italic: 'M8.5 4.5h6M5.5 15.5h6M11.5 4.5l-3 11',
  list: 'M8 5.5h9M8 10h9M8 14.5h9M4 5.5h.01M4 10h.01M4 14.5h.01',
  quote: 'M5 5v10M8.5 6.5h8M8.5 10h8M8.5 13.5h5',
  link: 'M8.5 11.5l3-3 M9 6.5l1.5-1.5a3 3 0 0 1 4.5 4.5L13.5 11 M11 13.5 9.5 15A3 3 0 0 1 5 10.5L6.5 9',
  undo: 'M7 4.5 3.5 8 7 11.5 M3.5 8h8a4 4 0 0 1 0 8H8',
  keyboard: 'M2.5 5.5h15v9h-15z M5.5 8.5h.01M8.5 8.5h.01M11.5 8.5h.01M14.5 8.5h.01M6.5 11.8h7',
} as const;

export type IconName = keyof typeof PATHS;

/** Decoration only: the word beside it, or the button's label, says the rest. */
export function Icon({ name, filled }: { name: IconName; filled?: boolean }): JSX.Element {
  return (
    <svg
      class={`icon icon-${name}`}
      viewBox="0 0 20 20"
      width="20"
      height="20"
      aria-hidden="true"
      focusable="false"
    >
      <path
        d={PATHS[name]}
        fill={filled ? 'currentColor' : 'none'}
        stroke="currentColor"
        stroke-width={name === 'more' || name === 'menu' ? 1.8 : 1.4}
        stroke-linecap="round"
        stroke-linejoin="round"
      />
    </svg>
  );
}

/** The mark: an envelope in a seal. */
export function Mark(): JSX.Element {
  return (
    <svg class="mark" viewBox="0 0 32 32" width="28" height="28" aria-hidden="true" focusable="false">
      <circle cx="16" cy="16" r="15" class="mark-disc" />
      <circle cx="16" cy="16" r="11.8" class="mark-ring" />
      <path d="M9.5 12h13v8.5h-13zM9.5 12l6.5 5 6.5-5" class="mark-line" />
    </svg>
  );
}
