package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
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

const (
	kindHTML = "text/html; charset=utf-8"
	forever  = "public, max-age=31536000, immutable" // names of assets hold a hash of their content
)

// kindOf gives the media type of a file. The types that the pages are made of
// are fixed: the machine's own table could name a script something that nosniff
// makes a browser refuse.
func kindOf(name string) string {
	switch ext := path.Ext(name); ext {
	case ".html":
		return kindHTML
	case ".js", ".mjs":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	case ".json":
		return "application/json"
	case ".webmanifest":
		return "application/manifest+json"
	case ".woff2":
		return "font/woff2"
	default:
		if kind := mime.TypeByExtension(ext); kind != "" {
			return kind
		}
		return "application/octet-stream"
	}
}

// packed is a file as it is sent.
type packed struct {
	plain, gzipped []byte
	kind, tag      string
}

// server serves the built webmail, each file compressed once.
type server struct {
	files fs.FS
	mu    sync.Mutex
	done  map[string]*packed // at most one for each file of files
}

func files(f fs.FS) http.Handler { return &server{files: f, done: map[string]*packed{}} }

// ServeHTTP gives a file, or the application for a path that is a place in it.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	name := strings.TrimPrefix(path.Clean("/"+r.URL.Path), "/")
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
	h.Set("Content-Security-Policy", policyOf(name, p.kind))
	if strings.HasPrefix(name, "assets/") {
		h.Set("Cache-Control", forever)
	} else {
		h.Set("Cache-Control", "no-cache")
	}
	data, tag := p.plain, p.tag
	if p.gzipped != nil && takesGzip(r.Header.Get("Accept-Encoding")) {
		h.Set("Content-Encoding", "gzip")
		data, tag = p.gzipped, p.tag+"z"
	}
	h.Set("ETag", `"`+tag+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
}

// takesGzip reads an Accept-Encoding field (RFC 9110 section 12.5.3); a weight
// of zero is a no.
func takesGzip(field string) bool {
	for item := range strings.SplitSeq(field, ",") {
		coding, weight, _ := strings.Cut(item, ";")
		if !strings.EqualFold(strings.TrimSpace(coding), "gzip") {
			continue
		}
		q, found := strings.CutPrefix(strings.ReplaceAll(strings.ToLower(weight), " ", ""), "q=")
		return !found || strings.Trim(q, "0.") != ""
	}
	return false
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
	sum := sha256.Sum256(plain)
	p := &packed{plain: plain, kind: kindOf(name), tag: hex.EncodeToString(sum[:8])}
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
