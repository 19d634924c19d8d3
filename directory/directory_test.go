package directory

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/store/kv"
	"github.com/mohar-mail/mohar/store/kv/memkv"
	"github.com/mohar-mail/mohar/wire/addr"
)

var now = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

const twin = "राज्य.example"

// sample makes a directory with rajya.example, its twin, and three accounts.
func sample(t testing.TB) *Directory {
	t.Helper()
	d := New(Config{Store: kv.NewStore(memkv.New())})
	must(t, d, func(tx *kv.Tx) error {
		if err := d.AddDomain(tx, &Domain{Name: "Rajya.example", State: Live, Rulebook: "state", Postmaster: "office"}); err != nil {
			return err
		}
		if err := d.AddDomain(tx, &Domain{Name: twin, State: Live, AliasOf: "rajya.example"}); err != nil {
			return err
		}
		for _, a := range []*Account{
			{ID: "office", Category: mohar.Functional, Addresses: []string{"office@rajya.example"}},
			{ID: "ajay", Category: mohar.Employee, Addresses: []string{"अजय@rajya.example", "Ajay@rajya.example"}},
			{ID: "hindi", Category: mohar.Employee, Addresses: []string{"hindi@rajya.example", "हिन्दी@rajya.example"}},
		} {
			if err := d.AddAccount(tx, a); err != nil {
				return err
			}
		}
		return nil
	})
	return d
}

func must(t testing.TB, d *Directory, fn func(*kv.Tx) error) {
	t.Helper()
	if err := d.Update(context.Background(), fn); err != nil {
		t.Fatal(err)
	}
}

func TestResolve(t *testing.T) {
	t.Parallel()
	d := sample(t)
	ctx := context.Background()
	for round := range 2 { // from the store, then from memory
		for _, c := range []struct{ address, account, domain, detail string }{
			{"ajay@rajya.example", "ajay", "rajya.example", ""},
			{"AJAY@RAJYA.EXAMPLE", "ajay", "rajya.example", ""},
			{"अजय@rajya.example", "ajay", "rajya.example", ""},
			{"अजय@" + twin, "ajay", "rajya.example", ""},
			{"ajay+tax@rajya.example", "ajay", "rajya.example", "tax"},
			{"हिंदी@rajya.example", "hindi", "rajya.example", ""},
			{"Postmaster@rajya.example", "office", "rajya.example", ""},
			{"abuse@" + twin, "office", "rajya.example", ""},
			{"nobody@rajya.example", "", "rajya.example", ""},
			{"nobody+x@rajya.example", "", "rajya.example", ""},
			{"ajay@else.example", "", "", ""},
			{"ajay@sub.rajya.example", "", "", ""},
		} {
			r, err := d.Resolve(ctx, c.address)
			if err != nil {
				t.Fatal(err)
			}
			account, domain := "", ""
			if r.Account != nil {
				account = string(r.Account.ID)
			}
			if r.Domain != nil {
				domain = r.Domain.Name
			}
			if account != c.account || domain != c.domain || r.Detail != c.detail {
				t.Errorf("round %d, %s: %s %s %q", round, c.address, account, domain, r.Detail)
			}
		}
	}
	if len(d.cache.known) == 0 {
		t.Error("nothing was remembered")
	}
	if _, err := d.Resolve(ctx, "no address"); !fault.Is(err, fault.Invalid) {
		t.Error(err)
	}
	if _, _, err := d.ByAddress(ctx, "nobody@rajya.example"); !fault.Is(err, fault.NotFound) {
		t.Error(err)
	}
	a, dom, err := d.ByAddress(ctx, "ajay@rajya.example")
	if err != nil || a.Address() != "अजय@rajya.example" || a.ASCII() != "Ajay@rajya.example" || dom.Rulebook != "state" {
		t.Error(a, dom, err)
	}
}

func TestSendAs(t *testing.T) {
	t.Parallel()
	d := sample(t)
	a, err := d.Account(context.Background(), "ajay")
	if err != nil {
		t.Fatal(err)
	}
	got, err := d.SendAs(context.Background(), a)
	want := []string{"अजय@rajya.example", "Ajay@rajya.example", "अजय@" + twin, "Ajay@" + twin}
	if err != nil || !slices.Equal(got, want) {
		t.Error(got, err)
	}
}

