package smtp

import (
	"fmt"

	"github.com/mohar-mail/mohar/base/fault"
)

// EncodeXtext encodes octets as xtext (RFC 3461 section 4).
func EncodeXtext(s string) string {
	out := make([]byte, 0, len(s)+8)
	for i := range len(s) {
		c := s[i]
		if c < '!' || c > '~' || c == '+' || c == '=' {
			out = fmt.Appendf(out, "+%02X", c)
			continue
		}
		out = append(out, c)
	}
	return string(out)
}

// DecodeXtext decodes xtext. Errors are of kind fault.Invalid.
func DecodeXtext(s string) (string, error) {
	if !validXtext([]byte(s)) {
		return "", fault.New(fault.Invalid, "smtp.DecodeXtext", "The value is not well-formed xtext.")
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '+' {
			out = append(out, s[i])
			continue
		}
		out = append(out, unhex(s[i+1])<<4|unhex(s[i+2]))
		i += 2
	}
	return string(out), nil
}

func validXtext(b []byte) bool {
	for i := 0; i < len(b); i++ {
		c := b[i]
		if c < '!' || c > '~' || c == '=' {
			return false
		}
		if c == '+' {
			if i+2 >= len(b) || !isHex(b[i+1]) || !isHex(b[i+2]) {
				return false
			}
			i += 2
		}
	}
	return true
}

// isHex takes capitals only, as RFC 3461 section 4 asks.
func isHex(c byte) bool { return '0' <= c && c <= '9' || 'A' <= c && c <= 'F' }

func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c - 'A' + 10
}
