package reclaim_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/base/clock"
	"github.com/mohar-mail/mohar/flow/reclaim"
	"github.com/mohar-mail/mohar/mailbox"
	"github.com/mohar-mail/mohar/queue"
	"github.com/mohar-mail/mohar/store/blob"
	"github.com/mohar-mail/mohar/store/blob/memblob"
	"github.com/mohar-mail/mohar/store/body"
	"github.com/mohar-mail/mohar/store/kv"
	"github.com/mohar-mail/mohar/store/kv/memkv"
)

var errKilled = errors.New("killed")

// power cuts a process off from its storage at a chosen step: the nth commit, or
// deletion of a blob, after it was armed. From then on nothing gets through.
type power struct {
	steps atomic.Int64
	at    int64 // 0: never
	late  bool  // the step itself still reaches the disk; its answer does not
}

// step says whether an action reaches the disk, and whether its answer returns.
func (p *power) step() (reaches, answers bool) {
	n := p.steps.Add(1)
	if p.at == 0 || n < p.at {
		return true, true
	}
	return n == p.at && p.late, false
}

type cutDB struct {
	kv.DB
	*power
}

func (d cutDB) Commit(ctx context.Context, b *kv.Batch) (kv.Ticket, error) {
	reaches, answers := d.step()
	if !reaches {
		return nil, errKilled
	}
	t, err := d.DB.Commit(ctx, b)
	if !answers {
		return nil, errKilled
	}
	return t, err
}

type cutBlob struct {
	blob.Store
	*power
}

func (b cutBlob) Delete(ctx context.Context, loc blob.Location) error {
	reaches, answers := b.step()
	if !reaches {
		return errKilled
	}
	err := b.Store.Delete(ctx, loc)
	if !answers {
		return errKilled
	}
	return err
}

// process is what is lost in a crash; disk is what stays.
type disk struct {
	db    kv.DB
	blobs *memblob.Store
}

type process struct {
	*testing.T
	clock   *clock.Fake
	kv      *kv.Store
	bodies  *body.Bodies
	boxes   *mailbox.Store
	queue   *queue.Queue
	reclaim *reclaim.Reclaim
	mu      sync.Mutex
	told    []mohar.AccountID
}

func boot(t *testing.T, d disk, c *clock.Fake, p *power) *process {
	t.Helper()
	w := &process{T: t, clock: c, kv: kv.NewStore(cutDB{d.db, p})}
	w.bodies = body.New(w.kv, cutBlob{d.blobs, p}, body.Config{HotLimit: 1000})
	w.boxes = mailbox.New(mailbox.Config{KV: w.kv, Bodies: w.bodies, Clock: c, Released: func(a mohar.AccountID) {
		w.mu.Lock()
		w.told = append(w.told, a)
		w.mu.Unlock()
		if w.reclaim != nil {
			w.reclaim.Nudge(a)
		}
	}})
	w.queue = queue.New(queue.Config{KV: w.kv, Bodies: w.bodies, Clock: c, Lanes: 2})
	return w
}

func (w *process) worker() *reclaim.Reclaim {
	return reclaim.New(reclaim.Config{KV: w.kv, Bodies: w.bodies, Mailboxes: w.boxes, Queue: w.queue, Clock: w.clock})
}

func newDisk() disk { return disk{memkv.New(), memblob.New()} }

func newClock() *clock.Fake { return clock.NewFake(time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)) }

func (w *process) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// send promises a message to accounts and delivers it; it gives its body.
func (w *process) send(lane int, text string, to ...mohar.AccountID) body.Ref {
	w.Helper()
	it := w.promise(lane, text, to...)
	w.deliver(lane)
	return it.Body
}

func (w *process) promise(lane int, text string, to ...mohar.AccountID) *queue.Item {
	w.Helper()
	wr := w.bodies.Writer(w.Context())
	_, err := wr.Write([]byte(text))
	w.must(err)
	st, err := wr.Finish()
	w.must(err)
	c, err := mailbox.Parse([]byte(text))
	w.must(err)
	id := w.queue.NewID()
	id[6] = byte(lane)
	it := &queue.Item{ID: id, From: "a@example.org", Index: c.Index}
	var rcpts []queue.Recipient
	for _, a := range to {
		rcpts = append(rcpts, queue.Recipient{Address: string(a) + "@rajya.example", Account: a, Class: queue.Local})
	}
	w.must(w.queue.Promise(w.Context(), it, rcpts, st, nil))
	return it
}

