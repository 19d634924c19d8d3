package mailauth_test

import (
	"bytes"
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-msgauth/authres"

	"github.com/mohar-mail/mohar/mailauth"
	"github.com/mohar-mail/mohar/mailauth/dkim"
	"github.com/mohar-mail/mohar/mailauth/dmarc"
	"github.com/mohar-mail/mohar/mailauth/field"
	"github.com/mohar-mail/mohar/mailauth/spf"
	"github.com/mohar-mail/mohar/wire/dns"
)

const zone = `
city.example. IN TXT "v=spf1 ip4:192.0.2.1 -all"
_dmarc.city.example. IN TXT "v=DMARC1; p=reject"
evil.example. IN TXT "v=spf1 +all"
weak.example. IN TXT "v=spf1 ip4:192.0.2.1 -all"
`

type bed struct {
	v      *mailauth.Verifier
	signer *dkim.Signer
	fake   *dns.Fake
}

func newBed(t testing.TB, cfg mailauth.Config) bed {
	t.Helper()
	priv, err := dkim.GenerateEd25519()
	if err != nil {
		t.Fatal(err)
	}
	key := dkim.Key{Domain: "city.example", Selector: "s1", Private: priv}
	line, err := key.ZoneLine()
	if err != nil {
		t.Fatal(err)
	}
	f, err := dns.NewFake(zone, line)
	if err != nil {
		t.Fatal(err)
	}
	s, err := dkim.NewSigner(key)
	if err != nil {
		t.Fatal(err)
	}
	r := dns.New(dns.Config{Upstream: f})
	t.Cleanup(r.Close)
	cfg.Resolver = r
	return bed{mailauth.New(cfg), s, f}
}

func (b bed) sign(t testing.TB, msg string) string {
	t.Helper()
	f, err := b.signer.Sign(strings.NewReader(msg), int64(len(msg)))
	if err != nil {
		t.Fatal(err)
	}
	return string(f) + msg
}

func (b bed) verify(t testing.TB, remote, from, msg string) mailauth.Result {
	t.Helper()
	res, err := b.v.Verify(context.Background(), mailauth.Input{Remote: netip.MustParseAddr(remote), HELO: "mx.evil.example",
		MailFrom: from, Content: strings.NewReader(msg), Size: int64(len(msg))})
	if err != nil {
		t.Fatal(err)
	}
	return res
}

const letter = "From: Asha <asha@city.example>\r\nTo: b@rajya.example\r\nSubject: x\r\n\r\nHello.\r\n"

