package mailbox_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/mailbox"
	"github.com/mohar-mail/mohar/store/kv"
)

// kept runs fn in a transaction that commits although fn failed, as a door does
// that reports one of several objects as not changed.
func (w *world) kept(fn func(*mailbox.Writer) error) error {
	w.Helper()
	var out error
	w.update(func(u *mailbox.Writer) error { out = fn(u); return nil })
	return out
}

func TestPlacesThatCannotBe(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.add(mailbox.RoleInbox, 0, letter("1@x", "x", ""))
	inbox, archive := w.role(mailbox.RoleInbox).ID, w.role(mailbox.RoleArchive).ID
	for name, tc := range map[string]struct {
		into []mailbox.ID
		kind fault.Kind
	}{
		"none": {nil, fault.Invalid}, "unknown": {[]mailbox.ID{999}, fault.NotFound},
		"one of them unknown": {[]mailbox.ID{archive, 999}, fault.NotFound}, "zero": {[]mailbox.ID{0}, fault.NotFound},
	} {
		if err := w.kept(func(u *mailbox.Writer) error { return u.SetPlaces(a.Email, tc.into) }); !fault.Is(err, tc.kind) {
			t.Errorf("%s: %v", name, err)
		}
		if err := w.kept(func(u *mailbox.Writer) error {
			_, err := u.Add(mailbox.Addition{Mailboxes: tc.into, Received: w.clock.Now()})
			return err
		}); !fault.Is(err, tc.kind) {
			t.Errorf("add to %s: %v", name, err)
		}
	}
	if err := w.kept(func(u *mailbox.Writer) error { return u.SetPlaces(999, []mailbox.ID{inbox}) }); !fault.Is(err, fault.NotFound) {
		t.Errorf("no such email: %v", err)
	}
	if err := w.kept(func(u *mailbox.Writer) error { _, err := u.Copy(inbox, []uint32{1}, 999); return err }); !fault.Is(err, fault.NotFound) {
		t.Errorf("copy: %v", err)
	}
	if err := w.kept(func(u *mailbox.Writer) error { _, err := u.Move(inbox, []uint32{1}, 999); return err }); !fault.Is(err, fault.NotFound) {
		t.Errorf("move: %v", err)
	}
	if in, ar := w.role(mailbox.RoleInbox), w.role(mailbox.RoleArchive); in.Total != 1 || ar.Total != 0 {
		t.Errorf("%d in the inbox, %d in the archive", in.Total, ar.Total)
	}
	w.update(func(u *mailbox.Writer) error { return u.SetPlaces(a.Email, []mailbox.ID{archive, archive, inbox}) })
	if ar := w.role(mailbox.RoleArchive); ar.Total != 1 {
		t.Errorf("named twice: %d", ar.Total)
	}
}

func TestMoveToWhereItLies(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.add(mailbox.RoleInbox, mailbox.Seen, letter("1@x", "x", ""))
	inbox, archive := w.role(mailbox.RoleInbox).ID, w.role(mailbox.RoleArchive).ID
	w.update(func(u *mailbox.Writer) error { return u.SetPlaces(a.Email, []mailbox.ID{inbox, archive}) })
	w.update(func(u *mailbox.Writer) error {
		got, err := u.Move(inbox, []uint32{1, 77}, archive)
		if len(got) != 1 || got[0] != (mailbox.Copied{Email: a.Email, From: 1, To: 1}) {
			t.Errorf("%+v", got)
		}
		return err
	})
	in, ar := w.role(mailbox.RoleInbox), w.role(mailbox.RoleArchive)
	if in.Total != 0 || ar.Total != 1 || ar.UIDNext != 2 || ar.Unseen != 0 {
		t.Errorf("%+v %+v", in, ar)
	}
	w.update(func(u *mailbox.Writer) error {
		got, err := u.Move(archive, []uint32{1}, archive) // RFC 6851 section 3.3
		if len(got) != 1 || got[0].To != 2 {
			t.Errorf("%+v", got)
		}
		return err
	})
}

