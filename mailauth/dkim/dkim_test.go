package dkim_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/mohar-mail/mohar/mailauth/dkim"
	"github.com/mohar-mail/mohar/mailauth/field"
	"github.com/mohar-mail/mohar/wire/dns"
)

// The records of RFC 8463 appendix A.2 and RFC 6376 appendix C.
const rfcZone = `
brisbane._domainkey.football.example.com. IN TXT "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
test._domainkey.football.example.com. IN TXT "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWR" "iGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutAC" "DfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3" "Ip3G+2kryOTIKT+l/K4w3QIDAQAB"
brisbane._domainkey.example.com. IN TXT "v=DKIM1; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQ" "KBgQDwIRP/UC3SBsEmGqZ9ZJW3/DkMoGeLnQg1fWn7/zYt" "IxN2SnFCjxOCKG9v3b4jYfcTNh5ijSsq631uBItLa7od+v" "/RtdC2UzJ1lWT947qR+Rcac2gbto/NMqJ0fzfVjH4OuKhi" "tdY9tf6mcwGjaNBcWToIMmPSPDdQPNUYckcQ2QIDAQAB"
`

func newResolver(t testing.TB, zone ...string) (*dns.Resolver, *dns.Fake) {
	t.Helper()
	f, err := dns.NewFake(zone...)
	if err != nil {
		t.Fatal(err)
	}
	r := dns.New(dns.Config{Upstream: f})
	t.Cleanup(r.Close)
	return r, f
}

func load(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n"))
}

