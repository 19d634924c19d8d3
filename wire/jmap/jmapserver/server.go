// Package jmapserver serves JMAP over HTTP: the session resource, the API with
// its methods, upload, download and the event source. What the methods do is
// the caller's: they come as a Methods value.
//
// Owns:      nothing but counters of requests under way.
// Trusts:    its Authenticator for who is asking, its Backend for what they may
// see; nobody for bytes.
// May touch: the network through net/http; no files, no clock but base/clock.
// Standards: RFC 8620 sections 2, 3, 6 and 7.3; RFC 7617; RFC 7807; Fetch
// Metadata for requests that come with a cookie.
package jmapserver

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/base/clock"
	"github.com/mohar-mail/mohar/wire/jmap"
)

// Principal is who sends a request.
type Principal struct {
	Account mohar.AccountID
	Address string // the username of the session
	Name    string // for display
	Lang    string // BCP 47 tag preferred where the request names none
	// ByCookie says that the browser sent the credentials of its own accord,
	// so that the request must prove where it comes from (CSRF).
	ByCookie bool
}

// Authenticator finds out who sends a request. It fails with fault.Auth for
// wrong or missing credentials and fault.TooMany where too many were tried.
type Authenticator interface {
	Authenticate(r *http.Request) (Principal, error)
}

// Blob is content to download. Close is called once.
type Blob struct {
	Content io.ReaderAt
	Size    int64
	Close   func()
}

// Backend is what lies behind the doors that are not methods.
type Backend interface {
	// Accounts gives the accounts that p may use, p's own among them.
	Accounts(ctx context.Context, p Principal) (map[jmap.ID]jmap.Account, error)
	// States gives the state of each type in each account, as /get would.
	States(ctx context.Context, p Principal) (map[jmap.ID]map[string]string, error)
	// Watch sends (at least once) after each change that States may show. stop
	// is called once.
	Watch(p Principal) (changed <-chan struct{}, stop func())
	// Upload keeps what r holds as a blob of the account.
	Upload(ctx context.Context, p Principal, account jmap.ID, r io.Reader) (id jmap.ID, size int64, err error)
	// Download opens a blob; fault.NotFound where there is none.
	Download(ctx context.Context, p Principal, account, blob jmap.ID) (*Blob, error)
}

// Paths of the resources, below the host. /.well-known/jmap answers as
// PathSession does (RFC 8620 section 2.2).
const (
	PathWellKnown   = "/.well-known/jmap"
	PathSession     = "/jmap/session"
	PathAPI         = "/jmap/api"
	PathUpload      = "/jmap/upload/{accountId}"
	PathDownload    = "/jmap/download/{accountId}/{blobId}/{name}"
	PathEventSource = "/jmap/eventsource"
)

// Defaults of Config.
const (
	DefaultRequestTimeout  = 60 * time.Second
	DefaultUploadTimeout   = 30 * time.Minute
	DefaultMaxSizeResponse = 64 << 20
	DefaultEventSources    = 16
)

// DefaultLimits gives the suggested minimum values of RFC 8620 section 2, and
// more where a browser with several windows would meet them.
func DefaultLimits() jmap.CoreCapability {
	return jmap.CoreCapability{
		MaxSizeUpload: 50_000_000, MaxConcurrentUpload: 8, MaxSizeRequest: 10_000_000,
		MaxConcurrentRequests: 16, MaxCallsInRequest: 64, MaxObjectsInGet: 1000, MaxObjectsInSet: 1000,
		CollationAlgorithms: []string{"i;unicode-casemap"},
	}
}

// Config is what a Server is made of.
type Config struct {
	Auth    Authenticator
	Backend Backend
	Methods Methods
	// Capabilities are those of the session beside CapCore, with their values.
	Capabilities map[string]any
	Limits       jmap.CoreCapability // zero: DefaultLimits
	// PublicURL is scheme and host of the URLs in the session; "" takes them
	// from each request.
	PublicURL       string
	RequestTimeout  time.Duration // of one API request; 0: DefaultRequestTimeout
	UploadTimeout   time.Duration // of one upload; 0: DefaultUploadTimeout
	MaxSizeResponse int           // octets of all responses to one request; 0: DefaultMaxSizeResponse
	EventSources    int           // open at once for one account; 0: DefaultEventSources
	Clock           clock.Clock   // nil: the system's
	Log             *slog.Logger  // nil: none
}

// Server is the handler of all resources. It is safe for concurrent use.
type Server struct {
	cfg  Config
	mux  *http.ServeMux
	done chan struct{} // closed by Close: event sources end
	once sync.Once

	mu   sync.Mutex
	busy map[slot]int
}

// slot counts what one account does at once.
type slot struct {
	account mohar.AccountID
	limit   string // the name of the limit that applies
}

// New makes a Server.
func New(cfg Config) *Server {
	if cfg.Limits.MaxSizeRequest == 0 {
		cfg.Limits = DefaultLimits()
	}
	cfg.RequestTimeout = or(cfg.RequestTimeout, DefaultRequestTimeout)
	cfg.UploadTimeout = or(cfg.UploadTimeout, DefaultUploadTimeout)
	cfg.MaxSizeResponse = or(cfg.MaxSizeResponse, DefaultMaxSizeResponse)
	cfg.EventSources = or(cfg.EventSources, DefaultEventSources)
	if cfg.Clock == nil {
		cfg.Clock = clock.System{}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{cfg: cfg, mux: http.NewServeMux(), done: make(chan struct{}), busy: map[slot]int{}}
	s.mux.HandleFunc("GET "+PathWellKnown, s.authed(s.session))
	s.mux.HandleFunc("GET "+PathSession, s.authed(s.session))
	s.mux.HandleFunc("POST "+PathAPI, s.authed(s.api))
	s.mux.HandleFunc("POST "+PathUpload, s.authed(s.upload))
	s.mux.HandleFunc("GET "+PathDownload, s.authed(s.download))
	s.mux.HandleFunc("GET "+PathEventSource, s.authed(s.eventSource))
	return s
}

func or[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

// ServeHTTP answers requests for the paths above, and 404 for others.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// Close ends the event sources that are open, so that the HTTP server can shut
// down. It may be called more than once.
func (s *Server) Close() { s.once.Do(func() { close(s.done) }) }

// enter takes one of the slots that an account has under a limit; false where
// all are taken.
func (s *Server) enter(a mohar.AccountID, limit string, max int) (leave func(), ok bool) {
	k := slot{a, limit}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy[k] >= max {
		return nil, false
	}
	s.busy[k]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.busy[k]--; s.busy[k] <= 0 {
			delete(s.busy, k)
		}
	}, true
}
