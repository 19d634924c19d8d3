package dsn

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/mohar-mail/mohar/base/fault"
)

// maxXText bounds ENVID and ORCPT (RFC 3461 sections 4.2 and 4.4 allow 500).
const maxXText = 1000

const hexDigits = "0123456789ABCDEF"

// EncodeXText encodes for ENVID and ORCPT (RFC 3461 section 4).
func EncodeXText(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < '!' || c > '~' || c == '+' || c == '=' {
			b.Write([]byte{'+', hexDigits[c>>4], hexDigits[c&15]})
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// DecodeXText decodes xtext. An error is of kind fault.Invalid.
func DecodeXText(s string) (string, error) {
	if len(s) > maxXText {
		return "", invalid("the parameter is too long")
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '+':
			if i+2 >= len(s) {
				return "", invalid("the parameter is not valid xtext")
			}
			hi, lo := strings.IndexByte(hexDigits, s[i+1]), strings.IndexByte(hexDigits, s[i+2])
			if hi < 0 || lo < 0 {
				return "", invalid("the parameter is not valid xtext")
			}
			b.WriteByte(byte(hi<<4 | lo))
			i += 2
		case c < '!' || c > '~' || c == '=':
			return "", invalid("the parameter is not valid xtext")
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), nil
}

// ParseORCPT decodes the value of ORCPT: "rfc822;" and xtext, or "utf-8;" and
// one of the three forms of RFC 6533 section 3. An error is of kind
// fault.Invalid.
func ParseORCPT(s string) (Address, error) {
	typ, value, ok := strings.Cut(s, ";")
	if !ok || typ == "" || value == "" || strings.Trim(typ, atomChars) != "" {
		return Address{}, invalid("ORCPT needs a type, a semicolon and an address")
	}
	a := Address{Type: strings.ToLower(typ)}
	var err error
	if a.Type == "utf-8" {
		a.Addr, err = decodeUnitext(value)
	} else {
		a.Addr, err = DecodeXText(value)
	}
	return a, err
}

const atomChars = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-"

// FormatORCPT encodes for ORCPT. With utf8ok the address stands in UTF-8.
func FormatORCPT(a Address, utf8ok bool) string {
	if a.Type == "utf-8" {
		return a.Type + ";" + encodeUnitext(a.Addr, utf8ok)
	}
	return a.Type + ";" + EncodeXText(a.Addr)
}

// encodeUnitext makes utf-8-addr-unitext, or with utf8ok false its ASCII form
// utf-8-addr-xtext.
func encodeUnitext(s string, utf8ok bool) string {
	var b strings.Builder
	for _, r := range s {
		if r > '~' && utf8ok || r > ' ' && r <= '~' && r != '\\' && r != '+' && r != '=' {
			b.WriteRune(r)
			continue
		}
		h := strings.ToUpper(strconv.FormatInt(int64(r), 16))
		if len(h) < 2 {
			h = "0" + h
		}
		b.WriteString(`\x{` + h + `}`)
	}
	return b.String()
}

func decodeUnitext(s string) (string, error) {
	if len(s) > maxXText || !utf8.ValidString(s) {
		return "", invalid("the UTF-8 address is malformed")
	}
	var b strings.Builder
	for s != "" {
		i := strings.Index(s, `\x{`)
		if i < 0 {
			b.WriteString(s)
			break
		}
		b.WriteString(s[:i])
		s = s[i+3:]
		end := strings.IndexByte(s, '}')
		if end < 2 || end > 6 {
			return "", invalid("the UTF-8 address is malformed")
		}
		n, err := strconv.ParseUint(s[:end], 16, 32)
		if err != nil || !utf8.ValidRune(rune(n)) {
			return "", invalid("the UTF-8 address is malformed")
		}
		b.WriteRune(rune(n))
		s = s[end+1:]
	}
	return b.String(), nil
}

func invalid(public string) error { return fault.New(fault.Invalid, "dsn", public) }

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
