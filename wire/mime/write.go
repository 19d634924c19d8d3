package mime

import (
	"encoding/hex"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/wire/addr"
)

// Line lengths of RFC 5322 section 2.1.1, without the line end.
const (
	foldAt  = 78
	maxLine = 998
)

// AppendField appends a field, folded at its spaces, with CRLF. value is what
// stands after the colon: no line ends, and as encoded as it has to be. An error
// is of kind fault.Invalid: a bad name, a control character (by which a value
// could bring in a field of its own), or a word too long for a line.
func AppendField(dst []byte, name, value string) ([]byte, error) {
	if fieldName([]byte(name)) == nil || strings.IndexByte(name, ':') >= 0 || len(name) > foldAt-2 {
		return dst, fault.New(fault.Invalid, "mime.AppendField", "the name of a header field is malformed")
	}
	for i := 0; i < len(value); i++ {
		if c := value[i]; c < ' ' && c != '\t' || c == 0x7f {
			return dst, fault.New(fault.Invalid, "mime.AppendField", "a header value has a control character")
		}
	}
	value = strings.Trim(value, " \t")
	dst = append(append(dst, name...), ':')
	used := len(name) + 1
	for first := true; value != ""; first = false {
		// A piece is white space and the word after it. The white space of a fold
		// is part of the value: unfolding gives back exactly what was given.
		n := len(value) - len(strings.TrimLeft(value, " \t"))
		if k := strings.IndexAny(value[n:], " \t"); k >= 0 {
			n += k
		} else {
			n = len(value)
		}
		piece := value[:n]
		value = value[n:]
		if first {
			piece = " " + piece
		}
		if len(piece) > maxLine {
			return dst, fault.New(fault.Invalid, "mime.AppendField", "a header value has a word too long for a line")
		}
		if used+len(piece) > foldAt && (!first || used+len(piece) > maxLine) {
			dst = append(dst, "\r\n"...)
			used = 0
		}
		dst = append(dst, piece...)
		used += len(piece)
	}
	return append(dst, "\r\n"...), nil
}

// Prepend gives fields, each whole and ending in CRLF as AppendField makes them,
// followed by the untouched content: the way to add Received, Return-Path and
// Authentication-Results.
func Prepend(content []byte, fields ...[]byte) []byte {
	n := len(content)
	for _, f := range fields {
		n += len(f)
	}
	out := make([]byte, 0, n)
	for _, f := range fields {
		out = append(out, f...)
	}
	return append(out, content...)
}

// FormatDate gives a Date value (RFC 5322 section 3.3).
func FormatDate(t time.Time) string { return t.Format("Mon, 2 Jan 2006 15:04:05 -0700") }

// randomToken gives 128 bits as hexadecimal digits.
func randomToken(rand io.Reader) (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(rand, b[:]); err != nil {
		return "", fault.Wrap(err, fault.Unavailable, "mime.randomToken", "no randomness")
	}
	return hex.EncodeToString(b[:]), nil
}

// NewMessageID gives a msg-id with its brackets that nobody can guess.
func NewMessageID(domain string, rand io.Reader) (string, error) {
	t, err := randomToken(rand)
	if err != nil {
		return "", err
	}
	return "<" + t + "@" + domain + ">", nil
}

// FormatAddresses gives the value of an address field. With utf8ok names and
// addresses stand in UTF-8 (RFC 6532); without, names become encoded-words,
// domains A-labels, and a local part that is not ASCII is an error of kind
// fault.Invalid, for it has no other form.
func FormatAddresses(list []addr.Address, utf8ok bool) (string, error) {
	var b strings.Builder
	comma := false
	for _, a := range list {
		if a.Kind == addr.GroupEnd {
			b.WriteByte(';')
			comma = true
			continue
		}
		if comma {
			b.WriteString(", ")
		}
		if a.Kind == addr.GroupStart {
			b.WriteString(formatPhrase(a.Name, utf8ok) + ": ")
			comma = false
			continue
		}
		spec, err := formatSpec(a, utf8ok)
		if err != nil {
			return "", err
		}
		if a.Name != "" {
			b.WriteString(formatPhrase(a.Name, utf8ok) + " <" + spec + ">")
		} else {
			b.WriteString(spec)
		}
		comma = true
	}
	return b.String(), nil
}

