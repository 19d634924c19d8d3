package smtpserver

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"time"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/wire/smtp"
)

// errQuit ends a connection that has had its last reply.
var errQuit = errors.New("connection over")

// conn is one connection. All but wakeIfIdle runs in its own goroutine.
type conn struct {
	wire
	raw     net.Conn
	cancel  context.CancelFunc
	log     *slog.Logger
	info    Conn
	session Session
	lmtp    bool

	mu   sync.Mutex
	idle bool // waiting for a command outside a transaction

	armed    bool         // the deadline of the line being read is set
	fillLine func() error // fillCommand, bound once

	lingering bool // hung up on a client that may still be sending

	open     bool // MAIL was accepted
	env      *mohar.Envelope
	bdatDone bool   // a BDAT was refused or the last one came: RSET must follow
	pending  []byte // a command line that ended a BDAT sequence, still to be obeyed
	hasPend  bool
	errs     int // faulty commands
	refused  int // RCPT refused
	useless  int // commands since the last message accepted
	authBad  int // failed AUTH
}

func newConn(s *Server, nc net.Conn, cancel context.CancelFunc) *conn {
	c := &conn{raw: nc, cancel: cancel, lmtp: s.cfg.Mode == LMTP}
	c.wire = wire{nc: nc, srv: s, small: make([]byte, smallBuffer)}
	c.buf = c.small
	c.fillLine = c.fillCommand
	c.info = Conn{RemoteAddr: nc.RemoteAddr(), LocalAddr: nc.LocalAddr(), lmtp: c.lmtp}
	c.log = s.cfg.Log.With("remote", nc.RemoteAddr())
	return c
}

func (c *conn) now() time.Time { return c.srv.cfg.Clock.Now() }

// wakeIfIdle ends the wait of a connection for its next command, for Drain.
func (c *conn) wakeIfIdle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.idle {
		_ = c.raw.SetReadDeadline(c.now().Add(-time.Second))
	}
}

// serve runs the whole life of the connection.
func (c *conn) serve(ctx context.Context) {
	defer c.release()
	defer c.recoverBackend()
	if c.srv.cfg.Implicit && !c.handshake(ctx) {
		return
	}
	s, err := c.srv.backend.NewSession(ctx, &c.info)
	if err != nil {
		c.log.Info("turned away", "error", err)
		r := c.srv.replyTo(err, stageConnect, false)
		r.Enhanced = smtp.EnhancedCode{} // a greeting has none
		_ = c.put(r)
		_ = c.flush()
		return
	}
	c.session = s
	defer s.Logout()
	if err := c.greet(); err != nil {
		return
	}
	for {
		err := c.step(ctx)
		if err == nil {
			continue
		}
		if !errors.Is(err, errQuit) {
			c.log.Debug("connection ended", "error", err)
			if isTimeout(err) {
				_ = c.put(c.farewell())
			}
		}
		_ = c.flush()
		c.closeTLS()
		if c.lingering {
			c.linger()
		}
		return
	}
}

// hangUp says a last word and ends the connection.
func (c *conn) hangUp(r replier) error {
	c.lingering = true
	return errors.Join(errQuit, c.put(r))
}

// What is read and thrown away after the last word, in octets and time.
const (
	lingerBytes = 256 << 10
	lingerTime  = time.Second
)

// linger lets a client that still sends read the last word: to close a socket
// with unread input makes TCP reset it, and the reset overtakes the reply.
func (c *conn) linger() {
	half, ok := c.raw.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	_ = c.raw.SetReadDeadline(c.now().Add(lingerTime))
	_, _ = io.CopyN(io.Discard, c.raw, lingerBytes)
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &ne) && ne.Timeout()
}

func (c *conn) farewell() fixed {
	if c.srv.draining.Load() {
		return replyShutdown
	}
	return replyTimeout
}

// recoverBackend keeps one message's panic in a backend from ending the process
// and with it every other connection.
func (c *conn) recoverBackend() {
	if p := recover(); p != nil {
		c.log.Error("panic in session", "panic", p, "stack", string(debug.Stack()))
		_ = c.put(replyInternal)
		_ = c.flush()
	}
}

// greet waits the configured moment, then sends the greeting.
func (c *conn) greet() error {
	if d := c.srv.cfg.GreetDelay; d > 0 && !c.srv.cfg.Implicit {
		c.setRead(c.now().Add(d))
		err := c.fill()
		if err == nil {
			c.log.Info("talked before the greeting")
			return errors.Join(errQuit, c.put(replyEarlyTalk), c.flush())
		}
		if !isTimeout(err) {
			return err
		}
	}
	word := " ESMTP ready"
	if c.lmtp {
		word = " LMTP ready"
	}
	if err := c.put(fixed{220, smtp.EnhancedCode{}, c.srv.cfg.Hostname + word}); err != nil {
		return err
	}
	return c.flush()
}

// await makes ready for a command line; errQuit when draining.
func (c *conn) await() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.open && c.srv.draining.Load() {
		return errors.Join(errQuit, c.put(replyShutdown))
	}
	c.idle, c.armed = !c.open, false
	return nil
}

