package web

import (
	"compress/gzip"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/policy"
)

// desk is a Signin with one account and counted tokens.
type desk struct {
	live map[string]bool
	n    int
	fail error
}

func (d *desk) SignIn(_ context.Context, a Attempt) (string, Person, error) {
	if d.fail != nil {
		return "", Person{}, d.fail
	}
	if a.Password != "right" {
		return "", Person{}, fault.New(fault.Auth, "desk", "no")
	}
	d.n++
	token := "token" + string(rune('0'+d.n))
	d.live[token] = true
	return token, Person{Address: a.User}, nil
}

func (d *desk) Person(_ context.Context, token string) (Person, error) {
	if !d.live[token] {
		return Person{}, fault.New(fault.Auth, "desk", "ended")
	}
	return Person{Address: "asha@rajya.example", Name: "Asha", Lang: "hi"}, nil
}

func (d *desk) SignOut(_ context.Context, token string) error { delete(d.live, token); return nil }

var pages = fstest.MapFS{
	"index.html":            {Data: []byte("<!doctype html><title>app</title>")},
	"mailframe.html":        {Data: []byte("frame")},
	"mailframe-remote.html": {Data: []byte("frame")},
	"icon.svg":              {Data: []byte("<svg/>")},
	"assets/app-1.js":       {Data: []byte(strings.Repeat("let a = 1;\n", 200))},
	"assets/app-1.css":      {Data: []byte("a{}")},
	".secret":               {Data: []byte("hidden")},
}

func door(t *testing.T) (*desk, http.Handler) {
	t.Helper()
	state, err := policy.Builtin(policy.State)
	if err != nil {
		t.Fatal(err)
	}
	base, err := policy.Builtin(policy.Base)
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{live: map[string]bool{}}
	return d, New(Config{Signin: d, Files: pages, Life: time.Hour, Rules: func() []*policy.Rulebook { return []*policy.Rulebook{state, base} }})
}

