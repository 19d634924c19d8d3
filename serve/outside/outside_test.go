package outside

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/base/clock"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/wire/smtp/smtpserver"
)

var (
	honest  = netip.MustParseAddr("127.0.0.1")
	foreign = netip.MustParseAddr("127.0.0.66")
)

// posted is what the world handed to the platform.
type posted struct {
	source   netip.Addr
	from, to string
	content  string
}

func world(t *testing.T, reply string, fail error) (*World, http.Handler, *[]posted) {
	t.Helper()
	var out []posted
	w := New(Config{Clock: clock.NewFake(time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)), Honest: honest, Foreign: foreign,
		Post: func(_ context.Context, source netip.Addr, from, to string, content []byte) (string, error) {
			out = append(out, posted{source, from, to, string(content)})
			return reply, fail
		},
		Sign: func(domain string, _ []byte) ([]byte, error) {
			return []byte("DKIM-Signature: d=" + domain + "\r\n"), nil
		}})
	h, err := w.Handler()
	if err != nil {
		t.Fatal(err)
	}
	return w, h, &out
}

func ask(h http.Handler, method, path string, form url.Values, head ...string) (*http.Response, string) {
	r := httptest.NewRequest(method, "http://127.0.0.1:10080"+path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for _, line := range head {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	b, _ := io.ReadAll(rec.Body) // a recorder's body does not fail
	return rec.Result(), string(b)
}

const jsonOnly = "Accept: application/json"

func TestList(t *testing.T) {
	t.Parallel()
	w, h, _ := world(t, "", nil)
	if r, body := ask(h, "GET", "/outside", nil, jsonOnly); r.StatusCode != 200 || strings.TrimSpace(body) != "[]" {
		t.Errorf("an empty world: %d %q", r.StatusCode, body)
	}
	w.Receive("asha@rajya.example", []string{"a@gmail.com", "B@gmail.com"}, true,
		[]byte("From: Asha <asha@rajya.example>\r\nSubject: <script>alert(1)</script>\r\n\r\n</pre><script>alert(2)</script>\r\n"))
	var list []view
	if _, body := ask(h, "GET", "/outside?to=b@gmail.com", nil, jsonOnly); json.Unmarshal([]byte(body), &list) != nil || len(list) != 1 || list[0].ID != 2 || !list[0].TLS || list[0].HeaderBy != "asha@rajya.example" {
		t.Errorf("%+v", list)
	}
	for _, path := range []string{"/outside", "/outside/mail/2", "/outside?to=%3Cscript%3E&said=%3Cscript%3E"} {
		r, body := ask(h, "GET", path, nil, "Accept-Language: hi-IN")
		if r.StatusCode != 200 || strings.Contains(body, "<script") || !strings.Contains(body, `lang="hi"`) ||
			!strings.HasPrefix(r.Header.Get("Content-Security-Policy"), "default-src 'none'") || r.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d\n%s", path, r.StatusCode, body)
		}
	}
	r, body := ask(h, "GET", "/outside/mail/1/raw", nil)
	if r.Header.Get("Content-Type") != "text/plain; charset=utf-8" || r.Header.Get("X-Content-Type-Options") != "nosniff" || !strings.HasPrefix(body, "From: Asha") {
		t.Errorf("raw: %v %q", r.Header, body)
	}
	for _, path := range []string{"/outside/mail/3", "/outside/mail/x", "/outside/mail/-1/raw"} {
		if r, _ := ask(h, "GET", path, nil); r.StatusCode != 404 {
			t.Errorf("%s: %d", path, r.StatusCode)
		}
	}
}

func TestManners(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		manner string
		source netip.Addr
		signed bool
		shown  string
	}{
		{"", honest, true, "<citizen@gmail.com>"},
		{"unsigned", honest, false, "<citizen@gmail.com>"},
		{"spf", foreign, false, "<citizen@gmail.com>"},
		{"forge", foreign, false, `"The Secretary" <secretary@rajya.example>`},
	} {
		w, h, out := world(t, "250 fine", nil)
		w.Receive("asha@rajya.example", []string{"citizen@gmail.com"}, false, []byte("Message-ID: <1@x>\r\nReferences: <0@x>\r\n\r\n"))
		form := url.Values{"from": {"citizen@gmail.com"}, "to": {"asha@rajya.example"}, "subject": {"नमस्ते"}, "text": {"one\ntwo"},
			"manner": {c.manner}, "forge": {"The Secretary <secretary@rajya.example>"}, "reply": {"1"}}
		r, body := ask(h, "POST", "/outside/send", form, jsonOnly)
		if r.StatusCode != 200 || !strings.Contains(body, "250 fine") || len(*out) != 1 {
			t.Fatalf("%q: %d %q", c.manner, r.StatusCode, body)
		}
		p := (*out)[0]
		if p.source != c.source || p.from != "citizen@gmail.com" || strings.Contains(p.content, "DKIM-Signature: d=gmail.com") != c.signed ||
			!strings.Contains(p.content, "From: "+c.shown+"\r\n") || !strings.Contains(p.content, "In-Reply-To: <1@x>\r\nReferences: <0@x> <1@x>\r\n") ||
			!strings.Contains(p.content, "one\r\ntwo") {
			t.Errorf("%q: %+v", c.manner, p)
		}
	}
}

