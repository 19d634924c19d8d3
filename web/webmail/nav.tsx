/** Top bar, mailbox list and, on a phone, the bar at the bottom. */
import type { JSX } from 'preact';
import { useRef } from 'preact/hooks';
import { mailboxes, me } from '../data/store';
import type { Mailbox } from '../data/types';
import { type Key, lang, setLang, t } from '../kit/i18n';
import { Icon, type IconName, Mark } from '../kit/icons';
import { type Density, density, type Theme, theme, width } from '../kit/prefs';
import { Button, IconButton, Menu } from '../kit/ui';
import { leave } from './account';
import { write } from './composers';
import { go, place } from './route';
import { LangSwitch } from './signin';
import { goRole, navOpen, showHelp } from './state';

const ROLE_ORDER = ['inbox', 'drafts', 'sent', 'archive', 'junk', 'trash'];
const ROLE_ICON: Record<string, IconName> = {
  inbox: 'inbox',
  drafts: 'drafts',
  sent: 'sent',
  archive: 'archive',
  junk: 'junk',
  trash: 'trash',
};

/** Mailboxes with a role have a name of ours in the page's language; the
 * others keep their owner's. */
export function mailboxName(m: Mailbox): string {
  return m.role && ROLE_ORDER.includes(m.role) ? t(`role.${m.role}` as Key) : m.name;
}

function sorted(all: Mailbox[]): Mailbox[] {
  const rank = (m: Mailbox) => (m.role && ROLE_ORDER.includes(m.role) ? ROLE_ORDER.indexOf(m.role) : 99);
  return [...all].sort(
    (a, b) => rank(a) - rank(b) || a.sortOrder - b.sortOrder || a.name.localeCompare(b.name, lang.value),
  );
}

/** Depth below the top, for indenting; a loop in the data ends at 5. */
function depth(m: Mailbox, by: Map<string, Mailbox>): number {
  let d = 0;
  for (let p = m.parentId && by.get(m.parentId); p && d < 5; p = p.parentId ? by.get(p.parentId) : undefined)
    d++;
  return d;
}

function tree(all: Mailbox[]): Mailbox[] {
  const out: Mailbox[] = [];
  const walk = (parent: string | null, level: number) => {
    if (level > 8) return;
    for (const m of sorted(all.filter((x) => x.parentId === parent))) {
      out.push(m);
      walk(m.id, level + 1);
    }
  };
  walk(null, 0);
  return out;
}

function Item({ m, level }: { m: Mailbox; level: number }): JSX.Element {
  const here = place.value.mailbox === m.id;
  // Drafts: how many there are; elsewhere: how many wait to be read.
  const n =
    m.role === 'drafts'
      ? m.totalEmails
      : m.role === 'junk' || m.role === 'trash' || m.role === 'sent'
        ? 0
        : m.unreadEmails;
  return (
    <li>
      <a
        href={`#/m/${encodeURIComponent(m.id)}`}
        class={`nav-item level-${Math.min(level, 3)} ${here ? 'here' : ''} ${n && m.role !== 'drafts' ? 'has' : ''}`}
        aria-current={here ? 'page' : undefined}
        onClick={(e) => {
          if (e.ctrlKey || e.metaKey) return;
          e.preventDefault();
          navOpen.value = false;
          go({ mailbox: m.id, query: null, open: null });
        }}
      >
        <Icon name={ROLE_ICON[m.role ?? ''] ?? 'folder'} />
        <span class="nav-name">{mailboxName(m)}</span>
        {n > 0 && (
          <span class="nav-count">
            {new Intl.NumberFormat(lang.value === 'hi' ? 'hi-IN' : 'en-IN').format(n)}
            <span class="sr-only"> {m.role === 'drafts' ? t('count.drafts') : t('count.unread')}</span>
          </span>
        )}
      </a>
    </li>
  );
}

export function Nav(): JSX.Element {
  const all = mailboxes.value;
  const by = new Map(all.map((m) => [m.id, m]));
  const rows = tree(all);
  const withRole = rows.filter((m) => m.role && ROLE_ORDER.includes(m.role));
  const own = rows.filter((m) => !withRole.includes(m));
  return (
    <>
      {width.value !== 'wide' && (
        <button type="button" class="scrim" aria-label={t('close')} onClick={() => (navOpen.value = false)} />
      )}
      <nav class="nav" aria-label={t('nav.label')}>
        {width.value !== 'narrow' && (
          <div class="nav-compose">
            <Button
              kind="primary"
              icon="compose"
              title={`${t('compose')} (c)`}
              onClick={() => {
                navOpen.value = false;
                write({});
              }}
            >
              {t('compose')}
            </Button>
          </div>
        )}
        <ul>
          {withRole.map((m) => (
            <Item key={m.id} m={m} level={0} />
          ))}
        </ul>
        {own.length > 0 && (
          <>
            <h2 class="nav-head">{t('nav.folders')}</h2>
            <ul>
              {own.map((m) => (
                <Item key={m.id} m={m} level={depth(m, by)} />
              ))}
            </ul>
          </>
        )}
      </nav>
    </>
  );
}

