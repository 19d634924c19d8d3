package submit_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/directory"
	"github.com/mohar-mail/mohar/flow/submit"
	"github.com/mohar-mail/mohar/policy"
	"github.com/mohar-mail/mohar/queue"
	"github.com/mohar-mail/mohar/store/kv"
)

// Whose name may stand on a message.
func TestRights(t *testing.T) {
	t.Parallel()
	const own, tail = "From: ravi@rajya.example\r\n", "Subject: x\r\n\r\nnamaste\r\n"
	many := strings.Repeat("ravi@rajya.example,\r\n ", 2500)
	tests := []struct {
		name, path, content string
		kind                fault.Kind
		ok                  bool
	}{
		{"own", "ravi@rajya.example", own + tail, 0, true},
		{"own in another case", "RAVI@Rajya.Example", "fRoM : RAVI@Rajya.Example\r\n" + tail, 0, true},
		{"domain of the alias", "ravi@राज्य.example", "From: ravi@xn--81b2bb0dzd.example\r\n" + tail, 0, true},
		{"null path with own author", "", own + tail, 0, true},
		{"null path with another author", "", "From: cm@rajya.example\r\n" + tail, fault.Denied, false},
		{"path of a colleague", "sita@rajya.example", own + tail, fault.Denied, false},
		{"path outside", "x@gmail.com", own + tail, fault.Denied, false},
		{"author is a colleague", "ravi@rajya.example", "From: sita@rajya.example\r\n" + tail, fault.Denied, false},
		{"folded author", "ravi@rajya.example", "From:\r\n sita@rajya.example\r\n" + tail, fault.Denied, false},
		{"second author", "ravi@rajya.example", "From: ravi@rajya.example, sita@rajya.example\r\n" + tail, fault.Denied, false},
		{"second From below", "ravi@rajya.example", own + "From: sita@rajya.example\r\n" + tail, fault.Invalid, false},
		{"second From, own", "ravi@rajya.example", own + own + tail, fault.Invalid, false},
		{"second From with a space", "ravi@rajya.example", own + "From : sita@rajya.example\r\n" + tail, fault.Invalid, false},
		{"Sender is a colleague", "ravi@rajya.example", own + "Sender: sita@rajya.example\r\n" + tail, fault.Denied, false},
		{"Resent-From is a colleague", "ravi@rajya.example", own + "Resent-From: sita@rajya.example\r\n" + tail, fault.Denied, false},
		{"Resent-Sender is a colleague", "ravi@rajya.example", own + "resent-sender: sita@rajya.example\r\n" + tail, fault.Denied, false},
		{"resent twice", "ravi@rajya.example", "Resent-" + own + "Resent-" + own + own + tail, 0, true},
		{"group without members", "ravi@rajya.example", "From: Chief Minister:;\r\n" + tail, fault.Invalid, false},
		{"group with a colleague", "ravi@rajya.example", "From: Office: ravi@rajya.example, sita@rajya.example;\r\n" + tail, fault.Denied, false},
		{"empty From", "ravi@rajya.example", "From:\r\n" + tail, fault.Invalid, false},
		{"no From", "ravi@rajya.example", tail, fault.Invalid, false},
		{"no header", "ravi@rajya.example", "\r\n" + own + tail, fault.Invalid, false},
		{"empty", "ravi@rajya.example", "", fault.Invalid, false},
		{"a name alone", "ravi@rajya.example", "From: Chief Minister\r\n" + tail, fault.Denied, false},
		{"a line that is no field hides the author", "ravi@rajya.example", own + "garbage\r\n" + tail, fault.Invalid, false},
		{"mbox line", "ravi@rajya.example", "From sita@rajya.example Mon Mar  2 09:00:00 2026\r\n" + own + tail, fault.Invalid, false},
		{"NUL", "ravi@rajya.example", own + "X: \x00\r\n" + tail, fault.Invalid, false},
		{"bare LF", "ravi@rajya.example", own + "X: a\nFrom: sita@rajya.example\r\n" + tail, fault.Invalid, false},
		{"author beyond the fields that are read", "ravi@rajya.example", own + strings.Repeat("A:\r\n", 3000) + "From: sita@rajya.example\r\n" + tail, fault.Invalid, false},
		{"more addresses than are read", "ravi@rajya.example", "From: " + many + "sita@rajya.example\r\n" + tail, fault.Invalid, false},
		{"an attached message may be odd", "ravi@rajya.example", own + "Content-Type: message/rfc822\r\n\r\nFrom: a@x.example\r\nFrom: b@x.example\r\ngarbage\r\n\r\n", 0, true},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			sub := w.submission(tc.content, "sita@rajya.example")
			sub.Envelope.From = tc.path
			_, err := w.s.Accept(t.Context(), sub)
			if tc.ok != (err == nil) || !tc.ok && !fault.Is(err, tc.kind) {
				t.Fatalf("%v", err)
			}
			if !tc.ok {
				w.empty()
			}
		})
	}
}

func TestNobodyMaySendNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, from := range []string{"", "ravi@rajya.example"} {
		if err := w.s.MayMail(&submit.Sender{}, from); !fault.Is(err, fault.Denied) {
			t.Errorf("%q: %v", from, err)
		}
	}
	if _, err := w.send(letter("")); !fault.Is(err, fault.Invalid) {
		t.Errorf("to nobody: %v", err)
	}
}

// A session outlives the account: what counts is who has the address now.
func TestSessionOfAClosedAccount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, err := w.send(letter(""), "sita@rajya.example")
	w.must(err)
	w.must(w.dir.Update(t.Context(), func(tx *kv.Tx) error { return w.dir.SetDisabled(tx, "ravi", true) }))
	if _, err = w.send(letter(""), "sita@rajya.example"); !fault.Is(err, fault.Denied) {
		t.Errorf("closed: %v", err)
	}
	w.must(w.dir.Update(t.Context(), func(tx *kv.Tx) error {
		return errors.Join(w.dir.SetDisabled(tx, "ravi", false), w.dir.ChangeAccount(tx, "ravi", func(a *directory.Account) error {
			a.Addresses = []string{"ravi.old@rajya.example"}
			return nil
		}), w.dir.ChangeAccount(tx, "sita", func(a *directory.Account) error {
			a.Addresses = append(a.Addresses, "ravi@rajya.example")
			return nil
		}))
	}))
	if _, err = w.send(letter(""), "sita@rajya.example"); !fault.Is(err, fault.Denied) {
		t.Errorf("the address is a colleague's now: %v", err)
	}
}

func TestRecipients(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for to, kind := range map[string]fault.Kind{"gopal@rajya.example": fault.NotFound, "nobody@rajya.example": fault.NotFound,
		"x@later.example": fault.Denied, "not an address": fault.Invalid} {
		if err := w.s.MayRcpt(t.Context(), to); !fault.Is(err, kind) {
			t.Errorf("%s: %v", to, err)
		}
		if _, err := w.send(letter(""), "sita@rajya.example", to); !fault.Is(err, kind) {
			t.Errorf("%s: %v", to, err)
		}
	}
	w.empty()
	out, err := w.send(letter("Mohar-Label: open\r\n"), "sita@rajya.example", "A@city.example", "SITA@rajya.example", "a@city.example", "A@City.example", "sita@राज्य.example")
	w.must(err)
	m, _ := w.get(out.ID)
	var got []string
	for _, r := range m.Recipients {
		got = append(got, string(r.Class)+" "+r.Address+" "+string(r.Account)+r.Domain)
	}
	want := "L sita@rajya.example sitarajya.example|R A@city.example city.example|R a@city.example city.example|L sita@राज्य.example sitaxn--81b2bb0dzd.example"
	if s := strings.Join(got, "|"); s != want {
		t.Errorf("got  %s\nwant %s", s, want)
	}
}

