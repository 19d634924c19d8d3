package dns_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	mdns "github.com/miekg/dns"

	"github.com/mohar-mail/mohar/base/clock"
	"github.com/mohar-mail/mohar/wire/dns"
)

const zone = `
example.test. 300 IN MX 10 mx1.example.test.
example.test. 300 IN MX 20 MX2.Example.Test.
example.test. 60 IN TXT "v=spf1 " "ip4:192.0.2.1 -all"
odd.example.test. 60 IN TXT "a\"b\\c;\255"
mx1.example.test. 300 IN A 192.0.2.1
mx1.example.test. 300 IN AAAA 2001:db8::1
www.example.test. 300 IN CNAME mx1.example.test.
null.test. 300 IN MX 0 .
1.2.0.192.in-addr.arpa. 300 IN PTR mx1.example.test.
_25._tcp.mx1.example.test. 300 IN TLSA 3 1 1 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff
xn--h2brj9c.test. 300 IN MX 5 mx.xn--h2brj9c.test.
`

func newFake(t *testing.T) (*dns.Fake, *dns.Resolver, *clock.Fake) {
	t.Helper()
	f, err := dns.NewFake(zone)
	if err != nil {
		t.Fatal(err)
	}
	c := clock.NewFake(time.Unix(1_800_000_000, 0))
	r := dns.New(dns.Config{Upstream: f, Clock: c})
	t.Cleanup(r.Close)
	return f, r, c
}

func TestLookups(t *testing.T) {
	t.Parallel()
	f, r, _ := newFake(t)
	ctx := context.Background()

	mx, err := r.LookupMX(ctx, "Example.TEST.")
	if err != nil || !slices.Equal(mx.Records, []dns.MX{{Host: "mx1.example.test", Pref: 10}, {Host: "mx2.example.test", Pref: 20}}) {
		t.Errorf("MX = %v, %v", mx, err)
	}
	null, err := r.LookupMX(ctx, "null.test")
	if err != nil || !slices.Equal(null.Records, []dns.MX{{}}) {
		t.Errorf("null MX = %v, %v", null, err)
	}
	uni, err := r.LookupMX(ctx, "भारत.test")
	if err != nil || len(uni.Records) != 1 || uni.Records[0].Host != "mx.xn--h2brj9c.test" {
		t.Errorf("U-label MX = %v, %v", uni, err)
	}
	txt, err := r.LookupTXT(ctx, "example.test")
	if err != nil || !slices.Equal(txt.Records, []string{"v=spf1 ip4:192.0.2.1 -all"}) {
		t.Errorf("TXT = %q, %v", txt.Records, err)
	}
	odd, err := r.LookupTXT(ctx, "odd.example.test")
	if err != nil || !slices.Equal(odd.Records, []string{"a\"b\\c;\xff"}) {
		t.Errorf("TXT with escapes = %q, %v", odd.Records, err)
	}
	want := []netip.Addr{netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("192.0.2.1")}
	for _, host := range []string{"mx1.example.test", "www.example.test"} {
		ip, err := r.LookupIP(ctx, host)
		if err != nil || !slices.Equal(ip.Records, want) {
			t.Errorf("IP %s = %v, %v", host, ip.Records, err)
		}
	}
	cn, err := r.LookupCNAME(ctx, "www.example.test")
	if err != nil || !slices.Equal(cn.Records, []string{"mx1.example.test"}) {
		t.Errorf("CNAME = %v, %v", cn.Records, err)
	}
	ptr, err := r.LookupPTR(ctx, netip.MustParseAddr("::ffff:192.0.2.1"))
	if err != nil || !slices.Equal(ptr.Records, []string{"mx1.example.test"}) {
		t.Errorf("PTR = %v, %v", ptr.Records, err)
	}
	tlsa, err := r.LookupTLSA(ctx, "mx1.example.test", 25)
	if err != nil || len(tlsa.Records) != 1 || tlsa.Records[0].Usage != 3 || len(tlsa.Records[0].Data) != 32 {
		t.Errorf("TLSA = %v, %v", tlsa.Records, err)
	}
	if mx.Authentic || f.Asked("example.test", "MX") != 1 {
		t.Errorf("authentic %v, asked %d times", mx.Authentic, f.Asked("example.test", "MX"))
	}
}

