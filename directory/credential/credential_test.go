package credential

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mohar-mail/mohar/base/clock"
	"github.com/mohar-mail/mohar/base/fault"
)

var start = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

func hasher(t testing.TB, cfg Config) *Hasher {
	t.Helper()
	if cfg.Params == (Params{}) {
		cfg.Params = Quick()
	}
	h, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	h := hasher(t, Config{})
	for _, p := range []string{"correct horse", "मेरा पासवर्ड सही है", "a\x00b\xff", " spaces "} {
		s, err := h.Hash(ctx, p)
		if err != nil {
			t.Fatal(err)
		}
		if err := Check(s); err != nil {
			t.Error(err)
		}
		if ok, stale, err := h.Verify(ctx, "", s, p); !ok || stale || err != nil {
			t.Errorf("%q: %v %v %v", p, ok, stale, err)
		}
		if ok, _, err := h.Verify(ctx, "", s, p+"x"); ok || err != nil {
			t.Errorf("%q with more passes: %v", p, err)
		}
		again, err := h.Hash(ctx, p)
		if err != nil || again == s {
			t.Errorf("%q: no salt", p)
		}
	}
	// क़ typed as one character and as two is one password.
	s, err := h.Hash(ctx, "\u0958 password")
	if err != nil {
		t.Fatal(err)
	}
	if ok, _, err := h.Verify(ctx, "", s, "\u0915\u093c password"); !ok || err != nil {
		t.Errorf("other spelling: %v %v", ok, err)
	}
	for _, p := range []string{"", strings.Repeat("a", MaxPassword+1)} {
		if _, err := h.Hash(ctx, p); !fault.Is(err, fault.Invalid) {
			t.Errorf("%d bytes: %v", len(p), err)
		}
		if ok, _, err := h.Verify(ctx, "", s, p); ok || err != nil {
			t.Errorf("%d bytes: %v %v", len(p), ok, err)
		}
	}
}

// TestReference checks a vector of the reference implementation's
// test suite: password "password", salt "somesalt", t=2, m=2^16, p=1.
func TestReference(t *testing.T) {
	t.Parallel()
	const stored = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	ok, stale, err := hasher(t, Config{}).Verify(context.Background(), "", stored, "password")
	if !ok || !stale || err != nil {
		t.Errorf("%v %v %v", ok, stale, err)
	}
}

func TestUnknownAccount(t *testing.T) {
	t.Parallel()
	h := hasher(t, Config{})
	// The dummy stands for a real hash of the same cost, and nothing opens it.
	d, err := parse(h.dummy)
	if err != nil || d.params != h.params || len(d.key) != keyLen || len(d.salt) != saltLen {
		t.Fatalf("%+v %v", d, err)
	}
	for _, p := range []string{"", "password", h.dummy} {
		if ok, stale, err := h.Verify(context.Background(), "a", "", p); ok || stale || err != nil {
			t.Errorf("%q: %v %v %v", p, ok, stale, err)
		}
	}
}

