package pebblekv

import (
	"bytes"
	"context"
	"errors"

	"github.com/cockroachdb/pebble/v2"

	"github.com/mohar-mail/mohar/store/kv"
)

// shardEnd is the first engine key after all rows of s.
func shardEnd(s kv.Shard) []byte { return append([]byte(s), 1) }

// cutShard splits an engine key.
func cutShard(row []byte) (kv.Shard, []byte, bool) {
	s, key, ok := bytes.Cut(row, []byte{0})
	return kv.Shard(s), key, ok
}

// snapshot is one shard at one version.
type snapshot struct {
	db      *DB
	snap    *pebble.Snapshot
	shard   kv.Shard
	version uint64
}

// Snapshot opens a consistent view of one shard.
func (d *DB) Snapshot(ctx context.Context, s kv.Shard) (kv.Snapshot, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := d.enter(); err != nil {
		return nil, err
	}
	defer d.leave()
	snap := &snapshot{db: d, snap: d.peb.NewSnapshot(), shard: s}
	var err error
	if snap.version, err = readVersion(snap.snap, rowKey(s, nil)); err != nil {
		return nil, errors.Join(err, snap.snap.Close())
	}
	d.life.Lock()
	defer d.life.Unlock()
	d.snaps[snap] = struct{}{} // Close waits for us: snaps is not nil here
	return snap, nil
}

func (s *snapshot) Shard() kv.Shard { return s.shard }
func (s *snapshot) Version() uint64 { return s.version }

// Release frees the snapshot, which keeps old rows from being compacted away.
func (s *snapshot) Release() {
	s.db.life.Lock()
	_, held := s.db.snaps[s]
	delete(s.db.snaps, s)
	s.db.life.Unlock()
	if held {
		_ = s.snap.Close() // always nil
	}
}

// Get gives the value of key. It is a copy: the engine's own memory may go away
// under a reader when the database is closed.
func (s *snapshot) Get(key []byte) ([]byte, error) {
	if err := s.db.enter(); err != nil {
		return nil, err
	}
	defer s.db.leave()
	if len(key) == 0 {
		return nil, kv.ErrNotFound
	}
	return s.get(rowKey(s.shard, key))
}

func (s *snapshot) get(row []byte) ([]byte, error) {
	value, closer, err := s.snap.Get(row)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, kv.ErrNotFound
	}
	if err != nil {
		return nil, readError(err)
	}
	out := make([]byte, len(value))
	copy(out, value)
	if err := closer.Close(); err != nil {
		return nil, readError(err)
	}
	return out, nil
}

// GetMany gives the values of keys in their order.
func (s *snapshot) GetMany(keys [][]byte) ([][]byte, error) {
	if err := s.db.enter(); err != nil {
		return nil, err
	}
	defer s.db.leave()
	out := make([][]byte, len(keys))
	row := rowKey(s.shard, nil)
	prefix := len(row)
	for i, k := range keys {
		if len(k) == 0 {
			continue
		}
		row = append(row[:prefix], k...)
		v, err := s.get(row)
		if err != nil && !errors.Is(err, kv.ErrNotFound) {
			return nil, err
		}
		out[i] = v
	}
	return out, nil
}

// Scan calls fn for each pair in r.
func (s *snapshot) Scan(r kv.Range, fn func(key, value []byte) bool) (err error) {
	if err := s.db.enter(); err != nil {
		return err
	}
	defer s.db.leave()
	if r.To != nil && bytes.Compare(r.From, r.To) >= 0 {
		return nil
	}
	lower, upper := rowKey(s.shard, r.From), shardEnd(s.shard)
	if len(r.From) == 0 {
		lower = append(lower, 0) // past the version's row
	}
	if r.To != nil {
		upper = rowKey(s.shard, r.To)
	}
	it, err := s.snap.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return readError(err)
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	first, next := it.First, it.Next
	if r.Reverse {
		first, next = it.Last, it.Prev
	}
	left := r.Limit
	for ok := first(); ok; ok = next() {
		value, err := it.ValueAndErr()
		if err != nil {
			return readError(err)
		}
		if value == nil {
			value = []byte{} // nil means deleted to Tx
		}
		if !fn(it.Key()[len(s.shard)+1:], value) {
			break
		}
		if left--; left == 0 {
			break
		}
	}
	if err := it.Error(); err != nil {
		return readError(err)
	}
	return nil
}

var _ kv.Snapshot = (*snapshot)(nil)