func TestOutcomesAreDistinct(t *testing.T) {
	t.Parallel()
	f, r, _ := newFake(t)
	f.Fail("broken.test", errors.New("SERVFAIL"))
	ctx := context.Background()
	tests := []struct {
		name                  string
		wantNX, wantTemp, bad bool
	}{
		{name: "mx1.example.test"},            // exists, without MX
		{name: "test"},                        // exists, because names stand below it
		{name: "nowhere.test", wantNX: true},  //
		{name: "broken.test", wantTemp: true}, //
		{name: "a..b.test", bad: true},        //
		{name: "a b.test", bad: true},         //
		{name: strings.Repeat("a", 64), bad: true},
		{name: strings.Repeat("a.", 130) + "a", bad: true},
	}
	for _, tc := range tests {
		a, err := r.LookupMX(ctx, tc.name)
		if len(a.Records) != 0 {
			t.Errorf("%s: records %v", tc.name, a.Records)
		}
		if dns.IsNXDomain(err) != tc.wantNX || dns.IsTemporary(err) != tc.wantTemp || (err != nil) != (tc.wantNX || tc.wantTemp || tc.bad) {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}

func TestCacheKeepsByTTLAndBound(t *testing.T) {
	t.Parallel()
	f, r, c := newFake(t)
	ctx := context.Background()
	ask := func() {
		if _, err := r.LookupTXT(ctx, "example.test"); err != nil {
			t.Fatal(err)
		}
	}
	ask()
	c.Advance(59 * time.Second)
	ask()
	if n := f.Asked("example.test", "TXT"); n != 1 {
		t.Fatalf("asked %d times within the TTL", n)
	}
	c.Advance(2 * time.Second)
	ask()
	if n := f.Asked("example.test", "TXT"); n != 2 {
		t.Fatalf("asked %d times after the TTL", n)
	}

	f.Fail("broken.test", errors.New("SERVFAIL"))
	for range 3 {
		if _, err := r.LookupTXT(ctx, "broken.test"); !dns.IsTemporary(err) {
			t.Fatal(err)
		}
	}
	if n := f.Asked("broken.test", "TXT"); n != 1 {
		t.Fatalf("a failure was asked %d times in one moment", n)
	}
	f.Fail("broken.test", nil)
	c.Advance(dns.DefaultFailureTTL)
	if _, err := r.LookupTXT(ctx, "broken.test"); !dns.IsNXDomain(err) {
		t.Fatalf("after the failure: %v", err)
	}

	small := dns.New(dns.Config{Upstream: f, Clock: c, CacheEntries: 2})
	defer small.Close()
	for _, n := range []string{"example.test", "null.test", "example.test", "nowhere.test", "example.test", "null.test"} {
		_, _ = small.LookupMX(ctx, n)
	}
	if n := f.Asked("example.test", "MX"); n != 1 {
		t.Errorf("the name used most was evicted: asked %d times", n)
	}
	if n := f.Asked("null.test", "MX"); n != 2 {
		t.Errorf("the oldest name was not evicted: asked %d times", n)
	}
}

// gate is an Upstream that answers when told to.
type gate struct {
	mu    sync.Mutex
	calls int
	open  chan struct{}
}

func (g *gate) Exchange(ctx context.Context, q dns.Question) (dns.Reply, error) {
	g.mu.Lock()
	g.calls++
	g.mu.Unlock()
	select {
	case <-g.open:
		return dns.Reply{Records: []dns.Record{{Text: "x"}}, TTL: time.Minute}, nil
	case <-ctx.Done():
		return dns.Reply{}, ctx.Err()
	}
}

func TestOneQuestionInFlight(t *testing.T) {
	t.Parallel()
	g := &gate{open: make(chan struct{})}
	r := dns.New(dns.Config{Upstream: g})
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := r.LookupTXT(gone, "a.test"); !dns.IsTemporary(err) || !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled caller got %v", err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if a, err := r.LookupTXT(context.Background(), "a.test"); err != nil || len(a.Records) != 1 {
				t.Errorf("%v, %v", a, err)
			}
		})
	}
	close(g.open)
	wg.Wait()
	if g.calls != 1 {
		t.Errorf("%d questions went out", g.calls)
	}
	r.Close()
	if _, err := r.LookupTXT(context.Background(), "b.test"); !dns.IsTemporary(err) {
		t.Errorf("after Close: %v", err)
	}
}

