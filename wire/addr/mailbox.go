package addr

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// Bounds in octets. RFC 5321 section 4.5.3.1.1 asks for at least 64 in a local
// part; addresses with an encoded return path are longer in daily mail, so more
// is accepted from others. Who provisions an address keeps to 64.
const (
	MaxLocal = 192
	MaxPath  = MaxLocal + 1 + maxDomainInput
)

// Mailbox is local-part@domain of RFC 5321 section 4.1.2 as extended by RFC
// 6531 section 3.3.
type Mailbox struct {
	// Local is the local part as it was given, but without quoting: the value
	// that `"a b"` and `"a\ b"` share. Never changed otherwise, for only the
	// receiving domain may interpret it (RFC 5321 section 2.3.11).
	Local string
	// Domain is never zero in a parsed mailbox, save for "postmaster" alone.
	Domain Domain
}

// Path is a reverse-path or forward-path: a mailbox, or null.
type Path struct {
	Mailbox Mailbox
	Null    bool // "<>"
}

// ParseMailbox reads exactly one mailbox, without angle brackets, space or
// comments around it. An error is of kind fault.Invalid.
func ParseMailbox(s string) (Mailbox, error) {
	m, rest, err := scanMailbox(s)
	if err != nil {
		return Mailbox{}, err
	}
	if rest != "" {
		return Mailbox{}, invalid("there is text after the address")
	}
	return m, nil
}

// ParsePath reads the path at the start of s, brackets included, and gives what
// follows it (the parameters of MAIL or RCPT, with their leading space). A
// source route is accepted and dropped (RFC 5321 section 4.1.1.3). "<>" is the
// null path, which the caller refuses where it is not allowed;
// "<postmaster>" in any case has no domain (section 4.1.1.3).
func ParsePath(s string) (p Path, rest string, err error) {
	if !strings.HasPrefix(s, "<") {
		return Path{}, "", invalid("the path does not start with an angle bracket")
	}
	s = s[1:]
	if strings.HasPrefix(s, ">") {
		return Path{Null: true}, s[1:], nil
	}
	if len(s) >= 11 && strings.EqualFold(s[:11], "postmaster>") {
		return Path{Mailbox: Mailbox{Local: s[:10]}}, s[11:], nil
	}
	if strings.HasPrefix(s, "@") {
		// A-d-l ":" of section 4.1.2. It must hold domains only, else a quoted
		// colon could hide the true recipient from a reader that sees less.
		i := strings.IndexByte(s, ':')
		if i < 0 || i > 4*MaxDomain {
			return Path{}, "", invalid("the source route has no end")
		}
		for _, hop := range strings.Split(s[:i], ",") {
			if !strings.HasPrefix(hop, "@") {
				return Path{}, "", invalid("the source route is malformed")
			}
			if _, err := ParseDomain(hop[1:]); err != nil {
				return Path{}, "", err
			}
		}
		s = s[i+1:]
	}
	m, rest, err := scanMailbox(s)
	if err != nil {
		return Path{}, "", err
	}
	if !strings.HasPrefix(rest, ">") {
		return Path{}, "", invalid("the path does not end with an angle bracket")
	}
	return Path{Mailbox: m}, rest[1:], nil
}

// scanMailbox reads a mailbox up to '>', space or the end.
func scanMailbox(s string) (Mailbox, string, error) {
	var local string
	var err error
	if strings.HasPrefix(s, `"`) {
		local, s, err = scanQuoted(s)
	} else {
		local, s, err = scanDotString(s)
	}
	if err != nil {
		return Mailbox{}, "", err
	}
	if len(local) > MaxLocal {
		return Mailbox{}, "", invalid("the local part is too long")
	}
	if !strings.HasPrefix(s, "@") {
		return Mailbox{}, "", invalid("the address has no domain")
	}
	s = s[1:]
	end := strings.IndexAny(s, "> \t")
	if strings.HasPrefix(s, "[") {
		end = strings.IndexByte(s, ']') + 1
	}
	if end < 0 || (end == 0 && len(s) > 0 && s[0] == '[') {
		end = len(s)
	}
	d, err := ParseDomain(s[:end])
	if err != nil {
		return Mailbox{}, "", err
	}
	return Mailbox{Local: local, Domain: d}, s[end:], nil
}

