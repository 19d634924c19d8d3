package relay

import (
	"time"

	"github.com/mohar-mail/mohar/queue"
)

// The times of RFC 5321 section 4.5.4.1.
const (
	// DelayAfter is the age at which the sender is told that a message waits.
	DelayAfter = 4 * time.Hour
	// jitter spreads retries: up to so much of a step, either way, so that a
	// destination that comes back does not meet everything at once.
	jitter = 0.1
)

// ladder gives the pause after the attempt with this number, from 0. The first
// steps are short, for greylisting; the last one repeats to the end of the
// message's lifetime.
func ladder(attempt uint32) time.Duration {
	steps := [...]time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, 30 * time.Minute,
		time.Hour, 2 * time.Hour, 4 * time.Hour}
	return steps[min(int(attempt), len(steps)-1)]
}

// next gives the time of the next attempt for a recipient, and false when its
// lifetime ends before.
func (r *Relay) next(rc *queue.Recipient, now time.Time) (time.Time, bool) {
	step := ladder(rc.Attempts)
	step += time.Duration((r.cfg.Dice()*2 - 1) * jitter * float64(step))
	at := now.Add(step)
	return at, at.Before(rc.Expires)
}
