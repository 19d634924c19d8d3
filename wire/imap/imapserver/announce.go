package imapserver

import (
	"context"
	"time"

	"github.com/mohar-mail/mohar/wire/imap"
)

// sync asks the Session what is new in the selected mailbox and announces it:
// arrivals and flags at once, expunges into sel.gone until they may be told.
func (c *conn) sync(ctx context.Context) error {
	s := c.sel
	c.dirty.Store(false)
	ch, err := c.sess.Changes(ctx, s.box.ID, s.state, s.view.uids())
	if err != nil {
		return err
	}
	for _, r := range ch.Vanished {
		s.gone = append(s.gone, r)
	}
	if len(ch.Vanished) > 0 {
		s.gone = imap.NumSet{Ranges: s.gone}.Resolve(0).Intersect(s.view.uids())
	}
	before, last := s.view.len(), s.view.last()
	for i := range ch.Changed {
		if m := &ch.Changed[i]; m.UID > last {
			s.view.add(m.UID)
		}
	}
	if n := s.view.len(); n != before {
		c.out = append(c.out, "* "...)
		c.out = imap.AppendNum(c.out, uint64(n))
		c.out = append(c.out, " EXISTS\r\n"...)
	}
	for i := range ch.Changed {
		m := &ch.Changed[i]
		if m.UID > last || s.echo[m.UID] == m.ModSeq {
			continue
		}
		if seq := s.view.seq(m.UID); seq != 0 {
			c.tellFlags(seq, m)
			if err := c.flushIfLarge(); err != nil {
				return err
			}
		}
	}
	clear(s.echo)
	s.modseq = max(s.modseq, ch.HighestModSeq)
	s.state = max(s.state, ch.State)
	s.synced = time.Now()
	return nil
}

// tellFlags writes an unsolicited FETCH. UID is always in it, which RFC 7162
// section 3.2.4 asks for and others allow.
func (c *conn) tellFlags(seq uint32, m *Message) {
	b := append(c.out, "* "...)
	b = imap.AppendNum(b, uint64(seq))
	b = append(b, " FETCH (UID "...)
	b = imap.AppendNum(b, uint64(m.UID))
	b = append(b, " FLAGS "...)
	b = imap.AppendFlags(b, m.Flags)
	if c.condstore {
		b = appendModSeq(b, m.ModSeq)
	}
	c.out = append(b, ")\r\n"...)
}

func appendModSeq(b []byte, n uint64) []byte {
	b = append(b, " MODSEQ ("...)
	b = imap.AppendNum(b, max(n, 1))
	return append(b, ')')
}

// tellExpunged announces the messages that are gone, if the command allows it,
// and only then takes them out of the numbering.
func (c *conn) tellExpunged(allowed bool) {
	if c.sel == nil || len(c.sel.gone) == 0 || !allowed {
		return
	}
	s := c.sel
	if c.qresync {
		c.out = append(c.out, "* VANISHED "...)
		c.out = s.gone.Append(c.out)
		c.out = append(c.out, "\r\n"...)
	} else {
		// From the last to the first: no number moves before it is told.
		seqs := s.view.toSeqs(s.gone)
		for i := len(seqs) - 1; i >= 0; i-- {
			for n := seqs[i].Stop; n >= seqs[i].Start; n-- {
				c.out = append(c.out, "* "...)
				c.out = imap.AppendNum(c.out, uint64(n))
				c.out = append(c.out, " EXPUNGE\r\n"...)
			}
		}
	}
	s.view.remove(s.gone)
	c.saved = c.saved.Subtract(s.gone)
	s.gone = nil
}

// deselect leaves the selected mailbox.
func (c *conn) deselect() {
	c.sel = nil
	c.saved = nil
}

// enableCondstore switches CONDSTORE on; inside a mailbox the client is told
// where its history starts (RFC 7162 section 3.1).
func (c *conn) enableCondstore() {
	if c.condstore {
		return
	}
	c.condstore = true
	if c.sel != nil {
		c.out = append(c.out, "* OK [HIGHESTMODSEQ "...)
		c.out = imap.AppendNum(c.out, max(c.sel.modseq, 1))
		c.out = append(c.out, "] CONDSTORE is on\r\n"...)
	}
}

// resolve gives the UIDs that a command means, within the view. bad is set when
// a sequence number is beyond the mailbox (RFC 9051 section 9, seq-number).
func (c *conn) resolve(set imap.NumSet, uid bool) (uids imap.Set, bad bool) {
	v := &c.sel.view
	switch {
	case set.Saved:
		return c.saved.Intersect(v.uids()), false
	case uid:
		return set.Resolve(v.last()).Intersect(v.uids()), false
	case set.Max() > v.len(), set.HasStar() && v.len() == 0:
		return nil, true
	}
	return v.toUIDs(set.Resolve(v.len())), false
}
