package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// Limits of the talk with one name server.
const (
	// attemptTimeout is what one server gets for one try.
	attemptTimeout = 2 * time.Second
	// rounds is how often the list of servers is gone through.
	rounds = 2
	// udpSize is the EDNS buffer of DNS Flag Day 2020: no fragments.
	udpSize = 1232
	// maxChain bounds a chain of CNAMEs.
	maxChain = 10
	// fallbackNegativeTTL is used where a negative answer brings no SOA.
	fallbackNegativeTTL = time.Minute
	// DefaultResolvConf names the system's list of name servers.
	DefaultResolvConf = "/etc/resolv.conf"
	dnsPort           = "53"
)

// Servers is an Upstream of recursive name servers, asked in order over UDP,
// and over TCP where an answer was cut short.
type Servers struct {
	addrs   []string // host:port
	trustAD bool
}

// NewServers makes an Upstream of the servers at addrs ("192.0.2.1",
// "192.0.2.1:53", "[2001:db8::1]:53"); an empty list reads DefaultResolvConf.
// trustAD says that the way to the servers is safe, so that their AD bit may be
// believed; servers on loopback are always believed.
func NewServers(addrs []string, trustAD bool) (*Servers, error) {
	if len(addrs) == 0 {
		conf, err := dns.ClientConfigFromFile(DefaultResolvConf)
		if err != nil {
			return nil, fmt.Errorf("dns: %w", err)
		}
		addrs = conf.Servers
		trustAD = trustAD || resolvConfTrusts(DefaultResolvConf)
	}
	s := &Servers{trustAD: trustAD}
	loopback := true
	for _, a := range addrs {
		host, port, err := net.SplitHostPort(a)
		if err != nil {
			host, port = strings.Trim(a, "[]"), dnsPort
		}
		ip, err := netip.ParseAddr(host)
		if err != nil {
			return nil, fmt.Errorf("dns: name server %q: %w", a, err)
		}
		loopback = loopback && ip.IsLoopback()
		s.addrs = append(s.addrs, net.JoinHostPort(host, port))
	}
	if len(s.addrs) == 0 {
		return nil, errors.New("dns: no name server is configured")
	}
	s.trustAD = s.trustAD || loopback
	return s, nil
}

// resolvConfTrusts looks for "options trust-ad" (resolv.conf(5)).
func resolvConfTrusts(path string) bool {
	b, err := os.ReadFile(path)
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) == 0 || f[0] != "options" {
			continue
		}
		for _, o := range f[1:] {
			if o == "trust-ad" {
				return true
			}
		}
	}
	return false
}

// Exchange asks the servers in order until one gives a usable answer.
func (s *Servers) Exchange(ctx context.Context, q Question) (Reply, error) {
	var last error
	for range rounds {
		for _, addr := range s.addrs {
			if err := ctx.Err(); err != nil {
				if last == nil {
					last = err
				}
				return Reply{}, last
			}
			reply, err := s.exchangeOne(ctx, addr, q)
			if err == nil {
				return reply, nil
			}
			last = err
		}
	}
	return Reply{}, last
}

func (s *Servers) exchangeOne(ctx context.Context, addr string, q Question) (Reply, error) {
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(q.Name), q.Type)
	m.SetEdns0(udpSize, false)
	m.AuthenticatedData = true // RFC 6840 section 5.7: we want to hear of it
	// A new socket, hence a new source port, for each question: RFC 5452 section 9.2.
	client := &dns.Client{Net: "udp", UDPSize: udpSize, Timeout: attemptTimeout}
	resp, _, err := client.ExchangeContext(ctx, m, addr)
	if err == nil && resp.Truncated {
		client.Net = "tcp"
		resp, _, err = client.ExchangeContext(ctx, m, addr)
	}
	if err != nil {
		return Reply{}, err
	}
	if !resp.Response || len(resp.Question) != 1 || resp.Question[0].Qtype != q.Type ||
		!strings.EqualFold(resp.Question[0].Name, dns.Fqdn(q.Name)) {
		return Reply{}, errors.New("the answer does not match the question")
	}
	switch resp.Rcode {
	case dns.RcodeSuccess, dns.RcodeNameError:
		reply := interpret(resp, q)
		reply.Authentic = resp.AuthenticatedData && s.trustAD
		return reply, nil
	default:
		return Reply{}, errors.New("the name server says " + dns.RcodeToString[resp.Rcode])
	}
}

