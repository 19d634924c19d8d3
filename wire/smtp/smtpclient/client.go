package smtpclient

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/mohar-mail/mohar/wire/sasl"
	"github.com/mohar-mail/mohar/wire/smtp"
)

// Client is one connection. It is not safe for concurrent use; Close is.
type Client struct {
	cfg     Config
	host    string
	raw     net.Conn
	nc      net.Conn
	br      *bufio.Reader
	out     []byte
	block   []byte // for content
	tls     *tls.ConnectionState
	ext     map[string]string
	banner  *smtp.Reply
	helo    *smtp.Reply
	dirty   bool // a transaction was begun and not ended
	broken  bool
	limited bool // the peer said 421
}

// Dial connects to addr ("host:port"), and goes on as New does.
func Dial(ctx context.Context, addr string, cfg Config) (*Client, error) {
	cfg.fill()
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, &ConnError{StageConnect, addr, err}
	}
	d := net.Dialer{Timeout: cfg.Timeouts.Connect}
	nc, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, &ConnError{StageConnect, host, err}
	}
	return New(ctx, nc, host, cfg)
}

// New takes a connection, reads the greeting, says EHLO, does STARTTLS as the
// policy says, and EHLO again. Host is the peer's name, for TLS and for errors.
// On an error, a *ConnError, the connection is closed.
func New(ctx context.Context, nc net.Conn, host string, cfg Config) (*Client, error) {
	cfg.fill()
	c := &Client{cfg: cfg, host: host, raw: nc, nc: nc}
	c.br = bufio.NewReaderSize(nc, smtp.MaxReplyLine)
	stop := c.guard(ctx)
	defer stop()
	if err := c.start(ctx); err != nil {
		_ = nc.Close()
		return nil, err
	}
	return c, nil
}

func (c *Client) start(ctx context.Context) error {
	if c.cfg.Policy == Implicit {
		if err := c.handshake(ctx); err != nil {
			return err
		}
	}
	c.deadline(c.cfg.Timeouts.Greeting)
	r, err := c.reply(StageGreeting)
	if err != nil {
		return err
	}
	if c.banner = r; r.Code != 220 {
		return c.fail(StageGreeting, r)
	}
	if err := c.hello(); err != nil {
		return err
	}
	if c.cfg.Policy == Clear || c.tls != nil {
		return nil
	}
	if _, ok := c.ext["STARTTLS"]; !ok {
		if c.cfg.Policy == Required {
			return c.fail(StageTLS, ErrNoTLS)
		}
		return nil
	}
	return c.startTLS(ctx)
}

// guard makes ctx cut whatever read or write is going on.
func (c *Client) guard(ctx context.Context) (stop func()) {
	s := context.AfterFunc(ctx, func() { _ = c.raw.Close() })
	return func() { s() }
}

func (c *Client) deadline(d time.Duration) { _ = c.nc.SetDeadline(c.cfg.Clock.Now().Add(d)) }

func (c *Client) fail(s Stage, err error) error {
	c.broken = true
	return &ConnError{s, c.host, err}
}

// reply reads one reply after sending what waits.
func (c *Client) reply(s Stage) (*smtp.Reply, error) {
	if err := c.flush(); err != nil {
		return nil, c.fail(s, err)
	}
	r, err := smtp.ReadReply(func() ([]byte, error) {
		l, err := c.br.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			err = smtp.ErrReply
		}
		return l, err
	})
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, c.fail(s, err)
	}
	if r.Code == 421 { // the peer closes, whatever was asked (RFC 5321 section 3.8)
		c.limited = true
	}
	return r, nil
}

func (c *Client) flush() error {
	if len(c.out) == 0 {
		return nil
	}
	_, err := c.nc.Write(c.out)
	c.out = c.out[:0]
	return err
}

// line queues a command. Its words never hold CR or LF: addresses and
// parameters were checked by their grammar.
func (c *Client) line(words ...string) {
	for _, w := range words {
		c.out = append(c.out, w...)
	}
	c.out = append(c.out, '\r', '\n')
}

// cmd sends a command and reads its reply.
func (c *Client) cmd(s Stage, words ...string) (*smtp.Reply, error) {
	c.deadline(c.cfg.Timeouts.Command)
	c.line(words...)
	return c.reply(s)
}

func (c *Client) hello() error {
	verb := "EHLO "
	if c.cfg.LMTP {
		verb = "LHLO "
	}
	r, err := c.cmd(StageHello, verb, c.cfg.LocalName)
	if err != nil {
		return err
	}
	c.ext = map[string]string{}
	switch {
	case r.Positive():
		for _, l := range r.Lines[1:] {
			k, v, _ := strings.Cut(l, " ")
			c.ext[strings.ToUpper(k)] = v
		}
	case r.Permanent() && !c.cfg.LMTP && c.cfg.Policy != Required && !c.limited: // RFC 5321 section 3.2
		if r, err = c.cmd(StageHello, "HELO ", c.cfg.LocalName); err != nil {
			return err
		}
	}
	if c.helo = r; !r.Positive() {
		return c.fail(StageHello, r)
	}
	return nil
}

