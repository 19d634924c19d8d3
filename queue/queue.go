package queue

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/fxamacker/cbor/v2"
	"golang.org/x/sync/semaphore"

	"github.com/mohar-mail/mohar/base/clock"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/store/body"
	"github.com/mohar-mail/mohar/store/kv"
)

// Config is what a Queue needs.
type Config struct {
	KV     *kv.Store
	Bodies *body.Bodies
	Clock  clock.Clock
	Lanes  int   // 1 to 256; DefaultLanes when 0
	Room   int64 // octets of memory for messages being received; DefaultRoom when 0
	// Wake is told which lane has new work of which class, after the commit is
	// durable. It must not block.
	Wake func(lane int, c Class)
	// Delivered says whether the mailbox of a local recipient has taken the message
	// already; Drop asks it. nil: never.
	Delivered func(ctx context.Context, r *Recipient) (bool, error)
}

// Queue is the queue of all lanes.
type Queue struct {
	kv     *kv.Store
	bodies *body.Bodies
	clock  clock.Clock
	lanes  int
	wake   func(int, Class)
	floors *floors
	room   *semaphore.Weighted

	delivered func(context.Context, *Recipient) (bool, error)
}

// New makes a Queue.
func New(cfg Config) *Queue {
	q := &Queue{kv: cfg.KV, bodies: cfg.Bodies, clock: cfg.Clock, lanes: cfg.Lanes, wake: cfg.Wake, floors: newFloors(), delivered: cfg.Delivered}
	if q.lanes <= 0 || q.lanes > 256 {
		q.lanes = DefaultLanes
	}
	if cfg.Room <= 0 {
		cfg.Room = DefaultRoom
	}
	q.room = semaphore.NewWeighted(cfg.Room)
	if q.wake == nil {
		q.wake = func(int, Class) {}
	}
	return q
}

// Lanes is the number of lanes.
func (q *Queue) Lanes() int { return q.lanes }

// NewID makes the id of a new item, and with it chooses its lane.
func (q *Queue) NewID() ItemID { return NewID(q.clock.Now(), q.lanes) }

// Promise stores a message with its content in one transaction: when it returns
// nil the message is in the queue and durable, and may be answered with 250.
// with, when not nil, runs in the same transaction (audit).
func (q *Queue) Promise(ctx context.Context, it *Item, rcpts []Recipient, st *body.Staged, with func(*kv.Tx) error) error {
	err := q.kv.Update(ctx, LaneOf(it.ID), func(tx *kv.Tx) error {
		if err := q.Add(tx, it, rcpts, st); err != nil || with == nil {
			return err
		}
		return with(tx)
	})
	if err != nil {
		return err
	}
	q.Woken(it.ID, rcpts)
	return nil
}

// Woken tells the workers of an item's lane that it is there. Callers of Add do
// it after their commit.
func (q *Queue) Woken(id ItemID, rcpts []Recipient) {
	var local, remote bool
	for i := range rcpts {
		q.floors.lower(int(id[6]), rcpts[i].Class, rcpts[i].Due)
		local = local || rcpts[i].Class == Local
		remote = remote || rcpts[i].Class == Remote
	}
	if local {
		q.wake(int(id[6]), Local)
	}
	if remote {
		q.wake(int(id[6]), Remote)
	}
}

// Add stores an item, its recipients and its content inside tx, which must be on
// the item's lane. The content is held once for each local recipient, whose
// mailbox takes the hold over, and once by the queue for all others.
func (q *Queue) Add(tx *kv.Tx, it *Item, rcpts []Recipient, st *body.Staged) error {
	if len(rcpts) == 0 || len(rcpts) > MaxRecipients {
		return fault.New(fault.TooMany, "queue.Add", fmt.Sprintf("A message has 1 to %d recipients.", MaxRecipients))
	}
	if tx.Shard() != LaneOf(it.ID) {
		return fault.New(fault.Internal, "queue.Add", "")
	}
	now := q.clock.Now()
	if it.Created.IsZero() {
		it.Created = now
	}
	it.Body = q.bodies.Add(tx, st, holds(rcpts))
	it.Size = st.Size
	data, err := cbor.Marshal(it)
	if err != nil {
		return err
	}
	tx.PutOwned(keyItem(it.ID), data)
	for i := range rcpts {
		r := &rcpts[i]
		r.Item, r.N = it.ID, uint32(i)
		if r.Due.IsZero() {
			r.Due = now
		}
		if r.Expires.IsZero() {
			r.Expires = now.Add(Lifetime)
		}
		if err := putRecipient(tx, r); err != nil {
			return err
		}
	}
	return nil
}

// holds counts the references that a new item takes: one per mailbox and one for
// the queue itself, which lets it go with its last recipient.
func holds(rcpts []Recipient) int {
	n := 1
	for i := range rcpts {
		if rcpts[i].Account != "" {
			n++
		}
	}
	return n
}

func putRecipient(tx *kv.Tx, r *Recipient) error {
	r.Due = r.Due.Truncate(time.Microsecond)
	r.DueMicro = r.Due.UnixMicro()
	data, err := cbor.Marshal(r)
	if err != nil {
		return err
	}
	tx.PutOwned(keyRecipient(r.Item, r.N), data)
	tx.Put(keyDue(r.Class, r.Due, r.Item, r.N), []byte(r.to()))
	return nil
}

