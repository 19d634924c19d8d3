package imapserver

import (
	"context"

	"github.com/mohar-mail/mohar/wire/imap"
)

// status is STATUS (RFC 9051 section 6.3.11).
func (c *conn) status(ctx context.Context, cmd imap.Command) error {
	a := cmd.Args.(*imap.Status)
	m, err := c.sess.Status(ctx, a.Name)
	if err != nil {
		return c.fail(cmd.Tag, err)
	}
	c.statusLine(m, a.Items)
	return c.done(ctx, cmd, "", "Done")
}

func (c *conn) statusLine(m Mailbox, items []string) {
	b := append(c.out, "* STATUS "...)
	b = imap.AppendMailbox(b, m.Name, c.utf8)
	b = append(b, " ("...)
	condstore := false
	for i, it := range items {
		if i > 0 {
			b = append(b, ' ')
		}
		b = append(b, it...)
		b = append(b, ' ')
		switch it {
		case "MESSAGES":
			b = imap.AppendNum(b, uint64(m.Messages))
		case "RECENT":
			b = append(b, '0')
		case "UIDNEXT":
			b = imap.AppendNum(b, uint64(m.UIDNext))
		case "UIDVALIDITY":
			b = imap.AppendNum(b, uint64(m.UIDValidity))
		case "UNSEEN":
			b = imap.AppendNum(b, uint64(m.Unseen))
		case "DELETED":
			b = imap.AppendNum(b, uint64(m.Deleted))
		case "SIZE":
			b = imap.AppendNum(b, uint64(max(m.Size, 0)))
		case "HIGHESTMODSEQ":
			condstore = true
			// Never 0: that would say that mod-sequences are not kept (RFC 7162 section 3.1.7).
			b = imap.AppendNum(b, max(m.HighestModSeq, 1))
		case "MAILBOXID":
			b = append(b, "("+m.ID+")"...)
		case "APPENDLIMIT":
			b = imap.AppendNum(b, uint64(c.s.cfg.MaxMessage))
		}
	}
	c.out = append(b, ")\r\n"...)
	if condstore {
		c.enableCondstore() // RFC 7162 section 3.1
	}
}

// quota is GETQUOTA (RFC 9208 section 4.1.1). There is one root, "".
func (c *conn) quota(ctx context.Context, cmd imap.Command) error {
	if cmd.Args.(*imap.Quota).Root != "" {
		c.reply(cmd.Tag, "NO", "NONEXISTENT", "There is no such quota root")
		return nil
	}
	if err := c.tellQuota(ctx); err != nil {
		return c.fail(cmd.Tag, err)
	}
	return c.done(ctx, cmd, "", "Done")
}

// quotaRoot is GETQUOTAROOT (RFC 9208 section 4.1.2).
func (c *conn) quotaRoot(ctx context.Context, cmd imap.Command) error {
	m, err := c.sess.Status(ctx, cmd.Args.(*imap.Mailbox).Name)
	if err != nil {
		return c.fail(cmd.Tag, err)
	}
	c.out = append(c.out, "* QUOTAROOT "...)
	c.out = imap.AppendMailbox(c.out, m.Name, c.utf8)
	c.out = append(c.out, " \"\"\r\n"...)
	if err := c.tellQuota(ctx); err != nil {
		return c.fail(cmd.Tag, err)
	}
	return c.done(ctx, cmd, "", "Done")
}

// tellQuota writes STORAGE in units of 1024 octets (RFC 9208 section 5.1),
// nothing where there is no limit.
func (c *conn) tellQuota(ctx context.Context) error {
	q, err := c.sess.Quota(ctx)
	if err != nil {
		return err
	}
	b := append(c.out, `* QUOTA "" (`...)
	if q.Limit > 0 {
		b = append(b, "STORAGE "...)
		b = imap.AppendNum(b, uint64(max(q.Used, 0)+1023)/1024)
		b = append(b, ' ')
		b = imap.AppendNum(b, uint64(q.Limit)/1024)
	}
	c.out = append(b, ")\r\n"...)
	return nil
}
