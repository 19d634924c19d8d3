package jmapserver

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/mohar-mail/mohar/base/clock"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/wire/jmap"
)

const (
	capNote  = "urn:example:note"
	capOther = "urn:example:other"
)

// memory is a backend with one type, Note: a text and a link to another Note.
type memory struct {
	mu      sync.Mutex
	notes   map[jmap.ID]note
	blobs   map[jmap.ID][]byte
	state   int
	last    int
	watch   map[chan struct{}]bool
	blocked chan struct{} // Note/block waits for it
	inside  chan struct{} // and tells here that it does
	revoked atomic.Bool   // no credentials hold any more
}

type note struct {
	ID   jmap.ID `json:"id"`
	Text string  `json:"text"`
	Next jmap.ID `json:"next,omitempty"`
}

func newTestServer() (*Server, *memory) { return newTestServerAt(clock.System{}) }

func newTestServerAt(c clock.Clock) (*Server, *memory) {
	m := &memory{notes: map[jmap.ID]note{}, blobs: map[jmap.ID][]byte{}, watch: map[chan struct{}]bool{},
		blocked: make(chan struct{}), inside: make(chan struct{}, 16)}
	limits := DefaultLimits()
	limits.MaxSizeRequest, limits.MaxCallsInRequest, limits.MaxObjectsInGet, limits.MaxObjectsInSet = 2000, 4, 3, 3
	limits.MaxSizeUpload, limits.MaxConcurrentRequests, limits.MaxConcurrentUpload = 100, 2, 1
	return New(Config{
		Auth: passwords{&m.revoked}, Backend: m, Clock: c, Limits: limits, MaxSizeResponse: 3000, EventSources: 2,
		Capabilities: map[string]any{capNote: struct{}{}, capOther: struct{}{}},
		Methods: Methods{
			"Note/get":   {Capability: capNote, Do: m.get},
			"Note/set":   {Capability: capNote, Writes: true, Do: m.set},
			"Note/block": {Capability: capNote, Do: m.block},
			"Note/fail":  {Capability: capNote, Do: m.fail},
			"Other/get":  {Capability: capOther, Do: m.get},
		},
	}), m
}

// passwords lets "u" in with "secret", and anyone with the cookie, until revoked.
type passwords struct{ revoked *atomic.Bool }

func (a passwords) Authenticate(r *http.Request) (Principal, error) {
	if a.revoked.Load() {
		return Principal{}, fault.New(fault.Auth, "test", "Wrong name or password.")
	}
	p := Principal{Account: "a1", Address: "u@mail.example", Name: "U"}
	if c, err := r.Cookie("session"); err == nil && c.Value == "good" {
		p.ByCookie = true
		return p, nil
	}
	if u, pw, ok := r.BasicAuth(); ok && u == "u" && pw == "secret" {
		return p, nil
	}
	if u, _, _ := r.BasicAuth(); u == "busy" {
		return p, fault.New(fault.TooMany, "test", "Too many attempts.")
	}
	return p, fault.New(fault.Auth, "test", "Wrong name or password.")
}

func (m *memory) Accounts(context.Context, Principal) (map[jmap.ID]jmap.Account, error) {
	return map[jmap.ID]jmap.Account{
		"a1": {Name: "u@mail.example", IsPersonal: true, AccountCapabilities: map[string]any{capNote: struct{}{}}},
		"a2": {Name: "read only", IsReadOnly: true, AccountCapabilities: map[string]any{capNote: struct{}{}}},
	}, nil
}

func (m *memory) States(context.Context, Principal) (map[jmap.ID]map[string]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return map[jmap.ID]map[string]string{"a1": {"Note": strconv.Itoa(m.state), "Other": "0"}}, nil
}

func (m *memory) Watch(Principal) (<-chan struct{}, func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := make(chan struct{}, 1)
	m.watch[c] = true
	return c, func() { m.mu.Lock(); defer m.mu.Unlock(); delete(m.watch, c) }
}

