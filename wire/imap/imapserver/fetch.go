package imapserver

import (
	"context"
	"time"

	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/wire/imap"
)

// fetchPlan is what a FETCH asks for, worked out once for all its messages.
type fetchPlan struct {
	items   []imap.FetchItem
	uid     bool // UID must be in the response
	modseq  bool // MODSEQ must be in the response
	need    Need
	body    bool // the content is read
	setSeen bool
	since   uint64 // CHANGEDSINCE; 0: all
}

func (c *conn) planFetch(a *imap.Fetch) fetchPlan {
	p := fetchPlan{uid: a.UID}
	for _, it := range a.Items {
		switch it.Kind {
		case imap.FetchUID:
			p.uid = true
			continue
		case imap.FetchModSeq:
			p.modseq = true
			continue
		case imap.FetchEnvelope:
			p.need |= NeedEnvelope
		case imap.FetchBody, imap.FetchBodyStructure, imap.FetchBinarySize:
			p.need |= NeedIndex
		case imap.FetchSection, imap.FetchBinary, imap.FetchRFC822, imap.FetchRFC822Header, imap.FetchRFC822Text:
			p.need |= NeedIndex
			p.body = true
			p.setSeen = p.setSeen || !it.Peek
		}
		p.items = append(p.items, it)
	}
	if a.ChangedSince != nil {
		p.modseq, p.since = true, *a.ChangedSince
	}
	if p.modseq {
		c.enableCondstore() // RFC 7162 section 3.1
	}
	// RFC 7162 section 3.2.4: with QRESYNC every FETCH names the UID.
	p.uid = p.uid || c.qresync
	p.setSeen = p.setSeen && !c.sel.readOnly
	return p
}

// fetch is FETCH and UID FETCH (RFC 9051 section 6.4.5).
func (c *conn) fetch(ctx context.Context, cmd imap.Command) error {
	a := cmd.Args.(*imap.Fetch)
	if a.Vanished && !c.qresync {
		c.reply(cmd.Tag, "BAD", "", "ENABLE QRESYNC first") // RFC 7162 section 3.2.6
		return c.bad()
	}
	uids, bad := c.resolve(a.Set, a.UID)
	if bad {
		return c.badSequence(cmd)
	}
	p := c.planFetch(a)
	if a.Vanished {
		if err := c.fetchVanished(ctx, a); err != nil {
			return c.fail(cmd.Tag, err)
		}
	}
	if p.since > 0 && p.need != 0 {
		// Structures are costly to read: first see which messages are meant.
		var err error
		if uids, err = c.changedSince(ctx, uids, p.since); err != nil {
			return c.fail(cmd.Tag, err)
		}
	}
	var unseen imap.Set
	sent := 0
	err := c.sess.Messages(ctx, c.sel.box.ID, uids, p.need, func(m *Message) error {
		sent++
		if p.since > 0 && m.ModSeq <= p.since {
			return nil
		}
		seq := c.sel.view.seq(m.UID)
		if seq == 0 {
			return nil
		}
		if p.setSeen && m.Flags.System&imap.Seen == 0 {
			unseen.Add(m.UID)
		}
		if err := c.fetchOne(ctx, &p, seq, m); err != nil {
			return err
		}
		return c.flushIfLarge()
	})
	if c.err != nil {
		return c.err
	}
	if err != nil {
		return c.fetchFailed(cmd, err)
	}
	if len(unseen) > 0 {
		if err := c.markSeen(ctx, unseen); err != nil {
			return c.fail(cmd.Tag, err)
		}
	}
	code := ""
	if sent < uids.Len() {
		c.dirty.Store(true)
		if !a.UID {
			code = "EXPUNGEISSUED" // RFC 5530 section 3
		}
	}
	return c.done(ctx, cmd, code, "Fetched")
}

func (c *conn) changedSince(ctx context.Context, uids imap.Set, since uint64) (imap.Set, error) {
	var out imap.Set
	err := c.sess.Messages(ctx, c.sel.box.ID, uids, 0, func(m *Message) error {
		if m.ModSeq > since {
			out.Add(m.UID)
		}
		return nil
	})
	return out, err
}

func (c *conn) fetchFailed(cmd imap.Command, err error) error {
	if err == errUnknownCTE {
		c.reply(cmd.Tag, "NO", "UNKNOWN-CTE", "The part's encoding is not known") // RFC 3516 section 4.3
		return nil
	}
	return c.fail(cmd.Tag, err)
}

