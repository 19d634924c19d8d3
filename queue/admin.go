package queue

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/store/blob"
	"github.com/mohar-mail/mohar/store/kv"
)

// Message is an item with its recipients, as people look at it.
type Message struct {
	Item       *Item
	Recipients []*Recipient
}

// Get gives one message of the queue, or fault.NotFound.
func (q *Queue) Get(ctx context.Context, id ItemID) (*Message, error) {
	m := &Message{}
	err := q.kv.View(ctx, LaneOf(id), func(r kv.Reader) (err error) {
		m.Item, m.Recipients, err = read(r, id)
		return err
	})
	return m, err
}

func read(r kv.Reader, id ItemID) (*Item, []*Recipient, error) {
	it, err := getItem(r, id)
	if err != nil {
		return nil, nil, err
	}
	var ns []uint32
	err = r.Scan(kv.PrefixRange(keyRecipient(id, 0)[:17]), func(k, _ []byte) bool {
		ns = append(ns, binary.BigEndian.Uint32(k[17:]))
		return true
	})
	var out []*Recipient
	for _, n := range ns {
		rc, e := getRecipient(r, id, n)
		if e != nil {
			return nil, nil, e
		}
		out = append(out, rc)
	}
	return it, out, err
}

// List calls fn for the messages of the queue, lane by lane, oldest first in
// each, until it returns false.
func (q *Queue) List(ctx context.Context, fn func(*Message) bool) error {
	for lane := range q.lanes {
		var ids []ItemID
		err := q.kv.View(ctx, Lane(lane), func(r kv.Reader) error {
			return r.Scan(kv.PrefixRange([]byte("M")), func(k, _ []byte) bool {
				if len(k) == 17 {
					ids = append(ids, ItemID(k[1:]))
				}
				return true
			})
		})
		if err != nil {
			return err
		}
		for _, id := range ids {
			m, err := q.Get(ctx, id)
			if fault.Is(err, fault.NotFound) {
				continue // delivered meanwhile
			}
			if err != nil {
				return err
			}
			if !fn(m) {
				return nil
			}
		}
	}
	return nil
}

// change runs fn on every recipient of a message; fn returns false to leave it
// as it is. with, when not nil, runs in the same transaction.
func (q *Queue) change(ctx context.Context, id ItemID, with func(*kv.Tx) error, fn func(*Recipient) bool) error {
	var all []*Recipient
	err := q.kv.Update(ctx, LaneOf(id), func(tx *kv.Tx) (err error) {
		if _, all, err = read(tx, id); err != nil {
			return err
		}
		for _, r := range all {
			old := keyDue(r.Class, r.Due, r.Item, r.N)
			if err := idle(tx, r); err != nil {
				return err
			}
			if !fn(r) {
				continue
			}
			if err := forget(tx, r, old); err != nil {
				return err
			}
			if err := putRecipient(tx, r); err != nil {
				return err
			}
		}
		if with == nil {
			return nil
		}
		return with(tx)
	})
	if err != nil {
		return err
	}
	for _, r := range all {
		q.floors.lower(int(id[6]), r.Class, r.Due)
		q.wake(int(id[6]), r.Class)
	}
	return nil
}

// idle makes sure that no worker has a local recipient in its hands: its mailbox
// may take the content over at any moment, and then it is too late to hold or
// drop it. Such a lease lasts for milliseconds.
func idle(tx *kv.Tx, r *Recipient) error {
	if r.Class != Local {
		return nil
	}
	_, err := tx.Get(keyDue(r.Class, r.Due, r.Item, r.N))
	if errors.Is(err, kv.ErrNotFound) {
		return fault.New(fault.Conflict, "queue", "The message is being delivered right now. Try again in a moment.")
	}
	return err
}