func TestFakeDefault(t *testing.T) {
	t.Parallel()
	f, err := dns.NewFake("own.test. IN MX 0 mx.own.test.")
	if err != nil {
		t.Fatal(err)
	}
	f.Default = func(name, qtype string) ([]string, bool) {
		if !strings.HasSuffix(name, ".example") {
			return nil, false
		}
		if qtype == "MX" {
			return []string{"@ 60 IN MX 0 outside.example."}, true
		}
		return nil, true
	}
	r := dns.New(dns.Config{Upstream: f})
	defer r.Close()
	a, err := r.LookupMX(context.Background(), "city.example")
	if err != nil || !slices.Equal(a.Records, []dns.MX{{Host: "outside.example"}}) {
		t.Errorf("%v, %v", a, err)
	}
	if _, err := r.LookupMX(context.Background(), "city.invalid"); !dns.IsNXDomain(err) {
		t.Errorf("unknown name: %v", err)
	}
	if _, err := dns.NewFake("not a record at all"); err == nil {
		t.Error("a bad record was taken")
	}
}

// serve runs a name server on loopback that cuts UDP answers short, sets AD, and
// puts a record beside the question that nobody asked for.
func serve(t *testing.T) string {
	t.Helper()
	var pc net.PacketConn
	var l net.Listener
	var err error
	for range 10 { // the same free port for UDP and TCP
		if pc, err = net.ListenPacket("udp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		if l, err = net.Listen("tcp", pc.LocalAddr().String()); err == nil {
			break
		}
		_ = pc.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	mux := mdns.NewServeMux()
	mux.HandleFunc(".", func(w mdns.ResponseWriter, req *mdns.Msg) {
		m := new(mdns.Msg)
		m.SetReply(req)
		m.AuthenticatedData = true
		name := req.Question[0].Name
		switch {
		case strings.HasPrefix(name, "servfail."):
			m.Rcode = mdns.RcodeServerFailure
		case strings.HasPrefix(name, "liar."):
			m.Question[0].Name = "other."
		case strings.HasPrefix(name, "nx."):
			m.Rcode = mdns.RcodeNameError
			soa, _ := mdns.NewRR(". 900 IN SOA a. b. 1 2 3 4 30")
			m.Ns = append(m.Ns, soa)
		case w.RemoteAddr().Network() == "udp":
			m.Truncated = true
		default:
			for _, s := range []string{name + " 60 IN CNAME real.test.", "real.test. 60 IN MX 1 mx.test.", "bank.test. 60 IN MX 1 thief.test."} {
				rr, _ := mdns.NewRR(s)
				m.Answer = append(m.Answer, rr)
			}
		}
		_ = w.WriteMsg(m)
	})
	for _, s := range []*mdns.Server{{PacketConn: pc, Handler: mux}, {Listener: l, Handler: mux}} {
		up := make(chan struct{})
		done := make(chan struct{})
		s.NotifyStartedFunc = func() { close(up) }
		go func() { defer close(done); _ = s.ActivateAndServe() }()
		<-up
		t.Cleanup(func() { _ = s.Shutdown(); <-done })
	}
	return pc.LocalAddr().String()
}

func TestServers(t *testing.T) {
	t.Parallel()
	s, err := dns.NewServers([]string{serve(t)}, false)
	if err != nil {
		t.Fatal(err)
	}
	r := dns.New(dns.Config{Upstream: s})
	defer r.Close()
	ctx := context.Background()
	a, err := r.LookupMX(ctx, "alias.test")
	if err != nil || !slices.Equal(a.Records, []dns.MX{{Host: "mx.test", Pref: 1}}) || !a.Authentic {
		t.Errorf("over TCP after a short UDP answer: %v, %v", a, err)
	}
	if _, err := r.LookupMX(ctx, "nx.test"); !dns.IsNXDomain(err) {
		t.Errorf("nx: %v", err)
	}
	for _, n := range []string{"servfail.test", "liar.test"} {
		if _, err := r.LookupMX(ctx, n); !dns.IsTemporary(err) {
			t.Errorf("%s: %v", n, err)
		}
	}
	if _, err := dns.NewServers([]string{"ns.example.test"}, false); err == nil {
		t.Error("a name server by name was taken")
	}
}

func FuzzCanonical(f *testing.F) {
	for _, s := range []string{"example.test.", "राज्य.example", "_dmarc.a", "..", "", "a\x00b", "xn--", strings.Repeat("é.", 200)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, err := dns.Canonical(s)
		if err != nil {
			return
		}
		again, err := dns.Canonical(c)
		if err != nil || again != c {
			t.Fatalf("%q -> %q -> %q, %v", s, c, again, err)
		}
	})
}

func BenchmarkCached(b *testing.B) {
	f, err := dns.NewFake(zone)
	if err != nil {
		b.Fatal(err)
	}
	r := dns.New(dns.Config{Upstream: f})
	defer r.Close()
	for b.Loop() {
		if _, err := r.LookupTXT(context.Background(), "example.test"); err != nil {
			b.Fatal(err)
		}
	}
}
