package mailbox_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/base/clock"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/mailbox"
	"github.com/mohar-mail/mohar/store/blob/memblob"
	"github.com/mohar-mail/mohar/store/body"
	"github.com/mohar-mail/mohar/store/kv"
	"github.com/mohar-mail/mohar/store/kv/memkv"
)

const account = mohar.AccountID("a1")

type world struct {
	*testing.T
	kv    *kv.Store
	boxes *mailbox.Store
	clock *clock.Fake
	heard []uint64
}

func (w *world) Changed(_ mohar.AccountID, modseq uint64) { w.heard = append(w.heard, modseq) }

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, kv: kv.NewStore(memkv.New()), clock: clock.NewFake(time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC))}
	t.Cleanup(func() { w.kv.Close() })
	bodies := body.New(w.kv, memblob.New(), body.Config{})
	w.boxes = mailbox.New(mailbox.Config{KV: w.kv, Bodies: bodies, Notify: w, Clock: w.clock})
	w.must(w.boxes.Ensure(t.Context(), account))
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func letter(id, subject, refs string) string {
	s := "From: a@example.org\r\nSubject: " + subject + "\r\nMessage-ID: <" + id + ">\r\n"
	if refs != "" {
		s += "References: " + refs + "\r\n"
	}
	return s + "\r\nnamaste\r\n"
}

func (w *world) add(role mailbox.Role, flags mailbox.Flags, text string) mailbox.Added {
	w.Helper()
	wr := w.boxes.Bodies().Writer(w.Context())
	_, err := wr.Write([]byte(text))
	w.must(err)
	st, err := wr.Finish()
	w.must(err)
	c, err := mailbox.Parse([]byte(text))
	w.must(err)
	var out mailbox.Added
	w.must(w.boxes.Update(w.Context(), account, func(u *mailbox.Writer) error {
		m, err := u.ByRole(role)
		if err != nil {
			return err
		}
		out, err = u.Add(mailbox.Addition{Mailboxes: []mailbox.ID{m.ID}, Flags: flags, Received: w.clock.Now(),
			Size: int64(len(text)), Content: c, Staged: st})
		return err
	}))
	w.clock.Advance(time.Second)
	return out
}

func (w *world) role(r mailbox.Role) *mailbox.Mailbox {
	w.Helper()
	var m *mailbox.Mailbox
	w.must(w.boxes.View(w.Context(), account, func(rd *mailbox.Reader) (err error) { m, err = rd.ByRole(r); return err }))
	return m
}

func (w *world) update(fn func(*mailbox.Writer) error) {
	w.Helper()
	w.must(w.boxes.Update(w.Context(), account, fn))
	w.must(w.check())
}

func (w *world) check() error {
	problems, err := w.boxes.Check(w.Context(), account)
	if err != nil {
		return err
	}
	if len(problems) > 0 {
		return fmt.Errorf("%v", problems)
	}
	return nil
}

func TestAddGivesRisingUIDsAndCounts(t *testing.T) {
	w := newWorld(t)
	first := w.add(mailbox.RoleInbox, 0, letter("1@x", "एक", ""))
	second := w.add(mailbox.RoleInbox, mailbox.Seen, letter("2@x", "two", ""))
	if first.Places[0].UID != 1 || second.Places[0].UID != 2 {
		t.Fatalf("UIDs %v %v", first.Places, second.Places)
	}
	m := w.role(mailbox.RoleInbox)
	if m.Total != 2 || m.Unseen != 1 || m.UIDNext != 3 || m.HighestModSeq < 2 {
		t.Fatalf("counts %+v", m)
	}
	w.must(w.check())
	if len(w.heard) != 2 || w.heard[0] >= w.heard[1] {
		t.Fatalf("notified of %v", w.heard)
	}
}

