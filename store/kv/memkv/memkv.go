// Package memkv keeps shards in memory: for tests, and for a server that may
// forget.
//
// Owns:      one ordered tree per shard, gone with the process.
// Trusts:    callers to leave slices alone that they were given.
// May touch: memory only.
//
// Snapshots are copy-on-write: a snapshot costs one small allocation, and a
// commit after it copies only the path to what it changes.
package memkv

import (
	"bytes"
	"context"
	"slices"
	"sync"

	"github.com/mohar-mail/mohar/store/kv"
	"github.com/tidwall/btree"
)

// degree is the fan-out of the trees: many shards hold few rows, so that nodes
// are kept smaller than the library's default.
const degree = 16

// pair is one row. A pair in a tree is never changed, only replaced.
type pair struct {
	key   string
	value []byte
}

// shard is the newest state of one shard.
type shard struct {
	version uint64
	rows    *btree.BTreeG[pair]
}

// db is the backend.
type db struct {
	mu     sync.Mutex // guards everything below and the newest trees
	closed bool
	shards map[kv.Shard]*shard
	names  *btree.BTreeG[kv.Shard]
}

// New makes an empty backend. Its tickets are done at once.
func New() kv.DB {
	return &db{
		shards: make(map[kv.Shard]*shard),
		names:  newTree(func(a, b kv.Shard) bool { return a < b }),
	}
}

func newTree[T any](less func(a, b T) bool) *btree.BTreeG[T] {
	return btree.NewBTreeGOptions(less, btree.Options{NoLocks: true, Degree: degree})
}

func pairLess(a, b pair) bool { return a.key < b.key }

// Snapshot gives a consistent view of one shard.
func (d *db) Snapshot(ctx context.Context, s kv.Shard) (kv.Snapshot, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, kv.ErrClosed
	}
	snap := &snapshot{db: d, shard: s}
	if sh := d.shards[s]; sh != nil {
		snap.version, snap.rows = sh.version, sh.rows.Copy()
	}
	return snap, nil
}

// Commit applies b as a whole or not at all.
func (d *db) Commit(ctx context.Context, b *kv.Batch) (kv.Ticket, error) {
	if err := b.Check(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, kv.ErrClosed
	}
	sh := d.shards[b.Shard]
	if sh == nil {
		if b.Expect != 0 {
			return nil, kv.ErrConflict
		}
		sh = &shard{rows: newTree(pairLess)}
		d.shards[b.Shard] = sh
		d.names.Set(b.Shard)
	}
	if sh.version != b.Expect {
		return nil, kv.ErrConflict
	}
	for _, w := range b.Writes {
		if w.Value == nil {
			sh.rows.Delete(pair{key: string(w.Key)})
			continue
		}
		value := make([]byte, len(w.Value))
		copy(value, w.Value)
		sh.rows.Set(pair{key: string(w.Key), value: value})
	}
	sh.version++
	return done{}, nil
}

// Shards lists the shards that were ever written.
func (d *db) Shards(ctx context.Context, after kv.Shard, limit int) ([]kv.Shard, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, kv.ErrClosed
	}
	var out []kv.Shard
	d.names.Ascend(after, func(s kv.Shard) bool {
		if s != after && len(out) < limit {
			out = append(out, s)
		}
		return len(out) < limit
	})
	return out, nil
}

// Close forgets everything.
func (d *db) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return kv.ErrClosed
	}
	d.closed, d.shards, d.names = true, nil, nil
	return nil
}

func (d *db) isClosed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.closed
}

// done is the ticket of a commit that has nowhere further to go.
type done struct{}

// Wait returns at once.
func (done) Wait() error { return nil }

// snapshot is a frozen tree; rows is nil for a shard never written.
type snapshot struct {
	db      *db
	shard   kv.Shard
	version uint64
	rows    *btree.BTreeG[pair]
}

func (s *snapshot) Shard() kv.Shard { return s.shard }
func (s *snapshot) Version() uint64 { return s.version }
func (s *snapshot) Release()        {}

// Get gives the value of key.
func (s *snapshot) Get(key []byte) ([]byte, error) {
	if s.db.isClosed() {
		return nil, kv.ErrClosed
	}
	if v := s.lookup(key); v != nil {
		return v, nil
	}
	return nil, kv.ErrNotFound
}

// GetMany gives the values of keys in their order.
func (s *snapshot) GetMany(keys [][]byte) ([][]byte, error) {
	if s.db.isClosed() {
		return nil, kv.ErrClosed
	}
	out := make([][]byte, len(keys))
	for i, k := range keys {
		out[i] = s.lookup(k)
	}
	return out, nil
}

func (s *snapshot) lookup(key []byte) []byte {
	if s.rows == nil {
		return nil
	}
	p, ok := s.rows.Get(pair{key: string(key)})
	if !ok {
		return nil
	}
	return slices.Clip(p.value)
}

// Scan calls fn for each pair in r.
func (s *snapshot) Scan(r kv.Range, fn func(key, value []byte) bool) error {
	if s.db.isClosed() {
		return kv.ErrClosed
	}
	if s.rows == nil || (r.To != nil && bytes.Compare(r.From, r.To) >= 0) {
		return nil
	}
	left := r.Limit
	emit := func(p pair) bool {
		if !fn([]byte(p.key), slices.Clip(p.value)) {
			return false
		}
		left--
		return left != 0
	}
	from, to := string(r.From), string(r.To)
	switch {
	case !r.Reverse:
		s.rows.Ascend(pair{key: from}, func(p pair) bool {
			return (r.To == nil || p.key < to) && emit(p)
		})
	case r.To == nil:
		s.rows.Reverse(func(p pair) bool { return p.key >= from && emit(p) })
	default:
		s.rows.Descend(pair{key: to}, func(p pair) bool {
			if p.key == to {
				return true
			}
			return p.key >= from && emit(p)
		})
	}
	return nil
}
