package imapserver

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/wire/imap"
)

// conn is one client. Its goroutine holds mu but for the time in which it waits
// for the client to say something; a pusher takes mu to write during IDLE.
type conn struct {
	s   *Server
	nc  net.Conn // TLS once it is negotiated
	raw net.Conn // as accepted

	remoteKey, account string // guarded by Server.mu
	started            time.Time

	// first is the octet by which a parked connection wakes: while nothing comes,
	// no buffer is held.
	first    [1]byte
	hasFirst bool
	br       *bufio.Reader
	cmdBuf   []byte

	mu  sync.Mutex
	out []byte
	err error // a failed write; ends the connection

	idling     atomic.Bool
	queued     atomic.Bool // in the push queue
	dirty      atomic.Bool // the account may have changed
	evicted    atomic.Bool
	parked     atomic.Bool
	lastActive atomic.Int64 // Unix seconds

	sess  Session
	stop  func() // of Watch
	sel   *selected
	saved imap.Set // "$", as UIDs (RFC 5182)

	utf8, rev2, condstore, qresync bool // what ENABLE and enabling commands switched on
	badInRow, authFailures         int
	bye                            bool // BYE has been said
}

// selected is the selected mailbox.
type selected struct {
	box      Mailbox // as it was at SELECT; only identity and UIDVALIDITY are read later
	readOnly bool
	view     view
	gone     imap.Set          // vanished, not yet announced: part of the view still
	modseq   uint64            // HIGHESTMODSEQ as the client may know it
	state    uint64            // everything up to here has been announced or is in gone
	synced   time.Time         // when we last looked
	echo     map[uint32]uint64 // our own STOREs, already told to the client: UID to modseq
}

func newConn(s *Server, nc net.Conn) *conn {
	c := &conn{s: s, nc: nc, raw: nc, started: time.Now()}
	c.touch()
	return c
}

func (c *conn) touch() { c.lastActive.Store(time.Now().Unix()) }

// wake makes a parked connection look around: its read fails at once.
func (c *conn) wake() {
	if c.parked.Load() {
		_ = c.raw.SetReadDeadline(time.Unix(1, 0))
	}
}

// errClose ends a connection after what is in out has been sent.
var errClose = errors.New("imapserver: close")

func (c *conn) run() {
	c.mu.Lock()
	defer c.finish()
	if c.s.cfg.Implicit {
		if c.startTLS() != nil {
			return
		}
	}
	c.greet()
	for {
		if err := c.flushIfIdle(); err != nil {
			return
		}
		if err := c.await(); err != nil {
			c.sayBye(err)
			return
		}
		if err := c.command(); err != nil {
			c.sayBye(err)
			return
		}
	}
}

// finish runs once, with mu held.
func (c *conn) finish() {
	if c.err == nil {
		_ = c.flush()
	}
	c.idling.Store(false)
	c.deselect()
	if c.stop != nil {
		c.stop()
	}
	if c.sess != nil {
		c.sess.Close()
	}
	c.s.pools.putReader(c.br)
	c.s.pools.putBuf(c.out)
	c.s.pools.putBuf(c.cmdBuf)
	c.br, c.out, c.cmdBuf = nil, nil, nil
	if c.err == nil {
		c.err = net.ErrClosed
	}
	c.mu.Unlock()
	// For TLS this sends close_notify, without which mbsync reports an error.
	_ = c.nc.SetWriteDeadline(time.Now().Add(time.Second))
	c.nc.Close()
	c.s.forget(c)
}

func (c *conn) sayBye(err error) {
	if c.bye || c.err != nil {
		return
	}
	switch {
	case errors.Is(err, errClose), errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed):
		return
	case c.evicted.Load():
		c.untagged("BYE [UNAVAILABLE] Another connection took this one's place, or access has ended")
	case c.s.draining.Load():
		c.untagged("BYE [UNAVAILABLE] Server is shutting down")
	case errors.Is(err, imap.ErrFlood):
		c.untagged("BYE Command is too long")
	case isTimeout(err):
		c.untagged("BYE Autologout: no command for too long")
	}
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

// Read feeds the bufio.Reader: first the octet that woke the connection. Each
// read inside a command has its own deadline.
func (c *conn) Read(p []byte) (int, error) {
	if c.hasFirst && len(p) > 0 {
		p[0] = c.first[0]
		c.hasFirst = false
		return 1, nil
	}
	if c.s.ctx.Err() != nil {
		return 0, net.ErrClosed
	}
	d := time.Now().Add(c.s.cfg.CommandTimeout)
	if c.sess == nil {
		if l := c.started.Add(c.s.cfg.LoginTimeout); l.Before(d) {
			d = l
		}
	}
	_ = c.raw.SetReadDeadline(d)
	return c.nc.Read(p)
}

// buffered says whether the client has sent more than we have read.
func (c *conn) buffered() bool { return c.hasFirst || (c.br != nil && c.br.Buffered() > 0) }

