package popserver

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/base/fault"
)

// memDrop is a maildrop in memory, shared by its sessions.
type memDrop struct {
	mu      sync.Mutex
	mails   map[uint32]string
	next    uint32
	fail    map[string]error // by what fails: "login", "maildrop", "delete", "body", "tail"
	logins  []string
	deletes int
	open    int // sessions
}

func newMemDrop(mails ...string) *memDrop {
	d := &memDrop{mails: map[uint32]string{}, next: 1, fail: map[string]error{}}
	for _, m := range mails {
		d.add(m)
	}
	return d
}

func (d *memDrop) add(mail string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mails[d.next] = mail
	d.next++
}

func (d *memDrop) left() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.mails)
}

// login knows user "asha" with the password "s p".
func (d *memDrop) login(_ context.Context, c ConnInfo, authzid, user, password string) (Session, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	how := "clear"
	if c.TLS != nil {
		how = "tls"
	}
	d.logins = append(d.logins, user+" "+how)
	switch {
	case d.fail["login"] != nil:
		return nil, d.fail["login"]
	case authzid != "" && authzid != user:
		return nil, fault.New(fault.Denied, "mem", "Acting for somebody else is not offered here.")
	case user != "asha":
		return nil, fault.New(fault.NotFound, "mem", "No such account.")
	case password != "s p":
		return nil, fault.New(fault.Auth, "mem", "Wrong password.")
	}
	d.open++
	return &memSession{d: d}, nil
}

type memSession struct{ d *memDrop }

func (s *memSession) Account() string { return "asha" }

func (s *memSession) Close() {
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	s.d.open--
}

func (s *memSession) Maildrop(_ context.Context, limit int) (Maildrop, error) {
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	if err := s.d.fail["maildrop"]; err != nil {
		return Maildrop{}, err
	}
	drop := Maildrop{Validity: 7}
	for uid, m := range s.d.mails {
		drop.Messages = append(drop.Messages, Message{UID: uid, Size: int64(len(m))})
	}
	slices.SortFunc(drop.Messages, func(a, b Message) int { return int(a.UID) - int(b.UID) })
	if n := len(drop.Messages) - limit; n > 0 {
		drop.Messages = drop.Messages[n:]
	}
	return drop, nil
}

func (s *memSession) Body(_ context.Context, uid uint32) (io.Reader, error) {
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	m, ok := s.d.mails[uid]
	if !ok {
		return nil, fault.New(fault.NotFound, "mem", "No such message.")
	}
	if err := s.d.fail["body"]; err != nil {
		return nil, err
	}
	if err := s.d.fail["tail"]; err != nil {
		return io.MultiReader(strings.NewReader(m), failing{err}), nil
	}
	return strings.NewReader(m), nil
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func (s *memSession) Delete(_ context.Context, uids []uint32) error {
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	if err := s.d.fail["delete"]; err != nil {
		return err
	}
	s.d.deletes++
	for _, u := range uids {
		delete(s.d.mails, u)
	}
	return nil
}

// failures are what the directive "! fail WHAT HOW" sets.
var failures = map[string]error{
	"unavailable": fault.New(fault.Unavailable, "mem", "The store is out of reach."),
	"toomany":     fault.New(fault.TooMany, "mem", "Too many tries. Wait a little."),
	"missing":     fault.New(fault.NotFound, "mem", "There is no inbox."),
	"corrupt":     fault.New(fault.Corrupt, "mem", "The message is damaged."),
	"internal":    errors.New("private cause"),
	"nospace":     fault.New(fault.NoSpace, "mem", "The disk is full."),
	"refused": fault.Refusal("mem", &mohar.Decision{Verdict: mohar.Refuse, Reasons: []mohar.Reason{{Rule: "SIGNIN-DOOR",
		What: mohar.Text{En: "POP is not open for you.", Hi: "आपके लिए POP नहीं।"}, Advice: mohar.Text{En: "Use IMAP."}}}}),
}
