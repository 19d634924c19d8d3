package signin

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/audit"
	"github.com/mohar-mail/mohar/base/clock"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/base/limit"
	"github.com/mohar-mail/mohar/directory"
	"github.com/mohar-mail/mohar/directory/credential"
	"github.com/mohar-mail/mohar/policy"
	"github.com/mohar-mail/mohar/store/kv"
	"github.com/mohar-mail/mohar/store/kv/memkv"
	"github.com/mohar-mail/mohar/wire/tlog"
)

var start = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

const password = "correct horse battery"

// house is everything a sign-in needs.
type house struct {
	*Signin
	t     testing.TB
	clock *clock.Fake
	store *kv.Store
	dir   *directory.Directory
	seq   *audit.Sequencer
}

func open(t testing.TB, edit func(*Config)) *house {
	t.Helper()
	h := &house{t: t, clock: clock.NewFake(start), store: kv.NewStore(memkv.New())}
	h.dir = directory.New(directory.Config{Store: h.store})
	hasher, err := credential.New(credential.Config{Params: credential.Quick(), Clock: h.clock})
	if err != nil {
		t.Fatal(err)
	}
	book, err := policy.Builtin(policy.State)
	if err != nil {
		t.Fatal(err)
	}
	private, _, err := tlog.GenerateKey(rand.Reader, "log.rajya.example")
	if err != nil {
		t.Fatal(err)
	}
	if h.seq, err = audit.NewSequencer(audit.Config{Store: h.store, Private: private, Clock: h.clock}); err != nil {
		t.Fatal(err)
	}
	cfg := Config{Store: h.store, Directory: h.dir, Passwords: hasher, Clock: h.clock, Rulebook: func(string) *policy.Rulebook { return book }, Staged: h.seq.Nudge}
	if edit != nil {
		edit(&cfg)
	}
	h.Signin = New(cfg)
	hash, err := hasher.Hash(context.Background(), password)
	if err != nil {
		t.Fatal(err)
	}
	h.change(func(tx *kv.Tx) error {
		for _, d := range []*directory.Domain{
			{Name: "rajya.example", State: directory.Live, Rulebook: "state"},
			{Name: "राज्य.example", State: directory.Live, AliasOf: "rajya.example"},
			{Name: "asleep.example", State: directory.Suspended},
		} {
			if err := h.dir.AddDomain(tx, d); err != nil {
				return err
			}
		}
		for _, a := range []*directory.Account{
			{ID: "ajay", Addresses: []string{"ajay@rajya.example"}, Name: mohar.Text{En: "Ajay", Hi: "अजय"}, Lang: "hi", Roles: []string{"admin"}},
			{ID: "off", Addresses: []string{"off@rajya.example"}, Disabled: true},
			{ID: "past", Addresses: []string{"past@rajya.example"}, Until: start},
			{ID: "web", Addresses: []string{"web@rajya.example"}, Doors: []mohar.Door{mohar.DoorWeb}},
			{ID: "asleep", Addresses: []string{"a@asleep.example"}},
		} {
			a.Category, a.Hash = mohar.Employee, hash
			if err := h.dir.AddAccount(tx, a); err != nil {
				return err
			}
		}
		return h.dir.AddAccount(tx, &directory.Account{ID: "keyless", Category: mohar.Functional, Addresses: []string{"keyless@rajya.example"}})
	})
	return h
}

func (h *house) change(fn func(*kv.Tx) error) {
	h.t.Helper()
	if err := h.dir.Update(context.Background(), fn); err != nil {
		h.t.Fatal(err)
	}
}

func try(user, password string) Attempt {
	return Attempt{Door: mohar.DoorIMAP, User: user, Password: password, Remote: netip.MustParseAddr("192.0.2.7"), TLS: true}
}

// log gives what the audit log says, one line an entry.
func (h *house) log() []string {
	h.t.Helper()
	if err := h.seq.Everything(context.Background()); err != nil {
		h.t.Fatal(err)
	}
	es, err := audit.NewLog(h.store, "").Entries(context.Background(), 0, 0)
	if err != nil {
		h.t.Fatal(err)
	}
	var out []string
	for _, e := range es {
		out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", e.Record.Kind, e.Record.Actor, e.Record.Object, e.Record.Detail["result"])))
	}
	return out
}

