package deliver_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/base/clock"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/flow/deliver"
	"github.com/mohar-mail/mohar/mailbox"
	"github.com/mohar-mail/mohar/queue"
	"github.com/mohar-mail/mohar/store/blob/memblob"
	"github.com/mohar-mail/mohar/store/body"
	"github.com/mohar-mail/mohar/store/kv"
	"github.com/mohar-mail/mohar/store/kv/memkv"
)

// cutDB fails the commits that lose says, before or after they have happened.
type cutDB struct {
	kv.DB
	mu   sync.Mutex
	lose func(b *kv.Batch) (before, after bool)
}

func (d *cutDB) Commit(ctx context.Context, b *kv.Batch) (kv.Ticket, error) {
	d.mu.Lock()
	before, after := false, false
	if d.lose != nil {
		before, after = d.lose(b)
	}
	d.mu.Unlock()
	if before {
		return nil, errors.New("lost")
	}
	t, err := d.DB.Commit(ctx, b)
	if after {
		return nil, errors.New("answer lost")
	}
	return t, err
}

type world struct {
	*testing.T
	db     *cutDB
	store  *kv.Store
	bodies *body.Bodies
	q      *queue.Queue
	boxes  *mailbox.Store
	d      *deliver.Deliver
	mu     sync.Mutex
	bounce error
	told   []string
}

// in runs f beside a worker, in a bubble whose time jumps when everyone waits.
func in(t *testing.T, quota int64, f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{T: t, db: &cutDB{DB: memkv.New()}}
		w.store = kv.NewStore(w.db)
		defer w.store.Close()
		w.bodies = body.New(w.store, memblob.New(), body.Config{})
		w.boxes = mailbox.New(mailbox.Config{KV: w.store, Bodies: w.bodies, Clock: clock.System{}, Quota: quota})
		w.q = queue.New(queue.Config{KV: w.store, Bodies: w.bodies, Clock: clock.System{}, Lanes: 1,
			Wake: func(lane int, _ queue.Class) {
				if w.d != nil {
					w.d.Wake(lane)
				}
			}})
		w.d = deliver.New(deliver.Config{Queue: w.q, Mailboxes: w.boxes, Clock: clock.System{}, Log: slog.New(slog.DiscardHandler),
			Bounce: func(_ context.Context, _ *kv.Tx, it *queue.Item, failed []*queue.Recipient) (int, error) {
				w.mu.Lock()
				defer w.mu.Unlock()
				if w.bounce != nil {
					return -1, w.bounce
				}
				for _, r := range failed {
					w.told = append(w.told, it.From+" "+r.Address+" "+r.Last)
				}
				return -1, nil
			}})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); w.d.Run(ctx) }()
		f(w)
		stop()
		<-done
		w.sound()
	})
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) sound() {
	w.Helper()
	problems, err := w.q.Check(w.Context())
	if err != nil || len(problems) > 0 {
		w.Errorf("queue: %v %v", problems, err)
	}
	for _, a := range []mohar.AccountID{"a1", "a2"} {
		problems, err := w.boxes.Check(w.Context(), a)
		if err != nil && !fault.Is(err, fault.NotFound) || len(problems) > 0 {
			w.Errorf("mailbox %s: %v %v", a, problems, err)
		}
	}
}

func (w *world) promise(edit func(*queue.Item), text string, to ...mohar.AccountID) *queue.Item {
	w.Helper()
	wr := w.bodies.Writer(w.Context())
	_, err := wr.Write([]byte(text))
	w.must(err)
	st, err := wr.Finish()
	w.must(err)
	c, err := mailbox.Parse([]byte(text))
	w.must(err)
	it := &queue.Item{ID: w.q.NewID(), From: "from@city.example", Index: c.Index}
	if edit != nil {
		edit(it)
	}
	var rs []queue.Recipient
	for i, a := range to {
		rs = append(rs, queue.Recipient{Address: fmt.Sprintf("%s-%d@rajya.example", a, i), Account: a, Class: queue.Local})
	}
	w.must(w.q.Promise(w.Context(), it, rs, st, nil))
	return it
}

