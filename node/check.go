package node

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/audit"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/flow/deliver"
	"github.com/mohar-mail/mohar/flow/reclaim"
	"github.com/mohar-mail/mohar/mailbox"
	"github.com/mohar-mail/mohar/queue"
	"github.com/mohar-mail/mohar/store/body"
	"github.com/mohar-mail/mohar/store/kv"
)

// Limits of a check.
const (
	// recounts is how often a body whose count does not fit is counted again,
	// since mail that is on its way while it is counted is seen twice or not.
	recounts = 3
	// checkPage is how many shards are listed at a time.
	checkPage = 1024
	// maxProblems of one kind are listed; the rest is told as a number.
	maxProblems = 1000
)

// Check verifies the whole installation and lists what is wrong, in words with
// the ids; an empty list is a sound installation. It reads every row and every
// content once, changes nothing, and may run while mail flows. progress, when
// not nil, is told how many accounts are done.
//
// Memory: some 50 octets for each body, beside the rows of the largest account
// and the recipients of the largest lane.
func (n *Node) Check(ctx context.Context, progress func(done int)) ([]string, error) {
	c := &integrity{kv: n.eng.kv, bodies: n.eng.bodies, boxes: n.boxes, queue: n.queue, audit: n.auditLog, public: n.public, progress: progress}
	err := c.run(ctx)
	return c.problems, err
}

// integrity is one check of everything.
type integrity struct {
	kv       *kv.Store
	bodies   *body.Bodies
	boxes    *mailbox.Store
	queue    *queue.Queue
	audit    *audit.Log
	public   string // key of the audit log
	progress func(done int)

	problems []string
}

func (c *integrity) bad(format string, args ...any) {
	c.problems = append(c.problems, fmt.Sprintf(format, args...))
}

func (c *integrity) run(ctx context.Context) error {
	if err := c.accounts(ctx); err != nil {
		return err
	}
	found, err := c.queue.Check(ctx)
	if err != nil {
		return err
	}
	c.problems = append(c.problems, found...)
	if err := c.contents(ctx); err != nil {
		return err
	}
	if err := c.references(ctx); err != nil {
		return err
	}
	return c.log(ctx)
}

// eachShard calls fn for every shard that was ever written.
func (c *integrity) eachShard(ctx context.Context, fn func(kv.Shard) error) error {
	var after kv.Shard
	for {
		page, err := c.kv.DB().Shards(ctx, after, checkPage)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, s := range page {
			if err := fn(s); err != nil {
				return err
			}
		}
		after = page[len(page)-1]
	}
}

// eachAccount calls fn for every account that has a store.
func (c *integrity) eachAccount(ctx context.Context, fn func(mohar.AccountID) error) error {
	return c.eachShard(ctx, func(s kv.Shard) error {
		if a, ok := mailbox.AccountOf(s); ok {
			return fn(a)
		}
		return nil
	})
}

func (c *integrity) accounts(ctx context.Context) error {
	done := 0
	return c.eachAccount(ctx, func(a mohar.AccountID) error {
		found, err := c.boxes.Check(ctx, a)
		switch {
		case fault.Is(err, fault.Corrupt):
			found = append(found, "a row cannot be read: "+err.Error())
		case err != nil:
			return err
		}
		for _, p := range found {
			c.bad("account %s: %s", a, p)
		}
		if done++; c.progress != nil {
			c.progress(done)
		}
		return nil
	})
}

func (c *integrity) contents(ctx context.Context) error {
	found := 0
	err := c.eachShard(ctx, func(s kv.Shard) error {
		return c.bodies.Check(ctx, s, func(ref body.Ref, problem string) {
			if found++; found <= maxProblems {
				c.bad("body %s: %s", ref, problem)
			}
		})
	})
	if found > maxProblems {
		c.bad("%d further bodies are not sound", found-maxProblems)
	}
	return err
}

// tally counts references by body: home, then id.
type tally map[kv.Shard]map[[16]byte]uint32

func (t tally) add(ref body.Ref, n uint32) {
	of := t[ref.Home]
	if of == nil {
		of = map[[16]byte]uint32{}
		t[kv.Shard(strings.Clone(string(ref.Home)))] = of
	}
	of[ref.ID] += n
}

func (t tally) has(ref body.Ref) bool { _, ok := t[ref.Home][ref.ID]; return ok }

func (t tally) size() (n int) {
	for _, of := range t {
		n += len(of)
	}
	return n
}

// references compares what each body's row counts with who holds it.
func (c *integrity) references(ctx context.Context) error {
	held, err := c.holders(ctx, nil, true)
	if err != nil {
		return err
	}
	suspects := tally{}
	err = c.eachShard(ctx, func(s kv.Shard) error {
		return c.bodies.Counts(ctx, s, func(ref body.Ref, refs uint64) {
			if uint64(held[s][ref.ID]) != refs {
				suspects.add(ref, 0)
			}
			delete(held[s], ref.ID)
		})
	})
	if err != nil {
		return err
	}
	for home, of := range held { // held, and without a row
		for id := range of {
			suspects.add(body.Ref{Home: home, ID: id}, 0)
		}
	}
	held = nil
	for try := 1; suspects.size() > 0; try++ {
		if suspects, err = c.recount(ctx, suspects, try == recounts); err != nil || try == recounts {
			return err
		}
	}
	return nil
}