func TestCopyOverQuota(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	text := letter("1@x", "x", "")
	w.add(mailbox.RoleInbox, 0, text)
	w.must(w.boxes.SetQuota(t.Context(), account, int64(2*len(text)+1)))
	inbox, archive := w.role(mailbox.RoleInbox).ID, w.role(mailbox.RoleArchive).ID
	copy1 := func(u *mailbox.Writer) error { _, err := u.Copy(inbox, []uint32{1}, archive); return err }
	w.update(copy1)
	if err := w.boxes.Update(t.Context(), account, copy1); !fault.Is(err, fault.OverQuota) {
		t.Errorf("%v", err)
	}
	// A move is no growth.
	w.update(func(u *mailbox.Writer) error { _, err := u.Move(inbox, []uint32{1}, archive); return err })
	if m := w.role(mailbox.RoleArchive); m.Total != 2 {
		t.Errorf("%+v", m)
	}
}

func TestRemoveInSteps(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const n = 2*mailbox.MaxBatch + 1
	w.add(mailbox.RoleInbox, 0, letter("1@x", "x", ""))
	inbox := w.role(mailbox.RoleInbox).ID
	var box mailbox.ID
	w.update(func(u *mailbox.Writer) error {
		m, err := u.Create(mailbox.Mailbox{Name: "old"})
		if err != nil {
			return err
		}
		box = m.ID
		_, err = u.Copy(inbox, slices.Repeat([]uint32{1}, n), box)
		return err
	})
	for _, want := range []uint32{mailbox.MaxBatch + 1, 1, 0} {
		var more bool
		w.update(func(u *mailbox.Writer) (err error) { more, err = u.Remove(box); return err })
		var left *mailbox.Mailbox
		err := w.boxes.View(t.Context(), account, func(r *mailbox.Reader) (err error) { left, err = r.Mailbox(box); return err })
		if more != (want > 0) || more && (err != nil || left.Total != want) || !more && !fault.Is(err, fault.NotFound) {
			t.Errorf("more %v, left %+v, %v, want %d", more, left, err, want)
		}
	}
	if m := w.role(mailbox.RoleInbox); m.Total != 1 {
		t.Errorf("the inbox: %+v", m)
	}
}

func TestKeywordLimits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.add(mailbox.RoleInbox, 0, letter("1@x", "x", ""))
	inbox := w.role(mailbox.RoleInbox).ID
	var most []string
	for i := range mailbox.MaxKeywords {
		most = append(most, fmt.Sprintf("k%02d", i))
	}
	set := func(op mailbox.FlagOp, k ...string) error {
		return w.kept(func(u *mailbox.Writer) error {
			_, _, err := u.SetFlags(inbox, []uint32{1}, mailbox.FlagChange{Op: op, Keywords: k})
			return err
		})
	}
	w.must(set(mailbox.AddFlags, most...))
	w.must(set(mailbox.AddFlags, "K01", strings.ToUpper(most[2]))) // there already
	if err := set(mailbox.AddFlags, "one-more"); !fault.Is(err, fault.TooMany) {
		t.Errorf("%v", err)
	}
	if err := w.kept(func(u *mailbox.Writer) error {
		return u.SetKeywords(a.Email, mailbox.FlagChange{Op: mailbox.AddFlags, Keywords: []string{"one-more"}})
	}); !fault.Is(err, fault.TooMany) {
		t.Errorf("%v", err)
	}
	for _, bad := range []string{"", "a b", "a\r\nb", "नमस्ते", `a"b`, "a(b", "a]b", "a*b", strings.Repeat("x", mailbox.MaxKeywordOctets+1)} {
		if err := set(mailbox.ReplaceFlags, bad); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	w.must(set(mailbox.ReplaceFlags, "b", "A", "b"))
	w.must(w.boxes.View(t.Context(), account, func(r *mailbox.Reader) error {
		e, err := r.Entry(inbox, 1)
		if err == nil && strings.Join(e.Keywords, " ") != "a b" {
			t.Errorf("%q", e.Keywords)
		}
		return err
	}))
}

