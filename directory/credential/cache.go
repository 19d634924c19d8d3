package credential

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/mohar-mail/mohar/base/clock"
)

// CacheConfig is the short memory of passwords that were just right. Zero values
// are the defaults; a negative Keep turns it off.
type CacheConfig struct {
	Keep time.Duration
	Max  int // accounts
}

// Defaults of the short memory.
const (
	DefaultKeep = 2 * time.Minute
	DefaultMax  = 1 << 14
)

// cache remembers for a short while that a password was right, because IMAP
// clients open several connections in a row and each would cost a whole hash.
//
// What it holds is HMAC-SHA256 of account, stored hash and password under a key
// that exists only in this process and is made new at every start. Whoever can
// read the memory of the process could read the passwords as they arrive, so
// the key beside the values gives nothing that he lacks, except for the
// accounts of the last Keep; whoever gets a dump of the values alone has
// nothing. The value binds the stored hash, so a changed password, on whatever
// node, is a miss at once. Wrong passwords are never remembered: each guess
// costs a whole hash.
type cache struct {
	keep  time.Duration
	max   int
	clock clock.Clock
	key   [32]byte

	mu   sync.Mutex
	held map[string]proof
}

type proof struct {
	sum   [sha256.Size]byte
	until time.Time
}

func newCache(cfg CacheConfig, c clock.Clock, random io.Reader) (*cache, error) {
	if cfg.Keep == 0 {
		cfg.Keep = DefaultKeep
	}
	if cfg.Max <= 0 {
		cfg.Max = DefaultMax
	}
	k := &cache{keep: cfg.Keep, max: cfg.Max, clock: c, held: map[string]proof{}}
	if _, err := io.ReadFull(random, k.key[:]); err != nil {
		return nil, fmt.Errorf("credential: no randomness: %w", err)
	}
	return k, nil
}

// sum binds its three parts by their lengths, so that no two triples are one.
func (c *cache) sum(id, stored string, p []byte) [sha256.Size]byte {
	m := hmac.New(sha256.New, c.key[:])
	for _, part := range [][]byte{[]byte(id), []byte(stored), p} {
		m.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		m.Write(part)
	}
	return [sha256.Size]byte(m.Sum(nil))
}

func (c *cache) right(id, stored string, p []byte) bool {
	if c.keep < 0 || len(p) == 0 {
		return false
	}
	now := c.clock.Now()
	c.mu.Lock()
	h, ok := c.held[id]
	if ok && !h.until.After(now) {
		delete(c.held, id)
		ok = false
	}
	c.mu.Unlock()
	if !ok {
		return false
	}
	s := c.sum(id, stored, p)
	return hmac.Equal(s[:], h.sum[:])
}

func (c *cache) put(id string, h proof, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, had := c.held[id]; !had && len(c.held) >= c.max {
		for k, old := range c.held {
			if !old.until.After(now) {
				delete(c.held, k)
			}
		}
		for k := range c.held {
			if len(c.held) < c.max {
				break
			}
			delete(c.held, k)
		}
	}
	c.held[id] = h
}

// store does not prolong: until is counted from the last whole check.
func (c *cache) store(id, stored string, p []byte) {
	if c.keep < 0 {
		return
	}
	now := c.clock.Now()
	c.put(id, proof{c.sum(id, stored, p), now.Add(c.keep)}, now)
}

func (c *cache) drop(id string) {
	c.mu.Lock()
	delete(c.held, id)
	c.mu.Unlock()
}
