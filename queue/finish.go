package queue

import (
	"context"
	"errors"
	"time"

	"github.com/mohar-mail/mohar/store/blob"
	"github.com/mohar-mail/mohar/store/kv"
)

// Result is what became of a leased recipient.
type Result struct {
	Lease Lease
	// Retry is when to try again; zero when the recipient is done for good.
	Retry time.Time
	// Taken says that a local mailbox has taken over the hold on the content.
	Taken   bool
	Last    string // the reply or error, for people
	Delayed bool   // a delay report goes out with this result
}

// Finish records results of leases of one lane. with, when not nil, runs in the
// same transaction: it stages audit records, or adds a delivery report to the
// same lane. Results whose lease has been lost to another worker change nothing
// and are not in the list that with gets.
func (q *Queue) Finish(ctx context.Context, results []Result, with func(*kv.Tx, []Result) error) error {
	if len(results) == 0 {
		return nil
	}
	lane := LaneOf(results[0].Lease.Item)
	var freed []blob.Location
	work := func(tx *kv.Tx) error {
		freed = freed[:0]
		var kept []Result
		for i := range results {
			ok, err := q.settle(tx, &results[i], &freed)
			if err != nil {
				return err
			}
			if ok {
				kept = append(kept, results[i])
			}
		}
		if with == nil || len(kept) == 0 {
			return nil
		}
		return with(tx, kept)
	}
	var err error
	if with == nil {
		// Losing this in a crash delivers again; the mailbox knows the item.
		err = q.kv.UpdateLazy(ctx, lane, work)
	} else {
		err = q.kv.Update(ctx, lane, work)
	}
	if err != nil {
		return err
	}
	return q.free(ctx, freed)
}

func (q *Queue) free(ctx context.Context, freed []blob.Location) error {
	for _, loc := range freed {
		if err := q.bodies.Free(ctx, loc); err != nil {
			return err
		}
	}
	return nil
}

// settle applies one result; false when the lease is no longer ours.
func (q *Queue) settle(tx *kv.Tx, res *Result, freed *[]blob.Location) (bool, error) {
	l := res.Lease
	token := keyDue(l.Class, l.Until, l.Item, l.N)
	if _, err := tx.Get(token); errors.Is(err, kv.ErrNotFound) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	r, err := getRecipient(tx, l.Item, l.N)
	if err != nil {
		return false, err
	}
	tx.Delete(token)
	if !res.Retry.IsZero() {
		r.Due, r.Last, r.Class = res.Retry, res.Last, l.Class
		r.Attempts++
		r.Delayed = r.Delayed || res.Delayed
		return true, putRecipient(tx, r)
	}
	return true, q.remove(tx, r, res.Taken, freed)
}

// remove takes a recipient out of the queue, and the item with its last one.
func (q *Queue) remove(tx *kv.Tx, r *Recipient, taken bool, freed *[]blob.Location) error {
	tx.Delete(keyRecipient(r.Item, r.N))
	holds := 0
	if r.Account != "" && !taken {
		holds++
	}
	last := true
	err := tx.Scan(kv.PrefixRange(keyRecipient(r.Item, 0)[:17]), func(_, _ []byte) bool { last = false; return false })
	if err != nil {
		return err
	}
	it, err := getItem(tx, r.Item)
	if err != nil {
		return err
	}
	if last {
		holds++
		tx.Delete(keyItem(r.Item))
	}
	if holds == 0 {
		return nil
	}
	loc, err := q.bodies.Release(tx, it.Body, holds)
	if loc != "" {
		*freed = append(*freed, loc)
	}
	return err
}
