// Package credential turns passwords into stored hashes and checks them, at the
// same cost whether or not the account exists, and in bounded memory.
//
// Owns:      the text form of a stored hash (PHC string).
// Trusts:    nobody; a password may be of any length and any bytes.
// May touch: base/clock; processor and memory, both bounded. No storage.
// Standards: RFC 9106 (Argon2id); RFC 8265 section 4 (OpaqueString) for what a
// password is; NIST SP 800-63B section 5.1.1.2 for length and common passwords.
package credential

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync/atomic"

	"golang.org/x/crypto/argon2"
	"golang.org/x/sync/semaphore"
	"golang.org/x/text/secure/precis"

	"github.com/mohar-mail/mohar/base/clock"
	"github.com/mohar-mail/mohar/base/fault"
)

// Params are the cost of one hash.
type Params struct {
	Memory  uint32 // KiB
	Time    uint32 // passes
	Threads uint8
}

// Default is the cost of new hashes: the low-memory choice among the parameter
// sets of the OWASP cheat sheet for Argon2id, since a mail server checks
// passwords all day on the machine that also delivers. RFC 9106 section 4 has
// larger ones for servers with memory to spare.
func Default() Params { return Params{Memory: 19 << 10, Time: 2, Threads: 1} }

// Quick is for tests and sample data only.
func Quick() Params { return Params{Memory: 64, Time: 1, Threads: 1} }

// Bounds of stored parameters. A hash beyond them is refused rather than
// computed: it can only come from a damaged or hostile import.
const (
	maxMemory  = 1 << 20 // KiB: 1 GiB
	maxTime    = 16
	maxThreads = 16
	saltLen    = 16
	keyLen     = 32
)

// MaxPassword is the longest password, in bytes. Longer ones are wrong, and
// cost the same.
const MaxPassword = 1024

// DefaultBudget is the memory that all hashes together may use at a time, in KiB.
const DefaultBudget = 256 << 10

// MaxWaiting is how many may wait for memory at a time. Beyond it the answer is
// at once fault.Unavailable: a flood of guesses from many networks must not
// become a queue in which everybody's sign-in times out.
const MaxWaiting = 2048

// Config is what a Hasher needs. Zero values are the defaults.
type Config struct {
	Params Params
	Budget uint32    // KiB for all hashes running at a time
	Random io.Reader // salts; nil is crypto/rand
	Clock  clock.Clock
	Cache  CacheConfig
}

// Hasher makes and checks hashes. It is safe for concurrent use.
type Hasher struct {
	params Params
	budget int64
	memory *semaphore.Weighted // KiB

	waiting atomic.Int64
	random  io.Reader
	dummy   string
	cache   *cache
}

// New makes a Hasher. It computes one hash, the one that unknown accounts are
// checked against.
func New(cfg Config) (*Hasher, error) {
	if cfg.Params == (Params{}) {
		cfg.Params = Default()
	}
	if err := cfg.Params.check(); err != nil {
		return nil, err
	}
	if cfg.Budget == 0 {
		cfg.Budget = DefaultBudget
	}
	if cfg.Random == nil {
		cfg.Random = rand.Reader
	}
	if cfg.Clock == nil {
		cfg.Clock = clock.System{}
	}
	h := &Hasher{params: cfg.Params, random: cfg.Random, budget: int64(cfg.Budget), memory: semaphore.NewWeighted(int64(cfg.Budget))}
	var err error
	if h.cache, err = newCache(cfg.Cache, cfg.Clock, cfg.Random); err != nil {
		return nil, err
	}
	var nobody [32]byte
	if _, err := io.ReadFull(h.random, nobody[:]); err != nil {
		return nil, fmt.Errorf("credential: no randomness: %w", err)
	}
	h.dummy, err = h.hash(nobody[:])
	return h, err
}

func (p Params) check() error {
	if p.Memory < 8*uint32(p.Threads) || p.Memory > maxMemory || p.Time < 1 || p.Time > maxTime || p.Threads < 1 || p.Threads > maxThreads {
		return fault.New(fault.Invalid, "credential", "The cost parameters of the password hash are out of range.")
	}
	return nil
}

// prepare brings a password into the form that is hashed, so that the same
// password typed on two keyboards is the same (RFC 8265 section 4.2). One that
// the profile refuses is taken as it is: old systems accepted such.
func prepare(password string) []byte {
	if len(password) > MaxPassword {
		return nil
	}
	if p, err := precis.OpaqueString.String(password); err == nil {
		return []byte(p)
	}
	return []byte(password)
}

