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
	// added is the lowest due time that was added since the look under way began,
	// which that look may have missed; zero when nothing was.
	added time.Time
}

func newFloors() *floors { return &floors{at: map[floorKey]*floor{}} }

func (f *floors) get(lane int, c Class) *floor {
	k := floorKey{lane, c}
	if f.at[k] == nil {
		f.at[k] = &floor{}
	}
	return f.at[k]
}

// from gives where a look begins. Looks of one lane and class follow each other.
func (f *floors) from(lane int, c Class, now time.Time) time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	x := f.get(lane, c)
	x.added = time.Time{}
	if x.low.IsZero() || now.Sub(x.scanned) >= rescan || now.Before(x.scanned) {
		x.scanned, x.low = now, time.Time{}
	}
	return x.low
}

// raise notes that nothing is due below a time, as the look under way has seen.
func (f *floors) raise(lane int, c Class, to time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	x := f.get(lane, c)
	if !x.added.IsZero() && x.added.Before(to) {
		to = x.added
	}
	if to.After(x.low) {
		x.low = to
	}
}

// lower notes that something was made due at a time; zero means at any.
func (f *floors) lower(lane int, c Class, due time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	x := f.get(lane, c)
	if due.IsZero() {
		due = time.Unix(0, 0)
	}
	if x.added.IsZero() || due.Before(x.added) {
		x.added = due
	}
	if due.Before(x.low) {
		x.low = due
	}
}
