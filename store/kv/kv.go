// Package kv is the narrow waist of storage: ordered keys in shards, changed
// atomically one shard at a time.
//
// Owns:      nothing; backends own the bytes, callers own key prefixes.
// Trusts:    callers not to share a key prefix between rooms.
// May touch: nothing; backends touch files or the network.
//
// A shard is the unit of atomicity and of placement: one account, one queue
// lane, the directory, the log. A transaction reads and writes one shard. On a
// PostgreSQL-protocol database a Batch becomes one multi-row
// INSERT ... ON CONFLICT DO UPDATE whose first row is the shard's version with
// the optimistic check inside, so a backend may rely on a Batch to be complete
// when it arrives: nothing is written before Commit, and nothing after.
package kv

import (
	"context"
	"errors"
)

// Shard names a unit of atomicity. At most MaxShard bytes, no zero byte.
type Shard string

// Limits that every backend keeps and kvtest proves.
const (
	MaxShard = 255      // bytes in a shard's name
	MaxKey   = 1024     // bytes in a key
	MaxValue = 1 << 20  // bytes in a value
	MaxBatch = 32 << 20 // bytes in a batch, keys and values together
	MaxTries = 16       // attempts of Store.Update before it reports a Conflict
)

// Errors that callers test for with errors.Is.
var (
	// ErrNotFound is Get's answer for a key that is not there.
	ErrNotFound = errors.New("kv: key not found")
	// ErrConflict is Commit's answer when the shard has moved past Expect.
	ErrConflict = errors.New("kv: shard changed since it was read")
	// ErrLocked is a backend's answer when another server holds the data.
	ErrLocked = errors.New("kv: another server is using this data")
	// ErrClosed is the answer of everything after Close.
	ErrClosed = errors.New("kv: closed")
)

// Range is a half-open span of keys, From inclusive, To exclusive; a nil To is
// the end of the shard.
type Range struct {
	From, To []byte
	Reverse  bool // highest key first
	Limit    int  // at most so many pairs; 0 means all
}

// Reader reads one shard at one version: everything it returns belongs to the
// same instant. Slices it returns are valid until the Reader is released and
// must not be modified.
type Reader interface {
	// Shard is the shard read.
	Shard() Shard
	// Version counts the commits of the shard; 0 is a shard never written.
	Version() uint64
	// Get gives the value of key, or ErrNotFound.
	Get(key []byte) ([]byte, error)
	// GetMany gives the values of keys in their order, nil where there is none.
	// It is one round trip on a remote backend.
	GetMany(keys [][]byte) ([][]byte, error)
	// Scan calls fn for each pair in r in order until fn returns false. Slices
	// passed to fn are valid only during the call.
	Scan(r Range, fn func(key, value []byte) bool) error
}

// Snapshot is a Reader that holds resources until Release.
type Snapshot interface {
	Reader
	// Release frees what the snapshot holds. It is called once.
	Release()
}

// Write is one change of a Batch: a new value, or a deletion when Value is nil.
type Write struct {
	Key, Value []byte
}

// Batch is everything that one commit changes. Writes are in rising order of
// key, without repetition.
type Batch struct {
	Shard  Shard
	Expect uint64 // the Version that was read; Commit makes it Expect+1
	Writes []Write
	// Lazy lets Commit's ticket be done before the data is on disk. A crash may
	// lose it, but never while keeping a later commit of the same shard.
	Lazy bool
}

// Ticket is a commit on its way to the disk. The commit is already visible to
// Snapshot when the ticket is handed out. When it is durable, so are all commits
// whose tickets the backend handed out before it: Store remembers one ticket for
// many shards.
type Ticket interface {
	// Wait blocks until the commit is durable. It may be called more than once
	// and from several goroutines.
	Wait() error
}

// DB is a backend. It is safe for concurrent use.
type DB interface {
	// Snapshot opens a consistent view of one shard.
	Snapshot(ctx context.Context, s Shard) (Snapshot, error)
	// Commit applies b as a whole or not at all. ErrConflict where the shard's
	// version is not b.Expect.
	Commit(ctx context.Context, b *Batch) (Ticket, error)
	// Shards lists up to limit shards that were ever written, in order of their
	// bytes, beginning after the shard given. It serves check and backup, not
	// the paths of mail.
	Shards(ctx context.Context, after Shard, limit int) ([]Shard, error)
	// Close flushes and lets go of the data.
	Close() error
}
