package imap

import (
	"encoding/base64"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// mutf7 is the base64 of RFC 3501 section 5.1.3: "," for "/", no padding, and
// (Strict) no stray bits at the end, so that every name has one spelling.
var mutf7 = base64.NewEncoding("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,").
	WithPadding(base64.NoPadding).Strict()

// EncodeUTF7 writes a name in modified UTF-7 (RFC 3501 section 5.1.3). Octets
// that are no UTF-8 become U+FFFD.
func EncodeUTF7(name string) string {
	plain := true
	for i := 0; i < len(name); i++ {
		if name[i] < 0x20 || name[i] > 0x7e || name[i] == '&' {
			plain = false
			break
		}
	}
	if plain {
		return name
	}
	var b strings.Builder
	var run []byte
	flush := func() {
		if len(run) > 0 {
			b.WriteByte('&')
			b.WriteString(mutf7.EncodeToString(run))
			b.WriteByte('-')
			run = run[:0]
		}
	}
	for _, r := range name {
		switch {
		case r == '&':
			flush()
			b.WriteString("&-")
		case r >= 0x20 && r <= 0x7e:
			flush()
			b.WriteByte(byte(r))
		default:
			for _, u := range utf16.AppendRune(nil, r) {
				run = append(run, byte(u>>8), byte(u))
			}
		}
	}
	flush()
	return b.String()
}

// DecodeUTF7 reads a name in modified UTF-7. It refuses what has more than one
// spelling: encoded printable ASCII, adjacent shifts, lone surrogates, 8-bit
// octets (RFC 3501 section 5.1.3: "MUST NOT be used to represent any printing
// US-ASCII character"). Two spellings of one name would be two ways past a
// name check.
func DecodeUTF7(s string) (string, error) {
	bad := &SyntaxError{What: "mailbox name is not valid modified UTF-7"}
	var b strings.Builder
	afterShift := false
	for i := 0; i < len(s); {
		c := s[i]
		if c < 0x20 || c > 0x7e {
			return "", bad
		}
		if c != '&' {
			b.WriteByte(c)
			afterShift = false
			i++
			continue
		}
		end := strings.IndexByte(s[i:], '-')
		if end < 0 {
			return "", bad
		}
		chunk := s[i+1 : i+end]
		i += end + 1
		if chunk == "" {
			b.WriteByte('&')
			afterShift = false
			continue
		}
		if afterShift {
			return "", bad
		}
		afterShift = true
		if !decodeShift(&b, chunk) {
			return "", bad
		}
	}
	return b.String(), nil
}

func decodeShift(b *strings.Builder, chunk string) bool {
	raw, err := mutf7.DecodeString(chunk)
	if err != nil || len(raw)%2 != 0 || len(raw) == 0 {
		return false
	}
	for j := 0; j < len(raw); j += 2 {
		r := rune(raw[j])<<8 | rune(raw[j+1])
		if utf16.IsSurrogate(r) {
			if j+4 > len(raw) {
				return false
			}
			r = utf16.DecodeRune(r, rune(raw[j+2])<<8|rune(raw[j+3]))
			if r == utf8.RuneError {
				return false
			}
			j += 2
		} else if r >= 0x20 && r <= 0x7e {
			return false
		}
		b.WriteRune(r)
	}
	return true
}

// CleanName checks a decoded mailbox name and gives its canonical form: INBOX
// in capitals (also as the first level of a longer name), no trailing
// delimiter, no empty level, no control characters, valid UTF-8, at most
// MaxNameLength octets.
func CleanName(name string) (string, error) {
	name = strings.TrimSuffix(name, string(Delimiter))
	switch {
	case name == "":
		return "", &SyntaxError{What: "mailbox name is empty"}
	case len(name) > MaxNameLength:
		return "", &SyntaxError{What: "mailbox name is too long"}
	case !utf8.ValidString(name):
		return "", &SyntaxError{What: "mailbox name is not valid UTF-8"}
	}
	for _, r := range name {
		// C0, DEL and C1 controls, line and paragraph separators: RFC 9051 section 5.1.
		if r < 0x20 || (r >= 0x7f && r <= 0x9f) || r == 0x2028 || r == 0x2029 {
			return "", &SyntaxError{What: "mailbox name has a control character"}
		}
	}
	levels := strings.Split(name, string(Delimiter))
	for _, l := range levels {
		if l == "" || l == "." || l == ".." {
			return "", &SyntaxError{What: "mailbox name has an empty level"}
		}
	}
	if strings.EqualFold(levels[0], "INBOX") {
		levels[0] = "INBOX"
	}
	return strings.Join(levels, string(Delimiter)), nil
}