func TestContentComesBackByteForByte(t *testing.T) {
	w := newWorld(t)
	text := "Subject: x\r\n\r\n\x00\xff\r\n.\r\nनमस्ते\r\n"
	a := w.add(mailbox.RoleInbox, 0, text)
	w.must(w.boxes.View(t.Context(), account, func(r *mailbox.Reader) error {
		e, err := r.Email(a.Email)
		if err != nil {
			return err
		}
		got, err := w.boxes.Bodies().Read(t.Context(), e.Body)
		if string(got) != text {
			t.Errorf("got %q", got)
		}
		return err
	}))
}

func TestThreads(t *testing.T) {
	w := newWorld(t)
	a := w.add(mailbox.RoleInbox, 0, letter("a@x", "Road", ""))
	b := w.add(mailbox.RoleInbox, 0, letter("b@x", "Re: Road", "<a@x>"))
	c := w.add(mailbox.RoleSent, mailbox.Seen, letter("c@x", "RE: [list] Road", "<zz@x> <b@x>"))
	other := w.add(mailbox.RoleInbox, 0, letter("d@x", "Water", "<a@x>"))
	again := w.add(mailbox.RoleInbox, 0, letter("a@x", "Road", "")) // the same message id is normal
	if b.Thread != a.Thread || c.Thread != a.Thread || again.Thread != a.Thread {
		t.Errorf("threads %v %v %v %v", a.Thread, b.Thread, c.Thread, again.Thread)
	}
	if other.Thread == a.Thread {
		t.Error("another subject is another thread")
	}
	if again.Email == a.Email {
		t.Error("a message id must not be unique")
	}
	w.must(w.boxes.View(t.Context(), account, func(r *mailbox.Reader) error {
		ids, err := r.Thread(a.Thread)
		if len(ids) != 4 {
			t.Errorf("members %v", ids)
		}
		found, _ := r.ByMessageID("<a@x>")
		if len(found) != 2 {
			t.Errorf("by message id %v", found)
		}
		return err
	}))
}

func TestDeliveredOnce(t *testing.T) {
	w := newWorld(t)
	item := [16]byte{7}
	add := func() (out mailbox.Added) {
		text := letter("q@x", "q", "")
		wr := w.boxes.Bodies().Writer(t.Context())
		wr.Write([]byte(text))
		st, err := wr.Finish()
		w.must(err)
		c, err := mailbox.Parse([]byte(text))
		w.must(err)
		w.update(func(u *mailbox.Writer) error {
			m, _ := u.ByRole(mailbox.RoleInbox)
			out, err = u.Add(mailbox.Addition{Mailboxes: []mailbox.ID{m.ID}, Received: w.clock.Now(), Size: st.Size, Content: c, Staged: st, Item: item})
			return err
		})
		return out
	}
	one, two := add(), add()
	if one.Again || !two.Again || one.Email != two.Email {
		t.Fatalf("%+v %+v", one, two)
	}
	if w.role(mailbox.RoleInbox).Total != 1 {
		t.Fatal("delivered twice")
	}
}

func TestFlagsSpreadToAllPlaces(t *testing.T) {
	w := newWorld(t)
	a := w.add(mailbox.RoleInbox, 0, letter("1@x", "s", ""))
	inbox, archive := w.role(mailbox.RoleInbox), w.role(mailbox.RoleArchive)
	w.update(func(u *mailbox.Writer) error { return u.SetPlaces(a.Email, []mailbox.ID{inbox.ID, archive.ID}) })
	w.update(func(u *mailbox.Writer) error {
		now, _, err := u.SetFlags(archive.ID, []uint32{1}, mailbox.FlagChange{Op: mailbox.AddFlags, Flags: mailbox.Seen | mailbox.Deleted, Keywords: []string{"$Forwarded"}})
		if len(now) != 1 || !now[0].Has("$forwarded") {
			t.Errorf("now %+v", now)
		}
		return err
	})
	w.must(w.boxes.View(t.Context(), account, func(r *mailbox.Reader) error {
		e, err := r.Entry(inbox.ID, 1)
		if err == nil && (e.Flags != mailbox.Seen || !e.Has("$forwarded")) {
			t.Errorf("inbox entry %+v", e)
		}
		return err
	}))
	if got := w.role(mailbox.RoleInbox).Unseen; got != 0 {
		t.Errorf("unseen %d", got)
	}
}