// fillCommand reads more of a command line. The deadline is set once for the
// whole line: one octet a minute does not keep a connection.
func (c *conn) fillCommand() error {
	c.mu.Lock()
	if c.idle && c.srv.draining.Load() {
		c.mu.Unlock()
		return errors.Join(errQuit, c.put(replyShutdown))
	}
	if !c.armed {
		c.setRead(c.now().Add(c.srv.cfg.Timeouts.Command))
		c.armed = true
	}
	c.mu.Unlock()
	return c.fill()
}

func (c *conn) awake() {
	c.mu.Lock()
	c.idle = false
	c.mu.Unlock()
}

// command reads the next command line and answers faulty ones. A nil line
// without an error asks to be called again. A line of AUTH, which may carry
// a token, has a wider bound than the others.
func (c *conn) command() ([]byte, error) {
	if err := c.await(); err != nil {
		return nil, err
	}
	line, err := c.readLine(smtp.MaxAuthLine, c.fillLine)
	c.awake()
	switch {
	case errors.Is(err, errLineEnd):
		return nil, c.fault(replyLineEnd)
	case errors.Is(err, errLineLong):
		return nil, c.fault(replyLineLong)
	case errors.Is(err, errFlood):
		return nil, c.hangUp(replyTooManyErrs)
	case err != nil:
		return nil, err
	}
	if len(line)+len("\r\n") > smtp.MaxCommandLine {
		if v, _ := smtp.ParseCommand(line); v != smtp.AUTH {
			return nil, c.fault(replyLineLong)
		}
	}
	return line, nil
}

// fault answers a faulty command, and ends the connection after too many.
func (c *conn) fault(f fixed) error {
	if err := c.put(f); err != nil {
		return err
	}
	c.errs++
	if c.errs >= c.srv.cfg.Limits.Errors {
		c.log.Info("too many errors")
		return c.hangUp(replyTooManyErrs)
	}
	return nil
}

// step reads one command and obeys it.
func (c *conn) step(ctx context.Context) error {
	var line []byte
	if c.hasPend {
		line, c.pending, c.hasPend = c.pending, nil, false
	} else {
		if c.r == c.w {
			c.shrink()
		}
		var err error
		if line, err = c.command(); line == nil || err != nil {
			return err
		}
	}
	verb, arg := smtp.ParseCommand(line)
	return c.obey(ctx, verb, arg)
}

func (c *conn) obey(ctx context.Context, verb smtp.Verb, arg []byte) error {
	switch verb {
	case smtp.RCPT:
		return c.rcpt(ctx, arg)
	case smtp.DATA:
		return c.data(ctx, arg)
	case smtp.BDAT:
		return c.bdat(ctx, arg)
	}
	c.useless++
	if c.useless > c.srv.cfg.Limits.IdleCommands {
		return c.hangUp(replyTooManyErrs)
	}
	switch verb {
	case smtp.MAIL:
		return c.mail(ctx, arg)
	case smtp.EHLO, smtp.HELO, smtp.LHLO:
		return c.hello(verb, arg)
	case smtp.RSET:
		if len(arg) > 0 {
			return c.fault(replyNoArg)
		}
		c.reset()
		return c.put(replyOK)
	case smtp.QUIT:
		if len(arg) > 0 {
			return c.fault(replyNoArg)
		}
		return errors.Join(errQuit, c.put(replyBye))
	case smtp.STARTTLS:
		return c.startTLS(ctx, arg)
	case smtp.AUTH:
		return c.auth(ctx, arg)
	}
	return c.aside(verb)
}

// aside answers the commands that change nothing. RFC 2920 section 3.2 (5, 6)
// wants these replies sent at once.
func (c *conn) aside(verb smtp.Verb) error {
	var err error
	switch verb {
	case smtp.NOOP:
		err = c.put(replyOK)
	case smtp.HELP:
		err = c.put(replyHelp)
	case smtp.VRFY:
		err = c.put(replyVrfy)
	case smtp.EXPN:
		err = c.put(replyNotHere)
	default:
		err = c.fault(replyUnknown)
	}
	if err != nil {
		return err
	}
	return c.flush()
}

// handshake makes the connection a TLS one.
func (c *conn) handshake(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, c.srv.cfg.Timeouts.Handshake)
	defer cancel()
	_ = c.raw.SetDeadline(c.now().Add(c.srv.cfg.Timeouts.Handshake))
	t := tls.Server(c.raw, c.srv.cfg.TLS)
	if err := t.HandshakeContext(ctx); err != nil {
		c.log.Info("TLS handshake", "error", err)
		return false
	}
	_ = c.raw.SetDeadline(time.Time{})
	st := t.ConnectionState()
	c.info.TLS = &st
	c.nc = t
	return true
}

// closeTLS sends close_notify, without which some clients report an error.
func (c *conn) closeTLS() {
	if t, ok := c.nc.(*tls.Conn); ok {
		_ = t.SetWriteDeadline(c.now().Add(time.Second))
		_ = t.CloseWrite()
	}
}
