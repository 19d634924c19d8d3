package submit_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/mohar-mail/mohar/queue"
)

func TestSentContent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	content := letter("Mohar-Label: open\r\n")
	out, err := w.send(content, "c@gmail.com")
	w.must(err)
	_, got := w.get(out.ID)
	want := "DKIM-Signature: d=rajya.example\r\nReceived: by mx.rajya.example with ESMTPSA id " + out.ID.String() +
		";\r\n\tMon, 02 Mar 2026 09:00:00 +0000\r\n" + content
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	// Ours is the last host only where all recipients are ours.
	if out, err = w.send(content, "sita@rajya.example"); err != nil {
		t.Fatal(err)
	}
	if _, got = w.get(out.ID); !strings.HasPrefix(got, "Return-Path: <ravi@rajya.example>\r\nMohar-Standing: own\r\nDKIM-Signature:") {
		t.Errorf("got %q", got)
	}
	if out, err = w.send(content, "sita@rajya.example", "c@gmail.com"); err != nil {
		t.Fatal(err)
	}
	if _, got = w.get(out.ID); strings.Contains(got, "Return-Path") {
		t.Errorf("got %q", got)
	}
}

func TestAddedFields(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	// The author's domain signs, whatever the path says; and it is ASCII.
	sub := w.submission("From: ravi@राज्य.example\r\n\r\nx\r\n", "sita@rajya.example")
	out, err := w.s.Accept(t.Context(), sub)
	w.must(err)
	_, got := w.get(out.ID)
	if !regexp.MustCompile(`\r\nMessage-ID: <[A-Z2-7]{26}@xn--81b2bb0dzd\.example>\r\nDate: Mon, 0?2 Mar 2026 09:00:00 \+0000\r\nFrom:`).MatchString(got) {
		t.Errorf("got %q", got)
	}
	sub.Content, sub.Envelope.From = []byte(letter("")), ""
	out, err = w.s.Accept(t.Context(), sub)
	w.must(err)
	if _, got = w.get(out.ID); strings.Count(got, "Message-ID:") != 1 || strings.Count(got, "Date:") != 1 || !strings.HasPrefix(got, "Return-Path: <>\r\n") {
		t.Errorf("got %q", got)
	}
	if s := strings.Join(w.signed, " "); s != "xn--81b2bb0dzd.example rajya.example" {
		t.Errorf("signed for %s", s)
	}
	// One that stands there already, however odd, is not joined by a second one.
	out, err = w.send("From: ravi@rajya.example\r\nMessage-Id : odd\r\nDATE: yesterday\r\n\r\nx\r\n", "sita@rajya.example")
	w.must(err)
	if _, got = w.get(out.ID); strings.Count(strings.ToLower(got), "message-id") != 1 || strings.Count(strings.ToLower(got), "\ndate") != 1 {
		t.Errorf("got %q", got)
	}
}

func TestBlindCopiesAndForeignTraces(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	hidden := "BCC:\r\n\tspy@city.example,\r\n spy2@city.example\r\nTo: a@b.example\r\nResent-Bcc: spy@city.example\r\n"
	traces := "Return-Path: <spy@city.example>\r\nAuthentication-Results: mx.rajya.example; dkim=pass spy@city.example\r\n"
	sub := w.submission("From: ravi@rajya.example\r\n"+traces+hidden+"Bccx: kept\r\nbcc : spy@city.example\r\n\r\nBcc: in the text\r\n", "sita@rajya.example")
	sub.StripBcc = true
	out, err := w.s.Accept(t.Context(), sub)
	if err == nil {
		t.Fatal("a second Bcc is a header of two readings")
	}
	sub.Content = []byte(strings.Replace(string(sub.Content), "BCC:\r\n\tspy@city.example,\r\n spy2@city.example\r\n", "", 1))
	out, err = w.s.Accept(t.Context(), sub)
	w.must(err)
	_, got := w.get(out.ID)
	if strings.Contains(got, "spy@") || !strings.HasSuffix(got, "From: ravi@rajya.example\r\nTo: a@b.example\r\nBccx: kept\r\n\r\nBcc: in the text\r\n") {
		t.Errorf("got %q", got)
	}
	sub.Content = []byte("From: ravi@rajya.example\r\nBCC:\r\n\tspy@city.example,\r\n spy@city.example\r\nTo: a@b.example\r\n\r\nx\r\n")
	out, err = w.s.Accept(t.Context(), sub)
	w.must(err)
	if _, got = w.get(out.ID); strings.Contains(got, "spy@") || !strings.HasSuffix(got, "From: ravi@rajya.example\r\nTo: a@b.example\r\n\r\nx\r\n") {
		t.Errorf("got %q", got)
	}
	sub.StripBcc = false
	out, err = w.s.Accept(t.Context(), sub)
	w.must(err)
	if _, got = w.get(out.ID); !strings.Contains(got, "spy@") {
		t.Errorf("a door that did not ask for it: %q", got)
	}
}

func TestEnvelopeIsKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	sub := w.submission("From: ravi@rajya.example\r\nMohar-Label: open\r\nSubject: नमस्ते\r\n\r\nx\r\n", "c@city.example", "अजय@city.example")
	sub.Envelope.To[0].Notify, sub.Envelope.To[0].ORcpt = "SUCCESS,DELAY", "rfc822;c+40city.example"
	sub.Envelope.EnvID, sub.Envelope.Ret, sub.Envelope.RequireTLS = "e+201", "HDRS", true
	out, err := w.s.Accept(t.Context(), sub)
	w.must(err)
	m, _ := w.get(out.ID)
	it, r := m.Item, m.Recipients[0]
	if it.EnvID != "e+201" || it.Ret != "HDRS" || !it.RequireTLS || !it.EightBit || !it.SMTPUTF8 || it.Lang != "hi" || it.Label.String() != "open" ||
		it.Account != "ravi" || r.Notify != "SUCCESS,DELAY" || r.ORcpt != "rfc822;c+40city.example" || r.Class != queue.Remote || r.Domain != "city.example" {
		t.Errorf("%+v\n%+v", it, r)
	}
	// An address with an ASCII form asks for no extension of the next host.
	sub = w.submission(letter("Mohar-Label: open\r\n"), "c@राज्य.in")
	out, err = w.s.Accept(t.Context(), sub)
	w.must(err)
	if m, _ = w.get(out.ID); m.Item.SMTPUTF8 || m.Item.EightBit {
		t.Errorf("%+v", m.Item)
	}
}
