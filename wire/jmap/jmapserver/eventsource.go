package jmapserver

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/wire/jmap"
)

// Bounds of the event source. RFC 8620 section 7.3 wants a minimum of at most
// 30 s and a maximum of at least 300 s.
const (
	minPing       = 5 * time.Second
	maxPing       = 900 * time.Second
	maxEventID    = 8 << 10          // octets of Last-Event-ID that are read
	maxPushTypes  = 64               // names in "types"
	writeDeadline = 30 * time.Second // for one event to leave
	reauthAfter   = 5 * time.Minute  // so long a revoked session may still hear
)

// states are the states of all types in all accounts.
type states map[jmap.ID]map[string]string

// stream is one open event source.
type stream struct {
	s     *Server
	w     http.ResponseWriter
	rc    *http.ResponseController
	p     Principal
	types map[string]bool // nil: all
	once  bool            // close after a state event
	ping  time.Duration   // 0: none
	last  states
}

// eventSource serves push (RFC 8620 section 7.3).
func (s *Server) eventSource(w http.ResponseWriter, r *http.Request, p Principal) {
	st, err := s.newStream(w, r, p)
	if err != nil {
		s.problemOf(w, r, err)
		return
	}
	leave, ok := s.enter(p.Account, "eventSources", s.cfg.EventSources)
	if !ok {
		s.problem(w, limitError("maxConcurrentRequests", http.StatusTooManyRequests))
		return
	}
	defer leave()
	changed, stop := s.cfg.Backend.Watch(p) // before States: nothing is missed in between
	defer stop()
	current, err := s.cfg.Backend.States(r.Context(), p)
	if err != nil {
		s.problemOf(w, r, err)
		return
	}
	st.last = current
	h := w.Header()
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // proxies must not hold events back
	w.WriteHeader(http.StatusOK)
	if !st.write(": open\n\n") {
		return
	}
	if id := r.Header.Get("Last-Event-ID"); id != "" {
		// A client that comes back hears at once what it missed; one whose id
		// cannot be read hears of everything.
		if sent, ok := st.send(diff(decodeEventID(id), current, st.types)); !ok || (sent && st.once) {
			return
		}
	}
	st.loop(r, changed)
}

func (s *Server) newStream(w http.ResponseWriter, r *http.Request, p Principal) (*stream, error) {
	q := r.URL.Query()
	st := &stream{s: s, w: w, rc: http.NewResponseController(w), p: p}
	bad := func(what string) error {
		return fault.New(fault.Invalid, "jmapserver.eventSource", what)
	}
	if t := q.Get("types"); t != "*" {
		names := strings.Split(t, ",")
		if t == "" || len(names) > maxPushTypes {
			return nil, bad(`"types" is "*" or a list of type names.`)
		}
		st.types = map[string]bool{}
		for _, n := range names {
			st.types[n] = true
		}
	}
	switch q.Get("closeafter") {
	case "state":
		st.once = true
	case "no":
	default:
		return nil, bad(`"closeafter" is "state" or "no".`)
	}
	n, err := strconv.ParseUint(q.Get("ping"), 10, 31)
	if err != nil {
		return nil, bad(`"ping" is a number of seconds.`)
	}
	if n > 0 {
		st.ping = min(max(time.Duration(n)*time.Second, minPing), maxPing)
	}
	return st, nil
}

// loop sends events until the client leaves, the server closes, or the
// credentials no longer hold.
func (st *stream) loop(r *http.Request, changed <-chan struct{}) {
	clk := st.s.cfg.Clock
	reauth := clk.After(reauthAfter)
	var ping <-chan time.Time
	rest := func() {
		if st.ping > 0 {
			ping = clk.After(st.ping)
		}
	}
	rest()
	for {
		select {
		case <-r.Context().Done():
			return
		case <-st.s.done:
			return
		case <-reauth:
			if _, err := st.s.cfg.Auth.Authenticate(r); err != nil {
				return
			}
			reauth = clk.After(reauthAfter)
		case <-ping:
			if !st.write(fmt.Sprintf("event: ping\ndata: {\"interval\":%d}\n\n", int(st.ping/time.Second))) {
				return
			}
			rest()
		case _, open := <-changed:
			if !open {
				return
			}
			now, err := st.s.cfg.Backend.States(r.Context(), st.p)
			if err != nil {
				st.s.cfg.Log.ErrorContext(r.Context(), "jmap push failed", "err", err)
				return // the client comes back with its Last-Event-ID
			}
			changes := diff(st.last, now, st.types)
			st.last = now
			sent, ok := st.send(changes)
			if !ok || (sent && st.once) {
				return
			}
			if sent {
				rest()
			}
		}
	}
}

// send writes a state event where there is something to tell.
func (st *stream) send(changes states) (sent, ok bool) {
	if len(changes) == 0 {
		return false, true
	}
	data, err := jmap.Marshal(jmap.StateChange{Type: "StateChange", Changed: changes})
	if err != nil {
		return false, false
	}
	return true, st.write("id: " + encodeEventID(st.last) + "\nevent: state\ndata: " + string(data) + "\n\n")
}

func (st *stream) write(s string) bool {
	// Not every writer has deadlines; without one the connection's own apply.
	_ = st.rc.SetWriteDeadline(time.Now().Add(writeDeadline))
	if _, err := st.w.Write([]byte(s)); err != nil {
		return false
	}
	return st.rc.Flush() == nil
}

// diff lists the states that are new, for the types wanted (nil: all).
func diff(old, now states, types map[string]bool) states {
	out := states{}
	for account, m := range now {
		for t, state := range m {
			if (types != nil && !types[t]) || old[account][t] == state {
				continue
			}
			if out[account] == nil {
				out[account] = map[string]string{}
			}
			out[account][t] = state
		}
	}
	return out
}

// encodeEventID puts all states into one line.
func encodeEventID(s states) string {
	raw, err := json.Marshal(s)
	if err != nil {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

// decodeEventID reads what encodeEventID wrote; nil for anything else.
func decodeEventID(id string) states {
	if len(id) > maxEventID {
		return nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(id)
	if err != nil {
		return nil
	}
	var s states
	if json.Unmarshal(raw, &s) != nil {
		return nil
	}
	return s
}
