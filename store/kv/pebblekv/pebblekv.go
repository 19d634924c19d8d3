// Package pebblekv keeps shards in one directory of the machine, in a
// log-structured merge tree (Pebble).
//
// Owns:      the directory given to Open, all of it.
// Trusts:    the disk to keep what fdatasync confirmed.
// May touch: files below that directory.
//
// A row is shard, a zero byte, key. The shard's version is the row with the
// empty key, eight bytes big endian. All shards share one write-ahead log, so
// that any commit that is durable makes all earlier ones durable, of its shard
// and of others; writers that wait at the same time share one fdatasync.
//
// When the disk fails or is full, a commit that is not on disk never counts as
// done: see guard. Before that, commits are refused while less than
// Config.Reserve is free, and are taken again when there is room.
package pebblekv

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"io/fs"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/cockroachdb/pebble/v2"

	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/store/kv"
)

// stripes bounds how many shards check and raise their version at a time.
const stripes = 256

// versionSize is the length of a version row's value.
const versionSize = 8

// recordOverhead is more than a batch spends on one write beside key and value.
const recordOverhead = 16

// DB is the backend. Open makes it.
type DB struct {
	cfg   Config
	dir   string
	guard *guard
	lock  *pebble.Lock
	peb   *pebble.DB
	seed  maphash.Seed
	mu    [stripes]sync.Mutex

	spent atomic.Int64 // bytes of batches since the last look at the disk
	full  atomic.Bool  // that look found less than the reserve

	life   sync.Mutex // guards what follows
	idle   *sync.Cond // signalled when busy falls to 0
	busy   int        // operations inside the engine
	closed bool
	snaps  map[*snapshot]struct{}
}

// Open opens the database in dir, made where it is missing. kv.ErrLocked means
// that another server holds it.
func Open(dir string, cfg Config) (kv.DB, error) {
	cfg = cfg.withDefaults()
	g := &guard{FS: cfg.FS, log: cfg.Log, stop: make(chan struct{})}
	if err := cfg.FS.MkdirAll(dir, 0o700); err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "pebblekv.Open", "The storage directory cannot be made.")
	}
	lock, err := pebble.LockDirectory(dir, g)
	switch {
	case errors.Is(err, fs.ErrPermission), errors.Is(err, fs.ErrNotExist):
		return nil, fault.Wrap(err, fault.Unavailable, "pebblekv.Open", "The storage directory cannot be used.")
	case err != nil:
		return nil, fault.Wrap(fmt.Errorf("%w: %s: %w", kv.ErrLocked, dir, err), fault.Unavailable, "pebblekv.Open",
			"Another server is using the storage directory.")
	}
	opts := cfg.options(g)
	opts.Lock = lock
	peb, err := pebble.Open(dir, opts)
	if err != nil {
		return nil, fault.Wrap(errors.Join(err, lock.Close()), openKind(err), "pebblekv.Open", "The storage cannot be opened.")
	}
	d := &DB{cfg: cfg, dir: dir, guard: g, lock: lock, peb: peb, seed: maphash.MakeSeed(), snaps: make(map[*snapshot]struct{})}
	d.idle = sync.NewCond(&d.life)
	g.armed.Store(true)
	d.look()
	return d, nil
}

func openKind(err error) fault.Kind {
	if errors.Is(err, pebble.ErrCorruption) {
		return fault.Corrupt
	}
	return fault.Unavailable
}

// enter begins an operation inside the engine, leave ends it. Close waits for
// those that have begun: the engine's memory is gone after it.
func (d *DB) enter() error {
	d.life.Lock()
	defer d.life.Unlock()
	if d.closed {
		return kv.ErrClosed
	}
	d.busy++
	return nil
}

func (d *DB) leave() {
	d.life.Lock()
	defer d.life.Unlock()
	d.busy--
	if d.busy == 0 {
		d.idle.Broadcast()
	}
}

// Close flushes and lets go of the directory. Snapshots that are still open
// answer kv.ErrClosed from then on. The error tells of a failure of the disk
// that happened at any time since Open.
func (d *DB) Close() error {
	d.life.Lock()
	if d.closed {
		d.life.Unlock()
		return kv.ErrClosed
	}
	d.closed = true
	close(d.guard.stop)
	for d.busy > 0 {
		d.idle.Wait()
	}
	var errs []error
	for s := range d.snaps {
		errs = append(errs, s.snap.Close())
	}
	d.snaps = nil
	d.life.Unlock()
	errs = append(errs, d.peb.Close(), d.lock.Close(), d.guard.failure())
	return fault.Wrap(errors.Join(errs...), fault.Unavailable, "pebblekv.Close", "The storage did not close cleanly.")
}

// look compares the free space with the reserve. A file system that cannot
// tell is taken at its word.
func (d *DB) look() {
	use, err := d.guard.GetDiskUsage(d.dir)
	d.full.Store(err == nil && use.AvailBytes < d.cfg.Reserve)
}

// room says whether a batch of n bytes may be written.
func (d *DB) room(n int) error {
	if d.full.Load() || d.spent.Add(int64(n)) > spaceEvery {
		d.spent.Store(0)
		d.look()
	}
	switch err := d.guard.failure(); {
	case err != nil:
		return failed(err)
	case d.full.Load():
		return fault.New(fault.NoSpace, "pebblekv.Commit",
			fmt.Sprintf("The disk is full: less than %d MiB are free, which the storage keeps in reserve.", d.cfg.Reserve>>20))
	}
	if e := d.guard.table.Load(); e != nil {
		return failed(e)
	}
	return nil
}

