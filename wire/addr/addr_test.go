package addr

import (
	"strings"
	"testing"

	"github.com/mohar-mail/mohar/base/fault"
)

func TestParseMailbox(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ in, local, ascii, unicode string }{
		{"a@b.example", "a", "b.example", "b.example"},
		{"First.Last+tag@EXAMPLE.Test", "First.Last+tag", "example.test", "example.test"},
		{`"a b"@x.example`, "a b", "x.example", "x.example"},
		{`"a\"b\\"@x.example`, `a"b\`, "x.example", "x.example"},
		{`""@x.example`, "", "x.example", "x.example"},
		{`"a@b"@x.example`, "a@b", "x.example", "x.example"},
		{"अजय@राजस्थान.भारत", "अजय", "xn--81bsj3a4b8ad2j.xn--h2brj9c", "राजस्थान.भारत"},
		{"x@XN--11B7CB3A6A.xn--h2brj9c", "x", "xn--11b7cb3a6a.xn--h2brj9c", "सरकार.भारत"},
		{"a@[192.0.2.1]", "a", "[192.0.2.1]", "[192.0.2.1]"},
		{"a@[ipv6:2001:DB8::1]", "a", "[IPv6:2001:db8::1]", "[IPv6:2001:db8::1]"},
		{"a@gov.in", "a", "gov.in", "gov.in"},
		{"a@localhost", "a", "localhost", "localhost"},
	} {
		m, err := ParseMailbox(c.in)
		if err != nil || m.Local != c.local || m.Domain.ASCII != c.ascii || m.Domain.Unicode != c.unicode {
			t.Errorf("%q: got %+v, %v", c.in, m, err)
			continue
		}
		if again, err := ParseMailbox(m.String()); err != nil || again != m {
			t.Errorf("%q: String %q reads as %+v, %v", c.in, m.String(), again, err)
		}
		if again, err := ParseMailbox(m.Wire()); err != nil || again != m {
			t.Errorf("%q: Wire %q reads as %+v, %v", c.in, m.Wire(), again, err)
		}
	}
	for _, bad := range []string{
		"", "a", "@b.example", "a@", "a b@c.example", ".a@b.example", "a.@b.example", "a..b@c.example",
		"a@b..example", "a@-b.example", "a@b-.example", "a@b.example.", "a@b_c.example", "a@b@c.example",
		`"a@b.example`, "\"a\nb\"@c.example", "\"a\\\n\"@c.example", "a@1.2.3.4", "a@[1.2.3]", "a@[IPv6:1.2.3.4]", "a@[x:y]",
		"a@[fe80::1%eth0]", "a@b.example>", "a@b.example ", "\xff@b.example", "a\u202eb@c.example", "a\u00a0b@c.example",
		"a@\u200d.example", "a@" + strings.Repeat("a", 64) + ".example", "a@" + strings.Repeat("a.", 127) + "ab",
		strings.Repeat("x", MaxLocal+1) + "@b.example", "a@b.example\r\nRCPT TO:<c@d.example>", "a@\u2024example",
	} {
		if m, err := ParseMailbox(bad); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: got %+v, %v; want an Invalid fault", bad, m, err)
		}
	}
}

func TestParsePath(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ in, want, rest string }{
		{"<>", "", ""},
		{"<> SIZE=1", "", " SIZE=1"},
		{"<a@b.example> BODY=8BITMIME", "a@b.example", " BODY=8BITMIME"},
		{"<@x.example,@y.example:a@b.example>", "a@b.example", ""},
		{"<PostMaster>", "PostMaster", ""},
		{`<"a>b"@c.example>x`, `"a>b"@c.example`, "x"},
		{"<a@[IPv6:::1]>", "a@[IPv6:::1]", ""},
	} {
		p, rest, err := ParsePath(c.in)
		if err != nil || rest != c.rest || p.Null != (c.want == "") || (!p.Null && p.Mailbox.String() != c.want) {
			t.Errorf("%q: got %+v, rest %q, %v", c.in, p, rest, err)
		}
	}
	for _, bad := range []string{"", "a@b.example", "<a@b.example", "<a>", "< >", "<@x.example a@b.example>", "<@x:>", `<@"x":a@b.example>`, "<a@b.example >"} {
		if p, _, err := ParsePath(bad); err == nil {
			t.Errorf("%q: accepted as %+v", bad, p)
		}
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	key := func(s string) (string, string) {
		m, err := ParseMailbox(s)
		if err != nil {
			t.Fatalf("%q: %v", s, err)
		}
		return m.Key(), m.LooseKey()
	}
	for _, c := range []struct {
		a, b         string
		equal, loose bool
	}{
		{"Ajay@Example.Test", "ajay@example.test", true, true},
		{"a@राजस्थान.भारत", "A@xn--81bsj3a4b8ad2j.xn--h2brj9c", true, true},
		{"\u0958@x.example", "\u0915\u093c@x.example", true, true}, // qa, composed or not
		{"É@x.example", "e\u0301@x.example", true, true},
		{"\u0958@x.example", "क@x.example", false, true},
		{"हिंदी@x.example", "हिन्दी@x.example", false, true},
		{"चाँद@x.example", "चांद@x.example", false, true},
		{"क१२@x.example", "क12@x.example", false, true},
		{"क\u094d\u200dष@x.example", "क्ष@x.example", false, true},
		{"जन्म@x.example", "जंम@x.example", false, false}, // na before ma is no homorganic nasal
		{"अजय@x.example", "विजय@x.example", false, false},
	} {
		ka, la := key(c.a)
		kb, lb := key(c.b)
		if (ka == kb) != c.equal || (la == lb) != c.loose {
			t.Errorf("%q %q: keys %q %q, loose %q %q", c.a, c.b, ka, kb, la, lb)
		}
	}
}

func TestSplitDetail(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in, user, detail string
		ok               bool
	}{{"a+b", "a", "b", true}, {"a+b+c", "a", "b+c", true}, {"a", "a", "", false}, {"+a", "+a", "", false}, {"a+", "a", "", true}} {
		if u, d, ok := SplitDetail(c.in, '+'); u != c.user || d != c.detail || ok != c.ok {
			t.Errorf("%q: %q %q %v", c.in, u, d, ok)
		}
	}
}

func FuzzParseMailbox(f *testing.F) {
	for _, s := range []string{"a@b.example", `"a b"@[1.2.3.4]`, "अजय@राजस्थान.भारत", "a@xn--", "a@xn--a-.b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		m, err := ParseMailbox(s)
		if err != nil {
			return
		}
		for _, form := range []string{m.String(), m.Wire()} {
			again, err := ParseMailbox(form)
			if err != nil || again.Local != m.Local || again.Domain.ASCII != m.Domain.ASCII {
				t.Fatalf("%q gives %q, which reads as %+v, %v", s, form, again, err)
			}
			if strings.ContainsAny(form, "\r\n\x00") {
				t.Fatalf("%q lets a control through: %q", s, form)
			}
		}
		k, err := ParseMailbox(QuoteLocal(foldLocal(m.Local)) + "@" + m.Domain.ASCII)
		if err == nil && k.Key() != m.Key() {
			t.Fatalf("key of %q is not stable: %q, %q", s, m.Key(), k.Key())
		}
	})
}
