package node

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/audit"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/flow/reclaim"
	"github.com/mohar-mail/mohar/mailbox"
	"github.com/mohar-mail/mohar/queue"
	"github.com/mohar-mail/mohar/store/body"
	"github.com/mohar-mail/mohar/store/kv"
	"github.com/mohar-mail/mohar/wire/tlog"
)

// tidy does one random thing that a person does in a mailbox.
func (w *town) tidy(a mohar.AccountID) {
	w.Helper()
	var st *body.Staged
	var c mailbox.Content
	what := w.rnd.IntN(6)
	if what == 0 {
		st, c = w.stage()
	}
	from, to := mailbox.ID(1+w.rnd.IntN(6)), mailbox.ID(1+w.rnd.IntN(6))
	pick := w.rnd.Perm(12)
	w.must(w.boxes.Update(w.Context(), a, func(u *mailbox.Writer) (err error) {
		var uids []uint32
		if err = u.Entries(from, 1, 1<<32-1, func(e *mailbox.Entry) bool { uids = append(uids, e.UID); return true }); err != nil {
			return err
		}
		var some []uint32
		for _, i := range pick[:4] {
			if i < len(uids) {
				some = append(some, uids[i])
			}
		}
		switch what {
		case 0:
			_, err = u.Add(mailbox.Addition{Mailboxes: slices.Compact([]mailbox.ID{from, to}), Received: w.clock.Now(), Size: st.Size, Content: c, Staged: st})
		case 1:
			_, err = u.Copy(from, some, to)
		case 2:
			_, err = u.Move(from, some, to)
		case 3, 4:
			_, err = u.Expunge(from, some)
		default:
			for _, uid := range some[:min(1, len(some))] {
				e, err := u.Entry(from, uid)
				if err != nil {
					return err
				}
				if err := u.Destroy(e.Email); err != nil {
					return err
				}
			}
		}
		return err
	}))
}

// anyItem gives one message of the queue, nil when it is empty.
func (w *town) anyItem() *queue.Message {
	var all []*queue.Message
	w.must(w.queue.List(w.Context(), func(m *queue.Message) bool { all = append(all, m); return true }))
	if len(all) == 0 {
		return nil
	}
	return all[w.rnd.IntN(len(all))]
}

// administer does one random thing to a message of the queue.
func (w *town) administer() {
	w.Helper()
	m := w.anyItem()
	if m == nil {
		return
	}
	switch w.rnd.IntN(4) {
	case 0:
		w.mayConflict(w.queue.Hold(w.Context(), m.Item.ID, "for a second person", nil))
	case 1:
		w.mayConflict(w.queue.Release(w.Context(), m.Item.ID, nil))
	case 2:
		w.mayConflict(w.queue.Retry(w.Context(), m.Item.ID, nil))
	case 3:
		for _, r := range m.Recipients {
			if r.Account == "" {
				continue
			}
			if e, err := w.delivered(r); err != nil || e != 0 {
				w.must(err)
				return // a dropped delivery that a mailbox has taken is the queue's to tell apart
			}
		}
		w.mayConflict(w.queue.Drop(w.Context(), m.Item.ID, nil))
	}
}

// mayConflict lets pass that a mailbox is taking the message at that moment.
func (w *town) mayConflict(err error) {
	w.Helper()
	if !fault.Is(err, fault.Conflict) {
		w.must(err)
	}
}

// giveBack applies an account's releases. Now and then a crash brings the rows
// back that were forgotten.
func (w *town) giveBack(a mohar.AccountID) {
	w.Helper()
	rels, err := w.boxes.Releases(w.Context(), a, 0, 0)
	w.must(err)
	w.must(w.reclaim.Apply(w.Context(), a))
	if w.rnd.IntN(3) > 0 {
		return
	}
	for _, rel := range rels {
		w.put(mailbox.Shard(a), string(binary.BigEndian.AppendUint64([]byte("X"), rel.Seq)), []byte(rel.Ref.String()))
	}
}

