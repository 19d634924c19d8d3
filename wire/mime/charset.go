package mime

import (
	"io"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/ianaindex"
	"golang.org/x/text/transform"
)

// maxCharsetName bounds what is looked up as a charset.
const maxCharsetName = 64

// charsetKind parts the charsets that need no table from the others.
type charsetKind uint8

const (
	csUnlabelled charsetKind = iota // none, US-ASCII or unknown: UTF-8 if valid, else windows-1252
	csUTF8
	csTable
)

// lookupCharset finds a charset by its label. The WHATWG index goes first: it
// knows what mail means by "iso-8859-1" (windows-1252) and many aliases; the
// IANA one adds what browsers dropped.
func lookupCharset(label string) (charsetKind, encoding.Encoding) {
	label = strings.ToLower(strings.Trim(label, " \t\"'"))
	switch label {
	case "", "us-ascii", "ascii", "unknown-8bit", "x-unknown", "default", "8bit":
		return csUnlabelled, nil
	case "utf-8", "utf8", "unicode-1-1-utf-8", "utf-8-sig":
		return csUTF8, nil
	}
	if len(label) > maxCharsetName {
		return csUnlabelled, nil
	}
	if e, err := htmlindex.Get(label); err == nil && e != encoding.Replacement {
		if name, err := htmlindex.Name(e); err == nil && name == "utf-8" {
			return csUTF8, nil
		}
		return csTable, e
	}
	if e, err := ianaindex.MIME.Encoding(label); err == nil && e != nil {
		return csTable, e
	}
	return csUnlabelled, nil
}

// KnownCharset says whether text of that charset can be converted: what an IMAP
// SEARCH CHARSET or UNKNOWN-CTE answer asks.
func KnownCharset(label string) bool {
	k, _ := lookupCharset(label)
	if k != csUnlabelled {
		return true
	}
	return strings.EqualFold(label, "us-ascii") || strings.EqualFold(label, "ascii")
}

// DecodeCharset converts b to UTF-8. Text without a label, with an unknown one,
// or which calls itself US-ASCII but is not, is UTF-8 if it is valid as such and
// windows-1252 if not. The result is always valid UTF-8; octets that mean
// nothing become U+FFFD.
func DecodeCharset(label string, b []byte) string {
	if isASCIIBytes(b) && !statefulLabel(label) {
		return string(b)
	}
	kind, enc := lookupCharset(label)
	switch {
	case kind == csUTF8, kind == csUnlabelled && utf8.Valid(b):
		return strings.ToValidUTF8(string(b), "\ufffd")
	case kind == csUnlabelled:
		enc = charmap.Windows1252
	}
	out, err := enc.NewDecoder().Bytes(b)
	if err != nil {
		out = append(out, "\ufffd"...)
	}
	return strings.ToValidUTF8(string(out), "\ufffd")
}

// statefulLabel says that octets below 128 may mean other things than ASCII.
func statefulLabel(label string) bool {
	return len(label) >= 2 && (label[0]|0x20 == 'i' && label[1]|0x20 == 's' && strings.Contains(label, "2022") ||
		label[0]|0x20 == 'u' && strings.Contains(label, "16") || label[0]|0x20 == 'u' && strings.Contains(label, "32") ||
		label[0]|0x20 == 'h' && label[1]|0x20 == 'z' || label[0]|0x20 == 'c' || label[0]|0x20 == 'e' || label[0]|0x20 == 'x')
}

// NewUTF8Reader converts a stream to UTF-8, at most limit octets of the result.
// An unlabelled stream is read as UTF-8 with windows-1252 for the octets that
// are not, because a stream cannot be looked at to its end first.
func NewUTF8Reader(label string, r io.Reader, limit int64) io.Reader {
	kind, enc := lookupCharset(label)
	switch kind {
	case csTable:
		r = transform.NewReader(r, enc.NewDecoder())
	case csUTF8:
		r = transform.NewReader(r, utf8OrElse{replace: true})
	default:
		r = transform.NewReader(r, utf8OrElse{})
	}
	return io.LimitReader(r, limit)
}

// utf8OrElse passes UTF-8 and replaces octets that are not: by U+FFFD, or by
// what windows-1252 has for them.
type utf8OrElse struct{ replace bool }

func (utf8OrElse) Reset() {}

func (t utf8OrElse) Transform(dst, src []byte, atEOF bool) (nDst, nSrc int, err error) {
	for nSrc < len(src) {
		r, n := utf8.DecodeRune(src[nSrc:])
		if r == utf8.RuneError && n <= 1 {
			if !atEOF && !utf8.FullRune(src[nSrc:]) {
				return nDst, nSrc, transform.ErrShortSrc
			}
			if !t.replace {
				r = charmap.Windows1252.DecodeByte(src[nSrc])
			}
			n = 1
		}
		if nDst+utf8.RuneLen(r) > len(dst) {
			return nDst, nSrc, transform.ErrShortDst
		}
		nDst += utf8.EncodeRune(dst[nDst:], r)
		nSrc += n
	}
	return nDst, nSrc, nil
}

func isASCIIBytes(b []byte) bool {
	for len(b) >= 8 {
		if (b[0]|b[1]|b[2]|b[3]|b[4]|b[5]|b[6]|b[7])&0x80 != 0 {
			return false
		}
		b = b[8:]
	}
	for _, c := range b {
		if c&0x80 != 0 {
			return false
		}
	}
	return true
}

func isASCIIString(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i]&0x80 != 0 {
			return false
		}
	}
	return true
}