// A thread whose last email has gone does not come back under its id, whichever
// of its message ids a new letter refers to.
func TestDestroyedThreadStaysDestroyed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.add(mailbox.RoleInbox, 0, letter("a@x", "Road", ""))
	b := w.add(mailbox.RoleInbox, 0, letter("b@x", "Re: Road", "<a@x>"))
	if a.Thread != b.Thread {
		t.Fatal("two threads")
	}
	w.update(func(u *mailbox.Writer) error { return u.Destroy(b.Email) })
	c := w.add(mailbox.RoleInbox, 0, letter("c@x", "Re: Road", "<b@x>"))
	if c.Thread != a.Thread {
		t.Error("an answer to a destroyed letter lost its thread")
	}
	w.update(func(u *mailbox.Writer) error { return errors.Join(u.Destroy(a.Email), u.Destroy(c.Email)) })
	var gone []mailbox.ThreadID
	w.must(w.boxes.View(t.Context(), account, func(r *mailbox.Reader) error {
		return r.Changes(0, func(c mailbox.Change) bool {
			if c.Kind == mailbox.ThreadDestroyed {
				gone = append(gone, c.Thread)
			}
			return true
		})
	}))
	if !slices.Equal(gone, []mailbox.ThreadID{a.Thread}) {
		t.Errorf("destroyed %v", gone)
	}
	for _, ref := range []string{"<a@x>", "<b@x>", "<c@x>"} {
		d := w.add(mailbox.RoleInbox, 0, letter("new"+ref[1:2]+"@x", "Re: Road", ref))
		if d.Thread == a.Thread {
			t.Errorf("by %s the destroyed thread is back", ref)
		}
		e := w.add(mailbox.RoleInbox, 0, letter("newer"+ref[1:2]+"@x", "Re: Road", ref))
		if e.Thread != d.Thread {
			t.Errorf("by %s no thread", ref)
		}
	}
	w.must(w.check())
}

func TestOddDates(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	dates := []time.Time{{}, time.Date(1901, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(1969, 12, 31, 23, 59, 59, 999, time.UTC), time.Unix(0, 0),
		time.Date(2038, 1, 19, 3, 14, 8, 0, time.UTC), time.Date(2106, 2, 7, 6, 28, 16, 0, time.UTC), time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)}
	inbox := w.role(mailbox.RoleInbox).ID
	w.update(func(u *mailbox.Writer) error {
		for _, i := range []int{3, 0, 6, 1, 5, 2, 4} {
			wr := w.boxes.Bodies().Writer(t.Context())
			st, err := wr.Finish()
			if err != nil {
				return err
			}
			if _, err = u.Add(mailbox.Addition{Mailboxes: []mailbox.ID{inbox}, Received: dates[i], Staged: st}); err != nil {
				return err
			}
		}
		return nil
	})
	w.must(w.boxes.View(t.Context(), account, func(r *mailbox.Reader) error {
		i := 0
		var bad error
		err := r.Received(inbox, false, func(at int64, id mailbox.EmailID, _ mailbox.ThreadID) bool {
			e, err := r.Email(id)
			if err != nil || at != dates[i].Unix() || e.Received.Unix() != at {
				bad = errors.Join(bad, fmt.Errorf("place %d: %d, want %d: %w", i, at, dates[i].Unix(), err))
			}
			i++
			return true
		})
		if i != len(dates) {
			t.Errorf("%d dates", i)
		}
		return errors.Join(err, bad)
	}))
	w.clock.Advance(100 * 365 * 24 * time.Hour) // beyond 32 bits of seconds
	var last uint32
	w.update(func(u *mailbox.Writer) error {
		for i := range 3 {
			m, err := u.Create(mailbox.Mailbox{Name: fmt.Sprint("late", i)})
			if err != nil {
				return err
			}
			if m.UIDValidity <= last || m.UIDValidity <= w.role(mailbox.RoleInbox).UIDValidity {
				t.Errorf("UIDVALIDITY %d after %d", m.UIDValidity, last)
			}
			last = m.UIDValidity
		}
		return nil
	})
}

