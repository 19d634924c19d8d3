package smtpserver

import (
	"bytes"
	"errors"
	"io"
	"time"

	"github.com/mohar-mail/mohar/base/fault"
)

// check watches the octets of a message for what no message may hold. Its state
// runs over the borders of buffers and chunks.
type check struct {
	maxLine int
	maxSize int64

	total   int64
	line    int    // octets of the line so far
	prevCR  bool   // the last octet was a CR
	balance int    // CRs minus LFs: each LF must follow a CR, so any surplus is a bare CR
	defect  *fixed // the first defect
}

// span takes the next octets and says whether all is well so far.
func (k *check) span(b []byte) bool {
	if len(b) == 0 || k.defect != nil {
		return k.defect == nil
	}
	k.total += int64(len(b))
	if k.total > k.maxSize {
		return k.fail(replyTooBig)
	}
	if bytes.IndexByte(b, 0) >= 0 {
		return k.fail(replyNUL)
	}
	k.balance += bytes.Count(b, []byte{'\r'})
	for at := 0; ; {
		i := bytes.IndexByte(b[at:], '\n')
		if i < 0 {
			k.line += len(b) - at
			break
		}
		lf := at + i
		if lf > 0 && b[lf-1] != '\r' || lf == 0 && !k.prevCR {
			return k.fail(replyBareNewline)
		}
		if k.line+i > k.maxLine+1 { // the CR is counted in
			return k.fail(replyLongText)
		}
		k.balance--
		k.line, at = 0, lf+1
	}
	k.prevCR = b[len(b)-1] == '\r'
	if k.balance > 1 || k.balance == 1 && !k.prevCR {
		return k.fail(replyBareNewline)
	}
	if k.line > k.maxLine+1 {
		return k.fail(replyLongText)
	}
	return true
}

// end says whether the message may end here.
func (k *check) end() bool {
	if k.defect == nil && k.prevCR {
		return k.fail(replyBareNewline)
	}
	return k.defect == nil
}

func (k *check) fail(f fixed) bool {
	k.defect = &f
	return false
}

// source gives the content's octets piece by piece; a piece is valid until the
// next call. It ends with errEnd at the true end of the content and nowhere
// else: an io.EOF is a connection that broke.
type source interface {
	next() ([]byte, error)
}

// content is the reader that a Session sees.
type content struct {
	src   source
	check check
	rest  []byte // of the last piece
	err   error  // what every further Read gives
	ended bool   // the source was read to its end
	lost  error  // the source failed: no true end will come
}

// piece gives the next octets that passed the check.
func (k *content) piece() ([]byte, error) {
	if k.err != nil {
		return nil, k.err
	}
	for {
		b, err := k.src.next()
		switch {
		case err == errEnd:
			k.ended = true
			k.err = io.EOF
			if !k.check.end() {
				k.err = defectError(k.check.defect)
			}
			return nil, k.err
		case err != nil:
			k.lost = err
			k.err = fault.Wrap(err, fault.Unavailable, "smtpserver.Data", "The message was cut short.")
			return nil, k.err
		}
		if !k.check.span(b) {
			k.err = defectError(k.check.defect)
			return nil, k.err
		}
		if len(b) > 0 {
			return b, nil
		}
	}
}

func defectError(f *fixed) error {
	kind := fault.Invalid
	if f.enhanced == replyTooBig.enhanced {
		kind = fault.TooLarge
	}
	return fault.New(kind, "smtpserver.Data", f.text)
}

// Read implements io.Reader.
func (k *content) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if len(k.rest) == 0 {
		b, err := k.piece()
		if err != nil {
			return 0, err
		}
		k.rest = b
	}
	n := copy(p, k.rest)
	k.rest = k.rest[n:]
	return n, nil
}

// WriteTo implements io.WriterTo: the octets go from the connection's buffer to
// w without a copy between.
func (k *content) WriteTo(w io.Writer) (int64, error) {
	var total int64
	b := k.rest
	k.rest = nil
	for {
		if len(b) > 0 {
			n, err := w.Write(b)
			total += int64(n)
			if err != nil {
				return total, err
			}
		}
		var err error
		if b, err = k.piece(); err == io.EOF {
			return total, nil
		} else if err != nil {
			return total, err
		}
	}
}

// errEnd is the true end of a message's content.
var errEnd = errors.New("end of content")

// errDrain says that a refused message is longer than we care to read.
var errDrain = errors.New("refused message exceeds the bound of draining")

// drain reads on to the true end, for a session that stopped early or a message
// with a defect. The first defect found on the way stands.
func (k *content) drain(limit int64) error {
	k.rest = nil
	for n := int64(0); !k.ended; {
		if k.lost != nil {
			return k.lost
		}
		b, err := k.src.next()
		switch {
		case err == errEnd:
			k.ended = true
			k.check.end()
			return nil
		case err != nil:
			k.lost = err
			return err
		}
		k.check.span(b)
		if n += int64(len(b)); n > limit {
			return errDrain
		}
	}
	return nil
}

// pace sets the deadline for the next octets of content: a block must come
// within DataBlock, and the whole at MinRate once DataGrace is over, so that
// nobody holds a connection for hours by one octet a minute.
type pace struct {
	c     *conn
	start time.Time
	base  int64 // octets read when the content began
}

func (c *conn) newPace() pace {
	return pace{c: c, start: c.now(), base: c.got}
}

func (p *pace) fill() error {
	t, l := &p.c.srv.cfg.Timeouts, &p.c.srv.cfg.Limits
	by := p.c.now().Add(t.DataBlock)
	earned := time.Duration((p.c.got-p.base)/l.MinRate) * time.Second
	if whole := p.start.Add(t.DataGrace + earned); whole.Before(by) {
		by = whole
	}
	p.c.setRead(by)
	err := p.c.fill()
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// dotSource reads the content of DATA: RFC 5321 sections 4.1.1.4 and 4.5.2.
type dotSource struct {
	pace
	inLine bool // the next octet is not the first of a line
	ended  bool
}

// next gives octets up to the next line that starts with a dot, or what the
// buffer holds. Only CRLF ends a line here, so "\n.\r\n", "\r.\r\n" and their
// like stay content, which check then refuses.
func (s *dotSource) next() ([]byte, error) {
	if s.ended {
		return nil, errEnd
	}
	c := s.c
	for {
		b := c.buf[c.r:c.w]
		if len(b) == 0 {
			if err := s.fill(); err != nil {
				return nil, err
			}
			continue
		}
		if !s.inLine && b[0] == '.' {
			if len(b) < 3 && (len(b) == 1 || b[1] == '\r') {
				if err := s.fill(); err != nil {
					return nil, err
				}
				continue
			}
			if b[1] == '\r' && b[2] == '\n' {
				c.r += 3
				s.ended = true
				return nil, errEnd
			}
			c.r++
			b = b[1:]
		}
		s.inLine = true
		if i := bytes.Index(b, []byte("\r\n.")); i >= 0 {
			c.r += i + 2
			s.inLine = false
			return b[:i+2], nil
		}
		n := len(b)
		if b[n-1] == '\r' { // is it a line's end? Keep it until we know.
			if n == 1 {
				if err := s.fill(); err != nil {
					return nil, err
				}
				continue
			}
			n--
		} else if n >= 2 && b[n-1] == '\n' && b[n-2] == '\r' {
			s.inLine = false
		}
		c.r += n
		return b[:n], nil
	}
}
