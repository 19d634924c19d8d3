package smtpclient

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strconv"
)

// blockSize is the content read, checked and sent at once, in octets. A message
// of one block goes out in one write, and one with a defect in its first block
// is refused before the peer hears of it.
const blockSize = 64 << 10

// body reads content block by block and checks each before it may be sent.
type body struct {
	r        io.Reader
	buf      []byte
	block    []byte // checked and not yet sent
	eof      bool
	prevCR   bool // the content so far ends with CR
	lineEnd  bool // it ends with CRLF, or is empty
	eightBit bool // an octet above 127 was seen
	sevenBit bool // such an octet is an error
}

// newBody lends the client's buffer, made no longer than the content asks for;
// one octet more shows the end at the first read.
func (c *Client) newBody(r io.Reader, size int64) *body {
	n := blockSize
	if size > 0 && size < blockSize {
		n = int(size) + 1
	}
	if len(c.block) < n {
		c.block = make([]byte, n)
	}
	return &body{r: r, buf: c.block, lineEnd: true}
}

// next reads and checks another block; an empty one is the end.
func (b *body) next() error {
	b.block = b.buf[:0]
	if b.eof {
		return nil
	}
	n, err := io.ReadFull(b.r, b.buf)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		b.eof = true
	} else if err != nil {
		return err
	}
	b.block = b.buf[:n]
	if err := b.check(b.block); err != nil {
		return err
	}
	if b.eof && b.prevCR {
		return ErrBareNewline
	}
	return nil
}

// check refuses what another MTA could read as something else: a CR or LF that
// is not half of a CRLF, and NUL.
func (b *body) check(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	if bytes.IndexByte(p, 0) >= 0 {
		return ErrBareNewline
	}
	crs, pairs, lfs := bytes.Count(p, []byte{'\r'}), bytes.Count(p, []byte("\r\n")), bytes.Count(p, []byte{'\n'})
	if b.prevCR {
		if p[0] != '\n' {
			return ErrBareNewline
		}
		lfs--
	}
	endCR := p[len(p)-1] == '\r'
	if endCR {
		crs--
	}
	if crs != pairs || lfs != pairs {
		return ErrBareNewline
	}
	b.lineEnd = bytes.HasSuffix(p, []byte("\r\n")) || len(p) == 1 && p[0] == '\n' && b.prevCR
	b.prevCR = endCR
	if !b.eightBit && !isASCII(p) {
		if b.sevenBit {
			return ErrEightBit
		}
		b.eightBit = true
	}
	return nil
}

func isASCII(p []byte) bool {
	const high = 0x8080808080808080
	for ; len(p) >= 8; p = p[8:] {
		if binary.LittleEndian.Uint64(p)&high != 0 {
			return false
		}
	}
	for _, c := range p {
		if c >= 0x80 {
			return false
		}
	}
	return true
}

// abort ends a message that was half sent when its defect showed, or whose
// content could not be read on. Only the end of the connection keeps the peer
// from taking the half for the whole.
func (s *sending) abort(err error) error {
	s.c.broken = true
	_ = s.c.raw.Close()
	var m *MessageError
	if errors.As(err, &m) {
		return m
	}
	return &ConnError{StageData, s.c.host, err}
}

// lastWords looks, after a write failed in the midst of the content, for the
// reply with which the peer hung up: "552 too big" should reach the sender, not
// "broken pipe".
func (s *sending) lastWords(cause error) error {
	c := s.c
	c.broken = true
	c.deadline(c.cfg.Timeouts.Quit)
	r, err := c.reply(StageData)
	if err != nil || r.Code < 400 {
		return c.fail(StageData, cause)
	}
	s.decideGood(StageData, r)
	return nil
}

// sendDATA sends the content with dots stuffed (RFC 5321 section 4.5.2).
func (s *sending) sendDATA() error {
	c, b := s.c, s.body
	lineStart := true
	for len(b.block) > 0 {
		c.out, lineStart = appendStuffed(c.out, b.block, lineStart)
		if !b.eof {
			c.deadline(c.cfg.Timeouts.DataBlock)
			if err := c.flush(); err != nil {
				return s.lastWords(err)
			}
		}
		if err := b.next(); err != nil {
			return s.abort(err)
		}
	}
	if !b.lineEnd {
		c.line()
	}
	c.line(".")
	c.deadline(c.cfg.Timeouts.DataBlock)
	return s.finish()
}

// appendStuffed doubles the dot at the start of a line. LineStart says that the
// block begins a line, and gives the same for the next; a CRLF cut by a block's
// border counts, since a LF here always ends a CRLF.
func appendStuffed(dst, block []byte, lineStart bool) ([]byte, bool) {
	for {
		if lineStart && len(block) > 0 && block[0] == '.' {
			dst = append(dst, '.')
		}
		i := bytes.Index(block, []byte("\n."))
		if i < 0 {
			break
		}
		dst = append(dst, block[:i+1]...)
		block, lineStart = block[i+1:], true
	}
	dst = append(dst, block...)
	if len(block) > 0 {
		lineStart = block[len(block)-1] == '\n'
	}
	return dst, lineStart
}

// sendBDAT sends the content in chunks (RFC 3030 section 2). Each reply but the
// last is read before the next chunk, so a refusal stops the sending.
func (s *sending) sendBDAT() error {
	c, b := s.c, s.body
	s.stage = StageData
	for {
		n := len(b.block)
		c.out = strconv.AppendInt(append(c.out, "BDAT "...), int64(n), 10)
		if b.eof {
			c.out = append(c.out, " LAST"...)
		}
		c.line()
		c.out = append(c.out, b.block...)
		c.deadline(c.cfg.Timeouts.DataBlock)
		if b.eof {
			return s.finish()
		}
		if err := c.flush(); err != nil {
			return s.lastWords(err)
		}
		c.deadline(c.cfg.Timeouts.DataEnd)
		r, err := c.reply(StageData)
		if err != nil {
			return err
		}
		if !r.Positive() {
			s.decideGood(StageData, r)
			return nil
		}
		if err := b.next(); err != nil {
			return s.abort(err)
		}
	}
}
