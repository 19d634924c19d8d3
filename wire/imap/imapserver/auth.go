package imapserver

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"errors"

	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/wire/imap"
	"github.com/mohar-mail/mohar/wire/sasl"
)

// maySignIn says whether passwords may be sent on this connection.
func (c *conn) maySignIn() bool { return c.tls() || c.s.cfg.AllowInsecureAuth }

// login is LOGIN (RFC 9051 section 6.2.3).
func (c *conn) login(ctx context.Context, cmd imap.Command) error {
	if !c.maySignIn() {
		c.reply(cmd.Tag, "NO", "PRIVACYREQUIRED", "Use TLS first")
		return c.bad()
	}
	l := cmd.Args.(*imap.Login)
	return c.signIn(cmd.Tag, c.verify(ctx, "", l.User, l.Password))
}

// verify checks a password; on success the connection has its Session.
func (c *conn) verify(ctx context.Context, authzid, user, password string) error {
	sess, err := c.s.cfg.Login(ctx, c.info(), authzid, user, password)
	if err != nil {
		return err
	}
	c.sess = sess
	c.s.signedIn(c, sess.Account())
	c.stop = sess.Watch(c.hint)
	return nil
}

// signIn answers LOGIN and AUTHENTICATE.
func (c *conn) signIn(tag string, err error) error {
	if err == nil {
		c.badInRow = 0
		c.reply(tag, "OK", c.capabilities(), "Signed in")
		return nil
	}
	switch fault.KindOf(err) {
	case fault.Auth, fault.NotFound:
		// One sentence for every wrong credential: it must not tell which accounts exist.
		c.reply(tag, "NO", "AUTHENTICATIONFAILED", "Name or password is wrong")
	case fault.Invalid:
		c.reply(tag, "BAD", "", fault.Public(err))
	case fault.Denied, fault.Refused:
		_, _, text := replyFor(err)
		c.reply(tag, "NO", "AUTHORIZATIONFAILED", text)
	default:
		return c.fail(tag, err)
	}
	if c.authFailures++; c.authFailures >= maxAuthFailures {
		c.untagged("BYE Too many failed attempts")
		return errClose
	}
	return nil
}

// authenticate is AUTHENTICATE with PLAIN and LOGIN (RFC 9051 section 6.2.2, RFC 4959).
func (c *conn) authenticate(ctx context.Context, cmd imap.Command) error {
	if !c.maySignIn() {
		c.reply(cmd.Tag, "NO", "PRIVACYREQUIRED", "Use TLS first")
		return c.bad()
	}
	a := cmd.Args.(*imap.Authenticate)
	verify := func(ctx context.Context, authzid, user, password string) error {
		return c.verify(ctx, authzid, user, password)
	}
	var mech sasl.Server
	switch a.Mechanism {
	case sasl.Plain:
		mech = sasl.NewPlainServer(verify)
	case sasl.Login:
		mech = sasl.NewLoginServer(verify)
	default:
		c.reply(cmd.Tag, "NO", "CANNOT", "Mechanism is not offered")
		return c.bad()
	}
	response := a.Initial
	for {
		challenge, done, err := mech.Next(ctx, response)
		if err != nil || done {
			return c.signIn(cmd.Tag, err)
		}
		c.out = append(c.out, "+ "...)
		c.out = base64.StdEncoding.AppendEncode(c.out, challenge)
		c.out = append(c.out, "\r\n"...)
		if err := c.flush(); err != nil {
			return err
		}
		response, err = c.saslLine()
		if errors.Is(err, errSASL) {
			c.reply(cmd.Tag, "BAD", "", "Exchange was cancelled or is not base64")
			return c.bad()
		}
		if err != nil {
			return err
		}
	}
}

var errSASL = errors.New("imapserver: cancelled or malformed response")

// maxSASLLine is above what sasl.MaxResponse takes in base64.
const maxSASLLine = 6 << 10

// saslLine reads one line of an exchange.
func (c *conn) saslLine() ([]byte, error) {
	line, err := c.shortLine(maxSASLLine)
	if err != nil {
		return nil, err
	}
	if string(line) == "*" {
		return nil, errSASL
	}
	out := make([]byte, base64.StdEncoding.DecodedLen(len(line)))
	n, err := base64.StdEncoding.Decode(out, line)
	if err != nil {
		return nil, errSASL
	}
	return out[:n], nil
}

// shortLine reads one line that is no command, without its line end. A longer
// one than limit ends the connection.
func (c *conn) shortLine(limit int) ([]byte, error) {
	var line []byte
	for {
		chunk, err := c.reader().ReadSlice('\n')
		line = append(line, chunk...)
		if len(line) > limit {
			return nil, imap.ErrFlood
		}
		if err == nil {
			return bytes.TrimRight(line, "\r\n"), nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return nil, err
		}
	}
}

// starttls is STARTTLS (RFC 9051 section 6.2.1).
func (c *conn) starttls(_ context.Context, cmd imap.Command) error {
	switch {
	case c.tls():
		c.reply(cmd.Tag, "BAD", "", "TLS is on already")
		return c.bad()
	case c.s.cfg.TLS == nil:
		c.reply(cmd.Tag, "NO", "UNAVAILABLE", "TLS is not configured")
		return c.bad()
	}
	// What came after the command in clear text is not the client's: somebody on
	// the way could have put it there (CVE-2011-0411 and its kin).
	c.s.pools.putReader(c.br)
	c.br, c.hasFirst = nil, false
	c.reply(cmd.Tag, "OK", "", "Begin TLS negotiation now")
	if err := c.flush(); err != nil {
		return err
	}
	return c.startTLS()
}