func (w *town) step() {
	w.Helper()
	w.clock.Advance(time.Second)
	switch k := w.rnd.IntN(20); {
	case k < 4:
		n := w.rnd.IntN(len(residents) + 1)
		var to []mohar.AccountID
		for _, i := range w.rnd.Perm(len(residents))[:n] {
			to = append(to, residents[i])
		}
		w.promise(w.rnd.IntN(3) == 0, to...)
	case k < 8:
		w.work(w.rnd.IntN(lanes), queue.Local, w.rnd.IntN(4) == 0)
	case k < 9:
		w.work(w.rnd.IntN(lanes), queue.Remote, w.rnd.IntN(4) == 0)
	case k < 16:
		w.tidy(residents[w.rnd.IntN(len(residents))])
	case k < 17:
		w.giveBack(residents[w.rnd.IntN(len(residents))])
	case k < 18:
		w.must(w.sequencer.Drain(w.Context(), queue.Lane(w.rnd.IntN(lanes))))
	case k < 19:
		w.clock.Advance(time.Duration(w.rnd.IntN(3)) * 24 * time.Hour)
		w.must(w.reclaim.Purge(w.Context()))
	default:
		w.administer()
	}
}

// TestEverythingAddsUp does random things to queue and mailboxes; the check is
// clean all the time, and when everything has been deleted no content is left.
func TestEverythingAddsUp(t *testing.T) {
	t.Parallel()
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			w := newTown(t, seed)
			for i := range 200 {
				w.step()
				if i%20 != 0 {
					continue
				}
				if got := w.problems(); len(got) > 0 {
					t.Fatalf("after %d steps:\n%s", i+1, strings.Join(got, "\n"))
				}
			}
			w.end()
		})
	}
}

// end deletes everything and looks for what is left.
func (w *town) end() {
	w.Helper()
	for {
		for range 5 { // until every delivery has been tried and is known
			w.clock.Advance(queue.LeaseTime + time.Second)
			for lane := range lanes {
				for range 200 {
					w.work(lane, queue.Local, false)
				}
			}
		}
		m := w.anyItem()
		if m == nil {
			break
		}
		w.mayConflict(w.queue.Release(w.Context(), m.Item.ID, nil))
		if !slices.ContainsFunc(m.Recipients, func(r *queue.Recipient) bool { return r.Account != "" }) {
			w.mayConflict(w.queue.Drop(w.Context(), m.Item.ID, nil))
		}
	}
	for _, a := range residents {
		w.must(w.boxes.Update(w.Context(), a, func(u *mailbox.Writer) error {
			var ids []mailbox.EmailID
			if err := u.EachEmail(0, func(e *mailbox.Email) bool { ids = append(ids, e.ID); return true }); err != nil {
				return err
			}
			for _, id := range ids {
				if err := u.Destroy(id); err != nil {
					return err
				}
			}
			return nil
		}))
	}
	w.must(w.reclaim.Everything(w.Context()))
	if got := w.problems(); len(got) > 0 {
		w.Fatalf("at the end:\n%s", strings.Join(got, "\n"))
	}
	w.clock.Advance(reclaim.MarkerAge + time.Second)
	w.must(w.reclaim.Purge(w.Context()))
	shards, err := w.eng.kv.DB().Shards(w.Context(), "", 100)
	w.must(err)
	if len(shards) < lanes+len(residents) {
		w.Fatalf("only %v", shards)
	}
	for _, s := range shards {
		w.must(w.eng.kv.View(w.Context(), s, func(r kv.Reader) error {
			for _, prefix := range []string{"b/", "br/", "X", "D", "S", "N"} {
				n := 0
				if err := r.Scan(kv.PrefixRange([]byte(prefix)), func(_, _ []byte) bool { n++; return true }); err != nil {
					return err
				}
				if n > 0 {
					w.Errorf("%d rows %q are left in %s", n, prefix, s)
				}
			}
			return nil
		}))
	}
	if n := w.blobs.Len(); n > 0 {
		w.Errorf("%d large contents are left", n)
	}
}

