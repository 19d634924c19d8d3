/** Addresses met in mail, for completing recipients: those met most and
 * latest first. Held in memory only. */
import { domainOf } from './standing';
import type { Address } from './types';

const MAX_PEOPLE = 5000;

export class People {
  private readonly met = new Map<string, { a: Address; n: number; at: number }>();

  meet(list: (Address | undefined)[] | null | undefined, weight = 1): void {
    for (const a of list ?? []) {
      if (!a) continue;
      const k = a.email.toLowerCase();
      const old = this.met.get(k);
      if (old) {
        old.n += weight;
        old.at = this.met.size;
        if (a.name && !old.a.name) old.a = a;
      } else if (this.met.size < MAX_PEOPLE) this.met.set(k, { a, n: weight, at: this.met.size });
    }
  }

  /** The name that goes with an address, if it was met. */
  named(a: Address): Address {
    return a.name ? a : (this.met.get(a.email.toLowerCase())?.a ?? a);
  }

  /** People whose name or address has a word that starts with the text. */
  find(text: string, mine: string, limit = 8): Address[] {
    const q = text.trim().toLowerCase().normalize('NFC');
    if (!q) return [];
    const hits = [...this.met.values()].filter(({ a }) => {
      const hay = `${a.name ?? ''} ${a.email}`.toLowerCase().normalize('NFC');
      return hay.startsWith(q) || hay.split(/[\s@.<]/u).some((w) => w.startsWith(q)) || hay.includes(` ${q}`);
    });
    // Colleagues before strangers: a slip of the finger then stays inside.
    const near = (a: Address) => (domainOf(a.email) === domainOf(mine) ? 1 : 0);
    return hits
      .sort((x, y) => near(y.a) - near(x.a) || y.n - x.n)
      .slice(0, limit)
      .map((h) => h.a);
  }

  clear(): void {
    this.met.clear();
  }
}

export const people = new People();
