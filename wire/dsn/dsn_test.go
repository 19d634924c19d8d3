package dsn

import (
	"bytes"
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/wire/addr"
	"github.com/mohar-mail/mohar/wire/mime"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func sample(utf8ok bool) *Report {
	at := time.Date(2026, 11, 23, 10, 0, 0, 0, time.FixedZone("", 19800))
	return &Report{
		ReportingMTA: "mx.rajya.example", EnvelopeID: "QQ314159", Arrival: at.Add(-time.Hour),
		From: addr.Address{Name: "Mohar", Local: "postmaster", Domain: "rajya.example"}, To: "ajay@rajya.example",
		Date: at, MessageID: "<r1@rajya.example>", UTF8: utf8ok,
		Original: []byte("From: ajay@rajya.example\r\nSubject: Budget\r\nMessage-ID: <1@rajya.example>\r\n\r\nbody\r\n"),
		Recipients: []Recipient{
			{Original: Address{"rfc822", "x+y@foreign.example"}, Final: "x@foreign.example", Action: Failed, Status: "5.1.1",
				RemoteMTA: "mx.foreign.example", Diagnostic: "550 5.1.1 no such user", LastAttempt: at, LogID: "q/17",
				Explanation: mohar.Text{En: "There is no such address. Check the spelling.", Hi: "ऐसा कोई पता नहीं है। वर्तनी जाँचें।"}},
			{Original: Address{"utf-8", "विजय@राज्य.example"}, Final: "विजय@राज्य.example", Action: Delayed, Status: "4.4.1", RetryUntil: at.Add(48 * time.Hour)},
		},
	}
}

var boundaryRE = regexp.MustCompile(`=_[0-9a-f]{32}`)

func TestBuildAndParse(t *testing.T) {
	t.Parallel()
	for name, utf8ok := range map[string]bool{"ascii.eml": false, "utf8.eml": true} {
		r := sample(utf8ok)
		out, err := Build(r)
		if err != nil {
			t.Fatal(err)
		}
		stable := boundaryRE.ReplaceAll(out, []byte("=_boundary"))
		file := "testdata/" + name
		if *update {
			if err := os.WriteFile(file, stable, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if want, err := os.ReadFile(file); err != nil || !bytes.Equal(stable, want) {
			t.Errorf("%s differs:\n%s", name, stable)
		}
		if !utf8ok && !isASCII(string(out)) {
			t.Errorf("%s is not ASCII", name)
		}
		m := mime.Parse(out)
		if m.Defects != 0 || m.Flags&mime.IsReport == 0 {
			t.Errorf("%s: defects %s, flags %b", name, m.Defects, m.Flags)
		}
		got, ok := Parse(m)
		if !ok || len(got.Recipients) != 2 || got.OriginalID != "<1@rajya.example>" || got.EnvelopeID != r.EnvelopeID ||
			got.ReportingMTA != r.ReportingMTA || !got.Arrival.Equal(r.Arrival) {
			t.Fatalf("%s: %+v", name, got)
		}
		for i, p := range got.Recipients {
			w := r.Recipients[i]
			if p.Original != w.Original || p.Final != w.Final || p.Action != w.Action || p.Status != w.Status || p.RemoteMTA != w.RemoteMTA ||
				p.Diagnostic != w.Diagnostic || !p.RetryUntil.Equal(w.RetryUntil) || !p.LastAttempt.Equal(w.LastAttempt) || p.LogID != w.LogID {
				t.Errorf("%s: got %+v\nwant %+v", name, p, w)
			}
			if utf8ok && p.Explanation.Hi != w.Explanation.Hi {
				t.Errorf("%s: explanation %q", name, p.Explanation.Hi)
			}
		}
		for _, want := range []string{r.Recipients[0].Explanation.Hi, r.Recipients[0].Explanation.En, "<विजय@राज्य.example>"} {
			if !strings.Contains(r.human(), want) {
				t.Errorf("the part for people lacks %q", want)
			}
		}
	}
}

func TestReturned(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, original string
		full, utf8ok   bool
		want           string
	}{
		{"header", "Subject: x\r\n\r\nbody", false, false, "text/rfc822-headers"},
		{"full", "Subject: x\r\n\r\nbody", true, false, "message/rfc822"},
		{"too large", "Subject: x\r\n\r\n" + strings.Repeat("body\r\n", MaxReturned/4), true, false, "text/rfc822-headers"},
		{"UTF-8 header, full", "Subject: अ\r\n\r\nbody", true, true, "message/global"},
		{"UTF-8 header, ASCII hop", "Subject: अ\r\n\r\nbody", true, false, "message/global-headers"},
		{"long line", "Subject: x\r\n\r\n" + strings.Repeat("a", 2000), true, false, "text/rfc822-headers"},
		{"NUL", "Subject: x\r\n\r\n\x00", true, false, "text/rfc822-headers"},
		{"huge header", strings.Repeat("Subject: x\r\n", 1<<16), false, false, "text/rfc822-headers"},
		{"none", "", true, false, ""},
	} {
		r := sample(c.utf8ok)
		r.Original, r.ReturnFull = []byte(c.original), c.full
		out, err := Build(r)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		m := mime.Parse(out)
		got := ""
		if len(m.Root.Children) > 2 {
			p := m.Root.Children[2]
			got = p.MediaType()
			if c.full && strings.HasPrefix(got, "message/rfc822") && string(m.Body(p)) != c.original {
				t.Errorf("%s: the returned content was changed", c.name)
			}
		}
		if got != c.want || len(out) > MaxReturned+MaxHeader {
			t.Errorf("%s: got %s in %d octets, want %s", c.name, got, len(out), c.want)
		}
		if r, ok := Parse(m); !ok || c.original != "" && r.OriginalID != "" {
			t.Errorf("%s: parsed %+v", c.name, r)
		}
	}
}

func TestHostileInput(t *testing.T) {
	t.Parallel()
	orcpt, err := ParseORCPT("rfc822;a@b+0D+0ABcc:+20x@y.example")
	if err != nil {
		t.Fatal(err)
	}
	r := sample(false)
	r.Recipients[0].Original = orcpt
	r.Recipients[0].Diagnostic = "550 no\r\nAction: delivered\r\n\r\nFinal-Recipient: rfc822; z@z \xff" + strings.Repeat("x", 5000)
	out, err := Build(r)
	if err != nil {
		t.Fatal(err)
	}
	got, ok := Parse(mime.Parse(out))
	if !ok || len(got.Recipients) != 2 || got.Recipients[0].Action != Failed || strings.Contains(string(out), "\nBcc:") {
		t.Errorf("%+v\n%s", got, out)
	}
	for _, bad := range []*Report{{To: "a@b.example"}, {Recipients: r.Recipients}, {To: "a\r\nb@c.example", Recipients: r.Recipients}} {
		if _, err := Build(bad); !fault.Is(err, fault.Invalid) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

func TestParseForeign(t *testing.T) {
	t.Parallel()
	in := strings.ReplaceAll(`From: MAILER-DAEMON@foreign.example
Content-Type: multipart/report; report-type=delivery-status; boundary=b

--b

text
--b
Content-Type: message/delivery-status

Reporting-MTA: dns;mx.foreign.example
X-Postfix-Queue-ID: 123
Arrival-Date: Mon, 23 Nov 2026 10:00:00 +0530 (IST)


Final-Recipient: RFC822; x@foreign.example
Original-Recipient: rfc822;x@foreign.example
Action: Failed
Status: 5.1.1 (bad address)
Diagnostic-Code: smtp; 550 no
    such user

Final-Recipient: utf-8; \x{905}@foreign.example
Action: delayed

--b
Content-Type: message/rfc822

Message-ID: <m@x.example>

--b--
`, "\n", "\r\n")
	r, ok := Parse(mime.Parse([]byte(in)))
	if !ok || len(r.Recipients) != 2 || r.ReportingMTA != "mx.foreign.example" || r.OriginalID != "<m@x.example>" {
		t.Fatalf("%+v", r)
	}
	if p := r.Recipients[0]; p.Action != Failed || p.Status != "5.1.1" || p.Diagnostic != "550 no    such user" || p.Original.Type != "rfc822" {
		t.Errorf("%+v", p)
	}
	if p := r.Recipients[1]; p.Final != "अ@foreign.example" || p.Action != Delayed {
		t.Errorf("%+v", p)
	}
	for _, no := range []string{"Subject: x\r\n\r\nbody", strings.Replace(in, "multipart/report", "multipart/mixed", 1), strings.ReplaceAll(in, "Recipient", "X")} {
		if r, ok := Parse(mime.Parse([]byte(no))); ok {
			t.Errorf("taken for a report: %+v", r)
		}
	}
}

func TestXText(t *testing.T) {
	t.Parallel()
	for _, a := range []Address{{"rfc822", "a+b=c@d.example"}, {"utf-8", "अजय+x=\\@राज्य.example"}, {"x400", "/G=A B/"}, {"utf-8", "a\x01b@c"}} {
		for _, utf8ok := range []bool{false, true} {
			s := FormatORCPT(a, utf8ok)
			if got, err := ParseORCPT(s); err != nil || got != a || !utf8ok && !isASCII(s) || strings.ContainsAny(s, " \x01") {
				t.Errorf("%+v: %q reads as %+v, %v", a, s, got, err)
			}
		}
	}
	for _, bad := range []string{"", "rfc822", ";x", "rfc822;", "rfc822;a+4", "rfc822;a+zz", "rfc822;a b", "rfc822;a=b", "utf-8;\\x{}", `utf-8;\x{D800}`, `utf-8;\x{110000}`, `utf-8;\x{41`, "a b;c", "rfc822;" + strings.Repeat("x", 2000)} {
		if a, err := ParseORCPT(bad); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %+v, %v", bad, a, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, utf8ok := range []bool{false, true} {
		out, err := Build(sample(utf8ok))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(out)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, ok := Parse(mime.Parse(b))
		if !ok {
			return
		}
		// What others claim must be fit for a report of our own.
		s := sample(true)
		s.Recipients, s.EnvelopeID, s.ReportingMTA = r.Recipients, r.EnvelopeID, r.ReportingMTA
		out, err := Build(s)
		if err != nil {
			t.Fatal(err)
		}
		if again, ok := Parse(mime.Parse(out)); ok && len(again.Recipients) > len(r.Recipients) {
			t.Fatalf("%d recipients became %d", len(r.Recipients), len(again.Recipients))
		}
	})
}