func (w *process) deliver(lane int) {
	w.Helper()
	leases, _, err := w.queue.Lease(w.Context(), lane, queue.Local, 1000)
	w.must(err)
	items, rcpts, err := w.queue.Load(w.Context(), leases)
	w.must(err)
	var done []queue.Result
	for i, r := range rcpts {
		it := items[r.Item]
		mark := [16]byte(r.Item)
		mark[15] ^= byte(r.N)
		w.must(w.boxes.Update(w.Context(), r.Account, func(u *mailbox.Writer) error {
			c, err := mailbox.ContentOf(it.Index)
			if err != nil {
				return err
			}
			_, err = u.Add(mailbox.Addition{Mailboxes: []mailbox.ID{1}, Received: it.Created, Size: it.Size, Content: c, Body: it.Body, Item: mark})
			return err
		}))
		done = append(done, queue.Result{Lease: leases[i], Taken: true})
	}
	w.must(w.queue.Finish(w.Context(), done, nil))
}

// empty destroys all mail of an account.
func (w *process) empty(a mohar.AccountID) {
	w.Helper()
	for left := true; left; {
		w.must(w.boxes.Update(w.Context(), a, func(u *mailbox.Writer) error {
			var ids []mailbox.EmailID
			err := u.EachEmail(0, func(e *mailbox.Email) bool { ids = append(ids, e.ID); return len(ids) < 50 })
			left = len(ids) > 0
			for _, id := range ids {
				err = errors.Join(err, u.Destroy(id))
			}
			return err
		}))
	}
}

// refs gives the references that are recorded of a body.
func (w *process) refs(ref body.Ref) (refs uint64) {
	w.Helper()
	w.must(w.kv.View(w.Context(), ref.Home, func(r kv.Reader) error {
		n, content, err := body.Rows(r, ref)
		if content != (n > 0) {
			return fmt.Errorf("body %s: %d references, content %v", ref, n, content)
		}
		refs = n
		return err
	}))
	return refs
}

func (w *process) pending(a mohar.AccountID) []mailbox.Release {
	w.Helper()
	rels, err := w.boxes.Releases(w.Context(), a, 0, 10_000)
	w.must(err)
	return rels
}

const small = "Subject: x\r\nMessage-ID: <1@x>\r\n\r\nnamaste\r\n"

// large goes to the blob store of these tests.
var large = small + strings.Repeat("namaste ", 1000)

// A kill before and after every single write of the worker, then a restart:
// every release counts once.
func TestKilledBetweenEveryTwoSteps(t *testing.T) {
	t.Parallel()
	kills := 0
	for _, late := range []bool{false, true} {
		for at := int64(1); ; at++ {
			if !killedAt(t, at, late) {
				break // the worker came to its end before
			}
			kills++
		}
	}
	// Two homes, two blobs, two accounts: at least one commit each.
	if kills < 12 {
		t.Errorf("only %d kills", kills)
	}
}

func killedAt(t *testing.T, at int64, late bool) (killed bool) {
	t.Helper()
	d, c := newDisk(), newClock()
	first := boot(t, d, c, &power{})
	kept := first.send(0, small, "asha", "ravi")          // ravi keeps it
	both := first.send(0, large, "asha", "binu")          // both let go
	other := first.send(1, large, "asha")                 // of another home
	twice := first.send(1, small, "asha", "asha", "ravi") // delivered twice to one person
	first.empty("asha")
	first.empty("binu")
	if !slices.Equal(first.told, []mohar.AccountID{"asha", "binu"}) {
		t.Errorf("told of %v", first.told)
	}

	p := &power{at: at, late: late}
	err := boot(t, d, c, p).worker().Everything(t.Context())
	killed = p.steps.Load() >= at
	if err != nil && !errors.Is(err, errKilled) {
		t.Fatal(err)
	}
	again := boot(t, d, c, &power{})
	for range 2 { // the second finds nothing to do
		again.must(again.worker().Everything(t.Context()))
	}
	for _, a := range []mohar.AccountID{"asha", "binu"} {
		if left := again.pending(a); len(left) > 0 {
			t.Errorf("kill at %d (late %v): %s still has %v", at, late, a, left)
		}
	}
	for i, want := range []struct {
		ref body.Ref
		n   uint64
	}{{kept, 1}, {both, 0}, {other, 0}, {twice, 1}} {
		if n := again.refs(want.ref); n != want.n {
			t.Errorf("kill at %d (late %v): body %d has %d references, want %d", at, late, i, n, want.n)
		}
	}
	if !killed && d.blobs.Len() != 0 {
		t.Errorf("%d large contents stay behind without a crash", d.blobs.Len())
	}
	return killed
}