func scanDotString(s string) (local, rest string, err error) {
	i, atom := 0, 0
	for i < len(s) {
		c := s[i]
		if c == '.' {
			if atom == 0 {
				return "", "", invalid("the local part has an empty atom")
			}
			atom = 0
			i++
			continue
		}
		if c < utf8.RuneSelf {
			if !isAtext(c) {
				break
			}
			i++
		} else {
			n := safeRune(s[i:])
			if n == 0 {
				return "", "", invalid("the local part has a character that is not allowed")
			}
			i += n
		}
		atom++
		if i > MaxLocal {
			return "", "", invalid("the local part is too long")
		}
	}
	if atom == 0 {
		return "", "", invalid("the local part is empty or ends in a dot")
	}
	return s[:i], s[i:], nil
}

func scanQuoted(s string) (local, rest string, err error) {
	var b strings.Builder
	for i := 1; i < len(s) && b.Len() <= MaxLocal; {
		c := s[i]
		switch {
		case c == '"':
			return b.String(), s[i+1:], nil
		case c == '\\':
			// quoted-pairSMTP: a backslash and one of %d32-126.
			if i+1 >= len(s) || s[i+1] < ' ' || s[i+1] > '~' {
				return "", "", invalid("the quoted local part has a bad escape")
			}
			b.WriteByte(s[i+1])
			i += 2
		case c < ' ' || c == 0x7f:
			return "", "", invalid("the quoted local part has a control character")
		case c < utf8.RuneSelf:
			b.WriteByte(c)
			i++
		default:
			n := safeRune(s[i:])
			if n == 0 {
				return "", "", invalid("the local part has a character that is not allowed")
			}
			b.WriteString(s[i : i+n])
			i += n
		}
	}
	return "", "", invalid("the quoted local part has no end or is too long")
}

// safeRune gives the length of the non-ASCII character at the start of s, or 0
// for one that no address may hold: bad UTF-8, controls, spaces, and the bidi
// controls with which an address can be made to look like another.
func safeRune(s string) int {
	r, n := utf8.DecodeRuneInString(s)
	switch {
	case r == utf8.RuneError, unicode.IsControl(r), unicode.IsSpace(r), r == '\u2028', r == '\u2029',
		r >= '\u202a' && r <= '\u202e', r >= '\u2066' && r <= '\u2069', r == '\ufeff':
		return 0
	}
	return n
}

// isAtext is atext of RFC 5322 section 3.2.3, ASCII only.
func isAtext(c byte) bool {
	switch {
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		return true
	}
	return strings.IndexByte("!#$%&'*+-/=?^_`{|}~", c) >= 0
}

// String gives the mailbox with the domain as people read it, quoted where
// needed.
func (m Mailbox) String() string { return m.join(m.Domain.Unicode) }

// Wire gives the mailbox for an SMTP command or a DNS name: domain as A-labels.
// It still holds non-ASCII octets where the local part does; see NeedsUTF8.
func (m Mailbox) Wire() string { return m.join(m.Domain.ASCII) }

func (m Mailbox) join(domain string) string {
	l := QuoteLocal(m.Local)
	if domain == "" {
		return l
	}
	return l + "@" + domain
}

// NeedsUTF8 says that the local part is not ASCII, so that the next hop must
// offer SMTPUTF8: there is no ASCII form of a local part (RFC 6530 section 7.1).
func (m Mailbox) NeedsUTF8() bool { return !isASCII(m.Local) }

// Key is the look-up key of an address of our own domains: the local part in
// NFC and case-folded, "@", the domain in lower-case A-labels. Two spellings
// with one key are one mailbox. Foreign addresses are never sent to by key.
func (m Mailbox) Key() string { return foldLocal(m.Local) + "@" + m.Domain.ASCII }

func foldLocal(l string) string {
	if isASCII(l) {
		return strings.ToLower(l)
	}
	return norm.NFC.String(cases.Fold().String(norm.NFC.String(l)))
}

// SplitDetail parts a local part at the first sep, as in RFC 5233: user, and
// detail where found. A separator at the very start parts nothing, for no user
// has an empty name.
func SplitDetail(local string, sep byte) (user, detail string, found bool) {
	i := strings.IndexByte(local, sep)
	if i <= 0 {
		return local, "", false
	}
	return local[:i], local[i+1:], true
}

// QuoteLocal gives a local part as it stands in an address: bare where it is a
// dot-string, else a quoted-string.
func QuoteLocal(local string) string {
	if _, rest, err := scanDotString(local); err == nil && rest == "" {
		return local
	}
	return quote(local)
}

func quote(s string) string {
	var b strings.Builder
	b.Grow(len(s) + 2)
	b.WriteByte('"')
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c == 0x7f:
			// Never let a control character (CR, LF) out through an address.
			b.WriteByte(' ')
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
