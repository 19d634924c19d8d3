package node

import (
	"testing"

	"github.com/mohar-mail/mohar/mailauth"
	"github.com/mohar-mail/mohar/mailauth/dmarc"
	"github.com/mohar-mail/mohar/policy"
)

// TestStanding shows that a government's name counts only where it is proven.
func TestStanding(t *testing.T) {
	lists, err := policy.BuiltinLists()
	if err != nil {
		t.Fatal(err)
	}
	classes, err := policy.NewClassifier(lists)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		status dmarc.Status
		from   []string
		want   string
	}{
		{dmarc.Pass, []string{"finance.gov.in"}, "government"},
		{dmarc.None, []string{"finance.gov.in"}, "outside"},
		{dmarc.Fail, []string{"finance.gov.in"}, "failed"},
		{dmarc.Pass, []string{"gmail.com"}, "outside"},
		{dmarc.Pass, []string{"finance.gov.in", "gmail.com"}, "failed"},
		{dmarc.None, nil, "failed"},
	} {
		res := &mailauth.Result{DMARC: dmarc.Result{Status: c.status}, FromFields: 1, FromDomains: c.from}
		if got := standing(res, classes); got != c.want {
			t.Errorf("%s %v: %s, want %s", c.status, c.from, got, c.want)
		}
	}
}
