package pop

import (
	"bytes"
	"unicode/utf8"
)

// Everything is the limit of a Stuffer that ends with the content.
const Everything = -1

// Stuffer writes a message as a multi-line answer (RFC 1939 section 3), piece
// by piece and in memory of a fixed size: a dot before each line that begins
// with one, CRLF at the end of every line. A line that ends with a bare LF gets
// its CR: sent as it stands, a "." between bare LFs would end the answer for
// some clients, and the rest of the message could pretend to be our replies. It
// changes nothing else.
type Stuffer struct {
	lines  int // body lines still to come; Everything
	inLine bool
	length int  // octets of the line so far, without LF
	cr     bool // the last one is a CR
	body   bool
	done   bool
}

// NewStuffer makes a Stuffer that stops after the header, the empty line and so
// many lines of the body (TOP), or goes on to the end for Everything (RETR).
func NewStuffer(lines int) *Stuffer { return &Stuffer{lines: lines} }

// Append appends the next piece of the message to dst. When done is true, no
// more is wanted.
func (s *Stuffer) Append(dst, src []byte) (out []byte, done bool) {
	for len(src) > 0 && !s.done {
		if !s.inLine {
			s.inLine = true
			if src[0] == '.' {
				dst = append(dst, '.')
			}
		}
		end := bytes.IndexByte(src, '\n')
		text := src
		if end >= 0 {
			text = src[:end]
		}
		if len(text) > 0 {
			dst = append(dst, text...)
			s.length += len(text)
			s.cr = text[len(text)-1] == '\r'
		}
		if end < 0 {
			break
		}
		src = src[end+1:]
		dst = s.endLine(dst)
	}
	return dst, s.done
}

func (s *Stuffer) endLine(dst []byte) []byte {
	if !s.cr {
		dst = append(dst, '\r')
	}
	dst = append(dst, '\n')
	empty := s.length == 0 || s.length == 1 && s.cr
	switch {
	case s.body && s.lines > 0:
		s.lines--
	case !s.body && empty:
		s.body = true
	}
	s.done = s.body && s.lines == 0
	s.inLine, s.length, s.cr = false, 0, false
	return dst
}

// End appends the end of the answer, after completing a last line without one.
func (s *Stuffer) End(dst []byte) []byte {
	if s.inLine {
		dst = s.endLine(dst)
	}
	return append(dst, ".\r\n"...)
}

// NeedsUTF8 says whether the beginning of a message, its header as far as it
// is given, is in UTF-8 beyond ASCII (RFC 6532), so that only a client in UTF8
// mode may be sent it (RFC 6856 section 2.1). Octets that are no UTF-8 are older
// than that rule and no reason to keep a message back.
func NeedsUTF8(content []byte) bool {
	h := content
	if bytes.HasPrefix(h, []byte("\r\n")) || bytes.HasPrefix(h, []byte("\n")) {
		return false
	}
	for _, end := range []string{"\n\r\n", "\n\n"} {
		if i := bytes.Index(h, []byte(end)); i >= 0 {
			h = h[:i]
		}
	}
	ascii := true
	for len(h) > 0 {
		r, n := utf8.DecodeRune(h)
		if r == utf8.RuneError && n == 1 {
			// What was cut off in the middle of a character is still one.
			return !ascii && !utf8.FullRune(h)
		}
		ascii = ascii && r < utf8.RuneSelf
		h = h[n:]
	}
	return !ascii
}
