package imapserver

import (
	"context"

	"github.com/mohar-mail/mohar/wire/imap"
)

// store is STORE and UID STORE (RFC 9051 section 6.4.6, RFC 7162 section 3.1.3).
func (c *conn) store(ctx context.Context, cmd imap.Command) error {
	a := cmd.Args.(*imap.Store)
	if c.sel.readOnly {
		c.reply(cmd.Tag, "NO", "READ-ONLY", "Mailbox is open for reading only")
		return nil
	}
	uids, bad := c.resolve(a.Set, a.UID)
	if bad {
		return c.badSequence(cmd)
	}
	if a.UnchangedSince != nil {
		c.enableCondstore()
	}
	if len(uids) == 0 {
		return c.done(ctx, cmd, "", "No messages")
	}
	r, err := c.sess.Store(ctx, c.sel.box.ID, StoreRequest{UIDs: uids, Mode: a.Mode, Flags: a.Flags, UnchangedSince: a.UnchangedSince})
	if err != nil {
		return c.fail(cmd.Tag, err)
	}
	c.dirty.Store(true)
	for i := range r.Now {
		m := &r.Now[i]
		seq := c.sel.view.seq(m.UID)
		if seq == 0 {
			continue
		}
		c.storeLine(seq, m, a)
		c.sel.echo[m.UID] = m.ModSeq
		if err := c.flushIfLarge(); err != nil {
			return err
		}
	}
	code := ""
	switch {
	case len(r.Modified) > 0:
		code = "MODIFIED " + c.storeNames(r.Modified, a.UID).String()
		// What others did to those messages is told by the announcement below.
	case len(r.Now) < uids.Len() && !a.UID:
		code = "EXPUNGEISSUED"
	}
	return c.done(ctx, cmd, code, "Stored")
}

func (c *conn) storeNames(uids imap.Set, uid bool) imap.Set {
	if uid {
		return uids
	}
	return c.sel.view.toSeqs(uids)
}

// storeLine writes the FETCH response of a STORE. With .SILENT it is left out,
// unless CONDSTORE asks for the new mod-sequence (RFC 7162 section 3.1.3).
func (c *conn) storeLine(seq uint32, m *Message, a *imap.Store) {
	if a.Silent && !c.condstore {
		return
	}
	b := append(c.out, "* "...)
	b = imap.AppendNum(b, uint64(seq))
	b = append(b, " FETCH (UID "...)
	b = imap.AppendNum(b, uint64(m.UID))
	if !a.Silent {
		b = append(b, " FLAGS "...)
		b = imap.AppendFlags(b, m.Flags)
	}
	if c.condstore {
		b = appendModSeq(b, m.ModSeq)
	}
	c.out = append(b, ")\r\n"...)
}