// await waits for the next command. While nothing comes the buffers are given
// back: thousands of silent sessions cost little more than their sockets.
func (c *conn) await() error {
	if c.s.draining.Load() || c.evicted.Load() {
		return errDrained
	}
	if c.buffered() {
		return nil
	}
	c.s.pools.putReader(c.br)
	c.s.pools.putBuf(c.cmdBuf)
	c.br, c.cmdBuf = nil, nil
	if len(c.out) == 0 {
		c.s.pools.putBuf(c.out)
		c.out = nil
	}
	limit := c.s.cfg.IdleTimeout
	if c.sess == nil {
		limit = time.Until(c.started.Add(c.s.cfg.LoginTimeout))
	}
	c.parked.Store(true)
	_ = c.raw.SetReadDeadline(time.Now().Add(limit))
	// wake may have come before the deadline above: look again.
	if c.s.draining.Load() || c.evicted.Load() {
		c.parked.Store(false)
		return errDrained
	}
	c.mu.Unlock()
	n, err := c.nc.Read(c.first[:])
	c.mu.Lock()
	c.parked.Store(false)
	c.touch()
	if n == 1 {
		c.hasFirst = true
		return nil
	}
	if err == nil {
		err = io.EOF
	}
	return err
}

var errDrained = errors.New("imapserver: drained or evicted")

// reader gives the buffered reader, taking one from the pool when needed.
func (c *conn) reader() *bufio.Reader {
	if c.br == nil {
		c.br = c.s.pools.reader(c)
	}
	return c.br
}

// untagged writes one untagged line.
func (c *conn) untagged(line string) {
	c.out = append(c.out, "* "...)
	c.out = append(c.out, line...)
	c.out = append(c.out, "\r\n"...)
	if len(line) > 3 && line[:3] == "BYE" {
		c.bye = true
	}
}

// reply writes a tagged answer; text may start with a response code.
func (c *conn) reply(tag, status, code, text string) {
	if tag == "" {
		tag = "*"
	}
	c.out = append(c.out, tag...)
	c.out = append(c.out, ' ')
	c.out = append(c.out, status...)
	c.out = append(c.out, ' ')
	if code != "" {
		c.out = append(c.out, '[')
		c.out = append(c.out, code...)
		c.out = append(c.out, "] "...)
	}
	c.out = imap.AppendText(c.out, text, c.utf8)
	c.out = append(c.out, "\r\n"...)
}

// flushIfIdle writes what is gathered, unless the client has sent more commands
// whose answers can go in the same write.
func (c *conn) flushIfIdle() error {
	if c.buffered() && len(c.out) < outBatch {
		return nil
	}
	return c.flush()
}

// flushIfLarge keeps the memory of a long answer bounded.
func (c *conn) flushIfLarge() error {
	if len(c.out) < outBatch {
		return c.err
	}
	return c.flush()
}

func (c *conn) flush() error { return c.flushWithin(c.s.cfg.WriteTimeout) }

func (c *conn) flushWithin(d time.Duration) error {
	if c.err != nil {
		return c.err
	}
	if len(c.out) == 0 {
		return nil
	}
	_ = c.raw.SetWriteDeadline(time.Now().Add(d))
	_, c.err = c.nc.Write(c.out)
	if cap(c.out) > maxKeptBuffer {
		c.out = nil
	} else {
		c.out = c.out[:0]
	}
	return c.err
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

// command reads one command and answers it.
func (c *conn) command() error {
	r := imap.CommandReader{R: c.reader(), UTF8: c.utf8 || c.rev2, Limits: imap.Limits{Command: c.s.cfg.MaxCommand, Discard: c.s.cfg.MaxMessage * 2}}
	if c.sess == nil {
		r.Limits = imap.Limits{Command: maxCommandBeforeLogin, Discard: maxDiscardBeforeLogin}
	}
	r.Continue = func() error {
		c.out = append(c.out, "+ Ready for literal data\r\n"...)
		return c.flush()
	}
	if c.cmdBuf == nil {
		c.cmdBuf = c.s.pools.buf()
	}
	line, lit, err := r.Read(c.cmdBuf[:0])
	c.cmdBuf = line
	if cap(line) > maxKeptBuffer {
		c.cmdBuf = nil
	}
	var le *imap.LimitError
	if errors.As(err, &le) {
		c.reply(le.Tag, "BAD", "", le.Error())
		return c.bad()
	}
	if err != nil {
		return err
	}
	p := imap.NewParser(line)
	p.UTF8 = r.UTF8
	cmd, err := imap.ParseCommand(p)
	if err != nil {
		return c.syntax(cmd, err)
	}
	if lit != nil {
		return c.appendCommand(&r, cmd, lit)
	}
	if cmd.Name == "APPEND" {
		return c.syntax(cmd, &imap.SyntaxError{What: "message literal expected"})
	}
	return c.dispatch(cmd)
}

func (c *conn) syntax(cmd imap.Command, err error) error {
	var ce *imap.CharsetError
	if errors.As(err, &ce) {
		c.reply(cmd.Tag, "NO", "BADCHARSET (UTF-8 US-ASCII)", ce.Error())
		return nil
	}
	c.reply(cmd.Tag, "BAD", "", err.Error())
	return c.bad()
}

// bad counts commands that were not understood: whoever sends only those is no
// mail client.
func (c *conn) bad() error {
	c.badInRow++
	if (c.sess == nil && c.badInRow >= maxBadBeforeLogin) || c.badInRow >= maxBadCommands {
		c.untagged("BYE Too many bad commands")
		return errClose
	}
	return nil
}

// fail answers a command by an error of the Session.
func (c *conn) fail(tag string, err error) error {
	k := fault.KindOf(err)
	if k == fault.Internal || k == fault.Corrupt {
		c.s.cfg.Log.Error("imap command failed", "account", c.account, "err", err)
	}
	status, code, text := replyFor(err)
	c.reply(tag, status, code, text)
	return c.err
}