// forget removes a recipient's row of the due index, which a lease may have
// moved from where the recipient says it is.
func forget(tx *kv.Tx, r *Recipient, key []byte) error {
	tx.Delete(key)
	for _, c := range []Class{Local, Remote, Held} {
		var found []byte
		err := tx.Scan(kv.PrefixRange([]byte{'N', byte(c)}), func(k, _ []byte) bool {
			if len(k) == 30 && ItemID(k[10:26]) == r.Item && binary.BigEndian.Uint32(k[26:]) == r.N {
				found = append([]byte(nil), k...)
				return false
			}
			return true
		})
		if err != nil {
			return err
		}
		if found != nil {
			tx.Delete(found)
		}
	}
	return nil
}

// Hold keeps a message from being delivered until Release.
func (q *Queue) Hold(ctx context.Context, id ItemID, reason string, with func(*kv.Tx) error) error {
	return q.change(ctx, id, with, func(r *Recipient) bool {
		if r.Class == Held {
			return false
		}
		r.Before, r.Class, r.Reason = r.Class, Held, reason
		return true
	})
}

// Release makes a held message due now. The time that it was held does not count
// against its lifetime.
func (q *Queue) Release(ctx context.Context, id ItemID, with func(*kv.Tx) error) error {
	now := q.clock.Now()
	return q.change(ctx, id, with, func(r *Recipient) bool {
		if r.Class != Held {
			return false
		}
		r.Class, r.Before, r.Reason, r.Due = r.Before, 0, "", now
		r.Expires = now.Add(Lifetime)
		return true
	})
}

// Retry makes a message due now.
func (q *Queue) Retry(ctx context.Context, id ItemID, with func(*kv.Tx) error) error {
	now := q.clock.Now()
	return q.change(ctx, id, with, func(r *Recipient) bool {
		if r.Class == Held {
			return false
		}
		r.Due = now
		return true
	})
}

// Drop removes a message without delivering it or telling the sender. It cannot
// be undone. A mailbox that took the message, while the queue lost the news of it
// in a crash, keeps it.
func (q *Queue) Drop(ctx context.Context, id ItemID, with func(*kv.Tx) error) error {
	taken, err := q.takenOver(ctx, id)
	if err != nil {
		return err
	}
	var freed []blob.Location
	err = q.kv.Update(ctx, LaneOf(id), func(tx *kv.Tx) error {
		freed = freed[:0]
		_, all, err := read(tx, id)
		if err != nil {
			return err
		}
		for _, r := range all {
			if err := idle(tx, r); err != nil {
				return err
			}
			if err := forget(tx, r, keyDue(r.Class, r.Due, r.Item, r.N)); err != nil {
				return err
			}
			if err := q.remove(tx, r, taken[r.N], &freed); err != nil {
				return err
			}
		}
		if with == nil {
			return nil
		}
		return with(tx)
	})
	if err != nil {
		return err
	}
	return q.free(ctx, freed)
}

// takenOver says which local recipients' mailboxes have the message already.
func (q *Queue) takenOver(ctx context.Context, id ItemID) (map[uint32]bool, error) {
	m, err := q.Get(ctx, id)
	if err != nil || q.delivered == nil {
		return nil, err
	}
	taken := map[uint32]bool{}
	for _, r := range m.Recipients {
		if r.Account == "" {
			continue
		}
		if taken[r.N], err = q.delivered(ctx, r); err != nil {
			return nil, err
		}
	}
	return taken, nil
}

// Stats counts the recipients of each class, and gives the oldest due time.
type Stats struct {
	Local, Remote, Held int
	Oldest              time.Time
}

// Stats counts what is in the queue.
func (q *Queue) Stats(ctx context.Context) (Stats, error) {
	var s Stats
	for lane := range q.lanes {
		err := q.kv.View(ctx, Lane(lane), func(r kv.Reader) error {
			return r.Scan(kv.PrefixRange([]byte("N")), func(k, _ []byte) bool {
				if len(k) != 30 {
					return true
				}
				switch Class(k[1]) {
				case Local:
					s.Local++
				case Remote:
					s.Remote++
				case Held:
					s.Held++
				}
				if at := time.UnixMicro(int64(binary.BigEndian.Uint64(k[2:]))); s.Oldest.IsZero() || at.Before(s.Oldest) {
					s.Oldest = at
				}
				return true
			})
		})
		if err != nil {
			return s, err
		}
	}
	return s, nil
}