func TestChangesBeforeTheLogBegins(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range 5 {
		w.add(mailbox.RoleInbox, 0, letter(fmt.Sprintf("%d@x", i), "x", ""))
	}
	w.must(w.kv.Update(t.Context(), mailbox.Shard(account), func(tx *kv.Tx) error {
		data, err := tx.Get([]byte("M"))
		if err != nil {
			return err
		}
		var m mailbox.Meta
		if err := cbor.Unmarshal(data, &m); err != nil {
			return err
		}
		m.LogFrom = m.ModSeq - 1
		if data, err = cbor.Marshal(m); err != nil {
			return err
		}
		tx.Put([]byte("M"), data)
		return nil
	}))
	w.must(w.boxes.View(t.Context(), account, func(r *mailbox.Reader) error {
		last := r.State()
		for since, want := range map[uint64]int{0: -1, last - 3: -1, last - 2: 2, last - 1: 1, last: 0, last + 1: -1, 1<<64 - 1: -1} {
			seen := map[uint64]bool{}
			err := r.Changes(since, func(c mailbox.Change) bool { seen[c.ModSeq] = true; return true })
			if want < 0 && !fault.Is(err, fault.Conflict) || want >= 0 && (err != nil || len(seen) != want) {
				t.Errorf("since %d of %d: %d changes, %v", since, last, len(seen), err)
			}
		}
		return nil
	}))
}

func TestSubtreeMovedTooDeep(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	chain := func(u *mailbox.Writer, n int, name string) (first, last mailbox.ID, err error) {
		for i := range n {
			m, err := u.Create(mailbox.Mailbox{Name: fmt.Sprint(name, i), Parent: last})
			if err != nil {
				return 0, 0, err
			}
			if last = m.ID; i == 0 {
				first = m.ID
			}
		}
		return first, last, nil
	}
	w.update(func(u *mailbox.Writer) error {
		_, deep, err := chain(u, mailbox.MaxDepth-2, "a")
		if err != nil {
			return err
		}
		two, _, err := chain(u, 2, "b")
		if err != nil {
			return err
		}
		three, _, err := chain(u, 3, "c")
		if err != nil {
			return err
		}
		if err := u.Change(three, mailbox.Settings{Parent: &deep}); !fault.Is(err, fault.Invalid) {
			t.Errorf("%d levels: %v", mailbox.MaxDepth+1, err)
		}
		return u.Change(two, mailbox.Settings{Parent: &deep})
	})
}

// What a transaction has made is found in it.
func TestWriterFindsItsOwn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.update(func(u *mailbox.Writer) error {
		m, err := u.ByRole(mailbox.RoleJunk)
		if err != nil {
			return err
		}
		if _, err := u.Remove(m.ID); err != nil {
			return err
		}
		if _, err := u.ByRole(mailbox.RoleJunk); !fault.Is(err, fault.NotFound) {
			t.Errorf("removed, and there: %v", err)
		}
		n, err := u.Create(mailbox.Mailbox{Name: "स्पैम", Role: mailbox.RoleJunk})
		if err != nil {
			return err
		}
		a, errA := u.ByRole(mailbox.RoleJunk)
		b, errB := u.Child(0, "स्पैम")
		if errA != nil || errB != nil || a.ID != n.ID || b.ID != n.ID {
			t.Errorf("made, and not there: %v %v", errA, errB)
		}
		return nil
	})
}
