package jmapserver

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/wire/jmap"
)

// HeaderCSRF is the field that a page of our own sets on its requests. A page
// of another origin cannot set it without a CORS preflight, which is never
// granted.
const HeaderCSRF = "X-Mohar"

// authed wraps a handler that needs a Principal.
func (s *Server) authed(h func(http.ResponseWriter, *http.Request, Principal)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		head := w.Header()
		head.Set("X-Content-Type-Options", "nosniff")
		head.Set("Referrer-Policy", "no-referrer")
		head.Set("Cross-Origin-Resource-Policy", "same-origin")
		p, err := s.cfg.Auth.Authenticate(r)
		if err != nil {
			s.refuse(w, r, err)
			return
		}
		if p.ByCookie && !sameOrigin(r) {
			s.problem(w, &jmap.RequestError{Type: "about:blank", Status: http.StatusForbidden,
				Detail: "The request comes from another site."})
			return
		}
		h(w, r, p)
	}
}

// refuse answers failed authentication. A page of our own gets a challenge of a
// scheme that browsers do not know, so that they show no password box over it.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	e := jmap.RequestErrorOf(err)
	if e.Status == http.StatusUnauthorized {
		challenge := `Basic realm="Mohar", charset="UTF-8"`
		if r.Header.Get(HeaderCSRF) != "" || r.Header.Get("Sec-Fetch-Site") != "" {
			challenge = `Mohar-Session realm="Mohar"`
		}
		w.Header().Set("WWW-Authenticate", challenge)
	}
	s.problemOf(w, r, err)
}

// sameOrigin says whether a request with a cookie may be acted upon. One that
// changes something needs proof of its origin: the header of our own, Fetch
// Metadata, or an Origin that is this host. One that only reads is refused
// where the browser says that another site made it.
func sameOrigin(r *http.Request) bool {
	site := r.Header.Get("Sec-Fetch-Site")
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return site == "" || site == "same-origin" || site == "none"
	}
	if site == "cross-site" || site == "same-site" {
		return false
	}
	if r.Header.Get(HeaderCSRF) != "" || site == "same-origin" {
		return true
	}
	u, err := url.Parse(r.Header.Get("Origin"))
	return err == nil && u.Host != "" && strings.EqualFold(u.Host, r.Host)
}

// problem answers with a problem details object (RFC 7807).
func (s *Server) problem(w http.ResponseWriter, e *jmap.RequestError) {
	body, err := jmap.Marshal(e)
	if err != nil {
		body = json.RawMessage(`{}`)
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(e.Status)
	_, _ = w.Write(body) // the client may be gone; nobody else is left to tell
}

// problemOf answers with the problem that err stands for and logs its cause.
func (s *Server) problemOf(w http.ResponseWriter, r *http.Request, err error) {
	if k := fault.KindOf(err); k == fault.Internal || k == fault.Corrupt || k == fault.Unavailable {
		s.cfg.Log.ErrorContext(r.Context(), "jmap request failed", "path", r.URL.Path, "err", err)
	}
	s.problem(w, jmap.RequestErrorOf(err))
}

// language picks Hindi or English from Accept-Language (RFC 9110 section
// 12.5.4): the one of higher weight, the earlier of two equals; def where
// neither is named.
func language(header, def string) string {
	best, weight := def, 0.0
	for i, item := range strings.Split(header, ",") {
		if i == maxLanguages {
			break
		}
		tag, param, _ := strings.Cut(item, ";")
		tag = strings.ToLower(strings.TrimSpace(tag))
		q := 1.0
		if v, ok := strings.CutPrefix(strings.TrimSpace(param), "q="); ok {
			f, err := strconv.ParseFloat(v, 64)
			if err != nil {
				continue
			}
			q = f
		}
		primary, _, _ := strings.Cut(tag, "-")
		if (primary == "hi" || primary == "en") && q > weight {
			best, weight = primary, q
		}
	}
	if best == "" {
		return "en"
	}
	return best
}

// maxLanguages bounds the members of Accept-Language that are read.
const maxLanguages = 32
