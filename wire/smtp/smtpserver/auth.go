package smtpserver

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"slices"
	"strings"

	"github.com/mohar-mail/mohar/wire/sasl"
	"github.com/mohar-mail/mohar/wire/smtp"
)

// authenticator gives the session's AUTH, nil where there is none. An MX never
// has one: nobody signs in there, and password guessers should learn so.
func (c *conn) authenticator() Authenticator {
	if c.srv.cfg.Mode == MX {
		return nil
	}
	a, _ := c.session.(Authenticator)
	return a
}

func (c *conn) mayAuth() bool { return c.info.TLS != nil || c.srv.cfg.AllowInsecureAuth }

// auth obeys RFC 4954 section 4.
func (c *conn) auth(ctx context.Context, arg []byte) error {
	a := c.authenticator()
	switch {
	case a == nil:
		return c.fault(replyNotHere)
	case c.info.Helo == "":
		return c.fault(replyHeloFirst)
	case c.info.Authenticated:
		return c.fault(replyAuthAgain)
	case c.open:
		return c.fault(replyNested)
	case !c.mayAuth():
		return c.fault(replyAuthTLS)
	}
	word, rest, has := bytes.Cut(arg, []byte{' '})
	mech := strings.ToUpper(string(word))
	if !slices.Contains(a.Mechanisms(), mech) {
		return c.fault(replyAuthMech)
	}
	var resp []byte
	if has {
		var ok bool
		if resp, ok = decodeInitial(rest); !ok {
			return c.fault(replyAuthBase64)
		}
	}
	sv, err := a.Auth(ctx, mech)
	if err == nil {
		var bad *fixed
		if bad, err = c.exchange(ctx, sv, resp); bad != nil {
			return c.authFailed(*bad)
		}
	}
	if err == nil {
		c.info.Authenticated = true
		return errors.Join(c.put(replyAuthOK), c.flush())
	}
	if lost := (*lostError)(nil); errors.As(err, &lost) {
		return lost.error
	}
	r := c.srv.replyTo(err, stageAuth, false)
	c.logRefusal(err, r)
	return c.authFailed(r)
}

// lostError is a failure of the connection, not of the mechanism.
type lostError struct{ error }

// authFailed answers, and ends the connection of who keeps guessing.
func (c *conn) authFailed(r replier) error {
	if err := c.put(r); err != nil {
		return err
	}
	c.authBad++
	if c.authBad >= c.srv.cfg.Limits.AuthFailures {
		c.log.Info("too many failed AUTH")
		return c.hangUp(replyTooManyErrs)
	}
	return c.flush()
}

// exchange runs the rounds of a mechanism. A fixed reply or an error ends it.
func (c *conn) exchange(ctx context.Context, sv sasl.Server, resp []byte) (*fixed, error) {
	for range c.srv.cfg.Limits.AuthRounds {
		challenge, done, err := sv.Next(ctx, resp)
		if err != nil || done && len(challenge) == 0 {
			return nil, err
		}
		c.out = append(c.out, "334 "...)
		c.out = base64.StdEncoding.AppendEncode(c.out, challenge)
		c.out = append(c.out, '\r', '\n')
		line, err := c.authLine()
		switch {
		case errors.Is(err, errLineEnd):
			return &replyLineEnd, nil
		case errors.Is(err, errLineLong):
			return &replyLineLong, nil
		case err != nil:
			return nil, &lostError{err}
		case len(line) == 1 && line[0] == '*':
			return &replyAuthCancel, nil
		}
		if resp, err = decode64(line); err != nil {
			return &replyAuthBase64, nil
		}
		if done { // final data of the mechanism: the answer is empty (RFC 4954 section 4)
			if len(resp) > 0 {
				return &replyAuthCancel, nil
			}
			return nil, nil
		}
	}
	return &replyAuthRounds, nil
}

func (c *conn) authLine() ([]byte, error) {
	if err := c.await(); err != nil {
		return nil, err
	}
	defer c.awake()
	return c.readLine(smtp.MaxAuthLine, c.fillLine)
}

// decodeInitial reads an initial response, where "=" is the empty one.
func decodeInitial(b []byte) ([]byte, bool) {
	b = bytes.Trim(b, " ")
	if len(b) == 1 && b[0] == '=' {
		return []byte{}, true
	}
	if len(b) == 0 {
		return nil, false
	}
	out, err := decode64(b)
	return out, err == nil
}

// decode64 never gives nil without an error, since nil means "no response".
func decode64(b []byte) ([]byte, error) {
	return base64.StdEncoding.Strict().AppendDecode([]byte{}, b)
}
