// Package deliver carries mail from the queue into mailboxes.
//
// Owns:      its workers, one for each lane of the queue.
// Trusts:    the queue.
// May touch: queue, mailbox.
// Standards: RFC 5321 section 4.5.4; RFC 3461 section 6.
package deliver

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/base/clock"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/mailbox"
	"github.com/mohar-mail/mohar/queue"
	"github.com/mohar-mail/mohar/store/kv"
)

// Limits and times of the workers.
const (
	batch    = 256             // recipients leased at once
	perTx    = 32              // messages added to one mailbox in one transaction
	parallel = 16              // mailboxes that one lane writes at once
	idlePoll = 5 * time.Second // how long a lost wake-up can matter
	retry    = 5 * time.Minute // after a failure that may pass
)

// Config is what a Deliver needs.
type Config struct {
	Queue     *queue.Queue
	Mailboxes *mailbox.Store
	Clock     clock.Clock
	Log       *slog.Logger
	// Bounce adds the failure report for recipients of an item to the queue, inside
	// tx on the item's lane, and gives the lane to wake after the commit; below 0
	// where nobody is told.
	Bounce func(ctx context.Context, tx *kv.Tx, it *queue.Item, failed []*queue.Recipient) (lane int, err error)
	// Woken is told of lanes with new reports.
	Woken func(lane int)
}

// Deliver is the flow.
type Deliver struct {
	cfg  Config
	wake []chan struct{}
}

// New makes a Deliver; Run starts it.
func New(cfg Config) *Deliver {
	d := &Deliver{cfg: cfg, wake: make([]chan struct{}, cfg.Queue.Lanes())}
	for i := range d.wake {
		d.wake[i] = make(chan struct{}, 1)
	}
	return d
}

// Wake says that a lane has new work. It never blocks.
func (d *Deliver) Wake(lane int) {
	select {
	case d.wake[lane] <- struct{}{}:
	default:
	}
}

// Run works until ctx is done, and returns when every worker has ended.
func (d *Deliver) Run(ctx context.Context) {
	var wg sync.WaitGroup
	for lane := range d.wake {
		wg.Go(func() { d.lane(ctx, lane) })
	}
	wg.Wait()
}

func (d *Deliver) lane(ctx context.Context, lane int) {
	for ctx.Err() == nil {
		more, err := d.round(ctx, lane)
		if err != nil && ctx.Err() == nil {
			d.cfg.Log.Error("local delivery", "lane", lane, "err", err)
		}
		if more && err == nil {
			continue
		}
		select {
		case <-ctx.Done():
		case <-d.wake[lane]:
		case <-d.cfg.Clock.After(idlePoll):
		}
	}
}

// round delivers one batch; more says that the lane may hold further work.
func (d *Deliver) round(ctx context.Context, lane int) (more bool, err error) {
	leases, _, err := d.cfg.Queue.Lease(ctx, lane, queue.Local, batch)
	if err != nil || len(leases) == 0 {
		return false, err
	}
	items, rcpts, err := d.cfg.Queue.Load(ctx, leases)
	if err != nil {
		return false, err
	}
	until := leases[0].Until
	outcome := d.all(ctx, items, rcpts)
	results := make([]queue.Result, 0, len(rcpts))
	failed := map[queue.ItemID][]*queue.Recipient{}
	for i, r := range rcpts {
		res := queue.Result{Lease: queue.Lease{Item: r.Item, N: r.N, Class: queue.Local, Until: until}}
		switch err := outcome[i]; {
		case err == nil:
			res.Taken = true
		case permanent(err) || d.cfg.Clock.Now().After(r.Expires):
			r.Last = fault.Public(err)
			failed[r.Item] = append(failed[r.Item], r)
		default:
			d.cfg.Log.Warn("local delivery put off", "item", r.Item.String(), "err", err)
			res.Retry, res.Last = d.cfg.Clock.Now().Add(retry), fault.Public(err)
		}
		results = append(results, res)
	}
	return len(leases) == batch, d.finish(ctx, results, items, failed)
}

