package change_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/base/clock"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/directory"
	"github.com/mohar-mail/mohar/directory/credential"
	"github.com/mohar-mail/mohar/flow/change"
	"github.com/mohar-mail/mohar/queue"
	"github.com/mohar-mail/mohar/store/blob/memblob"
	"github.com/mohar-mail/mohar/store/body"
	"github.com/mohar-mail/mohar/store/kv"
	"github.com/mohar-mail/mohar/store/kv/memkv"
)

type failing struct {
	kv.DB
	fail bool
}

func (f *failing) Commit(ctx context.Context, b *kv.Batch) (kv.Ticket, error) {
	if f.fail {
		return nil, errors.New("no space left on device")
	}
	return f.DB.Commit(ctx, b)
}

type world struct {
	*testing.T
	db     *failing
	store  *kv.Store
	dir    *directory.Directory
	hasher *credential.Hasher
	bodies *body.Bodies
	q      *queue.Queue
	c      *change.Change
	keys   []string
	staged []kv.Shard
}

var by = change.By{Actor: "chief", Reason: "order 12/2026"}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, db: &failing{DB: memkv.New()}}
	now := clock.NewFake(time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC))
	w.store = kv.NewStore(w.db)
	t.Cleanup(func() { w.store.Close() })
	w.dir = directory.New(directory.Config{Store: w.store})
	var err error
	w.hasher, err = credential.New(credential.Config{Params: credential.Quick(), Clock: now})
	w.must(err)
	w.bodies = body.New(w.store, memblob.New(), body.Config{})
	w.q = queue.New(queue.Config{KV: w.store, Bodies: w.bodies, Clock: now, Lanes: 1})
	w.c = change.New(change.Config{Directory: w.dir, Hasher: w.hasher, Queue: w.q, Clock: now,
		Staged: func(s kv.Shard) { w.staged = append(w.staged, s) },
		Keys:   func(domain string) error { w.keys = append(w.keys, domain); return nil }})
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// audit gives "kind object" of the records that wait in a shard.
func (w *world) audit(shard kv.Shard) (out []string) {
	w.Helper()
	w.must(w.store.View(w.Context(), shard, func(r kv.Reader) error {
		return r.Scan(kv.PrefixRange([]byte("o/")), func(_, v []byte) bool {
			var m struct {
				Kind, Object, Actor, Door string
				Detail                    map[string]string
			}
			if err := json.Unmarshal(v, &m); err != nil || m.Actor != string(by.Actor) || m.Detail["reason"] != by.Reason || m.Door != "admin" {
				w.Errorf("record %s: %v", v, err)
			}
			if strings.Contains(string(v), "battery") || strings.Contains(string(v), "argon2") {
				w.Errorf("a password in the log: %s", v)
			}
			out = append(out, m.Kind+" "+m.Object)
			return true
		})
	}))
	return out
}

func (w *world) setUp() mohar.AccountID {
	w.Helper()
	w.must(w.c.AddDomain(w.Context(), by, directory.Domain{Name: "Rajya.Example", State: directory.Live}))
	id, err := w.c.AddAccount(w.Context(), by, directory.Account{Category: mohar.Employee, Addresses: []string{"ravi@rajya.example"}}, "correct horse battery")
	w.must(err)
	return id
}

func TestActsAreRecordedWithTheirChange(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.setUp()
	w.must(w.c.SetDisabled(t.Context(), by, "ravi@rajya.example", true))
	a, err := w.dir.Account(t.Context(), id)
	w.must(err)
	if !a.Disabled {
		t.Error("not disabled")
	}
	w.must(w.c.SetDisabled(t.Context(), by, "RAVI@rajya.example", false))
	w.must(w.c.SetPassword(t.Context(), by, "ravi@rajya.example", "another horse battery"))
	if a, err = w.dir.Account(t.Context(), id); err != nil || a.Disabled {
		t.Errorf("%+v %v", a, err)
	}
	for password, want := range map[string]bool{"correct horse battery": false, "another horse battery": true} {
		if ok, _, err := w.hasher.Verify(t.Context(), string(id), a.Hash, password); ok != want || err != nil {
			t.Errorf("%s: %v %v", password, ok, err)
		}
	}
	want := []string{"domain.add rajya.example", "account.add ravi@rajya.example", "account.disable ravi@rajya.example",
		"account.enable ravi@rajya.example", "account.password ravi@rajya.example"}
	if got := w.audit(directory.Shard); !slices.Equal(got, want) || len(w.staged) != len(want) {
		t.Errorf("records %v, staged %v", got, w.staged)
	}
	if fmt.Sprint(w.keys) != "[rajya.example]" {
		t.Errorf("keys %v", w.keys)
	}
}