func TestLabels(t *testing.T) {
	t.Parallel()
	attached := "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nsee below\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nFrom: x@y.example\r\n%s\r\n\r\ntext\r\n--b--\r\n"
	tests := []struct {
		name, fields, to string
		kind             fault.Kind
		rules            string
	}{
		{"none, inside", "", "sita@rajya.example", 0, ""},
		{"none, to a webmail", "", "c@gmail.com", fault.Refused, "DLP-FOREIGN-UNLABELLED"},
		{"open, to a webmail", "Mohar-Label: open\r\n", "c@gmail.com", 0, ""},
		{"odd case and space", "mohar-LABEL :  Open \r\n", "c@gmail.com", 0, ""},
		{"folded", "Mohar-Label:\r\n\topen\r\n", "c@gmail.com", 0, ""},
		{"official, to a webmail", "Mohar-Label: official\r\n", "c@gmail.com", fault.Refused, "DLP-FOREIGN-OFFICIAL"},
		{"official, to a company", "Mohar-Label: official\r\n", "c@city.example", 0, ""},
		{"restricted, outside", "Mohar-Label: restricted\r\n", "c@city.example", fault.Refused, "DLP-RESTRICTED-OUTSIDE"},
		{"restricted, inside", "Mohar-Label: restricted\r\n", "sita@rajya.example", 0, ""},
		{"confidential, another government", "Mohar-Label: confidential\r\n", "x@nic.in", 0, ""},
		{"secret", "Mohar-Label: secret\r\n", "sita@rajya.example", fault.Refused, "NET-TOP-SECRET LABEL-CLEARANCE"},
		{"domain that cannot be found out", "", "c@away.example", fault.Refused, "DLP-UNKNOWN-OFFICIAL"},
		{"twice the same", "Mohar-Label: open\r\nMohar-Label: open\r\n", "c@gmail.com", 0, ""},
		{"two that differ", "Mohar-Label: open\r\nMOHAR-LABEL: secret\r\n", "c@gmail.com", fault.Invalid, ""},
		{"the lower one below", "Mohar-Label: restricted\r\nMohar-Label :\r\n open\r\n", "c@gmail.com", fault.Invalid, ""},
		{"encoded word", "Mohar-Label: =?utf-8?q?open?=\r\n", "sita@rajya.example", fault.Invalid, ""},
		{"unknown word", "Mohar-Label: harmless\r\n", "sita@rajya.example", fault.Invalid, ""},
		{"below what is read", strings.Repeat("A: "+strings.Repeat("x", 900)+"\r\n", 1300) + "Mohar-Label: secret\r\n", "sita@rajya.example", fault.Invalid, ""},
		{"marking above the label", "Mohar-Label: open\r\nComments: SECRET\r\n" + fmt.Sprintf(attached, "Subject: [SECRET] plan"), "c@gmail.com", fault.Refused,
			"NET-TOP-SECRET LABEL-MARKING LABEL-CLEARANCE DLP-RESTRICTED-OUTSIDE DLP-FOREIGN-OFFICIAL"},
		{"attached message with a higher label", "Mohar-Label: open\r\n" + fmt.Sprintf(attached, "Mohar-Label: restricted"), "c@gmail.com", fault.Refused,
			"LABEL-MARKING DLP-RESTRICTED-OUTSIDE DLP-FOREIGN-OFFICIAL"},
		{"attached message with the same label", "Mohar-Label: restricted\r\n" + fmt.Sprintf(attached, "Mohar-Label: Restricted"), "sita@rajya.example", 0, ""},
		{"marking in the second text", "Mohar-Label: open\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhello\r\n--b\r\nContent-Type: text/html\r\nContent-Disposition: attachment\r\n\r\n<p>RESTRICTED</p><p>x</p>\r\n--b--\r\n",
			"c@gmail.com", fault.Refused, "LABEL-MARKING DLP-RESTRICTED-OUTSIDE DLP-FOREIGN-OFFICIAL"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			content := "From: ravi@rajya.example\r\n" + tc.fields
			if !strings.Contains(tc.fields, "\r\n\r\n") {
				content += "Subject: x\r\n\r\nnamaste\r\n"
			}
			_, err := w.send(content, tc.to)
			if tc.kind == 0 && err != nil || tc.kind != 0 && !fault.Is(err, tc.kind) || rules(fault.DecisionOf(err)) != tc.rules {
				t.Fatalf("%v, rules %q", err, rules(fault.DecisionOf(err)))
			}
			if tc.kind != 0 {
				w.empty()
			}
		})
	}
}

