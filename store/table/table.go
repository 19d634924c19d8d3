// Package table keeps typed rows with secondary indexes over kv transactions,
// and the version of their schema.
//
// Owns:      the key prefixes that its callers give it.
// Trusts:    callers to give each table and index a prefix of its own.
// May touch: the caller's transaction only.
package table

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/fxamacker/cbor/v2"

	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/store/kv"
)

// Codec turns rows into bytes and back. A codec must go on reading what older
// versions of it wrote.
type Codec[T any] struct {
	Encode func(row *T) ([]byte, error)
	Decode func(data []byte, row *T) error
}

// CBOR is the codec for rows whose fields carry `cbor:"N,keyasint"` tags: a
// field may be added under a new number, and a number is never used again.
func CBOR[T any]() Codec[T] {
	return Codec[T]{
		Encode: func(row *T) ([]byte, error) { return cbor.Marshal(row) },
		Decode: func(data []byte, row *T) error { return cbor.Unmarshal(data, row) },
	}
}

// Index is a secondary index: rows found by other keys than their own.
type Index[T any] struct {
	Prefix string
	Unique bool // two rows with the same index key are fault.Exists
	// Keys gives the index keys of a row, none, one or many.
	Keys func(row *T) [][]byte
}

// Config describes a table.
type Config[T any] struct {
	Name    string // for errors: "directory.accounts"
	Prefix  string
	Codec   Codec[T]
	Key     func(row *T) []byte // the primary key, without the prefix
	Indexes []Index[T]
}

// Table is a set of rows of one type in a shard. It holds no state of its own
// and is safe for concurrent use; every method works inside a transaction.
type Table[T any] struct{ cfg Config[T] }

// New makes a table.
func New[T any](cfg Config[T]) *Table[T] { return &Table[T]{cfg: cfg} }

func (t *Table[T]) full(key []byte) []byte { return append([]byte(t.cfg.Prefix), key...) }

func (t *Table[T]) decode(data []byte) (*T, error) {
	row := new(T)
	if err := t.cfg.Codec.Decode(data, row); err != nil {
		return nil, fault.Wrap(err, fault.Corrupt, t.cfg.Name, "A stored record cannot be read.")
	}
	return row, nil
}

// Get gives the row with the key, or fault.NotFound.
func (t *Table[T]) Get(r kv.Reader, key []byte) (*T, error) {
	data, err := r.Get(t.full(key))
	if errors.Is(err, kv.ErrNotFound) {
		return nil, fault.Wrap(err, fault.NotFound, t.cfg.Name, "There is no such record.")
	}
	if err != nil {
		return nil, err
	}
	return t.decode(data)
}

