// Package dmarc says whether the domain that a reader sees in From is the one
// that was authenticated, and what its owner wants done if not.
//
// Owns:      nothing.
// Trusts:    the published record for the owner's wish; nobody else.
// May touch: the resolver it is given.
// Standards: RFC 7489; the tags np and t of its successor (DMARCbis).
package dmarc

import (
	"errors"
	"strconv"
	"strings"
)

// Policy is what a domain owner asks for (RFC 7489 section 6.3).
type Policy string

// The policies.
const (
	PolicyNone       Policy = "none"
	PolicyQuarantine Policy = "quarantine"
	PolicyReject     Policy = "reject"
)

// Record is a DMARC policy record.
type Record struct {
	Policy      Policy // p=
	Subdomain   Policy // sp=, or p= where absent
	NonExistent Policy // np=, "" where absent
	StrictDKIM  bool   // adkim=s
	StrictSPF   bool   // aspf=s
	Percent     int    // pct=, 0 to 100
	Testing     bool   // t=y: reports are wanted, not the policy
	Aggregate   []string
	Failure     []string
	Options     string // fo=
}

// maxRecord bounds a record; what is longer is none.
const maxRecord = 4 << 10

// errNoRecord says that a text is something else than a DMARC record.
var errNoRecord = errors.New("dmarc: not a DMARC record")

// Parse reads a TXT record. Unknown and malformed tags are passed over, as
// RFC 7489 section 6.3 asks; without a usable p= but with rua= the policy is
// none (section 6.6.3, item 6).
func Parse(text string) (*Record, error) {
	if len(text) > maxRecord {
		return nil, errNoRecord
	}
	tags := strings.Split(text, ";")
	// Section 6.4: "v" comes first, and its value counts with its case.
	if k, v, ok := cut(tags[0]); !ok || k != "v" || v != "DMARC1" {
		return nil, errNoRecord
	}
	r := &Record{Percent: 100}
	for _, t := range tags[1:] {
		k, v, ok := cut(t)
		if !ok {
			continue
		}
		switch k {
		case "p":
			r.Policy = policyOf(v)
		case "sp":
			r.Subdomain = policyOf(v)
		case "np":
			r.NonExistent = policyOf(v)
		case "adkim":
			r.StrictDKIM = strings.EqualFold(v, "s")
		case "aspf":
			r.StrictSPF = strings.EqualFold(v, "s")
		case "pct":
			if n, err := strconv.Atoi(v); err == nil && n >= 0 && n <= 100 {
				r.Percent = n
			}
		case "t":
			r.Testing = strings.EqualFold(v, "y")
		case "rua":
			r.Aggregate = uris(v)
		case "ruf":
			r.Failure = uris(v)
		case "fo":
			r.Options = v
		}
	}
	if r.Policy == "" {
		if len(r.Aggregate) == 0 {
			return nil, errNoRecord
		}
		r.Policy = PolicyNone
	}
	if r.Subdomain == "" {
		r.Subdomain = r.Policy
	}
	return r, nil
}

func cut(tag string) (key, value string, ok bool) {
	k, v, ok := strings.Cut(tag, "=")
	return strings.ToLower(strings.TrimSpace(k)), strings.TrimSpace(v), ok
}

func policyOf(v string) Policy {
	switch p := Policy(strings.ToLower(v)); p {
	case PolicyNone, PolicyQuarantine, PolicyReject:
		return p
	}
	return ""
}

func uris(v string) []string {
	var out []string
	for u := range strings.SplitSeq(v, ",") {
		if u = strings.TrimSpace(u); u != "" {
			out = append(out, u)
		}
	}
	return out
}