// A citizen may be answered without a label, if the store knows the letter.
func TestAnswerToACitizen(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.got["<q@gmail.com>"] = "c@gmail.com"
	_, err := w.send(letter("In-Reply-To: <q@gmail.com>\r\n"), "c@gmail.com")
	w.must(err)
	_, err = w.send(letter("References: <old@x> <q@gmail.com>\r\n"), "c@gmail.com")
	w.must(err)
	for name, content := range map[string]string{
		"forged": letter("In-Reply-To: <made@up>\r\n"), "none": letter(""),
	} {
		if _, err := w.send(content, "c@gmail.com"); rules(fault.DecisionOf(err)) != "DLP-FOREIGN-UNLABELLED" {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err = w.send(letter("In-Reply-To: <q@gmail.com>\r\n"), "c@gmail.com", "other@gmail.com")
	if d := fault.DecisionOf(err); d == nil || len(d.Reasons) != 1 || strings.Join(d.Reasons[0].Recipients, " ") != "other@gmail.com" {
		t.Errorf("the answer to one opened the way to another: %v", d)
	}
	if _, err = w.send(letter("Mohar-Label: official\r\nIn-Reply-To: <q@gmail.com>\r\n"), "c@gmail.com"); rules(fault.DecisionOf(err)) != "DLP-FOREIGN-OFFICIAL" {
		t.Errorf("an answer that is labelled official: %v", err)
	}
}

func TestFewIDsAreLookedUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var refs strings.Builder
	for i := range 190 {
		fmt.Fprintf(&refs, " <%d@x>\r\n", i)
	}
	_, err := w.send(letter("In-Reply-To: <last@x>\r\nReferences:"+refs.String()), "c@gmail.com")
	if !fault.Is(err, fault.Refused) {
		t.Fatal(err)
	}
	if len(w.asked) != 1 || len(w.asked[0]) != 20 || w.asked[0][0] != "<last@x>" || w.asked[0][1] != "<189@x>" {
		t.Errorf("asked %v", w.asked)
	}
	w.asked = nil
	_, err = w.send(letter("In-Reply-To: <last@x>\r\n"), "sita@rajya.example", "x@nic.in")
	w.must(err)
	if len(w.asked) != 0 {
		t.Errorf("asked for colleagues: %v", w.asked)
	}
}

func TestForwardByRule(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for to, want := range map[string]string{"c@gmail.com": "FWD-OUTSIDE", "c@city.example": "FWD-OUTSIDE", "c@away.example": "FWD-UNKNOWN", "sita@rajya.example": ""} {
		sub := w.submission(letter("Mohar-Label: open\r\n"), to)
		sub.Forward = true
		_, err := w.s.Accept(t.Context(), sub)
		d := fault.DecisionOf(err)
		if rules(d) != want || want == "" && err != nil {
			t.Errorf("%s: %v", to, err)
		}
		if want == "FWD-UNKNOWN" && (len(d.Obligations) != 1 || d.Obligations[0] != policy.Defer) {
			t.Errorf("not for now only: %v", d)
		}
	}
}

func TestHeldAndOtherVerdicts(t *testing.T) {
	t.Parallel()
	for _, verdict := range []string{"hold", "quarantine", "ask-reason", "refuse"} {
		t.Run(verdict, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			var err error
			w.book, err = policy.Parse([]byte(strings.Replace(holding, "VERDICT", verdict, 1)))
			w.must(err)
			out, err := w.send(letter("Mohar-Label: confidential\r\n"), "sita@rajya.example", "x@nic.in")
			if verdict == "ask-reason" || verdict == "refuse" {
				d := fault.DecisionOf(err)
				if !fault.Is(err, fault.Refused) || rules(d) != "TWO-PERSONS" || d.Verdict.String() != verdict {
					t.Fatalf("%v", err)
				}
				w.empty()
				return
			}
			w.must(err)
			if rules(out.Held) != "TWO-PERSONS" || len(w.woken) != 0 {
				t.Errorf("held %v, woken %v", out.Held, w.woken)
			}
			if l, _, err := w.q.Lease(t.Context(), 0, queue.Local, 10); len(l) != 0 || err != nil {
				t.Errorf("leased %v %v", l, err)
			}
			m, _ := w.get(out.ID)
			for _, r := range m.Recipients {
				if r.Class != queue.Held || r.Reason != "TWO-PERSONS: A second person looks at confidential mail." {
					t.Errorf("recipient %+v", r)
				}
			}
			if d := w.audit()[0]["decision"].(map[string]any); d["verdict"] != verdict {
				t.Errorf("record %v", d)
			}
			w.must(w.q.Release(t.Context(), out.ID, nil))
			for _, c := range []queue.Class{queue.Local, queue.Remote} {
				if l, _, err := w.q.Lease(t.Context(), 0, c, 10); len(l) != 1 || err != nil {
					t.Errorf("class %c after release: %v %v", c, l, err)
				}
			}
			if problems, err := w.q.Check(t.Context()); err != nil || len(problems) > 0 {
				t.Errorf("%v %v", problems, err)
			}
		})
	}
}