// interpret takes from resp the records that answer q, along the chain of
// CNAMEs: what stands beside the chain was not asked, and may be poison.
func interpret(resp *dns.Msg, q Question) Reply {
	reply := Reply{NXDomain: resp.Rcode == dns.RcodeNameError}
	owner := strings.ToLower(dns.Fqdn(q.Name))
	ttl := uint32(1<<31 - 1)
	for range maxChain {
		next := ""
		for _, rr := range resp.Answer {
			h := rr.Header()
			if strings.ToLower(h.Name) != owner || h.Class != dns.ClassINET {
				continue
			}
			if c, ok := rr.(*dns.CNAME); ok && q.Type != dns.TypeCNAME {
				next = strings.ToLower(c.Target)
				ttl = min(ttl, h.Ttl)
				continue
			}
			if rec, ok := recordOf(rr); ok && h.Rrtype == q.Type {
				reply.Records = append(reply.Records, rec)
				ttl = min(ttl, h.Ttl)
			}
		}
		if next == "" || len(reply.Records) > 0 {
			break
		}
		owner = next
	}
	reply.TTL = time.Duration(ttl) * time.Second
	if len(reply.Records) == 0 {
		reply.TTL = negativeTTL(resp)
	}
	return reply
}

// negativeTTL is the lesser of the SOA's own TTL and its minimum field: RFC 2308
// section 5.
func negativeTTL(resp *dns.Msg) time.Duration {
	for _, rr := range resp.Ns {
		if soa, ok := rr.(*dns.SOA); ok {
			return time.Duration(min(soa.Minttl, soa.Hdr.Ttl)) * time.Second
		}
	}
	return fallbackNegativeTTL
}

func recordOf(rr dns.RR) (Record, bool) {
	switch v := rr.(type) {
	case *dns.MX:
		return Record{MX: MX{Host: bare(v.Mx), Pref: v.Preference}}, true
	case *dns.TXT:
		return Record{Text: unescape(strings.Join(v.Txt, ""))}, true
	case *dns.CNAME:
		return Record{Text: bare(v.Target)}, true
	case *dns.PTR:
		return Record{Text: bare(v.Ptr)}, true
	case *dns.A:
		a, ok := netip.AddrFromSlice(v.A)
		return Record{Addr: a.Unmap()}, ok
	case *dns.AAAA:
		a, ok := netip.AddrFromSlice(v.AAAA)
		return Record{Addr: a}, ok
	case *dns.TLSA:
		return tlsaOf(v)
	}
	return Record{}, false
}

// bare gives a target without its final dot, in lower case.
func bare(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

// unescape undoes the presentation form in which the library keeps TXT strings:
// \DDD and \c (RFC 1035 section 5.1).
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b = append(b, s[i])
			continue
		}
		if i+3 < len(s) && isDigit(s[i+1]) && isDigit(s[i+2]) && isDigit(s[i+3]) {
			b = append(b, byte(int(s[i+1]-'0')*100+int(s[i+2]-'0')*10+int(s[i+3]-'0')))
			i += 3
			continue
		}
		i++
		b = append(b, s[i])
	}
	return string(b)
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func tlsaOf(v *dns.TLSA) (Record, bool) {
	data, ok := unhex(v.Certificate)
	return Record{TLSA: TLSA{Usage: v.Usage, Selector: v.Selector, Matching: v.MatchingType, Data: data}}, ok
}
