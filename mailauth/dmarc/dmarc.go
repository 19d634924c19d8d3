package dmarc

import (
	"context"
	"math/rand/v2"
	"strings"

	"golang.org/x/net/publicsuffix"

	"github.com/mohar-mail/mohar/wire/dns"
)

// Resolver is what DMARC asks of the DNS. *dns.Resolver is one.
type Resolver interface {
	LookupTXT(ctx context.Context, name string) (dns.Answer[string], error)
	LookupMX(ctx context.Context, name string) (dns.Answer[dns.MX], error)
}

// Status is a result in the words of RFC 7489 section 11.2.
type Status string

// The results.
const (
	None      Status = "none"
	Pass      Status = "pass"
	Fail      Status = "fail"
	TempError Status = "temperror"
	PermError Status = "permerror"
)

// Input is what has been found about a message.
type Input struct {
	From string   // the domain of the From field as canonical A-label
	SPF  string   // the domain that SPF passed for, "" where it did not
	DKIM []string // the domains of signatures that verified
}

// Result is the verdict.
type Result struct {
	Status  Status
	From    string  // the domain of the From field
	At      string  // the domain whose record was used
	Record  *Record // nil for none and errors
	ByDKIM  bool    // an aligned signature passed
	BySPF   bool    // SPF passed aligned
	Want    Policy  // what the owner asks for From, before sampling
	Do      Policy  // what to do with this message, after sampling and t=y; none unless Status is Fail
	Sampled bool    // pct= spared this message the full policy
}

// Config is how to evaluate; the zero value means the defaults.
type Config struct {
	// Organizational gives the organizational domain of a canonical name;
	// Organizational of this package when nil.
	Organizational func(domain string) string
	// Dice gives a number from 0 to 99 for pct=; random when nil.
	Dice func() int
}

// Organizational gives the organizational domain (RFC 7489 section 3.2) by the
// public suffix list. A name that is itself on the list, such as gov.in, has
// mail of its own: it is its own organizational domain, and the names below it
// are not aligned with it, since they belong to others.
func Organizational(domain string) string {
	org, err := publicsuffix.EffectiveTLDPlusOne(domain)
	if err != nil {
		return domain
	}
	return org
}

// Evaluate finds the policy for the domain of From and applies it. It makes at
// most three look-ups.
func Evaluate(ctx context.Context, r Resolver, cfg Config, in Input) Result {
	if cfg.Organizational == nil {
		cfg.Organizational = Organizational
	}
	if cfg.Dice == nil {
		cfg.Dice = func() int { return rand.IntN(100) }
	}
	res := Result{Status: None, From: in.From, Want: PolicyNone, Do: PolicyNone}
	if in.From == "" {
		return res
	}
	org := cfg.Organizational(in.From)
	rec, err := discover(ctx, r, in.From)
	res.At = in.From
	if err == nil && rec == nil && org != in.From {
		rec, err = discover(ctx, r, org)
		res.At = org
	}
	switch {
	case err != nil:
		// RFC 7489 section 6.6.3: the message may be deferred; it is not failed.
		res.Status, res.At = TempError, ""
		return res
	case rec == nil:
		res.At = ""
		return res
	}
	res.Record = rec
	for _, d := range in.DKIM {
		res.ByDKIM = res.ByDKIM || aligned(cfg, in.From, org, d, rec.StrictDKIM)
	}
	res.BySPF = aligned(cfg, in.From, org, in.SPF, rec.StrictSPF)
	res.Want = wanted(ctx, r, rec, in.From, res.At)
	if res.ByDKIM || res.BySPF {
		res.Status = Pass
		return res
	}
	res.Status = Fail
	res.Do, res.Sampled = apply(rec, res.Want, cfg.Dice)
	return res
}

// discover gives the record published at domain, nil where there is none: not
// exactly one counts as none (RFC 7489 section 6.6.3, item 5).
func discover(ctx context.Context, r Resolver, domain string) (*Record, error) {
	ans, err := r.LookupTXT(ctx, "_dmarc."+domain)
	if err != nil {
		if dns.IsTemporary(err) {
			return nil, err
		}
		return nil, nil
	}
	var found *Record
	for _, text := range ans.Records {
		rec, err := Parse(text)
		if err != nil {
			continue
		}
		if found != nil {
			return nil, nil
		}
		found = rec
	}
	return found, nil
}

// aligned is identifier alignment: RFC 7489 section 3.1.
func aligned(cfg Config, from, fromOrg, domain string, strict bool) bool {
	if domain == "" {
		return false
	}
	domain = strings.ToLower(domain)
	if strict || from == domain {
		return from == domain
	}
	return fromOrg == cfg.Organizational(domain)
}

// wanted chooses among p=, sp= and np=.
func wanted(ctx context.Context, r Resolver, rec *Record, from, at string) Policy {
	if from == at {
		return rec.Policy
	}
	if rec.NonExistent != "" {
		if _, err := r.LookupMX(ctx, from); dns.IsNXDomain(err) {
			return rec.NonExistent
		}
	}
	return rec.Subdomain
}

// apply softens the policy by one step for mail that sampling spares
// (RFC 7489 section 6.6.4).
func apply(rec *Record, want Policy, dice func() int) (do Policy, sampled bool) {
	if rec.Testing {
		return PolicyNone, true
	}
	if rec.Percent >= 100 || dice() < rec.Percent {
		return want, false
	}
	if want == PolicyReject {
		return PolicyQuarantine, true
	}
	return PolicyNone, true
}

// Stricter gives the stricter of two policies.
func Stricter(a, b Policy) Policy {
	rank := func(p Policy) int {
		switch p {
		case PolicyReject:
			return 2
		case PolicyQuarantine:
			return 1
		}
		return 0
	}
	if rank(b) > rank(a) {
		return b
	}
	return a
}
