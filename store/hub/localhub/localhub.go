// Package localhub is the hub of a server that is alone.
//
// Owns:      the subscriptions of this process.
// Trusts:    nobody to read quickly.
// May touch: memory only.
package localhub

import (
	"hash/maphash"
	"sync"

	"github.com/mohar-mail/mohar/store/hub"
)

// shards is into how many parts the topics are divided, each with a lock, so
// that deliveries to many accounts do not meet at one.
const shards = 64

// local is the backend.
type local struct {
	seed  maphash.Seed
	parts [shards]part
}

// part is the subscriptions of the topics that hash to it.
type part struct {
	mu     sync.Mutex
	subs   map[hub.Topic][]*hub.Subscription
	closed bool
}

// New makes a hub without subscribers.
func New() hub.Hub {
	l := &local{seed: maphash.MakeSeed()}
	for i := range l.parts {
		l.parts[i].subs = make(map[hub.Topic][]*hub.Subscription)
	}
	return l
}

func (l *local) part(t hub.Topic) *part {
	return &l.parts[maphash.String(l.seed, string(t))%shards]
}

// Publish announces e to those who watch its topic.
func (l *local) Publish(e hub.Event) {
	p := l.part(e.Topic)
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.subs[e.Topic] {
		s.Notify(e.State)
	}
}

// Subscribe watches topic.
func (l *local) Subscribe(topic hub.Topic) *hub.Subscription {
	p := l.part(topic)
	s := hub.NewSubscription(topic, p.drop)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		s.End()
		return s
	}
	p.subs[topic] = append(p.subs[topic], s)
	return s
}

// drop forgets a subscription that has ended.
func (p *part) drop(s *hub.Subscription) {
	p.mu.Lock()
	defer p.mu.Unlock()
	subs := p.subs[s.Topic()]
	for i, other := range subs {
		if other != s {
			continue
		}
		last := len(subs) - 1
		subs[i], subs[last] = subs[last], nil
		if p.subs[s.Topic()] = subs[:last]; last == 0 {
			delete(p.subs, s.Topic())
		}
		return
	}
}

// Close ends all subscriptions.
func (l *local) Close() {
	for i := range l.parts {
		p := &l.parts[i]
		p.mu.Lock()
		p.closed = true
		for _, subs := range p.subs {
			for _, s := range subs {
				s.End()
			}
		}
		p.subs = nil
		p.mu.Unlock()
	}
}
