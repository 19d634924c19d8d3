package relay

import (
	"sync"
	"time"

	"github.com/mohar-mail/mohar/base/clock"
)

// maxIdle bounds the idle connections to all hosts together.
const maxIdle = 500

// session is a Peer with its age in messages.
type session struct {
	peer  Peer
	key   string
	used  int
	since time.Time // idle since
}

// pool keeps sessions that may carry another message. The limit on connections
// to a destination is that of its workers; the pool only bounds idle ones.
type pool struct {
	clock   clock.Clock
	idle    time.Duration
	perHost int

	mu     sync.Mutex
	byKey  map[string][]*session // the one used last at the end
	total  int
	closed bool
}

func newPool(c clock.Clock, idle time.Duration, perHost int) *pool {
	return &pool{clock: c, idle: idle, perHost: perHost, byKey: make(map[string][]*session)}
}

// take gives an idle session, nil where there is none.
func (p *pool) take(key string) *session {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := p.byKey[key]
	if len(list) == 0 {
		return nil
	}
	s := list[len(list)-1]
	if p.clock.Now().Sub(s.since) >= p.idle {
		return nil // expire closes it
	}
	p.set(key, list[:len(list)-1])
	p.total--
	return s
}

// put keeps a session for later, or closes it.
func (p *pool) put(s *session, limit int) {
	p.mu.Lock()
	if p.closed || s.used >= limit || len(p.byKey[s.key]) >= p.perHost || p.total >= maxIdle {
		p.mu.Unlock()
		s.peer.Close()
		return
	}
	s.since = p.clock.Now()
	p.byKey[s.key] = append(p.byKey[s.key], s)
	p.total++
	p.mu.Unlock()
}

func (p *pool) set(key string, list []*session) {
	if len(list) == 0 {
		delete(p.byKey, key)
		return
	}
	p.byKey[key] = list
}

// expire closes sessions that have been idle too long.
func (p *pool) expire() {
	now := p.clock.Now()
	var old []*session
	p.mu.Lock()
	for key, list := range p.byKey {
		n := 0
		for n < len(list) && now.Sub(list[n].since) >= p.idle {
			n++
		}
		old = append(old, list[:n]...)
		p.total -= n
		p.set(key, list[n:])
	}
	p.mu.Unlock()
	for _, s := range old {
		s.peer.Close()
	}
}

// close closes all, and every session that comes back later.
func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	all := p.byKey
	p.byKey = make(map[string][]*session)
	p.total = 0
	p.mu.Unlock()
	for _, list := range all {
		for _, s := range list {
			s.peer.Close()
		}
	}
}
