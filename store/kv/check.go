package kv

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/mohar-mail/mohar/base/fault"
)

// Check says whether s is a legal name: 1 to MaxShard bytes without a zero
// byte, which backends use as separator. The error is fault.Invalid.
func (s Shard) Check() error {
	if len(s) == 0 || len(s) > MaxShard || strings.IndexByte(string(s), 0) >= 0 {
		return fault.Wrap(fmt.Errorf("shard name %q", string(s)), fault.Invalid, "kv.Shard", "The storage was asked for an impossible name.")
	}
	return nil
}

// Check says whether b keeps the limits and the order that backends rely on:
// fault.TooLarge for a key, value or whole over its limit, fault.Invalid for
// anything else. Backends call it first in Commit.
func (b *Batch) Check() error {
	if err := b.Shard.Check(); err != nil {
		return err
	}
	size := 0
	for i, w := range b.Writes {
		if len(w.Key) == 0 || (i > 0 && bytes.Compare(b.Writes[i-1].Key, w.Key) >= 0) {
			return fault.Wrap(fmt.Errorf("shard %q: key %d is empty or out of order", b.Shard, i), fault.Invalid, "kv.Batch", "The storage was given a malformed change.")
		}
		size += len(w.Key) + len(w.Value)
		if len(w.Key) > MaxKey || len(w.Value) > MaxValue || size > MaxBatch {
			return fault.Wrap(fmt.Errorf("shard %q: key of %d, value of %d, batch of %d bytes or more", b.Shard, len(w.Key), len(w.Value), size),
				fault.TooLarge, "kv.Batch", "The change is too large.")
		}
	}
	return nil
}
