// Package reclaim gives back the bodies that accounts have let go of, and forgets
// what mailboxes no longer need to remember of the queue.
//
// Owns:      in the home shard of a body the keys "x/" + account shard: the last
// release of that account which was applied there.
// Trusts:    mailbox for what was let go of.
// May touch: mailbox, queue, store/kv, store/body. No files, no network, no clock
// but base/clock.
// Standards: none.
// States:    S1 let go (a row in the account's shard, in the transaction that
// destroyed the email) - S2 applied (counted down in the home shard, with the
// cursor) - S3 freed (a large body's blob) - S4 forgotten (the row is gone). A
// kill after S1, S3 or S4 loses nothing; one between S2 and S3 leaves a blob that
// nothing refers to, never a reference to nothing.
//
// Exactly once: the rows of an account have rising numbers. The home shard counts
// down and moves its cursor for that account in one transaction, and passes over
// what is not after the cursor. So several workers, on several nodes, may apply
// the same row.
package reclaim

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/base/clock"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/mailbox"
	"github.com/mohar-mail/mohar/queue"
	"github.com/mohar-mail/mohar/store/blob"
	"github.com/mohar-mail/mohar/store/body"
	"github.com/mohar-mail/mohar/store/kv"
)

// Defaults and limits.
const (
	DefaultGather = 2 * time.Second // between two rounds, so that a commit carries many releases
	DefaultSweep  = 6 * time.Hour   // between two visits of every account
	retry         = 5 * time.Minute // after a failure, before every account is visited again
	// MarkerAge is how long a mailbox remembers a delivered item at least: longer
	// than any recipient stays in the queue without a person's doing.
	MarkerAge = queue.Lifetime + 2*24*time.Hour

	perAccount = 1_000   // releases of one account in one round
	perRound   = 4_000   // releases in one round
	maxNudged  = 1 << 16 // accounts waiting; beyond it a sweep finds them
	sweepPage  = 256     // shards listed at a time
)

// cursorPrefix begins the cursors in a home shard.
const cursorPrefix = "x/"

func cursorKey(source kv.Shard) []byte { return append([]byte(cursorPrefix), source...) }

// Config is what a Reclaim needs.
type Config struct {
	KV        *kv.Store
	Bodies    *body.Bodies
	Mailboxes *mailbox.Store
	Queue     *queue.Queue
	Clock     clock.Clock
	Log       *slog.Logger
	Gather    time.Duration // DefaultGather when 0
	Sweep     time.Duration // DefaultSweep when 0
}

// Reclaim is the flow.
type Reclaim struct {
	cfg Config

	mu     sync.Mutex
	nudged map[mohar.AccountID]struct{}
	all    bool // more were nudged than are remembered
	wake   chan struct{}
}

// New makes a Reclaim; Run starts it.
func New(cfg Config) *Reclaim {
	if cfg.Gather <= 0 {
		cfg.Gather = DefaultGather
	}
	if cfg.Sweep <= 0 {
		cfg.Sweep = DefaultSweep
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Reclaim{cfg: cfg, nudged: map[mohar.AccountID]struct{}{}, wake: make(chan struct{}, 1)}
}

// Nudge says that an account has let go of bodies. It never blocks; a nudge that
// is lost costs a delay until the next sweep, never a body.
func (r *Reclaim) Nudge(a mohar.AccountID) {
	r.mu.Lock()
	if len(r.nudged) < maxNudged {
		r.nudged[a] = struct{}{}
	} else {
		r.all = true
	}
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func (r *Reclaim) taken() ([]mohar.AccountID, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	accounts := slices.Sorted(maps.Keys(r.nudged))
	all := r.all
	clear(r.nudged)
	r.all = false
	return accounts, all
}

// Run applies releases until ctx ends. It begins by visiting every account, for
// what an earlier process left; markers of delivery are first purged one Sweep
// later, when the queue has had the time to deliver again what a crash took from
// it.
func (r *Reclaim) Run(ctx context.Context) {
	var again <-chan time.Time // nil while nothing failed
	run := func(err error) {
		if err != nil && ctx.Err() == nil {
			r.cfg.Log.Error("giving back of content", "err", err)
			again = r.cfg.Clock.After(retry)
		}
	}
	run(r.Everything(ctx))
	sweep := r.cfg.Clock.After(r.cfg.Sweep)
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
			return
		case <-r.wake:
			run(r.round(ctx))
		case <-again:
			again = nil
			run(r.Everything(ctx))
		case <-sweep:
			run(errors.Join(r.Everything(ctx), r.Purge(ctx)))
			sweep = r.cfg.Clock.After(r.cfg.Sweep)
		}
		select {
		case <-r.cfg.Clock.After(r.cfg.Gather):
		case <-ctx.Done():
		}
	}
}

