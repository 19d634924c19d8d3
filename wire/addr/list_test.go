package addr

import (
	"fmt"
	"net/mail"
	"strings"
	"testing"
)

func show(list []Address) string {
	var b strings.Builder
	for _, a := range list {
		switch a.Kind {
		case GroupStart:
			fmt.Fprintf(&b, "{%s ", a.Name)
		case GroupEnd:
			b.WriteString("}")
		default:
			fmt.Fprintf(&b, "(%s|%s|%s)", a.Name, a.Local, a.Domain)
		}
	}
	return b.String()
}

func TestParseList(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ in, want string }{
		{"", ""},
		{"a@b.example", "(|a|b.example)"},
		{"A B <a@b.example>", "(A B|a|b.example)"},
		{`"B, A" <a@b.example>, c@d.example`, "(B, A|a|b.example)(|c|d.example)"},
		{`"a \"q\" b"  <a@b.example>`, `(a "q" b|a|b.example)`},
		{"a@b.example (Name (nested) here)", "(Name (nested) here|a|b.example)"},
		{"Group: a@b.example, C <c@d.example>; e@f.example", "{Group (|a|b.example)(C|c|d.example)}(|e|f.example)"},
		{"undisclosed-recipients:;", "{undisclosed-recipients }"},
		{"Open: a@b.example", "{Open (|a|b.example)}"},
		{"=?utf-8?B?4KSF?= <a@b.example>", "(=?utf-8?B?4KSF?=|a|b.example)"},
		{"अजय कुमार <अजय@राज्य.example>", "(अजय कुमार|अजय|राज्य.example)"},
		{"<@r.example,@s.example:a@b.example>", "(|a|b.example)"},
		{"a . b @ c . example", "(|a.b|c.example)"},
		{`"quoted local"@b.example`, "(|quoted local|b.example)"},
		{`<"a@x"@b.example>`, "(|a@x|b.example)"},
		{"a@b.example; c@d.example", "(|a|b.example)(|c|d.example)"},
		{"A <a@b.example", "(A|a|b.example)"},
		{"A <a@b.example, C <c@d.example>", "(A|a|b.example)(C|c|d.example)"},
		{"not an address", "(|not an address|)"},
		{"A <>", "(A||)"},
		{"<a@b.example> <c@d.example>", "(|a|b.example)"},
		{"J. R. Smith <j@b.example>", "(J. R. Smith|j|b.example)"},
		{"a@[IPv6:2001:db8::1]", "(|a|[IPv6:2001:db8::1])"},
		{"<mailto:a@b.example>", "(|a|b.example)"},
		{"mailto:a@b.example", "(|a|b.example)"},
		{"a@b.example,\r\n\tc@d.example", "(|a|b.example)(|c|d.example)"},
		{"<a@b.example\r\n >", "(|a|b.example)"},
		{",,,", ""},
		{`"unclosed <a@b.example>`, "(|unclosed <a@b.example>|)"},
		{"(unclosed", ""},
		{"a@evil.example <a@good.example>", "(a@evil.example|a|good.example)"},
		{"\xff <a@b.example>", "(\xff|a|b.example)"},
	} {
		if got := show(ParseList(nil, c.in, 0)); got != c.want {
			t.Errorf("%q:\n got %s\nwant %s", c.in, got, c.want)
		}
	}
}

func TestParseListBounds(t *testing.T) {
	t.Parallel()
	if n := len(ParseList(nil, strings.Repeat("a@b,", 100), 7)); n != 7 {
		t.Errorf("max 7 gave %d", n)
	}
	if n := len(ParseList(nil, strings.Repeat("a@b,", 1<<20), 0)); n != DefaultMaxAddresses {
		t.Errorf("default gave %d", n)
	}
	// Each of these is quadratic or worse in a parser that looks back.
	for _, evil := range []string{"(", "<", "\"", "<@a,", "a:", "\\", "a ", "[", "@", "<\"a\" ", "\"a\"", ";", ":"} {
		for _, head := range []string{"", "<", "(", "\"", "a:", "<@x"} {
			s := head + strings.Repeat(evil, maxListBytes/len(evil)+1)
			size := 0
			for _, a := range ParseList(nil, s, 0) {
				size += len(a.Name) + len(a.Local) + len(a.Domain)
			}
			if size > maxListBytes {
				t.Errorf("%q %q: %d octets out", head, evil, size)
			}
		}
	}
}

func TestParseListAgreesWithPeer(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"a@b.example", "A B <a@b.example>, c@d.example", `"B, A" <a@b.example>`, "G: a@b.example, c@d.example;, e@f.example",
		`"q \" q" <"l l"@b.example>`, "अजय <अजय@राज्य.example>", "a@b.example (comment)",
	} {
		peer, err := mail.ParseAddressList(s)
		if err != nil {
			t.Errorf("peer refuses %q: %v", s, err)
			continue
		}
		i := 0
		for a := range Singles(ParseList(nil, s, 0)) {
			if i >= len(peer) || a.Local+"@"+a.Domain != peer[i].Address {
				t.Fatalf("%q: entry %d is %+v, peer has %v", s, i, a, peer)
			}
			i++
		}
		if i != len(peer) {
			t.Errorf("%q: %d entries, peer has %d", s, i, len(peer))
		}
	}
}

func FuzzParseList(f *testing.F) {
	for _, s := range []string{"a@b, C <d@e>", "G:a@b;", `"x" <"y"@z>`, "((", "<@a,@b:c@d>", "a@[IPv6:::1]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		depth := 0
		for _, a := range ParseList(nil, s, 50) {
			switch a.Kind {
			case GroupStart:
				depth++
			case GroupEnd:
				depth--
			}
			if depth < 0 || depth > 1 {
				t.Fatalf("%q: groups do not nest", s)
			}
			if strings.ContainsAny(a.Name+a.Local+a.Domain, "\r\n") {
				t.Fatalf("%q: line end in %+v", s, a)
			}
			if m, err := a.Mailbox(); err == nil && m.Local != a.Local {
				t.Fatalf("%q: %+v reads as %+v", s, a, m)
			}
		}
		if depth != 0 {
			t.Fatalf("%q: group left open", s)
		}
	})
}

func BenchmarkParseList(b *testing.B) {
	s := `"Kumar, Ajay" <ajay@rajya.example>, Vijay <vijay@rajya.example>, c@d.example`
	b.ReportAllocs()
	var dst []Address
	for b.Loop() {
		dst = ParseList(dst[:0], s, 0)
	}
}