func TestAuthenticate(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		a    Attempt
		kind fault.Kind // of the error; Internal: none
		rule string
		log  string
	}{
		{"right", try("ajay@rajya.example", password), 0, "", "signin ajay ajay@rajya.example ok"},
		{"by the Hindi domain", try("AJAY@राज्य.example", password), 0, "", "signin ajay AJAY@राज्य.example ok"},
		{"by the name alone", try("ajay", password), 0, "", "signin ajay ajay@rajya.example ok"},
		{"wrong", try("ajay@rajya.example", "x"), fault.Auth, "", "signin ajay ajay@rajya.example wrong password"},
		{"empty", try("ajay@rajya.example", ""), fault.Auth, "", "signin ajay ajay@rajya.example wrong password"},
		{"nobody", try("nobody@rajya.example", password), fault.Auth, "", "signin  nobody@rajya.example unknown account"},
		{"elsewhere", try("ajay@gmail.com", password), fault.Auth, "", "signin   unknown account"},
		{"a password as a name", try("hunter2 @ !", password), fault.Auth, "", "signin   unknown account"},
		{"without a password", try("keyless@rajya.example", ""), fault.Auth, "", "signin keyless keyless@rajya.example unknown account"},
		{"disabled, wrong", try("off@rajya.example", "x"), fault.Auth, "", "signin off off@rajya.example wrong password"},
		{"disabled", try("off@rajya.example", password), fault.Denied, "SIGNIN-DISABLED", "signin off off@rajya.example refused"},
		{"ended", try("past@rajya.example", password), fault.Denied, "SIGNIN-ENDED", "signin past past@rajya.example refused"},
		{"door", try("web@rajya.example", password), fault.Denied, "SIGNIN-DOOR", "signin web web@rajya.example refused"},
		{"domain", try("a@asleep.example", password), fault.Denied, "SIGNIN-DOMAIN", "signin asleep a@asleep.example refused"},
	} {
		h := open(t, func(cfg *Config) { cfg.DefaultDomain = "rajya.example" })
		p, err := h.Authenticate(context.Background(), c.a)
		if (err == nil) != (c.kind == 0) || (err != nil && !fault.Is(err, c.kind)) {
			t.Errorf("%s: %v", c.name, err)
		}
		if d := fault.DecisionOf(err); c.rule != "" && (d == nil || d.Reasons[0].Rule != c.rule) {
			t.Errorf("%s: decision %+v", c.name, d)
		}
		if fault.Is(err, fault.Auth) && fault.Public(err) != "Name or password is wrong." {
			t.Errorf("%s: says %q", c.name, fault.Public(err))
		}
		if got := h.log(); len(got) != 1 || got[0] != c.log {
			t.Errorf("%s: log %q, want %q", c.name, got, c.log)
		}
		if err == nil && (p.Account != "ajay" || p.Address != "ajay@rajya.example" || p.Name.Hi != "अजय" || p.Lang != "hi" || p.Category != mohar.Employee ||
			p.Rulebook != "state" || p.Domain != "rajya.example" || strings.Join(p.Addresses, " ") != "ajay@rajya.example ajay@राज्य.example" || p.Roles[0] != "admin") {
			t.Errorf("%s: %+v", c.name, p)
		}
	}
}

func TestAttemptKeepsItsPassword(t *testing.T) {
	t.Parallel()
	a := try("ajay@rajya.example", password)
	var b strings.Builder
	slog.New(slog.NewJSONHandler(&b, nil)).Info("x", "attempt", a)
	for _, s := range []string{b.String(), fmt.Sprint(a), fmt.Sprintf("%+v", a), fmt.Sprintf("%v", &a)} {
		if strings.Contains(s, password) || !strings.Contains(s, "ajay") {
			t.Error(s)
		}
	}
}

