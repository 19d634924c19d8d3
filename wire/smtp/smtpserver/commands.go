package smtpserver

import (
	"context"
	"errors"
	"strconv"
	"strings"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/wire/smtp"
)

// reset drops the transaction.
func (c *conn) reset() {
	if c.session != nil {
		c.session.Reset()
	}
	c.endTransaction()
}

func (c *conn) endTransaction() {
	c.open, c.env, c.bdatDone = false, nil, false
}

func (c *conn) hello(verb smtp.Verb, arg []byte) error {
	if c.lmtp != (verb == smtp.LHLO) { // RFC 2033 section 4.1
		return c.fault(replyUnknown)
	}
	name, err := smtp.ParseHelo(arg)
	if err != nil {
		return c.refuse(err, stageAddress)
	}
	c.reset() // RFC 5321 section 4.1.4
	c.info.Helo = name
	c.info.Extended = verb != smtp.HELO
	lines := []string{c.srv.cfg.Hostname}
	if c.info.Extended {
		lines = append(lines, c.extensions()...)
	}
	if err := c.put(&smtp.Reply{Code: 250, Lines: lines}); err != nil {
		return err
	}
	return c.flush()
}

func (c *conn) extensions() []string {
	x := []string{
		"PIPELINING",
		"SIZE " + strconv.FormatInt(c.srv.cfg.Limits.MessageSize, 10),
		"8BITMIME", "SMTPUTF8", "CHUNKING", "ENHANCEDSTATUSCODES", "DSN",
	}
	if c.srv.cfg.TLS != nil && c.info.TLS == nil {
		x = append(x, "STARTTLS")
	}
	if a := c.authenticator(); a != nil && c.mayAuth() && !c.info.Authenticated {
		if m := a.Mechanisms(); len(m) > 0 {
			x = append(x, "AUTH "+strings.Join(m, " "))
		}
	}
	return x
}

// refuse answers an error of a session or a parser. Errors in the client's
// words count toward the limit of faulty commands.
func (c *conn) refuse(err error, st stage) error {
	r := c.srv.replyTo(err, st, c.env != nil && c.env.SMTPUTF8)
	c.logRefusal(err, r)
	if e := c.put(r); e != nil {
		return e
	}
	if r.Code == 501 || r.Code == 555 || r.Code == 500 {
		c.errs++
		if c.errs >= c.srv.cfg.Limits.Errors {
			return c.hangUp(replyTooManyErrs)
		}
	}
	return nil
}

func (c *conn) logRefusal(err error, r *smtp.Reply) {
	if k := fault.KindOf(err); k == fault.Internal || k == fault.Corrupt || k == fault.Unavailable {
		c.log.Error("session", "error", err, "code", r.Code)
		return
	}
	c.log.Info("refused", "error", err, "code", r.Code)
}

func (c *conn) mail(ctx context.Context, arg []byte) error {
	switch {
	case c.info.Helo == "" && c.lmtp:
		return c.fault(replyLhloFirst)
	case c.info.Helo == "":
		return c.fault(replyHeloFirst)
	case c.open:
		return c.fault(replyNested)
	case c.srv.cfg.Mode == Submission && !c.info.Authenticated && !c.srv.cfg.AllowUnauthenticated:
		return c.fault(replyAuthNeeded) // RFC 4954 section 6
	}
	p, err := smtp.ParseMail(arg)
	if err == nil && p.RequireTLS { // not announced, so not known (RFC 8689 section 3)
		err = smtp.ErrParam
	}
	if err != nil {
		return c.refuse(err, stageAddress)
	}
	if p.Size > c.srv.cfg.Limits.MessageSize { // RFC 1870 section 6.1
		return c.put(replyTooBig)
	}
	c.env = &mohar.Envelope{From: p.From, EightBit: p.EightBit, SMTPUTF8: p.SMTPUTF8, EnvID: p.EnvID, Ret: p.Ret}
	err = c.session.Mail(ctx, p.From, &MailOptions{
		Size: p.Size, EightBit: p.EightBit, SMTPUTF8: p.SMTPUTF8, Ret: p.Ret, EnvID: p.EnvID, Auth: p.Auth,
	})
	if err != nil {
		err = c.refuse(err, stageAddress)
		c.reset()
		return err
	}
	c.open = true
	return c.put(replyMailOK)
}

func (c *conn) rcpt(ctx context.Context, arg []byte) error {
	if !c.open {
		return c.fault(replyMailFirst)
	}
	if len(c.env.To) >= c.srv.cfg.Limits.Recipients {
		return c.put(replyTooManyRcpts)
	}
	p, err := smtp.ParseRcpt(arg, c.env.SMTPUTF8)
	if err != nil {
		return c.refuse(err, stageAddress)
	}
	to := mohar.Recipient{Address: p.To, Notify: p.Notify, ORcpt: p.ORcpt}
	if err := c.session.Rcpt(ctx, to); err != nil {
		c.refused++
		if c.refused >= c.srv.cfg.Limits.RefusedRcpts {
			c.log.Info("too many refused recipients")
			return c.hangUp(replyTooManyErrs)
		}
		return c.refuse(err, stageAddress)
	}
	c.env.To = append(c.env.To, to)
	return c.put(replyRcptOK)
}

// startTLS obeys RFC 3207. What a client, or somebody between, sent behind the
// command in clear is thrown away: it must not be obeyed as if it had come
// under TLS.
func (c *conn) startTLS(ctx context.Context, arg []byte) error {
	switch {
	case len(arg) > 0:
		return c.fault(replyNoArg)
	case c.info.TLS != nil:
		return c.fault(replyTLSActive)
	case c.srv.cfg.TLS == nil:
		return c.fault(replyTLSMissing)
	case c.open:
		return c.fault(replyNested)
	}
	if n := c.w - c.r; n > 0 {
		c.log.Warn("octets after STARTTLS thrown away", "count", n)
	}
	c.discard()
	if err := errors.Join(c.put(replyStartTLS), c.flush()); err != nil {
		return err
	}
	if !c.handshake(ctx) {
		return errQuit // never back to clear text on the same connection
	}
	c.reset()
	c.info.Helo, c.info.Extended = "", false // RFC 3207 section 4.2
	return nil
}
