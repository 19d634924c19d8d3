package addr

import (
	"net/netip"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"

	"github.com/mohar-mail/mohar/base/fault"
)

// Bounds of RFC 1035 section 2.3.4, in octets of the A-label form.
const (
	MaxDomain = 253
	MaxLabel  = 63
)

// maxDomainInput bounds what is handed to IDNA processing: no name within
// MaxDomain has a longer Unicode form (a label of 63 octets of Punycode stands
// for fewer than 63 code points of at most 4 octets).
const maxDomainInput = 4 * MaxDomain

// Domain is a domain name in its two equal forms, or an address literal. The
// zero value is "no domain". Domains compare with ==.
type Domain struct {
	// ASCII is the A-label form in lower case, or the literal with its
	// brackets: the form for DNS, for comparison and for keys.
	ASCII string
	// Unicode is the U-label form in NFC: the form for people. Equal to ASCII
	// where the name has no U-label.
	Unicode string
}

// IsZero says whether there is no domain.
func (d Domain) IsZero() bool { return d.ASCII == "" }

// IsLiteral says whether d is an address literal such as "[192.0.2.1]".
func (d Domain) IsLiteral() bool { return strings.HasPrefix(d.ASCII, "[") }

// IP gives the address of an IPv4 or IPv6 literal.
func (d Domain) IP() (netip.Addr, bool) {
	if !d.IsLiteral() || !strings.HasSuffix(d.ASCII, "]") {
		return netip.Addr{}, false
	}
	s := d.ASCII[1 : len(d.ASCII)-1]
	v6 := false
	if len(s) > 5 && strings.EqualFold(s[:5], "IPv6:") {
		s, v6 = s[5:], true
	}
	ip, err := netip.ParseAddr(s)
	if err != nil || ip.Zone() != "" || ip.Is4() == v6 {
		return netip.Addr{}, false
	}
	return ip, true
}

// String gives the form for people.
func (d Domain) String() string { return d.Unicode }

// ParseDomain reads a domain name in A-label or U-label form, without a
// trailing dot, or an address literal in brackets (RFC 5321 section 4.1.3). An
// error is of kind fault.Invalid.
func ParseDomain(s string) (Domain, error) {
	if strings.HasPrefix(s, "[") {
		return parseLiteral(s)
	}
	if s == "" || len(s) > maxDomainInput {
		return Domain{}, invalid("the domain is empty or too long")
	}
	if isPlainASCII(s) {
		return parseLDH(s)
	}
	// Lookup rather than Registration: it maps case and full-width forms, and
	// refuses what IDNA2008 disallows, bidirectional tricks included.
	a, err := idna.Lookup.ToASCII(norm.NFC.String(s))
	if err != nil {
		return Domain{}, fault.Wrap(err, fault.Invalid, "addr.ParseDomain", "the domain is not a valid international domain name")
	}
	d, err := parseLDH(a)
	if err != nil {
		return Domain{}, err
	}
	u, err := idna.Lookup.ToUnicode(a)
	if err != nil || !utf8.ValidString(u) {
		return Domain{}, invalid("the domain is not a valid international domain name")
	}
	d.Unicode = norm.NFC.String(u)
	return d, nil
}

// isPlainASCII says that s needs no IDNA processing.
func isPlainASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return false
		}
		if i+3 < len(s) && (i == 0 || s[i-1] == '.') && s[i+2] == '-' && s[i+3] == '-' && s[i]|0x20 == 'x' && s[i+1]|0x20 == 'n' {
			return false
		}
	}
	return true
}

// parseLDH checks letters, digits and hyphens (RFC 5321 section 4.1.2,
// sub-domain) and folds case.
func parseLDH(s string) (Domain, error) {
	if s == "" || len(s) > MaxDomain {
		return Domain{}, invalid("the domain is empty or too long")
	}
	label, digits := 0, true
	for i := 0; i <= len(s); i++ {
		if i == len(s) || s[i] == '.' {
			if label == 0 || label > MaxLabel || s[i-1] == '-' {
				return Domain{}, invalid("a label of the domain is empty, too long or ends in a hyphen")
			}
			if i == len(s) && digits {
				// "1.2.3.4" is no name: resolvers disagree on what it means.
				return Domain{}, invalid("the domain ends in a number")
			}
			label, digits = 0, true
			continue
		}
		c := s[i]
		switch {
		case c >= '0' && c <= '9':
		case c|0x20 >= 'a' && c|0x20 <= 'z':
			digits = false
		case c == '-' && label > 0:
			digits = false
		default:
			return Domain{}, invalid("the domain has a character that is not allowed")
		}
		label++
	}
	s = strings.ToLower(s)
	return Domain{ASCII: s, Unicode: s}, nil
}

func parseLiteral(s string) (Domain, error) {
	if len(s) > MaxDomain || !strings.HasSuffix(s, "]") {
		return Domain{}, invalid("the address literal is not closed or too long")
	}
	d := Domain{ASCII: s, Unicode: s}
	ip, ok := d.IP()
	if !ok {
		// General-address-literal (a tag other than IPv6) has no registered
		// use; to accept it would only feed names to policy that mean nothing.
		return Domain{}, invalid("the address literal is not an IP address")
	}
	lit := "[" + ip.String() + "]"
	if ip.Is6() {
		lit = "[IPv6:" + ip.String() + "]"
	}
	return Domain{ASCII: lit, Unicode: lit}, nil
}

func invalid(public string) error { return fault.New(fault.Invalid, "addr", public) }
