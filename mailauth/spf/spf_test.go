package spf_test

import (
	"context"
	"errors"
	"net/netip"
	"testing"

	"github.com/mohar-mail/mohar/mailauth/spf"
	"github.com/mohar-mail/mohar/wire/dns"
)

const zone = `
ip.example. IN TXT "v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/32 -all"
mx.example. IN TXT "v=spf1 mx ~all"
mx.example. IN MX 10 host.mx.example.
host.mx.example. IN A 192.0.2.7
macro.example. IN TXT "v=spf1 exists:%{l}.%{ir}._spf.%{d} -all"
ann.7.2.0.192._spf.macro.example. IN A 127.0.0.2
inc.example. IN TXT "v=spf1 include:ip.example ?all"
loop.example. IN TXT "v=spf1 include:loop.example -all"
two.example. IN TXT "v=spf1 -all"
two.example. IN TXT "v=spf1 +all"
void.example. IN TXT "v=spf1 a:n1.void.example a:n2.void.example a:n3.void.example +all"
other.example. IN TXT "something else"
temp.example. IN TXT "v=spf1 include:slow.example -all"
xn--h2brj9c.example. IN TXT "v=spf1 ip4:192.0.2.7 -all"
`

func TestCheck(t *testing.T) {
	t.Parallel()
	f, err := dns.NewFake(zone)
	if err != nil {
		t.Fatal(err)
	}
	f.Fail("slow.example", errors.New("SERVFAIL"))
	r := dns.New(dns.Config{Upstream: f})
	defer r.Close()
	tests := []struct {
		remote, helo, from string
		want               spf.Status
		domain             string
	}{
		{"192.0.2.7", "h", "a@ip.example", spf.Pass, "ip.example"},
		{"::ffff:192.0.2.7", "h", "a@IP.Example", spf.Pass, "ip.example"},
		{"2001:db8::9", "h", "a@ip.example", spf.Pass, "ip.example"},
		{"198.51.100.1", "h", "a@ip.example", spf.Fail, "ip.example"},
		{"192.0.2.7", "h", "a@mx.example", spf.Pass, "mx.example"},
		{"192.0.2.8", "h", "a@mx.example", spf.SoftFail, "mx.example"},
		{"192.0.2.7", "h", "ann@macro.example", spf.Pass, "macro.example"},
		{"192.0.2.7", "h", "bob@macro.example", spf.Fail, "macro.example"},
		{"192.0.2.7", "h", "a@inc.example", spf.Pass, "inc.example"},
		{"198.51.100.1", "h", "a@inc.example", spf.Neutral, "inc.example"},
		{"192.0.2.7", "h", "a@loop.example", spf.PermError, "loop.example"},
		{"192.0.2.7", "h", "a@two.example", spf.PermError, "two.example"},
		{"192.0.2.7", "h", "a@void.example", spf.PermError, "void.example"},
		{"192.0.2.7", "h", "a@other.example", spf.None, "other.example"},
		{"192.0.2.7", "h", "a@missing.example", spf.None, "missing.example"},
		{"192.0.2.7", "h", "a@temp.example", spf.TempError, "temp.example"},
		{"192.0.2.7", "h", "a@slow.example", spf.TempError, "slow.example"},
		{"192.0.2.7", "h", "क@भारत.example", spf.Pass, "xn--h2brj9c.example"},
		{"192.0.2.7", "h", `"x@mx.example"@ip.example`, spf.Pass, "ip.example"},
		{"192.0.2.7", "ip.example", "", spf.Pass, "ip.example"},
		{"198.51.100.1", "ip.example", "", spf.Fail, "ip.example"},
		{"192.0.2.7", "[192.0.2.7]", "", spf.None, ""},
		{"192.0.2.7", "localhost", "", spf.None, ""},
		{"192.0.2.7", "h", "nobody", spf.None, ""},
		{"", "h", "a@ip.example", spf.None, "ip.example"},
	}
	for _, tc := range tests {
		remote, _ := netip.ParseAddr(tc.remote)
		got := spf.Check(context.Background(), r, remote, tc.helo, tc.from)
		if got.Status != tc.want || got.Domain != tc.domain || got.HELO != (tc.from == "") {
			t.Errorf("%s %s <%s>: %+v, want %s %q", tc.remote, tc.helo, tc.from, got, tc.want, tc.domain)
		}
	}
}
