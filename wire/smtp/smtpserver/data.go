package smtpserver

import (
	"context"
	"errors"
	"io"

	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/wire/smtp"
)

func (c *conn) newContent(src source) *content {
	l := &c.srv.cfg.Limits
	return &content{src: src, check: check{maxLine: l.LineLength, maxSize: l.MessageSize}}
}

// data obeys RFC 5321 section 4.1.1.4, and RFC 2033 section 4.2 for LMTP.
func (c *conn) data(ctx context.Context, arg []byte) error {
	switch {
	case len(arg) > 0:
		return c.fault(replyNoArg)
	case !c.open:
		return c.fault(replyMailFirst)
	case c.bdatDone:
		return c.fault(replyBDATOver)
	case len(c.env.To) == 0:
		return c.put(replyRcptFirst)
	}
	c.grow()
	if err := errors.Join(c.put(replyStartData), c.flush()); err != nil {
		return err
	}
	body := c.newContent(&dotSource{pace: c.newPace()})
	acc, err := c.session.Data(ctx, c.env, body)
	if e := body.drain(c.srv.cfg.Limits.DrainBytes); e != nil {
		return c.cutShort(e)
	}
	out := c.outcome(body, acc, err)
	e := c.putOutcome(&out, true)
	c.finish(out.err == nil)
	return e
}

// cutShort ends a connection whose content will not come to a true end.
func (c *conn) cutShort(err error) error {
	c.session.Reset()
	c.endTransaction()
	if errors.Is(err, errDrain) {
		return c.hangUp(replyTooMuch)
	}
	return err
}

// outcome is what became of a message.
type outcome struct {
	accepted Accepted
	err      error
	defect   *fixed
}

// outcome weighs what the session says against what the engine saw. The defect
// goes first: it is the cause of most errors that a session then reports.
func (c *conn) outcome(body *content, acc Accepted, err error) outcome {
	o := outcome{accepted: acc, err: err, defect: body.check.defect}
	switch {
	case o.defect != nil:
		if err == nil {
			c.log.Error("session accepted a message that the engine refuses", "reply", o.defect.text)
		}
		o.err = defectError(o.defect)
	case err == nil && body.err != io.EOF:
		c.log.Error("session accepted a message without reading it to the end")
		f := replyUnread
		o.defect, o.err = &f, fault.New(fault.Internal, "smtpserver.Data", f.text)
	}
	return o
}

// putOutcome answers the end of the content: one reply, or in LMTP one for each
// recipient when each is set.
func (c *conn) putOutcome(o *outcome, each bool) error {
	utf8 := c.env.SMTPUTF8
	n := 1
	if c.lmtp && each {
		n = len(c.env.To)
	}
	if o.err != nil && o.defect == nil {
		c.logRefusal(o.err, c.srv.replyTo(o.err, stageData, utf8))
	}
	for i := range n {
		var r replier
		switch {
		case o.defect != nil:
			r = *o.defect
		case o.err != nil:
			r = c.srv.replyTo(o.err, stageData, utf8)
		case c.lmtp && i < len(o.accepted.Recipients) && o.accepted.Recipients[i] != nil:
			err := o.accepted.Recipients[i]
			rr := c.srv.replyTo(err, stageData, utf8)
			c.logRefusal(err, rr)
			r = rr
		case o.accepted.Text != "":
			text := o.accepted.Text
			if !utf8 {
				text = toASCII(text)
			}
			r = smtp.NewReply(250, replyOK.enhanced, text)
		default:
			r = replyOK
		}
		if err := c.put(r); err != nil {
			return err
		}
	}
	return nil
}

// finish closes the transaction after its content.
func (c *conn) finish(accepted bool) {
	if accepted {
		c.useless = 0
	} else {
		c.session.Reset()
	}
	c.endTransaction()
}
