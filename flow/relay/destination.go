package relay

import (
	"context"
	"time"

	"github.com/mohar-mail/mohar/queue"
)

const (
	// downTime is how long a destination that no host of answered is left alone:
	// ten thousand messages must not each wait for the same timeout.
	downTime = time.Minute
)

// job is the recipients of one message at one destination.
type job struct {
	item   *queue.Item
	rcpts  []*queue.Recipient
	leases []queue.Lease // of rcpts, in their order
	dest   string
	domain string // A-label; "" with a fixed route that takes all
	fixed  string // "host:port" instead of the domain's own hosts
}

// destination is a domain, or a fixed route, with the jobs for it. All fields
// are guarded by Relay.mu.
type destination struct {
	waiting []*job
	active  int
	room    chan struct{} // closed and renewed when a job leaves waiting

	downUntil time.Time
	down      outcome // why
}

// routeOf gives the domain to look up, or the fixed route that takes its place.
func (r *Relay) routeOf(domain string) (string, string) {
	if f, ok := r.cfg.Routes[domain]; ok {
		return domain, f
	}
	return domain, r.cfg.Relay
}

// destKey names the destination: all domains behind one fixed route are one, and
// share its connections and its transactions.
func destKey(domain, fixed string) string {
	if fixed != "" {
		return "route " + fixed
	}
	return domain
}

// submit gives a job to its destination. It is false when there was no room for
// it in time; its leases then run out and it is due again.
func (r *Relay) submit(ctx context.Context, j *job) bool {
	select {
	case r.room <- struct{}{}:
	case <-ctx.Done():
		return false
	}
	var giveUp <-chan time.Time
	for {
		r.mu.Lock()
		d := r.dests[j.dest]
		if d == nil {
			d = &destination{room: make(chan struct{})}
			r.dests[j.dest] = d
		}
		if len(d.waiting) < maxWaiting {
			d.waiting = append(d.waiting, j)
			if d.active < r.cfg.PerDestination {
				d.active++
				r.jobs.Add(1)
				go r.work(ctx, d)
			}
			r.mu.Unlock()
			return true
		}
		room := d.room
		r.mu.Unlock()
		if giveUp == nil {
			giveUp = r.cfg.Clock.After(waitForRoom)
		}
		select {
		case <-room:
		case <-giveUp:
			<-r.room
			return false
		case <-ctx.Done():
			<-r.room
			return false
		}
	}
}

// work does the jobs of a destination until none waits.
func (r *Relay) work(ctx context.Context, d *destination) {
	defer r.jobs.Done()
	for {
		r.mu.Lock()
		if len(d.waiting) == 0 {
			d.active--
			r.mu.Unlock()
			return
		}
		j := d.waiting[0]
		d.waiting = d.waiting[1:]
		close(d.room)
		d.room = make(chan struct{})
		r.mu.Unlock()
		r.do(ctx, d, j)
		<-r.room
	}
}

// do makes one attempt and records what came of it.
func (r *Relay) do(ctx context.Context, d *destination, j *job) {
	now := r.cfg.Clock.Now()
	for _, l := range j.leases {
		if l.Until.Sub(now) < leaseMargin {
			return // too late for this lease: the next one will do it
		}
	}
	if ctx.Err() != nil {
		return
	}
	outcomes := r.whileDown(d, j, now)
	if outcomes == nil {
		attempt, cancel := context.WithTimeout(ctx, attemptTime)
		outcomes = r.attempt(attempt, j)
		cancel()
		if ctx.Err() == nil {
			r.noteDown(d, outcomes)
		} else {
			interrupted(outcomes)
		}
	}
	// A stop must not lose what the peer has already taken: the record is made
	// even though ctx has ended.
	if err := r.settle(context.WithoutCancel(ctx), j, outcomes); err != nil {
		r.cfg.Log.Error("relay: record", "item", j.item.ID.String(), "err", err)
	}
}

// whileDown gives the outcomes of a job for a destination known to be down, nil
// when it may be tried.
func (r *Relay) whileDown(d *destination, j *job, now time.Time) []outcome {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !now.Before(d.downUntil) {
		return nil
	}
	return allOf(j, d.down)
}

// noteDown remembers that no host of a destination could be reached, or forgets
// it.
func (r *Relay) noteDown(d *destination, outcomes []outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(outcomes) == 0 || !outcomes[0].unreachable {
		d.downUntil = time.Time{}
		return
	}
	d.downUntil, d.down = r.cfg.Clock.Now().Add(downTime), outcomes[0]
}

// forget drops destinations that have nothing to do and nothing to remember.
func (r *Relay) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.cfg.Clock.Now()
	for k, d := range r.dests {
		if d.active == 0 && len(d.waiting) == 0 && !now.Before(d.downUntil) {
			delete(r.dests, k)
		}
	}
}

func allOf(j *job, o outcome) []outcome {
	out := make([]outcome, len(j.rcpts))
	for i := range out {
		out[i] = o
	}
	return out
}

// interrupted marks what our own stop has cut off: it says nothing about the
// destination. What a peer has answered, or may have taken, stands.
func interrupted(outcomes []outcome) {
	for i := range outcomes {
		o := &outcomes[i]
		o.interrupted = o.state == stateTemporary && o.reply == nil && !o.uncertain
	}
}
