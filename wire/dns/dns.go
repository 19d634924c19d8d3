// Package dns asks the domain name system what mail needs to know: MX, address,
// TXT, CNAME, PTR and TLSA records, with a bounded cache in front.
//
// Owns:      the cache of answers, in memory; the sockets of queries in flight.
// Trusts:    nobody for content: an answer must match its question. The AD bit
// is believed only where Config.TrustAD says that the way to the
// validating resolver is safe (RFC 4035 section 4.9.3, RFC 6840 section 5.8).
// May touch: UDP and TCP port 53 of the configured upstreams, and nothing else.
// Standards: RFC 1034, RFC 1035, RFC 2181, RFC 2308 (negative answers),
// RFC 6698 (TLSA), RFC 6891 (EDNS), RFC 7766 (TCP).
//
// Three outcomes are kept apart, because mail treats them differently: a name
// without records of the type asked is an empty Answer and no error; a name that
// does not exist is an *Error of kind NXDomain; everything that a later attempt
// may mend is an *Error of kind Temporary.
package dns

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/net/idna"
)

// MX is one mail exchanger (RFC 5321 section 5.1).
type MX struct {
	Host string // lower-case A-label without the final dot; "" is the root, the null MX of RFC 7505
	Pref uint16 // lower is tried first
}

// TLSA is one certificate association (RFC 6698 section 2.1).
type TLSA struct {
	Usage    uint8
	Selector uint8
	Matching uint8
	Data     []byte // certificate association data; not to be changed by the reader
}

// Answer is what a question brought: no records means that the name exists, or
// may exist, but has none of the type asked.
type Answer[T any] struct {
	Records   []T
	Authentic bool // the whole answer was validated with DNSSEC by a resolver that we trust
}

// Kind says how a look-up failed.
type Kind uint8

// The kinds of failure.
const (
	Temporary Kind = iota // no server answered in time, or they answered SERVFAIL (which includes bogus DNSSEC)
	NXDomain              // the name does not exist
	Invalid               // the name cannot be asked: its form or length is wrong
)

// Error is a failed look-up.
type Error struct {
	Name  string
	Type  string // "MX", "TXT", ...
	Kind  Kind
	Cause error // may be nil; for the log
}

// Error gives the question and what became of it.
func (e *Error) Error() string {
	s := "dns: " + e.Type + " " + e.Name + ": "
	switch e.Kind {
	case NXDomain:
		s += "no such domain"
	case Invalid:
		s += "not a valid name"
	default:
		s += "temporary failure"
	}
	if e.Cause != nil {
		s += ": " + e.Cause.Error()
	}
	return s
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Cause }

// IsNXDomain says whether err means that the name does not exist.
func IsNXDomain(err error) bool { return kindIs(err, NXDomain) }

// IsTemporary says whether err may go away by itself. An error of another
// package counts as temporary: mail is never lost on what we do not understand.
func IsTemporary(err error) bool {
	if err == nil {
		return false
	}
	var e *Error
	return !errors.As(err, &e) || e.Kind == Temporary
}

func kindIs(err error, k Kind) bool {
	var e *Error
	return errors.As(err, &e) && e.Kind == k
}

// Question is one name and one record type, as an Upstream sees it.
type Question struct {
	Name string // canonical: lower-case A-labels, no final dot; "" is the root
	Type uint16 // the number of RFC 1035 section 3.2.2
}

// Reply is what an Upstream says to a Question.
type Reply struct {
	NXDomain  bool
	Authentic bool
	Records   []Record // of the type asked, after following CNAMEs
	// TTL is how long the reply may be kept: the least of its records, or that
	// of RFC 2308 section 5 for a negative one.
	TTL time.Duration
}

// Record is the value of one resource record; the field that the type of the
// question names is set.
type Record struct {
	MX   MX
	Text string // TXT: the strings joined, RFC 7208 section 3.3; CNAME and PTR: the target
	Addr netip.Addr
	TLSA TLSA
}

// Upstream answers questions. An error means a temporary failure.
// It is used by several goroutines at once.
type Upstream interface {
	Exchange(ctx context.Context, q Question) (Reply, error)
}

// maxName is the length of a name in presentation form (RFC 1035 section 2.3.4:
// 255 octets on the wire, that is 253 without the lengths at both ends).
const maxName = 253

// maxUnicodeName is the longest UTF-8 that can become a name: four octets for
// each of its characters. Beyond it the quadratic punycode is not even begun.
const maxUnicodeName = 4 * maxName

// Canonical gives name in the form under which it is asked and cached: A-labels
// in lower case without the final dot. Labels with an underscore are kept.
func Canonical(name string) (string, error) {
	name = strings.TrimSuffix(name, ".")
	if len(name) > maxUnicodeName {
		return "", &Error{Name: name[:maxName], Kind: Invalid}
	}
	if !isASCII(name) {
		// Each caller gives U-labels from mail addresses: RFC 5891 section 5.
		a, err := idna.New(idna.MapForLookup(), idna.Transitional(false), idna.StrictDomainName(false)).ToASCII(name)
		if err != nil {
			return "", &Error{Name: name, Kind: Invalid, Cause: err}
		}
		name = a
	}
	if len(name) > maxName {
		return "", &Error{Name: name[:maxName], Kind: Invalid}
	}
	label := 0
	for i := 0; i < len(name); i++ {
		switch c := name[i]; {
		case c == '.':
			if label == 0 {
				return "", &Error{Name: name, Kind: Invalid}
			}
			label = 0
			continue
		case c <= ' ' || c == 0x7f || c == '\\':
			return "", &Error{Name: name, Kind: Invalid}
		}
		if label++; label > 63 {
			return "", &Error{Name: name, Kind: Invalid}
		}
	}
	if name != "" && label == 0 {
		return "", &Error{Name: name, Kind: Invalid}
	}
	return strings.ToLower(name), nil
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