// What was not done is not recorded, and what cannot be recorded is not done.
func TestAllOrNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.setUp()
	before := w.audit(directory.Shard)
	w.db.fail = true
	ctx := t.Context()
	for name, err := range map[string]error{
		"domain":   w.c.AddDomain(ctx, by, directory.Domain{Name: "x.example"}),
		"disable":  w.c.SetDisabled(ctx, by, "ravi@rajya.example", true),
		"password": w.c.SetPassword(ctx, by, "ravi@rajya.example", "another horse battery"),
	} {
		if !fault.Is(err, fault.Unavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.db.fail = false
	if a, _, err := w.dir.ByAddress(ctx, "ravi@rajya.example"); err != nil || a.Disabled {
		t.Errorf("%+v %v", a, err)
	}
	for name, err := range map[string]error{
		"domain there already": w.c.AddDomain(ctx, by, directory.Domain{Name: "rajya.example"}),
		"nobody":               w.c.SetDisabled(ctx, by, "nobody@rajya.example", true),
		"no address":           w.c.SetDisabled(ctx, by, "", true),
		"weak password":        w.c.SetPassword(ctx, by, "ravi@rajya.example", "ravi"),
		"no addresses":         second(w.c.AddAccount(ctx, by, directory.Account{Category: mohar.Employee}, "")),
		"foreign address":      second(w.c.AddAccount(ctx, by, directory.Account{Category: mohar.Employee, Addresses: []string{"x@gmail.com"}}, "")),
		"list of one bad":      w.c.AddAccounts(ctx, by, []directory.Account{{Category: mohar.Employee, Addresses: []string{"sita@rajya.example"}}, {}}, nil),
	} {
		if err == nil {
			t.Errorf("%s: done", name)
		}
	}
	if _, _, err := w.dir.ByAddress(ctx, "sita@rajya.example"); !fault.Is(err, fault.NotFound) {
		t.Errorf("half a list was added: %v", err)
	}
	if got := w.audit(directory.Shard); !slices.Equal(got, before) {
		t.Errorf("records %v, before %v", got, before)
	}
	if err := w.c.AddAccounts(ctx, by, nil, nil); err != nil {
		t.Errorf("an empty list: %v", err)
	}
}

// A key's file bears the domain's name.
func TestNoKeyForWhatIsNoDomain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, name := range []string{"../../etc/x", "a/b.example", "", "[192.0.2.1]", "x..example", "a\x00.example"} {
		if err := w.c.AddDomain(t.Context(), by, directory.Domain{Name: name}); err == nil {
			t.Errorf("%q was added", name)
		}
	}
	if len(w.keys) != 0 {
		t.Errorf("keys %q", w.keys)
	}
	w.must(w.c.AddDomain(t.Context(), by, directory.Domain{Name: "राज्य.example"}))
	if fmt.Sprint(w.keys) != "[xn--81b2bb0dzd.example]" {
		t.Errorf("keys %v", w.keys)
	}
}

func TestActsOnTheQueue(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	wr := w.bodies.Writer(t.Context())
	_, err := wr.Write([]byte("Subject: x\r\n\r\n"))
	w.must(err)
	st, err := wr.Finish()
	w.must(err)
	it := &queue.Item{ID: w.q.NewID(), From: "a@example.org"}
	w.must(w.q.Promise(t.Context(), it, []queue.Recipient{{Address: "x@city.example", Domain: "city.example", Class: queue.Remote}}, st, nil))
	held := func() int {
		s, err := w.q.Stats(t.Context())
		w.must(err)
		return s.Held
	}
	w.db.fail = true
	if err := w.c.Queue(t.Context(), by, change.Hold, it.ID); !fault.Is(err, fault.Unavailable) {
		t.Errorf("%v", err)
	}
	w.db.fail = false
	if held() != 0 || len(w.audit(queue.Lane(0))) != 0 {
		t.Error("held without a commit")
	}
	w.must(w.c.Queue(t.Context(), by, change.Hold, it.ID))
	if m, err := w.q.Get(t.Context(), it.ID); err != nil || held() != 1 || m.Recipients[0].Reason != by.Reason {
		t.Errorf("%+v %v", m, err)
	}
	w.must(w.c.Queue(t.Context(), by, change.Release, it.ID))
	w.must(w.c.Queue(t.Context(), by, change.Retry, it.ID))
	w.must(w.c.Queue(t.Context(), by, change.Drop, it.ID))
	for _, act := range []change.QueueAct{change.Drop, change.Hold, "eat"} {
		if err := w.c.Queue(t.Context(), by, act, it.ID); err == nil {
			t.Errorf("%s of what is gone", act)
		}
	}
	id := it.ID.String()
	if got := w.audit(queue.Lane(0)); !slices.Equal(got, []string{"queue.hold " + id, "queue.release " + id, "queue.retry " + id, "queue.drop " + id}) {
		t.Errorf("%v", got)
	}
}

func second[T any](_ T, err error) error { return err }
