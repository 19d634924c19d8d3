package mailbox

import (
	"context"
	"fmt"
	"slices"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/store/body"
)

// Check verifies the invariants of one account and lists what is wrong, in
// words; an empty list is a sound account. It reads everything but the bodies.
func (s *Store) Check(ctx context.Context, a mohar.AccountID) ([]string, error) {
	c := &checker{}
	err := s.View(ctx, a, func(r *Reader) error {
		c.r = r
		return c.run()
	})
	if fault.Is(err, fault.NotFound) {
		return nil, nil // an account to which nothing ever came
	}
	return c.problems, err
}

type checker struct {
	r        *Reader
	problems []string
	entries  map[Place]Entry
	refs     map[string]uint64
}

func (c *checker) bad(format string, args ...any) {
	c.problems = append(c.problems, fmt.Sprintf(format, args...))
}

func (c *checker) run() error {
	all, err := c.r.Mailboxes()
	if err != nil {
		return err
	}
	c.entries, c.refs = map[Place]Entry{}, map[string]uint64{}
	for _, m := range all {
		if err := c.mailbox(m); err != nil {
			return err
		}
	}
	return c.emails()
}

// mailbox recounts one mailbox.
func (c *checker) mailbox(m *Mailbox) error {
	got := Mailbox{ID: m.ID}
	highest := uint32(0)
	err := c.r.Entries(m.ID, 1, 1<<32-1, func(e *Entry) bool {
		got.add(e, 1)
		highest = e.UID
		if e.ModSeq > m.HighestModSeq || e.ModSeq == 0 {
			c.bad("mailbox %s: modseq %d of message %d is over the mailbox's %d", m.ID, e.ModSeq, e.UID, m.HighestModSeq)
		}
		kept := *e
		kept.Keywords = slices.Clone(e.Keywords)
		c.entries[Place{m.ID, e.UID}] = kept
		return true
	})
	if err != nil {
		return err
	}
	if got.Total != m.Total || got.Unseen != m.Unseen || got.Size != m.Size || got.Deleted != m.Deleted {
		c.bad("mailbox %s: counted %d messages, %d unseen, %d octets, %d deleted; recorded %d, %d, %d, %d", m.ID,
			got.Total, got.Unseen, got.Size, got.Deleted, m.Total, m.Unseen, m.Size, m.Deleted)
	}
	if highest >= m.UIDNext {
		c.bad("mailbox %s: UID %d is not below UIDNEXT %d", m.ID, highest, m.UIDNext)
	}
	if m.HighestModSeq == 0 || m.HighestModSeq > c.r.meta.ModSeq {
		c.bad("mailbox %s: HIGHESTMODSEQ %d, account %d", m.ID, m.HighestModSeq, c.r.meta.ModSeq)
	}
	received := uint32(0)
	err = c.r.Received(m.ID, false, func(int64, EmailID, ThreadID) bool { received++; return true })
	if received != got.Total {
		c.bad("mailbox %s: %d messages in the order of receipt, %d entries", m.ID, received, got.Total)
	}
	return err
}

// emails verifies that emails and entries name each other, and the account's sums.
func (c *checker) emails() error {
	var used, count int64
	seen := 0
	err := c.r.EachEmail(0, func(e *Email) bool {
		used += e.Size
		count++
		c.refs[e.Body.String()]++
		if len(e.Places) == 0 {
			c.bad("email %s lies in no mailbox", e.ID)
		}
		var first *Entry
		for _, p := range e.Places {
			en, ok := c.entries[p]
			if !ok || en.Email != e.ID || en.Thread != e.Thread {
				c.bad("email %s: no entry %d in mailbox %s", e.ID, p.UID, p.Mailbox)
				continue
			}
			seen++
			if first == nil {
				first = &en
			} else if first.Flags&^Deleted != en.Flags&^Deleted || !slices.Equal(first.Keywords, en.Keywords) {
				c.bad("email %s: its entries have different flags", e.ID)
			}
		}
		return true
	})
	if err != nil {
		return err
	}
	if seen != len(c.entries) {
		c.bad("%d entries, of which emails name %d", len(c.entries), seen)
	}
	if m := c.r.meta; used != m.Used || count != m.Count {
		c.bad("account: counted %d emails of %d octets; recorded %d of %d", count, used, m.Count, m.Used)
	}
	return c.shared()
}

// shared verifies the counts of bodies that several emails share.
func (c *checker) shared() error {
	for text, n := range c.refs {
		ref, err := body.ParseRef(text)
		if err != nil {
			return err
		}
		got, err := sharedBy(c.r.r, ref)
		if err != nil {
			return err
		}
		if got > n { // fewer: one message that came to two addresses is two holds
			c.bad("body %s: %d emails share it, %d recorded", text, n, got)
		}
	}
	return nil
}

// Holds counts for each body how many accounts' holds this account has: one for
// each body that it uses. Queue and check add them up.
func (r *Reader) Holds(fn func(body.Ref)) error {
	seen := map[string]bool{}
	return r.EachEmail(0, func(e *Email) bool {
		if k := e.Body.String(); !seen[k] {
			seen[k] = true
			fn(e.Body)
		}
		return true
	})
}
