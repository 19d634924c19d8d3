package queue

import (
	"sync"
	"time"
)

// rescan is how often a look at what is due begins at the beginning. It finds
// what another node has added without this one's knowledge.
const rescan = 30 * time.Second

// floors remembers for each lane and class a time below which nothing is due.
// Finished work leaves deleted keys at the low end of the due index; an engine
// that must step over them on each look would spend more time there than on the
// mail. A floor is a hint: whatever is added below it lowers it.
type floors struct {
	mu sync.Mutex
	at map[floorKey]*floor
}

type floorKey struct {
	lane  int
	class Class
}

type floor struct {
	low     time.Time
	scanned time.Time // when a look last began at the beginning
	lowered uint64    // counts lower calls, so that a look under way does not undo one
	seen    uint64    // lowered, when the look under way began
}

func newFloors() *floors { return &floors{at: map[floorKey]*floor{}} }

func (f *floors) get(lane int, c Class) *floor {
	k := floorKey{lane, c}
	if f.at[k] == nil {
		f.at[k] = &floor{}
	}
	return f.at[k]
}

// from gives where a look begins.
func (f *floors) from(lane int, c Class, now time.Time) time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	x := f.get(lane, c)
	x.seen = x.lowered
	if x.low.IsZero() || now.Sub(x.scanned) >= rescan || now.Before(x.scanned) {
		x.scanned, x.low = now, time.Time{}
	}
	return x.low
}

// raise notes that a look which began at from found nothing below lowest.
func (f *floors) raise(lane int, c Class, from, lowest time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if x := f.get(lane, c); x.low.Equal(from) && x.seen == x.lowered && lowest.After(from) {
		x.low = lowest
	}
}

// lower notes that something was made due at a time; zero means at any.
func (f *floors) lower(lane int, c Class, due time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	x := f.get(lane, c)
	x.lowered++
	if due.Before(x.low) {
		x.low = due
	}
}