func failed(err error) error {
	if errors.Is(err, syscall.ENOSPC) {
		return fault.Wrap(err, fault.NoSpace, "pebblekv", "The disk is full.")
	}
	return fault.Wrap(err, fault.Unavailable, "pebblekv", "The disk has failed or is full.")
}

// Commit applies b as a whole or not at all.
func (d *DB) Commit(ctx context.Context, b *kv.Batch) (kv.Ticket, error) {
	if err := b.Check(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := d.enter(); err != nil {
		return nil, err
	}
	defer d.leave()
	size := len(b.Shard) + 1 + versionSize + recordOverhead
	for _, w := range b.Writes {
		size += len(b.Shard) + 1 + len(w.Key) + len(w.Value) + recordOverhead
	}
	if err := d.room(size); err != nil {
		return nil, err
	}
	batch, err := d.build(b, size)
	if err != nil {
		return nil, err
	}
	mu := &d.mu[maphash.String(d.seed, string(b.Shard))%stripes]
	mu.Lock()
	defer mu.Unlock()
	version, err := readVersion(d.peb, rowKey(b.Shard, nil))
	if err == nil && version != b.Expect {
		err = kv.ErrConflict
	}
	if err != nil {
		return nil, errors.Join(err, batch.Close())
	}
	if b.Lazy {
		if err := errors.Join(d.peb.Apply(batch, pebble.NoSync), batch.Close()); err != nil {
			return nil, failed(err)
		}
		return &ticket{guard: d.guard}, nil
	}
	if err := d.peb.ApplyNoSyncWait(batch, pebble.Sync); err != nil {
		return nil, failed(err)
	}
	return &ticket{guard: d.guard, batch: batch}, nil
}

// build makes the engine's batch of b, the shard's version first.
func (d *DB) build(b *kv.Batch, size int) (*pebble.Batch, error) {
	batch := d.peb.NewBatchWithSize(size)
	var version [versionSize]byte
	binary.BigEndian.PutUint64(version[:], b.Expect+1)
	key := rowKey(b.Shard, nil)
	prefix := len(key)
	err := batch.Set(key, version[:], nil)
	for _, w := range b.Writes {
		if err != nil {
			break
		}
		key = append(key[:prefix], w.Key...)
		if w.Value == nil {
			err = batch.Delete(key, nil)
		} else {
			err = batch.Set(key, w.Value, nil)
		}
	}
	if err != nil {
		return nil, errors.Join(failed(err), batch.Close())
	}
	return batch, nil
}

// ticket is a commit that is visible and on its way to the disk.
type ticket struct {
	guard *guard
	once  sync.Once
	batch *pebble.Batch // nil for a lazy commit
	err   error
}

// Wait blocks until the commit is on disk. An error means that it may or may
// not be there; the database refuses every commit after it.
func (t *ticket) Wait() error {
	t.once.Do(func() {
		if t.batch == nil {
			return
		}
		t.err = t.batch.SyncWait()
		if t.err != nil {
			t.guard.broken.CompareAndSwap(nil, &diskError{op: "commit", err: t.err})
		}
		// The guard remembers a failed write before the engine wakes the waiter.
		if err := t.guard.failure(); err != nil {
			t.err = failed(err)
		}
		if t.err == nil {
			t.err = t.batch.Close()
		}
	})
	return t.err
}

// rowKey is the engine's key for a row; the version's for an empty key.
func rowKey(s kv.Shard, key []byte) []byte {
	k := make([]byte, 0, len(s)+1+max(len(key), 64))
	k = append(k, s...)
	k = append(k, 0)
	return append(k, key...)
}

func readVersion(r pebble.Reader, key []byte) (uint64, error) {
	value, closer, err := r.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, readError(err)
	}
	defer closer.Close()
	if len(value) != versionSize {
		return 0, fault.Wrap(fmt.Errorf("version row %q has %d bytes", key, len(value)), fault.Corrupt, "pebblekv", "The storage is damaged.")
	}
	return binary.BigEndian.Uint64(value), nil
}

func readError(err error) error {
	if errors.Is(err, pebble.ErrCorruption) {
		return fault.Wrap(err, fault.Corrupt, "pebblekv", "The storage is damaged.")
	}
	return fault.Wrap(err, fault.Unavailable, "pebblekv", "The storage cannot be read.")
}

// Shards lists the shards that were ever written.
func (d *DB) Shards(ctx context.Context, after kv.Shard, limit int) (out []kv.Shard, err error) {
	if err := d.enter(); err != nil {
		return nil, err
	}
	defer d.leave()
	it, err := d.peb.NewIter(nil)
	if err != nil {
		return nil, readError(err)
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	ok := it.First()
	if after != "" {
		ok = it.SeekGE(shardEnd(after))
	}
	for ; ok && len(out) < limit; ok = it.SeekGE(shardEnd(out[len(out)-1])) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		s, _, found := cutShard(it.Key())
		if !found {
			return nil, fault.Wrap(fmt.Errorf("row %q has no shard", it.Key()), fault.Corrupt, "pebblekv.Shards", "The storage is damaged.")
		}
		out = append(out, s)
	}
	if err := it.Error(); err != nil {
		return nil, readError(err)
	}
	return out, nil
}

var _ kv.DB = (*DB)(nil)
