package mailbox_test

import (
	"errors"
	"testing"
	"time"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/base/clock"
	"github.com/mohar-mail/mohar/mailbox"
	"github.com/mohar-mail/mohar/store/blob/memblob"
	"github.com/mohar-mail/mohar/store/body"
	"github.com/mohar-mail/mohar/store/kv"
	"github.com/mohar-mail/mohar/store/kv/memkv"
)

// foreign puts a body into another shard, held refs times.
func foreign(t *testing.T, s *kv.Store, b *body.Bodies, refs int) (ref body.Ref) {
	t.Helper()
	wr := b.Writer(t.Context())
	_, err := wr.Write([]byte("Subject: x\r\n\r\n"))
	st, err2 := wr.Finish()
	err3 := s.Update(t.Context(), "q/00", func(tx *kv.Tx) error { ref = b.Add(tx, st, refs); return nil })
	if err := errors.Join(err, err2, err3); err != nil {
		t.Fatal(err)
	}
	return ref
}

// An account lets go of a body of another shard with the last email that uses
// it, says so after the commit, and counts its holds until then.
func TestReleaseOfForeignBodies(t *testing.T) {
	t.Parallel()
	store := kv.NewStore(memkv.New())
	defer store.Close()
	bodies := body.New(store, memblob.New(), body.Config{})
	var told []mohar.AccountID
	var boxes *mailbox.Store
	boxes = mailbox.New(mailbox.Config{KV: store, Bodies: bodies, Clock: clock.NewFake(time.Unix(1e9, 0)), Released: func(a mohar.AccountID) {
		rels, err := boxes.Releases(t.Context(), a, 0, 0)
		if err != nil || len(rels) == 0 {
			t.Errorf("told before the commit: %v %v", rels, err)
		}
		told = append(told, a)
	}})
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	one, two := foreign(t, store, bodies, 1), foreign(t, store, bodies, 2)
	update := func(fn func(w *mailbox.Writer) error) { t.Helper(); must(boxes.Update(t.Context(), account, fn)) }
	add := func(ref body.Ref, item byte) {
		t.Helper()
		update(func(w *mailbox.Writer) error {
			_, err := w.Add(mailbox.Addition{Mailboxes: []mailbox.ID{1}, Body: ref, Item: [16]byte{item}})
			return err
		})
	}
	add(one, 1)
	add(two, 2)
	add(two, 3) // the same message, by another address of the account
	update(func(w *mailbox.Writer) error { _, err := w.Copy(1, []uint32{1, 2}, 4); return err })

	holds := func() map[body.Ref]uint64 {
		t.Helper()
		got := map[body.Ref]uint64{}
		must(boxes.View(t.Context(), account, func(r *mailbox.Reader) error {
			return r.BodyHolds(func(ref body.Ref, n uint64) { got[ref] = n })
		}))
		return got
	}
	if got := holds(); got[one] != 1 || got[two] != 2 || len(got) != 2 {
		t.Errorf("holds %v", got)
	}
	destroy := func(id mailbox.EmailID) { t.Helper(); update(func(w *mailbox.Writer) error { return w.Destroy(id) }) }
	destroy(1)
	if len(told) != 0 {
		t.Error("told while a copy is left")
	}
	var want []body.Ref
	for _, step := range []struct {
		email    mailbox.EmailID
		releases []body.Ref
		held     uint64 // on two
	}{{4, []body.Ref{one}, 2}, {2, nil, 2}, {3, []body.Ref{two}, 1}, {5, []body.Ref{two}, 0}} {
		destroy(step.email)
		want = append(want, step.releases...)
		if got := holds(); got[two] != step.held {
			t.Errorf("after email %d: holds %v", step.email, got)
		}
		rels, err := boxes.Releases(t.Context(), account, 0, 0)
		must(err)
		if len(rels) != len(want) || len(told) != len(want) {
			t.Fatalf("after email %d: %v, told %v, want %v", step.email, rels, told, want)
		}
		for i, rel := range rels {
			if rel.Ref != want[i] || rel.Seq != uint64(i+1) || rel.Damaged() {
				t.Errorf("release %d is %v, want %v", i, rel, want[i])
			}
		}
	}
	some, err := boxes.Releases(t.Context(), account, 1, 1)
	must(err)
	if len(some) != 1 || some[0].Seq != 2 {
		t.Errorf("after 1, one: %v", some)
	}
	must(boxes.ForgetReleases(t.Context(), account, []uint64{1, 2}))
	left, err := boxes.Releases(t.Context(), account, 0, 0)
	must(err)
	if len(left) != 1 || left[0].Seq != 3 {
		t.Errorf("left %v", left)
	}
}

// Marks are purged by age, all pages of them, but for those to be kept.
func TestPurgeDelivered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const old = 2*mailbox.PurgeBatch + 5
	mark := func(i int, at time.Time) {
		w.must(w.kv.UpdateLazy(t.Context(), mailbox.Shard(account), func(tx *kv.Tx) error {
			v := make([]byte, 16)
			v[7] = 1
			for k, sec := 0, at.Unix(); k < 8; k++ {
				v[15-k] = byte(sec >> (8 * k))
			}
			tx.Put([]byte{'D', byte(i >> 8), byte(i), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, v)
			return nil
		}))
	}
	now := w.clock.Now()
	for i := range old {
		mark(i, now.Add(-time.Second))
	}
	mark(old, now)
	kept := map[[16]byte]bool{{0, 3}: true, {byte(old >> 8 & 0xff), byte((old - 1) & 0xff)}: true}
	asked := 0
	keep := func(item [16]byte) (bool, error) { asked++; return kept[item], nil }
	n, err := w.boxes.PurgeDelivered(t.Context(), account, now, keep)
	w.must(err)
	if n != old-2 || asked != old {
		t.Errorf("purged %d of %d, asked %d times", n, old, asked)
	}
	left := 0
	w.must(w.kv.View(t.Context(), mailbox.Shard(account), func(r kv.Reader) error {
		return r.Scan(kv.PrefixRange([]byte("D")), func(_, _ []byte) bool { left++; return true })
	}))
	if left != 3 {
		t.Errorf("%d marks are left, want the two kept and the young one", left)
	}
	failed := errors.New("queue away")
	if _, err := w.boxes.PurgeDelivered(t.Context(), account, now, func([16]byte) (bool, error) { return false, failed }); !errors.Is(err, failed) {
		t.Errorf("error %v", err)
	}
}

func TestAccountOf(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		shard kv.Shard
		want  mohar.AccountID
		ok    bool
	}{{mailbox.Shard("asha"), "asha", true}, {"a/", "", false}, {"q/00", "q/00", false}, {"a", "a", false}} {
		if got, ok := mailbox.AccountOf(tt.shard); ok != tt.ok || ok && got != tt.want {
			t.Errorf("%q: %q %v", tt.shard, got, ok)
		}
	}
}
