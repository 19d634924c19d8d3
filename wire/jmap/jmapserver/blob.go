package jmapserver

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/wire/jmap"
)

// uploaded is the answer to an upload (RFC 8620 section 6.1).
type uploaded struct {
	AccountID jmap.ID `json:"accountId"`
	BlobID    jmap.ID `json:"blobId"`
	Type      string  `json:"type"`
	Size      int64   `json:"size"`
}

// upload keeps a file (RFC 8620 section 6.1).
func (s *Server) upload(w http.ResponseWriter, r *http.Request, p Principal) {
	leave, ok := s.enter(p.Account, "maxConcurrentUpload", s.cfg.Limits.MaxConcurrentUpload)
	if !ok {
		s.problem(w, limitError("maxConcurrentUpload", http.StatusTooManyRequests))
		return
	}
	defer leave()
	ctx, cancel := context.WithTimeout(r.Context(), s.cfg.UploadTimeout)
	defer cancel()
	account := jmap.ID(r.PathValue("accountId"))
	known, err := s.accountOf(ctx, p, account)
	if err == nil && !known {
		err = fault.New(fault.NotFound, "jmapserver.upload", "There is no such account.")
	}
	if err == nil && r.ContentLength > s.cfg.Limits.MaxSizeUpload {
		err = limitError("maxSizeUpload", http.StatusRequestEntityTooLarge)
	}
	if err != nil {
		s.problemOf(w, r, err)
		return
	}
	body := http.MaxBytesReader(w, r.Body, s.cfg.Limits.MaxSizeUpload)
	id, size, err := s.cfg.Backend.Upload(ctx, p, account, body)
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		err = limitError("maxSizeUpload", http.StatusRequestEntityTooLarge)
	}
	if err != nil {
		s.problemOf(w, r, err)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	s.writeJSON(w, r, http.StatusCreated, uploaded{account, id, mediaType(r.Header.Get("Content-Type")), size})
}

// mediaType gives a type as it may stand in a header field, with a charset at
// most; application/octet-stream for anything else.
func mediaType(s string) string {
	t, params, err := mime.ParseMediaType(s)
	if err != nil || !strings.Contains(t, "/") {
		return "application/octet-stream"
	}
	keep := map[string]string{}
	if c := params["charset"]; c != "" {
		keep["charset"] = c
	}
	if f := mime.FormatMediaType(t, keep); f != "" {
		return f
	}
	return "application/octet-stream"
}

// download sends a blob (RFC 8620 section 6.2). Whatever the sender of a mail
// put into it, the browser must not run it as a page of ours: it is always an
// attachment, never sniffed, and sandboxed should it be shown after all.
func (s *Server) download(w http.ResponseWriter, r *http.Request, p Principal) {
	account, id := jmap.ID(r.PathValue("accountId")), jmap.ID(r.PathValue("blobId"))
	known, err := s.accountOf(r.Context(), p, account)
	if err == nil && (!known || !id.Valid()) {
		err = fault.New(fault.NotFound, "jmapserver.download", "There is no such file.")
	}
	if err != nil {
		s.problemOf(w, r, err)
		return
	}
	b, err := s.cfg.Backend.Download(r.Context(), p, account, id)
	if err != nil {
		s.problemOf(w, r, err)
		return
	}
	defer b.Close()
	h := w.Header()
	h.Set("Content-Type", mediaType(r.URL.Query().Get("type")))
	h.Set("Content-Disposition", disposition(r.PathValue("name")))
	h.Set("Content-Security-Policy", "sandbox; default-src 'none'")
	h.Set("Cache-Control", "private, immutable, max-age=31536000")
	h.Set("ETag", `"`+string(id)+`"`)
	http.ServeContent(w, r, "", time.Time{}, io.NewSectionReader(b.Content, 0, b.Size))
}

// disposition names the file as the client asked (RFC 6266), without what could
// leave its directory or end the header line.
func disposition(name string) string {
	name = strings.Map(func(c rune) rune {
		if c < 0x20 || c == 0x7f || c == '/' || c == '\\' {
			return '_'
		}
		return c
	}, name)
	if d := mime.FormatMediaType("attachment", map[string]string{"filename": name}); d != "" {
		return d
	}
	return "attachment"
}