func TestConditionalStore(t *testing.T) {
	w := newWorld(t)
	w.add(mailbox.RoleInbox, 0, letter("1@x", "s", ""))
	w.add(mailbox.RoleInbox, 0, letter("2@x", "s", ""))
	inbox := w.role(mailbox.RoleInbox)
	var since uint64
	w.must(w.boxes.View(t.Context(), account, func(r *mailbox.Reader) error {
		e, err := r.Entry(inbox.ID, 1)
		since = e.ModSeq
		return err
	}))
	w.update(func(u *mailbox.Writer) error {
		_, modified, err := u.SetFlags(inbox.ID, []uint32{1, 2, 9}, mailbox.FlagChange{Op: mailbox.ReplaceFlags, Flags: mailbox.Flagged, Conditional: true, UnchangedSince: since})
		if !slices.Equal(modified, []uint32{2}) {
			t.Errorf("modified %v", modified)
		}
		return err
	})
}

func TestCopyMoveExpunge(t *testing.T) {
	w := newWorld(t)
	a := w.add(mailbox.RoleInbox, mailbox.Flagged, letter("1@x", "s", ""))
	inbox, archive, trash := w.role(mailbox.RoleInbox), w.role(mailbox.RoleArchive), w.role(mailbox.RoleTrash)
	w.update(func(u *mailbox.Writer) error {
		c, err := u.Copy(inbox.ID, []uint32{1, 5}, archive.ID)
		if len(c) != 1 || c[0].To != 1 || c[0].Email == a.Email {
			t.Errorf("copied %+v", c)
		}
		return err
	})
	w.update(func(u *mailbox.Writer) error {
		c, err := u.Move(inbox.ID, []uint32{1}, trash.ID)
		if len(c) != 1 || c[0].Email != a.Email {
			t.Errorf("moved %+v", c)
		}
		return err
	})
	w.update(func(u *mailbox.Writer) error {
		c, err := u.Move(trash.ID, []uint32{1}, trash.ID)
		if len(c) != 1 || c[0].To != 2 {
			t.Errorf("renumbered %+v", c)
		}
		return err
	})
	w.must(w.boxes.View(t.Context(), account, func(r *mailbox.Reader) error {
		e, err := r.Entry(trash.ID, 2)
		if err == nil && e.Flags != mailbox.Flagged {
			t.Errorf("flags were lost: %+v", e)
		}
		return err
	}))
	w.update(func(u *mailbox.Writer) error { _, err := u.Expunge(trash.ID, []uint32{2}); return err })
	w.must(w.boxes.View(t.Context(), account, func(r *mailbox.Reader) error {
		if _, err := r.Email(a.Email); !fault.Is(err, fault.NotFound) {
			t.Errorf("the email is still there: %v", err)
		}
		e, err := r.Entry(archive.ID, 1)
		if err != nil {
			return err
		}
		copied, err := r.Email(e.Email)
		if err != nil {
			return err
		}
		_, err = w.boxes.Bodies().Read(t.Context(), copied.Body)
		return err // the copy still has its content
	}))
	w.update(func(u *mailbox.Writer) error { _, err := u.Expunge(archive.ID, []uint32{1}); return err })
	w.must(w.boxes.View(t.Context(), account, func(r *mailbox.Reader) error {
		if m := r.Meta(); m.Used != 0 || m.Count != 0 {
			t.Errorf("meta %+v", m)
		}
		return nil
	}))
}

func TestQuota(t *testing.T) {
	w := newWorld(t)
	w.must(w.boxes.SetQuota(t.Context(), account, 10))
	err := w.boxes.Update(t.Context(), account, func(u *mailbox.Writer) error {
		m, _ := u.ByRole(mailbox.RoleInbox)
		_, err := u.Add(mailbox.Addition{Mailboxes: []mailbox.ID{m.ID}, Size: 11})
		return err
	})
	if !fault.Is(err, fault.OverQuota) {
		t.Fatalf("got %v", err)
	}
}

