package queue_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/mohar-mail/mohar/base/clock"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/queue"
	"github.com/mohar-mail/mohar/store/blob/memblob"
	"github.com/mohar-mail/mohar/store/body"
	"github.com/mohar-mail/mohar/store/kv"
	"github.com/mohar-mail/mohar/store/kv/memkv"
)

type world struct {
	*testing.T
	q      *queue.Queue
	kv     *kv.Store
	bodies *body.Bodies
	clock  *clock.Fake
	woken  []queue.Class
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, clock: clock.NewFake(time.Date(2026, 3, 2, 9, 0, 0, 123456789, time.UTC))}
	store := kv.NewStore(memkv.New())
	w.kv = store
	t.Cleanup(func() { store.Close() })
	w.bodies = body.New(store, memblob.New(), body.Config{})
	w.q = queue.New(queue.Config{KV: store, Bodies: w.bodies, Clock: w.clock, Lanes: 1,
		Wake: func(_ int, c queue.Class) { w.woken = append(w.woken, c) }})
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) promise(rcpts ...queue.Recipient) *queue.Item {
	w.Helper()
	wr := w.bodies.Writer(w.Context())
	_, err := wr.Write([]byte("Subject: x\r\n\r\nnamaste\r\n"))
	w.must(err)
	st, err := wr.Finish()
	w.must(err)
	it := &queue.Item{ID: w.q.NewID(), From: "a@example.org"}
	w.must(w.q.Promise(w.Context(), it, rcpts, st, nil))
	return it
}

func (w *world) lease(c queue.Class, want int) []queue.Lease {
	w.Helper()
	l, _, err := w.q.Lease(w.Context(), 0, c, 100)
	w.must(err)
	if len(l) != want {
		w.Fatalf("leased %d, want %d", len(l), want)
	}
	return l
}

var (
	toRavi  = queue.Recipient{Address: "ravi@rajya.example", Account: "a1", Class: queue.Local}
	toGmail = queue.Recipient{Address: "c@gmail.com", Domain: "gmail.com", Class: queue.Remote}
)

// S3 -> S4 -> S5: the item and its content go with the last recipient.
func TestLifeOfAnItem(t *testing.T) {
	w := newWorld(t)
	it := w.promise(toRavi, toGmail)
	if len(w.woken) != 2 {
		t.Errorf("woken %v", w.woken)
	}
	local := w.lease(queue.Local, 1)
	w.lease(queue.Local, 0) // S4: nobody else gets it
	w.must(w.q.Finish(t.Context(), []queue.Result{{Lease: local[0], Taken: true}}, nil))
	if _, err := w.q.Get(t.Context(), it.ID); err != nil {
		t.Fatalf("one recipient is left: %v", err)
	}
	remote := w.lease(queue.Remote, 1)
	w.must(w.q.Finish(t.Context(), []queue.Result{{Lease: remote[0]}}, nil))
	if _, err := w.q.Get(t.Context(), it.ID); !fault.Is(err, fault.NotFound) {
		t.Fatalf("the item is still there: %v", err)
	}
	if _, err := w.bodies.Read(t.Context(), it.Body); err != nil {
		t.Fatalf("the mailbox's hold on the content was lost: %v", err)
	}
}

func TestContentGoesWithTheLastHold(t *testing.T) {
	w := newWorld(t)
	it := w.promise(toGmail)
	w.must(w.q.Finish(t.Context(), []queue.Result{{Lease: w.lease(queue.Remote, 1)[0]}}, nil))
	if _, err := w.bodies.Read(t.Context(), it.Body); err == nil {
		t.Fatal("the content is still there")
	}
}

// S4 -> S3: a lease that runs out, and the fencing of its late worker.
func TestLostLeaseChangesNothing(t *testing.T) {
	w := newWorld(t)
	it := w.promise(toGmail)
	late := w.lease(queue.Remote, 1)
	w.clock.Advance(queue.LeaseTime + time.Second)
	w.lease(queue.Remote, 1)
	called := false
	w.must(w.q.Finish(t.Context(), []queue.Result{{Lease: late[0]}}, func(*kv.Tx, []queue.Result) error { called = true; return nil }))
	if _, err := w.q.Get(t.Context(), it.ID); err != nil || called {
		t.Fatalf("a late worker changed the queue: %v, called %v", err, called)
	}
}

