package queue

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/fxamacker/cbor/v2"

	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/store/body"
	"github.com/mohar-mail/mohar/store/kv"
)

// lanePage is how many shards are listed at a time.
const lanePage = 1024

// eachLane calls fn for every lane that was ever written, also those beyond the
// number that is configured today.
func (q *Queue) eachLane(ctx context.Context, fn func(kv.Shard) error) error {
	const prefix = "q/"
	after := kv.Shard(prefix)
	for {
		page, err := q.kv.DB().Shards(ctx, after, lanePage)
		if err != nil {
			return err
		}
		for _, s := range page {
			if !strings.HasPrefix(string(s), prefix) {
				return nil
			}
			if err := fn(s); err != nil {
				return err
			}
		}
		if len(page) == 0 {
			return nil
		}
		after = page[len(page)-1]
	}
}

// Check verifies the queue and lists what is wrong, in words; an empty list is a
// sound queue. Each lane is read at one instant, so the server may be at work.
// Memory grows with the recipients of one lane.
func (q *Queue) Check(ctx context.Context) ([]string, error) {
	var problems []string
	err := q.eachLane(ctx, func(lane kv.Shard) error {
		c := &checker{lane: lane, items: map[ItemID]uint32{}, due: map[place]dueRow{}, to: map[string]string{}}
		c.bad = func(format string, args ...any) {
			problems = append(problems, "queue "+string(lane)+": "+fmt.Sprintf(format, args...))
		}
		return q.kv.View(ctx, lane, func(r kv.Reader) error { return c.run(q, r) })
	})
	return problems, err
}

// place names a recipient.
type place struct {
	item ItemID
	n    uint32
}

// dueRow is what the due index says of a recipient.
type dueRow struct {
	class Class
	rows  uint8 // at most 2 are counted
	to    string
}

// checker gathers one lane.
type checker struct {
	lane  kv.Shard
	items map[ItemID]uint32 // recipients
	due   map[place]dueRow
	to    map[string]string // one copy of each account and domain
	bad   func(format string, args ...any)
}

func (c *checker) run(q *Queue, r kv.Reader) error {
	if err := c.index(r); err != nil {
		return err
	}
	bodies, err := c.scanItems(r)
	if err != nil {
		return err
	}
	if err := c.recipients(r); err != nil {
		return err
	}
	for id, n := range c.items {
		if n == 0 {
			c.bad("message %s has no recipient left and is still there", id)
		}
	}
	for p, d := range c.due {
		c.bad("recipient %d of message %s is due as %c and does not exist", p.n, p.item, d.class)
	}
	if n := q.lanes; len(c.items) > 0 && !c.configured(n) {
		c.bad("%d messages wait in a lane that no worker serves; %d lanes are configured", len(c.items), n)
	}
	return c.content(r, bodies)
}

func (c *checker) configured(lanes int) bool {
	for n := range lanes {
		if Lane(n) == c.lane {
			return true
		}
	}
	return false
}

// index reads the due index.
func (c *checker) index(r kv.Reader) error {
	return r.Scan(kv.PrefixRange([]byte("N")), func(k, v []byte) bool {
		if len(k) != 30 {
			c.bad("a row of the due index has a key of %d octets", len(k))
			return true
		}
		p := place{ItemID(k[10:26]), binary.BigEndian.Uint32(k[26:])}
		d := c.due[p]
		if d.rows == 0 {
			to, ok := c.to[string(v)]
			if !ok {
				to = string(v)
				c.to[to] = to
			}
			d.class, d.to = Class(k[1]), to
		}
		d.rows = min(d.rows+1, 2)
		c.due[p] = d
		return true
	})
}

// scanItems reads the items and gives their bodies.
func (c *checker) scanItems(r kv.Reader) (map[ItemID]body.Ref, error) {
	bodies := map[ItemID]body.Ref{}
	err := r.Scan(kv.PrefixRange([]byte("M")), func(k, v []byte) bool {
		if len(k) != 17 {
			c.bad("the row of a message has a key of %d octets", len(k))
			return true
		}
		id := ItemID(k[1:])
		c.items[id] = 0
		if LaneOf(id) != c.lane {
			c.bad("message %s belongs to lane %s", id, LaneOf(id))
		}
		var it struct {
			Body body.Ref `cbor:"2,keyasint"`
		}
		if err := cbor.Unmarshal(v, &it); err != nil {
			c.bad("message %s cannot be read", id)
			return true
		}
		it.Body.Home = c.home(id, it.Body)
		bodies[id] = it.Body
		return true
	})
	return bodies, err
}