// recount counts the suspects again and gives those that still do not fit. With
// last they are reported, except where mail changed the row meanwhile.
func (c *integrity) recount(ctx context.Context, suspects tally, last bool) (tally, error) {
	before, err := c.recorded(ctx, suspects)
	if err != nil {
		return nil, err
	}
	held, err := c.holders(ctx, suspects, false)
	if err != nil {
		return nil, err
	}
	after, err := c.recorded(ctx, suspects)
	if err != nil {
		return nil, err
	}
	left := tally{}
	found := 0
	for _, home := range slices.Sorted(maps.Keys(suspects)) {
		for id := range suspects[home] {
			ref := body.Ref{Home: home, ID: id}
			row, want := after[home][id], held[home][id]
			if before[home][id] == row && row == want {
				continue
			}
			left.add(ref, 0)
			if !last || before[home][id] != row {
				continue
			}
			if found++; found <= maxProblems {
				c.miscounted(ref, row, want)
			}
		}
	}
	if found > maxProblems {
		c.bad("the references of %d further bodies are miscounted", found-maxProblems)
	}
	return left, nil
}

func (c *integrity) miscounted(ref body.Ref, row, want uint32) {
	switch {
	case row == 0:
		c.bad("body %s: it is gone, and %d references to it are left", ref, want)
	case want == 0:
		c.bad("body %s: %d references are counted, and nothing refers to it", ref, row)
	default:
		c.bad("body %s: %d references are counted, and there are %d", ref, row, want)
	}
}

// recorded reads the counts of the suspects' rows.
func (c *integrity) recorded(ctx context.Context, suspects tally) (tally, error) {
	out := tally{}
	for home, of := range suspects {
		err := c.kv.View(ctx, home, func(r kv.Reader) error {
			for id := range of {
				ref := body.Ref{Home: home, ID: id}
				n, _, err := body.Rows(r, ref)
				if err != nil && !fault.Is(err, fault.Corrupt) {
					return err
				}
				out.add(ref, uint32(min(n, 1<<32-1)))
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// holders counts who holds each body: the queue, the accounts, and the releases
// that are still to be applied. With suspects it counts only these. report says
// that what cannot be read is listed.
func (c *integrity) holders(ctx context.Context, suspects tally, report bool) (tally, error) {
	held := tally{}
	add := func(ref body.Ref, n uint32) {
		if n > 0 && (suspects == nil || suspects.has(ref)) {
			held.add(ref, n)
		}
	}
	err := c.queue.Holds(ctx, func(ref body.Ref, local []*queue.Recipient) error {
		n, err := c.undelivered(ctx, local)
		add(ref, 1+n)
		return err
	})
	if err != nil {
		return nil, err
	}
	return held, c.eachAccount(ctx, func(a mohar.AccountID) error {
		err := c.boxes.View(ctx, a, func(r *mailbox.Reader) error {
			if err := r.BodyHolds(func(ref body.Ref, n uint64) { add(ref, uint32(min(n, 1<<32-1))) }); err != nil {
				return err
			}
			return c.releases(ctx, a, r, report, func(ref body.Ref) { add(ref, 1) })
		})
		if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Corrupt) {
			return nil // without a store yet; or listed by the check of the account
		}
		return err
	})
}

// undelivered counts the recipients whose mailboxes have not taken the hold over.
// One that has is still in the queue between the two commits of its delivery.
func (c *integrity) undelivered(ctx context.Context, local []*queue.Recipient) (n uint32, err error) {
	for _, rc := range local {
		var e mailbox.EmailID
		err := c.boxes.View(ctx, rc.Account, func(r *mailbox.Reader) (err error) {
			e, err = r.Delivered(deliver.DeliveryID(rc))
			return err
		})
		if err != nil && !fault.Is(err, fault.NotFound) && !fault.Is(err, fault.Corrupt) {
			return n, err // what cannot be read is listed by the check of the account
		}
		if e == 0 {
			n++
		}
	}
	return n, nil
}

// releases gives the bodies that an account has let go of and whose home has not
// counted that yet.
func (c *integrity) releases(ctx context.Context, a mohar.AccountID, r *mailbox.Reader, report bool, fn func(body.Ref)) error {
	applied := map[kv.Shard]uint64{}
	var bad error
	err := r.Releases(func(rel mailbox.Release) {
		if rel.Damaged() {
			if report {
				c.bad("account %s: release %d of a body cannot be read", a, rel.Seq)
			}
			return
		}
		home := rel.Ref.Home
		if _, ok := applied[home]; !ok && bad == nil {
			bad = c.kv.View(ctx, home, func(hr kv.Reader) (err error) {
				applied[home], err = reclaim.Applied(hr, a)
				return err
			})
			if fault.Is(bad, fault.Corrupt) {
				bad = nil
				if report {
					c.bad("account %s: what %s has applied of its releases cannot be read", a, home)
				}
			}
		}
		if rel.Seq > applied[home] {
			fn(rel.Ref)
		}
	})
	if err != nil {
		return err
	}
	return bad
}
