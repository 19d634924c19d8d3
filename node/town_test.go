package node

import (
	"bytes"
	"crypto/rand"
	"fmt"
	mrand "math/rand/v2"
	"strings"
	"testing"
	"time"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/audit"
	"github.com/mohar-mail/mohar/base/clock"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/flow/deliver"
	"github.com/mohar-mail/mohar/flow/reclaim"
	"github.com/mohar-mail/mohar/mailbox"
	"github.com/mohar-mail/mohar/queue"
	"github.com/mohar-mail/mohar/store/blob/memblob"
	"github.com/mohar-mail/mohar/store/body"
	"github.com/mohar-mail/mohar/store/kv"
	"github.com/mohar-mail/mohar/store/kv/memkv"
	"github.com/mohar-mail/mohar/wire/tlog"
)

const lanes = 3

var residents = []mohar.AccountID{"asha", "binu", "chandra", "devi"}

// town is an installation in memory without its flows.
type town struct {
	*testing.T
	*Node
	clock   *clock.Fake
	blobs   *memblob.Store
	reclaim *reclaim.Reclaim
	rnd     *mrand.Rand
	letters int
	records map[kv.Shard]bool // shards that stage audit records
}

func newTown(t *testing.T, seed uint64) *town {
	t.Helper()
	w := &town{T: t, clock: clock.NewFake(time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)), blobs: memblob.New(),
		rnd: mrand.New(mrand.NewPCG(seed, 1)), records: map[kv.Shard]bool{}}
	store := kv.NewStore(memkv.New())
	bodies := body.New(store, w.blobs, body.Config{HotLimit: 2000})
	w.Node = &Node{eng: &engines{kv: store, bodies: bodies}}
	w.boxes = mailbox.New(mailbox.Config{KV: store, Bodies: bodies, Clock: w.clock})
	w.queue = queue.New(queue.Config{KV: store, Bodies: bodies, Clock: w.clock, Lanes: lanes})
	w.auditLog = audit.NewLog(store, audit.DefaultLog)
	private, public, err := tlog.GenerateKey(rand.Reader, "mail.rajya.example")
	w.must(err)
	w.public = public
	w.sequencer, err = audit.NewSequencer(audit.Config{Store: store, Private: private, Clock: w.clock})
	w.must(err)
	w.reclaim = reclaim.New(reclaim.Config{KV: store, Bodies: bodies, Mailboxes: w.boxes, Queue: w.queue, Clock: w.clock})
	return w
}

func (w *town) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *town) problems() []string {
	w.Helper()
	got, err := w.Check(w.Context(), nil)
	w.must(err)
	return got
}

// stage makes a letter, now and then one for the blob store.
func (w *town) stage() (*body.Staged, mailbox.Content) {
	w.Helper()
	w.letters++
	text := fmt.Sprintf("Subject: letter\r\nMessage-ID: <%d@x>\r\n\r\nnamaste\r\n", w.letters)
	if w.rnd.IntN(4) == 0 {
		text += strings.Repeat(text, 50)
	}
	wr := w.boxes.Bodies().Writer(w.Context())
	_, err := wr.Write([]byte(text))
	w.must(err)
	st, err := wr.Finish()
	w.must(err)
	c, err := mailbox.Parse([]byte(text))
	w.must(err)
	return st, c
}

func (w *town) promise(remote bool, to ...mohar.AccountID) *queue.Item {
	w.Helper()
	st, c := w.stage()
	it := &queue.Item{ID: w.queue.NewID(), From: "a@example.org", Index: c.Index}
	var rcpts []queue.Recipient
	for _, a := range to {
		rcpts = append(rcpts, queue.Recipient{Address: string(a) + "@rajya.example", Account: a, Class: queue.Local})
	}
	if remote || len(to) == 0 {
		rcpts = append(rcpts, queue.Recipient{Address: "x@gmail.com", Domain: "gmail.com", Class: queue.Remote})
	}
	w.must(w.queue.Promise(w.Context(), it, rcpts, st, func(tx *kv.Tx) error {
		w.records[tx.Shard()] = true
		return audit.Stage(tx, audit.Record{Time: w.clock.Now(), Kind: "receive", Object: it.ID.String()})
	}))
	return it
}

// work leases what is due in a lane and delivers it. With crash the results do
// not come back to the queue, and the leases run out.
func (w *town) work(lane int, c queue.Class, crash bool) {
	w.Helper()
	leases, _, err := w.queue.Lease(w.Context(), lane, c, 1+w.rnd.IntN(4))
	w.must(err)
	items, rcpts, err := w.queue.Load(w.Context(), leases)
	w.must(err)
	var results []queue.Result
	for i, r := range rcpts {
		res := queue.Result{Lease: leases[i]}
		switch {
		case r.Account == "":
			if w.rnd.IntN(3) == 0 {
				res.Retry, res.Last = w.clock.Now().Add(time.Minute), "451 later"
			}
		case w.rnd.IntN(8) == 0: // refused for good; the hold comes back to the queue
			e, err := w.delivered(r)
			w.must(err)
			res.Taken = e != 0
		default:
			w.add(items[r.Item], r)
			res.Taken = true
		}
		results = append(results, res)
	}
	if crash {
		w.clock.Advance(queue.LeaseTime + time.Second)
		return
	}
	w.must(w.queue.Finish(w.Context(), results, nil))
}

func (w *town) delivered(r *queue.Recipient) (e mailbox.EmailID, err error) {
	err = w.boxes.View(w.Context(), r.Account, func(rd *mailbox.Reader) (err error) {
		e, err = rd.Delivered(deliver.DeliveryID(r))
		return err
	})
	if fault.Is(err, fault.NotFound) {
		err = nil
	}
	return e, err
}

func (w *town) add(it *queue.Item, r *queue.Recipient) {
	w.Helper()
	content, err := mailbox.ContentOf(it.Index)
	w.must(err)
	w.must(w.boxes.Update(w.Context(), r.Account, func(u *mailbox.Writer) error {
		_, err := u.Add(mailbox.Addition{Mailboxes: []mailbox.ID{1}, Received: it.Created, Size: it.Size,
			Content: content, Body: it.Body, Item: deliver.DeliveryID(r)})
		return err
	}))
}

// put writes a row behind the back of its owner; nil deletes it.
func (w *town) put(s kv.Shard, key string, value []byte) {
	w.Helper()
	w.must(w.eng.kv.Update(w.Context(), s, func(tx *kv.Tx) error {
		if value == nil {
			tx.Delete([]byte(key))
		} else {
			tx.Put([]byte(key), value)
		}
		return nil
	}))
}

// row gives the first row under a prefix.
func (w *town) row(s kv.Shard, prefix string) (key string, value []byte) {
	w.Helper()
	w.must(w.eng.kv.View(w.Context(), s, func(r kv.Reader) error {
		return r.Scan(kv.PrefixRange([]byte(prefix)), func(k, v []byte) bool { key, value = string(k), bytes.Clone(v); return false })
	}))
	if key == "" {
		w.Fatalf("no row %q in %s", prefix, s)
	}
	return key, value
}

// change replaces text in the first row under a prefix.
func (w *town) change(s kv.Shard, prefix, old, to string) {
	w.Helper()
	k, v := w.row(s, prefix)
	if !bytes.Contains(v, []byte(old)) {
		w.Fatalf("%q is not in %q", old, v)
	}
	w.put(s, k, bytes.Replace(v, []byte(old), []byte(to), 1))
}
