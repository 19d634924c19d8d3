package smtpserver

import (
	"bytes"
	"errors"
	"net"
	"time"

	"github.com/mohar-mail/mohar/wire/smtp"
)

// The read buffers, in octets: a small one while a connection waits for
// commands, so that idle ones cost little, and a big pooled one while content or
// a long line comes in.
const (
	smallBuffer = 512
	bigBuffer   = 32 << 10
	// flushAt bounds the replies held back for a pipelining client.
	flushAt = 4 << 10
	// maxSkip bounds what is thrown away of a faulty command line.
	maxSkip = 64 << 10
)

// Errors of readLine that are answered with 500; the connection goes on at the
// next true CRLF.
var (
	errLineEnd  = errors.New("bare CR, LF or NUL in a command")
	errLineLong = errors.New("command line too long")
	errFlood    = errors.New("endless command line")
)

// wire is a connection's buffers. Not safe for concurrent use.
type wire struct {
	nc    net.Conn
	srv   *Server
	small []byte
	big   *[]byte // from the pool, or nil
	buf   []byte  // small or big
	r, w  int     // unread octets are buf[r:w]
	out   []byte  // replies not yet written
	// skipping means that a faulty command line was answered and the rest of
	// it, up to a true CRLF, is still to be thrown away. Taking that rest for a
	// command would let whoever controls half a line forge a whole one.
	skipping bool
	got      int64 // octets read
}

func (c *wire) grow() {
	if c.big != nil {
		return
	}
	c.big = c.srv.pool.Get().(*[]byte)
	c.w = copy(*c.big, c.buf[c.r:c.w])
	c.r, c.buf = 0, *c.big
}

// shrink gives the big buffer back when nothing is left in it.
func (c *wire) shrink() {
	if c.big == nil || c.r != c.w {
		return
	}
	c.srv.pool.Put(c.big)
	c.big, c.buf, c.r, c.w = nil, c.small, 0, 0
}

// release gives the big buffer back for good.
func (c *wire) release() {
	c.r, c.w = 0, 0
	c.shrink()
}

// discard forgets what was read and not yet used.
func (c *wire) discard() { c.r, c.w = 0, 0 }

// fill reads more. Replies held back go out first: RFC 2920 section 3.2 (7).
func (c *wire) fill() error {
	if err := c.flush(); err != nil {
		return err
	}
	switch {
	case c.r == c.w:
		c.r, c.w = 0, 0
	case c.w == len(c.buf) && c.r > 0:
		c.w = copy(c.buf, c.buf[c.r:c.w])
		c.r = 0
	case c.w == len(c.buf):
		c.grow()
	}
	n, err := c.nc.Read(c.buf[c.w:])
	c.w += n
	c.got += int64(n)
	if n > 0 {
		return nil
	}
	return err
}

func (c *wire) flush() error {
	if len(c.out) == 0 {
		return nil
	}
	_ = c.nc.SetWriteDeadline(c.srv.cfg.Clock.Now().Add(c.srv.cfg.Timeouts.Write))
	_, err := c.nc.Write(c.out)
	c.out = c.out[:0]
	return err
}

// replier is a reply that renders itself.
type replier interface{ Append([]byte) []byte }

// put queues a reply; fill sends it when the input is used up.
func (c *wire) put(r replier) error {
	c.out = r.Append(c.out)
	if len(c.out) >= flushAt {
		return c.flush()
	}
	return nil
}

// readLine gives the next command line without CRLF, never nil, valid until the
// next read. Limit counts the CRLF; fill reads more.
func (c *wire) readLine(limit int, fill func() error) ([]byte, error) {
	if err := c.skip(fill); err != nil {
		return nil, err
	}
	for from := 0; ; {
		b := c.buf[c.r:c.w]
		if i := bytes.IndexByte(b[from:], '\n'); i >= 0 {
			end := from + i + 1
			if end == 1 || b[end-2] != '\r' {
				c.skipping = true
				return nil, errLineEnd
			}
			c.r += end
			line := b[:end-2]
			if len(line)+2 > limit {
				return nil, errLineLong
			}
			if bytes.IndexByte(line, '\r') >= 0 || bytes.IndexByte(line, 0) >= 0 {
				return nil, errLineEnd
			}
			return line, nil
		}
		if len(b) >= limit {
			c.skipping = true
			return nil, errLineLong
		}
		from = len(b)
		if err := fill(); err != nil {
			return nil, err
		}
	}
}

func (c *wire) skip(fill func() error) error {
	for n := 0; c.skipping; {
		b := c.buf[c.r:c.w]
		if i := bytes.Index(b, []byte("\r\n")); i >= 0 {
			c.r += i + 2
			c.skipping = false
			return nil
		}
		keep := 0
		if len(b) > 0 && b[len(b)-1] == '\r' {
			keep = 1
		}
		n += len(b) - keep
		c.r = c.w - keep
		if n > maxSkip {
			return errFlood
		}
		if err := fill(); err != nil {
			return err
		}
	}
	return nil
}

// setRead sets the time at which reading gives up.
func (c *wire) setRead(t time.Time) { _ = c.nc.SetReadDeadline(t) }

var _ replier = (*smtp.Reply)(nil)
