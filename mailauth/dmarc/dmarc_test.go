package dmarc_test

import (
	"context"
	"errors"
	"reflect"
	"testing"

	"github.com/mohar-mail/mohar/mailauth/dmarc"
	"github.com/mohar-mail/mohar/wire/dns"
)

func TestOrganizational(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"mail.city.example":              "city.example",
		"city.example":                   "city.example",
		"dept.rajasthan.gov.in":          "rajasthan.gov.in",
		"rajasthan.gov.in":               "rajasthan.gov.in",
		"gov.in":                         "gov.in",
		"nic.in":                         "nic.in",
		"a.b.co.uk":                      "b.co.uk",
		"xn--81bsj3a4b8ad2j.xn--h2brj9c": "xn--81bsj3a4b8ad2j.xn--h2brj9c",
	} {
		if got := dmarc.Organizational(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	tests := []struct {
		text string
		want *dmarc.Record
	}{
		{"v=DMARC1; p=reject", &dmarc.Record{Policy: "reject", Subdomain: "reject", Percent: 100}},
		{" v = DMARC1 ;p=Quarantine; sp=none;np=reject; adkim=s; aspf=r; pct=20; t=y; fo=1; rua=mailto:a@x, mailto:b@x!10m; ruf=mailto:c@x;", &dmarc.Record{
			Policy: "quarantine", Subdomain: "none", NonExistent: "reject", StrictDKIM: true, Percent: 20, Testing: true, Options: "1",
			Aggregate: []string{"mailto:a@x", "mailto:b@x!10m"}, Failure: []string{"mailto:c@x"}}},
		{"v=DMARC1; p=nonsense; rua=mailto:a@x", &dmarc.Record{Policy: "none", Subdomain: "none", Percent: 100, Aggregate: []string{"mailto:a@x"}}},
		{"v=DMARC1; p=reject; pct=200; bare; x=y", &dmarc.Record{Policy: "reject", Subdomain: "reject", Percent: 100}},
		{"v=DMARC1; p=nonsense", nil},
		{"v=dmarc1; p=reject", nil},
		{"p=reject; v=DMARC1", nil},
		{"v=spf1 -all", nil},
		{"", nil},
	}
	for _, tc := range tests {
		got, err := dmarc.Parse(tc.text)
		if (err != nil) != (tc.want == nil) || !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%q: %+v, %v", tc.text, got, err)
		}
	}
}

const zone = `
_dmarc.rej.example. IN TXT "v=DMARC1; p=reject; sp=quarantine"
mail.rej.example. IN MX 0 x.example.
_dmarc.strict.example. IN TXT "v=DMARC1; p=reject; adkim=s; aspf=s"
_dmarc.np.example. IN TXT "v=DMARC1; p=none; np=reject"
real.np.example. IN A 192.0.2.1
_dmarc.pct.example. IN TXT "v=DMARC1; p=reject; pct=30"
_dmarc.test.example. IN TXT "v=DMARC1; p=reject; t=y"
_dmarc.two.example. IN TXT "v=DMARC1; p=reject"
_dmarc.two.example. IN TXT "v=DMARC1; p=none"
_dmarc.own.two.example. IN TXT "other text"
_dmarc.gov.in. IN TXT "v=DMARC1; p=reject"
_dmarc.rajasthan.gov.in. IN TXT "v=DMARC1; p=reject"
`

