package imapserver

import (
	"context"

	"github.com/mohar-mail/mohar/wire/imap"
)

// search is SEARCH and UID SEARCH (RFC 9051 section 6.4.4; RFC 4731, 5182, 7162).
func (c *conn) search(ctx context.Context, cmd imap.Command) error {
	a := cmd.Args.(*imap.Search)
	m, bad := c.newMatcher(ctx, &a.Key)
	if bad {
		return c.badSequence(cmd)
	}
	if m.modseq {
		c.enableCondstore()
	}
	var found imap.Set
	var highest uint64
	note := func(uid uint32, modseq uint64) {
		found.Add(uid)
		highest = max(highest, modseq)
	}
	var err error
	if m.need == 0 && m.trivial() {
		// UIDs and numbers alone: the view knows the answer.
		found = m.candidates
	} else {
		err = c.sess.Messages(ctx, c.sel.box.ID, m.candidates, m.need, func(msg *Message) error {
			ok, err := m.matches(msg)
			if ok && err == nil {
				note(msg.UID, msg.ModSeq)
			}
			return err
		})
	}
	if a.Return.Save {
		c.saved = nil // RFC 5182 section 2.1: a failed SEARCH SAVE empties "$"
	}
	if err != nil {
		return c.fail(cmd.Tag, err)
	}
	if !m.modseq {
		highest = 0
	}
	if a.Return.Save {
		c.saved = savedOf(found, a.Return)
	}
	c.searchResult(cmd, a, found, highest)
	// RFC 7162 section 3.2.10: no VANISHED when the criteria held sequence numbers.
	if err := c.announce(ctx, cmd.UID && !m.sequences); err != nil {
		return err
	}
	c.reply(cmd.Tag, "OK", "", "Searched")
	return c.err
}

// savedOf is what "$" becomes: with MIN or MAX and without ALL or COUNT only
// those (RFC 5182 section 2.4).
func savedOf(found imap.Set, r imap.SearchReturn) imap.Set {
	if len(found) == 0 || r.All || r.Count || (!r.Min && !r.Max) {
		return found
	}
	var s imap.Set
	if r.Min {
		s.Add(found[0].Start)
	}
	if r.Max {
		s.Add(found[len(found)-1].Stop)
	}
	return s
}

// searchResult writes SEARCH or ESEARCH. With IMAP4rev2 it is ESEARCH always
// (RFC 9051 section 6.4.4).
func (c *conn) searchResult(cmd imap.Command, a *imap.Search, uids imap.Set, modseq uint64) {
	set := uids
	if !a.UID {
		set = c.sel.view.toSeqs(uids)
	}
	if !a.Return.Extended && !c.rev2 {
		c.out = append(c.out, "* SEARCH"...)
		set.Each(func(n uint32) bool {
			c.out = imap.AppendNum(append(c.out, ' '), uint64(n))
			return true
		})
		if modseq > 0 && len(set) > 0 {
			c.out = append(c.out, " (MODSEQ "...)
			c.out = append(imap.AppendNum(c.out, modseq), ')')
		}
		c.out = append(c.out, "\r\n"...)
		return
	}
	r := a.Return
	if !r.Extended {
		r.All = true
	}
	if r.Save && !r.Min && !r.Max && !r.All && !r.Count {
		return // RFC 5182 section 2.4: SAVE alone returns nothing
	}
	b := append(c.out, "* ESEARCH (TAG "...)
	b = imap.AppendString(b, cmd.Tag, false)
	b = append(b, ')')
	if a.UID {
		b = append(b, " UID"...)
	}
	if len(set) > 0 {
		if r.Min {
			b = imap.AppendNum(append(b, " MIN "...), uint64(set[0].Start))
		}
		if r.Max {
			b = imap.AppendNum(append(b, " MAX "...), uint64(set[len(set)-1].Stop))
		}
		if r.All {
			b = set.Append(append(b, " ALL "...))
		}
	}
	if r.Count {
		b = imap.AppendNum(append(b, " COUNT "...), uint64(set.Len()))
	}
	if modseq > 0 && len(set) > 0 {
		b = imap.AppendNum(append(b, " MODSEQ "...), modseq)
	}
	c.out = append(b, "\r\n"...)
}
