package relay

import (
	"context"
	"time"

	"github.com/mohar-mail/mohar/queue"
	"github.com/mohar-mail/mohar/store/kv"
	"github.com/mohar-mail/mohar/wire/dsn"
	"github.com/mohar-mail/mohar/wire/smtp"
)

// The kinds of Event.
const (
	EventRelayed = "relay.delivered" // a peer has taken the message for this recipient
	EventFailed  = "relay.failed"    // it was refused for good, or its time is over
	EventDelayed = "relay.delayed"   // the sender was told that it waits
)

// Event is what the audit log hears. Content is never in it.
type Event struct {
	Kind   string
	Time   time.Time
	Item   queue.ItemID
	From   string // reverse-path
	To     string
	Host   string // the peer, "" where there was none
	TLS    string // version, cipher suite, verified or not; "none" in plain
	Status string // enhanced code
	Text   string // the reply, or our own words
}

// ending is what an attempt means for one recipient.
type ending struct {
	rcpt    *queue.Recipient
	outcome outcome
	result  queue.Result
	event   string     // "" where nothing is recorded
	report  dsn.Action // "" where the sender hears nothing
}

// settle records the outcomes of a job, with the reports and audit records that
// follow from them, in one transaction.
func (r *Relay) settle(ctx context.Context, j *job, outcomes []outcome) error {
	now := r.cfg.Clock.Now()
	ends := make([]ending, len(outcomes))
	results := make([]queue.Result, len(outcomes))
	for i, o := range outcomes {
		ends[i] = r.judge(j, i, o, now)
		results[i] = ends[i].result
	}
	reports, err := r.prepare(ctx, j.item, ends)
	if err != nil {
		// Without its report a failure would be silent: the recipients come back
		// when their leases end.
		return err
	}
	var woken []added
	work := func(tx *kv.Tx, kept []queue.Result) error {
		woken = woken[:0]
		ours := still(ends, kept)
		for _, e := range ours {
			if e.event == "" || r.cfg.Record == nil {
				continue
			}
			if err := r.cfg.Record(tx, eventOf(j.item, &e, now)); err != nil {
				return err
			}
		}
		if reports == nil {
			return nil
		}
		var err error
		woken, err = reports.add(tx, ours, now)
		return err
	}
	needed := reports != nil
	for _, e := range ends {
		needed = needed || (e.event != "" && r.cfg.Record != nil)
	}
	if !needed {
		work = nil
	}
	if err := r.cfg.Queue.Finish(ctx, results, work); err != nil {
		return err
	}
	for _, w := range woken {
		r.cfg.Queue.Woken(w.id, w.rcpts)
	}
	return nil
}

// still keeps the endings whose lease was not lost.
func still(ends []ending, kept []queue.Result) []ending {
	if len(kept) == len(ends) {
		return ends
	}
	has := make(map[uint32]bool, len(kept))
	for _, k := range kept {
		has[k.Lease.N] = true
	}
	var out []ending
	for _, e := range ends {
		if has[e.rcpt.N] {
			out = append(out, e)
		}
	}
	return out
}

// judge turns an outcome into what the queue, the log and the sender get.
func (r *Relay) judge(j *job, i int, o outcome, now time.Time) ending {
	rc := j.rcpts[i]
	e := ending{rcpt: rc, outcome: o, result: queue.Result{Lease: j.leases[i], Last: o.text}}
	notify := parseNotify(rc.Notify)
	if o.interrupted {
		e.result.Retry = now // our own stop: due as soon as we are back
		return e
	}
	if o.state == stateTemporary {
		at, ok := r.next(rc, now)
		if ok {
			e.result.Retry = at
			if !rc.Delayed && now.Sub(j.item.Created) >= DelayAfter && j.item.From != "" && notify.delay {
				e.result.Delayed, e.report, e.event = true, dsn.Delayed, EventDelayed
			}
			return e
		}
		// RFC 3463 section 3.5: X.4.7, delivery time expired.
		e.outcome.state, e.outcome.status = statePermanent, smtp.EnhancedCode{5, 4, 7}
		e.outcome.text = "the message could not be delivered in time; the last answer was: " + o.text
	}
	if e.outcome.state == stateDelivered {
		e.event = EventRelayed
		// RFC 3461 section 5.2.2: the peer will not report a success, so we say
		// how far we know.
		if notify.success && !o.peerDSN && j.item.From != "" {
			e.report = dsn.Relayed
		}
		return e
	}
	e.event = EventFailed
	// RFC 3461 section 6.2 and RFC 5321 section 4.5.5: never an answer to a null
	// reverse-path, or two hosts could write to each other for ever.
	if notify.failure && j.item.From != "" {
		e.report = dsn.Failed
	}
	return e
}

func eventOf(it *queue.Item, e *ending, now time.Time) Event {
	return Event{Kind: e.event, Time: now, Item: it.ID, From: it.From, To: e.rcpt.Address, Host: e.outcome.host,
		TLS: e.outcome.tls, Status: e.outcome.status.String(), Text: e.outcome.text}
}