func TestStale(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	old := hasher(t, Config{})
	s, err := old.Hash(ctx, "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	now := hasher(t, Config{Params: Params{Memory: 128, Time: 1, Threads: 1}})
	if ok, stale, err := now.Verify(ctx, "", s, "correct horse"); !ok || !stale || err != nil {
		t.Errorf("%v %v %v", ok, stale, err)
	}
	if ok, stale, _ := now.Verify(ctx, "", s, "wrong"); ok || stale {
		t.Error("a wrong password asks for a new hash")
	}
}

func TestBadHashes(t *testing.T) {
	t.Parallel()
	const good = "$argon2id$v=19$m=64,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	if err := Check(good); err != nil {
		t.Fatal(err)
	}
	h := hasher(t, Config{})
	for _, bad := range []string{
		"plain", strings.Replace(good, "argon2id", "argon2i", 1), strings.Replace(good, "v=19", "v=16", 1),
		strings.Replace(good, "m=64", "m=4294967295", 1), strings.Replace(good, "m=64", "m=-1", 1), strings.Replace(good, "t=1", "t=0", 1),
		strings.Replace(good, "p=1", "p=0", 1), strings.Replace(good, "p=1", "p=256", 1), strings.Replace(good, "m=64,", "", 1),
		good[:len(good)-30], good + "$x", good + strings.Repeat("A", 600), strings.Replace(good, "$AAAAAAAAAAAAAAAAAAAAAA$", "$$", 1),
	} {
		if _, _, err := h.Verify(context.Background(), "", bad, "x"); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, err := New(Config{Params: Params{Memory: 1, Time: 1, Threads: 1}}); err == nil {
		t.Error("impossible cost")
	}
}

func TestCache(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	c := clock.NewFake(start)
	h := hasher(t, Config{Clock: c, Cache: CacheConfig{Keep: time.Minute, Max: 3}})
	s, err := h.Hash(ctx, "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	p := prepare("correct horse")
	verify := func(password string, want bool) {
		t.Helper()
		if ok, _, err := h.Verify(ctx, "a", s, password); ok != want || err != nil {
			t.Errorf("%q: %v %v", password, ok, err)
		}
	}
	verify("wrong", false)
	if h.cache.right("a", s, prepare("wrong")) || h.cache.right("a", s, p) {
		t.Error("remembered before it was right")
	}
	verify("correct horse", true)
	if !h.cache.right("a", s, p) {
		t.Error("not remembered")
	}
	verify("wrong", false)
	other, err := h.Hash(ctx, "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	if h.cache.right("a", other, p) || h.cache.right("b", s, p) {
		t.Error("remembered for another hash or account")
	}
	c.Advance(30 * time.Second)
	verify("correct horse", true)
	c.Advance(30 * time.Second)
	if h.cache.right("a", s, p) {
		t.Error("use prolongs the memory")
	}
	verify("correct horse", true)
	h.Forget("a")
	if h.cache.right("a", s, p) {
		t.Error("not forgotten")
	}
	for _, id := range []string{"1", "2", "3", "4", "5"} {
		h.cache.store(id, s, p)
	}
	if n := len(h.cache.held); n != 3 {
		t.Errorf("%d held, bound 3", n)
	}
	off := hasher(t, Config{Cache: CacheConfig{Keep: -1}})
	off.cache.store("a", s, p)
	if off.cache.right("a", s, p) {
		t.Error("not off")
	}
}

// TestBudget shows that hashes wait for memory and give up with their context.
func TestBudget(t *testing.T) {
	t.Parallel()
	h := hasher(t, Config{Budget: 100})
	leave, err := h.enter(context.Background(), h.params)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, _, err := h.Verify(ctx, "", "", "x"); !fault.Is(err, fault.Unavailable) {
		t.Errorf("over the budget: %v", err)
	}
	h.waiting.Store(MaxWaiting)
	if _, err := h.enter(context.Background(), h.params); !fault.Is(err, fault.Unavailable) {
		t.Errorf("over the queue: %v", err)
	}
	if h.waiting.Load() != MaxWaiting {
		t.Error("one who was turned away is counted")
	}
	h.waiting.Store(0)
	leave()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, _, err := h.Verify(context.Background(), "a", "", "x"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestAcceptable(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		password string
		least    int
		ok       bool
	}{
		{"correct horse battery", 12, true}, {"short", 0, false}, {"seven77", 1, false}, {"eight88x", 1, true}, {"eight88x", 12, false},
		{"Password@12345", 12, false}, {"P@ssw0rd", 8, false}, {"Rajasthan@2026", 12, false}, {"123456789", 8, false}, {"aaaaaaaabbbb", 8, false},
		{"ajay.sharma1", 8, false}, {"ajay.sharma rides a horse", 8, true}, {"सूरज पूरब से उगता है", 12, true}, {strings.Repeat("abcd", 300), 8, false},
	} {
		if err := Acceptable(c.password, c.least, "ajay.sharma@rajya.example"); (err == nil) != c.ok {
			t.Errorf("%q: %v", c.password, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("$argon2id$v=19$m=64,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
	f.Add("$argon2id$v=19$m=,t=,p=$$")
	f.Fuzz(func(t *testing.T, s string) {
		if h, err := parse(s); err == nil && h.params.check() != nil {
			t.Errorf("accepted %+v", h.params)
		}
	})
}

func BenchmarkVerifyDefault(b *testing.B) {
	h := hasher(b, Config{Params: Default()})
	for b.Loop() {
		if _, _, err := h.Verify(context.Background(), "", "", "x"); err != nil {
			b.Fatal(err)
		}
	}
}