// round applies the releases of the accounts that were nudged.
func (r *Reclaim) round(ctx context.Context) error {
	accounts, all := r.taken()
	if all {
		return r.Everything(ctx)
	}
	return r.Apply(ctx, accounts...)
}

// Everything applies the releases of every account of the store.
func (r *Reclaim) Everything(ctx context.Context) error {
	return r.eachPage(ctx, func(accounts []mohar.AccountID) error { return r.Apply(ctx, accounts...) })
}

// Purge forgets the markers of delivery that are older than MarkerAge and whose
// items have left the queue, in every account.
func (r *Reclaim) Purge(ctx context.Context) error {
	before := r.cfg.Clock.Now().Add(-MarkerAge)
	keep := func(item [16]byte) (bool, error) { return r.cfg.Queue.Queued(ctx, item) }
	return r.eachPage(ctx, func(accounts []mohar.AccountID) error {
		var all error
		for _, a := range accounts {
			if _, err := r.cfg.Mailboxes.PurgeDelivered(ctx, a, before, keep); err != nil {
				all = errors.Join(all, fmt.Errorf("account %s: %w", a, err))
			}
		}
		return all
	})
}

// eachPage calls fn for all accounts that have a store, a page at a time. An
// error of fn does not keep it from the next page.
func (r *Reclaim) eachPage(ctx context.Context, fn func([]mohar.AccountID) error) error {
	var all error
	after := mailbox.Shard("")
	for {
		page, err := r.cfg.KV.DB().Shards(ctx, after, sweepPage)
		if err != nil {
			return errors.Join(all, err)
		}
		var accounts []mohar.AccountID
		for _, s := range page {
			if a, ok := mailbox.AccountOf(s); ok {
				accounts = append(accounts, a)
			}
		}
		if len(accounts) > 0 {
			all = errors.Join(all, fn(accounts))
		}
		if len(page) == 0 || len(accounts) < len(page) {
			return all // account shards stand together in the order of names
		}
		after = page[len(page)-1]
	}
}

// release is a row of a source shard.
type release struct {
	source mohar.AccountID
	mailbox.Release
}

// Apply applies all releases of the accounts that are pending, and forgets them.
// What fails stays for the next time and does not hold back the others.
func (r *Reclaim) Apply(ctx context.Context, accounts ...mohar.AccountID) error {
	p := pass{after: map[mohar.AccountID]uint64{}, failed: map[kv.Shard]bool{}}
	for len(accounts) > 0 && ctx.Err() == nil {
		batch, left := r.collect(ctx, accounts, &p)
		r.settle(ctx, batch, &p)
		accounts = left
	}
	return errors.Join(p.err, ctx.Err())
}

// pass is one call of Apply.
type pass struct {
	after map[mohar.AccountID]uint64 // where to read on
	// failed are the homes that took no releases. They get none in the rest of the
	// pass: a cursor that moved past what failed would lose it.
	failed map[kv.Shard]bool
	err    error
}

