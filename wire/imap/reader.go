package imap

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strconv"
)

// Literal is a literal's announcement at the end of a line.
type Literal struct {
	Size    int64
	NonSync bool // {n+}: the client does not wait (RFC 7888)
	Binary  bool // ~{n}: literal8 (RFC 3516 section 4.4)
	offset  int  // octet of the line at which the announcement starts
}

// Limits bound one command.
type Limits struct {
	Command int   // octets of a command in memory, literals included
	Discard int64 // octets of an unwanted literal that are read and dropped before we give up
}

// LimitError is a command over its limits that has been read to its end and
// dropped; the connection is in step and may go on. Tag is "" when it could
// not be read.
type LimitError struct{ Tag string }

// Error gives the sentence for the client.
func (e *LimitError) Error() string { return "Command is too long" }

// ErrFlood is a command so far over its limits that reading it to its end
// would cost more than the connection is worth: say BYE and close.
var ErrFlood = errors.New("command is far over its limits")

// CommandReader cuts a stream into commands.
type CommandReader struct {
	R      *bufio.Reader
	Limits Limits
	// Continue is called when the client waits for "+" before a synchronizing literal.
	Continue func() error
	UTF8     bool // as Parser.UTF8
}

// Read appends one command to buf: its octets without the final CRLF, literals
// in line after their announcement. When the command is an APPEND, it stops
// before the message literal and returns that literal: the caller reads its
// octets, then the rest by AfterLiteral. A *LimitError leaves the stream in
// step; any other error is final.
func (r *CommandReader) Read(buf []byte) (cmd []byte, message *Literal, err error) {
	over := false
	for {
		start := len(buf)
		var lit Literal
		var isLit, long bool
		buf, lit, isLit, long, err = r.line(buf)
		if err != nil {
			return buf, nil, err
		}
		over = over || long
		if !isLit {
			if over {
				return buf, nil, &LimitError{Tag: tagOf(buf)}
			}
			return trimEOL(buf), nil, nil
		}
		if !over {
			prefix := buf[:start+lit.offset]
			if r.isAppend(prefix) {
				return prefix, &lit, nil
			}
			over = lit.Size > int64(r.Limits.Command-len(buf))
		}
		if over {
			if !lit.NonSync {
				// The client waits for our word and gets BAD instead of "+".
				return buf, nil, &LimitError{Tag: tagOf(buf)}
			}
			if err := r.discard(lit.Size); err != nil {
				return buf, nil, err
			}
			continue
		}
		if !lit.NonSync {
			if err := r.Continue(); err != nil {
				return buf, nil, err
			}
		}
		at := len(buf)
		buf = append(buf, make([]byte, lit.Size)...)
		if _, err := io.ReadFull(r.R, buf[at:]); err != nil {
			return buf, nil, noEOF(err)
		}
	}
}

// line appends one line with its LF to buf. Of a line over the limit only its
// start is kept, but a literal announced at its end is still found.
func (r *CommandReader) line(buf []byte) (out []byte, lit Literal, isLit, long bool, err error) {
	start := len(buf)
	var tail []byte // the end of an overlong line
	var dropped int64
	for {
		chunk, err := r.R.ReadSlice('\n')
		if err != nil && err != bufio.ErrBufferFull {
			if err == io.EOF && (len(chunk) > 0 || start > 0) {
				err = io.ErrUnexpectedEOF
			}
			return buf, lit, false, false, err
		}
		if !long && len(buf)+len(chunk) > r.Limits.Command {
			long = true
		}
		if long {
			tail = append(tail, chunk...)
			if len(tail) > literalTail {
				tail = append(tail[:0], tail[len(tail)-literalTail:]...)
			}
			if dropped += int64(len(chunk)); dropped > max(r.Limits.Discard, int64(r.Limits.Command)) {
				return buf, lit, false, true, ErrFlood
			}
		} else {
			buf = append(buf, chunk...)
		}
		if err == nil {
			break
		}
	}
	if long {
		lit, isLit = literalAtEnd(tail)
		return buf, lit, isLit, true, nil
	}
	lit, isLit = literalAtEnd(buf[start:])
	return buf, lit, isLit, false, nil
}

// literalTail is more than the longest literal announcement.
const literalTail = 32

func (r *CommandReader) isAppend(prefix []byte) bool {
	// The cheap test first: most literals belong to other commands.
	i := bytes.IndexByte(prefix, ' ')
	if i < 0 || len(prefix) < i+8 || !bytes.EqualFold(prefix[i+1:i+8], []byte("APPEND ")) {
		return false
	}
	p := NewParser(prefix)
	p.UTF8 = r.UTF8
	c, err := ParseCommand(p)
	return err == nil && c.Name == "APPEND"
}

func (r *CommandReader) discard(n int64) error {
	if n > r.Limits.Discard {
		return ErrFlood
	}
	_, err := io.CopyN(io.Discard, r.R, n)
	return noEOF(err)
}

// AfterLiteral reads what follows APPEND's message literal: CRLF, or ")" CRLF
// in the UTF8 form. ok is false when anything else stood there; it has been
// read then, further literals included.
func (r *CommandReader) AfterLiteral(utf8 bool) (ok bool, err error) {
	rest, _, err := r.Read(nil)
	var le *LimitError
	if errors.As(err, &le) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if utf8 {
		return string(rest) == ")", nil
	}
	return len(rest) == 0, nil
}

// Drop reads and forgets the octets of a literal that nobody wants.
func (r *CommandReader) Drop(lit *Literal) error { return r.discard(lit.Size) }

func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

func trimEOL(b []byte) []byte {
	b = bytes.TrimSuffix(b, []byte("\n"))
	return bytes.TrimSuffix(b, []byte("\r"))
}

func tagOf(b []byte) string {
	t, err := NewParser(b).Tag()
	if err != nil {
		return ""
	}
	return t
}

// literalAtEnd finds a literal announcement at the end of a line that ends in LF.
func literalAtEnd(line []byte) (lit Literal, ok bool) {
	b := trimEOL(line)
	if len(b) < 3 || b[len(b)-1] != '}' {
		return lit, false
	}
	open := bytes.LastIndexByte(b, '{')
	if open < 0 {
		return lit, false
	}
	digits := b[open+1 : len(b)-1]
	if n := len(digits); n > 0 && digits[n-1] == '+' {
		lit.NonSync = true
		digits = digits[:n-1]
	}
	if len(digits) == 0 || len(digits) > 19 {
		return lit, false
	}
	for _, c := range digits {
		if c < '0' || c > '9' {
			return lit, false
		}
	}
	n, err := strconv.ParseInt(string(digits), 10, 64)
	if err != nil {
		return lit, false
	}
	lit.Size, lit.offset = n, open
	if open > 0 && b[open-1] == '~' {
		lit.Binary = true
		lit.offset--
	}
	return lit, true
}
