// Package hub tells those who wait that something has changed.
//
// Owns:      nothing; backends own their connections.
// Trusts:    nobody: an event is a hint, never truth.
// May touch: nothing; backends touch memory or the network.
//
// A publisher says that a topic has changed, after its commit. A subscriber
// learns that it should look, and looks in the store, where the truth is.
// Events of one topic melt into one until the subscriber has taken it, so that a
// slow one loses repeats but never the fact, and a publisher never waits. A
// network may lose an event altogether: whoever must not miss anything also
// looks from time to time, and once after subscribing.
package hub

import (
	"sync"

	mohar "github.com/mohar-mail/mohar"
)

// Topic names what is watched: an account, a lane of the queue, the log. Two
// rooms share no prefix.
type Topic string

// Account is the topic of one account's mail.
func Account(id mohar.AccountID) Topic { return Topic("account/" + id) }

// Event says that Topic has changed. State is a hint how far: of several events
// that melted into one, the highest. For an account it is the version of its
// shard; 0 where there is nothing to say.
type Event struct {
	Topic Topic
	State uint64
}

// Hub is a backend. It is safe for concurrent use.
type Hub interface {
	// Publish announces e. It does not block and cannot fail: hints may be lost.
	Publish(e Event)
	// Subscribe watches topic from now on, until the Subscription is closed.
	Subscribe(topic Topic) *Subscription
	// Close ends all subscriptions, whose channels are closed. Publish does
	// nothing after it, and Subscribe gives subscriptions that have ended.
	Close()
}

// Subscription is one watch on one topic. Backends make it with
// NewSubscription.
type Subscription struct {
	topic Topic
	c     chan struct{}
	end   func(*Subscription)

	mu    sync.Mutex
	state uint64
	ended bool
}

// NewSubscription makes a Subscription for a backend; end is called once, by
// Close, unless the hub has ended it before.
func NewSubscription(topic Topic, end func(*Subscription)) *Subscription {
	return &Subscription{topic: topic, c: make(chan struct{}, 1), end: end}
}

// Topic is what is watched.
func (s *Subscription) Topic() Topic { return s.topic }

// C receives once after one or more events, and is closed when the subscription
// has ended.
func (s *Subscription) C() <-chan struct{} { return s.c }

// State is the highest state announced so far; 0 before the first.
func (s *Subscription) State() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// Close ends the watch and closes C. It may be called more than once.
func (s *Subscription) Close() {
	if s.End() && s.end != nil {
		s.end(s)
	}
}

// Notify is for backends: it hands an event to the subscriber and never blocks.
func (s *Subscription) Notify(state uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	s.state = max(s.state, state)
	select {
	case s.c <- struct{}{}:
	default: // the subscriber has not yet taken the last one, and will see this state with it
	}
}

// End is for backends: it closes C, and says whether it was open.
func (s *Subscription) End() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return false
	}
	s.ended = true
	close(s.c)
	return true
}
