/** The tiny sign-in beside JMAP: a cookie that scripts cannot read. */
import type { Bilingual, Me } from './types';

const headers = { 'X-Mohar': '1', 'Content-Type': 'application/json' };

/** Who is signed in; null when nobody is. */
export async function whoAmI(): Promise<Me | null> {
  const r = await fetch('/api/me', { headers: { 'X-Mohar': '1' }, credentials: 'same-origin' });
  if (r.status === 401) return null;
  if (!r.ok) throw new Error(String(r.status));
  return (await r.json()) as Me;
}

/** null when signed in, else the server's words; 'offline' when it was not reached. */
export async function signIn(
  user: string,
  password: string,
  lang: string,
): Promise<Bilingual | 'offline' | null> {
  let r: Response;
  try {
    r = await fetch('/api/signin', {
      method: 'POST',
      headers,
      credentials: 'same-origin',
      body: JSON.stringify({ user, password, lang }),
    });
  } catch {
    return 'offline';
  }
  if (r.ok) return null;
  try {
    const j = (await r.json()) as { error: Bilingual };
    if (j.error.en && j.error.hi) return j.error;
  } catch {
    // No JSON: a gateway answered in the server's place.
  }
  return 'offline';
}

export async function signOut(): Promise<void> {
  await fetch('/api/signout', { method: 'POST', headers, credentials: 'same-origin' }).catch(() => {});
}