// ask sends a request; head holds "Name: value" lines. A path that begins with
// "tls:" goes over TLS.
func ask(h http.Handler, method, path, body string, head ...string) *http.Response {
	over := strings.HasPrefix(path, "tls:")
	r := httptest.NewRequest(method, strings.TrimPrefix(path, "tls:"), strings.NewReader(body))
	if over {
		r.TLS = &tls.ConnectionState{}
	}
	for _, line := range head {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func text(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// readme gives the policies that the pages' own documentation asks for.
func readme(t *testing.T) (page, frame string) {
	t.Helper()
	data, err := os.ReadFile("../../web/README.md")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^    (default-src .*)$`).FindAllStringSubmatch(string(data), -1)
	if len(m) != 2 {
		t.Fatalf("%d policies in the README", len(m))
	}
	return m[0][1], m[1][1]
}

func TestFiles(t *testing.T) {
	t.Parallel()
	page, frame := readme(t)
	_, h := door(t)
	for _, c := range []struct {
		path   string
		status int
		kind   string
		cache  string
		policy string
	}{
		{"/", 200, "text/html; charset=utf-8", "no-cache", page},
		{"/index.html", 200, "text/html; charset=utf-8", "no-cache", page},
		{"/mail/inbox/42", 200, "text/html; charset=utf-8", "no-cache", page},
		{"/mailframe.html", 200, "text/html; charset=utf-8", "no-cache", frame},
		{"/mailframe-remote.html", 200, "text/html; charset=utf-8", "no-cache", strings.Replace(frame, "data:", "data: https:", 1)},
		{"/assets/app-1.js", 200, "text/javascript; charset=utf-8", "public, max-age=31536000, immutable", barePolicy},
		{"/assets/app-1.css", 200, "text/css; charset=utf-8", "public, max-age=31536000, immutable", barePolicy},
		{"/icon.svg", 200, "image/svg+xml", "no-cache", barePolicy},
		{"/assets/app-2.js", 404, "application/json", "no-store", barePolicy},
		{"/assets/", 200, "text/html; charset=utf-8", "no-cache", page},
		{"/.secret", 404, "application/json", "no-store", barePolicy},
		{"/api/none", 404, "application/json", "no-store", barePolicy},
		{"/rule/", 404, "application/json", "no-store", barePolicy},
		{"/jmap/api", 404, "application/json", "no-store", barePolicy},
		{"/.well-known/x", 404, "application/json", "no-store", barePolicy},
		{"/..%2f..%2fetc/passwd.txt", 404, "application/json", "no-store", barePolicy},
		{"/%2e%2e/web.go", 404, "application/json", "no-store", barePolicy},
	} {
		r := ask(h, "GET", c.path, "")
		if r.StatusCode == http.StatusTemporaryRedirect || r.StatusCode == http.StatusMovedPermanently {
			r = ask(h, "GET", r.Header.Get("Location"), "")
		}
		got := r.Header
		if r.StatusCode != c.status || got.Get("Content-Type") != c.kind || got.Get("Cache-Control") != c.cache || got.Get("Content-Security-Policy") != c.policy {
			t.Errorf("%s: %d %q %q\n%s", c.path, r.StatusCode, got.Get("Content-Type"), got.Get("Cache-Control"), got.Get("Content-Security-Policy"))
		}
		for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
			"Cross-Origin-Opener-Policy": "same-origin", "Strict-Transport-Security": ""} {
			if got.Get(name) != want {
				t.Errorf("%s: %s is %q", c.path, name, got.Get(name))
			}
		}
	}
	if got := ask(h, "GET", "tls:/", "").Header.Get("Strict-Transport-Security"); got == "" {
		t.Error("no HSTS over TLS")
	}
	if r := ask(h, "POST", "/", ""); r.StatusCode != 405 || r.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST /: %d %q", r.StatusCode, r.Header.Get("Allow"))
	}
}

func TestGzip(t *testing.T) {
	t.Parallel()
	_, h := door(t)
	tags := map[string]bool{}
	for field, packed := range map[string]bool{"gzip": true, "br, gzip;q=0.5": true, "GZIP": true, "gzip;q=0": false, "gzip; q=0.000": false, "": false, "br": false} {
		r := ask(h, "GET", "/assets/app-1.js", "", "Accept-Encoding: "+field)
		if got := r.Header.Get("Content-Encoding") == "gzip"; got != packed {
			t.Errorf("%q: packed %v", field, got)
		}
		if r.Header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("%q: no Vary", field)
		}
		tags[r.Header.Get("ETag")] = true
		if packed {
			z, err := gzip.NewReader(r.Body)
			if err != nil {
				t.Fatal(err)
			}
			if data, err := io.ReadAll(z); err != nil || string(data) != string(pages["assets/app-1.js"].Data) {
				t.Errorf("%q: other content, %v", field, err)
			}
		}
	}
	if len(tags) != 2 || tags[""] {
		t.Errorf("tags: %v", tags)
	}
	tag := ask(h, "GET", "/", "").Header.Get("ETag")
	if r := ask(h, "GET", "/", "", "If-None-Match: "+tag); r.StatusCode != http.StatusNotModified {
		t.Errorf("the same page again: %d", r.StatusCode)
	}
}

func TestSession(t *testing.T) {
	t.Parallel()
	d, h := door(t)
	const in = `{"user":"asha@rajya.example","password":"right"}`
	r := ask(h, "POST", "tls:/api/signin", in, "X-Mohar: 1")
	if r.StatusCode != http.StatusNoContent || len(r.Cookies()) != 1 {
		t.Fatalf("sign-in: %d %s", r.StatusCode, text(t, r))
	}
	c := r.Cookies()[0]
	if c.Name != "__Host-mohar" || !c.HttpOnly || !c.Secure || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.Domain != "" || c.MaxAge != 3600 {
		t.Errorf("cookie: %+v", c)
	}
	cookie := "Cookie: __Host-mohar=" + c.Value
	if r := ask(h, "GET", "tls:/api/me", "", cookie); r.StatusCode != 200 || r.Header.Get("Cache-Control") != "no-store" || !strings.Contains(text(t, r), "Asha") {
		t.Errorf("me: %d %q", r.StatusCode, r.Header.Get("Cache-Control"))
	}
	for name, head := range map[string][]string{
		"no cookie":                   {},
		"the demo's cookie over TLS":  {"Cookie: mohar=" + c.Value},
		"a page of another site asks": {cookie, "Sec-Fetch-Site: cross-site"},
		"a page of a sister site":     {cookie, "Sec-Fetch-Site: same-site"},
	} {
		if r := ask(h, "GET", "tls:/api/me", "", head...); r.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: %d", name, r.StatusCode)
		}
	}
	// Who signs in again, or in a browser that somebody prepared, leaves nothing
	// behind: the old session ends, the new one has another token.
	r = ask(h, "POST", "tls:/api/signin", in, "X-Mohar: 1", cookie)
	if len(r.Cookies()) != 1 || r.Cookies()[0].Value == c.Value || d.live[c.Value] || len(d.live) != 1 {
		t.Errorf("the second sign-in: %v, live %v", r.Cookies(), d.live)
	}
	cookie = "Cookie: __Host-mohar=" + r.Cookies()[0].Value
	r = ask(h, "POST", "tls:/api/signout", "", cookie)
	if r.StatusCode != http.StatusBadRequest || len(d.live) != 1 || len(r.Cookies()) != 0 {
		t.Errorf("another site signs people out: %d, cookies %v", r.StatusCode, r.Cookies())
	}
	r = ask(h, "POST", "tls:/api/signout", "", cookie, "X-Mohar: 1")
	if r.StatusCode != http.StatusNoContent || len(d.live) != 0 || r.Cookies()[0].MaxAge >= 0 {
		t.Errorf("sign-out: %d %v", r.StatusCode, d.live)
	}
}

func TestSigninRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, body string
		fail       error
		head       []string
		status     int
	}{
		{"wrong password", `{"user":"a","password":"x"}`, nil, []string{"X-Mohar: 1"}, 401},
		{"no proof", `{"user":"a","password":"right"}`, nil, nil, 400},
		{"another site with proof", `{"user":"a","password":"right"}`, nil, []string{"X-Mohar: 1", "Sec-Fetch-Site: cross-site"}, 400},
		{"no JSON", `user=a`, nil, []string{"X-Mohar: 1"}, 400},
		{"too long", `{"user":"` + strings.Repeat("a", maxSignin) + `"}`, nil, []string{"X-Mohar: 1"}, 400},
		{"too many", `{}`, fault.New(fault.TooMany, "x", "x"), []string{"X-Mohar: 1"}, 429},
		{"disk full", `{}`, fault.New(fault.NoSpace, "x", "x"), []string{"X-Mohar: 1"}, 503},
		{"defect", `{}`, io.ErrUnexpectedEOF, []string{"X-Mohar: 1"}, 500},
	} {
		d, h := door(t)
		d.fail = c.fail
		r := ask(h, "POST", "tls:/api/signin", c.body, c.head...)
		var out struct{ Error struct{ En, Hi string } }
		if err := json.NewDecoder(r.Body).Decode(&out); err != nil || out.Error.En == "" || out.Error.Hi == "" {
			t.Errorf("%s: %+v %v", c.name, out, err)
		}
		if r.StatusCode != c.status || len(r.Cookies()) != 0 || strings.Contains(out.Error.En, "EOF") {
			t.Errorf("%s: %d %v %q", c.name, r.StatusCode, r.Cookies(), out.Error.En)
		}
	}
}

func TestRule(t *testing.T) {
	t.Parallel()
	_, h := door(t)
	state, err := policy.Builtin(policy.State)
	if err != nil {
		t.Fatal(err)
	}
	for i := range state.Rules {
		id := state.Rules[i].ID
		r := ask(h, "GET", "/rule/"+id, "", "Accept-Language: en-IN,en;q=0.9,hi;q=0.8")
		page := text(t, r)
		if r.StatusCode != 200 || !strings.Contains(page, "<code>"+id) || strings.Contains(page, "{") && strings.Contains(page, "{label}") || strings.Contains(page, "<script") {
			t.Errorf("%s: %d\n%s", id, r.StatusCode, page)
		}
	}
	for _, c := range []struct{ path, accept, lang, has string }{
		{"/rule/DLP-FOREIGN-OFFICIAL", "hi-IN,hi;q=0.9,en;q=0.8", "hi", "अब क्या करें"},
		{"/rule/DLP-FOREIGN-OFFICIAL", "ta,en;q=0.9", "en", "What to do now"},
		{"/rule/DLP-FOREIGN-OFFICIAL", "", "en", "What to do now"},
		{"/rule/DLP-FOREIGN-OFFICIAL?lang=hi", "en", "hi", "अब क्या करें"},
		{"/rule/SIGNIN-PLAINTEXT", "en", "en", "What to do now"},
	} {
		r := ask(h, "GET", c.path, "", "Accept-Language: "+c.accept)
		page := text(t, r)
		if r.StatusCode != 200 || r.Header.Get("Content-Language") != c.lang || !strings.Contains(page, `<html lang="`+c.lang+`">`) || !strings.Contains(page, c.has) {
			t.Errorf("%s %q: %d %s\n%s", c.path, c.accept, r.StatusCode, r.Header.Get("Content-Language"), page)
		}
		if strings.Contains(r.Header.Get("Content-Security-Policy"), "unsafe") {
			t.Error("a policy that allows inline code")
		}
	}
	r := ask(h, "GET", "/rule/%3Cscript%3Ealert(1)%3C%2Fscript%3E", "")
	if page := text(t, r); r.StatusCode != 404 || strings.Contains(page, "<script") || !strings.Contains(page, "no such rule") {
		t.Errorf("unknown rule: %d\n%s", r.StatusCode, page)
	}
}

func TestRemoteIP(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"192.0.2.1:99": "192.0.2.1", "[2001:db8::1]:1": "2001:db8::1", "[::ffff:192.0.2.1]:1": "192.0.2.1", "@": "invalid IP"} {
		if got := RemoteIP(&http.Request{RemoteAddr: in}).String(); got != want {
			t.Errorf("%q: %s", in, got)
		}
	}
}

// TestRuleStyle: the page's only style is the one that its policy names.
func TestRuleStyle(t *testing.T) {
	t.Parallel()
	_, h := door(t)
	r := ask(h, "GET", "/rule/DLP-FOREIGN-OFFICIAL", "")
	m := regexp.MustCompile(`(?s)<style>(.*)</style>`).FindStringSubmatch(text(t, r))
	if m == nil {
		t.Fatal("no style")
	}
	sum := sha256.Sum256([]byte(m[1]))
	if want := "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"; !strings.Contains(r.Header.Get("Content-Security-Policy"), want) {
		t.Errorf("%s is not in %s", want, r.Header.Get("Content-Security-Policy"))
	}
}
