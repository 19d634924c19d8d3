package sasl

import (
	"context"
	"strings"
	"testing"

	"github.com/mohar-mail/mohar/base/fault"
)

func check(_ context.Context, authzid, user, password string) error {
	if user == "u1" && password == "secret" && (authzid == "" || authzid == "u1") {
		return nil
	}
	return fault.New(fault.Auth, "check", "Wrong name or password.")
}

func TestParsePlain(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", MaxResponse)
	for _, c := range []struct {
		in, authzid, authcid, password string
		ok                             bool
	}{
		{"\x00u\x00p", "", "u", "p", true},
		{"z\x00u\x00p", "z", "u", "p", true},
		{"z\x00उ\x00पास", "z", "उ", "पास", true},
		{"", "", "", "", false},
		{"u\x00p", "", "", "", false},
		{"\x00\x00p", "", "", "", false},
		{"\x00u\x00", "", "", "", false},
		{"\x00u\x00p\x00", "", "", "", false},
		{"\x00u\x00\xff", "", "", "", false},
		{"\x00" + long + "\x00p", "", "", "", false},
		{"\x00" + long[:MaxIdentity+1] + "\x00p", "", "", "", false},
	} {
		z, u, p, err := ParsePlain([]byte(c.in))
		if (err == nil) != c.ok || z != c.authzid || u != c.authcid || p != c.password {
			t.Errorf("%.20q: %q %q %q %v", c.in, z, u, p, err)
		}
		if err != nil && fault.KindOf(err) != fault.Invalid {
			t.Errorf("%.20q: kind %v", c.in, fault.KindOf(err))
		}
	}
}

// run lets both halves speak with each other and gives the server's verdict.
func run(t *testing.T, c Client, s Server, useInitial bool) error {
	t.Helper()
	_, resp, err := c.Start()
	if err != nil {
		t.Fatal(err)
	}
	if !useInitial && resp != nil {
		ch, done, err := s.Next(t.Context(), nil)
		if err != nil || done || len(ch) != 0 {
			t.Fatalf("no initial response: %q %v %v", ch, done, err)
		}
	}
	for range 5 {
		ch, done, err := s.Next(t.Context(), resp)
		if err != nil || done {
			return err
		}
		if resp, err = c.Next(ch); err != nil {
			t.Fatal(err)
		}
	}
	t.Fatal("no end")
	return nil
}

func TestExchanges(t *testing.T) {
	t.Parallel()
	for _, initial := range []bool{true, false} {
		if err := run(t, NewPlainClient("", "u1", "secret"), NewPlainServer(check), initial); err != nil {
			t.Error(err)
		}
		if err := run(t, NewPlainClient("u2", "u1", "secret"), NewPlainServer(check), initial); fault.KindOf(err) != fault.Auth {
			t.Error("acting as another must be left to the verifier:", err)
		}
	}
	if err := run(t, NewLoginClient("u1", "secret"), NewLoginServer(check), false); err != nil {
		t.Error(err)
	}
	if err := run(t, NewLoginClient("u1", "x"), NewLoginServer(check), false); !fault.Is(err, fault.Auth) {
		t.Error(err)
	}
}

// Outlook sends the name as initial response of LOGIN.
func TestLoginInitialResponse(t *testing.T) {
	t.Parallel()
	s := NewLoginServer(check)
	ch, done, err := s.Next(t.Context(), []byte("u1"))
	if string(ch) != "Password:" || done || err != nil {
		t.Fatalf("%q %v %v", ch, done, err)
	}
	if _, done, err = s.Next(t.Context(), []byte("secret")); !done || err != nil {
		t.Fatal(done, err)
	}
}

func TestLoginRefusesMalformed(t *testing.T) {
	t.Parallel()
	for _, r := range []string{"", "a\x00b", "\xff", strings.Repeat("a", MaxIdentity+1)} {
		if _, done, err := NewLoginServer(check).Next(t.Context(), []byte(r)); !done || !fault.Is(err, fault.Invalid) {
			t.Errorf("%.10q: %v %v", r, done, err)
		}
	}
}

func FuzzParsePlain(f *testing.F) {
	f.Add([]byte("\x00u\x00p"))
	f.Add([]byte("a\x00b\x00c\x00d"))
	f.Fuzz(func(t *testing.T, b []byte) {
		z, u, p, err := ParsePlain(b)
		if err == nil && z+"\x00"+u+"\x00"+p != string(b) {
			t.Fatalf("%q", b)
		}
	})
}
