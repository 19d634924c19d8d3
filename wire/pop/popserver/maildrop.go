package popserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/wire/pop"
)

func count(n int) string {
	if n == 1 {
		return "1 message"
	}
	return strconv.Itoa(n) + " messages"
}

func octets(n int64) string { return strconv.FormatInt(n, 10) + " octets" }

// total counts what is not marked as deleted.
func (c *conn) total() (n int, size int64) {
	for i := range c.drop.Messages {
		if m := &c.drop.Messages[i]; !m.deleted {
			n++
			size += m.Size
		}
	}
	return n, size
}

// message gives the message of a number, or answers -ERR and gives nil.
func (c *conn) message(number int) *Message {
	if number < 1 || number > len(c.drop.Messages) {
		c.refuse(pop.CodeNone, "There is no message with this number")
		return nil
	}
	m := &c.drop.Messages[number-1]
	if m.deleted {
		c.refuse(pop.CodeNone, "This message is marked as deleted")
		return nil
	}
	return m
}

// stat is STAT (RFC 1939 section 5).
func (c *conn) stat(pop.Command) error {
	n, size := c.total()
	c.ok(fmt.Sprintf("%d %d", n, size))
	return nil
}

// list is LIST (RFC 1939 section 5) and UIDL (section 7).
func (c *conn) list(cmd pop.Command) error {
	row := func(b []byte, i int) []byte {
		m := &c.drop.Messages[i]
		b = strconv.AppendInt(b, int64(i+1), 10)
		b = append(b, ' ')
		if cmd.Name == "UIDL" {
			b = strconv.AppendUint(b, uint64(c.drop.Validity), 10)
			b = append(b, '.')
			return strconv.AppendUint(b, uint64(m.UID), 10)
		}
		return strconv.AppendInt(b, m.Size, 10)
	}
	if cmd.Message > 0 {
		if c.message(cmd.Message) != nil {
			c.ok(string(row(nil, cmd.Message-1)))
		}
		return nil
	}
	n, size := c.total()
	c.ok(count(n) + " (" + octets(size) + ")")
	for i := range c.drop.Messages {
		if c.drop.Messages[i].deleted {
			continue
		}
		c.out = append(row(c.out, i), "\r\n"...)
		if err := c.flushIfLarge(); err != nil {
			return err
		}
	}
	c.out = append(c.out, ".\r\n"...)
	return nil
}

// retr is RETR (RFC 1939 section 5) and TOP (section 7).
func (c *conn) retr(cmd pop.Command) error {
	m := c.message(cmd.Message)
	if m == nil {
		return nil
	}
	// Reading is bounded by the client's: each write has its deadline.
	ctx, cancel := context.WithCancel(c.s.ctx)
	defer cancel()
	body, err := c.sess.Body(ctx, m.UID)
	if fault.Is(err, fault.NotFound) {
		c.refuse(pop.CodeNone, "This message is gone: it was deleted elsewhere")
		return nil
	}
	if err != nil {
		c.fault(err)
		return nil
	}
	buf := c.s.bodies.Get().(*[]byte)
	defer c.s.bodies.Put(buf)
	n, err := io.ReadFull(body, *buf)
	if err != nil && !atEnd(err) {
		c.fault(err)
		return nil
	}
	if !c.utf8 && pop.NeedsUTF8((*buf)[:n]) {
		c.refuse(pop.CodeUTF8, "This message has a header in UTF-8: use UTF8 first")
		return nil
	}
	lines := pop.Everything
	if cmd.Name == "TOP" {
		lines = cmd.Lines
		c.ok("Top of message follows")
	} else {
		c.ok(octets(m.Size))
	}
	return c.send(body, *buf, n, err, lines)
}

func atEnd(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }

// send writes a message of which the first n octets are in buf and err is what
// ended reading them.
func (c *conn) send(body io.Reader, buf []byte, n int, err error, lines int) error {
	st := pop.NewStuffer(lines)
	for {
		var done bool
		c.out, done = st.Append(c.out, buf[:n])
		if e := c.flushIfLarge(); e != nil {
			return e
		}
		if done || atEnd(err) {
			c.out = st.End(c.out)
			return nil
		}
		if err != nil {
			// +OK has been said: only an answer that does not end tells the client
			// that what it has is not the message.
			c.s.cfg.Log.Error("pop message cut off", "account", c.account, "err", err)
			return errClose
		}
		n, err = io.ReadFull(body, buf)
	}
}

// dele is DELE (RFC 1939 section 5): a mark, until QUIT.
func (c *conn) dele(cmd pop.Command) error {
	if m := c.message(cmd.Message); m != nil {
		m.deleted = true
		c.ok("Marked as deleted")
	}
	return nil
}

// rset is RSET (RFC 1939 section 5).
func (c *conn) rset(pop.Command) error {
	for i := range c.drop.Messages {
		c.drop.Messages[i].deleted = false
	}
	n, size := c.total()
	c.ok("Maildrop has " + count(n) + " (" + octets(size) + ")")
	return nil
}

// quit is QUIT: in TRANSACTION state the only way into UPDATE (RFC 1939 section
// 6). The deletions are durable before it is answered.
func (c *conn) quit(pop.Command) error {
	var marked []uint32
	for i := range c.drop.Messages {
		if m := &c.drop.Messages[i]; m.deleted {
			marked = append(marked, m.UID)
		}
	}
	if len(marked) == 0 {
		c.ok("Goodbye")
		return errClose
	}
	ctx, cancel := c.context()
	defer cancel()
	if err := c.sess.Delete(ctx, marked); err != nil {
		c.s.cfg.Log.Warn("pop deletions failed", "account", c.account, "err", err)
		code, _ := replyFor(err)
		c.refuse(code, "Some deleted messages were not removed")
		return errClose
	}
	c.ok("Goodbye, " + count(len(marked)) + " deleted")
	return errClose
}
