package mailbox_test

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/mailbox"
)

// Whatever clients do, in whatever order, the counts, entries, threads and holds
// of the account agree; also where a transaction commits after one of its acts
// has failed. Bodies live as long as somebody holds them, and no longer.
func TestRandomActsLeaveASoundAccount(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t)
		n := 0
		id := func(most int) int { return rapid.IntRange(0, most).Draw(rt, "id") }
		box := func() mailbox.ID { return mailbox.ID(id(9)) }
		uids := func() []uint32 {
			return rapid.SliceOfN(rapid.Uint32Range(1, 12), 0, 4).Draw(rt, "uids")
		}
		boxes := func() []mailbox.ID {
			return rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) mailbox.ID { return mailbox.ID(rapid.IntRange(0, 8).Draw(rt, "box")) }), 0, 3).Draw(rt, "boxes")
		}
		flags := func() mailbox.FlagChange {
			return mailbox.FlagChange{Op: mailbox.FlagOp(id(2)), Flags: mailbox.Flags(id(31)),
				Keywords: rapid.SliceOfN(rapid.SampledFrom([]string{"a", "B", "c", "(bad"}), 0, 3).Draw(rt, "keywords")}
		}
		acts := []func(*mailbox.Writer) error{
			func(u *mailbox.Writer) error { _, err := u.Copy(box(), uids(), box()); return err },
			func(u *mailbox.Writer) error { _, err := u.Move(box(), uids(), box()); return err },
			func(u *mailbox.Writer) error { _, err := u.Expunge(box(), uids()); return err },
			func(u *mailbox.Writer) error { return u.SetPlaces(mailbox.EmailID(id(20)), boxes()) },
			func(u *mailbox.Writer) error { _, _, err := u.SetFlags(box(), uids(), flags()); return err },
			func(u *mailbox.Writer) error { return u.SetKeywords(mailbox.EmailID(id(20)), flags()) },
			func(u *mailbox.Writer) error { return u.Destroy(mailbox.EmailID(id(20))) },
			func(u *mailbox.Writer) error { _, err := u.Remove(box()); return err },
			func(u *mailbox.Writer) error {
				_, err := u.Create(mailbox.Mailbox{Name: fmt.Sprint("m", id(4)), Parent: box()})
				return err
			},
			func(u *mailbox.Writer) error {
				name, parent := fmt.Sprint("m", id(4)), box()
				return u.Change(box(), mailbox.Settings{Name: &name, Parent: &parent})
			},
		}
		for range rapid.IntRange(1, 25).Draw(rt, "transactions") {
			if id(2) == 0 {
				refs := ""
				if n > 0 {
					refs = fmt.Sprintf("<%d@x>", id(n))
				}
				n++
				w.add(mailbox.RoleInbox, mailbox.Flags(id(31)), letter(fmt.Sprintf("%d@x", n), "Re: road", refs))
				continue
			}
			w.must(w.boxes.Update(t.Context(), account, func(u *mailbox.Writer) error {
				for range rapid.IntRange(1, 3).Draw(rt, "acts") {
					err := rapid.SampledFrom(acts).Draw(rt, "act")(u)
					switch fault.KindOf(err) {
					case fault.Internal, fault.Corrupt:
						if err != nil {
							rt.Fatal(err)
						}
					}
				}
				return nil
			}))
			if err := w.check(); err != nil {
				rt.Fatal(err)
			}
		}
		w.must(w.boxes.View(t.Context(), account, func(r *mailbox.Reader) error {
			return r.EachEmail(0, func(e *mailbox.Email) bool {
				if _, err := w.boxes.Bodies().Read(t.Context(), e.Body); err != nil {
					rt.Errorf("email %s has lost its content: %v", e.ID, err)
				}
				return true
			})
		}))
	})
}
