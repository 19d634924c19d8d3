package imap

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// maxQuoted is the length above which a string is sent as a literal: some
// clients have small buffers for quoted strings.
const maxQuoted = 1024

// AppendString writes a string that came from a message: quoted where the
// grammar allows it, else as a literal. With utf8OK (the client has enabled
// UTF8=ACCEPT or IMAP4rev2) valid UTF-8 may be quoted; without it 8-bit text
// goes out as a literal, which every client can read (RFC 9051 section 4.3).
// NUL and, in a quoted string, CR and LF have no form; NUL is left out.
func AppendString(b []byte, s string, utf8OK bool) []byte {
	plain := len(s) <= maxQuoted
	eight := false
	for i := 0; i < len(s) && plain; i++ {
		switch c := s[i]; {
		case c == 0 || c == '\r' || c == '\n':
			plain = false
		case c >= 0x80:
			eight = true
		}
	}
	if plain && eight && !(utf8OK && utf8.ValidString(s)) {
		plain = false
	}
	if plain {
		return appendQuoted(b, s)
	}
	if strings.IndexByte(s, 0) >= 0 {
		s = strings.ReplaceAll(s, "\x00", "")
	}
	b = AppendLiteralHead(b, int64(len(s)), false)
	return append(b, s...)
}

func appendQuoted(b []byte, s string) []byte {
	b = append(b, '"')
	for i := 0; i < len(s); i++ {
		if s[i] == '"' || s[i] == '\\' {
			b = append(b, '\\')
		}
		b = append(b, s[i])
	}
	return append(b, '"')
}

// AppendLiteralHead writes "{n}" CRLF, or "~{n}" CRLF for content that holds NUL.
func AppendLiteralHead(b []byte, n int64, literal8 bool) []byte {
	if literal8 {
		b = append(b, '~')
	}
	b = append(b, '{')
	b = AppendNum(b, uint64(n))
	return append(b, '}', '\r', '\n')
}

// AppendAString writes s as an atom where it is one, else as AppendString does.
func AppendAString(b []byte, s string, utf8OK bool) []byte {
	if IsAtom(s) && !strings.EqualFold(s, "NIL") {
		return append(b, s...)
	}
	return AppendString(b, s, utf8OK)
}

// AppendMailbox writes a mailbox name: UTF-8 when enabled, else modified UTF-7.
func AppendMailbox(b []byte, name string, utf8OK bool) []byte {
	if !utf8OK {
		name = EncodeUTF7(name)
	}
	return AppendAString(b, name, utf8OK)
}

// AppendText writes human text after a status word: one line, no control
// characters, ASCII unless utf8OK (RFC 9051 section 9, text).
func AppendText(b []byte, s string, utf8OK bool) []byte {
	if s == "" {
		return append(b, "Done"...)
	}
	for _, r := range s {
		switch {
		case r < 0x20 || r == 0x7f:
			b = append(b, ' ')
		case r >= 0x80 && !utf8OK:
			b = append(b, '?')
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return b
}

// AppendSection writes a section with its brackets, as the client asked for it.
func AppendSection(b []byte, s Section) []byte {
	b = append(b, '[')
	for i, n := range s.Part {
		if i > 0 {
			b = append(b, '.')
		}
		b = AppendNum(b, uint64(n))
	}
	if s.Text != SectionAll && len(s.Part) > 0 {
		b = append(b, '.')
	}
	switch s.Text {
	case SectionHeader:
		b = append(b, "HEADER"...)
	case SectionHeaderFields:
		b = append(b, "HEADER.FIELDS ("...)
	case SectionHeaderFieldsNot:
		b = append(b, "HEADER.FIELDS.NOT ("...)
	case SectionBodyText:
		b = append(b, "TEXT"...)
	case SectionMIME:
		b = append(b, "MIME"...)
	}
	for i, f := range s.Fields {
		if i > 0 {
			b = append(b, ' ')
		}
		b = AppendAString(b, f, false)
	}
	if len(s.Fields) > 0 {
		b = append(b, ')')
	}
	return append(b, ']')
}

// FilterHeader gives of a header (with or without its final empty line) the
// fields whose name is in names, or with not those whose name is not, octet
// for octet and in their order, and the final empty line (RFC 9051 section
// 6.4.5.1).
func FilterHeader(header []byte, names []string, not bool) []byte {
	out := make([]byte, 0, min(len(header)+2, 1024))
	keep := false
	for len(header) > 0 {
		line := header
		if i := bytes.IndexByte(header, '\n'); i >= 0 {
			line = header[:i+1]
		}
		header = header[len(line):]
		if body := bytes.TrimRight(line, "\r\n"); len(body) == 0 {
			break
		}
		if line[0] != ' ' && line[0] != '\t' {
			name, _, _ := bytes.Cut(line, []byte(":"))
			name = bytes.TrimRight(name, " \t\r\n")
			keep = not
			for _, n := range names {
				if len(n) == len(name) && strings.EqualFold(n, string(name)) {
					keep = !not
					break
				}
			}
		}
		if keep {
			out = append(out, line...)
		}
	}
	return append(out, '\r', '\n')
}