// finish records the results, with reports about what failed for good.
func (d *Deliver) finish(ctx context.Context, results []queue.Result, items map[queue.ItemID]*queue.Item, failed map[queue.ItemID][]*queue.Recipient) error {
	if len(failed) == 0 {
		return d.cfg.Queue.Finish(ctx, results, nil)
	}
	woken := -1
	err := d.cfg.Queue.Finish(ctx, results, func(tx *kv.Tx, kept []queue.Result) error {
		for id, rcpts := range failed {
			rcpts = slices.DeleteFunc(slices.Clone(rcpts), func(r *queue.Recipient) bool {
				return !slices.ContainsFunc(kept, func(k queue.Result) bool { return k.Lease.Item == id && k.Lease.N == r.N })
			})
			if len(rcpts) == 0 {
				continue
			}
			lane, err := d.cfg.Bounce(ctx, tx, items[id], rcpts)
			if err != nil {
				return err
			}
			woken = max(woken, lane)
		}
		return nil
	})
	if err == nil && woken >= 0 {
		d.cfg.Woken(woken)
	}
	return err
}

// permanent says that another attempt will not help.
func permanent(err error) bool {
	k := fault.KindOf(err)
	return k == fault.NotFound || k == fault.Denied || k == fault.Invalid || k == fault.TooLarge
}

// all delivers the recipients, those of one mailbox in their order, several
// mailboxes at once so that their commits share the disk's flushes.
func (d *Deliver) all(ctx context.Context, items map[queue.ItemID]*queue.Item, rcpts []*queue.Recipient) []error {
	outcome := make([]error, len(rcpts))
	by := map[mohar.AccountID][]int{}
	for i, r := range rcpts {
		by[r.Account] = append(by[r.Account], i)
	}
	var wg sync.WaitGroup
	slots := make(chan struct{}, parallel)
	for account, list := range by {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			for len(list) > 0 {
				n := min(len(list), perTx)
				d.mailbox(ctx, account, list[:n], items, rcpts, outcome)
				list = list[n:]
			}
		})
	}
	wg.Wait()
	return outcome
}

// mailbox adds messages to one mailbox. When the transaction fails as a whole
// each is tried alone, so that one bad message does not hold back the others.
func (d *Deliver) mailbox(ctx context.Context, a mohar.AccountID, list []int, items map[queue.ItemID]*queue.Item, rcpts []*queue.Recipient, outcome []error) {
	err := d.add(ctx, a, list, items, rcpts)
	if err != nil && len(list) > 1 {
		for _, i := range list {
			outcome[i] = d.add(ctx, a, []int{i}, items, rcpts)
		}
		return
	}
	for _, i := range list {
		outcome[i] = err
	}
}

func (d *Deliver) add(ctx context.Context, a mohar.AccountID, list []int, items map[queue.ItemID]*queue.Item, rcpts []*queue.Recipient) error {
	return d.cfg.Mailboxes.Update(ctx, a, func(w *mailbox.Writer) error {
		for _, i := range list {
			it := items[rcpts[i].Item]
			role := mailbox.RoleInbox
			if it.Mailbox != "" {
				role = mailbox.Role(it.Mailbox)
			}
			into, err := w.ByRole(role)
			if fault.Is(err, fault.NotFound) {
				into, err = w.ByRole(mailbox.RoleInbox)
			}
			if err != nil {
				return err
			}
			content, err := mailbox.ContentOf(it.Index)
			if err != nil {
				return err
			}
			_, err = w.Add(mailbox.Addition{Mailboxes: []mailbox.ID{into.ID}, Received: it.Created, Size: it.Size,
				Content: content, Body: it.Body, Item: DeliveryID(rcpts[i])})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// DeliveryID is what a mailbox remembers of a delivery: the item's id with the
// recipient's number folded into its random part, since one message may go to
// two addresses of the same account.
func DeliveryID(r *queue.Recipient) [16]byte {
	id := [16]byte(r.Item)
	id[12] ^= byte(r.N >> 24)
	id[13] ^= byte(r.N >> 16)
	id[14] ^= byte(r.N >> 8)
	id[15] ^= byte(r.N)
	return id
}