// fetchVanished answers the VANISHED modifier (RFC 7162 section 3.2.6).
func (c *conn) fetchVanished(ctx context.Context, a *imap.Fetch) error {
	known := a.Set.Resolve(c.sel.view.last())
	if a.Set.Saved {
		known = c.saved
	}
	ch, err := c.sess.Changes(ctx, c.sel.box.ID, *a.ChangedSince, known)
	if err != nil {
		return err
	}
	// What the client still counts is told by VANISHED without EARLIER.
	c.tellEarlier(ch.Vanished.Subtract(c.sel.view.uids()))
	return nil
}

// markSeen sets \Seen on messages whose text has been sent and tells the client.
func (c *conn) markSeen(ctx context.Context, uids imap.Set) error {
	r, err := c.sess.Store(ctx, c.sel.box.ID, StoreRequest{UIDs: uids, Mode: imap.StoreAdd, Flags: imap.Flags{System: imap.Seen}})
	if err != nil {
		return err
	}
	c.dirty.Store(true)
	for i := range r.Now {
		m := &r.Now[i]
		if seq := c.sel.view.seq(m.UID); seq != 0 {
			c.tellFlags(seq, m)
			c.sel.echo[m.UID] = m.ModSeq
			if err := c.flushIfLarge(); err != nil {
				return err
			}
		}
	}
	return nil
}

// fetchOne writes the FETCH response of one message.
func (c *conn) fetchOne(ctx context.Context, p *fetchPlan, seq uint32, m *Message) error {
	var body Body
	if p.body {
		var err error
		if body, err = c.sess.Body(ctx, c.sel.box.ID, m.UID); err != nil {
			if fault.Is(err, fault.NotFound) {
				return nil // expunged a moment ago
			}
			return err
		}
		defer body.Close()
	}
	start := len(c.out)
	c.out = append(c.out, "* "...)
	c.out = imap.AppendNum(c.out, uint64(seq))
	c.out = append(c.out, " FETCH ("...)
	open := len(c.out)
	if p.uid {
		c.out = append(c.out, "UID "...)
		c.out = imap.AppendNum(c.out, uint64(m.UID))
	}
	w := itemWriter{c: c, m: m, body: body}
	for i := range p.items {
		if i > 0 || len(c.out) > open {
			c.out = append(c.out, ' ')
		}
		if err := w.item(&p.items[i]); err != nil {
			if w.flushed {
				// Half a response is on its way: there is no telling the client but by closing.
				c.err = err
				return err
			}
			c.out = c.out[:start]
			return err
		}
	}
	if p.modseq {
		if i := len(c.out); i > 0 && c.out[i-1] == '(' && len(p.items) == 0 && !p.uid {
			c.out = appendModSeq(c.out, m.ModSeq)
			copy(c.out[i:], c.out[i+1:])
			c.out = c.out[:len(c.out)-1]
		} else {
			c.out = appendModSeq(c.out, m.ModSeq)
		}
	}
	c.out = append(c.out, ")\r\n"...)
	return nil
}

// simple writes the items that need no content.
func (w *itemWriter) simple(it *imap.FetchItem) bool {
	c, m := w.c, w.m
	switch it.Kind {
	case imap.FetchFlags:
		c.out = append(c.out, "FLAGS "...)
		c.out = imap.AppendFlags(c.out, m.Flags)
	case imap.FetchInternalDate:
		c.out = append(c.out, "INTERNALDATE "...)
		c.out = imap.AppendDateTime(c.out, m.Received.In(time.UTC))
	case imap.FetchSize:
		c.out = append(c.out, "RFC822.SIZE "...)
		c.out = imap.AppendNum(c.out, uint64(max(m.Size, 0)))
	case imap.FetchEmailID:
		c.out = append(c.out, "EMAILID ("+m.EmailID+")"...)
	case imap.FetchThreadID:
		if m.ThreadID == "" {
			c.out = append(c.out, "THREADID NIL"...)
		} else {
			c.out = append(c.out, "THREADID ("+m.ThreadID+")"...)
		}
	case imap.FetchEnvelope:
		c.out = append(c.out, "ENVELOPE "...)
		c.out = imap.AppendEnvelope(c.out, m.Envelope, c.utf8)
	case imap.FetchBody:
		c.out = append(c.out, "BODY "...)
		c.out = imap.AppendStructure(c.out, w.root(), false, c.utf8)
	case imap.FetchBodyStructure:
		c.out = append(c.out, "BODYSTRUCTURE "...)
		c.out = imap.AppendStructure(c.out, w.root(), true, c.utf8)
	default:
		return false
	}
	return true
}
