package web

import (
	"bytes"
	"compress/gzip"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/mohar-mail/mohar/base/fault"
)

// The policies of what pages may load. The application runs only its own files.
// A letter's HTML is put into a frame document of its own, which may run nothing
// at all; the application writes the cleaned text into it.
const (
	appPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; " +
		"connect-src 'self'; font-src 'self'; frame-src 'self'; manifest-src 'self'; worker-src 'self'; " +
		"base-uri 'none'; form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types default dompurify mohar"
	framePolicy = "default-src 'none'; style-src 'unsafe-inline'; img-src data: blob:; font-src 'none'; " +
		"base-uri 'none'; form-action 'none'; frame-ancestors 'self'; sandbox allow-same-origin allow-popups allow-popups-to-escape-sandbox"
	// remotePolicy also shows images of other hosts, when the reader asked for them.
	remotePolicy = "default-src 'none'; style-src 'unsafe-inline'; img-src data: blob: https:; font-src 'none'; " +
		"base-uri 'none'; form-action 'none'; frame-ancestors 'self'; sandbox allow-same-origin allow-popups allow-popups-to-escape-sandbox"
	forever = "public, max-age=31536000, immutable" // names of assets hold a hash of their content
)

var policies = map[string]string{"mailframe.html": framePolicy, "mailframe-remote.html": remotePolicy}

// secured adds what every answer of the door carries.
func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		if r.TLS != nil {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		next.ServeHTTP(w, r)
	})
}

// packed is a file as it is sent.
type packed struct {
	plain, gzipped []byte
	kind           string
}

// server serves the built webmail, each file compressed once.
type server struct {
	files fs.FS
	mu    sync.Mutex
	done  map[string]*packed
}

func files(f fs.FS) http.Handler { return &server{files: f, done: map[string]*packed{}} }

// ServeHTTP gives a file, or the application for a path that is a place in it.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	name := strings.TrimPrefix(path.Clean(r.URL.Path), "/")
	p, err := s.file(name)
	if err != nil && path.Ext(name) == "" {
		name = "index.html"
		p, err = s.file(name)
	}
	if err != nil {
		fail(w, fault.Wrap(err, fault.NotFound, "web.files", "There is no such page."))
		return
	}
	h := w.Header()
	h.Set("Content-Type", p.kind)
	h.Set("Vary", "Accept-Encoding")
	if strings.HasPrefix(name, "assets/") {
		h.Set("Cache-Control", forever)
	} else {
		h.Set("Cache-Control", "no-cache")
	}
	if strings.HasPrefix(p.kind, "text/html") {
		policy, ok := policies[name]
		if !ok {
			policy = appPolicy
		}
		h.Set("Content-Security-Policy", policy)
	}
	data := p.plain
	if p.gzipped != nil && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		data = p.gzipped
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
}

func (s *server) file(name string) (*packed, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p, ok := s.done[name]; ok {
		return p, nil
	}
	if name == "" || strings.HasPrefix(path.Base(name), ".") {
		return nil, fs.ErrNotExist
	}
	f, err := s.files.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || st.IsDir() {
		return nil, fs.ErrNotExist
	}
	plain, err := io.ReadAll(f)
	if err != nil {
		return nil, err
	}
	p := &packed{plain: plain, kind: mime.TypeByExtension(path.Ext(name))}
	if p.kind == "" {
		p.kind = "application/octet-stream"
	}
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := z.Write(plain); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	if b.Len() < len(plain)*9/10 {
		p.gzipped = b.Bytes()
	}
	s.done[name] = p
	return p, nil
}
