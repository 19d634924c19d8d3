package kv

import (
	"context"
	"errors"
	"hash/maphash"
	"sync"

	"github.com/mohar-mail/mohar/base/fault"
)

// stripes bounds how many shards are written at once by this process. Shards
// that share a stripe wait for each other, so it is far above the number of
// writers that run at a time.
const stripes = 4096

// Store runs transactions over a DB. It is the one place where conflicts are
// retried, and where a reader is kept from seeing what is not yet durable.
type Store struct {
	db     DB
	seed   maphash.Seed
	stripe []stripe
}

// stripe serialises this process's writers of the shards that hash to it, so
// that they queue instead of meeting as conflicts at the backend.
type stripe struct {
	mu   sync.Mutex
	last Ticket // of the newest commit; nil once known to be durable
	lmu  sync.Mutex
}

// NewStore makes a Store over db. Closing the Store closes db.
func NewStore(db DB) *Store {
	return &Store{db: db, seed: maphash.MakeSeed(), stripe: make([]stripe, stripes)}
}

// Close closes the backend.
func (s *Store) Close() error { return s.db.Close() }

// DB gives the backend, for backup and check.
func (s *Store) DB() DB { return s.db }

func (s *Store) stripeOf(shard Shard) *stripe {
	return &s.stripe[maphash.String(s.seed, string(shard))%stripes]
}

// settled waits until the newest commit in the stripe is durable. Without it a
// client could be shown a message whose UID a power cut then gives to another.
func (st *stripe) settled() error {
	st.lmu.Lock()
	t := st.last
	st.lmu.Unlock()
	if t == nil {
		return nil
	}
	if err := t.Wait(); err != nil {
		return err
	}
	st.lmu.Lock()
	if st.last == t {
		st.last = nil
	}
	st.lmu.Unlock()
	return nil
}

// View calls fn with a consistent, durable view of one shard. What fn keeps
// beyond its return it must copy.
func (s *Store) View(ctx context.Context, shard Shard, fn func(Reader) error) error {
	snap, err := s.db.Snapshot(ctx, shard)
	if err != nil {
		return wrap(err, "kv.View")
	}
	defer snap.Release()
	if err := s.stripeOf(shard).settled(); err != nil {
		return wrap(err, "kv.View")
	}
	return fn(snap)
}

// Update calls fn with a transaction on one shard and commits what it wrote;
// when it returns nil the change is durable. fn may be called more than once
// and must have no effect outside the transaction. If fn returns an error
// nothing is written and the error is returned as it is.
func (s *Store) Update(ctx context.Context, shard Shard, fn func(*Tx) error) error {
	return s.update(ctx, shard, false, fn)
}

// UpdateLazy is Update for changes whose loss in a crash costs only work done
// again: leases, projections, the removal of what is finished.
func (s *Store) UpdateLazy(ctx context.Context, shard Shard, fn func(*Tx) error) error {
	return s.update(ctx, shard, true, fn)
}

func (s *Store) update(ctx context.Context, shard Shard, lazy bool, fn func(*Tx) error) error {
	for range MaxTries {
		ticket, err := s.try(ctx, shard, lazy, fn)
		if errors.Is(err, ErrConflict) {
			continue
		}
		if err != nil {
			return err
		}
		if ticket == nil || lazy {
			return nil
		}
		return wrap(ticket.Wait(), "kv.Update")
	}
	return fault.Wrap(ErrConflict, fault.Conflict, "kv.Update", "Too many changes at once. Try again.")
}

func (s *Store) try(ctx context.Context, shard Shard, lazy bool, fn func(*Tx) error) (Ticket, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	st := s.stripeOf(shard)
	st.mu.Lock()
	defer st.mu.Unlock()
	snap, err := s.db.Snapshot(ctx, shard)
	if err != nil {
		return nil, wrap(err, "kv.Update")
	}
	defer snap.Release()
	tx := newTx(snap)
	if err := fn(tx); err != nil {
		return nil, err
	}
	if tx.err != nil {
		return nil, tx.err
	}
	if len(tx.writes) == 0 {
		return nil, nil
	}
	// Held over the commit: a View whose snapshot sees the commit must also see
	// its ticket.
	st.lmu.Lock()
	defer st.lmu.Unlock()
	ticket, err := s.db.Commit(ctx, tx.batch(lazy))
	if err != nil {
		return nil, wrap(err, "kv.Update")
	}
	if !lazy {
		// A lazy ticket is done before its data is on disk. It must not take the
		// place of one that a View still has to wait for.
		st.last = ticket
	}
	return ticket, nil
}

// wrap gives a backend's error a kind, unless it has one or is for the retry.
func wrap(err error, op string) error {
	var f *fault.Error
	switch {
	case err == nil, errors.Is(err, ErrConflict), errors.As(err, &f):
		return err
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fault.Wrap(err, fault.Timeout, op, "The storage did not answer in time.")
	}
	return fault.Wrap(err, fault.Unavailable, op, "The storage is out of reach for now.")
}
