package imapserver

import (
	"errors"
	"io"

	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/wire/imap"
)

// appendCommand is APPEND (RFC 9051 section 6.3.12). The message goes from the
// connection to the Session without being held. Whatever fails, the literal of
// a client that does not wait is read, so that the next command is found.
func (c *conn) appendCommand(r *imap.CommandReader, cmd imap.Command, lit *imap.Literal) error {
	a := cmd.Args.(*imap.Append)
	if why := c.allowed(signedIn); why != "" {
		return c.refuseLiteral(r, a, lit, func() error { c.reply(cmd.Tag, "BAD", "", why); return c.bad() })
	}
	c.badInRow = 0
	switch {
	case lit.Size > c.s.cfg.MaxMessage:
		return c.refuseLiteral(r, a, lit, func() error {
			c.reply(cmd.Tag, "NO", "TOOBIG", "Message is larger than the server takes")
			return nil
		})
	case a.UTF8 && !c.utf8:
		return c.refuseLiteral(r, a, lit, func() error {
			c.reply(cmd.Tag, "BAD", "", "ENABLE UTF8=ACCEPT first") // RFC 6855 section 4
			return c.bad()
		})
	}
	ctx := c.s.ctx
	w, err := c.sess.Append(ctx, a.Name, lit.Size)
	if err != nil {
		return c.refuseLiteral(r, a, lit, func() error { return c.appendFailed(cmd, err) })
	}
	if !lit.NonSync {
		if err := r.Continue(); err != nil {
			w.Abort()
			return err
		}
	}
	// A failed write must not stop the reading: the octets are on their way.
	sink := &faultWriter{w: w}
	if _, err := io.CopyN(sink, c.reader(), lit.Size); err != nil {
		w.Abort()
		return noEOF(err)
	}
	ok, err := r.AfterLiteral(a.UTF8)
	if err != nil || !ok {
		w.Abort()
		if err == nil {
			err = c.syntax(cmd, &imap.SyntaxError{What: "end of command expected after the message"})
		}
		return err
	}
	c.touch()
	if sink.err != nil {
		w.Abort()
		return c.appendFailed(cmd, sink.err)
	}
	validity, uid, err := w.Commit(ctx, AppendOptions{Flags: a.Flags, Received: a.Date})
	if err != nil {
		return c.appendFailed(cmd, err)
	}
	if c.sel != nil {
		c.dirty.Store(true)
	}
	b := imap.AppendNum([]byte("APPENDUID "), uint64(validity))
	b = imap.AppendNum(append(b, ' '), uint64(uid))
	return c.done(ctx, cmd, string(b), "Appended")
}

func (c *conn) appendFailed(cmd imap.Command, err error) error {
	if fault.Is(err, fault.NotFound) {
		c.reply(cmd.Tag, "NO", "TRYCREATE", "There is no such mailbox")
		return nil
	}
	return c.fail(cmd.Tag, err)
}

// refuseLiteral answers instead of "+", or after the octets that come unasked.
func (c *conn) refuseLiteral(r *imap.CommandReader, a *imap.Append, lit *imap.Literal, answer func() error) error {
	if lit.NonSync {
		if err := r.Drop(lit); err != nil {
			return err
		}
		if _, err := r.AfterLiteral(a.UTF8); err != nil {
			return err
		}
	}
	return answer()
}

// faultWriter keeps the first error and takes everything after it.
type faultWriter struct {
	w   io.Writer
	err error
}

// Write implements io.Writer; it never fails.
func (f *faultWriter) Write(p []byte) (int, error) {
	if f.err == nil {
		_, f.err = f.w.Write(p)
	}
	return len(p), nil
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
