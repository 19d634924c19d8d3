package imapserver

import (
	"context"
	"fmt"
	"time"

	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/wire/imap"
)

// selectBox is SELECT and EXAMINE (RFC 9051 sections 6.3.2 and 6.3.3).
func (c *conn) selectBox(ctx context.Context, cmd imap.Command) error {
	a := cmd.Args.(*imap.Select)
	if a.QResync != nil && !c.qresync {
		c.reply(cmd.Tag, "BAD", "", "ENABLE QRESYNC first") // RFC 7162 section 3.2.5
		return c.bad()
	}
	// A SELECT that fails leaves no mailbox selected (RFC 9051 section 6.3.2).
	if c.sel != nil {
		c.deselect()
		c.untagged("OK [CLOSED] Previous mailbox is closed")
	}
	c.dirty.Store(false)
	o, err := c.sess.Select(ctx, a.Name)
	if err != nil {
		return c.fail(cmd.Tag, err)
	}
	if o.NoSelect {
		c.reply(cmd.Tag, "NO", "NONEXISTENT", "This mailbox cannot be selected")
		return nil
	}
	c.sel = &selected{box: o.Mailbox, readOnly: a.ReadOnly, view: newView(o.UIDs), modseq: max(o.HighestModSeq, 1), state: o.State,
		synced: time.Now(), echo: map[uint32]uint64{}}
	c.condstore = c.condstore || a.CondStore
	c.describeSelected(o)
	if q := a.QResync; q != nil && q.UIDValidity == o.UIDValidity {
		if err := c.resync(ctx, q, o); err != nil {
			c.deselect()
			return c.fail(cmd.Tag, err)
		}
	}
	if a.ReadOnly {
		c.reply(cmd.Tag, "OK", "READ-ONLY", "Mailbox is open for reading")
	} else {
		c.reply(cmd.Tag, "OK", "READ-WRITE", "Mailbox is open")
	}
	return c.err
}

const systemFlagList = `\Answered \Flagged \Deleted \Seen \Draft`

func (c *conn) describeSelected(o Opened) {
	c.untagged(fmt.Sprintf("%d EXISTS", c.sel.view.len()))
	if !c.rev2 {
		c.untagged("0 RECENT") // RFC 9051 appendix E, item 19: withdrawn
	}
	c.untagged("FLAGS (" + systemFlagList + " $Forwarded $MDNSent $Junk $NotJunk $Phishing)")
	if c.sel.readOnly {
		c.untagged("OK [PERMANENTFLAGS ()] No flag can be changed")
	} else {
		c.untagged("OK [PERMANENTFLAGS (" + systemFlagList + ` \*)] Flags and any keyword are kept`)
	}
	c.untagged(fmt.Sprintf("OK [UIDVALIDITY %d] UIDs are valid", o.UIDValidity))
	c.untagged(fmt.Sprintf("OK [UIDNEXT %d] Next UID", o.UIDNext))
	c.untagged(fmt.Sprintf("OK [HIGHESTMODSEQ %d] Highest mod-sequence", c.sel.modseq))
	c.untagged("OK [MAILBOXID (" + o.ID + ")] Mailbox id")
	if c.rev2 {
		// RFC 9051 section 6.3.2: SELECT includes the LIST response.
		c.listLine("LIST", c.listAttrs(o.Mailbox, nil, listWants{}), o.Name, nil)
	}
}

// resync answers the QRESYNC parameter (RFC 7162 section 3.2.5).
func (c *conn) resync(ctx context.Context, q *imap.QResync, o Opened) error {
	known := imap.Set{}
	if o.UIDNext > 1 {
		known = imap.Set{{Start: 1, Stop: o.UIDNext - 1}}
	}
	if q.Known != nil {
		known = q.Known.Resolve(o.UIDNext - 1).Intersect(known)
	}
	if q.MatchSeq != nil {
		if at := c.matched(q); at > 0 && len(known) > 0 {
			// The client's numbering agrees up to here: it knows of every expunge below.
			below := imap.Set{{Start: 1, Stop: at}}
			known = known.Subtract(below.Subtract(c.sel.view.uids()))
		}
	}
	ch, err := c.sess.Changes(ctx, o.ID, q.ModSeq, known)
	if err != nil {
		return err
	}
	c.tellEarlier(ch.Vanished.Intersect(known))
	for i := range ch.Changed {
		m := &ch.Changed[i]
		if seq := c.sel.view.seq(m.UID); seq != 0 && known.Contains(m.UID) && m.ModSeq > q.ModSeq {
			c.tellFlags(seq, m)
			if err := c.flushIfLarge(); err != nil {
				return err
			}
		}
	}
	return nil
}

// matched gives the largest UID at which the client's message sequence match
// data agrees with the mailbox, 0 for none (RFC 7162 section 3.2.5.2).
func (c *conn) matched(q *imap.QResync) uint32 {
	seqs := q.MatchSeq.Resolve(0)
	uids := q.MatchUID.Resolve(0)
	var at uint32
	n := 0
	next := pairs(seqs, uids)
	for n < maxMatchPairs {
		seq, uid, ok := next()
		if !ok || seq > c.sel.view.len() || c.sel.view.uid(seq) != uid {
			break
		}
		at = uid
		n++
	}
	return at
}

// maxMatchPairs bounds the work that two ranges of a client can ask for.
const maxMatchPairs = 1 << 16

// pairs walks two sets in step.
func pairs(a, b imap.Set) func() (uint32, uint32, bool) {
	var ai, bi int
	var ao, bo uint32
	step := func(s imap.Set, i *int, o *uint32) uint32 {
		n := s[*i].Start + *o
		if n == s[*i].Stop {
			*i, *o = *i+1, 0
		} else {
			*o++
		}
		return n
	}
	return func() (uint32, uint32, bool) {
		if ai >= len(a) || bi >= len(b) {
			return 0, 0, false
		}
		return step(a, &ai, &ao), step(b, &bi, &bo), true
	}
}

func (c *conn) tellEarlier(uids imap.Set) {
	if len(uids) == 0 {
		return
	}
	c.out = append(c.out, "* VANISHED (EARLIER) "...)
	c.out = uids.Append(c.out)
	c.out = append(c.out, "\r\n"...)
}

// closeBox is CLOSE (RFC 9051 section 6.4.1): it expunges without telling.
func (c *conn) closeBox(ctx context.Context, cmd imap.Command) error {
	if !c.sel.readOnly {
		// Only what this client has been told of: a message that another client
		// has just added and marked is not its to remove.
		err := c.sess.Expunge(ctx, c.sel.box.ID, c.sel.view.uids())
		if err != nil && !fault.Is(err, fault.NotFound) {
			return c.fail(cmd.Tag, err)
		}
	}
	c.deselect()
	c.reply(cmd.Tag, "OK", "", "Mailbox is closed")
	return nil
}

// unselect is UNSELECT (RFC 3691).
func (c *conn) unselect(_ context.Context, cmd imap.Command) error {
	c.deselect()
	c.reply(cmd.Tag, "OK", "", "Mailbox is closed")
	return nil
}