func (m *memory) change() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.state++
	for c := range m.watch {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

func (m *memory) Upload(_ context.Context, _ Principal, _ jmap.ID, r io.Reader) (jmap.ID, int64, error) {
	data, err := io.ReadAll(r)
	if err != nil {
		return "", 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	id := jmap.ID(fmt.Sprintf("U%d", len(m.blobs)+1))
	m.blobs[id] = data
	return id, int64(len(data)), nil
}

func (m *memory) Download(_ context.Context, _ Principal, _, id jmap.ID) (*Blob, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	data, ok := m.blobs[id]
	if !ok {
		return nil, fault.New(fault.NotFound, "test", "There is no such file.")
	}
	return &Blob{Content: bytes.NewReader(data), Size: int64(len(data)), Close: func() {}}, nil
}

func (m *memory) get(_ context.Context, c *Call) (any, error) {
	g, err := jmap.ReadGetArgs(c.Args, c.Limits.MaxObjectsInGet)
	if err != nil {
		return nil, err
	}
	if err := c.Args.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	r := jmap.GetResponse{AccountID: g.AccountID, State: strconv.Itoa(m.state), List: []any{}, NotFound: []jmap.ID{}}
	if g.All {
		for id := range m.notes {
			g.IDs = append(g.IDs, id)
		}
		slices.Sort(g.IDs)
	}
	for _, id := range g.IDs {
		if n, ok := m.notes[id]; ok {
			r.List = append(r.List, n)
		} else {
			r.NotFound = append(r.NotFound, id)
		}
	}
	return r, nil
}

func (m *memory) set(_ context.Context, c *Call) (any, error) {
	s, err := jmap.ReadSetArgs(c.Args, c.Limits.MaxObjectsInSet)
	if err != nil {
		return nil, err
	}
	then := c.Args.Bool("thenGet", false)
	if err := c.Args.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	r := &jmap.SetResponse{AccountID: s.AccountID, OldState: strconv.Itoa(m.state)}
	for cid, raw := range s.Create {
		a, err := jmap.NewArgs(raw)
		if err != nil {
			m.mu.Unlock()
			return nil, err
		}
		m.last++
		n := note{ID: jmap.ID(fmt.Sprintf("n%d", m.last)), Text: a.String("text")}
		ok := true
		if next := a.OptString("next"); next != nil {
			n.Next, ok = c.Resolve(*next)
		}
		if a.Err() != nil || !ok {
			r.FailCreate(jmap.ID(cid), jmap.BadProperty("Wrong.", "text"))
			continue
		}
		m.notes[n.ID] = n
		c.Created(jmap.ID(cid), n.ID)
		r.DidCreate(jmap.ID(cid), map[string]any{"id": n.ID})
	}
	for _, ref := range s.Destroy {
		id, ok := c.Resolve(ref)
		if _, there := m.notes[id]; !ok || !there {
			r.FailDestroy(jmap.ID(ref), fault.New(fault.NotFound, "test", "There is no such note."))
			continue
		}
		delete(m.notes, id)
		r.DidDestroy(id)
	}
	m.mu.Unlock()
	m.change()
	m.mu.Lock()
	defer m.mu.Unlock()
	r.NewState = strconv.Itoa(m.state)
	if then {
		return r, c.Then("Note/get", map[string]any{"accountId": s.AccountID})
	}
	return r, nil
}

func (m *memory) block(ctx context.Context, c *Call) (any, error) {
	m.inside <- struct{}{}
	select {
	case <-m.blocked:
	case <-ctx.Done():
	}
	return map[string]string{}, nil
}

func (m *memory) fail(_ context.Context, c *Call) (any, error) {
	switch how := c.Args.String("how"); how {
	case "internal":
		return nil, fmt.Errorf("a secret detail")
	case "large":
		return strings.Repeat("x", 5000), nil
	default:
		for k := fault.Internal; k <= fault.Unsupported; k++ {
			if k.String() == how {
				return nil, fault.Wrap(fmt.Errorf("a secret detail"), k, "test", "A public line.")
			}
		}
		return nil, c.Args.Err()
	}
}
