package relay

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/mohar-mail/mohar/wire/dns"
	"github.com/mohar-mail/mohar/wire/smtp"
)

const (
	smtpPort = 25
	// maxHosts bounds the mail exchangers tried in one attempt, and maxAddrs the
	// addresses of all of them; RFC 5321 section 5.1 asks for two at least.
	maxHosts = 5
	maxAddrs = 8
	// maxMX bounds the list of a domain that is looked at.
	maxMX = 50
)

// host is one mail exchanger.
type host struct {
	name string // lower-case A-label, or an address
	port uint16
}

// hosts gives the mail exchangers of a job in the order in which to try them
// (RFC 5321 section 5.1); the outcome is for all recipients when there are none.
func (r *Relay) hosts(ctx context.Context, j *job) ([]host, *outcome) {
	if j.fixed != "" {
		h, p, err := net.SplitHostPort(j.fixed)
		n, err2 := strconv.ParseUint(p, 10, 16)
		if err != nil || err2 != nil {
			return nil, temporary("", smtp.EnhancedCode{4, 3, 5}, "the route "+j.fixed+" is not host:port")
		}
		return []host{{name: strings.ToLower(h), port: uint16(n)}}, nil
	}
	if lit, ok := literal(j.domain); ok { // RFC 5321 section 5.1: user@[192.0.2.1]
		return []host{{name: lit.String(), port: smtpPort}}, nil
	}
	ans, err := r.cfg.Resolver.LookupMX(ctx, j.domain)
	switch {
	case dns.IsNXDomain(err):
		return nil, permanent("", smtp.EnhancedCode{5, 1, 2}, "the domain "+j.domain+" does not exist")
	case dns.IsTemporary(err):
		return nil, temporary("", smtp.EnhancedCode{4, 4, 3}, "the mail exchangers of "+j.domain+" could not be looked up")
	case err != nil:
		return nil, permanent("", smtp.EnhancedCode{5, 1, 2}, "the domain "+j.domain+" is not a valid name")
	}
	mx := ans.Records[:min(len(ans.Records), maxMX)]
	if len(mx) == 0 { // the implicit MX: the domain itself
		mx = []dns.MX{{Host: j.domain}}
	}
	if slices.ContainsFunc(mx, func(m dns.MX) bool { return m.Host == "" }) {
		if len(mx) == 1 {
			// RFC 7505 section 4.2: 556 with 5.1.10.
			return nil, permanent("", smtp.EnhancedCode{5, 1, 10}, "the domain "+j.domain+" does not accept mail")
		}
		mx = slices.DeleteFunc(slices.Clone(mx), func(m dns.MX) bool { return m.Host == "" })
	}
	mx = r.order(mx)
	kept, loop := r.beforeUs(mx)
	if loop && len(kept) == 0 {
		return nil, permanent("", smtp.EnhancedCode{5, 4, 6}, "mail for "+j.domain+" is directed back to this host")
	}
	out := make([]host, 0, maxHosts)
	for _, m := range kept[:min(len(kept), maxHosts)] {
		out = append(out, host{name: m.Host, port: smtpPort})
	}
	return out, nil
}

// order sorts by preference, and by chance among equals.
func (r *Relay) order(mx []dns.MX) []dns.MX {
	mx = slices.Clone(mx)
	for i := len(mx) - 1; i > 0; i-- {
		k := min(int(r.cfg.Dice()*float64(i+1)), i)
		mx[i], mx[k] = mx[k], mx[i]
	}
	slices.SortStableFunc(mx, func(a, b dns.MX) int { return int(a.Pref) - int(b.Pref) })
	return mx
}

// beforeUs cuts the list at our own preference: RFC 5321 section 5.1 forbids to
// hand mail to a host that is no nearer than we are.
func (r *Relay) beforeUs(mx []dns.MX) (kept []dns.MX, loop bool) {
	us := slices.IndexFunc(mx, func(m dns.MX) bool { return m.Host == strings.ToLower(r.cfg.Hostname) })
	if us < 0 {
		return mx, false
	}
	pref := mx[us].Pref
	return mx[:slices.IndexFunc(mx, func(m dns.MX) bool { return m.Pref == pref })], true
}

// literal reads an address literal of RFC 5321 section 4.1.3.
func literal(domain string) (netip.Addr, bool) {
	s, ok := strings.CutPrefix(domain, "[")
	if !ok {
		return netip.Addr{}, false
	}
	s = strings.TrimSuffix(s, "]")
	if len(s) > 5 && strings.EqualFold(s[:5], "ipv6:") {
		s = s[5:]
	}
	a, err := netip.ParseAddr(s)
	return a, err == nil
}

// addresses gives where a host listens: both families, taking turns, IPv6 first,
// so that a broken one costs one attempt and not all.
func (r *Relay) addresses(ctx context.Context, h host) ([]netip.AddrPort, *outcome) {
	if a, err := netip.ParseAddr(h.name); err == nil {
		return []netip.AddrPort{netip.AddrPortFrom(a, h.port)}, nil
	}
	if h.name == "localhost" { // RFC 6761 section 6.3
		return []netip.AddrPort{netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), h.port),
			netip.AddrPortFrom(netip.IPv6Loopback(), h.port)}, nil
	}
	ans, err := r.cfg.Resolver.LookupIP(ctx, h.name)
	switch {
	case dns.IsTemporary(err):
		return nil, temporary(h.name, smtp.EnhancedCode{4, 4, 3}, "the address of "+h.name+" could not be looked up")
	case err != nil || len(ans.Records) == 0:
		// RFC 5321 section 5.1: without any address there is nowhere to go.
		return nil, permanent(h.name, smtp.EnhancedCode{5, 4, 4}, "the host "+h.name+" has no address")
	}
	var six, four []netip.AddrPort
	for _, a := range ans.Records {
		if h.port == smtpPort && slices.Contains(r.cfg.Self, a.Unmap()) {
			return nil, permanent(h.name, smtp.EnhancedCode{5, 4, 6}, "mail for this domain is directed back to this host")
		}
		if a.Is4() {
			four = append(four, netip.AddrPortFrom(a, h.port))
		} else {
			six = append(six, netip.AddrPortFrom(a, h.port))
		}
	}
	var out []netip.AddrPort
	for i := range max(len(six), len(four)) {
		if i < len(six) {
			out = append(out, six[i])
		}
		if i < len(four) {
			out = append(out, four[i])
		}
	}
	return out[:min(len(out), maxAddrs)], nil
}