// TestMemoryIsNeverOld changes the directory behind a second reader's back.
func TestMemoryIsNeverOld(t *testing.T) {
	t.Parallel()
	d := sample(t)
	other := New(Config{Store: d.store})
	ctx := context.Background()
	for range 2 {
		if a, _, err := other.ByAddress(ctx, "ajay@rajya.example"); err != nil || a.Disabled {
			t.Fatal(a, err)
		}
	}
	must(t, d, func(tx *kv.Tx) error { return d.SetDisabled(tx, "ajay", true) })
	if a, _, err := other.ByAddress(ctx, "ajay@rajya.example"); err != nil || !a.Disabled {
		t.Error("an old answer", a, err)
	}
	if _, _, err := other.ByAddress(ctx, "new@rajya.example"); !fault.Is(err, fault.NotFound) {
		t.Error(err)
	}
	must(t, d, func(tx *kv.Tx) error {
		return d.AddAccount(tx, &Account{ID: "n", Category: mohar.Employee, Addresses: []string{"new@rajya.example"}})
	})
	if _, _, err := other.ByAddress(ctx, "new@rajya.example"); err != nil {
		t.Error("an old refusal", err)
	}
	c := newCache(3)
	for i := range 10 {
		c.put(5, fmt.Sprint(i), Resolution{})
	}
	if c.put(4, "old", Resolution{}); len(c.known) != 3 {
		t.Error("bound", len(c.known))
	}
	if _, ok := c.get(5, "old"); ok {
		t.Error("a reader of the past wrote")
	}
}