// TestDamageIsFound plants one damage each time.
func TestDamageIsFound(t *testing.T) {
	t.Parallel()
	const a = kv.Shard("a/asha")
	for _, tt := range []struct {
		name   string
		damage func(w *town, lane kv.Shard)
		want   string
	}{
		{"email gone", func(w *town, _ kv.Shard) { k, _ := w.row(a, "E"); w.put(a, k, nil) }, "account asha: "},
		{"email unreadable", func(w *town, _ kv.Shard) { k, _ := w.row(a, "E"); w.put(a, k, []byte("x")) }, "account asha: a row cannot be read"},
		{"content gone", func(w *town, l kv.Shard) { k, _ := w.row(l, "b/"); w.put(l, k, nil) }, "content row is missing"},
		{"content changed", func(w *town, l kv.Shard) { k, v := w.row(l, "b/"); v[len(v)-1] ^= 1; w.put(l, k, v) }, "body "},
		{"count gone", func(w *town, l kv.Shard) { k, _ := w.row(l, "br/"); w.put(l, k, nil) }, "count of references is missing"},
		{"count too high", func(w *town, l kv.Shard) { k, v := w.row(l, "br/"); v[0]++; w.put(l, k, v) }, "references are counted, and there are"},
		{"count too low", func(w *town, l kv.Shard) { k, v := w.row(l, "br/"); v[0]--; w.put(l, k, v) }, "references are counted, and there are"},
		{"body of nobody", func(w *town, l kv.Shard) {
			st, _ := w.stage()
			w.must(w.eng.kv.Update(w.Context(), l, func(tx *kv.Tx) error { w.eng.bodies.Add(tx, st, 1); return nil }))
		}, "1 references are counted, and nothing refers to it"},
		{"release lost", func(w *town, _ kv.Shard) {
			w.must(w.boxes.Update(w.Context(), "binu", func(u *mailbox.Writer) error { return u.Destroy(1) }))
			k, _ := w.row("a/binu", "X")
			w.put("a/binu", k, nil)
		}, "references are counted, and there are"},
		{"release unreadable", func(w *town, _ kv.Shard) { w.put(a, "X\x00\x00\x00\x00\x00\x00\x00\x01", []byte("x")) }, "account asha: release 1 of a body cannot be read"},
		{"item gone", func(w *town, l kv.Shard) { k, _ := w.row(l, "M"); w.put(l, k, nil) }, "which is not there"},
		{"item unreadable", func(w *town, l kv.Shard) { k, _ := w.row(l, "M"); w.put(l, k, []byte("x")) }, "cannot be read"},
		{"recipient gone", func(w *town, l kv.Shard) { k, _ := w.row(l, "R"); w.put(l, k, nil) }, "has no recipient left"},
		{"recipient gone, row left", func(w *town, l kv.Shard) { k, _ := w.row(l, "R"); w.put(l, k, nil) }, "does not exist"},
		{"never due", func(w *town, l kv.Shard) { k, _ := w.row(l, "N"); w.put(l, k, nil) }, "is never due"},
		{"due twice", func(w *town, l kv.Shard) { k, v := w.row(l, "N"); w.put(l, k[:9]+"\x01"+k[10:], v) }, "is due more than once"},
		{"due in another class", func(w *town, l kv.Shard) {
			k, v := w.row(l, "N")
			w.put(l, k, nil)
			w.put(l, "NH"+k[2:], v)
		}, "is of class R and due as H"},
		{"due for another", func(w *town, l kv.Shard) { k, _ := w.row(l, "N"); w.put(l, k, []byte("x.example")) }, `due for "x.example"`},
		{"lane of nobody", func(w *town, l kv.Shard) {
			k, v := w.row(l, "M")
			w.put(queue.Lane(200), k, v)
		}, "no worker serves"},
		{"entry changed", func(w *town, _ kv.Shard) { w.change("log", "e/", "receive", "receivE") }, "not those for which the checkpoint"},
		{"entry gone", func(w *town, _ kv.Shard) { k, _ := w.row("log", "e/"); w.put("log", k, nil) }, "audit log: "},
		{"tile changed", func(w *town, _ kv.Shard) { k, v := w.row("log", "t/"); v[0] ^= 1; w.put("log", k, v) }, "is not that of the entries"},
		{"log of another key", func(w *town, _ kv.Shard) {
			_, public, err := tlog.GenerateKey(rand.Reader, "mail.rajya.example")
			w.must(err)
			w.public = public
		}, "not signed with our key"},
		{"checkpoint gone", func(w *town, _ kv.Shard) { w.put("log", "k", nil) }, "no checkpoint"},
		{"cursor behind", func(w *town, _ kv.Shard) { k, v := w.row("log", "c/"); v[7]--; w.put("log", k, v) }, "its cursor is at"},
		{"cursor ahead", func(w *town, _ kv.Shard) { k, v := w.row("log", "c/"); v[7] = 77; w.put("log", k, v) }, "records were ever given"},
		{"record lost", func(w *town, l kv.Shard) {
			w.must(w.eng.kv.Update(w.Context(), l, func(tx *kv.Tx) error {
				return audit.Stage(tx, audit.Record{Time: w.clock.Now(), Kind: "test"})
			}))
			k, _ := w.row(l, "o/")
			w.put(l, k, nil)
		}, "are missing"},
		{"log rolled back", func(w *town, l kv.Shard) {
			_, signed := w.row("log", "k")
			tile, data := w.row("log", "t/")
			w.must(w.eng.kv.Update(w.Context(), l, func(tx *kv.Tx) error {
				return audit.Stage(tx, audit.Record{Time: w.clock.Now(), Kind: "test"})
			}))
			w.must(w.sequencer.Drain(w.Context(), l))
			w.put("log", "k", signed)
			w.put("log", tile, data)
			w.put("log", "e/\x00\x00\x00\x00\x00\x00\x00\x01", nil)
		}, "up to 1, its cursor is at 2"},
		{"cursor unreadable", func(w *town, l kv.Shard) { w.put("log", "c/"+string(l), []byte("x")) }, "cannot be read"},
		{"cursor of releases unreadable", func(w *town, l kv.Shard) {
			w.must(w.boxes.Update(w.Context(), "binu", func(u *mailbox.Writer) error { return u.Destroy(1) }))
			w.put(l, "x/a/binu", []byte("x"))
		}, "has applied of its releases cannot be read"},
		{"record number lost", func(w *town, l kv.Shard) { w.put(l, "o#", binary.BigEndian.AppendUint64(nil, 9)) }, "are missing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newTown(t, 1)
			it := w.promise(true, "asha", "binu")
			lane := queue.LaneOf(it.ID)
			for range 3 {
				w.work(int(it.ID[6]), queue.Local, false)
			}
			w.must(w.sequencer.Drain(t.Context(), lane))
			if got := w.problems(); len(got) > 0 {
				t.Fatalf("before: %q", got)
			}
			tt.damage(w, lane)
			got := w.problems()
			if !slices.ContainsFunc(got, func(p string) bool { return strings.Contains(p, tt.want) }) {
				t.Errorf("got %q, want one with %q", got, tt.want)
			}
			t.Log(strings.Join(got, "\n"))
		})
	}
}

// TestCheckWhileMailFlows: what moves while it is counted is no problem.
func TestCheckWhileMailFlows(t *testing.T) {
	t.Parallel()
	w := newTown(t, 5)
	for range 30 {
		w.step()
	}
	ctx, stop := context.WithCancel(t.Context())
	type answer struct {
		problems []string
		err      error
	}
	done := make(chan answer)
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			got, err := w.Check(context.WithoutCancel(ctx), nil)
			done <- answer{got, err}
		}
	}()
	for checks := 0; checks < 5; {
		select {
		case a := <-done:
			checks++
			if len(a.problems) > 0 || a.err != nil {
				t.Errorf("%q, %v", a.problems, a.err)
			}
		default:
			w.step()
		}
	}
	stop()
	for range done { // until the goroutine has ended
	}
}