// Rows that a crash brings back, and two workers at a time, count once.
func TestAppliedOnce(t *testing.T) {
	t.Parallel()
	w := boot(t, newDisk(), newClock(), &power{})
	var refs []body.Ref
	for i := range 50 {
		refs = append(refs, w.send(i%2, small, "asha", "ravi"))
	}
	w.empty("asha")
	rows := map[string][]byte{}
	w.must(w.kv.View(t.Context(), mailbox.Shard("asha"), func(r kv.Reader) error {
		return r.Scan(kv.PrefixRange([]byte("X")), func(k, v []byte) bool { rows[string(k)] = slices.Clone(v); return true })
	}))
	if len(rows) != len(refs) {
		t.Fatalf("%d rows for %d bodies", len(rows), len(refs))
	}
	for range 3 {
		w.must(w.kv.Update(t.Context(), mailbox.Shard("asha"), func(tx *kv.Tx) error {
			for k, v := range rows {
				tx.Put([]byte(k), v)
			}
			return nil
		}))
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				if err := w.worker().Apply(t.Context(), "asha", "ravi", "nobody"); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if left := w.pending("asha"); len(left) > 0 {
			t.Fatalf("%d rows are left", len(left))
		}
	}
	for _, ref := range refs {
		if n := w.refs(ref); n != 1 {
			t.Fatalf("body %s has %d references, want 1", ref, n)
		}
	}
}

// brokenHome takes no commits for one shard until it is mended.
type brokenHome struct {
	kv.DB
	shard  kv.Shard
	broken *atomic.Int64 // commits to refuse
}

func (d brokenHome) Commit(ctx context.Context, b *kv.Batch) (kv.Ticket, error) {
	if b.Shard == d.shard && d.broken.Add(-1) >= 0 {
		return nil, errKilled
	}
	return d.DB.Commit(ctx, b)
}

// A home that fails once in the middle of a long pass must not see its cursor
// move past what it did not take; another home goes on meanwhile.
func TestFailedHomeLosesNothing(t *testing.T) {
	t.Parallel()
	d, c := newDisk(), newClock()
	broken := &atomic.Int64{}
	d.db = brokenHome{d.db, queue.Lane(0), broken}
	w := boot(t, d, c, &power{})
	const letters = 1500 // more than one account has in one round
	var zero []body.Ref
	for i := range letters {
		zero = append(zero, w.promise(0, fmt.Sprintf("Message-ID: <%d@x>\r\n\r\n", i), "asha").Body)
	}
	for range 2 {
		w.deliver(0)
	}
	one := w.send(1, small, "asha")
	w.empty("asha")
	broken.Store(1)
	if err := w.worker().Apply(t.Context(), "asha"); !errors.Is(err, errKilled) {
		t.Fatalf("error %v", err)
	}
	if n := len(w.pending("asha")); n != letters {
		t.Fatalf("%d releases are pending, want %d", n, letters)
	}
	if w.refs(one) != 0 {
		t.Error("the other home had to wait")
	}
	w.must(w.worker().Apply(t.Context(), "asha"))
	for _, ref := range zero {
		if n := w.refs(ref); n != 0 {
			t.Fatalf("body %s has %d references", ref, n)
		}
	}
}

