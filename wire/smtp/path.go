package smtp

import (
	"bytes"
	"net/netip"
	"unicode/utf8"

	"github.com/mohar-mail/mohar/base/fault"
)

func badPath(public string) error { return fault.New(fault.Invalid, "smtp.path", public) }

// The sentences of path errors that callers tell apart by nothing but text.
const (
	msgAngle   = "An address in angle brackets is needed here."
	msgLocal   = "The part of the address before the @ is not well formed."
	msgDomain  = "The domain of the address is not well formed."
	msgLong    = "The address is too long."
	msgNoAt    = "The address has no domain."
	msgLiteral = "The address literal is not well formed."
)

// ErrNeedsUTF8 is the error of an address outside ASCII in a command without
// the SMTPUTF8 parameter (RFC 6531 section 3.5: 553 with 5.6.7).
var ErrNeedsUTF8 = fault.New(fault.Invalid, "smtp.path", "An internationalized address needs the SMTPUTF8 parameter.")

// cutPath reads a Path of RFC 5321 section 4.1.2 from the start of b and gives
// the mailbox without brackets and source route, and what follows. The empty
// path "<>" gives "". Addresses outside ASCII are parsed and reported by utf.
// Spaces before "<" are taken, though not in the grammar: old clients send them.
func cutPath(b []byte) (mailbox []byte, utf bool, rest []byte, err error) {
	b = bytes.TrimLeft(b, " ")
	if len(b) < 2 || b[0] != '<' {
		return nil, false, nil, badPath(msgAngle)
	}
	b = b[1:]
	if b[0] == '@' { // source route: accepted, ignored (RFC 5321 appendix C)
		i := bytes.IndexByte(b, ':')
		if i < 0 || i > MaxDomain*2 {
			return nil, false, nil, badPath(msgAngle)
		}
		b = b[i+1:]
	}
	end := pathEnd(b)
	if end < 0 {
		return nil, false, nil, badPath(msgAngle)
	}
	mailbox, rest = b[:end], b[end+1:]
	if len(rest) > 0 && rest[0] != ' ' {
		return nil, false, nil, badPath(msgAngle)
	}
	for _, c := range mailbox {
		if c >= 0x80 {
			utf = true
			break
		}
	}
	return mailbox, utf, rest, nil
}

// pathEnd finds the ">" that is not inside a quoted string.
func pathEnd(b []byte) int {
	quoted := false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
		case c == '>' && !quoted:
			return i
		}
	}
	return -1
}

// CheckMailbox says whether m is a Mailbox of RFC 5321 section 4.1.2, with the
// additions of RFC 6531 section 3.3 for characters outside ASCII. Errors are of
// kind fault.Invalid.
func CheckMailbox(m []byte) error {
	n, err := localLen(m)
	if err != nil {
		return err
	}
	if n > MaxLocalPart {
		return badPath(msgLong)
	}
	if n == len(m) || m[n] != '@' {
		return badPath(msgNoAt)
	}
	return CheckDomain(m[n+1:])
}

// localLen gives the length of the Local-part at the start of m.
func localLen(m []byte) (int, error) {
	if len(m) == 0 {
		return 0, badPath(msgLocal)
	}
	if !utf8.Valid(m) {
		return 0, badPath("The address is not in UTF-8.")
	}
	if m[0] == '"' {
		return quotedLen(m)
	}
	atom := false
	for i, c := range m {
		switch {
		case c == '@':
			if !atom {
				return 0, badPath(msgLocal)
			}
			return i, nil
		case c == '.':
			if !atom {
				return 0, badPath(msgLocal)
			}
			atom = false
		case isAtext(c):
			atom = true
		default:
			return 0, badPath(msgLocal)
		}
	}
	return len(m), nil
}

func quotedLen(m []byte) (int, error) {
	for i := 1; i < len(m); i++ {
		switch c := m[i]; {
		case c == '"':
			return i + 1, nil
		case c == '\\':
			i++
			if i >= len(m) || m[i] < ' ' || m[i] >= 0x7f {
				return 0, badPath(msgLocal)
			}
		case c < ' ' || c == 0x7f:
			return 0, badPath(msgLocal)
		}
	}
	return 0, badPath(msgLocal)
}

// isAtext is atext of RFC 5322 section 3.2.3 and UTF8-non-ascii of RFC 6531.
func isAtext(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c >= 0x80:
		return true
	}
	return bytes.IndexByte([]byte("!#$%&'*+-/=?^_`{|}~"), c) >= 0
}

// CheckDomain says whether d is a Domain or address-literal of RFC 5321
// sections 4.1.2 and 4.1.3, or a U-label domain of RFC 6531 section 3.3.
// Errors are of kind fault.Invalid.
func CheckDomain(d []byte) error {
	if len(d) == 0 || len(d) > MaxDomain {
		return badPath(msgDomain)
	}
	if d[0] == '[' {
		return checkLiteral(d)
	}
	for label := range bytes.SplitSeq(d, []byte{'.'}) {
		if len(label) == 0 || label[0] == '-' || label[len(label)-1] == '-' {
			return badPath(msgDomain)
		}
		ascii := true
		for _, c := range label {
			switch {
			case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-':
			case c >= 0x80:
				ascii = false
			default:
				return badPath(msgDomain)
			}
		}
		// 63 octets of ASCII (RFC 1035 section 2.3.4); the length of a U-label
		// is bounded by its A-label, which is for the resolver to compute.
		if ascii && len(label) > 63 || !utf8.Valid(label) {
			return badPath(msgDomain)
		}
	}
	return nil
}

func checkLiteral(d []byte) error {
	if d[len(d)-1] != ']' {
		return badPath(msgLiteral)
	}
	s := d[1 : len(d)-1]
	if v6, ok := cutPrefixFold(s, "IPv6:"); ok {
		a, err := netip.ParseAddr(string(v6))
		if err != nil || !a.Is6() || a.Zone() != "" {
			return badPath(msgLiteral)
		}
		return nil
	}
	if a, err := netip.ParseAddr(string(s)); err != nil || !a.Is4() {
		return badPath(msgLiteral) // General-address-literal: no tag but IPv6 is registered
	}
	return nil
}

// IsASCII says that s holds no octet above 127.
func IsASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
