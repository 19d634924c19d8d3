// Package hubtest is the suite that every backend of hub passes.
//
// Owns:      nothing.
// Trusts:    the network under test to lose nothing while the suite runs.
// May touch: the backend under test.
package hubtest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/mohar-mail/mohar/store/hub"
)

// patience is how long an event may take before the test fails. It is no
// measure: a backend that works is done long before.
const patience = 20 * time.Second

// Run tests the hub that open makes; the suite closes it.
func Run(t *testing.T, open func() hub.Hub) {
	for name, run := range map[string]func(*testing.T, hub.Hub){
		"Deliver": testDeliver, "Coalesce": testCoalesce, "Topics": testTopics, "CloseSubscription": testCloseSubscription,
		"CloseHub": testCloseHub, "LastState": testLastState, "Churn": testChurn, "Many": testMany,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := open()
			defer h.Close()
			run(t, h)
		})
	}
}

// take waits for an event, and fails the test if C is closed instead.
func take(t *testing.T, s *hub.Subscription) {
	t.Helper()
	select {
	case _, ok := <-s.C():
		if !ok {
			t.Fatal("the subscription has ended")
		}
	case <-time.After(patience):
		t.Fatal("no event")
	}
}

// takeState takes events until state is announced.
func takeState(t *testing.T, s *hub.Subscription, state uint64) {
	t.Helper()
	for s.State() < state {
		take(t, s)
	}
	if s.State() != state {
		t.Errorf("state %d, want %d", s.State(), state)
	}
}

func ended(t *testing.T, s *hub.Subscription) {
	t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case _, ok := <-s.C():
			if !ok {
				return
			}
		case <-timeout:
			t.Fatal("the subscription has not ended")
		}
	}
}

func testDeliver(t *testing.T, h hub.Hub) {
	a, b := h.Subscribe("x"), h.Subscribe("x")
	if a.Topic() != "x" || a.State() != 0 {
		t.Errorf("new subscription: topic %q, state %d", a.Topic(), a.State())
	}
	for state := uint64(1); state < 5; state++ {
		h.Publish(hub.Event{Topic: "x", State: state})
		takeState(t, a, state)
		takeState(t, b, state)
	}
}

// testCoalesce: nobody reads, and the publisher is not held up.
func testCoalesce(t *testing.T, h hub.Hub) {
	s := h.Subscribe("x")
	const events = 10_000
	for i := range events {
		h.Publish(hub.Event{Topic: "x", State: uint64(i)})
	}
	takeState(t, s, events-1)
	h.Publish(hub.Event{Topic: "x", State: 3}) // late, out of order: a hint all the same
	take(t, s)
	if s.State() != events-1 {
		t.Errorf("state fell to %d", s.State())
	}
}

func testTopics(t *testing.T, h hub.Hub) {
	if hub.Account("a") == hub.Account("b") || hub.Account("a") == "a" {
		t.Error("topics of accounts are not apart")
	}
	mine, other, longer := h.Subscribe(hub.Account("a")), h.Subscribe(hub.Account("b")), h.Subscribe(hub.Account("a")+"/x")
	h.Publish(hub.Event{Topic: "nobody listens", State: 1})
	h.Publish(hub.Event{Topic: hub.Account("a"), State: 7})
	takeState(t, mine, 7)
	// Events of one publisher keep their order, so these come after a stray one.
	h.Publish(hub.Event{Topic: other.Topic(), State: 1})
	h.Publish(hub.Event{Topic: longer.Topic(), State: 2})
	takeState(t, other, 1)
	takeState(t, longer, 2)
}

func testCloseSubscription(t *testing.T, h hub.Hub) {
	a, b := h.Subscribe("x"), h.Subscribe("x")
	a.Close()
	a.Close()
	ended(t, a)
	h.Publish(hub.Event{Topic: "x", State: 1})
	takeState(t, b, 1)
	if a.State() != 0 {
		t.Error("a closed subscription was told")
	}
}

func testCloseHub(t *testing.T, h hub.Hub) {
	s := h.Subscribe("x")
	h.Close()
	ended(t, s)
	s.Close()
	ended(t, h.Subscribe("x"))
	h.Publish(hub.Event{Topic: "x"})
	h.Close()
}

// testLastState: however publisher and subscriber meet, the last event is seen.
func testLastState(t *testing.T, h hub.Hub) {
	const events = 2000
	var wg sync.WaitGroup
	for i := range 4 {
		s := h.Subscribe(hub.Topic(fmt.Sprint(i)))
		wg.Go(func() {
			for i := range events {
				h.Publish(hub.Event{Topic: s.Topic(), State: uint64(i + 1)})
			}
		})
		wg.Go(func() {
			timeout := time.After(patience)
			for s.State() < events {
				select {
				case <-s.C():
				case <-timeout:
					t.Errorf("stuck at state %d", s.State())
					return
				}
			}
		})
	}
	wg.Wait()
}

// testChurn: subscribing, closing and publishing at once; who stays is told.
func testChurn(t *testing.T, h hub.Hub) {
	stays := h.Subscribe("x")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 200 {
				s := h.Subscribe("x")
				h.Publish(hub.Event{Topic: "x", State: uint64(i)})
				s.Close()
			}
		})
	}
	wg.Wait()
	h.Publish(hub.Event{Topic: "x", State: 1000})
	takeState(t, stays, 1000)
}

func testMany(t *testing.T, h hub.Hub) {
	subs := make([]*hub.Subscription, 20_000)
	for i := range subs {
		subs[i] = h.Subscribe(hub.Topic(fmt.Sprintf("t%d", i)))
	}
	for i, s := range subs {
		if i%3 == 0 {
			h.Publish(hub.Event{Topic: s.Topic(), State: uint64(i + 1)})
		}
	}
	for i, s := range subs {
		if i%3 == 0 {
			takeState(t, s, uint64(i+1))
		} else if s.State() != 0 {
			t.Errorf("subscriber %d was told of another's event", i)
		}
	}
}
