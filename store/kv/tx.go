package kv

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"github.com/mohar-mail/mohar/base/fault"
)

// Tx is a transaction on one shard. It reads its own writes. It is not safe for
// concurrent use and not valid after the function that was given it returns.
type Tx struct {
	base   Reader
	writes map[string][]byte // nil value: deleted
	size   int
	err    error
}

func newTx(base Reader) *Tx { return &Tx{base: base, writes: make(map[string][]byte, 16)} }

// Shard is the shard that the transaction is on.
func (t *Tx) Shard() Shard { return t.base.Shard() }

// Version is the version that the transaction read; its commit makes the next.
func (t *Tx) Version() uint64 { return t.base.Version() }

// Put sets key to value. Both are copied. A key or value over its limit makes
// the whole transaction fail with fault.TooLarge.
func (t *Tx) Put(key, value []byte) {
	v := make([]byte, len(value))
	copy(v, value)
	t.set(key, v)
}

// PutOwned is Put for a value that the caller hands over and never touches
// again, which spares large bodies a copy.
func (t *Tx) PutOwned(key, value []byte) {
	if value == nil {
		value = []byte{}
	}
	t.set(key, value)
}

// Delete removes key; a key that is not there is no error.
func (t *Tx) Delete(key []byte) { t.set(key, nil) }

func (t *Tx) set(key, value []byte) {
	if len(key) == 0 || len(key) > MaxKey || len(value) > MaxValue {
		t.fail(fmt.Sprintf("key of %d and value of %d bytes", len(key), len(value)))
		return
	}
	old, had := t.writes[string(key)]
	if !had {
		t.size += len(key)
	}
	t.size += len(value) - len(old)
	if t.size > MaxBatch {
		t.fail("batch over its limit")
		return
	}
	t.writes[string(key)] = value
}

func (t *Tx) fail(detail string) {
	if t.err == nil {
		t.err = fault.Wrap(fmt.Errorf("shard %q: %s", t.Shard(), detail), fault.TooLarge, "kv.Tx", "The change is too large.")
	}
}

// Get gives the value of key as the transaction sees it, or ErrNotFound.
func (t *Tx) Get(key []byte) ([]byte, error) {
	if v, ok := t.writes[string(key)]; ok {
		if v == nil {
			return nil, ErrNotFound
		}
		return v, nil
	}
	return t.base.Get(key)
}

// GetMany gives the values of keys as the transaction sees them.
func (t *Tx) GetMany(keys [][]byte) ([][]byte, error) {
	vs, err := t.base.GetMany(keys)
	if err != nil {
		return nil, err
	}
	for i, k := range keys {
		if v, ok := t.writes[string(k)]; ok {
			vs[i] = v
		}
	}
	return vs, nil
}

// pending lists the transaction's own writes inside r, in r's order. It sorts
// only those: a large transaction that looks something up for each of its writes
// must not sort them all each time.
func (t *Tx) pending(r Range) []string {
	var in []string
	for k := range t.writes {
		if k >= string(r.From) && (r.To == nil || k < string(r.To)) {
			in = append(in, k)
		}
	}
	slices.Sort(in)
	if r.Reverse {
		slices.Reverse(in)
	}
	return in
}

// Scan calls fn for each pair in r as the transaction sees them. fn must not
// write to the transaction.
func (t *Tx) Scan(r Range, fn func(key, value []byte) bool) error {
	own := t.pending(r)
	if len(own) == 0 {
		return t.base.Scan(r, fn)
	}
	left, stopped := r.Limit, false
	emit := func(k, v []byte) bool {
		if v == nil {
			return true
		}
		if !fn(k, v) {
			stopped = true
			return false
		}
		left--
		if r.Limit > 0 && left == 0 {
			stopped = true
			return false
		}
		return true
	}
	before := func(own string, key []byte) bool {
		if r.Reverse {
			return own > string(key)
		}
		return own < string(key)
	}
	all := r
	all.Limit = 0 // deletions of our own may swallow some
	err := t.base.Scan(all, func(k, v []byte) bool {
		for len(own) > 0 && before(own[0], k) {
			o := own[0]
			own = own[1:]
			if !emit([]byte(o), t.writes[o]) {
				return false
			}
		}
		if len(own) > 0 && own[0] == string(k) {
			v, own = t.writes[own[0]], own[1:]
		}
		return emit(k, v)
	})
	for _, o := range own {
		if err != nil || stopped || !emit([]byte(o), t.writes[o]) {
			break
		}
	}
	return err
}

func (t *Tx) batch(lazy bool) *Batch {
	b := &Batch{Shard: t.Shard(), Expect: t.Version(), Lazy: lazy, Writes: make([]Write, 0, len(t.writes))}
	for _, k := range slices.Sorted(maps.Keys(t.writes)) {
		b.Writes = append(b.Writes, Write{Key: []byte(k), Value: t.writes[k]})
	}
	return b
}

// PrefixRange is the range of all keys that begin with prefix.
func PrefixRange(prefix []byte) Range {
	return Range{From: prefix, To: PrefixEnd(prefix)}
}

// PrefixEnd is the first key after all those that begin with prefix; nil where
// there is none.
func PrefixEnd(prefix []byte) []byte {
	end := bytes.Clone(prefix)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i] != 0xff {
			end[i]++
			return end[:i+1]
		}
	}
	return nil
}

var _ Reader = (*Tx)(nil)
