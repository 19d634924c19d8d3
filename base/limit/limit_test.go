package limit

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/mohar-mail/mohar/base/clock"
)

var start = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

func TestBucket(t *testing.T) {
	t.Parallel()
	c := clock.NewFake(start)
	k := NewKeyed(Rate{Burst: 3, Every: time.Minute}, 0, c)
	steps := []struct {
		ahead time.Duration
		n     int
		ok    bool
		wait  time.Duration
	}{
		{0, 1, true, 0}, {0, 2, true, 0}, {0, 1, false, time.Minute}, {0, 1, false, time.Minute},
		{30 * time.Second, 1, false, 30 * time.Second}, {30 * time.Second, 1, true, 0},
		{0, 1, false, time.Minute}, {time.Hour, 3, true, 0}, {0, 1, false, time.Minute}, {time.Hour, 4, false, time.Minute},
	}
	for i, s := range steps {
		c.Advance(s.ahead)
		if ok, wait := k.Allow("a", s.n); ok != s.ok || wait != s.wait {
			t.Errorf("step %d: %v %v, want %v %v", i, ok, wait, s.ok, s.wait)
		}
	}
	if ok, _ := k.Allow("b", 1); !ok {
		t.Error("another key is limited too")
	}
}

func TestSpendAndReady(t *testing.T) {
	t.Parallel()
	c := clock.NewFake(start)
	k := NewKeyed(Rate{Burst: 2, Every: time.Minute}, 0, c)
	for range 100 {
		k.Spend("a", 1)
	}
	if ok, wait := k.Ready("a", 1); ok || wait != 3*time.Minute {
		t.Errorf("after a debt: %v %v", ok, wait)
	}
	c.Advance(3 * time.Minute)
	for range 3 {
		if ok, _ := k.Ready("a", 1); !ok {
			t.Error("Ready takes tokens, or the debt has no bound")
		}
	}
	off := NewKeyed(Rate{}, 0, c)
	for range 10 {
		if ok, _ := off.Allow("a", 1000); !ok {
			t.Error("a rate of nothing limits")
		}
	}
}

func TestGive(t *testing.T) {
	t.Parallel()
	k := NewKeyed(Rate{Burst: 2, Every: time.Minute}, 0, clock.NewFake(start))
	for range 10 {
		if ok, _ := k.Allow("a", 1); !ok {
			t.Fatal("a token given back is gone")
		}
		k.Give("a", 1)
	}
	if k.Len() != 0 {
		t.Error("a full bucket is remembered")
	}
	k.Give("a", 5)
	k.Allow("a", 2)
	if ok, _ := k.Allow("a", 1); ok {
		t.Error("Give makes more than a full bucket")
	}
}

// TestMemory shows that invented keys neither grow the memory nor push out one
// that is over its limit.
func TestMemory(t *testing.T) {
	t.Parallel()
	const keys = 1024
	c := clock.NewFake(start)
	k := NewKeyed(Rate{Burst: 100, Every: time.Minute}, keys, c)
	for range 100 {
		k.Allow("victim", 1)
	}
	for i := range 50 * keys {
		k.Allow(fmt.Sprint("invented", i), 1)
	}
	if n := k.Len(); n > keys {
		t.Errorf("%d keys remembered, bound %d", n, keys)
	}
	if ok, _ := k.Allow("victim", 1); ok {
		t.Error("the key over its limit was forgotten")
	}
}

func TestConcurrent(t *testing.T) {
	t.Parallel()
	k := NewKeyed(Rate{Burst: 500, Every: time.Hour}, 0, clock.NewFake(start))
	var wg sync.WaitGroup
	var mu sync.Mutex
	got := 0
	for range 8 {
		wg.Go(func() {
			for range 200 {
				if ok, _ := k.Allow("a", 1); ok {
					mu.Lock()
					got++
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	if got != 500 {
		t.Errorf("%d allowed, want 500", got)
	}
}

func TestNetwork(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"192.0.2.7": "192.0.2.7/32", "::ffff:192.0.2.7": "192.0.2.7/32",
		"2001:db8:1:2ff::1": "2001:db8:1:200::/56", "fe80::1%eth0": "fe80::/56",
	} {
		if got := Network(netip.MustParseAddr(in)); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
	if got := Network(netip.Addr{}); got != "unknown" {
		t.Errorf("no address: %s", got)
	}
}