func TestAuditRecord(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	sub := w.submission(letter("Mohar-Label: open\r\n"), "sita@rajya.example", "c@gmail.com")
	sub.Envelope.From = ""
	out, err := w.s.Accept(t.Context(), sub)
	w.must(err)
	_, err = w.send(letter("Mohar-Label: official\r\n"), "c@gmail.com")
	if err == nil {
		t.Fatal("sent")
	}
	recs := w.audit()
	if len(recs) != 2 || len(w.staged) != 2 {
		t.Fatalf("%v", recs)
	}
	ok, no := recs[0], recs[1]
	if ok["kind"] != "submit" || ok["actor"] != "ravi" || ok["object"] != out.ID.String() || ok["remote"] != "10.0.0.7" || ok["door"] != "submission" {
		t.Errorf("%v", ok)
	}
	d := ok["detail"].(map[string]any)
	if d["from"] != "" || d["author"] != "ravi@rajya.example" || d["label"] != "open" || d["to1"] != "sita@rajya.example" || d["to2"] != "c@gmail.com" || d["recipients"] != "2" {
		t.Errorf("%v", d)
	}
	dec := no["decision"].(map[string]any)
	if no["object"] != nil || dec["verdict"] != "refuse" || dec["rulebook"] != w.book.Hash || fmt.Sprint(dec["rules"]) != "[DLP-FOREIGN-OFFICIAL]" {
		t.Errorf("%v", no)
	}
	if s := fmt.Sprint(recs); strings.Contains(s, "namaste") || strings.Contains(s, "Subject") {
		t.Error("content in the log")
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	who := ravi()
	d, targets, err := w.s.Explain(t.Context(), &who, []string{"sita@rajya.example", "c@gmail.com", "nobody@rajya.example", "x@later.example"}, mohar.NoLabel, nil)
	w.must(err)
	if d.Verdict != mohar.Refuse || rules(&d) != "DLP-FOREIGN-UNLABELLED DLP-UNKNOWN-OFFICIAL" || len(targets) != 4 ||
		targets[0].Account != "sita" || targets[1].Class != mohar.ClassForeignWebmail || targets[2].Class != mohar.ClassOwn {
		t.Errorf("%v %v", rules(&d), targets)
	}
	if d, targets, err = w.s.Explain(t.Context(), &who, nil, mohar.Secret, nil); err != nil || len(targets) != 0 || !strings.HasPrefix(rules(&d), "NET-TOP-SECRET") {
		t.Errorf("nobody yet: %v %v %v", d, targets, err)
	}
	x, err := w.s.ExplainSteps(t.Context(), &who, []string{"c@gmail.com"}, mohar.NoLabel, []byte(letter("Mohar-Label: official\r\n")))
	w.must(err)
	if x.Decision.Verdict != mohar.Refuse || rules(&x.Decision) != "DLP-FOREIGN-OFFICIAL" {
		t.Errorf("%+v", x.Decision)
	}
	if _, err := w.s.ExplainSteps(t.Context(), &submit.Sender{}, nil, mohar.NoLabel, nil); err != nil {
		t.Errorf("nothing at all: %v", err)
	}
	w.empty()
	if n := len(w.audit()); n != 0 {
		t.Errorf("%d records of a question", n)
	}
}
