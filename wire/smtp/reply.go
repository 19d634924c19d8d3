package smtp

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// EnhancedCode is class, subject and detail of RFC 3463. The zero value means
// that there is none.
type EnhancedCode [3]uint16

// String gives "5.7.1", or "" for the zero value.
func (e EnhancedCode) String() string {
	if e == (EnhancedCode{}) {
		return ""
	}
	return string(e.append(nil))
}

func (e EnhancedCode) append(b []byte) []byte {
	b = strconv.AppendUint(b, uint64(e[0]), 10)
	b = append(b, '.')
	b = strconv.AppendUint(b, uint64(e[1]), 10)
	b = append(b, '.')
	return strconv.AppendUint(b, uint64(e[2]), 10)
}

// CutEnhanced splits an enhanced code from the start of a reply's text. Without
// one of the class given (2, 4 or 5) it returns the zero code and text as it is:
// a code that disagrees with the reply is no code (RFC 2034 section 4).
func CutEnhanced(text string, class int) (EnhancedCode, string) {
	word, rest, _ := strings.Cut(text, " ")
	var e EnhancedCode
	for i := range e {
		part, after, more := strings.Cut(word, ".")
		n, err := strconv.ParseUint(part, 10, 16)
		if err != nil || len(part) > 3 || more != (i < 2) {
			return EnhancedCode{}, text
		}
		e[i], word = uint16(n), after
	}
	if int(e[0]) != class {
		return EnhancedCode{}, text
	}
	return e, rest
}

// Reply is one SMTP reply. A Reply is also an error, for callers that meet one
// they cannot go on with.
type Reply struct {
	Code     int          // three digits, 200 to 599
	Enhanced EnhancedCode // zero when absent
	Lines    []string     // text without code, enhanced code and CRLF; never holds CR, LF or NUL
}

// NewReply makes a reply of one line, of more where text holds "\n".
func NewReply(code int, enhanced EnhancedCode, text string) *Reply {
	r := &Reply{Code: code, Enhanced: enhanced}
	if !strings.Contains(text, "\n") {
		r.Lines = []string{text}
		return r
	}
	r.Lines = strings.Split(text, "\n")
	return r
}

// Positive says that the reply is 2xx.
func (r *Reply) Positive() bool { return r.Code/100 == 2 }

// Temporary says that the reply is 4xx.
func (r *Reply) Temporary() bool { return r.Code/100 == 4 }

// Permanent says that the reply is 5xx.
func (r *Reply) Permanent() bool { return r.Code/100 == 5 }

// Text gives the lines joined by a space.
func (r *Reply) Text() string { return strings.Join(r.Lines, " ") }

// Error gives the reply on one line.
func (r *Reply) Error() string {
	s := strconv.Itoa(r.Code)
	if e := r.Enhanced.String(); e != "" {
		s += " " + e
	}
	if t := r.Text(); t != "" {
		s += " " + t
	}
	return s
}

// Append writes the reply as it goes over the wire. Lines are cleaned of
// control characters and cut, so that text which repeats a peer's words can
// neither forge a line nor break the limit of RFC 5321 section 4.5.3.1.5; a
// reply with more than MaxReplyLines lines keeps the first ones.
func (r *Reply) Append(b []byte) []byte {
	lines := r.Lines
	if len(lines) == 0 {
		lines = []string{""}
	}
	if len(lines) > MaxReplyLines {
		lines = lines[:MaxReplyLines]
	}
	for i, l := range lines {
		b = strconv.AppendInt(b, int64(r.Code), 10)
		if i < len(lines)-1 {
			b = append(b, '-')
		} else {
			b = append(b, ' ')
		}
		if r.Enhanced != (EnhancedCode{}) {
			b = append(r.Enhanced.append(b), ' ')
		}
		b = appendText(b, l)
		b = append(b, '\r', '\n')
	}
	return b
}

// maxTextOut keeps a reply line under the 512 octets of RFC 5321 section
// 4.5.3.1.5, with code, enhanced code and CRLF.
const maxTextOut = 490

func appendText(b []byte, s string) []byte {
	if len(s) > maxTextOut {
		cut := maxTextOut
		for cut > maxTextOut-4 && s[cut]&0xc0 == 0x80 { // not inside a UTF-8 character
			cut--
		}
		s = s[:cut]
	}
	for i := range len(s) {
		c := s[i]
		if c < ' ' && c != '\t' || c == 0x7f {
			c = '?'
		}
		b = append(b, c)
	}
	return b
}

// ErrReply is the error of a reply that does not follow RFC 5321 section 4.2.
var ErrReply = errors.New("malformed SMTP reply")

// ParseReplyLine reads one reply line, with or without its line end. More says
// that further lines follow. Text still holds the enhanced code.
func ParseReplyLine(line []byte) (code int, more bool, text string, err error) {
	if len(line) > MaxReplyLine {
		return 0, false, "", fmt.Errorf("%w: line of %d octets", ErrReply, len(line))
	}
	for len(line) > 0 && (line[len(line)-1] == '\n' || line[len(line)-1] == '\r') {
		line = line[:len(line)-1]
	}
	if len(line) < 3 {
		return 0, false, "", fmt.Errorf("%w: %.40q", ErrReply, line)
	}
	for _, c := range line[:3] {
		if c < '0' || c > '9' {
			return 0, false, "", fmt.Errorf("%w: %.40q", ErrReply, line)
		}
		code = code*10 + int(c-'0')
	}
	if code < 200 || code > 599 {
		return 0, false, "", fmt.Errorf("%w: code %d", ErrReply, code)
	}
	line = line[3:]
	if len(line) == 0 {
		return code, false, "", nil
	}
	if line[0] != ' ' && line[0] != '-' {
		return 0, false, "", fmt.Errorf("%w: no space after code %d", ErrReply, code)
	}
	return code, line[0] == '-', cleanText(line[1:]), nil
}

// cleanText replaces control characters, which would forge lines in logs and
// delivery reports.
func cleanText(b []byte) string {
	return string(appendCleaned(make([]byte, 0, len(b)), b))
}

func appendCleaned(dst, b []byte) []byte {
	for _, c := range b {
		if c < ' ' && c != '\t' || c == 0x7f {
			c = '?'
		}
		dst = append(dst, c)
	}
	return dst
}

// ReadReply reads one reply through next, which gives the following line with
// its line end (a slice valid until the next call). It bounds lines and their
// number and asks that all carry the same code (RFC 5321 section 4.2.1).
func ReadReply(next func() ([]byte, error)) (*Reply, error) {
	r := &Reply{}
	for {
		line, err := next()
		if err != nil {
			return nil, err
		}
		code, more, text, err := ParseReplyLine(line)
		if err != nil {
			return nil, err
		}
		if r.Code != 0 && code != r.Code {
			return nil, fmt.Errorf("%w: codes %d and %d in one reply", ErrReply, r.Code, code)
		}
		e, rest := CutEnhanced(text, code/100)
		if r.Code == 0 {
			r.Code, r.Enhanced = code, e
		}
		if e == r.Enhanced {
			text = rest
		}
		if len(r.Lines) == MaxReplyLines {
			return nil, fmt.Errorf("%w: more than %d lines", ErrReply, MaxReplyLines)
		}
		r.Lines = append(r.Lines, text)
		if !more {
			return r, nil
		}
	}
}