// Hash gives the PHC string of a password. It waits for memory, as long as ctx
// allows.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	p := prepare(password)
	if len(p) == 0 {
		return "", fault.New(fault.Invalid, "credential.Hash", "The password is empty or too long.")
	}
	leave, err := h.enter(ctx, h.params)
	if err != nil {
		return "", err
	}
	defer leave()
	return h.hash(p)
}

// enter waits until there is memory for a hash of cost p, and gives what to call
// after it. A hash that needs more than the budget runs alone.
func (h *Hasher) enter(ctx context.Context, p Params) (leave func(), err error) {
	const busy = "Too many people are signing in at once. Try again in a moment."
	need := min(int64(p.Memory), h.budget)
	defer h.waiting.Add(-1)
	if h.waiting.Add(1) > MaxWaiting {
		return nil, fault.New(fault.Unavailable, "credential", busy)
	}
	if err := h.memory.Acquire(ctx, need); err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "credential", busy)
	}
	return func() { h.memory.Release(need) }, nil
}

func (h *Hasher) hash(p []byte) (string, error) {
	salt := make([]byte, saltLen)
	if _, err := io.ReadFull(h.random, salt); err != nil {
		return "", fmt.Errorf("credential: no randomness: %w", err)
	}
	c := h.params
	key := argon2.IDKey(p, salt, c.Time, c.Memory, c.Threads, keyLen)
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, c.Memory, c.Time, c.Threads,
		base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(key)), nil
}

// Verify says whether password belongs to stored, and whether stored should be
// made anew because its cost is not that of today. An empty stored is an unknown
// account: it is never right, and takes as long as a known one. id is what the
// short memory of right passwords files it under; "" keeps it out.
func (h *Hasher) Verify(ctx context.Context, id, stored, password string) (ok, stale bool, err error) {
	known := stored != ""
	if !known {
		stored = h.dummy
	}
	old, err := parse(stored)
	if err != nil {
		return false, false, err
	}
	stale = known && (old.params != h.params || len(old.key) != keyLen || len(old.salt) != saltLen)
	p := prepare(password)
	if known && id != "" && h.cache.right(id, stored, p) {
		return true, stale, nil
	}
	leave, err := h.enter(ctx, old.params)
	if err != nil {
		return false, false, err
	}
	defer leave()
	key := argon2.IDKey(p, old.salt, old.params.Time, old.params.Memory, old.params.Threads, uint32(len(old.key)))
	ok = subtle.ConstantTimeCompare(key, old.key) == 1 && known && len(p) > 0
	if ok && id != "" {
		h.cache.store(id, stored, p)
	}
	return ok, stale && ok, nil
}

// Forget drops what the short memory holds of an account, on this node. A new
// hash makes it worthless on every other.
func (h *Hasher) Forget(id string) { h.cache.drop(id) }

type phc struct {
	params    Params
	salt, key []byte
}

// Check says whether a prebuilt hash can be used; fault.Invalid if not.
func Check(stored string) error {
	_, err := parse(stored)
	return err
}

// parse reads $argon2id$v=19$m=..,t=..,p=..$salt$key.
func parse(s string) (*phc, error) {
	bad := func(what string) (*phc, error) {
		return nil, fault.New(fault.Invalid, "credential", "The stored password hash has a bad "+what+".")
	}
	const longest = 512
	f := strings.Split(s, "$")
	if len(s) > longest || len(f) != 6 || f[0] != "" || f[1] != "argon2id" || strings.ContainsAny(s, "\r\n") {
		return bad("form")
	}
	if f[2] != "v="+strconv.Itoa(argon2.Version) {
		return bad("version")
	}
	var h phc
	costs := strings.Split(f[3], ",")
	if len(costs) != 3 {
		return bad("cost")
	}
	for i, c := range []struct {
		name string
		bits int
		set  func(uint64)
	}{
		{"m=", 32, func(v uint64) { h.params.Memory = uint32(v) }},
		{"t=", 32, func(v uint64) { h.params.Time = uint32(v) }},
		{"p=", 8, func(v uint64) { h.params.Threads = uint8(v) }},
	} {
		text, ok := strings.CutPrefix(costs[i], c.name)
		v, err := strconv.ParseUint(text, 10, c.bits)
		if !ok || err != nil {
			return bad("cost")
		}
		c.set(v)
	}
	if h.params.check() != nil {
		return bad("cost")
	}
	var err1, err2 error
	h.salt, err1 = base64.RawStdEncoding.Strict().DecodeString(f[4])
	h.key, err2 = base64.RawStdEncoding.Strict().DecodeString(f[5])
	if err1 != nil || len(h.salt) < 8 || len(h.salt) > 64 {
		return bad("salt")
	}
	if err2 != nil || len(h.key) < 16 || len(h.key) > 64 {
		return bad("key")
	}
	return &h, nil
}