// collect reads up to one round of releases, in their order for each account, and
// says which accounts may have more.
func (r *Reclaim) collect(ctx context.Context, accounts []mohar.AccountID, p *pass) (batch []release, left []mohar.AccountID) {
	for i, a := range accounts {
		limit := min(perAccount, perRound-len(batch))
		if limit == 0 {
			return batch, append(left, accounts[i:]...)
		}
		rows, err := r.cfg.Mailboxes.Releases(ctx, a, p.after[a], limit)
		if err != nil {
			p.err = errors.Join(p.err, fmt.Errorf("account %s: %w", a, err))
			continue
		}
		for _, row := range rows {
			p.after[a] = row.Seq
			if row.Damaged() {
				r.cfg.Log.Error("a release cannot be read", "account", a, "seq", row.Seq)
				continue
			}
			batch = append(batch, release{a, row})
		}
		if len(rows) == limit {
			left = append(left, a)
		}
	}
	return batch, left
}

// settle applies a batch home by home and forgets what was applied.
func (r *Reclaim) settle(ctx context.Context, batch []release, p *pass) {
	homes := map[kv.Shard][]release{}
	for _, rel := range batch {
		homes[rel.Ref.Home] = append(homes[rel.Ref.Home], rel)
	}
	done := map[mohar.AccountID][]uint64{}
	for _, home := range slices.Sorted(maps.Keys(homes)) {
		if p.failed[home] {
			continue
		}
		if err := r.apply(ctx, home, homes[home]); err != nil {
			p.failed[home] = true
			p.err = errors.Join(p.err, fmt.Errorf("home %s: %w", home, err))
			continue
		}
		for _, rel := range homes[home] {
			done[rel.source] = append(done[rel.source], rel.Seq)
		}
	}
	for _, a := range slices.Sorted(maps.Keys(done)) {
		if err := r.cfg.Mailboxes.ForgetReleases(ctx, a, done[a]); err != nil {
			p.err = errors.Join(p.err, fmt.Errorf("account %s: %w", a, err))
		}
	}
}

// apply counts the releases down in their home, each once, and frees the blobs
// of bodies that nobody holds any more.
func (r *Reclaim) apply(ctx context.Context, home kv.Shard, rels []release) error {
	var freed []blob.Location
	err := r.cfg.KV.Update(ctx, home, func(tx *kv.Tx) error {
		freed = freed[:0]
		cursors := map[mohar.AccountID]uint64{}
		for _, rel := range rels {
			at, ok := cursors[rel.source]
			if !ok {
				var err error
				if at, err = Applied(tx, rel.source); err != nil {
					return err
				}
			}
			if rel.Seq > at {
				loc, err := r.release(tx, rel)
				if err != nil {
					return err
				}
				if loc != "" {
					freed = append(freed, loc)
				}
				at = rel.Seq
				tx.PutOwned(cursorKey(mailbox.Shard(rel.source)), binary.BigEndian.AppendUint64(nil, at))
			}
			cursors[rel.source] = at
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, loc := range freed {
		if err := r.cfg.Bodies.Free(ctx, loc); err != nil {
			// The count is right; what is left is room on the disk.
			r.cfg.Log.Warn("content stays on the disk", "location", string(loc), "err", err)
		}
	}
	return nil
}

// release counts one reference down. A body whose count is gone or cannot be
// read is passed over: it must not hold back the account's other releases.
func (r *Reclaim) release(tx *kv.Tx, rel release) (blob.Location, error) {
	loc, err := r.cfg.Bodies.Release(tx, rel.Ref, 1)
	if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Corrupt) {
		r.cfg.Log.Error("a body cannot be given back", "account", rel.source, "body", rel.Ref.String(), "err", err)
		return "", nil
	}
	return loc, err
}

// Applied gives the number of the last release of an account that was applied in
// the home shard that rd reads; 0 when none was.
func Applied(rd kv.Reader, source mohar.AccountID) (uint64, error) {
	v, err := rd.Get(cursorKey(mailbox.Shard(source)))
	if errors.Is(err, kv.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	if len(v) != 8 {
		return 0, fault.New(fault.Corrupt, "reclaim.Applied", "A stored record cannot be read.")
	}
	return binary.BigEndian.Uint64(v), nil
}
