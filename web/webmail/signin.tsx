/** The sign-in page: two fields, one button, both languages. */
import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { signIn } from '../data/signin';
import type { Bilingual } from '../data/types';
import { lang, pick, setLang, t } from '../kit/i18n';
import { Mark } from '../kit/icons';
import { Button } from '../kit/ui';

export function LangSwitch(): JSX.Element {
  const other = lang.value === 'hi' ? 'en' : 'hi';
  return (
    <button type="button" class="lang-switch" lang={other} onClick={() => setLang(other)}>
      {other === 'hi' ? 'हिन्दी' : 'English'}
    </button>
  );
}

type Problem = Bilingual | 'offline' | 'empty' | null;

function problemText(p: Problem): string {
  if (p === null) return '';
  return typeof p === 'string' ? t(`signin.${p}`) : pick(p);
}

function Brand(): JSX.Element {
  return (
    <div class="signin-brand">
      <Mark />
      <div>
        <h1>{t('app.name')}</h1>
        <p>{t('signin.tagline')}</p>
      </div>
    </div>
  );
}

export function SignIn({ onDone }: { onDone: () => void }): JSX.Element {
  const [user, setUser] = useState('');
  const [password, setPassword] = useState('');
  const [shown, setShown] = useState(false);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<Problem>(null);
  useEffect(() => document.getElementById('user')?.focus(), []);
  const submit = async (e: Event) => {
    e.preventDefault();
    if (!user.trim() || !password) {
      setError('empty');
      document.getElementById(user.trim() ? 'password' : 'user')?.focus();
      return;
    }
    setBusy(true);
    const problem = await signIn(user.trim(), password, lang.value);
    setBusy(false);
    setError(problem);
    if (problem === null) onDone();
    else document.getElementById('password')?.focus();
  };
  return (
    <div class="signin">
      <header>
        <LangSwitch />
      </header>
      <main>
        <Brand />
        <form onSubmit={submit} noValidate>
          <label for="user">{t('signin.user')}</label>
          <input
            id="user"
            type="text"
            inputMode="email"
            autocomplete="username"
            autocapitalize="none"
            spellcheck={false}
            value={user}
            aria-invalid={error === 'empty' && !user.trim()}
            aria-describedby="signin-error"
            onInput={(e) => setUser(e.currentTarget.value)}
          />
          <label for="password">{t('signin.password')}</label>
          <div class="with-button">
            <input
              id="password"
              type={(shown ? 'text' : 'password') as 'password'}
              autocomplete="current-password"
              value={password}
              aria-invalid={error !== null && error !== 'offline' && user.trim() !== ''}
              aria-describedby="signin-error"
              onInput={(e) => setPassword(e.currentTarget.value)}
            />
            <button type="button" class="in-field" aria-pressed={shown} onClick={() => setShown(!shown)}>
              {shown ? t('signin.hide') : t('signin.show')}
            </button>
          </div>
          <p id="signin-error" class="field-error" role="alert">
            {problemText(error)}
          </p>
          <Button kind="primary" type="submit" disabled={busy}>
            {busy ? t('signin.busy') : t('signin.do')}
          </Button>
        </form>
        <p class="signin-note">{t('signin.note')}</p>
      </main>
    </div>
  );
}