func TestGuessing(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	h := open(t, func(cfg *Config) {
		cfg.Limits = Limits{Network: limit.Rate{Burst: 6, Every: time.Minute}, Pair: limit.Rate{Burst: 3, Every: time.Minute}, Account: limit.Rate{Burst: 5, Every: time.Minute}}
	})
	from := func(a Attempt, remote string) Attempt { a.Remote = netip.MustParseAddr(remote); return a }
	expect := func(what string, a Attempt, want fault.Kind) {
		t.Helper()
		if _, err := h.Authenticate(ctx, a); !(err == nil && want == fault.Internal) && !fault.Is(err, want) {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
	}
	for range 20 {
		expect("a right password costs nothing", try("ajay@rajya.example", password), fault.Internal)
	}
	for range 3 {
		expect("a guess", try("ajay@rajya.example", "x"), fault.Auth)
	}
	expect("over the pair's limit", try("ajay@rajya.example", "x"), fault.TooMany)
	expect("over it, even when right", try("ajay@rajya.example", password), fault.TooMany)
	expect("the owner elsewhere", from(try("ajay@rajya.example", password), "198.51.100.1"), fault.Internal)
	expect("another name in the network", try("web@rajya.example", "x"), fault.Auth)
	for range 2 {
		expect("names that nobody has", try("nobody@rajya.example", "x"), fault.Auth)
	}
	expect("over the network's limit", try("keyless@rajya.example", "x"), fault.TooMany)
	for i := range 2 {
		expect("from everywhere", from(try("ajay@rajya.example", "x"), fmt.Sprintf("198.51.100.%d", i+2)), fault.Auth)
	}
	expect("over the account's limit", from(try("ajay@rajya.example", "x"), "198.51.100.9"), fault.TooMany)
	for range 3 {
		expect("from the machine", from(try("nobody2@rajya.example", "x"), "127.0.0.1"), fault.Auth)
	}
	expect("from the machine, over the pair's", from(try("nobody2@rajya.example", "x"), "127.0.0.1"), fault.TooMany)
	h.clock.Advance(time.Hour)
	expect("an hour later", try("ajay@rajya.example", password), fault.Internal)
	limited := 0
	for _, l := range h.log() {
		if strings.Contains(l, "too many") {
			limited++
		}
	}
	if limited != 3 {
		t.Errorf("%d records of limits, want one for each network", limited)
	}
}

// TestGuessesAtOnce shows that guesses made at the same time are all counted.
func TestGuessesAtOnce(t *testing.T) {
	t.Parallel()
	h := open(t, func(cfg *Config) { cfg.Limits = Limits{Pair: limit.Rate{Burst: 5, Every: time.Hour}} })
	var wg sync.WaitGroup
	var mu sync.Mutex
	kinds := map[fault.Kind]int{}
	for range 40 {
		wg.Go(func() {
			_, err := h.Authenticate(context.Background(), try("ajay@rajya.example", "x"))
			mu.Lock()
			kinds[fault.KindOf(err)]++
			mu.Unlock()
		})
	}
	wg.Wait()
	if kinds[fault.Auth] != 5 || kinds[fault.TooMany] != 35 {
		t.Error(kinds)
	}
}

func TestRehash(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	var strong *credential.Hasher
	h := open(t, func(cfg *Config) {
		var err error
		if strong, err = credential.New(credential.Config{Params: credential.Params{Memory: 128, Time: 1, Threads: 1}}); err != nil {
			t.Fatal(err)
		}
	})
	h.cfg.Passwords = strong
	before, err := h.dir.Account(ctx, "ajay")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := h.Authenticate(ctx, try("ajay@rajya.example", password)); err != nil {
			t.Fatal(err)
		}
	}
	after, err := h.dir.Account(ctx, "ajay")
	if err != nil || after.Hash == before.Hash || !strings.Contains(after.Hash, "m=128") {
		t.Error(after.Hash, err)
	}
	if n := strings.Count(strings.Join(h.log(), "\n"), "password.rehash"); n != 1 {
		t.Errorf("%d rehashes", n)
	}
}

