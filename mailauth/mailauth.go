// Package mailauth gives verdicts about where a message comes from: SPF for the
// client, DKIM for the content, DMARC for the address that the reader sees.
//
// Owns:      nothing.
// Trusts:    nobody; message and DNS records are hostile until shown otherwise.
// May touch: the resolver it is given. Content is read, never changed.
// Standards: RFC 7208, RFC 6376, RFC 8301, RFC 8463, RFC 7489, RFC 8601,
// RFC 8616 (internationalised domains).
//
// Verdicts travel in the field Authentication-Results. The received bytes stay
// as they came, so a forged field with our name in it stays too: our own field
// is always the first one, above the received bytes, and readers (mailboxes,
// Sieve, webmail) trust the topmost only, and only under our own name. RFC 8601
// section 5 asks that forgeries be removed or renamed; FindForged tells the
// caller where they are, so that whoever writes the message out for other eyes
// (a relay under our name, an export) leaves them out.
package mailauth

import (
	"context"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/mohar-mail/mohar/mailauth/dkim"
	"github.com/mohar-mail/mohar/mailauth/dmarc"
	"github.com/mohar-mail/mohar/mailauth/field"
	"github.com/mohar-mail/mohar/mailauth/spf"
	"github.com/mohar-mail/mohar/wire/addr"
	"github.com/mohar-mail/mohar/wire/dns"
)

const (
	// DefaultTimeout is what the verification of one message may take.
	DefaultTimeout = 15 * time.Second
	// maxFromDomains is how many different domains in From are evaluated. A
	// message with more is refused work and counts as failed.
	maxFromDomains = 4
	// maxFromAddresses bounds the reading of one From field.
	maxFromAddresses = 50
)

// Resolver is what message authentication asks of the DNS. *dns.Resolver is one.
type Resolver interface {
	LookupTXT(ctx context.Context, name string) (dns.Answer[string], error)
	LookupMX(ctx context.Context, name string) (dns.Answer[dns.MX], error)
	LookupIP(ctx context.Context, host string) (dns.Answer[netip.Addr], error)
	LookupPTR(ctx context.Context, addr netip.Addr) (dns.Answer[string], error)
}

// Config is what a Verifier needs.
type Config struct {
	Resolver Resolver
	// Own lists networks whose clients are ours: mail from them is not verified.
	Own     []netip.Prefix
	Timeout time.Duration // DefaultTimeout when 0
	DMARC   dmarc.Config
}

// Verifier verifies messages. It is safe for concurrent use.
type Verifier struct{ cfg Config }

// New makes a Verifier.
func New(cfg Config) *Verifier {
	if cfg.Timeout <= 0 {
		cfg.Timeout = DefaultTimeout
	}
	if cfg.DMARC.Organizational == nil {
		cfg.DMARC.Organizational = dmarc.Organizational
	}
	return &Verifier{cfg: cfg}
}

// Input is a message as it was received.
type Input struct {
	Remote   netip.Addr // of the client; the zero value when it has none
	HELO     string
	MailFrom string // reverse-path without angle brackets; "" is the null path
	Content  io.ReaderAt
	Size     int64
}

// Result is what was found.
type Result struct {
	Skipped bool // the client is one of ours: nothing was looked at
	SPF     spf.Result
	DKIM    []dkim.Result // in the order of the fields; empty for an unsigned message
	DMARC   dmarc.Result
	// FromFields counts the From fields and FromDomains names their domains:
	// other than one of each is how messages show one sender and prove another
	// (RFC 7489 section 6.6.1). DMARC is then that of the domain worst off.
	FromFields  int
	FromDomains []string
}

// Verify gives the verdicts about a message. An error means only that the
// content could not be read.
func (v *Verifier) Verify(ctx context.Context, in Input) (Result, error) {
	if v.own(in.Remote) {
		return Result{Skipped: true, SPF: spf.Result{Status: spf.None}, DMARC: dmarc.Result{Status: dmarc.None, Do: dmarc.PolicyNone}}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, v.cfg.Timeout)
	defer cancel()
	header, _, err := field.Read(in.Content, in.Size)
	if err != nil {
		return Result{}, err
	}
	// SPF waits for the DNS; the signatures are computed meanwhile.
	sender := make(chan spf.Result, 1)
	go func() { sender <- spf.Check(ctx, v.cfg.Resolver, in.Remote, in.HELO, in.MailFrom) }()
	var res Result
	res.DKIM, err = dkim.Verify(ctx, v.cfg.Resolver, header, in.Content, in.Size)
	res.SPF = <-sender
	if err != nil {
		return Result{}, err
	}
	res.FromFields, res.FromDomains = fromDomains(header)
	res.DMARC = v.align(ctx, &res)
	return res, nil
}

func (v *Verifier) own(a netip.Addr) bool {
	a = a.Unmap()
	return slices.ContainsFunc(v.cfg.Own, func(p netip.Prefix) bool { return p.Contains(a) })
}

// align evaluates DMARC for each domain in From and gives the worst result.
func (v *Verifier) align(ctx context.Context, res *Result) dmarc.Result {
	in := dmarc.Input{}
	if res.SPF.Status == spf.Pass {
		in.SPF = res.SPF.Domain
	}
	for _, d := range res.DKIM {
		if d.Status == dkim.Pass {
			if name, err := dns.Canonical(d.Domain); err == nil {
				in.DKIM = append(in.DKIM, name)
			}
		}
	}
	switch {
	case len(res.FromDomains) == 0:
		return dmarc.Result{Status: dmarc.PermError, Want: dmarc.PolicyNone, Do: dmarc.PolicyNone}
	case len(res.FromDomains) > maxFromDomains:
		return dmarc.Result{Status: dmarc.PermError, Want: dmarc.PolicyReject, Do: dmarc.PolicyReject}
	}
	var worst dmarc.Result
	for i, d := range res.FromDomains {
		in.From = d
		r := dmarc.Evaluate(ctx, v.cfg.Resolver, v.cfg.DMARC, in)
		if i == 0 || worse(r, worst) {
			worst = r
		}
	}
	return worst
}

// worse says whether a should stand for the message rather than b.
func worse(a, b dmarc.Result) bool {
	if a.Do != b.Do {
		return dmarc.Stricter(a.Do, b.Do) == a.Do
	}
	rank := []dmarc.Status{dmarc.Pass, dmarc.None, dmarc.PermError, dmarc.TempError, dmarc.Fail}
	return slices.Index(rank, a.Status) > slices.Index(rank, b.Status)
}

// fromDomains counts the From fields and gives their domains as canonical
// A-labels, each once, at most one more than are evaluated.
func fromDomains(header []byte) (fields int, domains []string) {
	for f := range field.All(header) {
		if !f.Is("From") {
			continue
		}
		fields++
		if len(domains) > maxFromDomains {
			continue
		}
		for a := range addr.Singles(addr.ParseList(nil, string(f.Value()), maxFromAddresses)) {
			d, err := dns.Canonical(strings.TrimSpace(a.Domain))
			if err != nil || d == "" || slices.Contains(domains, d) {
				continue
			}
			if domains = append(domains, d); len(domains) > maxFromDomains {
				break
			}
		}
	}
	return fields, domains
}
