package smtpserver

import (
	"context"
	"errors"
	"io"

	"github.com/mohar-mail/mohar/wire/smtp"
)

// errAborted ends the content of a BDAT sequence that another command broke off.
var errAborted = errors.New("BDAT sequence broken off")

// bdatSource reads the content of a sequence of BDAT commands (RFC 3030 section
// 2). The session reads one stream; between two chunks the source itself answers
// the finished chunk and reads the commands up to the next one, so no second
// goroutine is needed.
type bdatSource struct {
	pace
	left    int64 // of the chunk
	last    bool
	aborted error
}

func (s *bdatSource) next() ([]byte, error) {
	c := s.c
	for s.left == 0 {
		switch {
		case s.aborted != nil:
			return nil, s.aborted
		case s.last:
			return nil, errEnd
		}
		if s.aborted = s.nextChunk(); s.aborted != nil {
			return nil, s.aborted
		}
	}
	if c.r == c.w {
		if err := s.fill(); err != nil {
			s.aborted, s.left = err, 0
			return nil, err
		}
	}
	b := c.buf[c.r:c.w]
	if int64(len(b)) > s.left {
		b = b[:s.left]
	}
	c.r += len(b)
	s.left -= int64(len(b))
	return b, nil
}

// nextChunk answers the chunk that is over and obeys commands until the next
// BDAT. What ends the transaction is left to the main loop.
func (s *bdatSource) nextChunk() error {
	c := s.c
	if err := c.put(replyOK); err != nil {
		return err
	}
	for {
		line, err := c.command()
		if err == io.EOF {
			return io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
		if line == nil {
			continue
		}
		verb, arg := smtp.ParseCommand(line)
		switch verb {
		case smtp.BDAT:
			size, last, err := smtp.ParseBDAT(arg)
			if err != nil { // where the chunk ends is unknown: nothing after can be read safely
				return c.hangUp(c.srv.replyTo(err, stageAddress, false))
			}
			c.grow()
			s.left, s.last = size, last
			return nil
		case smtp.MAIL, smtp.RCPT, smtp.DATA:
			err = c.fault(replyInBDAT)
		case smtp.NOOP, smtp.HELP, smtp.VRFY, smtp.EXPN, smtp.Unknown:
			if c.useless++; c.useless > c.srv.cfg.Limits.IdleCommands {
				return c.hangUp(replyTooManyErrs)
			}
			err = c.aside(verb)
		default:
			c.pending, c.hasPend = append([]byte(nil), line...), true
			return errAborted
		}
		if err != nil {
			return err
		}
	}
}

// bdat obeys the first BDAT of a message, or one that is out of place.
func (c *conn) bdat(ctx context.Context, arg []byte) error {
	size, last, err := smtp.ParseBDAT(arg)
	if err != nil { // the chunk that follows cannot be told from commands
		return c.hangUp(c.srv.replyTo(err, stageAddress, false))
	}
	switch {
	case !c.open:
		return c.skipChunk(size, &replyMailFirst)
	case c.bdatDone:
		return c.skipChunk(size, &replyBDATOver)
	case len(c.env.To) == 0 && c.lmtp && last: // RFC 2033 section 4.3: no recipient, no reply
		return c.skipChunk(size, nil)
	case len(c.env.To) == 0:
		return c.skipChunk(size, &replyRcptFirst)
	case size > c.srv.cfg.Limits.MessageSize:
		return c.tooBigChunk(size, last)
	}
	c.grow()
	src := &bdatSource{pace: c.newPace(), left: size, last: last}
	body := c.newContent(src)
	acc, serr := c.session.Data(ctx, c.env, body)
	if !body.ended && src.aborted == nil {
		// The session gave up inside a chunk: read that one to its end and
		// answer it; later ones get 503 until RSET.
		if e := body.drainChunk(src, c.srv.cfg.Limits.DrainBytes); e != nil {
			return c.cutShort(e)
		}
	}
	switch {
	case errors.Is(src.aborted, errAborted):
		c.session.Reset()
		c.endTransaction()
		return nil // the command that broke it off is pending
	case src.aborted != nil:
		return c.cutShort(src.aborted)
	}
	out := c.outcome(body, acc, serr)
	e := c.putOutcome(&out, src.last)
	if src.last {
		c.finish(out.err == nil)
		return e
	}
	c.session.Reset()
	c.bdatDone = true
	return e
}

// drainChunk reads the present chunk to its end, but asks for no other.
func (k *content) drainChunk(s *bdatSource, limit int64) error {
	k.rest = nil
	if s.left > limit {
		return errDrain
	}
	for s.left > 0 {
		b, err := s.next()
		if err != nil {
			return err
		}
		k.check.span(b)
	}
	if s.last {
		k.check.end()
	}
	return nil
}

// tooBigChunk refuses a first chunk that is over the limit by itself.
func (c *conn) tooBigChunk(size int64, last bool) error {
	n := 1
	if c.lmtp && last {
		n = len(c.env.To)
	}
	if err := c.skipChunk(size, &replyTooBig); err != nil {
		return err
	}
	for range n - 1 {
		if err := c.put(replyTooBig); err != nil {
			return err
		}
	}
	if last {
		c.finish(false)
		return nil
	}
	c.session.Reset()
	c.bdatDone = true
	return nil
}

// skipChunk reads a chunk that nobody wants, since the client sends it without
// waiting (RFC 3030 section 4.2), and answers it.
func (c *conn) skipChunk(size int64, r *fixed) error {
	if size > c.srv.cfg.Limits.DrainBytes {
		return c.hangUp(replyTooMuch)
	}
	c.grow()
	s := &bdatSource{pace: c.newPace(), left: size, last: true}
	for {
		_, err := s.next()
		if err == errEnd {
			break
		}
		if err != nil {
			return err
		}
	}
	if r == nil {
		return nil
	}
	return c.fault(*r)
}
