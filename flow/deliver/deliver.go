// Package deliver carries mail from the queue into mailboxes.
//
// Owns:      its workers, one for each lane of the queue.
// Trusts:    the queue.
// May touch: queue, mailbox.
// Standards: RFC 5321 section 4.5.4; RFC 3461 section 6.
package deliver

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
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

	// firstPause and longestPause bound the time to the next attempt after a
	// failure that may pass, such as a full mailbox. It doubles with each attempt,
	// until the recipient's time is up and the sender is told.
	firstPause   = 5 * time.Minute
	longestPause = 2 * time.Hour
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
	// Woken is told of lanes with new reports; nil for nobody.
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

// Wake says that a lane has new work. It never blocks. A lane beyond those that
// are configured, left from a time when there were more, has no worker.
func (d *Deliver) Wake(lane int) {
	if lane < 0 || lane >= len(d.wake) {
		return
	}
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
	items, rcpts, err := d.load(ctx, leases)
	if err != nil {
		return false, err
	}
	until := leases[0].Until
	outcome := d.all(ctx, items, rcpts)
	results := make([]queue.Result, 0, len(rcpts))
	failed := map[queue.ItemID][]*queue.Recipient{}
	now := d.cfg.Clock.Now()
	for i, r := range rcpts {
		res := queue.Result{Lease: leaseOf(r, until)}
		switch err := outcome[i]; {
		case err == nil:
			res.Taken = true
		case permanent(err) || !now.Before(r.Expires):
			d.cfg.Log.Warn("local delivery failed", "item", r.Item.String(), "account", string(r.Account), "err", err)
			r.Last = fault.Public(err)
			failed[r.Item] = append(failed[r.Item], r)
			continue
		default:
			d.cfg.Log.Warn("local delivery put off", "item", r.Item.String(), "account", string(r.Account), "err", err)
			res.Retry, res.Last = next(now, r), fault.Public(err)
		}
		results = append(results, res)
	}
	// What was delivered is settled first and apart: a report that cannot be made
	// must not keep its neighbours in the queue.
	err = d.cfg.Queue.Finish(ctx, results, nil)
	for id, rs := range failed {
		err = errors.Join(err, d.fail(ctx, items[id], rs, until))
	}
	return len(leases) == batch, err
}

// load reads what the leases name. A record that cannot be read is left to its
// lease, so that it holds back none but itself.
func (d *Deliver) load(ctx context.Context, leases []queue.Lease) (map[queue.ItemID]*queue.Item, []*queue.Recipient, error) {
	items, rcpts, err := d.cfg.Queue.Load(ctx, leases)
	if !fault.Is(err, fault.Corrupt) && !fault.Is(err, fault.NotFound) {
		return items, rcpts, err
	}
	items, rcpts = map[queue.ItemID]*queue.Item{}, nil
	for i := range leases {
		its, rs, err := d.cfg.Queue.Load(ctx, leases[i:i+1])
		if err != nil {
			d.cfg.Log.Error("queue record", "item", leases[i].Item.String(), "recipient", leases[i].N, "err", err)
			continue
		}
		for _, r := range rs {
			if items[r.Item] == nil {
				items[r.Item] = its[r.Item]
			}
			rcpts = append(rcpts, r)
		}
	}
	return items, rcpts, ctx.Err()
}

func leaseOf(r *queue.Recipient, until time.Time) queue.Lease {
	return queue.Lease{Item: r.Item, N: r.N, Class: queue.Local, Until: until}
}

// next gives the time of the next attempt: not after the recipient's time is up,
// so that the sender is told then.
func next(now time.Time, r *queue.Recipient) time.Time {
	pause := min(firstPause<<min(r.Attempts, 10), longestPause)
	at := now.Add(pause)
	if at.After(r.Expires) && now.Before(r.Expires) {
		at = r.Expires
	}
	return at
}

// fail ends recipients of one item, with a report to the sender. Where the report
// cannot be made they stay and are tried again: mail is not lost without a word.
func (d *Deliver) fail(ctx context.Context, it *queue.Item, rcpts []*queue.Recipient, until time.Time) error {
	results := make([]queue.Result, len(rcpts))
	for i, r := range rcpts {
		results[i] = queue.Result{Lease: leaseOf(r, until), Last: r.Last}
	}
	woken := -1
	err := d.cfg.Queue.Finish(ctx, results, func(tx *kv.Tx, kept []queue.Result) error {
		mine := slices.DeleteFunc(slices.Clone(rcpts), func(r *queue.Recipient) bool {
			return !slices.ContainsFunc(kept, func(k queue.Result) bool { return k.Lease.N == r.N })
		})
		var err error
		woken, err = d.cfg.Bounce(ctx, tx, it, mine)
		return err
	})
	if err == nil {
		if woken >= 0 && d.cfg.Woken != nil {
			d.cfg.Woken(woken)
		}
		return nil
	}
	d.cfg.Log.Error("failure report", "item", it.ID.String(), "err", err)
	for i, r := range rcpts {
		results[i].Retry = next(d.cfg.Clock.Now(), r)
	}
	return d.cfg.Queue.Finish(ctx, results, nil)
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
	if err != nil && len(list) > 1 && !fault.Is(err, fault.Unavailable) && !fault.Is(err, fault.Timeout) {
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
			into, err := target(w, it)
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

// target gives the mailbox that an item goes into. What belongs into Junk never
// goes to the inbox (GOV NET-04): an account that has removed its Junk gets one.
func target(w *mailbox.Writer, it *queue.Item) (*mailbox.Mailbox, error) {
	role := mailbox.RoleInbox
	if it.Mailbox != "" {
		role = mailbox.Role(it.Mailbox)
	}
	m, err := w.ByRole(role)
	if !fault.Is(err, fault.NotFound) {
		return m, err
	}
	if role != mailbox.RoleJunk {
		return w.ByRole(mailbox.RoleInbox)
	}
	all, err := w.Mailboxes()
	if err != nil {
		return nil, err
	}
	for _, o := range all {
		if o.Parent == 0 && strings.EqualFold(o.Name, junkName) && o.Role == mailbox.RoleNone {
			return o, nil
		}
	}
	return w.Create(mailbox.Mailbox{Name: junkName, Role: mailbox.RoleJunk, Subscribed: true})
}

// junkName is the name of the mailbox of role junk, as a new account has it.
const junkName = "Junk"

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