// home checks a body's home, and gives it without a copy of its own.
func (c *checker) home(id ItemID, ref body.Ref) kv.Shard {
	if ref.Home != c.lane {
		c.bad("message %s has its content in %q", id, ref.Home)
	}
	return c.lane
}

// recipients checks each recipient against its item and the due index, from
// which it takes what it has found.
func (c *checker) recipients(r kv.Reader) error {
	return r.Scan(kv.PrefixRange([]byte("R")), func(k, v []byte) bool {
		if len(k) != 21 {
			c.bad("the row of a recipient has a key of %d octets", len(k))
			return true
		}
		p := place{ItemID(k[1:17]), binary.BigEndian.Uint32(k[17:])}
		if n, ok := c.items[p.item]; ok {
			c.items[p.item] = n + 1
		} else {
			c.bad("recipient %d belongs to message %s, which is not there", p.n, p.item)
		}
		d, ok := c.due[p]
		delete(c.due, p)
		var rc Recipient
		if err := cbor.Unmarshal(v, &rc); err != nil {
			c.bad("recipient %d of message %s cannot be read", p.n, p.item)
			return true
		}
		switch {
		case !ok:
			c.bad("recipient %d of message %s is never due", p.n, p.item)
		case d.rows > 1:
			c.bad("recipient %d of message %s is due more than once", p.n, p.item)
		case d.class != rc.Class:
			c.bad("recipient %d of message %s is of class %c and due as %c", p.n, p.item, rc.Class, d.class)
		case d.to != rc.to():
			c.bad("recipient %d of message %s goes to %q and is due for %q", p.n, p.item, rc.to(), d.to)
		}
		return true
	})
}

// content checks that every item's body is there.
func (c *checker) content(r kv.Reader, bodies map[ItemID]body.Ref) error {
	for id, ref := range bodies {
		refs, there, err := body.Rows(r, ref)
		if err != nil && !fault.Is(err, fault.Corrupt) {
			return err
		}
		if !there || err == nil && refs == 0 {
			c.bad("message %s has lost its content %s", id, ref)
		}
	}
	return nil
}

// Holds calls fn for every item of the queue with its body and the recipients
// that have a mailbox here. The item holds its body once, and once more for each
// of these whose mailbox has not taken that hold over. The lane is not locked:
// fn may read other shards. The slice is reused.
func (q *Queue) Holds(ctx context.Context, fn func(ref body.Ref, local []*Recipient) error) error {
	return q.eachLane(ctx, func(lane kv.Shard) error {
		return q.kv.View(ctx, lane, func(r kv.Reader) error {
			var bad error
			var local []*Recipient
			err := r.Scan(kv.PrefixRange([]byte("M")), func(k, v []byte) bool {
				if len(k) != 17 {
					return true
				}
				var it struct {
					Body body.Ref `cbor:"2,keyasint"`
				}
				if cbor.Unmarshal(v, &it) != nil {
					return true // Check tells of it
				}
				local, bad = localOf(r, ItemID(k[1:]), local[:0])
				if bad == nil {
					bad = fn(it.Body, local)
				}
				return bad == nil
			})
			return errors.Join(err, bad)
		})
	})
}

func localOf(r kv.Reader, id ItemID, local []*Recipient) ([]*Recipient, error) {
	err := r.Scan(kv.PrefixRange(keyRecipient(id, 0)[:17]), func(k, v []byte) bool {
		rc := &Recipient{}
		if len(k) == 21 && cbor.Unmarshal(v, rc) == nil && rc.Account != "" {
			rc.Item, rc.N = id, binary.BigEndian.Uint32(k[17:])
			local = append(local, rc)
		}
		return true
	})
	return local, err
}

// Queued says whether a recipient may still be delivered under the mark by which
// a mailbox knows the delivery: the item's id, into whose last four octets the
// recipient's number may be folded.
func (q *Queue) Queued(ctx context.Context, mark [16]byte) (bool, error) {
	found := false
	err := q.kv.View(ctx, LaneOf(mark), func(r kv.Reader) error {
		return r.Scan(kv.PrefixRange(append([]byte("R"), mark[:12]...)), func(_, _ []byte) bool {
			found = true
			return false
		})
	})
	return found, err
}
