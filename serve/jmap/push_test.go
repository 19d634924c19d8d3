package jmap

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/mailbox"
	"github.com/mohar-mail/mohar/wire/jmap/jmapserver"
)

// TestPush opens an event source over real HTTP and sees a delivery arrive: as
// EmailDelivery too, which a change of flags does not touch.
func TestPush(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	srv := httptest.NewServer(w.door)
	t.Cleanup(srv.Close)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", srv.URL+jmapserver.PathEventSource+"?types=Email,EmailDelivery&closeafter=no&ping=0", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewReader(resp.Body)
	next := func() string {
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if data, ok := strings.CutPrefix(line, "data: "); ok {
				return strings.TrimSpace(data)
			}
			if line == ": open\n" {
				return "open"
			}
		}
	}
	if next() != "open" {
		t.Fatal("not opened")
	}
	e := w.deliver(t, "inbox", "Subject: x\n\nx")
	if got, want := next(), `{"@type":"StateChange","changed":{"a1":{"Email":"2","EmailDelivery":"1"}}}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	err = w.mail.Update(ctx, account, func(u *mailbox.Writer) error {
		return u.SetKeywords(e.Email, mailbox.FlagChange{Op: mailbox.AddFlags, Flags: mailbox.Seen})
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := next(), `{"@type":"StateChange","changed":{"a1":{"Email":"3"}}}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestUploadsMakeRoom sees that uploads expire, and that the message made of one
// lives on.
func TestUploadsMakeRoom(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	up := func(text string) string {
		id, _, err := w.door.Upload(t.Context(), jmapserver.Principal{Account: account}, "a1", strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		return string(id)
	}
	get := func(id string) int {
		rec := httptest.NewRecorder()
		w.door.ServeHTTP(rec, httptest.NewRequest("GET", "/jmap/download/a1/"+id+"/x?type=text/plain", nil))
		return rec.Code
	}
	first := up("one")
	w.clock.Advance(UploadLife + time.Second)
	second := up("two")
	if get(first) != 404 || get(second) != 200 {
		t.Errorf("first %d, second %d", get(first), get(second))
	}
	w.clock.Advance(time.Minute)
	third := up(strings.Repeat("x", 600<<10))
	if get(second) != 200 {
		t.Error("removed although there was room")
	}
	w.clock.Advance(time.Minute)
	fourth := up(strings.Repeat("x", 600<<10))
	if get(second) != 404 || get(third) != 404 || get(fourth) != 200 {
		t.Error("the oldest uploads were not removed to make room")
	}
	rec := httptest.NewRecorder()
	msg := w.deliver(t, "inbox", "Subject: x\nContent-Transfer-Encoding: base64\n\naGVsbG8=")
	for path, want := range map[string]string{
		"B" + msg.Email.String():        "Subject: x\r\nContent-Transfer-Encoding: base64\r\n\r\naGVsbG8=",
		"P" + msg.Email.String() + "-1": "hello",
	} {
		rec = httptest.NewRecorder()
		w.door.ServeHTTP(rec, httptest.NewRequest("GET", "/jmap/download/a1/"+path+"/x?type=text/plain", nil))
		if got, _ := io.ReadAll(rec.Body); string(got) != want {
			t.Errorf("%s: %q", path, got)
		}
	}
}

// TestSentAsStored sees what reaches the submit flow.
func TestSentAsStored(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.deliver(t, "drafts $draft", "Date: Mon, 23 Nov 2026 09:00:00 +0530\nFrom: asha@rajya.example\nTo: ravi@rajya.example\nBcc: b@x.example\nSubject: "+"नमस्ते\n\nx")
	code, body := w.call(fmt.Sprintf(`[["EmailSubmission/set",{"accountId":"a1","create":{"s":{"identityId":%q,"emailId":"E1"}}},"0"]]`, identityID("asha@rajya.example")), "hi")
	if code != 200 || len(w.submit.sent) != 1 {
		t.Fatalf("%d %s", code, body)
	}
	s := w.submit.sent[0]
	if s.Account != account || s.Address != "asha@rajya.example" || s.Lang != "hi" || s.Envelope.From != "asha@rajya.example" ||
		len(s.Envelope.To) != 2 || !s.Envelope.EightBit || !s.Envelope.SMTPUTF8 {
		t.Errorf("%+v", s)
	}
	if !strings.Contains(string(s.Content), "\r\nBcc: b@x.example\r\n") {
		t.Error("the content is not as stored")
	}
}

// TestSendErrors turns each kind of failure of the submit flow into its
// SetError.
func TestSendErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		want string
	}{
		{fault.New(fault.Denied, "test", "You may not."), `{"description":"You may not.","type":"forbiddenFrom"}`},
		{fault.New(fault.NotFound, "test", "There is no <ravi@rajya.example>."), `{"description":"There is no <ravi@rajya.example>.","invalidRecipients":["ravi@rajya.example"],"type":"invalidRecipients"}`},
		{fault.New(fault.NotFound, "test", "Somebody is unknown."), `{"description":"Somebody is unknown.","invalidRecipients":["ravi@rajya.example","b@x.example"],"type":"invalidRecipients"}`},
		{fault.New(fault.Invalid, "test", "No label."), `{"description":"No label.","type":"invalidEmail"}`},
		{fault.New(fault.TooMany, "test", "Too fast."), `{"description":"Too fast.","type":"rateLimit"}`},
		{fault.New(fault.Unavailable, "test", "Later."), `{"description":"Later.","type":"serverUnavailable"}`},
		{errors.New("a secret detail"), `{"description":"The server could not do this now.","type":"serverFail"}`},
	} {
		w := newWorld(t)
		w.submit.fail = c.err
		w.deliver(t, "drafts $draft", "Date: Mon, 23 Nov 2026 09:00:00 +0530\nFrom: asha@rajya.example\nTo: ravi@rajya.example, b@x.example\n\nx")
		code, body := w.call(fmt.Sprintf(`[["EmailSubmission/set",{"accountId":"a1","create":{"s":{"identityId":%q,"emailId":"E1"}}},"0"]]`, identityID("asha@rajya.example")), "en")
		if code != 200 || !strings.Contains(string(body), `"notCreated":{"s":`+c.want+`}`) {
			t.Errorf("%v:\n%s\nwants %s", c.err, body, c.want)
		}
	}
}