func formatSpec(a addr.Address, utf8ok bool) (string, error) {
	m, err := a.Mailbox()
	if err != nil {
		return "", err
	}
	if utf8ok {
		return m.String(), nil
	}
	if m.NeedsUTF8() {
		return "", fault.New(fault.Invalid, "mime.FormatAddresses", "the address "+m.String()+" needs a mail system that takes UTF-8 addresses")
	}
	return m.Wire(), nil
}

// formatPhrase gives a display name as atoms, quoted-string or encoded-words
// (RFC 5322 section 3.2.5, RFC 2047 section 5 (3)).
func formatPhrase(s string, utf8ok bool) string {
	s = cleanText(strings.ToValidUTF8(s, "\ufffd"))
	ascii := isASCIIString(s)
	if !utf8ok && (!ascii || strings.Contains(s, "=?")) {
		return encodeWords(s)
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; c != ' ' && (c < utf8.RuneSelf && !isAtom(c)) || (c == ' ' && (i == 0 || i == len(s)-1)) {
			return quoteString(s)
		}
	}
	if s == "" {
		return `""`
	}
	return s
}

func isAtom(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("!#$%&'*+-/=?^_`{|}~", c) >= 0
}

func quoteString(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

const (
	maxPlainParam   = 70 // longer values are split, to leave room on a line
	maxParamSegment = 50
)

// EncodeParam gives a parameter as the names and values to write in an ASCII
// header: as it is, or extended and, where it is long, split (RFC 2231 sections
// 3 and 4). Values are not quoted yet.
func EncodeParam(name, value string) []Param {
	value = cleanText(strings.ToValidUTF8(value, "\ufffd"))
	if isASCIIString(value) && len(value) <= maxPlainParam {
		return []Param{{name, value}}
	}
	ext := ExtendedValue(value)
	if len(ext) <= maxPlainParam {
		return []Param{{name + "*", ext}}
	}
	var out []Param
	for ext != "" {
		n := min(maxParamSegment, len(ext))
		// Never cut a triple in two.
		for n < len(ext) && n > 2 && (ext[n-1] == '%' || ext[n-2] == '%') {
			n--
		}
		out = append(out, Param{name + "*" + itoa(len(out)) + "*", ext[:n]})
		ext = ext[n:]
	}
	return out
}

func itoa(n int) string {
	if n >= 10 {
		return itoa(n/10) + string(rune('0'+n%10))
	}
	return string(rune('0' + n))
}

// ExtendedValue gives the extended-value of RFC 2231 section 4 for UTF-8: what
// BODYSTRUCTURE shows under "name*" to a client that takes only ASCII.
func ExtendedValue(value string) string {
	var b strings.Builder
	b.WriteString("utf-8''")
	for i := 0; i < len(value); i++ {
		c := value[i]
		if isAtom(c) && c != '*' && c != '\'' && c != '%' && c != '?' && c != '=' && c != '/' || c == '.' {
			b.WriteByte(c)
			continue
		}
		const digits = "0123456789ABCDEF"
		b.Write([]byte{'%', digits[c>>4], digits[c&15]})
	}
	return b.String()
}

// formatParams gives "; name=value" for each parameter.
func formatParams(list []Param, utf8ok bool) string {
	var b strings.Builder
	for _, p := range list {
		enc := []Param{{p.Name, cleanText(strings.ToValidUTF8(p.Value, "\ufffd"))}}
		if !utf8ok || len(p.Value) > maxPlainParam {
			enc = EncodeParam(p.Name, p.Value)
		}
		for _, e := range enc {
			v := e.Value
			if !isToken(v) && !strings.HasSuffix(e.Name, "*") {
				v = quoteString(v)
			}
			b.WriteString("; " + e.Name + "=" + v)
		}
	}
	return b.String()
}