// A row that cannot be read stays and holds nothing back; so does a body that is
// gone.
func TestDamagedRows(t *testing.T) {
	t.Parallel()
	w := boot(t, newDisk(), newClock(), &power{})
	gone, ref := w.send(0, small, "asha"), w.send(0, small, "asha")
	w.empty("asha")
	w.must(w.kv.Update(t.Context(), gone.Home, func(tx *kv.Tx) error { _, err := w.bodies.Release(tx, gone, 1); return err }))
	bad := []byte("X\x00\x00\x00\x00\x00\x00\x00\x00")
	for _, seq := range []byte{7, 9} {
		w.must(w.kv.Update(t.Context(), mailbox.Shard("asha"), func(tx *kv.Tx) error {
			bad[8] = seq
			tx.Put(bad, []byte("nonsense"))
			return nil
		}))
	}
	w.must(w.worker().Apply(t.Context(), "asha"))
	left := w.pending("asha")
	if len(left) != 2 || !left[0].Damaged() || !left[1].Damaged() || left[1].Seq != 9 {
		t.Errorf("left %v", left)
	}
	if w.refs(ref) != 0 {
		t.Error("a damaged row held back another")
	}
}

// Run applies what an earlier process left, what it is nudged for, and purges
// markers only when their item has left the queue.
func TestRun(t *testing.T) {
	t.Parallel()
	d, c := newDisk(), newClock()
	w := boot(t, d, c, &power{})
	early := w.send(0, small, "asha", "ravi")
	w.empty("asha")
	stuck := w.promise(1, small, "asha")
	// The delivery is known to the mailbox, and its end was lost by the queue.
	w.must(w.boxes.Update(t.Context(), "asha", func(u *mailbox.Writer) error {
		_, err := u.Add(mailbox.Addition{Mailboxes: []mailbox.ID{1}, Received: c.Now(), Body: stuck.Body, Item: stuck.ID})
		return err
	}))

	w.reclaim = w.worker()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); w.reclaim.Run(ctx) }()
	defer func() { stop(); <-done }()
	// until moves the clock on until ok, or fails after a generous time.
	until := func(what string, ok func() bool) {
		t.Helper()
		deadline := time.Now().Add(20 * time.Second)
		for !ok() {
			if time.Now().After(deadline) {
				t.Fatal(what)
			}
			c.Advance(reclaim.DefaultGather)
			time.Sleep(time.Millisecond)
		}
	}
	until("what an earlier process left was not applied", func() bool { return w.refs(early) == 1 })
	w.empty("ravi")
	until("a nudge was not heard", func() bool { return w.refs(early) == 0 })

	marked := func(a mohar.AccountID) (n int) {
		w.must(w.kv.View(t.Context(), mailbox.Shard(a), func(r kv.Reader) error {
			return r.Scan(kv.PrefixRange([]byte("D")), func(_, _ []byte) bool { n++; return true })
		}))
		return n
	}
	if marked("asha") != 2 || marked("ravi") != 1 {
		t.Fatalf("markers %d and %d", marked("asha"), marked("ravi"))
	}
	c.Advance(reclaim.MarkerAge)
	until("old markers were not purged", func() bool { c.Advance(time.Hour); return marked("ravi") == 0 && marked("asha") == 1 })
	w.must(w.queue.Drop(t.Context(), stuck.ID, nil))
	until("the marker outlived its item", func() bool { c.Advance(time.Hour); return marked("asha") == 0 })
}

func TestYoungMarkersStay(t *testing.T) {
	t.Parallel()
	w := boot(t, newDisk(), newClock(), &power{})
	w.send(0, small, "asha")
	w.clock.Advance(reclaim.MarkerAge)
	w.must(w.worker().Purge(t.Context()))
	n := -1
	purged := func() int {
		var err error
		n, err = w.boxes.PurgeDelivered(t.Context(), "asha", w.clock.Now().Add(-reclaim.MarkerAge), func([16]byte) (bool, error) { return false, nil })
		w.must(err)
		return n
	}
	if purged() != 0 {
		t.Error("a marker of exactly the age was purged")
	}
	w.clock.Advance(time.Second)
	if purged() != 1 || purged() != 0 {
		t.Errorf("purged %d", n)
	}
}
