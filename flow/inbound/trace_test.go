package inbound

import (
	"bytes"
	"strings"
	"testing"

	"github.com/mohar-mail/mohar/wire/mime"
)

func TestAuthservID(t *testing.T) {
	t.Parallel()
	for v, want := range map[string]string{
		"": "", " a.example": "a.example", "a.example;spf=pass": "a.example", "a.example 1; x": "a.example", "a.example(c);": "a.example",
		"(c (d\\)) e)\t(f) a.example": "a.example", `"a.example" 1`: "a.example", `"a\.example`: "a.example", "(((": "", `(\`: "", `"`: "",
	} {
		if got := authservID(v); got != want {
			t.Errorf("%q: %q, want %q", v, got, want)
		}
	}
}

// FuzzForged: no field that claims to be ours is left, nothing else goes, and the
// body is the same.
func FuzzForged(f *testing.F) {
	f.Add([]byte("Authentication-Results: mx.example; a\r\n b\r\nFrom: x\r\n\r\nAuthentication-Results: mx.example\r\n"))
	f.Add([]byte("authentication-results :(c) \"MX.example\"\nx\n\n"))
	f.Add([]byte("From me\r\n\tx\r\nAuthentication-Results: mx.example."))
	f.Add([]byte("\r\nAuthentication-Results: mx.example;\r\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		hops(content)
		out := withoutForged(content, "mx.example")
		if again := withoutForged(out, "mx.example"); !bytes.Equal(again, out) {
			t.Fatalf("cut again: %q", again)
		}
		want := 0
		for f := range mime.Header(content).Fields() {
			if !f.Is("Authentication-Results") || !strings.EqualFold(strings.TrimSuffix(authservID(f.Text()), "."), "mx.example") {
				continue
			}
			want += len(f.Raw)
		}
		if len(content)-len(out) != want {
			t.Fatalf("%d octets went, want %d", len(content)-len(out), want)
		}
	})
}
