package popserver

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync/atomic"
	"time"

	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/wire/pop"
)

// conn is one client, served by one goroutine.
type conn struct {
	s   *Server
	nc  net.Conn // TLS once it is negotiated
	raw net.Conn // as accepted
	br  *bufio.Reader
	out []byte
	err error // a failed write; ends the connection

	remoteKey, account string // guarded by Server.mu
	started            time.Time
	lastActive         atomic.Int64 // Unix seconds
	parked, evicted    atomic.Bool

	user string // of USER, until PASS
	utf8 bool
	sess Session
	drop Maildrop // as it was at login

	badInRow, authFailures int
}

// errClose ends a connection after what is in out has been sent.
var errClose = errors.New("popserver: close")

func newConn(s *Server, nc net.Conn) *conn {
	c := &conn{s: s, nc: nc, raw: nc, started: time.Now()}
	c.touch()
	return c
}

func (c *conn) touch() { c.lastActive.Store(time.Now().Unix()) }

// evict ends the connection at its next look around. Any goroutine may call it.
func (c *conn) evict() {
	c.evicted.Store(true)
	c.wake()
}

// wake makes a connection that waits for a command look around: its read fails.
func (c *conn) wake() {
	if c.parked.Load() {
		_ = c.raw.SetReadDeadline(time.Unix(1, 0))
	}
}

func (c *conn) ended() bool { return c.s.draining.Load() || c.evicted.Load() }

func (c *conn) run() {
	defer c.finish()
	if c.s.cfg.Implicit && c.startTLS() != nil {
		return
	}
	c.br = bufio.NewReaderSize(c.nc, readBuffer)
	// No "<" in it: that would offer APOP (RFC 1939 section 7).
	c.ok(c.s.cfg.Name + " POP3 ready")
	for {
		line, err := c.readLine(pop.MaxLine)
		switch {
		case errors.Is(err, pop.ErrTooLong):
			c.fault(fault.New(fault.Invalid, "popserver", "The line is too long"))
			err = c.bad()
		case err == nil:
			err = c.command(line)
		}
		if err != nil {
			return
		}
	}
}

// finish runs once. RFC 1939 section 3: whatever ends a session but QUIT deletes
// nothing and says nothing.
func (c *conn) finish() {
	_ = c.flush()
	if c.sess != nil {
		c.sess.Close()
	}
	// For TLS this sends close_notify, so that the client sees no truncation.
	_ = c.nc.SetWriteDeadline(time.Now().Add(lastWrite))
	c.nc.Close()
	c.s.forget(c)
}

// readLine writes what is gathered, unless the client has sent more already
// (RFC 2449 section 6.6), and reads one line. The deadline is that of the whole
// line: an octet now and then does not hold a connection.
func (c *conn) readLine(limit int) ([]byte, error) {
	if c.br.Buffered() == 0 || len(c.out) >= outBatch {
		if err := c.flush(); err != nil {
			return nil, err
		}
	}
	c.parked.Store(true)
	deadline := time.Now().Add(c.s.cfg.IdleTimeout)
	if c.sess == nil {
		deadline = c.started.Add(c.s.cfg.LoginTimeout)
	}
	_ = c.raw.SetReadDeadline(deadline)
	// wake may have come before the deadline above: look again.
	if c.ended() {
		return nil, errClose
	}
	line, err := pop.ReadLine(c.br, limit)
	c.parked.Store(false)
	c.touch()
	return line, err
}

func (c *conn) flush() error {
	if c.err != nil || len(c.out) == 0 {
		return c.err
	}
	_ = c.raw.SetWriteDeadline(time.Now().Add(c.s.cfg.WriteTimeout))
	_, c.err = c.nc.Write(c.out)
	if cap(c.out) > maxKeptBuffer {
		c.out = nil
	}
	c.out = c.out[:0]
	return c.err
}

// flushIfLarge keeps the memory of a long answer bounded.
func (c *conn) flushIfLarge() error {
	if len(c.out) < outBatch {
		return c.err
	}
	return c.flush()
}

func (c *conn) ok(text string) { c.out = pop.AppendOK(c.out, text, c.utf8) }

func (c *conn) refuse(code, text string) { c.out = pop.AppendErr(c.out, code, text, c.utf8) }

// fault answers a command by an error.
func (c *conn) fault(err error) {
	if k := fault.KindOf(err); k == fault.Internal || k == fault.Corrupt {
		c.s.cfg.Log.Error("pop command failed", "account", c.account, "err", err)
	}
	code, text := replyFor(err)
	c.refuse(code, text)
}

// bad counts commands that make no sense: whoever sends only those is no mail
// client.
func (c *conn) bad() error {
	c.badInRow++
	if (c.sess == nil && c.badInRow >= maxBadBeforeLogin) || c.badInRow >= maxBadCommands {
		return errClose
	}
	return nil
}

// context bounds one call of the Session.
func (c *conn) context() (context.Context, context.CancelFunc) {
	return context.WithTimeout(c.s.ctx, c.s.cfg.CommandTimeout)
}

// startTLS negotiates TLS on the raw connection.
func (c *conn) startTLS() error {
	tc := tls.Server(c.raw, c.s.cfg.TLS)
	ctx, cancel := context.WithTimeout(c.s.ctx, tlsHandshakeTimeout)
	defer cancel()
	_ = c.raw.SetDeadline(time.Now().Add(tlsHandshakeTimeout))
	if err := tc.HandshakeContext(ctx); err != nil {
		c.err = err
		return err
	}
	_ = c.raw.SetDeadline(time.Time{})
	c.nc = tc
	return nil
}

func (c *conn) tls() bool {
	_, ok := c.nc.(*tls.Conn)
	return ok
}

func (c *conn) info() ConnInfo {
	i := ConnInfo{Remote: c.raw.RemoteAddr(), Local: c.raw.LocalAddr()}
	if t, ok := c.nc.(*tls.Conn); ok {
		st := t.ConnectionState()
		i.TLS = &st
	}
	return i
}