export function Search(): JSX.Element {
  const ref = useRef<HTMLInputElement>(null);
  const q = place.value.query ?? '';
  return (
    <search>
      <form
        class="search"
        role="presentation"
        onSubmit={(e) => {
          e.preventDefault();
          const v = ref.current?.value.trim() ?? '';
          if (v) go({ query: v, mailbox: null, open: null });
          else goRole('inbox');
          document.getElementById('list')?.focus();
        }}
      >
        <Icon name="search" />
        <input
          ref={ref}
          id="search"
          type="search"
          key={q}
          defaultValue={q}
          placeholder={t('search.placeholder')}
          aria-label={t('search.label')}
          autocomplete="off"
          onKeyDown={(e) => {
            if (e.key !== 'Escape') return;
            e.currentTarget.value = q;
            e.currentTarget.blur();
          }}
        />
        {q && <IconButton icon="close" label={t('search.clear')} onClick={() => goRole('inbox')} />}
        <kbd aria-hidden="true">/</kbd>
      </form>
    </search>
  );
}

export function TopBar(): JSX.Element {
  const who = me.value;
  const setTheme = (v: Theme) => () => {
    theme.value = v;
  };
  const setDensity = (v: Density) => () => {
    density.value = v;
  };
  return (
    <header class="topbar">
      {width.value !== 'wide' && (
        <IconButton icon="menu" label={t('nav.label')} onClick={() => (navOpen.value = !navOpen.peek())} />
      )}
      <a
        class="brand"
        href="#/"
        onClick={(e) => {
          e.preventDefault();
          goRole('inbox');
        }}
      >
        <Mark />
        <span>{t('app.name')}</span>
      </a>
      <Search />
      <div class="topbar-end">
        {width.value !== 'narrow' && <LangSwitch />}
        <Menu
          label={t('settings')}
          align="end"
          items={[
            { label: 'हिन्दी', checked: lang.value === 'hi', onChoose: () => setLang('hi') },
            { label: 'English', checked: lang.value === 'en', onChoose: () => setLang('en') },
            { label: t('theme.auto'), checked: theme.value === 'auto', onChoose: setTheme('auto') },
            { label: t('theme.light'), checked: theme.value === 'light', onChoose: setTheme('light') },
            { label: t('theme.dark'), checked: theme.value === 'dark', onChoose: setTheme('dark') },
            {
              label: t('density.comfortable'),
              checked: density.value === 'comfortable',
              onChoose: setDensity('comfortable'),
            },
            {
              label: t('density.compact'),
              checked: density.value === 'compact',
              onChoose: setDensity('compact'),
            },
            {
              label: t('help.title'),
              icon: 'keyboard',
              onChoose: () => {
                showHelp.value = true;
              },
            },
          ]}
        >
          <Icon name="settings" />
        </Menu>
        <Menu
          label={t('account')}
          align="end"
          class="account"
          items={[
            {
              label: who?.name || who?.address || '',
              hint: [who?.post, who?.address].filter(Boolean).join(' · '),
              onChoose: () => {},
              disabled: true,
            },
            { label: t('signout'), onChoose: () => void leave() },
          ]}
        >
          <span class="initial" aria-hidden="true">
            {[...(who?.name || who?.address || '?')][0]}
          </span>
        </Menu>
      </div>
    </header>
  );
}

export function BottomBar(): JSX.Element {
  const m = mailboxes.value.find((x) => x.role === 'inbox');
  return (
    <nav class="bottombar" aria-label={t('nav.short')}>
      <button
        type="button"
        onClick={() => goRole('inbox')}
        aria-current={place.value.mailbox === m?.id ? 'page' : undefined}
      >
        <Icon name="inbox" />
        <span>{t('role.inbox')}</span>
      </button>
      <button type="button" onClick={() => document.getElementById('search')?.focus()}>
        <Icon name="search" />
        <span>{t('search.short')}</span>
      </button>
      <button type="button" class="primary" onClick={() => write({})}>
        <Icon name="compose" />
        <span>{t('compose')}</span>
      </button>
      <button type="button" onClick={() => (navOpen.value = true)}>
        <Icon name="folder" />
        <span>{t('nav.short')}</span>
      </button>
    </nav>
  );
}