func TestRetry(t *testing.T) {
	w := newWorld(t)
	it := w.promise(toGmail)
	at := w.clock.Now().Add(time.Minute - time.Second).Truncate(time.Microsecond)
	w.must(w.q.Finish(t.Context(), []queue.Result{{Lease: w.lease(queue.Remote, 1)[0], Retry: at, Last: "451 later"}}, nil))
	_, next, err := w.q.Lease(t.Context(), 0, queue.Remote, 10)
	w.must(err)
	if !next.Equal(at) {
		t.Errorf("next %v want %v", next, at)
	}
	w.clock.Advance(time.Minute)
	w.lease(queue.Remote, 1)
	m, err := w.q.Get(t.Context(), it.ID)
	w.must(err)
	if r := m.Recipients[0]; r.Attempts != 1 || r.Last != "451 later" {
		t.Errorf("recipient %+v", r)
	}
}

func TestHoldReleaseRetryDrop(t *testing.T) {
	w := newWorld(t)
	it := w.promise(toRavi, toGmail)
	w.lease(queue.Remote, 1) // a worker has it; the hold takes it back
	local := w.lease(queue.Local, 1)
	if err := w.q.Hold(t.Context(), it.ID, "", nil); !fault.Is(err, fault.Conflict) {
		t.Errorf("held while a mailbox may be taking it: %v", err)
	}
	if err := w.q.Drop(t.Context(), it.ID, nil); !fault.Is(err, fault.Conflict) {
		t.Errorf("dropped while a mailbox may be taking it: %v", err)
	}
	w.must(w.q.Finish(t.Context(), []queue.Result{{Lease: local[0], Retry: w.clock.Now()}}, nil))
	w.must(w.q.Hold(t.Context(), it.ID, "for a second person", nil))
	w.lease(queue.Local, 0)
	st, err := w.q.Stats(t.Context())
	w.must(err)
	if st.Held != 2 || st.Local+st.Remote != 0 {
		t.Errorf("stats %+v", st)
	}
	w.must(w.q.Release(t.Context(), it.ID, nil))
	w.lease(queue.Remote, 1)
	w.must(w.q.Retry(t.Context(), it.ID, nil))
	w.lease(queue.Remote, 1)
	w.must(w.q.Drop(t.Context(), it.ID, nil))
	if st, err = w.q.Stats(t.Context()); err != nil || st != (queue.Stats{}) {
		t.Errorf("after drop %+v %v", st, err)
	}
	if _, err := w.bodies.Read(t.Context(), it.Body); err == nil {
		t.Error("the content of a dropped message is still there")
	}
}

func TestItemIDs(t *testing.T) {
	w := newWorld(t)
	id := w.q.NewID()
	back, err := queue.ParseItemID(strings.ToUpper(id.String()))
	if err != nil || back != id {
		t.Fatalf("%v %v", back, err)
	}
	for _, s := range []string{"", "x", strings.Repeat("i", 26), id.String() + "0"} {
		if _, err := queue.ParseItemID(s); err == nil {
			t.Errorf("%q was read", s)
		}
	}
}

// A kill while a worker holds a lease, S4 -> S3: the next process goes on at
// once instead of waiting for the lease to end.
func TestRecover(t *testing.T) {
	w := newWorld(t)
	w.promise(toRavi, toGmail)
	later := w.promise(toGmail)
	at := w.clock.Now().Add(time.Hour)
	for _, l := range w.lease(queue.Remote, 2) {
		if l.Item == later.ID {
			w.must(w.q.Finish(t.Context(), []queue.Result{{Lease: l, Retry: at}}, nil))
		}
	}
	w.lease(queue.Local, 1)
	w.must(w.q.Recover(t.Context()))
	w.lease(queue.Local, 1)
	w.lease(queue.Remote, 1) // the one that waits for its hour stays
}

// A mailbox that took the message keeps its content when the rest is dropped.
func TestDropLeavesWhatAMailboxTook(t *testing.T) {
	w := newWorld(t)
	w.q = queue.New(queue.Config{KV: w.kv, Bodies: w.bodies, Clock: w.clock, Lanes: 1,
		Delivered: func(_ context.Context, r *queue.Recipient) (bool, error) { return r.Account == "a1", nil }})
	it := w.promise(toRavi, toGmail)
	w.must(w.q.Drop(t.Context(), it.ID, nil))
	if _, err := w.bodies.Read(t.Context(), it.Body); err != nil {
		t.Fatalf("the mailbox's content is gone: %v", err)
	}
}