func verify(t testing.TB, r dkim.Resolver, msg []byte) []dkim.Result {
	t.Helper()
	header, _, err := field.Read(bytes.NewReader(msg), int64(len(msg)))
	if err != nil {
		t.Fatal(err)
	}
	res, err := dkim.Verify(context.Background(), r, header, bytes.NewReader(msg), int64(len(msg)))
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func TestRFCVectors(t *testing.T) {
	t.Parallel()
	r, _ := newResolver(t, rfcZone)
	tests := []struct {
		file string
		want []dkim.Result
	}{
		{"rfc8463.eml", []dkim.Result{
			{Status: dkim.Pass, Domain: "football.example.com", Selector: "brisbane", Identifier: "@football.example.com", Algorithm: "ed25519-sha256", Signature: "/gCrinpc"},
			{Status: dkim.Pass, Domain: "football.example.com", Selector: "test", Identifier: "@football.example.com", Algorithm: "rsa-sha256", Signature: "F45dVWDf"},
		}},
		{"rfc6376.eml", []dkim.Result{
			{Status: dkim.Pass, Domain: "example.com", Selector: "brisbane", Identifier: "joe@football.example.com", Algorithm: "rsa-sha256", Signature: "AuUoFEfD"},
		}},
	}
	for _, tc := range tests {
		msg := load(t, tc.file)
		if got := verify(t, r, msg); fmt.Sprint(got) != fmt.Sprint(tc.want) {
			t.Errorf("%s: got %v\nwant %v", tc.file, got, tc.want)
		}
		for _, change := range [][2]string{{"lost the game", "won the game"}, {"Is dinner ready", "Is supper ready"}, {"joe@football.example.com>\r\nTo", "jim@football.example.com>\r\nTo"}} {
			bad := bytes.Replace(msg, []byte(change[0]), []byte(change[1]), 1)
			if bytes.Equal(bad, msg) {
				t.Fatalf("%s: %q not found", tc.file, change[0])
			}
			for _, got := range verify(t, r, bad) {
				if got.Status != dkim.Fail {
					t.Errorf("%s with %q: %v", tc.file, change[1], got)
				}
			}
		}
	}
}

const plain = "From: =?utf-8?B?4KSF?= <a@rajya.example>\r\nTo: b@city.example\r\nSubject: x\r\nDate: Mon, 23 Nov 2026 10:00:00 +0530\r\nMessage-ID: <1@rajya.example>\r\n\r\nHello.\r\n"

func newSigner(t testing.TB) (*dkim.Signer, []string) {
	t.Helper()
	var keys []dkim.Key
	var zone []string
	for sel, gen := range map[string]func() (crypto.Signer, error){"r1": dkim.GenerateRSA, "e1": dkim.GenerateEd25519} {
		k, err := gen()
		if err != nil {
			t.Fatal(err)
		}
		text, err := dkim.MarshalKey(k)
		if err != nil {
			t.Fatal(err)
		}
		if k, err = dkim.ParseKey(text); err != nil {
			t.Fatal(err)
		}
		key := dkim.Key{Domain: "rajya.example", Selector: sel, Private: k}
		line, err := key.ZoneLine()
		if err != nil {
			t.Fatal(err)
		}
		keys, zone = append(keys, key), append(zone, line)
	}
	s, err := dkim.NewSigner(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return s, zone
}

func TestSignedMailVerifiesAndIsSealed(t *testing.T) {
	t.Parallel()
	s, zone := newSigner(t)
	r, _ := newResolver(t, zone...)
	fields, err := s.Sign(strings.NewReader(plain), int64(len(plain)))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(strings.TrimSuffix(string(fields), "\r\n"), "\r\n") {
		if len(line) > 998 || strings.ContainsAny(line, "\r\n") {
			t.Errorf("line of %d octets: %q", len(line), line)
		}
	}
	msg := append(fields, plain...)
	got := verify(t, r, msg)
	if len(got) != 2 || got[0].Status != dkim.Pass || got[1].Status != dkim.Pass {
		t.Fatalf("own signatures: %v", got)
	}
	// What the way may do: re-fold, add trace fields, add empty lines at the end.
	moved := "Received: from x\r\n\tby y; date\r\n" + strings.Replace(string(msg), "Subject: x", "Subject:\r\n x", 1) + "\r\n\r\n"
	for _, res := range verify(t, r, []byte(moved)) {
		if res.Status != dkim.Pass {
			t.Errorf("after harmless changes: %v", res)
		}
	}
	// What it may not: add another field of a sealed name.
	for _, add := range []string{"From: boss@rajya.example", "Subject: urgent", "Reply-To: thief@evil.example", "Content-Type: text/html", "Mohar-Label: open"} {
		for _, res := range verify(t, r, append([]byte(add+"\r\n"), msg...)) {
			if res.Status != dkim.Fail {
				t.Errorf("with a second %q: %v", add, res)
			}
		}
	}
}

func TestSignRefuses(t *testing.T) {
	t.Parallel()
	s, _ := newSigner(t)
	for _, msg := range []string{"To: b@x.example\r\n\r\nx\r\n", "From: a@x.example\r\nfrom : b@x.example\r\n\r\nx\r\n"} {
		if f, err := s.Sign(strings.NewReader(msg), int64(len(msg))); err == nil {
			t.Errorf("signed %q: %q", msg, f)
		}
	}
	short, err := rsa.GenerateKey(nil, 1024)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := dkim.NewSigner(dkim.Key{Domain: "x.example", Selector: "s", Private: short}); err == nil {
		t.Error("a key of 1024 bits was taken")
	}
	if _, err := dkim.NewSigner(); err == nil {
		t.Error("a signer without keys was made")
	}
	if _, err := dkim.ParseKey([]byte("nonsense")); err == nil {
		t.Error("nonsense was read as a key")
	}
}

func TestStatuses(t *testing.T) {
	t.Parallel()
	r, f := newResolver(t, rfcZone, `revoked._domainkey.x.example. IN TXT "v=DKIM1; p="`)
	f.Fail("slow._domainkey.x.example", errors.New("SERVFAIL"))
	const tail = "; a=rsa-sha256; c=relaxed/relaxed; h=from; bh=AAAA; b=AAAA\r\nFrom: a@x.example\r\n\r\nx\r\n"
	tests := []struct {
		sig  string
		want dkim.Status
	}{
		{"v=1; d=x.example; s=none" + tail, dkim.PermError},
		{"v=1; d=x.example; s=revoked" + tail, dkim.PermError},
		{"v=1; d=x.example; s=slow" + tail, dkim.TempError},
		{"v=1; d=football.example.com; s=test" + tail, dkim.Fail},
		{"v=1; d=football.example.com; s=test; l=1" + tail, dkim.Policy},
		{"v=1; d=football.example.com; s=test; x=1" + tail, dkim.PermError},
		{"v=1; d=football.example.com; s=test; i=a@evil.example" + tail, dkim.PermError},
		{"v=2; d=football.example.com; s=test" + tail, dkim.PermError},
		{"garbage\r\nFrom: a@x.example\r\n\r\n", dkim.PermError},
		{"v=1; d=football.example.com; s=test" + strings.Replace(tail, "sha256", "sha1", 1), dkim.PermError},
		{"v=1; d=football.example.com; s=test" + strings.Replace(tail, "h=from", "h=to", 1), dkim.PermError},
	}
	for _, tc := range tests {
		got := verify(t, r, []byte("DKIM-Signature: "+tc.sig))
		if len(got) != 1 || got[0].Status != tc.want || got[0].Reason == "" {
			t.Errorf("%q: %+v, want %s", tc.sig, got, tc.want)
		}
	}
	if got := verify(t, r, []byte(plain)); got != nil {
		t.Errorf("unsigned: %v", got)
	}
}

// A header may be built to make the verifier work; each of these is answered
// without asking the DNS even once, and that is how the bound is seen.
func TestWorkIsBounded(t *testing.T) {
	t.Parallel()
	const sig = "DKIM-Signature: v=1; a=rsa-sha256; d=football.example.com; s=test; h=from; bh=AA; b=AA\r\n"
	tests := map[string]string{
		"many short folded lines": sig + "From: a@x.example" + strings.Repeat("\r\n x", 40_000) + "\r\n\r\n",
		"many fields":             sig + strings.Repeat("a:b\r\n", 20_000) + "\r\n",
		"long signature":          strings.Replace(sig, "h=from", "h=from"+strings.Repeat(":a", 5000), 1) + "From: a@x.example\r\n\r\n",
		"names times fields":      strings.Repeat(strings.Replace(sig, "h=from", "h=from"+strings.Repeat(":a", 3000), 1), 5) + strings.Repeat("a:b\r\n", 1500) + "\r\n",
		"endless header":          sig + strings.Repeat("X: "+strings.Repeat("y", 900)+"\r\n", 1000) + "\r\n",
	}
	for name, msg := range tests {
		r, f := newResolver(t, rfcZone)
		for _, res := range verify(t, r, []byte(msg)) {
			if res.Status != dkim.PermError {
				t.Errorf("%s: %+v", name, res)
			}
		}
		if n := f.Asked("test._domainkey.football.example.com", "TXT"); n != 0 {
			t.Errorf("%s: the key was asked for", name)
		}
	}
	r, _ := newResolver(t, rfcZone)
	if got := verify(t, r, []byte(strings.Repeat(sig, 20)+"From: a@x.example\r\n\r\nx\r\n")); len(got) != dkim.MaxSignatures {
		t.Errorf("%d signatures were looked at", len(got))
	}
}

// brokenAt fails once the reader gets to an offset.
type brokenAt struct {
	data []byte
	at   int64
}

var errDisk = errors.New("disk on fire")

func (b brokenAt) ReadAt(p []byte, off int64) (int, error) {
	if off >= b.at {
		return 0, errDisk
	}
	n := copy(p[:min(int64(len(p)), b.at-off)], b.data[off:])
	if n < len(p) {
		return n, errDisk
	}
	return n, nil
}

func TestUnreadableContentIsAnError(t *testing.T) {
	t.Parallel()
	r, _ := newResolver(t, rfcZone)
	msg := append(load(t, "rfc8463.eml"), bytes.Repeat([]byte("x\r\n"), 30_000)...)
	header, _, err := field.Read(bytes.NewReader(msg), int64(len(msg)))
	if err != nil {
		t.Fatal(err)
	}
	if res, err := dkim.Verify(context.Background(), r, header, brokenAt{msg, 50_000}, int64(len(msg))); !errors.Is(err, errDisk) {
		t.Errorf("%v, %v", res, err)
	}
	s, _ := newSigner(t)
	if _, err := s.Sign(brokenAt{append([]byte(plain), msg...), 50_000}, int64(len(plain)+len(msg))); !errors.Is(err, errDisk) {
		t.Errorf("sign: %v", err)
	}
}

func FuzzVerify(f *testing.F) {
	f.Add(load(f, "rfc8463.eml"))
	f.Add(load(f, "rfc6376.eml"))
	f.Add([]byte("DKIM-Signature: v=1\r\nDKIM-Signature:\r\n\r\n"))
	f.Add([]byte("\r\n"))
	fake, err := dns.NewFake(rfcZone)
	if err != nil {
		f.Fatal(err)
	}
	r := dns.New(dns.Config{Upstream: fake})
	f.Cleanup(r.Close)
	f.Fuzz(func(t *testing.T, msg []byte) {
		for _, res := range verify(t, r, msg) {
			if res.Status == "" {
				t.Fatalf("no status: %+v", res)
			}
			if res.Status == dkim.Pass && res.Domain != "football.example.com" && res.Domain != "example.com" {
				t.Fatalf("passed for %q", res.Domain)
			}
		}
	})
}

func BenchmarkVerify10KB(b *testing.B) {
	s, zone := newSigner(b)
	r, _ := newResolver(b, zone...)
	body := plain + strings.Repeat("0123456789012345678901234567890123456789012345678901234567\r\n", 170)
	fields, err := s.Sign(strings.NewReader(body), int64(len(body)))
	if err != nil {
		b.Fatal(err)
	}
	msg := append(fields, body...)
	b.ReportAllocs()
	for b.Loop() {
		verify(b, r, msg)
	}
}

func BenchmarkSign10KB(b *testing.B) {
	s, _ := newSigner(b)
	body := plain + strings.Repeat("0123456789012345678901234567890123456789012345678901234567\r\n", 170)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Sign(strings.NewReader(body), int64(len(body))); err != nil {
			b.Fatal(err)
		}
	}
}

var _ io.ReaderAt = brokenAt{}