func TestAccountRules(t *testing.T) {
	t.Parallel()
	d := sample(t)
	good := Account{ID: "x", Category: mohar.Employee, Addresses: []string{"x@rajya.example"}}
	for _, c := range []struct {
		name string
		edit func(*Account)
		kind fault.Kind
		ok   bool
	}{
		{"good", func(*Account) {}, 0, true},
		{"no id", func(a *Account) { a.ID = "" }, fault.Invalid, false},
		{"same id", func(a *Account) { a.ID = "ajay" }, fault.Exists, false},
		{"no category", func(a *Account) { a.Category = 0 }, fault.Invalid, false},
		{"no address", func(a *Account) { a.Addresses = nil }, fault.Invalid, false},
		{"no mailbox", func(a *Account) { a.Addresses = []string{"x"} }, fault.Invalid, false},
		{"taken", func(a *Account) { a.Addresses = []string{"AJAY@rajya.example"} }, fault.Exists, false},
		{"reads like another", func(a *Account) { a.Addresses = []string{"x@rajya.example", "हिंदी@rajya.example"} }, fault.Exists, false},
		{"two spellings of its own", func(a *Account) {
			a.Addresses = []string{"x@rajya.example", "गंगा@rajya.example", "गङ्गा@rajya.example"}
		}, 0, true},
		{"not our domain", func(a *Account) { a.Addresses = []string{"x@gmail.com"} }, fault.Invalid, false},
		{"in the alias", func(a *Account) { a.Addresses = []string{"x@" + twin} }, fault.Invalid, false},
		{"Hindi without a twin", func(a *Account) { a.Addresses = []string{"विजय@rajya.example"} }, fault.Invalid, false},
		{"contractual without an end", func(a *Account) { a.Category = mohar.Contractual }, fault.Invalid, false},
		{"contractual", func(a *Account) { a.Category = mohar.Contractual; a.Until = now }, 0, true},
		{"consultant without a sponsor", func(a *Account) { a.Category = mohar.Consultant; a.Until = now }, fault.Invalid, false},
		{"sponsor unknown", func(a *Account) { a.Category = mohar.Partner; a.Until = now; a.Sponsor = "nobody" }, fault.Invalid, false},
		{"partner", func(a *Account) { a.Category = mohar.Partner; a.Until = now; a.Sponsor = "ajay" }, 0, true},
	} {
		a := good
		c.edit(&a)
		undo := fmt.Errorf("undo")
		err := d.Update(context.Background(), func(tx *kv.Tx) error {
			if err := d.AddAccount(tx, &a); err != nil {
				return err
			}
			return undo
		})
		if (err == undo) != c.ok || (!c.ok && !fault.Is(err, c.kind)) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestChange(t *testing.T) {
	t.Parallel()
	d := sample(t)
	ctx := context.Background()
	must(t, d, func(tx *kv.Tx) error {
		if err := d.SetPassword(tx, "ajay", "hash"); err != nil {
			return err
		}
		return d.ChangeAccount(tx, "ajay", func(a *Account) error {
			a.ID = "other"
			a.Addresses = []string{"ajay.k@rajya.example"}
			a.Roles = []string{"admin"}
			return nil
		})
	})
	a, err := d.Account(ctx, "ajay")
	if err != nil || a.Hash != "hash" || !a.HasRole("admin") || a.HasRole("x") {
		t.Error(a, err)
	}
	if _, _, err := d.ByAddress(ctx, "ajay@rajya.example"); !fault.Is(err, fault.NotFound) {
		t.Error("the old address still leads somewhere", err)
	}
	must(t, d, func(tx *kv.Tx) error { // the old address is free again
		return d.AddAccount(tx, &Account{ID: "second", Category: mohar.Employee, Addresses: []string{"ajay@rajya.example"}})
	})
	if err := d.Update(ctx, func(tx *kv.Tx) error { return d.SetDisabled(tx, "nobody", true) }); !fault.Is(err, fault.NotFound) {
		t.Error(err)
	}
}

func TestDomainStates(t *testing.T) {
	t.Parallel()
	d := sample(t)
	ctx := context.Background()
	set := func(s State) error {
		return d.Update(ctx, func(tx *kv.Tx) error { return d.SetDomainState(tx, "new.example", s, "ajay", now) })
	}
	must(t, d, func(tx *kv.Tx) error { return d.AddDomain(tx, &Domain{Name: "new.example"}) })
	for _, c := range []struct {
		to State
		ok bool
	}{{Live, false}, {Verified, true}, {Verified, false}, {Suspended, false}, {Live, true}, {Requested, false}, {Suspended, true}, {Live, true}} {
		if err := set(c.to); (err == nil) != c.ok || (err != nil && !fault.Is(err, fault.Conflict)) {
			t.Errorf("to %v: %v", c.to, err)
		}
	}
	x, err := d.Domain(ctx, "NEW.example")
	if err != nil || x.State != Live || x.ApprovedBy != "ajay" || !x.Changed.Equal(now) {
		t.Error(x, err)
	}
	must(t, d, func(tx *kv.Tx) error {
		return d.ChangeDomain(tx, twin, func(x *Domain) error { x.State = Suspended; x.Token = "t"; return nil })
	})
	if x, err = d.Domain(ctx, twin); err != nil || x.State != Live || x.Token != "t" || x.Unicode != twin {
		t.Error(x, err)
	}
	must(t, d, func(tx *kv.Tx) error { return d.SetDomainState(tx, twin, Suspended, "ajay", now) })
	if r, err := d.Resolve(ctx, "ajay@"+twin); err != nil || r.Domain.State != Suspended || r.Domain.Rulebook != "state" {
		t.Error("a suspended alias", r.Domain, err)
	}
	if r, err := d.Resolve(ctx, "ajay@rajya.example"); err != nil || r.Domain.State != Live {
		t.Error("its main domain", r.Domain, err)
	}
	for _, bad := range []*Domain{{Name: "rajya.example"}, {Name: "[192.0.2.1]"}, {Name: "a b"}, {Name: "z.example", AliasOf: "none.example"}, {Name: "z.example", AliasOf: twin}, {Name: "z.example", State: 9}} {
		if err := d.Update(ctx, func(tx *kv.Tx) error { return d.AddDomain(tx, bad) }); err == nil {
			t.Errorf("%+v was added", bad)
		}
	}
	ds, err := d.Domains(ctx)
	if err != nil || len(ds) != 3 {
		t.Error(ds, err)
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	d := sample(t)
	must(t, d, func(tx *kv.Tx) error {
		if err := d.AddDomain(tx, &Domain{Name: "example.test", State: Live, Rulebook: "base"}); err != nil {
			return err
		}
		for i := range 25 {
			a := &Account{ID: mohar.AccountID(fmt.Sprintf("u%02d", i)), Category: mohar.Employee, Addresses: []string{fmt.Sprintf("u%d@example.test", i)}}
			if err := d.AddAccount(tx, a); err != nil {
				return err
			}
		}
		return nil
	})
	var ids []string
	p := Page{Domain: "Example.TEST", Limit: 10}
	for {
		as, err := d.List(context.Background(), p)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range as {
			ids = append(ids, string(a.ID))
			p.After = a.ID
		}
		if len(as) < p.Limit {
			break
		}
	}
	if len(ids) != 25 || !slices.IsSorted(ids) {
		t.Error(ids)
	}
	if all, err := d.List(context.Background(), Page{}); err != nil || len(all) != 28 {
		t.Error(len(all), err)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		spoil func(d *Directory, tx *kv.Tx) error
		want  string
	}{
		{"in order", func(*Directory, *kv.Tx) error { return nil }, ""},
		{"an index row too many", func(d *Directory, tx *kv.Tx) error {
			tx.Put([]byte("A/\x00\x01xajay"), []byte("ajay"))
			return nil
		}, "in an index"},
		{"an index row of nobody", func(d *Directory, tx *kv.Tx) error {
			tx.Put([]byte("L/\x00\x01xnone"), []byte("none"))
			return nil
		}, "in an index"},
		{"a row without its index", func(d *Directory, tx *kv.Tx) error {
			for _, p := range []string{addressPrefix, loosePrefix} {
				var keys [][]byte
				if err := tx.Scan(kv.PrefixRange([]byte(p)), func(k, _ []byte) bool { keys = append(keys, bytes.Clone(k)); return true }); err != nil {
					return err
				}
				for _, k := range keys {
					tx.Delete(k)
				}
			}
			return nil
		}, "not found by its address"},
		{"a domain gone", func(d *Directory, tx *kv.Tx) error { return d.domains.Delete(tx, []byte("rajya.example")) }, "not one of ours"},
		{"a password that is none", func(d *Directory, tx *kv.Tx) error { return d.SetPassword(tx, "ajay", "plain") }, "stored password"},
		{"a state that is none", func(d *Directory, tx *kv.Tx) error {
			return d.domains.Put(tx, &Domain{Name: "z.example", Unicode: "z.example", State: 9})
		}, "unknown state"},
	} {
		d := sample(t)
		must(t, d, func(tx *kv.Tx) error { return c.spoil(d, tx) })
		wrong, err := d.Check(context.Background())
		got := strings.Join(wrong, "\n")
		if err != nil || (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %s %v", c.name, got, err)
		}
	}
}

func TestNewID(t *testing.T) {
	t.Parallel()
	a, err := NewID(bytes.NewReader(make([]byte, 16)))
	if err != nil || a != "aaaaaaaaaaaaaaaaaaaaaaaaaa" {
		t.Error(a, err)
	}
	if _, err := NewID(bytes.NewReader(make([]byte, 15))); err == nil {
		t.Error("an id of too little randomness")
	}
	b, err := NewID(nil)
	c, err2 := NewID(nil)
	if err != nil || err2 != nil || b == c || len(b) != 26 {
		t.Error(b, c)
	}
}

func FuzzResolve(f *testing.F) {
	d := sample(f)
	f.Add("ajay+x@rajya.example")
	f.Add("अजय@" + twin)
	f.Add("postmaster")
	f.Fuzz(func(t *testing.T, s string) {
		r, err := d.Resolve(context.Background(), s)
		if err != nil {
			return
		}
		// The memory must give what the store gives.
		m, err := addr.ParseMailbox(s)
		if err != nil {
			t.Fatal(err)
		}
		err = d.store.View(context.Background(), Shard, func(rd kv.Reader) error {
			again, err := d.ResolveIn(rd, m)
			if (again.Account == nil) != (r.Account == nil) || (again.Account != nil && again.Account.ID != r.Account.ID) || again.Detail != r.Detail {
				t.Errorf("%q: %+v, from the store %+v", s, r, again)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

func BenchmarkResolve(b *testing.B) {
	d := sample(b)
	for b.Loop() {
		if _, err := d.Resolve(context.Background(), "ajay@rajya.example"); err != nil {
			b.Fatal(err)
		}
	}
}