func TestEvaluate(t *testing.T) {
	t.Parallel()
	f, err := dns.NewFake(zone)
	if err != nil {
		t.Fatal(err)
	}
	f.Fail("_dmarc.slow.example", errors.New("SERVFAIL"))
	r := dns.New(dns.Config{Upstream: f})
	defer r.Close()
	tests := []struct {
		name   string
		in     dmarc.Input
		dice   int
		status dmarc.Status
		do     dmarc.Policy
		at     string
	}{
		{"no identity", dmarc.Input{From: "rej.example"}, 0, dmarc.Fail, dmarc.PolicyReject, "rej.example"},
		{"spf", dmarc.Input{From: "rej.example", SPF: "rej.example"}, 0, dmarc.Pass, dmarc.PolicyNone, "rej.example"},
		{"spf relaxed", dmarc.Input{From: "rej.example", SPF: "bounce.rej.example"}, 0, dmarc.Pass, dmarc.PolicyNone, "rej.example"},
		{"spf of another", dmarc.Input{From: "rej.example", SPF: "evil.example"}, 0, dmarc.Fail, dmarc.PolicyReject, "rej.example"},
		{"dkim relaxed", dmarc.Input{From: "mail.rej.example", DKIM: []string{"evil.example", "rej.example"}}, 0, dmarc.Pass, dmarc.PolicyNone, "rej.example"},
		{"sp", dmarc.Input{From: "mail.rej.example"}, 0, dmarc.Fail, dmarc.PolicyQuarantine, "rej.example"},
		{"strict dkim", dmarc.Input{From: "strict.example", DKIM: []string{"mail.strict.example"}}, 0, dmarc.Fail, dmarc.PolicyReject, "strict.example"},
		{"strict spf", dmarc.Input{From: "strict.example", SPF: "mail.strict.example"}, 0, dmarc.Fail, dmarc.PolicyReject, "strict.example"},
		{"strict equal", dmarc.Input{From: "strict.example", DKIM: []string{"strict.example"}}, 0, dmarc.Pass, dmarc.PolicyNone, "strict.example"},
		{"np", dmarc.Input{From: "ghost.np.example"}, 0, dmarc.Fail, dmarc.PolicyReject, "np.example"},
		{"np of a name that exists", dmarc.Input{From: "real.np.example"}, 0, dmarc.Fail, dmarc.PolicyNone, "np.example"},
		{"pct inside", dmarc.Input{From: "pct.example"}, 29, dmarc.Fail, dmarc.PolicyReject, "pct.example"},
		{"pct outside", dmarc.Input{From: "pct.example"}, 30, dmarc.Fail, dmarc.PolicyQuarantine, "pct.example"},
		{"t=y", dmarc.Input{From: "test.example"}, 0, dmarc.Fail, dmarc.PolicyNone, "test.example"},
		{"two records are none", dmarc.Input{From: "two.example"}, 0, dmarc.None, dmarc.PolicyNone, ""},
		{"none", dmarc.Input{From: "plain.example"}, 0, dmarc.None, dmarc.PolicyNone, ""},
		{"DNS fails", dmarc.Input{From: "slow.example"}, 0, dmarc.TempError, dmarc.PolicyNone, ""},
		{"no From", dmarc.Input{}, 0, dmarc.None, dmarc.PolicyNone, ""},
		// gov.in is a public suffix: states are not aligned with it, nor with each other.
		{"suffix itself", dmarc.Input{From: "gov.in", DKIM: []string{"gov.in"}}, 0, dmarc.Pass, dmarc.PolicyNone, "gov.in"},
		{"state signed by the suffix", dmarc.Input{From: "rajasthan.gov.in", DKIM: []string{"gov.in"}}, 0, dmarc.Fail, dmarc.PolicyReject, "rajasthan.gov.in"},
		{"state signed by another", dmarc.Input{From: "rajasthan.gov.in", SPF: "kerala.gov.in"}, 0, dmarc.Fail, dmarc.PolicyReject, "rajasthan.gov.in"},
		{"department of a state", dmarc.Input{From: "doit.rajasthan.gov.in", DKIM: []string{"rajasthan.gov.in"}}, 0, dmarc.Pass, dmarc.PolicyNone, "rajasthan.gov.in"},
	}
	for _, tc := range tests {
		got := dmarc.Evaluate(context.Background(), r, dmarc.Config{Dice: func() int { return tc.dice }}, tc.in)
		if got.Status != tc.status || got.Do != tc.do || got.At != tc.at {
			t.Errorf("%s: %+v, want %s %s at %q", tc.name, got, tc.status, tc.do, tc.at)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"v=DMARC1; p=reject", "v=DMARC1;;;=;p=", "v=DMARC1; rua=,,;"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := dmarc.Parse(s)
		if err == nil && (r.Policy == "" || r.Subdomain == "" || r.Percent < 0 || r.Percent > 100) {
			t.Fatalf("%q: %+v", s, r)
		}
	})
}
