package jmapserver

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"

	"github.com/mohar-mail/mohar/wire/jmap"
)

// stateDigits is how much of a hash stands in a session's state.
const stateDigits = 16

// session answers with the Session object (RFC 8620 section 2).
func (s *Server) session(w http.ResponseWriter, r *http.Request, p Principal) {
	accounts, err := s.cfg.Backend.Accounts(r.Context(), p)
	if err != nil {
		s.problemOf(w, r, err)
		return
	}
	sess, err := s.describe(p, accounts, s.baseURL(r))
	if err != nil {
		s.problemOf(w, r, err)
		return
	}
	w.Header().Set("Cache-Control", "no-cache, no-store, must-revalidate")
	s.writeJSON(w, r, http.StatusOK, sess)
}

// describe builds the Session. Its state does not depend on base, because the
// same account may be reached under two names.
func (s *Server) describe(p Principal, accounts map[jmap.ID]jmap.Account, base string) (*jmap.Session, error) {
	sess := &jmap.Session{
		Capabilities:    map[string]any{jmap.CapCore: s.cfg.Limits},
		Accounts:        accounts,
		PrimaryAccounts: map[string]jmap.ID{},
		Username:        p.Address,
	}
	for c, v := range s.cfg.Capabilities {
		sess.Capabilities[c] = v
	}
	for id, a := range accounts {
		if !a.IsPersonal {
			continue
		}
		for c := range a.AccountCapabilities {
			if c != jmap.CapCore {
				sess.PrimaryAccounts[c] = id
			}
		}
	}
	raw, err := jmap.Marshal(sess)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(raw)
	sess.State = hex.EncodeToString(sum[:])[:stateDigits]
	sess.APIURL = base + PathAPI
	sess.DownloadURL = base + PathDownload + "?type={type}"
	sess.UploadURL = base + PathUpload
	sess.EventSourceURL = base + PathEventSource + "?types={types}&closeafter={closeafter}&ping={ping}"
	return sess, nil
}

// baseURL gives scheme and host for the URLs of the session. A forged Host
// field only misleads its own sender: the answer is not cached.
func (s *Server) baseURL(r *http.Request) string {
	if s.cfg.PublicURL != "" {
		return s.cfg.PublicURL
	}
	if r.TLS != nil {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

// writeJSON answers with v.
func (s *Server) writeJSON(w http.ResponseWriter, r *http.Request, status int, v any) {
	body, err := jmap.Marshal(v)
	if err != nil {
		s.problemOf(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if _, err := w.Write(body); err != nil {
		s.cfg.Log.DebugContext(r.Context(), "jmap client gone", "err", err)
	}
}

// accountOf looks an account up among those of p.
func (s *Server) accountOf(ctx context.Context, p Principal, id jmap.ID) (bool, error) {
	accounts, err := s.cfg.Backend.Accounts(ctx, p)
	if err != nil {
		return false, err
	}
	_, ok := accounts[id]
	return ok, nil
}