// subjects gives what lies in a mailbox, in order.
func (w *world) subjects(a mohar.AccountID, role mailbox.Role) string {
	w.Helper()
	var out []string
	err := w.boxes.View(w.Context(), a, func(r *mailbox.Reader) error {
		m, err := r.ByRole(role)
		if err != nil {
			return err
		}
		var ids []mailbox.EmailID
		err = r.Entries(m.ID, 1, 1<<32-1, func(e *mailbox.Entry) bool { ids = append(ids, e.Email); return true })
		if err != nil {
			return err
		}
		es, err := r.Emails(ids)
		for _, e := range es {
			c, err := mailbox.ContentOf(e.Index)
			if err != nil {
				return err
			}
			if _, err := w.bodies.Read(w.Context(), e.Body); err != nil {
				w.Errorf("content of %s: %v", c.Subject, err)
			}
			out = append(out, c.Subject)
		}
		return err
	})
	if err != nil && !fault.Is(err, fault.NotFound) {
		w.Error(err)
	}
	return strings.Join(out, " ")
}

func (w *world) left() int {
	w.Helper()
	st, err := w.q.Stats(w.Context())
	w.must(err)
	return st.Local
}

func letter(subject string) string {
	return "From: a@city.example\r\nSubject: " + subject + "\r\nMessage-ID: <" + subject + "@x>\r\n\r\nnamaste\r\n"
}

func TestDelivered(t *testing.T) {
	in(t, 0, func(w *world) {
		w.promise(nil, letter("one"), "a1", "a2", "a1") // two addresses of one account: two letters
		time.Sleep(time.Millisecond)                    // ids of one instant are in no order
		w.promise(nil, letter("two"), "a2")             // an account without a store gets one
		synctest.Wait()
		if a, b := w.subjects("a1", mailbox.RoleInbox), w.subjects("a2", mailbox.RoleInbox); a != "one one" || b != "one two" || w.left() != 0 {
			t.Errorf("%q %q, left %d", a, b, w.left())
		}
	})
}

func TestManyInOneGo(t *testing.T) {
	in(t, 0, func(w *world) {
		var want []string
		for i := range 600 { // more than a batch
			s := fmt.Sprintf("s%d", i)
			want = append(want, s)
			w.promise(nil, letter(s), "a1")
		}
		synctest.Wait()
		if got := strings.Fields(w.subjects("a1", mailbox.RoleInbox)); len(got) != len(want) || w.left() != 0 {
			t.Errorf("%d delivered, %d left", len(got), w.left())
		}
	})
}

// Every commit in turn is lost, or its answer is: one letter each in the end.
func TestExactlyOnce(t *testing.T) {
	for _, late := range []bool{false, true} {
		for at := 1; at <= 8; at++ {
			t.Run(fmt.Sprintf("commit %d late %v", at, late), func(t *testing.T) {
				in(t, 0, func(w *world) {
					n := 0
					w.db.mu.Lock()
					w.db.lose = func(b *kv.Batch) (bool, bool) {
						if _, worker := strings.CutPrefix(string(b.Shard), "a/"); !worker && !b.Lazy {
							return false, false // the promise is the test's own
						}
						n++
						return n == at && !late, n == at && late
					}
					w.db.mu.Unlock()
					w.promise(nil, letter("one"), "a1", "a2")
					synctest.Wait()
					w.promise(nil, letter("two"), "a1")
					time.Sleep(3 * queue.LeaseTime)
					synctest.Wait()
					if a, b := w.subjects("a1", mailbox.RoleInbox), w.subjects("a2", mailbox.RoleInbox); strings.Count(a, "one") != 1 || strings.Count(a, "two") != 1 || b != "one" || w.left() != 0 {
						t.Errorf("%q %q, left %d, commits %d", a, b, w.left(), n)
					}
				})
			})
		}
	}
}