func TestSendRefused(t *testing.T) {
	t.Parallel()
	good := url.Values{"from": {"c@gmail.com"}, "to": {"asha@rajya.example"}, "subject": {"s"}, "text": {"t"}}
	with := func(k, v string) url.Values {
		f := url.Values{}
		for name, values := range good {
			f[name] = values
		}
		f.Set(k, v)
		return f
	}
	for _, c := range []struct {
		name   string
		form   url.Values
		head   []string
		status int
		sent   int
	}{
		{"own page", good, []string{"Origin: http://127.0.0.1:10080", "Sec-Fetch-Site: same-origin"}, 200, 1},
		{"another site", good, []string{"Origin: https://evil.example"}, 403, 0},
		{"a sandboxed page", good, []string{"Origin: null"}, 403, 0},
		{"another site, without Origin", good, []string{"Sec-Fetch-Site: cross-site"}, 403, 0},
		{"a header smuggled in", with("subject", "x\r\nBcc: all@rajya.example"), nil, 502, 0},
		{"no recipient", with("to", ""), nil, 502, 0},
	} {
		_, h, out := world(t, "250 fine", nil)
		if r, body := ask(h, "POST", "/outside/send", c.form, append(c.head, jsonOnly)...); r.StatusCode != c.status || len(*out) != c.sent {
			t.Errorf("%s: %d %q, %d sent", c.name, r.StatusCode, body, len(*out))
		}
	}
	_, h, _ := world(t, "550 5.7.1 not authenticated", errors.New("refused"))
	if r, body := ask(h, "POST", "/outside/send", good, jsonOnly); r.StatusCode != 502 || !strings.Contains(body, "550 5.7.1 not authenticated") {
		t.Errorf("a refusal: %d %q", r.StatusCode, body)
	}
	_, h, _ = world(t, "", errors.New("connection refused"))
	if _, body := ask(h, "POST", "/outside/send", good, jsonOnly); !strings.Contains(body, "connection refused") {
		t.Errorf("nobody there: %q", body)
	}
}

func TestMemory(t *testing.T) {
	t.Parallel()
	w, _, _ := world(t, "", nil)
	for range Capacity + 3 {
		w.Receive("a@x", []string{"b@y"}, false, nil)
	}
	if n := len(w.Mails("")); n != Capacity || w.Mail(3) != nil || w.Mail(4) == nil {
		t.Errorf("%d mails", n)
	}
	big := make([]byte, MaxKept/2)
	for range 3 {
		w.Receive("a@x", []string{"b@y"}, false, big)
	}
	if n := len(w.Mails("")); n != 2 || w.kept > MaxKept {
		t.Errorf("%d mails, %d octets", n, w.kept)
	}
}

func TestExchanger(t *testing.T) {
	t.Parallel()
	w, _, _ := world(t, "", nil)
	s, err := w.NewSession(t.Context(), &smtpserver.Conn{})
	if err != nil {
		t.Fatal(err)
	}
	for to, want := range map[string]fault.Kind{"unknown@gmail.com": fault.NotFound, "busy@gmail.com": fault.Unavailable} {
		if err := s.Rcpt(t.Context(), mohar.Recipient{Address: to}); !fault.Is(err, want) {
			t.Errorf("%s: %v", to, err)
		}
	}
	if err := s.Rcpt(t.Context(), mohar.Recipient{Address: "a@gmail.com"}); err != nil {
		t.Error(err)
	}
	env := &mohar.Envelope{From: "asha@rajya.example", To: []mohar.Recipient{{Address: "a@gmail.com"}, {Address: "b@gmail.com"}}}
	if _, err := s.Data(t.Context(), env, strings.NewReader("Subject: x\r\n\r\ny\r\n")); err != nil || len(w.Mails("")) != 2 {
		t.Errorf("%v, %d mails", err, len(w.Mails("")))
	}
}
