package jmap

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/mohar-mail/mohar/mailbox"
)

// TestIndexFollowsTheLog makes random changes and compares, after each or some
// of them, the index that followed the log with one read afresh.
func TestIndexFollowsTheLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	x := newIndexes()
	rnd := rand.New(rand.NewPCG(1, 2))
	followed := 0
	for step := range 300 {
		w.randomChange(t, rnd, step)
		if rnd.IntN(3) == 0 {
			continue
		}
		err := w.mail.View(t.Context(), account, func(r *mailbox.Reader) error {
			all, err := r.Mailboxes()
			if err != nil {
				return err
			}
			for _, box := range all {
				if old := x.m[indexKey{account, box.ID}]; old != nil && old.high != box.HighestModSeq {
					if _, ok, err := follow(r, old, box); ok && err == nil {
						followed++
					}
				}
				got, err := x.get(r, account, box)
				if err != nil {
					return err
				}
				want, err := readItems(r, box)
				if err != nil {
					return err
				}
				if !slices.Equal(got, want) {
					t.Fatalf("step %d, %s:\n got %v\nwant %v", step, box.Name, got, want)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if followed < 100 {
		t.Errorf("the log was followed only %d times", followed)
	}
}

// randomChange adds, flags, moves or destroys an email.
func (w *world) randomChange(t *testing.T, rnd *rand.Rand, step int) {
	t.Helper()
	switch op := rnd.IntN(6); {
	case op < 2 || step < 5:
		w.clock.Advance(time.Duration(rnd.IntN(1000)-300) * time.Second) // mail may arrive with an older date
		w.deliver(t, []string{"inbox", "archive $seen", "trash x"}[rnd.IntN(3)], fmt.Sprintf("Subject: %d\nMessage-ID: <%d@x>\nReferences: <r%d@x>\n\nx", step%7, step, step%7))
	default:
		err := w.mail.Update(t.Context(), account, func(u *mailbox.Writer) error {
			var ids []mailbox.EmailID
			if err := u.EachEmail(0, func(e *mailbox.Email) bool { ids = append(ids, e.ID); return true }); err != nil || len(ids) == 0 {
				return err
			}
			for range 1 + rnd.IntN(3) {
				id := ids[rnd.IntN(len(ids))]
				e, err := u.Email(id)
				if err != nil {
					continue // destroyed a moment ago
				}
				switch op {
				case 2:
					err = u.SetKeywords(id, mailbox.FlagChange{Op: mailbox.FlagOp(rnd.IntN(3)), Flags: mailbox.Seen | mailbox.Flagged})
				case 3:
					err = u.SetPlaces(id, []mailbox.ID{mailbox.ID(1 + rnd.IntN(6)), mailbox.ID(1 + rnd.IntN(6))})
				case 4:
					_, err = u.Move(e.Places[0].Mailbox, []uint32{e.Places[0].UID}, mailbox.ID(1+rnd.IntN(6)))
				default:
					if rnd.IntN(3) == 0 {
						err = u.Destroy(id)
					}
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestIndexesLetGo sees that the indexes stay within their bound.
func TestIndexesLetGo(t *testing.T) {
	t.Parallel()
	x := newIndexes()
	big := make([]item, maxItemsKept/2)
	for i := range 4 {
		x.keep(indexKey{account, mailbox.ID(i)}, &boxIndex{state: 1, items: big})
	}
	if len(x.m) != 1 || x.items != len(big) || x.m[indexKey{account, 3}] == nil {
		t.Errorf("%d indexes, %d items", len(x.m), x.items)
	}
}

// TestQueryChangesSplice plays the client of RFC 8620 section 5.6: after random
// changes its spliced list must be the new result of the query.
func TestQueryChangesSplice(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rnd := rand.New(rand.NewPCG(3, 4))
	type cached struct {
		args, state string
		ids         []string
	}
	var queries []*cached
	for _, args := range []string{
		`"filter":{"inMailbox":"F1"},"collapseThreads":true`,
		`"filter":{"inMailbox":"F1"},"sort":[{"property":"receivedAt"}]`,
		`"filter":{"someInThreadHaveKeyword":"$seen"}`,
		`"filter":{"operator":"AND","conditions":[{"notKeyword":"$seen"},{"inMailboxOtherThan":["F6"]}]},"collapseThreads":true`,
		`"sort":[{"property":"hasKeyword","keyword":"$flagged"},{"property":"subject"}]`,
	} {
		queries = append(queries, &cached{args: args})
	}
	for step := range 120 {
		w.randomChange(t, rnd, step)
		for _, q := range queries {
			if rnd.IntN(2) == 0 && q.state != "" {
				continue
			}
			fresh, state := w.query(t, q.args)
			if q.state != "" {
				w.splice(t, q.args, q.state, &q.ids)
				if !slices.Equal(q.ids, fresh) {
					t.Fatalf("step %d, %s:\n got %v\nwant %v", step, q.args, q.ids, fresh)
				}
			}
			q.ids, q.state = fresh, state
		}
	}
}
