// Package limit counts how often something happens for a key (an account, a
// network) and says when it is too often, in bounded memory.
//
// Owns:      its counters, in memory only: a restart forgets them.
// Trusts:    nobody; keys may come from an attacker.
// May touch: base/clock.
package limit

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"

	"github.com/mohar-mail/mohar/base/clock"
)

// Rate is a token bucket: Burst at once, and one more every Every.
type Rate struct {
	Burst int
	Every time.Duration
}

// Keys is the number of keys that a Keyed remembers where its Config says none.
const Keys = 1 << 16

// groups is the number of independent tables, so that doors do not queue on
// one lock. Each keeps Keys/groups keys.
const groups = 16

// Keyed is a token bucket for each of many keys. It is safe for concurrent use.
//
// It remembers a bounded number of keys. When a table is full, the key whose
// bucket is nearest to full again, of a few looked at, is forgotten: an
// attacker who invents keys pushes out other invented or idle keys, while one
// that is over its limit stays.
type Keyed struct {
	rate  Rate
	clock clock.Clock
	seed  maphash.Seed
	group [groups]table
	max   int // keys in one table
}

type table struct {
	mu sync.Mutex
	// full says when each bucket is full again: all that a token bucket needs
	// to remember.
	full map[string]time.Time
}

// NewKeyed makes a limiter for about keys keys (0: Keys). A rate with no Burst
// or no Every limits nothing.
func NewKeyed(rate Rate, keys int, c clock.Clock) *Keyed {
	if keys <= 0 {
		keys = Keys
	}
	k := &Keyed{rate: rate, clock: c, seed: maphash.MakeSeed(), max: max(keys/groups, 1)}
	for i := range k.group {
		k.group[i].full = make(map[string]time.Time)
	}
	return k
}

func (k *Keyed) off() bool { return k.rate.Burst <= 0 || k.rate.Every <= 0 }

func (k *Keyed) table(key string) *table {
	return &k.group[maphash.String(k.seed, key)%groups]
}

// Allow takes n tokens of key, or none and false with the time to wait until
// there are n. n over Burst is never allowed.
func (k *Keyed) Allow(key string, n int) (bool, time.Duration) {
	return k.take(key, n, false)
}

// Spend takes n tokens of key even where there are not so many, for what has
// happened already (a password was wrong). The debt is at most one Burst.
func (k *Keyed) Spend(key string, n int) { k.take(key, n, true) }

// Give puts n tokens back, of an Allow whose occasion turned out harmless.
func (k *Keyed) Give(key string, n int) {
	if k.off() || n <= 0 {
		return
	}
	t := k.table(key)
	t.mu.Lock()
	defer t.mu.Unlock()
	full, known := t.full[key]
	if !known {
		return
	}
	if full = full.Add(-time.Duration(n) * k.rate.Every); full.After(k.clock.Now()) {
		t.full[key] = full
	} else {
		delete(t.full, key)
	}
}

// Ready says whether Allow(key, n) would say yes, and takes nothing.
func (k *Keyed) Ready(key string, n int) (bool, time.Duration) {
	if k.off() {
		return true, 0
	}
	t := k.table(key)
	t.mu.Lock()
	defer t.mu.Unlock()
	return k.room(t.full[key], k.clock.Now(), n)
}

// room says whether a bucket that is full at full has n tokens at now.
func (k *Keyed) room(full, now time.Time, n int) (bool, time.Duration) {
	whole := time.Duration(k.rate.Burst) * k.rate.Every
	if full.Before(now) {
		full = now
	}
	over := full.Add(time.Duration(n)*k.rate.Every).Sub(now) - whole
	return over <= 0, max(over, 0)
}

func (k *Keyed) take(key string, n int, debt bool) (bool, time.Duration) {
	if k.off() || n <= 0 {
		return true, 0
	}
	now := k.clock.Now()
	t := k.table(key)
	t.mu.Lock()
	defer t.mu.Unlock()
	full, known := t.full[key]
	if ok, wait := k.room(full, now, n); !ok && !debt {
		return false, wait
	}
	if full.Before(now) {
		full = now
	}
	full = full.Add(time.Duration(n) * k.rate.Every)
	if most := now.Add(2 * time.Duration(k.rate.Burst) * k.rate.Every); full.After(most) {
		full = most
	}
	if !known && len(t.full) >= k.max {
		t.forget(now)
	}
	t.full[key] = full
	return true, 0
}

// look is how many keys are looked at to find one to forget.
const look = 8

// forget drops every full bucket among a few keys, and at least the fullest.
func (t *table) forget(now time.Time) {
	var least string
	var when time.Time
	seen, dropped := 0, false
	for key, full := range t.full {
		if !full.After(now) {
			delete(t.full, key)
			dropped = true
		} else if when.IsZero() || full.Before(when) {
			least, when = key, full
		}
		if seen++; seen == look {
			break
		}
	}
	if !dropped {
		delete(t.full, least)
	}
}

// Len gives the number of keys remembered, for metrics.
func (k *Keyed) Len() int {
	n := 0
	for i := range k.group {
		k.group[i].mu.Lock()
		n += len(k.group[i].full)
		k.group[i].mu.Unlock()
	}
	return n
}

// Sizes of the networks that one subscriber may hold as a whole: an address of
// IPv4; of IPv6 the customary assignment to a site (RFC 6177 section 2).
const (
	bits4 = 32
	bits6 = 56
)

// Network gives the key under which an address is counted.
func Network(a netip.Addr) string {
	a = a.Unmap().WithZone("")
	bits := bits4
	if a.Is6() {
		bits = bits6
	}
	p, err := a.Prefix(bits)
	if err != nil || !p.IsValid() {
		return "unknown"
	}
	return p.String()
}
