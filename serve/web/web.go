// Package web is the door of browsers: it serves the webmail's files, signs
// people in and out, and hands JMAP on to its engine.
//
// Owns:      the session cookie.
// Trusts:    flow/signin for who somebody is; nothing that a browser sends.
// May touch: nothing but its interfaces.
// Standards: RFC 6265; Fetch metadata; Content Security Policy 3.
package web

import (
	"context"
	"encoding/json"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"time"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/policy"
)

// Limits and names.
const (
	maxSignin  = 8 << 10          // octets of a sign-in request
	signinRead = 30 * time.Second // that its body may take to arrive
	// cookie has the __Host- prefix: only this host, only over TLS, whole site.
	secureCookie = "__Host-mohar"
	plainCookie  = "mohar" // for the demo's plain HTTP door on loopback
	// proof is the field that our own pages send with each request: a page of
	// another site cannot add it without a preflight, which is never answered.
	proof = "X-Mohar"
)

// Person is who is signed in.
type Person struct {
	Account  mohar.AccountID `json:"-"`
	Address  string          `json:"address"`
	Name     string          `json:"name"`
	Post     string          `json:"post"`
	Lang     string          `json:"lang"`
	Category string          `json:"category"`
}

// Attempt is one try to sign in.
type Attempt struct {
	User, Password string
	Remote         netip.Addr
	Agent          string
	TLS            bool
}

// Signin signs people in; flow/signin does it.
type Signin interface {
	// SignIn checks a password and opens a session.
	SignIn(ctx context.Context, a Attempt) (token string, p Person, err error)
	// Person gives who a session belongs to; fault.Auth when it has ended.
	Person(ctx context.Context, token string) (Person, error)
	// SignOut ends a session.
	SignOut(ctx context.Context, token string) error
}

// Config is what a Handler needs.
type Config struct {
	Signin Signin
	Files  fs.FS        // the built webmail, index.html at its root
	JMAP   http.Handler // everything under /jmap and /.well-known/jmap
	// Rules gives the rulebooks that /rule/ID explains, the first that has a rule
	// counts; nil explains none.
	Rules func() []*policy.Rulebook
	Life  time.Duration // of the session cookie
}

type handler struct{ cfg Config }

// New makes the handler of the HTTPS door.
func New(cfg Config) http.Handler {
	h := &handler{cfg: cfg}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/signin", h.signIn)
	mux.HandleFunc("POST /api/signout", h.signOut)
	mux.HandleFunc("GET /api/me", h.me)
	if cfg.JMAP != nil {
		mux.Handle("/jmap/", cfg.JMAP)
		mux.Handle("/.well-known/jmap", cfg.JMAP)
	}
	mux.Handle("GET /rule/{id}", newExplainer(cfg.Rules))
	for _, taken := range []string{"/api/", "/rule/", "/jmap/", "/.well-known/"} {
		if cfg.JMAP == nil || taken != "/jmap/" {
			mux.HandleFunc(taken, notFound) // never the application's page
		}
	}
	mux.Handle("/", files(cfg.Files))
	return secured(mux)
}

func notFound(w http.ResponseWriter, _ *http.Request) {
	fail(w, fault.New(fault.NotFound, "web", "There is no such page."))
}

// Token gives the session token of a request; "" without one. Requests that can
// change something count only with the proof that one of our pages made them.
func Token(r *http.Request) string {
	c, err := r.Cookie(secureCookie)
	if err != nil {
		if c, err = r.Cookie(plainCookie); err != nil || r.TLS != nil {
			return ""
		}
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead && r.Header.Get(proof) == "" || foreign(r) {
		return ""
	}
	return c.Value
}

// foreign says whether the browser itself tells that a page of another site made
// the request.
func foreign(r *http.Request) bool {
	site := r.Header.Get("Sec-Fetch-Site")
	return site != "" && site != "same-origin" && site != "none"
}

// ours says whether a request that changes something was made by one of our
// pages.
func ours(r *http.Request) bool { return r.Header.Get(proof) != "" && !foreign(r) }

func (h *handler) signIn(w http.ResponseWriter, r *http.Request) {
	var in struct{ User, Password, Lang string }
	if !ours(r) {
		fail(w, fault.New(fault.Invalid, "web.signIn", "Another site may not do this."))
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxSignin)
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(signinRead)) // not every writer has one
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		fail(w, fault.Wrap(err, fault.Invalid, "web.signIn", "The request cannot be read."))
		return
	}
	token, _, err := h.cfg.Signin.SignIn(r.Context(), Attempt{User: in.User, Password: in.Password,
		Remote: RemoteIP(r), Agent: r.UserAgent(), TLS: r.TLS != nil})
	if err != nil {
		fail(w, err)
		return
	}
	// The session that the browser had before ends here: nobody else's token stays
	// alive in it, and none that was planted is carried on.
	if old := Token(r); old != "" && old != token {
		_ = h.cfg.Signin.SignOut(r.Context(), old) // it may have ended long ago
	}
	h.setCookie(w, r, token, int(h.cfg.Life.Seconds()))
	w.WriteHeader(http.StatusNoContent)
}

func (h *handler) setCookie(w http.ResponseWriter, r *http.Request, token string, age int) {
	c := &http.Cookie{Name: secureCookie, Value: token, Path: "/", MaxAge: age, HttpOnly: true, Secure: true, SameSite: http.SameSiteStrictMode}
	if r.TLS == nil {
		c.Name, c.Secure = plainCookie, false
	}
	http.SetCookie(w, c)
}

func (h *handler) signOut(w http.ResponseWriter, r *http.Request) {
	// Without the proof any site could sign people out, and its form would also be
	// answered with a cookie that takes ours away.
	if !ours(r) {
		fail(w, fault.New(fault.Invalid, "web.signOut", "Another site may not do this."))
		return
	}
	h.setCookie(w, r, "", -1)
	if token := Token(r); token != "" {
		if err := h.cfg.Signin.SignOut(r.Context(), token); err != nil {
			fail(w, err)
			return
		}
	}
	w.WriteHeader(http.StatusNoContent)
}

func (h *handler) me(w http.ResponseWriter, r *http.Request) {
	token := Token(r)
	if token == "" {
		fail(w, fault.New(fault.Auth, "web.me", "Please sign in."))
		return
	}
	p, err := h.cfg.Signin.Person(r.Context(), token)
	if err != nil {
		fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(p) // the client went away
}

// RemoteIP gives the client's address.
func RemoteIP(r *http.Request) netip.Addr {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	a, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Addr{}
	}
	return a.Unmap()
}
