package popserver

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"

	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/wire/pop"
	"github.com/mohar-mail/mohar/wire/sasl"
)

// maySignIn says whether passwords may be sent on this connection.
func (c *conn) maySignIn() bool { return c.tls() || c.s.cfg.AllowInsecureAuth }

func (c *conn) mayStartTLS() bool { return c.s.cfg.TLS != nil && !c.tls() && c.sess == nil }

// needTLS refuses a command that would carry a password in clear text.
func (c *conn) needTLS() error {
	c.refuse(pop.CodeNone, "Use STLS first: passwords are not taken in clear text")
	return c.bad()
}

// userCommand is USER (RFC 1939 section 7). It says +OK to every name: the
// answer must not tell which accounts exist.
func (c *conn) userCommand(cmd pop.Command) error {
	if !c.maySignIn() {
		return c.needTLS()
	}
	c.user = cmd.Text
	c.ok("Now the password")
	return nil
}

// pass is PASS (RFC 1939 section 7).
func (c *conn) pass(cmd pop.Command) error {
	if !c.maySignIn() {
		return c.needTLS()
	}
	if c.user == "" {
		c.refuse(pop.CodeNone, "USER comes first")
		return c.bad()
	}
	user := c.user
	c.user = ""
	ctx, cancel := c.context()
	defer cancel()
	return c.signIn(c.verify(ctx, "", user, cmd.Text))
}

// verify checks a password; on success the connection has its Session and the
// maildrop as it is at this instant.
func (c *conn) verify(ctx context.Context, authzid, user, password string) error {
	sess, err := c.s.cfg.Login(ctx, c.info(), authzid, user, password)
	if err != nil {
		return err
	}
	drop, err := sess.Maildrop(ctx, c.s.cfg.MaxMessages)
	if err != nil {
		sess.Close()
		if fault.Is(err, fault.Auth) || fault.Is(err, fault.NotFound) {
			// The password was right: nothing that is missing now is its fault.
			return fault.Wrap(err, fault.Internal, "popserver.verify", fault.Public(err))
		}
		return err
	}
	c.sess, c.drop = sess, drop
	c.s.signedIn(c, sess.Account())
	return nil
}

// signIn answers PASS and AUTH.
func (c *conn) signIn(err error) error {
	if err == nil {
		n, size := c.total()
		c.ok("Maildrop has " + count(n) + " (" + octets(size) + ")")
		return nil
	}
	switch fault.KindOf(err) {
	case fault.Auth, fault.NotFound:
		// One sentence for every wrong credential: it must not tell which accounts exist.
		c.refuse(pop.CodeAuth, "Name or password is wrong")
	case fault.Denied, fault.Refused:
		_, text := replyFor(err)
		c.refuse(pop.CodeAuth, text) // RFC 3206 section 4: policy is among its causes
	default:
		c.fault(err)
	}
	// Every failure counts: a limit that has been reached is no reason for more tries.
	if c.authFailures++; c.authFailures >= maxAuthFailures {
		return errClose
	}
	return nil
}

// auth is AUTH with PLAIN (RFC 5034 section 4). Without an argument it lists the
// mechanisms, as clients older than CAPA ask for them.
func (c *conn) auth(cmd pop.Command) error {
	if !c.maySignIn() {
		return c.needTLS()
	}
	switch cmd.Mechanism {
	case "":
		c.ok("Mechanisms follow")
		c.out = append(c.out, sasl.Plain+"\r\n.\r\n"...)
		return nil
	case sasl.Plain:
	default:
		c.refuse(pop.CodeNone, "This mechanism is not offered")
		return c.bad()
	}
	mech := sasl.NewPlainServer(c.verify)
	response := cmd.Initial
	for {
		ctx, cancel := c.context()
		challenge, done, err := mech.Next(ctx, response)
		cancel()
		if err != nil || done {
			return c.signIn(err)
		}
		c.out = append(c.out, "+ "...)
		c.out = base64.StdEncoding.AppendEncode(c.out, challenge)
		c.out = append(c.out, "\r\n"...)
		line, err := c.readLine(maxResponse)
		if err != nil && !errors.Is(err, pop.ErrTooLong) {
			return err
		}
		if err != nil || string(line) == "*" {
			c.refuse(pop.CodeNone, "The exchange was cancelled")
			return c.bad()
		}
		if response, err = pop.DecodeResponse(line); err != nil {
			c.fault(err)
			return c.bad()
		}
	}
}

// stls is STLS (RFC 2595 section 4).
func (c *conn) stls(pop.Command) error {
	switch {
	case c.tls():
		c.refuse(pop.CodeNone, "TLS is on already")
		return c.bad()
	case c.s.cfg.TLS == nil:
		c.refuse(pop.CodeNone, "TLS is not configured")
		return c.bad()
	case c.utf8:
		c.refuse(pop.CodeNone, "STLS comes before UTF8") // RFC 6856 section 2.1
		return c.bad()
	}
	c.ok("Begin TLS negotiation")
	if err := c.flush(); err != nil {
		return err
	}
	if err := c.startTLS(); err != nil {
		return err
	}
	// What came after the command in clear text is not the client's: somebody on
	// the way could have put it there (CVE-2011-0411 and its kin). Nor is a name
	// that was given before (RFC 2595 section 4).
	c.br = bufio.NewReaderSize(c.nc, readBuffer)
	c.user = ""
	return nil
}