// Lease is a recipient that a worker may deliver until Until.
type Lease struct {
	Item  ItemID
	N     uint32
	Class Class
	To    string    // account or domain
	Until time.Time // also the fencing token
}

// horizon is how far ahead of the present a look goes for what is due next. It
// ends before the place where leases stand, which finished work leaves full of
// deleted keys.
const horizon = time.Minute

// Lease takes up to limit recipients of a class that are due in a lane. It also
// gives the time of the next one that is due within a minute, zero where there is
// none.
func (q *Queue) Lease(ctx context.Context, lane int, c Class, limit int) ([]Lease, time.Time, error) {
	now := q.clock.Now()
	found, next, err := q.due(ctx, lane, c, now, limit)
	if err != nil || len(found) == 0 {
		return nil, next, err
	}
	until := now.Add(LeaseTime).Truncate(time.Microsecond)
	var out []Lease
	err = q.kv.UpdateLazy(ctx, Lane(lane), func(tx *kv.Tx) error {
		out = out[:0]
		for _, d := range found {
			k := keyDue(c, d.Until, d.Item, d.N)
			if _, err := tx.Get(k); errors.Is(err, kv.ErrNotFound) {
				continue // another worker was quicker
			} else if err != nil {
				return err
			}
			tx.Delete(k)
			tx.Put(keyDue(c, until, d.Item, d.N), []byte(d.To))
			d.Until = until
			out = append(out, d)
		}
		return nil
	})
	if err == nil && len(found) < limit {
		q.floors.raise(lane, c, now) // all that was due is leased, and stands behind until
	}
	return out, next, err
}

// due lists what is due; Until holds the due time as it stands.
func (q *Queue) due(ctx context.Context, lane int, c Class, now time.Time, limit int) (found []Lease, next time.Time, err error) {
	from := q.floors.from(lane, c, now)
	rg := kv.Range{From: keyDue(c, from, ItemID{}, 0), To: keyDue(c, now.Add(horizon), ItemID{}, 0), Limit: limit + 1}
	err = q.kv.View(ctx, Lane(lane), func(r kv.Reader) error {
		return r.Scan(rg, func(k, v []byte) bool {
			if len(k) != 30 {
				return true
			}
			at := time.UnixMicro(int64(binary.BigEndian.Uint64(k[2:])))
			if at.After(now) || len(found) == limit {
				next = at
				return false
			}
			found = append(found, Lease{Item: ItemID(k[10:26]), N: binary.BigEndian.Uint32(k[26:]), Class: c, To: string(v), Until: at})
			return true
		})
	})
	if err != nil {
		return nil, next, err
	}
	lowest := now
	if len(found) > 0 {
		lowest = found[0].Until
	}
	q.floors.raise(lane, c, lowest)
	return found, next, nil
}

// Load reads the items and recipients of leases of one lane. A lease whose
// recipient is gone is left out.
func (q *Queue) Load(ctx context.Context, leases []Lease) (items map[ItemID]*Item, rcpts []*Recipient, err error) {
	if len(leases) == 0 {
		return nil, nil, nil
	}
	items = map[ItemID]*Item{}
	err = q.kv.View(ctx, LaneOf(leases[0].Item), func(r kv.Reader) error {
		rcpts = rcpts[:0]
		for _, l := range leases {
			rc, err := getRecipient(r, l.Item, l.N)
			if fault.Is(err, fault.NotFound) {
				continue
			}
			if err != nil {
				return err
			}
			if items[l.Item] == nil {
				if items[l.Item], err = getItem(r, l.Item); err != nil {
					return err
				}
			}
			rcpts = append(rcpts, rc)
		}
		return nil
	})
	return items, rcpts, err
}

func getItem(r kv.Reader, id ItemID) (*Item, error) {
	v, err := r.Get(keyItem(id))
	if err != nil {
		return nil, notFound(err)
	}
	it := &Item{}
	if err := cbor.Unmarshal(v, it); err != nil {
		return nil, fault.Wrap(err, fault.Corrupt, "queue.item", "A stored record cannot be read.")
	}
	it.ID = id
	return it, nil
}

func getRecipient(r kv.Reader, id ItemID, n uint32) (*Recipient, error) {
	v, err := r.Get(keyRecipient(id, n))
	if err != nil {
		return nil, notFound(err)
	}
	rc := &Recipient{}
	if err := cbor.Unmarshal(v, rc); err != nil {
		return nil, fault.Wrap(err, fault.Corrupt, "queue.recipient", "A stored record cannot be read.")
	}
	rc.Item, rc.N, rc.Due = id, n, time.UnixMicro(rc.DueMicro)
	return rc, nil
}

func notFound(err error) error {
	if errors.Is(err, kv.ErrNotFound) {
		return fault.Wrap(err, fault.NotFound, "queue", "There is no such message in the queue.")
	}
	return err
}

// Record runs fn in a transaction of its own on a lane, for an audit record that
// belongs to a message which was not accepted.
func (q *Queue) Record(ctx context.Context, lane kv.Shard, fn func(*kv.Tx) error) error {
	return q.kv.Update(ctx, lane, fn)
}
