// Package spf says whether a client may send mail for a domain.
//
// Owns:      nothing.
// Trusts:    nobody; the published record may be hostile.
// May touch: the resolver it is given.
// Standards: RFC 7208; RFC 8616 for internationalised domains.
package spf

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"

	lib "blitiri.com.ar/go/spf"

	"github.com/mohar-mail/mohar/wire/dns"
)

// Resolver is what SPF asks of the DNS. *dns.Resolver is one.
type Resolver interface {
	LookupTXT(ctx context.Context, name string) (dns.Answer[string], error)
	LookupMX(ctx context.Context, name string) (dns.Answer[dns.MX], error)
	LookupIP(ctx context.Context, host string) (dns.Answer[netip.Addr], error)
	LookupPTR(ctx context.Context, addr netip.Addr) (dns.Answer[string], error)
}

// Status is a result of RFC 7208 section 2.6, in the words of RFC 8601.
type Status string

// The results.
const (
	None      Status = "none"
	Neutral   Status = "neutral"
	Pass      Status = "pass"
	Fail      Status = "fail"
	SoftFail  Status = "softfail"
	TempError Status = "temperror"
	PermError Status = "permerror"
)

// Result is a verdict with the identity that it is about.
type Result struct {
	Status Status
	HELO   bool   // the identity is the HELO name, because the reverse-path is null (RFC 7208 section 2.4)
	Sender string // the identity checked: mailbox of the reverse-path, or the HELO name
	Domain string // its domain as A-label, lower case; "" when it has none that could be asked
	Reason string // for the log: which mechanism matched, or what was wrong
}

// Check evaluates the policy of the reverse-path's domain, or of the HELO name
// where the reverse-path is null. RFC 7208 section 4.6.4 bounds it: 10 look-ups,
// 2 of them void.
func Check(ctx context.Context, r Resolver, remote netip.Addr, helo, mailFrom string) Result {
	res := Result{Status: None, Sender: mailFrom}
	local, domain := "postmaster", helo // RFC 7208 section 2.4
	if mailFrom == "" {
		res.HELO, res.Sender = true, helo
	} else {
		at := strings.LastIndexByte(mailFrom, '@')
		if at < 0 {
			res.Reason = "the reverse-path has no domain"
			return res
		}
		local, domain = mailFrom[:at], mailFrom[at+1:]
	}
	canon, err := dns.Canonical(domain)
	// RFC 7208 section 4.3: an address literal, a name of one label, a malformed
	// name: none.
	if err != nil || !strings.Contains(canon, ".") || strings.HasPrefix(canon, "[") {
		res.Reason = "not a domain name"
		return res
	}
	res.Domain = canon
	if !remote.IsValid() {
		res.Reason = "the client has no address"
		return res
	}
	// The library splits at the first "@", and a quoted local part may hold one.
	local = strings.ReplaceAll(local, "@", "_")
	status, why := lib.CheckHostWithSender(net.IP(remote.Unmap().AsSlice()), helo, local+"@"+canon,
		lib.WithContext(ctx), lib.WithResolver(adapter{r}))
	res.Status = Status(status)
	if ctx.Err() != nil && res.Status != Pass {
		res.Status = TempError
	}
	if why != nil {
		res.Reason = why.Error()
	}
	return res
}

// adapter gives the library the types of package net.
type adapter struct{ r Resolver }

func dnsError(err error) error {
	if err == nil {
		return nil
	}
	var e *dns.Error
	out := &net.DNSError{Err: err.Error(), IsTemporary: dns.IsTemporary(err), IsNotFound: dns.IsNXDomain(err)}
	if errors.As(err, &e) {
		out.Name = e.Name
		out.IsNotFound = e.Kind != dns.Temporary // a name that cannot be asked is void: RFC 7208 section 4.8
	}
	return out
}

// empty makes of "no data" what package net makes of it, so that the library
// counts it as a void look-up.
func empty(name string) error {
	return &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

func (a adapter) LookupTXT(ctx context.Context, name string) ([]string, error) {
	ans, err := a.r.LookupTXT(ctx, name)
	return ans.Records, dnsError(err)
}

func (a adapter) LookupMX(ctx context.Context, name string) ([]*net.MX, error) {
	ans, err := a.r.LookupMX(ctx, name)
	if err != nil {
		return nil, dnsError(err)
	}
	if len(ans.Records) == 0 {
		return nil, empty(name)
	}
	out := make([]*net.MX, len(ans.Records))
	for i, m := range ans.Records {
		out[i] = &net.MX{Host: m.Host, Pref: m.Pref}
	}
	return out, nil
}

func (a adapter) LookupIPAddr(ctx context.Context, host string) ([]net.IPAddr, error) {
	ans, err := a.r.LookupIP(ctx, host)
	if err != nil {
		return nil, dnsError(err)
	}
	if len(ans.Records) == 0 {
		return nil, empty(host)
	}
	out := make([]net.IPAddr, len(ans.Records))
	for i, ip := range ans.Records {
		out[i] = net.IPAddr{IP: ip.AsSlice()}
	}
	return out, nil
}

func (a adapter) LookupAddr(ctx context.Context, addr string) ([]string, error) {
	ip, err := netip.ParseAddr(addr)
	if err != nil {
		return nil, err
	}
	ans, err := a.r.LookupPTR(ctx, ip)
	if err != nil {
		return nil, dnsError(err)
	}
	if len(ans.Records) == 0 {
		return nil, empty(addr)
	}
	return ans.Records, nil
}
