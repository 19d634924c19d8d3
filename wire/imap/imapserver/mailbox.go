package imapserver

import (
	"context"
	"strings"

	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/wire/imap"
)

// uses are the special uses that CREATE may ask for (RFC 6154 section 2), by
// their lower-case form.
var uses = map[string]string{
	`\archive`: `\Archive`, `\drafts`: `\Drafts`, `\junk`: `\Junk`, `\sent`: `\Sent`, `\trash`: `\Trash`,
}

// create is CREATE (RFC 9051 section 6.3.4, RFC 6154 section 3).
func (c *conn) create(ctx context.Context, cmd imap.Command) error {
	a := cmd.Args.(*imap.Create)
	use := ""
	if a.Use != "" {
		var ok bool
		if use, ok = uses[strings.ToLower(a.Use)]; !ok {
			c.reply(cmd.Tag, "NO", "USEATTR", "This special use is not offered")
			return nil
		}
	}
	if a.Name == "INBOX" {
		c.reply(cmd.Tag, "NO", "ALREADYEXISTS", "INBOX exists")
		return nil
	}
	m, err := c.sess.Create(ctx, a.Name, use)
	if err != nil {
		return c.fail(cmd.Tag, err)
	}
	return c.done(ctx, cmd, "MAILBOXID ("+m.ID+")", "Mailbox is made")
}

// deleteBox is DELETE (RFC 9051 section 6.3.5).
func (c *conn) deleteBox(ctx context.Context, cmd imap.Command) error {
	a := cmd.Args.(*imap.Mailbox)
	if a.Name == "INBOX" {
		c.reply(cmd.Tag, "NO", "CANNOT", "INBOX cannot be deleted")
		return nil
	}
	var own bool
	if c.sel != nil {
		m, err := c.sess.Status(ctx, a.Name)
		own = err == nil && m.ID == c.sel.box.ID
	}
	if err := c.sess.Delete(ctx, a.Name); err != nil {
		return c.fail(cmd.Tag, err)
	}
	if own {
		c.deselect()
		c.untagged("OK [CLOSED] The selected mailbox is deleted")
	}
	return c.done(ctx, cmd, "", "Mailbox is deleted")
}

// rename is RENAME (RFC 9051 section 6.3.6).
func (c *conn) rename(ctx context.Context, cmd imap.Command) error {
	a := cmd.Args.(*imap.Rename)
	if a.To == "INBOX" {
		c.reply(cmd.Tag, "NO", "ALREADYEXISTS", "INBOX exists")
		return nil
	}
	if err := c.sess.Rename(ctx, a.From, a.To); err != nil {
		return c.fail(cmd.Tag, err)
	}
	c.dirty.Store(true) // RENAME of INBOX moves its messages
	return c.done(ctx, cmd, "", "Mailbox is renamed")
}

// subscribe is SUBSCRIBE and UNSUBSCRIBE (RFC 9051 sections 6.3.7 and 6.3.8).
func (c *conn) subscribe(ctx context.Context, cmd imap.Command) error {
	on := cmd.Name == "SUBSCRIBE"
	err := c.sess.Subscribe(ctx, cmd.Args.(*imap.Mailbox).Name, on)
	if err != nil && (on || !fault.Is(err, fault.NotFound)) {
		return c.fail(cmd.Tag, err)
	}
	return c.done(ctx, cmd, "", "Done")
}

// copy is COPY and MOVE (RFC 9051 sections 6.4.7 and 6.4.8).
func (c *conn) copy(ctx context.Context, cmd imap.Command) error {
	a := cmd.Args.(*imap.Copy)
	move := cmd.Name == "MOVE"
	if move && c.sel.readOnly {
		c.reply(cmd.Tag, "NO", "READ-ONLY", "Mailbox is open for reading only")
		return nil
	}
	uids, bad := c.resolve(a.Set, a.UID)
	if bad {
		return c.badSequence(cmd)
	}
	if len(uids) == 0 {
		return c.done(ctx, cmd, "", "No messages")
	}
	r, err := c.sess.Copy(ctx, c.sel.box.ID, uids, a.Dest, move)
	if err != nil {
		if fault.Is(err, fault.NotFound) {
			// RFC 9051 section 6.4.7: tells the client to CREATE and try again.
			c.reply(cmd.Tag, "NO", "TRYCREATE", "There is no such mailbox")
			return nil
		}
		return c.fail(cmd.Tag, err)
	}
	c.dirty.Store(true)
	if len(r.From) == 0 {
		return c.done(ctx, cmd, "EXPUNGEISSUED", "The messages are no longer there")
	}
	code := copyUID(r)
	if !move {
		return c.done(ctx, cmd, code, "Copied")
	}
	// RFC 6851 section 4.3: COPYUID stands before the expunges, untagged.
	c.untagged("OK [" + code + "] Moved")
	highest, err := c.announceExpunged(ctx)
	if err != nil {
		return err
	}
	c.reply(cmd.Tag, "OK", highest, "Moved")
	return c.err
}

// copyUID writes COPYUID; pairs stand in the order of the source UIDs (RFC 4315
// section 3).
func copyUID(r CopyResult) string {
	b := imap.AppendNum([]byte("COPYUID "), uint64(r.UIDValidity))
	b = append(b, ' ')
	b = appendOrdered(b, r.From)
	b = append(b, ' ')
	return string(appendOrdered(b, r.To))
}

// appendOrdered writes numbers in their order, joining only rising neighbours.
func appendOrdered(b []byte, nums []uint32) []byte {
	for i := 0; i < len(nums); {
		j := i
		for j+1 < len(nums) && nums[j+1] == nums[j]+1 {
			j++
		}
		if i > 0 {
			b = append(b, ',')
		}
		b = imap.Set{{Start: nums[i], Stop: nums[j]}}.Append(b)
		i = j + 1
	}
	return b
}

func (c *conn) badSequence(cmd imap.Command) error {
	c.reply(cmd.Tag, "BAD", "", "A message number is beyond the mailbox")
	return c.bad()
}

// announceExpunged tells everything that is gone and gives the HIGHESTMODSEQ
// code for the tagged reply (RFC 7162 section 3.2.7), "" without QRESYNC.
func (c *conn) announceExpunged(ctx context.Context) (code string, err error) {
	c.dirty.Store(true)
	had := len(c.sel.gone)
	if err := c.sync(ctx); err != nil {
		return "", c.lost(err)
	}
	told := len(c.sel.gone) > 0 || had > 0
	c.tellExpunged(true)
	if !told || !c.condstore {
		return "", nil
	}
	return string(imap.AppendNum([]byte("HIGHESTMODSEQ "), c.sel.modseq)), nil
}

// expunge is EXPUNGE and UID EXPUNGE (RFC 9051 sections 6.4.3 and 6.4.9).
func (c *conn) expunge(ctx context.Context, cmd imap.Command) error {
	a := cmd.Args.(*imap.Expunge)
	if c.sel.readOnly {
		c.reply(cmd.Tag, "NO", "READ-ONLY", "Mailbox is open for reading only")
		return nil
	}
	uids := c.sel.view.uids()
	if a.UID {
		uids, _ = c.resolve(a.Set, true)
	}
	if err := c.sess.Expunge(ctx, c.sel.box.ID, uids); err != nil {
		return c.fail(cmd.Tag, err)
	}
	code, err := c.announceExpunged(ctx)
	if err != nil {
		return err
	}
	c.reply(cmd.Tag, "OK", code, "Expunged")
	return c.err
}