// GetMany gives the rows with the keys in their order, nil where there is none.
func (t *Table[T]) GetMany(r kv.Reader, keys [][]byte) ([]*T, error) {
	full := make([][]byte, len(keys))
	for i, k := range keys {
		full[i] = t.full(k)
	}
	data, err := r.GetMany(full)
	if err != nil {
		return nil, err
	}
	rows := make([]*T, len(keys))
	for i, d := range data {
		if d == nil {
			continue
		}
		if rows[i], err = t.decode(d); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// Insert adds a row; fault.Exists where its key is taken.
func (t *Table[T]) Insert(tx *kv.Tx, row *T) error {
	_, err := tx.Get(t.full(t.cfg.Key(row)))
	if err == nil {
		return fault.New(fault.Exists, t.cfg.Name, "There is such a record already.")
	}
	if !errors.Is(err, kv.ErrNotFound) {
		return err
	}
	return t.write(tx, nil, row)
}

// Put adds a row or replaces the one with its key.
func (t *Table[T]) Put(tx *kv.Tx, row *T) error {
	var old *T
	if len(t.cfg.Indexes) > 0 {
		var err error
		if old, err = t.Get(tx, t.cfg.Key(row)); err != nil && !fault.Is(err, fault.NotFound) {
			return err
		}
	}
	return t.write(tx, old, row)
}

// Delete removes the row with the key; a row that is not there is no error.
func (t *Table[T]) Delete(tx *kv.Tx, key []byte) error {
	if len(t.cfg.Indexes) > 0 {
		old, err := t.Get(tx, key)
		if fault.Is(err, fault.NotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		for i := range t.cfg.Indexes {
			for _, k := range t.cfg.Indexes[i].Keys(old) {
				tx.Delete(t.indexKey(i, k, key))
			}
		}
	}
	tx.Delete(t.full(key))
	return nil
}

func (t *Table[T]) write(tx *kv.Tx, old, row *T) error {
	key := t.cfg.Key(row)
	data, err := t.cfg.Codec.Encode(row)
	if err != nil {
		return fmt.Errorf("%s: %w", t.cfg.Name, err)
	}
	for i := range t.cfg.Indexes {
		ix := &t.cfg.Indexes[i]
		var was [][]byte
		if old != nil {
			was = ix.Keys(old)
		}
		now := ix.Keys(row)
		for _, k := range was {
			if !slices.ContainsFunc(now, func(n []byte) bool { return bytes.Equal(n, k) }) {
				tx.Delete(t.indexKey(i, k, key))
			}
		}
		for _, k := range now {
			if slices.ContainsFunc(was, func(o []byte) bool { return bytes.Equal(o, k) }) {
				continue
			}
			if ix.Unique {
				if err := t.vacant(tx, i, k); err != nil {
					return err
				}
			}
			tx.Put(t.indexKey(i, k, key), key)
		}
	}
	tx.PutOwned(t.full(key), data)
	return nil
}

// vacant makes sure that no row has key k in the unique index i.
func (t *Table[T]) vacant(tx *kv.Tx, i int, k []byte) error {
	taken := false
	err := tx.Scan(t.indexRange(i, k), func(_, _ []byte) bool { taken = true; return false })
	if err == nil && taken {
		err = fault.New(fault.Exists, t.cfg.Name, "This name is taken.")
	}
	return err
}

// indexKey is prefix, length of k, k, primary key: the length keeps one index
// key from being mistaken for the beginning of another.
func (t *Table[T]) indexKey(i int, k, key []byte) []byte {
	b := t.indexStart(i, k)
	return append(b, key...)
}

func (t *Table[T]) indexStart(i int, k []byte) []byte {
	p := t.cfg.Indexes[i].Prefix
	b := make([]byte, 0, len(p)+2+len(k)+24)
	b = append(b, p...)
	b = append(b, byte(len(k)>>8), byte(len(k)))
	return append(b, k...)
}

func (t *Table[T]) indexRange(i int, k []byte) kv.Range {
	return kv.PrefixRange(t.indexStart(i, k))
}

// Lookup gives the rows whose key in the index with the given prefix is k, in
// the order of their primary keys, at most limit of them (0: all).
func (t *Table[T]) Lookup(r kv.Reader, index string, k []byte, limit int) ([]*T, error) {
	i := slices.IndexFunc(t.cfg.Indexes, func(ix Index[T]) bool { return ix.Prefix == index })
	if i < 0 {
		return nil, fmt.Errorf("%s: no index %q", t.cfg.Name, index)
	}
	rg := t.indexRange(i, k)
	rg.Limit = limit
	var keys [][]byte
	if err := r.Scan(rg, func(_, v []byte) bool { keys = append(keys, bytes.Clone(v)); return true }); err != nil {
		return nil, err
	}
	rows, err := t.GetMany(r, keys)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(rows, func(row *T) bool { return row == nil }), nil
}

// Scan calls fn for the rows whose primary keys lie in rg, in order, until fn
// returns false. Rows handed to fn may be kept.
func (t *Table[T]) Scan(r kv.Reader, rg kv.Range, fn func(row *T) bool) error {
	rg.From = t.full(rg.From)
	if rg.To != nil {
		rg.To = t.full(rg.To)
	} else {
		rg.To = kv.PrefixEnd([]byte(t.cfg.Prefix))
	}
	var bad error
	err := r.Scan(rg, func(_, v []byte) bool {
		row, err := t.decode(v)
		if err != nil {
			bad = err
			return false
		}
		return fn(row)
	})
	return errors.Join(err, bad)
}