// A full mailbox is tried again, more and more seldom; then the sender is told.
func TestFullMailbox(t *testing.T) {
	in(t, 1000, func(w *world) {
		big := letter("big") + strings.Repeat("x", 2000)
		w.promise(nil, big, "a1", "a2")
		w.promise(nil, letter("small"), "a1")
		synctest.Wait()
		if w.subjects("a1", mailbox.RoleInbox) != "small" || w.left() != 2 {
			t.Fatalf("%q, left %d", w.subjects("a1", mailbox.RoleInbox), w.left())
		}
		w.must(w.boxes.SetQuota(t.Context(), "a2", 0))
		time.Sleep(6 * time.Minute)
		synctest.Wait()
		if w.subjects("a2", mailbox.RoleInbox) != "big" || w.left() != 1 || len(w.told) != 0 {
			t.Fatalf("%q, left %d, told %v", w.subjects("a2", mailbox.RoleInbox), w.left(), w.told)
		}
		time.Sleep(queue.Lifetime - 6*time.Minute - time.Second)
		synctest.Wait()
		var tried uint32
		w.must(w.q.List(t.Context(), func(m *queue.Message) bool { tried = m.Recipients[0].Attempts; return true }))
		if len(w.told) != 0 || w.left() != 1 || tried < 20 || tried > 100 {
			t.Fatalf("told %v, left %d, tried %d times", w.told, w.left(), tried)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if len(w.told) != 1 || w.told[0] != "from@city.example a1-0@rajya.example The mailbox is full." || w.left() != 0 {
			t.Errorf("told %v, left %d", w.told, w.left())
		}
		if w.subjects("a1", mailbox.RoleInbox) != "small" {
			t.Errorf("a full mailbox took the letter")
		}
	})
}

// One message that can never be stored does not hold back the others, nor does
// the report that cannot be made about it; and it is not lost.
func TestOneBadAmongGood(t *testing.T) {
	in(t, 0, func(w *world) {
		w.mu.Lock()
		w.bounce = errors.New("no way back")
		w.mu.Unlock()
		w.promise(nil, letter("good1"), "a1")
		// A role that the account has not leads to the inbox.
		w.promise(func(it *queue.Item) { it.Mailbox = "no-such-role" }, letter("good2"), "a1")
		bad := w.promise(func(it *queue.Item) { it.Index = []byte("x") }, letter("bad"), "a1")
		w.promise(nil, letter("good3"), "a1")
		synctest.Wait()
		if got := w.subjects("a1", mailbox.RoleInbox); len(strings.Fields(got)) != 3 || strings.Contains(got, "bad") || w.left() != 1 {
			t.Fatalf("%q, left %d", got, w.left())
		}
		time.Sleep(queue.Lifetime + time.Hour)
		synctest.Wait()
		if w.left() != 1 {
			t.Fatal("lost without a word")
		}
		w.mu.Lock()
		w.bounce = nil
		w.mu.Unlock()
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		if len(w.told) != 1 || w.left() != 0 {
			t.Errorf("told %v, left %d", w.told, w.left())
		}
		if _, err := w.bodies.Read(t.Context(), bad.Body); err == nil {
			t.Error("the content of a failed message is still there")
		}
	})
}

// A record of the queue that cannot be read holds back nothing but itself.
func TestUnreadableRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := kv.NewStore(memkv.New())
		defer store.Close()
		w := &world{T: t, db: &cutDB{}, store: store}
		w.bodies = body.New(store, memblob.New(), body.Config{})
		w.boxes = mailbox.New(mailbox.Config{KV: store, Bodies: w.bodies, Clock: clock.System{}})
		w.q = queue.New(queue.Config{KV: store, Bodies: w.bodies, Clock: clock.System{}, Lanes: 1})
		it := w.promise(nil, letter("bad"), "a1")
		w.promise(nil, letter("good"), "a1")
		w.promise(nil, letter("better"), "a2")
		w.must(store.Update(t.Context(), queue.Lane(0), func(tx *kv.Tx) error {
			tx.Put(append([]byte("M"), it.ID[:]...), []byte{0xff})
			return nil
		}))
		d := deliver.New(deliver.Config{Queue: w.q, Mailboxes: w.boxes, Clock: clock.System{}, Log: slog.New(slog.DiscardHandler)})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); d.Run(ctx) }()
		synctest.Wait()
		if a, b := w.subjects("a1", mailbox.RoleInbox), w.subjects("a2", mailbox.RoleInbox); a != "good" || b != "better" {
			t.Errorf("%q %q", a, b)
		}
		stop()
		<-done
	})
}