func TestSessions(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	h := open(t, nil)
	p, err := h.Authenticate(ctx, try("ajay@rajya.example", password))
	if err != nil {
		t.Fatal(err)
	}
	c := Client{Remote: netip.MustParseAddr("192.0.2.7"), Agent: "browser", TLS: true}
	begin := func() string {
		t.Helper()
		token, err := h.NewSession(ctx, p, c)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	expect := func(what, token string, want fault.Kind) {
		t.Helper()
		if q, err := h.Session(ctx, token); err == nil && want == 0 && q.Account == "ajay" && q.Address == p.Address {
			return
		} else if want == 0 || !fault.Is(err, want) {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
	}
	one, two := begin(), begin()
	if one == two || len(one) != 46 {
		t.Fatal(one, two)
	}
	expect("good", one, 0)
	expect("good, from memory", one, 0)
	for _, bad := range []string{"", "00", one[:45], one + "A", "99" + one[2:], "xx" + one[2:], "-1" + one[2:], fmt.Sprintf("%02d", (laneOf("ajay")+1)%Lanes) + one[2:], one[:45] + "_"} {
		if bad != one {
			expect("bad token "+bad, bad, fault.Auth)
		}
	}
	list, err := h.Sessions(ctx, "ajay")
	if err != nil || len(list) != 2 || list[0].Agent != "browser" || strings.Contains(one, list[0].ID) {
		t.Error(list, err)
	}
	if err := h.End(ctx, one); err != nil {
		t.Error(err)
	}
	expect("ended", one, fault.Auth)
	if err := h.End(ctx, one); err != nil {
		t.Error("ended twice", err)
	}
	if list, err = h.Sessions(ctx, "ajay"); err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	if err := h.EndByID(ctx, "web", list[0].ID); !fault.Is(err, fault.NotFound) {
		t.Error("somebody else's session", err)
	}
	expect("still good", two, 0)
	if err := h.EndByID(ctx, "ajay", list[0].ID); err != nil {
		t.Error(err)
	}
	expect("ended by id", two, fault.Auth)

	three := begin()
	h.clock.Advance(DefaultLife - time.Second)
	expect("at the end of its life", three, 0)
	h.clock.Advance(time.Second)
	expect("past it", three, fault.Auth)
	if err := h.Sweep(ctx); err != nil {
		t.Error(err)
	}
	for _, shard := range Shards() {
		if err := h.store.View(ctx, shard, func(r kv.Reader) error {
			return r.Scan(kv.PrefixRange([]byte(sessionPrefix)), func(k, _ []byte) bool { t.Errorf("%s: %q is left", shard, k); return true })
		}); err != nil {
			t.Fatal(err)
		}
	}

	four := begin()
	expect("good", four, 0)
	h.change(func(tx *kv.Tx) error { return h.dir.SetDisabled(tx, "ajay", true) })
	h.clock.Advance(DefaultFresh)
	expect("the account disabled", four, fault.Denied)
	h.change(func(tx *kv.Tx) error { return h.dir.SetDisabled(tx, "ajay", false) })
	expect("and enabled", four, 0)
	for range DefaultMax {
		h.clock.Advance(time.Second)
		begin()
	}
	h.clock.Advance(DefaultFresh)
	expect("the oldest of too many", four, fault.Auth)
	if list, err = h.Sessions(ctx, "ajay"); err != nil || len(list) != DefaultMax {
		t.Error(len(list), err)
	}
}

func TestChangePassword(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	h := open(t, nil)
	p, err := h.Authenticate(ctx, try("ajay@rajya.example", password))
	if err != nil {
		t.Fatal(err)
	}
	token, err := h.NewSession(ctx, p, Client{TLS: true})
	if err != nil {
		t.Fatal(err)
	}
	const next = "a quite different sentence"
	for _, c := range []struct {
		old, next string
		kind      fault.Kind
	}{{"x", next, fault.Auth}, {password, password, fault.Invalid}, {password, "short", fault.Invalid}, {password, "Password@1234", fault.Invalid}} {
		if err := h.ChangePassword(ctx, try("ajay@rajya.example", c.old), c.next, 0); !fault.Is(err, c.kind) {
			t.Errorf("%q to %q: %v", c.old, c.next, err)
		}
	}
	if _, err := h.Session(ctx, token); err != nil {
		t.Error(err)
	}
	if err := h.ChangePassword(ctx, try("ajay@rajya.example", password), next, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Session(ctx, token); !fault.Is(err, fault.Auth) {
		t.Error("a session outlives its password", err)
	}
	if _, err := h.Authenticate(ctx, try("ajay@rajya.example", password)); !fault.Is(err, fault.Auth) {
		t.Error("the old password still opens", err)
	}
	if _, err := h.Authenticate(ctx, try("ajay@rajya.example", next)); err != nil {
		t.Error(err)
	}
	if l := strings.Join(h.log(), "\n"); !strings.Contains(l, "password.set ajay ajay@rajya.example") || !strings.Contains(l, "signout ajay") {
		t.Error(l)
	}
}

// TestAnotherNode shows that what one node does, another sees once its short
// memory has run out.
func TestAnotherNode(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	h := open(t, nil)
	cfg := h.cfg
	cfg.Directory = directory.New(directory.Config{Store: h.store})
	other := New(cfg)
	p, err := h.Authenticate(ctx, try("ajay@rajya.example", password))
	if err != nil {
		t.Fatal(err)
	}
	token, err := h.NewSession(ctx, p, Client{TLS: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Session(ctx, token); err != nil {
		t.Fatal(err)
	}
	if err := h.End(ctx, token); err != nil {
		t.Fatal(err)
	}
	h.clock.Advance(DefaultFresh)
	if _, err := other.Session(ctx, token); !fault.Is(err, fault.Auth) {
		t.Error(err)
	}
}

func FuzzSession(f *testing.F) {
	h := open(f, nil)
	f.Add("00." + strings.Repeat("A", 43))
	f.Add("16.")
	f.Fuzz(func(t *testing.T, s string) {
		if _, err := h.Session(context.Background(), s); !fault.Is(err, fault.Auth) {
			t.Errorf("%q: %v", s, err)
		}
	})
}