func TestVerify(t *testing.T) {
	t.Parallel()
	b := newBed(t, mailauth.Config{})
	signed := b.sign(t, letter)
	const us, other = "192.0.2.1", "198.51.100.9"
	tests := []struct {
		name, remote, from, msg string
		spf                     spf.Status
		dkim                    []dkim.Status
		dmarc                   dmarc.Status
		do                      dmarc.Policy
	}{
		{"all well", us, "asha@city.example", signed, spf.Pass, []dkim.Status{dkim.Pass}, dmarc.Pass, dmarc.PolicyNone},
		{"forwarded", other, "fwd@evil.example", signed, spf.Pass, []dkim.Status{dkim.Pass}, dmarc.Pass, dmarc.PolicyNone},
		{"unsigned, right client", us, "asha@city.example", letter, spf.Pass, nil, dmarc.Pass, dmarc.PolicyNone},
		{"impersonation", other, "x@evil.example", letter, spf.Pass, nil, dmarc.Fail, dmarc.PolicyReject},
		{"changed on the way", other, "x@evil.example", strings.Replace(signed, "Hello", "Hullo", 1), spf.Pass, []dkim.Status{dkim.Fail}, dmarc.Fail, dmarc.PolicyReject},
		{"second From above", other, "x@evil.example", "From: boss@evil.example\r\n" + signed, spf.Pass, []dkim.Status{dkim.Fail}, dmarc.Fail, dmarc.PolicyReject},
		{"second From below", other, "x@evil.example", strings.Replace(letter, "\r\nTo:", "\r\nFROM : <a@evil.example>\r\nTo:", 1), spf.Pass, nil, dmarc.Fail, dmarc.PolicyReject},
		{"two addresses in From", other, "x@evil.example", strings.Replace(letter, "<asha@city.example>", "<a@evil.example>, asha@city.example", 1), spf.Pass, nil, dmarc.Fail, dmarc.PolicyReject},
		{"address as display name", other, "x@evil.example", strings.Replace(letter, "Asha <asha@city.example>", `"asha@city.example" <a@evil.example>`, 1), spf.Pass, nil, dmarc.None, dmarc.PolicyNone},
		{"comment tricks", other, "x@evil.example", strings.Replace(letter, "Asha <asha@city.example>", `asha(<a@evil.example>)@city.example`, 1), spf.Pass, nil, dmarc.Fail, dmarc.PolicyReject},
		{"no policy", other, "a@weak.example", strings.ReplaceAll(letter, "city", "weak"), spf.Fail, nil, dmarc.None, dmarc.PolicyNone},
		{"no From", other, "x@evil.example", "To: x@y.example\r\n\r\n", spf.Pass, nil, dmarc.PermError, dmarc.PolicyNone},
		{"a crowd in From", other, "x@evil.example", "From: a@a.example, a@b.example, a@c.example, a@d.example, a@e.example\r\n\r\n", spf.Pass, nil, dmarc.PermError, dmarc.PolicyReject},
		{"empty message", other, "", "", spf.None, nil, dmarc.PermError, dmarc.PolicyNone},
	}
	for _, tc := range tests {
		res := b.verify(t, tc.remote, tc.from, tc.msg)
		var sigs []dkim.Status
		for _, d := range res.DKIM {
			sigs = append(sigs, d.Status)
		}
		if res.SPF.Status != tc.spf || !slices.Equal(sigs, tc.dkim) || res.DMARC.Status != tc.dmarc || res.DMARC.Do != tc.do {
			t.Errorf("%s: spf %v, dkim %v, dmarc %+v", tc.name, res.SPF, res.DKIM, res.DMARC)
		}
		if res.Rejects() != (tc.do == dmarc.PolicyReject) {
			t.Errorf("%s: Rejects() = %v", tc.name, res.Rejects())
		}
	}
	if res := b.verify(t, other, "x@evil.example", "From: a@city.example\r\n"+letter); res.FromFields != 2 || !slices.Equal(res.FromDomains, []string{"city.example"}) {
		t.Errorf("From fields: %d %v", res.FromFields, res.FromDomains)
	}
}