// startTLS obeys RFC 3207. Octets that came in clear after the reply would
// otherwise be read as if TLS had protected them.
func (c *Client) startTLS(ctx context.Context) error {
	r, err := c.cmd(StageTLS, "STARTTLS")
	if err != nil {
		return err
	}
	if r.Code != 220 {
		if c.cfg.Policy == Opportunistic && !c.limited {
			return nil
		}
		return c.fail(StageTLS, r)
	}
	if c.br.Buffered() > 0 {
		return c.fail(StageTLS, ErrInjected)
	}
	if err := c.handshake(ctx); err != nil {
		return err
	}
	return c.hello()
}

func (c *Client) handshake(ctx context.Context) error {
	cfg := c.cfg.TLS.Clone()
	if cfg == nil {
		// Opportunistic without a policy: encryption against those who only
		// listen; whoever could pose as the peer could also strip STARTTLS.
		cfg = &tls.Config{InsecureSkipVerify: c.cfg.Policy == Opportunistic}
	}
	if cfg.ServerName == "" {
		cfg.ServerName = strings.TrimSuffix(c.host, ".")
	}
	c.deadline(c.cfg.Timeouts.Handshake)
	t := tls.Client(c.raw, cfg)
	if err := t.HandshakeContext(ctx); err != nil {
		return c.fail(StageTLS, err)
	}
	st := t.ConnectionState()
	c.tls, c.nc = &st, t
	c.br.Reset(t)
	return nil
}

// Auth signs in. A refusal is a *smtp.Reply, any other failure a *ConnError.
// Whether clear text will do is the caller's to know: see TLS.
func (c *Client) Auth(ctx context.Context, m sasl.Client) error {
	defer c.guard(ctx)()
	name, ir, err := m.Start()
	if err != nil {
		return err
	}
	words := []string{"AUTH ", name}
	if ir != nil {
		enc := base64.StdEncoding.EncodeToString(ir)
		if enc == "" {
			enc = "="
		}
		words = append(words, " ", enc)
	}
	r, err := c.cmd(StageAuth, words...)
	for range maxAuthRounds {
		if err != nil {
			return err
		}
		if r.Code != 334 {
			break
		}
		var answer []byte
		challenge, derr := base64.StdEncoding.DecodeString(r.Text())
		if derr == nil {
			answer, derr = m.Next(challenge)
		}
		if derr != nil {
			if r, err = c.cmd(StageAuth, "*"); err != nil {
				return err
			}
			return errors.Join(derr, r)
		}
		r, err = c.cmd(StageAuth, base64.StdEncoding.EncodeToString(answer))
	}
	if err == nil && r.Code != 235 {
		return r
	}
	return err
}

// maxAuthRounds bounds the challenges of one AUTH.
const maxAuthRounds = 8

// Reset makes the connection ready for another message (RSET). Send does so by
// itself where it must.
func (c *Client) Reset(ctx context.Context) error {
	defer c.guard(ctx)()
	return c.reset()
}

func (c *Client) reset() error {
	r, err := c.cmd(StageReset, "RSET")
	if err != nil {
		return err
	}
	if !r.Positive() {
		return c.fail(StageReset, r)
	}
	c.dirty = false
	return nil
}

// Usable says whether the connection may carry another message.
func (c *Client) Usable() bool { return !c.broken && !c.limited }

// Quit says QUIT, if the connection still stands, and closes it.
func (c *Client) Quit(ctx context.Context) error {
	defer c.guard(ctx)()
	if c.Usable() {
		c.deadline(c.cfg.Timeouts.Quit)
		c.line("QUIT")
		_, _ = c.reply(StageReset)
	}
	return c.Close()
}

// Close cuts the connection.
func (c *Client) Close() error { return c.raw.Close() }

// Extension gives the parameters of an EHLO keyword, and whether it was offered.
func (c *Client) Extension(keyword string) (string, bool) {
	v, ok := c.ext[strings.ToUpper(keyword)]
	return v, ok
}

// TLS gives the state of TLS, nil without.
func (c *Client) TLS() *tls.ConnectionState { return c.tls }

// Host gives the peer's name as it was given to New.
func (c *Client) Host() string { return c.host }

// RemoteAddr gives the peer's address.
func (c *Client) RemoteAddr() net.Addr { return c.raw.RemoteAddr() }

// sizeLimit gives the peer's SIZE, 0 where it says none (RFC 1870 section 3).
func (c *Client) sizeLimit() int64 {
	n, err := strconv.ParseInt(c.ext["SIZE"], 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}