// Junk goes to Junk, also where the account has removed it, or has one by name.
func TestJunk(t *testing.T) {
	in(t, 0, func(w *world) {
		junk := func(it *queue.Item) { it.Mailbox = string(mailbox.RoleJunk) }
		remove := func(a mohar.AccountID, name string) {
			w.must(w.boxes.Update(t.Context(), a, func(u *mailbox.Writer) error {
				m, err := u.ByRole(mailbox.RoleJunk)
				if err != nil {
					return err
				}
				if _, err = u.Remove(m.ID); err == nil && name != "" {
					_, err = u.Create(mailbox.Mailbox{Name: name})
				}
				return err
			}))
		}
		remove("a1", "")
		remove("a2", "JUNK")
		for _, s := range []string{"one", "two"} {
			w.promise(junk, letter(s), "a1", "a2", "a3")
		}
		synctest.Wait()
		for _, a := range []mohar.AccountID{"a1", "a2", "a3"} {
			if got := w.subjects(a, mailbox.RoleInbox); got != "" {
				t.Errorf("%s has junk in the inbox: %q", a, got)
			}
		}
		if a, c := w.subjects("a1", mailbox.RoleJunk), w.subjects("a3", mailbox.RoleJunk); len(a) != 7 || len(c) != 7 || w.left() != 0 {
			t.Errorf("%q %q, left %d", a, c, w.left())
		}
	})
}

func TestWakeOfALaneWithoutWorker(t *testing.T) {
	in(t, 0, func(w *world) {
		w.d.Wake(-1)
		w.d.Wake(1)
		w.d.Wake(255)
	})
}

// A report that cannot be made keeps its recipient in the queue, and no other.
func TestReportThatCannotBeMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := kv.NewStore(memkv.New())
		defer store.Close()
		w := &world{T: t, db: &cutDB{}, store: store}
		w.bodies = body.New(store, memblob.New(), body.Config{})
		w.boxes = mailbox.New(mailbox.Config{KV: store, Bodies: w.bodies, Clock: clock.System{}, Quota: 1000})
		w.q = queue.New(queue.Config{KV: store, Bodies: w.bodies, Clock: clock.System{}, Lanes: 1})
		w.promise(nil, letter("big")+strings.Repeat("x", 2000), "a1")
		time.Sleep(queue.Lifetime) // its time is up when the worker starts
		w.promise(nil, letter("good"), "a1", "a2")
		d := deliver.New(deliver.Config{Queue: w.q, Mailboxes: w.boxes, Clock: clock.System{}, Log: slog.New(slog.DiscardHandler),
			Bounce: func(context.Context, *kv.Tx, *queue.Item, []*queue.Recipient) (int, error) {
				return -1, errors.New("no way back")
			}})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); d.Run(ctx) }()
		synctest.Wait()
		if a, b := w.subjects("a1", mailbox.RoleInbox), w.subjects("a2", mailbox.RoleInbox); a != "good" || b != "good" || w.left() != 1 {
			t.Errorf("%q %q, left %d", a, b, w.left())
		}
		stop()
		<-done
		w.sound()
	})
}