func TestChangesTellEverything(t *testing.T) {
	w := newWorld(t)
	var from uint64
	w.must(w.boxes.View(t.Context(), account, func(r *mailbox.Reader) error { from = r.State(); return nil }))
	a := w.add(mailbox.RoleInbox, 0, letter("1@x", "s", ""))
	w.update(func(u *mailbox.Writer) error { return u.Destroy(a.Email) })
	var kinds []mailbox.ChangeKind
	w.must(w.boxes.View(t.Context(), account, func(r *mailbox.Reader) error {
		return r.Changes(from, func(c mailbox.Change) bool { kinds = append(kinds, c.Kind); return true })
	}))
	want := []mailbox.ChangeKind{mailbox.MailboxCounted, mailbox.EntryAdded, mailbox.EmailCreated,
		mailbox.MailboxCounted, mailbox.EntryRemoved, mailbox.EmailDestroyed, mailbox.ThreadDestroyed}
	if !slices.Equal(kinds, want) {
		t.Fatalf("got %v want %v", kinds, want)
	}
	err := w.boxes.View(t.Context(), account, func(r *mailbox.Reader) error {
		return r.Changes(1<<40, func(mailbox.Change) bool { return true })
	})
	if !fault.Is(err, fault.Conflict) {
		t.Fatalf("a state of the future: %v", err)
	}
}

func TestMailboxes(t *testing.T) {
	w := newWorld(t)
	var id, child mailbox.ID
	w.update(func(u *mailbox.Writer) error {
		m, err := u.Create(mailbox.Mailbox{Name: "योजना"})
		if err != nil {
			return err
		}
		id = m.ID
		c, err := u.Create(mailbox.Mailbox{Name: "2026", Parent: id})
		child = c.ID
		return err
	})
	refused := map[string]func(u *mailbox.Writer) error{
		"same name": func(u *mailbox.Writer) error {
			_, err := u.Create(mailbox.Mailbox{Name: "योजना"})
			return err
		},
		"inbox again": func(u *mailbox.Writer) error { _, err := u.Create(mailbox.Mailbox{Name: "inbox"}); return err },
		"separator":   func(u *mailbox.Writer) error { _, err := u.Create(mailbox.Mailbox{Name: "a/b"}); return err },
		"control":     func(u *mailbox.Writer) error { _, err := u.Create(mailbox.Mailbox{Name: "a\x00b"}); return err },
		"no parent":   func(u *mailbox.Writer) error { _, err := u.Create(mailbox.Mailbox{Name: "x", Parent: 999}); return err },
		"second trash": func(u *mailbox.Writer) error {
			_, err := u.Create(mailbox.Mailbox{Name: "x", Role: mailbox.RoleTrash})
			return err
		},
		"into itself":   func(u *mailbox.Writer) error { return u.Change(id, mailbox.Settings{Parent: &child}) },
		"with children": func(u *mailbox.Writer) error { _, err := u.Remove(id); return err },
		"remove inbox":  func(u *mailbox.Writer) error { _, err := u.Remove(1); return err },
	}
	for name, fn := range refused {
		if err := w.boxes.Update(t.Context(), account, fn); err == nil {
			t.Errorf("%s: allowed", name)
		}
	}
	before := uint32(0)
	w.must(w.boxes.View(t.Context(), account, func(r *mailbox.Reader) error {
		m, err := r.Mailbox(child)
		before = m.UIDValidity
		return err
	}))
	w.update(func(u *mailbox.Writer) error { _, err := u.Remove(child); return err })
	w.update(func(u *mailbox.Writer) error {
		m, err := u.Create(mailbox.Mailbox{Name: "2026", Parent: id})
		if m.UIDValidity <= before {
			t.Errorf("UIDVALIDITY %d after %d", m.UIDValidity, before)
		}
		return err
	})
}
