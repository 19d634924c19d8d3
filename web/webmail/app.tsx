/** The whole page: sign-in, or the three panes. */
import type { JSX } from 'preact';
import { lazy, Suspense } from 'preact/compat';
import { useEffect } from 'preact/hooks';
import { actionFailed } from '../data/actions';
import { shownName } from '../data/address';
import { arrived } from '../data/live';
import { people } from '../data/people';
import { mailboxWithRole, offline } from '../data/store';
import { lang, t } from '../kit/i18n';
import { startPrefs, width } from '../kit/prefs';
import { Button, Dialog, say, Toasts, toast } from '../kit/ui';
import { enter, phase } from './account';
import { drafts, front } from './composers';
import { Help } from './help';
import { startKeys } from './keys';
import { ListPane } from './listpane';
import { BottomBar, Nav, TopBar } from './nav';
import { Reader } from './reader';
import { place, startRoute } from './route';
import { SignIn } from './signin';
import { confirmDestroy, destroyForEver, mailbox, navOpen, showHelp, startState } from './state';
import { TypeAhead } from './typeahead';

/** Pause before the writing window's code is asked for again. */
const AGAIN_MS = 3000;

/** A line that is down for a moment must not cost the letter being begun. */
async function fetchComposer(): Promise<() => JSX.Element> {
  for (;;) {
    try {
      return (await import('./composer')).Composer;
    } catch {
      await new Promise((done) => setTimeout(done, AGAIN_MS));
    }
  }
}
const Composer: () => JSX.Element = lazy(fetchComposer);

function Effects(): null {
  useEffect(() => {
    const stops = [startRoute(), startState()];
    const keys = startKeys();
    return () => {
      for (const s of stops) s();
      keys.stop();
    };
  }, []);
  const fresh = arrived.value;
  useEffect(() => {
    const first = fresh[0];
    if (!first) return;
    people.meet(first.from);
    const name = first.from?.[0] ? shownName(first.from[0]) : t('unknown.sender');
    say(t('arrived', { n: fresh.length, name }));
  }, [fresh]);
  const failures = actionFailed.value;
  useEffect(() => {
    if (failures) toast.value = { text: t('action.failed'), alert: true };
  }, [failures]);
  const inbox = mailboxWithRole('inbox');
  const unread = inbox?.unreadEmails ?? 0;
  const where = mailbox.value?.name ?? '';
  useEffect(() => {
    document.title = `${unread ? `(${unread}) ` : ''}${where ? `${where} – ` : ''}${t('app.name')}`;
  }, [unread, where, lang.value]);
  return null;
}

function Shell(): JSX.Element {
  const open = place.value.open !== null;
  const w = width.value;
  return (
    <div class={`shell ${w} ${open ? 'reading' : 'listing'} ${front.value !== null ? 'writing' : ''}`}>
      <a
        class="skip"
        href="#main"
        onClick={(e) => {
          e.preventDefault();
          (document.getElementById('list') ?? document.getElementById('main'))?.focus();
        }}
      >
        {t('skip')}
      </a>
      <Effects />
      <TopBar />
      {offline.value && (
        <div class="notice" role="status">
          {t('offline')}
        </div>
      )}
      <div class="panes">
        {(w === 'wide' || navOpen.value) && <Nav />}
        <main id="main" class="main" tabIndex={-1}>
          <TypeAhead />
          {(w === 'wide' || !open) && <ListPane />}
          {(w === 'wide' || open) && <Reader />}
        </main>
      </div>
      {w === 'narrow' && !open && front.value === null && <BottomBar />}
      {drafts.value.length > 0 && (
        <Suspense fallback={<div class="composer loading" aria-busy="true" />}>
          <Composer />
        </Suspense>
      )}
      {showHelp.value && <Help />}
      {confirmDestroy.value && (
        <Dialog title={t('destroy.title')} role="alertdialog" onClose={() => (confirmDestroy.value = null)}>
          <p>{t('destroy.text', { n: confirmDestroy.value.length })}</p>
          <div class="dialog-actions">
            <Button onClick={() => (confirmDestroy.value = null)}>{t('cancel')}</Button>
            <Button kind="danger" onClick={() => void destroyForEver(confirmDestroy.peek() ?? [])}>
              {t('destroy.do')}
            </Button>
          </div>
        </Dialog>
      )}
      <Toasts />
    </div>
  );
}

export function App(): JSX.Element {
  useEffect(() => {
    const stop = startPrefs();
    void enter();
    return stop;
  }, []);
  switch (phase.value) {
    case 'signed-out':
      return <SignIn onDone={() => void enter()} />;
    case 'ready':
      return <Shell />;
    case 'unreachable':
      return (
        <main class="alone">
          <h1>{t('unreachable.title')}</h1>
          <p>{t('unreachable.text')}</p>
          <Button
            kind="primary"
            onClick={() => {
              phase.value = 'starting';
              void enter();
            }}
          >
            {t('retry')}
          </Button>
        </main>
      );
  }
  return (
    <main class="alone" aria-busy="true">
      <h1 class="sr-only">{t('app.name')}</h1>
    </main>
  );
}