func TestOwnNetworkAsksNothing(t *testing.T) {
	t.Parallel()
	b := newBed(t, mailauth.Config{Own: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	res := b.verify(t, "::ffff:127.0.0.1", "asha@city.example", letter)
	if !res.Skipped || b.fake.Asked("city.example", "TXT") != 0 || b.fake.Asked("_dmarc.city.example", "TXT") != 0 {
		t.Errorf("%+v", res)
	}
	if got := string(res.Field("mx.rajya.example")); got != "Authentication-Results: mx.rajya.example; none\r\n" {
		t.Errorf("field %q", got)
	}
}

func TestFieldIsReadByAnotherParser(t *testing.T) {
	t.Parallel()
	b := newBed(t, mailauth.Config{})
	res := b.verify(t, "192.0.2.1", "asha@city.example", b.sign(t, letter))
	raw := string(res.Field("mx.rajya.example"))
	value, ok := strings.CutPrefix(raw, "Authentication-Results:")
	if !ok || !strings.HasSuffix(raw, "\r\n") {
		t.Fatalf("%q", raw)
	}
	id, got, err := authres.Parse(strings.ReplaceAll(value, "\r\n", ""))
	if err != nil || id != "mx.rajya.example" || len(got) != 3 {
		t.Fatalf("%q: %q %v %v", raw, id, got, err)
	}
	if s := got[0].(*authres.SPFResult); s.Value != "pass" || s.From != "asha@city.example" {
		t.Errorf("%+v in %q", s, raw)
	}
	if d := got[1].(*authres.DKIMResult); d.Value != "pass" || d.Domain != "city.example" || d.Identifier != "@city.example" {
		t.Errorf("%+v in %q", d, raw)
	}
	if d := got[2].(*authres.DMARCResult); d.Value != "pass" || d.From != "city.example" {
		t.Errorf("%+v in %q", d, raw)
	}
}

func TestFieldCannotBeInjected(t *testing.T) {
	t.Parallel()
	evil := "x; dmarc=pass header.from=bank.example"
	res := mailauth.Result{
		SPF:   spf.Result{Status: spf.Fail, Sender: "a;dmarc=pass\r\nX: y@evil.example", Domain: "evil.example", Reason: "no) ; dmarc=pass ("},
		DKIM:  []dkim.Result{{Status: dkim.Fail, Domain: evil, Selector: "a\"b\\", Identifier: "क@भारत.example", Algorithm: evil, Signature: "a\r\nb", Reason: strings.Repeat("long ", 100)}},
		DMARC: dmarc.Result{Status: dmarc.Fail, From: "evil.example"},
	}
	raw := string(res.Field("mx.rajya.example"))
	for i, line := range strings.Split(strings.TrimSuffix(raw, "\r\n"), "\r\n") {
		if i > 0 && !strings.HasPrefix(line, "\t") {
			t.Errorf("a line of its own: %q", line)
		}
	}
	id, got, err := authres.Parse(stripComments(strings.ReplaceAll(strings.TrimPrefix(raw, "Authentication-Results:"), "\r\n", "")))
	if err != nil || id != "mx.rajya.example" {
		t.Fatalf("%v in %q", err, raw)
	}
	for _, r := range got {
		if d, ok := r.(*authres.DMARCResult); ok && d.Value != "fail" {
			t.Errorf("injected %+v in %q", d, raw)
		}
	}
	for i := 0; i < len(raw); i++ {
		if raw[i] >= 0x80 {
			t.Fatalf("not ASCII: %q", raw)
		}
	}
}

// stripComments removes what stands in parentheses, outside of quotes.
func stripComments(s string) string {
	var b strings.Builder
	depth, quoted := 0, false
	for i := 0; i < len(s); i++ {
		switch {
		case quoted && s[i] == '\\':
			b.WriteString("__")
			i++
		case s[i] == '"' && depth == 0:
			quoted = !quoted
		case quoted && s[i] == ';':
			b.WriteByte('_')
		case !quoted && s[i] == '(':
			depth++
		case !quoted && s[i] == ')':
			depth--
		case depth == 0:
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

func TestFindForged(t *testing.T) {
	t.Parallel()
	header := "Received: x\r\n" +
		"Authentication-Results: mx.rajya.example; dmarc=pass\r\n" +
		"authentication-results :\r\n\t(a (nested\\) comment)) MX.Rajya.Example. 1; dmarc=pass\r\n" +
		"Authentication-Results: \"mx.rajya\\.example\"; dmarc=pass\r\n" +
		"Authentication-Results: mx.rajya.example\r\n" +
		"Authentication-Results: mx.rajya.example.evil.example; dmarc=pass\r\n" +
		"Authentication-Results: mail.city.example; (mx.rajya.example) dmarc=pass\r\n" +
		"X-Authentication-Results: mx.rajya.example; dmarc=pass\r\n"
	got := mailauth.FindForged([]byte(header), "mx.rajya.example")
	if len(got) != 4 {
		t.Fatalf("%d fields: %v", len(got), got)
	}
	for _, f := range got {
		if !bytes.Equal([]byte(header)[f.Offset:f.Offset+len(f.Raw)], f.Raw) || !strings.HasSuffix(string(f.Raw), "\r\n") {
			t.Errorf("offset %d does not point at %q", f.Offset, f.Raw)
		}
	}
}

func FuzzFields(f *testing.F) {
	f.Add([]byte(letter))
	f.Add([]byte("a\r\n b\n\r\r\n"))
	f.Add([]byte("From:\r\n\t<a@b>\n \n"))
	f.Fuzz(func(t *testing.T, msg []byte) {
		header, _, err := field.Read(bytes.NewReader(msg), int64(len(msg)))
		if err != nil || len(header) > field.MaxHeader {
			t.Fatal(err, len(header))
		}
		var all []byte
		for fl := range field.All(header) {
			if fl.Offset != len(all) || len(fl.Raw) == 0 {
				t.Fatalf("field at %d after %d octets", fl.Offset, len(all))
			}
			all = append(all, fl.Raw...)
		}
		if !bytes.Equal(all, header) {
			t.Fatal("the fields are not the header")
		}
		mailauth.FindForged(header, "mx.rajya.example")
	})
}

func BenchmarkVerifyUnsigned10KB(b *testing.B) {
	bd := newBed(b, mailauth.Config{})
	msg := letter + strings.Repeat("0123456789012345678901234567890123456789012345678901234567\r\n", 170)
	b.ReportAllocs()
	for b.Loop() {
		bd.verify(b, "192.0.2.1", "asha@city.example", msg)
	}
}

func BenchmarkVerifySigned10KB(b *testing.B) {
	bd := newBed(b, mailauth.Config{})
	msg := bd.sign(b, letter+strings.Repeat("0123456789012345678901234567890123456789012345678901234567\r\n", 170))
	b.ReportAllocs()
	for b.Loop() {
		bd.verify(b, "192.0.2.1", "asha@city.example", msg)
	}
}
