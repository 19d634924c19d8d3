package policy

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/policy/detect"
)

var update = flag.Bool("update", false, "rewrite the decisions in testdata")

func book(t testing.TB, name string) *Rulebook {
	t.Helper()
	b, err := Builtin(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestCases reads testdata/*.txtar: each file of an archive is one case in
// "field: value" lines, and "=>" lines with the decision.
func TestCases(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, name := range files {
		a, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for i, f := range a.Files {
			input, want, _ := strings.Cut(string(f.Data), "=>")
			want = strings.TrimSpace("=>" + want)
			got := decideCase(t, input)
			if *update {
				a.Files[i].Data = []byte(strings.TrimSpace(input) + "\n" + got + "\n\n")
			} else if got != want {
				t.Errorf("%s: %s\ngot\n%s\nwant\n%s", name, f.Name, got, want)
			}
		}
		if *update {
			if err := os.WriteFile(name, txtar.Format(a), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func decideCase(t *testing.T, input string) string {
	t.Helper()
	f := Facts{Sender: Sender{Address: "clerk@rajya.example", Category: mohar.Employee}}
	b := book(t, State)
	var err error
	for _, l := range strings.Split(strings.TrimSpace(input), "\n") {
		k, v, _ := strings.Cut(l, ": ")
		v = strings.TrimSpace(v)
		switch k {
		case "rulebook":
			b = book(t, v)
		case "category":
			f.Sender.Category, err = mohar.ParseCategory(v)
		case "clearance":
			f.Sender.Clearance, err = mohar.ParseLabel(v)
		case "label":
			f.Label, err = mohar.ParseLabel(v)
		case "network":
			f.Network = Network(v)
		case "purpose":
			f.Purpose = Purpose(v)
		case "subject":
			f.Markings = detect.Scan(detect.Input{Subject: v})
		case "to":
			w := strings.Fields(v)
			c, cerr := parseClass(w[1])
			f.Recipients = append(f.Recipients, Recipient{w[0], c, len(w) > 2 && w[2] == "reply"})
			err = cerr
		default:
			err = fmt.Errorf("field %q", k)
		}
		if err != nil {
			t.Fatalf("%q: %v", l, err)
		}
	}
	d := Decide(b, &f)
	verdict := d.Verdict.String()
	if Deferred(d) {
		verdict = "for now " + verdict
	}
	out := []string{"=> " + verdict}
	for _, r := range d.Reasons {
		line := "=> " + r.Rule
		if len(r.Recipients) > 0 {
			line += " for " + strings.Join(r.Recipients, ", ")
		}
		out = append(out, line, "=>   "+r.What.En, "=>   "+r.What.Hi)
	}
	// Every rule that Decide counts, Explain tells, and no other.
	e := Explain(b, &f)
	var fired []string
	for _, s := range e.Steps {
		if s.Fired {
			fired = append(fired, s.Rule)
		}
		if s.Fired == (s.Unmet != "") {
			t.Errorf("step %+v", s)
		}
	}
	if len(fired) != len(d.Reasons) {
		t.Errorf("explained %v, decided %v", fired, d.Reasons)
	}
	return strings.Join(out, "\n")
}

func TestRulebookErrors(t *testing.T) {
	t.Parallel()
	good := `{"name":"x","version":1,"rules":[{"id":"A","verdict":"refuse","what":{"en":"a","hi":"a"},"advice":{"en":"a","hi":"a"}}]}`
	if _, err := Parse([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for _, c := range [][2]string{
		{`"x"`, `""`}, {`"version":1`, `"version":0`}, {`"verdict":"refuse"`, `"verdict":"no"`}, {`"verdict":"refuse"`, `"verdict":"allow"`},
		{`"id":"A"`, `"id":""`}, {`"hi":"a"`, `"hi":""`}, {`"id":"A"`, `"id":"A","colour":1`}, {`"id":"A"`, `"id":"A","classes":["mars"]`},
		{`"id":"A"`, `"id":"A","known":"hush"`}, {`"id":"A"`, `"id":"A","purpose":"fun"`}, {`"id":"A"`, `"id":"A","network":"lan"`},
		{`"rules"`, `"unlabelled":"x","rules"`}, {`"rules"`, `"clearance":{"king":"open"},"rules"`}, {`"rules"`, `"clearance":{"*":"x"},"rules"`},
		{`"rules"`, `"signin":[{"id":"B","when":"x","what":{"en":"a","hi":"a"},"advice":{"en":"a","hi":"a"}}],"rules"`},
		{`"rules"`, `"signin":[{"id":"B","when":"outside-networks","what":{"en":"a","hi":"a"},"advice":{"en":"a","hi":"a"}}],"rules"`},
		{`]}`, `]} x`},
	} {
		bad := strings.Replace(good, c[0], c[1], 1)
		if _, err := Parse([]byte(bad)); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", bad, err)
		}
	}
	if _, err := Builtin("none"); !fault.Is(err, fault.NotFound) {
		t.Error(err)
	}
	a, b := book(t, State), book(t, Base)
	if a.Hash == b.Hash || !strings.HasPrefix(a.Hash, "sha256:") || a.Title() != "state 1" {
		t.Error(a.Hash, b.Hash, a.Title())
	}
}

func TestClass(t *testing.T) {
	t.Parallel()
	l, err := BuiltinLists()
	if err != nil {
		t.Fatal(err)
	}
	c, err := NewClassifier(l)
	if err != nil {
		t.Fatal(err)
	}
	none := []string{}
	for _, x := range []struct {
		domain string
		mx     []string
		want   mohar.DomainClass
	}{
		{"gmail.com", none, mohar.ClassForeignWebmail},
		{"GMAIL.com.", nil, mohar.ClassForeignWebmail},
		{"yahoo.de", nil, mohar.ClassForeignWebmail},
		{"yahoo.co.in", nil, mohar.ClassForeignWebmail},
		{"yahoo.evil.example", nil, mohar.ClassUnknown},
		{"notgmail.com", none, mohar.ClassOther},
		{"rediffmail.com", nil, mohar.ClassForeignWebmail},
		{"डाटामेल.भारत", nil, mohar.ClassForeignWebmail},
		{"xn--c2bd4bq1db8d.xn--h2brj9c", nil, mohar.ClassForeignWebmail},
		{"rajasthan.gov.in", []string{"aspmx.l.google.com"}, mohar.ClassGovernment},
		{"राजस्थान.भारत", nil, mohar.ClassGovernment},
		{"gov.in.example", nil, mohar.ClassUnknown},
		{"school.example", []string{"ASPMX.L.GOOGLE.COM."}, mohar.ClassForeignWebmail},
		{"firm.example", []string{"firm-example.mail.protection.outlook.com"}, mohar.ClassForeignWebmail},
		{"shop.example", []string{"mx1.titan.email"}, mohar.ClassPrivateCloud},
		{"shop.example", []string{"mx1.titan.email", "mx.yandex.ru"}, mohar.ClassForeignWebmail},
		{"psu.example", []string{"mx1.nic.in"}, mohar.ClassOther},
		{"firm.example", []string{"mail.firm.example"}, mohar.ClassOther},
		{"firm.example", none, mohar.ClassOther},
		{"firm.example", nil, mohar.ClassUnknown},
		{"mygoogle.com", []string{"mx.mygoogle.com"}, mohar.ClassOther},
		{"", none, mohar.ClassOther},
	} {
		if got := c.Class(x.domain, x.mx); got != x.want {
			t.Errorf("%q %v: %v, want %v", x.domain, x.mx, got, x.want)
		}
	}
	l.PrivateAllowed = true
	if got, err := Classify("rediffmail.com", none, l); err != nil || got != mohar.ClassOther {
		t.Errorf("private webmail allowed: %v %v", got, err)
	}
	l.Government = append(l.Government, "x..y\u0000é")
	if _, err := NewClassifier(l); !fault.Is(err, fault.Invalid) {
		t.Errorf("impossible name: %v", err)
	}
	if _, err := ParseLists([]byte(`{"colour":1}`)); !fault.Is(err, fault.Invalid) {
		t.Error(err)
	}
}

func TestSignin(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	ok := SigninFacts{Time: now, Door: mohar.DoorIMAP, Category: mohar.Consultant, Remote: netip.MustParseAddr("192.0.2.1"), TLS: true}
	for _, c := range []struct {
		name string
		edit func(*SigninFacts)
		want string
	}{
		{"ordinary", func(*SigninFacts) {}, ""},
		{"disabled", func(f *SigninFacts) { f.Disabled = true }, "SIGNIN-DISABLED"},
		{"on the end date", func(f *SigninFacts) { f.Until = now }, "SIGNIN-ENDED"},
		{"before the end date", func(f *SigninFacts) { f.Until = now.Add(time.Second) }, ""},
		{"domain suspended", func(f *SigninFacts) { f.Suspended = true }, "SIGNIN-DOMAIN"},
		{"door allowed", func(f *SigninFacts) { f.Doors = []mohar.Door{mohar.DoorWeb, mohar.DoorIMAP} }, ""},
		{"door not allowed", func(f *SigninFacts) { f.Doors = []mohar.Door{mohar.DoorWeb} }, "SIGNIN-DOOR"},
		{"plaintext", func(f *SigninFacts) { f.TLS = false }, "SIGNIN-PLAINTEXT"},
		{"plaintext on the machine", func(f *SigninFacts) { f.TLS = false; f.Remote = netip.MustParseAddr("::ffff:127.0.0.1") }, ""},
	} {
		f := ok
		c.edit(&f)
		for _, name := range []string{State, Base} {
			d := DecideSignin(book(t, name), &f)
			var got []string
			for _, r := range d.Reasons {
				got = append(got, r.Rule)
			}
			if s := strings.Join(got, ","); s != c.want || (d.Verdict == mohar.Refuse) != (c.want != "") {
				t.Errorf("%s, %s: %v %s", name, c.name, d.Verdict, s)
			}
		}
	}
	fenced, err := Parse([]byte(`{"name":"x","version":1,"rules":[],"signin":[{"id":"GEO","when":"outside-networks","networks":["10.0.0.0/8"],"categories":["consultant"],
		"doors":["imap"],"what":{"en":"a","hi":"a"},"advice":{"en":"a","hi":"a"}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	for remote, want := range map[string]mohar.Verdict{"10.2.3.4": mohar.Allow, "::ffff:10.2.3.4": mohar.Allow, "127.0.0.1": mohar.Allow, "192.0.2.1": mohar.Refuse} {
		f := ok
		f.Remote = netip.MustParseAddr(remote)
		if d := DecideSignin(fenced, &f); d.Verdict != want {
			t.Errorf("%s: %v", remote, d.Verdict)
		}
		f.Category = mohar.Employee
		if d := DecideSignin(fenced, &f); d.Verdict != mohar.Allow {
			t.Errorf("%s, another category: %v", remote, d.Verdict)
		}
	}
}

func TestExplainShape(t *testing.T) {
	t.Parallel()
	e := Explain(book(t, State), &Facts{Label: mohar.Official, Sender: Sender{Category: mohar.Employee},
		Recipients: []Recipient{{"a@gmail.com", mohar.ClassForeignWebmail, false}, {"b@rajya.example", mohar.ClassOwn, false}}})
	b, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{`"effective":"official"`, `"verdict":"refuse"`, `"deferred":false`, `"rulebook":"state 1"`,
		`{"rule":"DLP-FOREIGN-OFFICIAL","verdict":"refuse","fired":true,"recipients":[{"address":"a@gmail.com","class":"foreign-webmail","fired":true},{"address":"b@rajya.example","class":"own","fired":false,"unmet":"class"}]}`,
		`{"rule":"NET-TOP-SECRET","verdict":"refuse","fired":false,"unmet":"label"}`} {
		if !strings.Contains(string(b), part) {
			t.Errorf("%s is not in\n%s", part, b)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, name := range []string{State, Base} {
		b, err := rulebooks.ReadFile("rulebooks/" + name + ".json")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(`{"name":"x","version":1,"rules":[{"id":"A","known":"open","classes":["other"],"verdict":"refuse","what":{"en":"a","hi":"a"},"advice":{"en":"a","hi":"a"}}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := Parse(data)
		if err != nil {
			return
		}
		d := Decide(b, &Facts{Label: mohar.TopSecret, Recipients: []Recipient{{"a@b", mohar.ClassOther, false}}})
		if (d.Verdict == mohar.Allow) != (len(d.Reasons) == 0) {
			t.Errorf("%+v", d)
		}
	})
}

func BenchmarkDecide(b *testing.B) {
	bk := book(b, State)
	f := Facts{Label: mohar.Official, Sender: Sender{Category: mohar.Employee}, Markings: []detect.Marking{{Label: mohar.Secret, Place: detect.Subject}}}
	for i := range 20 {
		f.Recipients = append(f.Recipients, Recipient{fmt.Sprint(i, "@gmail.com"), mohar.DomainClass(i % 6), false})
	}
	for b.Loop() {
		Decide(bk, &f)
	}
}
