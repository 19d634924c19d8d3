package body

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/store/blob"
	"github.com/mohar-mail/mohar/store/kv"
)

// Pages of a check, so that no snapshot is held for long.
const (
	checkContents = 256  // content rows, each up to kv.MaxValue
	checkCounts   = 4096 // count rows
)

// Rows counts the references that the home shard has recorded for a body, 0
// where it has no row, and says whether its content row is there. r reads the
// home shard.
func Rows(r kv.Reader, ref Ref) (refs uint64, content bool, err error) {
	rows, err := r.GetMany([][]byte{ref.countKey(), ref.contentKey()})
	if err != nil {
		return 0, false, err
	}
	if rows[0] != nil {
		c, err := parseCount(rows[0])
		if err != nil {
			return 0, false, err
		}
		refs = c.refs
	}
	return refs, rows[1] != nil, nil
}

// Counts calls fn for every body of a shard with the references recorded for it,
// in the order of ids, page by page: what changes meanwhile is seen or not. A row
// that cannot be read is passed over; Check tells of it.
func (b *Bodies) Counts(ctx context.Context, shard kv.Shard, fn func(ref Ref, refs uint64)) error {
	return b.pages(ctx, shard, "br/", checkCounts, func(_ kv.Reader, ref Ref, v []byte) error {
		if c, err := parseCount(v); err == nil {
			fn(ref, c.refs)
		}
		return nil
	})
}

func parseCount(v []byte) (count, error) {
	refs, n := binary.Uvarint(v)
	if n <= 0 || refs == 0 || len(v)-n > blob.MaxLocation {
		return count{}, corrupt(errors.New("count row of an unknown form"))
	}
	return count{refs: refs, loc: blob.Location(v[n:])}, nil
}

// pages calls fn for the rows of a shard under a prefix, a page in one view. v is
// valid during the call, r during the page.
func (b *Bodies) pages(ctx context.Context, shard kv.Shard, prefix string, page int, fn func(r kv.Reader, ref Ref, v []byte) error) error {
	from, end := []byte(prefix), kv.PrefixEnd([]byte(prefix))
	for from != nil {
		start := from
		from = nil
		err := b.kv.View(ctx, shard, func(r kv.Reader) error {
			var bad error
			seen := 0
			err := r.Scan(kv.Range{From: start, To: end, Limit: page}, func(k, v []byte) bool {
				if seen++; seen == page {
					from = append(bytes.Clone(k), 0)
				}
				ref := Ref{Home: shard}
				if len(k) != len(prefix)+len(ref.ID) {
					return true // not ours
				}
				copy(ref.ID[:], k[len(prefix):])
				bad = fn(r, ref, v)
				return bad == nil
			})
			return errors.Join(err, bad)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Check reads every body whose home is shard and calls fn for each that is not
// sound: its row cannot be read, its content does not match the checksum or is
// gone, or one of its two rows is missing. The server may be at work: a body
// that goes meanwhile is no problem.
func (b *Bodies) Check(ctx context.Context, shard kv.Shard, fn func(ref Ref, problem string)) error {
	var large []Ref
	err := b.pages(ctx, shard, "b/", checkContents, func(r kv.Reader, ref Ref, v []byte) error {
		problem, inBlob, err := b.checkRow(r, ref, v)
		if problem != "" {
			fn(ref, problem)
		}
		if inBlob {
			large = append(large, ref)
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, ref := range large {
		problem, err := b.checkBlob(ctx, ref)
		if err != nil {
			return err
		}
		if problem != "" {
			fn(ref, problem)
		}
	}
	return b.pages(ctx, shard, "br/", checkCounts, func(r kv.Reader, ref Ref, v []byte) error {
		if _, err := parseCount(v); err != nil {
			fn(ref, "its count of references cannot be read")
		}
		if _, err := r.Get(ref.contentKey()); errors.Is(err, kv.ErrNotFound) {
			fn(ref, "references are counted, but its content row is missing")
		} else if err != nil {
			return err
		}
		return nil
	})
}

// checkRow verifies one content row; inBlob says that the content itself is
// still to be read.
func (b *Bodies) checkRow(r kv.Reader, ref Ref, v []byte) (problem string, large bool, err error) {
	raw, err := r.Get(ref.countKey())
	if errors.Is(err, kv.ErrNotFound) {
		return "its count of references is missing", false, nil
	}
	if err != nil {
		return "", false, err
	}
	row, err := parseRow(v)
	if err != nil {
		return "its content row cannot be read", false, nil
	}
	if row.codec == inBlob {
		if c, err := parseCount(raw); err == nil && c.loc != blob.Location(row.data) {
			return fmt.Sprintf("its content is at %q, its count says %q", row.data, c.loc), false, nil
		}
		return "", true, nil
	}
	content := row.data
	if row.codec == zstdHot {
		if content, err = b.dec.DecodeAll(row.data, make([]byte, 0, row.size)); err != nil {
			return "its content cannot be decompressed", false, nil
		}
	}
	if verify(ref, row, content) != nil {
		return "its content does not match its checksum", false, nil
	}
	return "", false, nil
}

// checkBlob reads a large body through, in memory of a fixed size.
func (b *Bodies) checkBlob(ctx context.Context, ref Ref) (string, error) {
	c, err := b.Open(ctx, ref)
	if fault.Is(err, fault.NotFound) {
		return "", nil // let go of since the row was seen
	}
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	n, err := io.Copy(sum, c)
	problem := ""
	switch {
	case fault.Is(err, fault.NotFound):
		problem = "its content is not in the content store"
	case fault.Is(err, fault.Corrupt):
		problem = "its content is damaged in the content store"
	case err != nil && !errors.Is(err, io.ErrUnexpectedEOF):
		return "", err
	case n != c.size:
		problem = fmt.Sprintf("its content has %d octets, its row says %d", n, c.size)
	case [sha256.Size]byte(sum.Sum(nil)) != c.sum:
		problem = "its content does not match its checksum"
	}
	if problem == "" {
		return "", nil
	}
	// The blob goes after the rows: only while they stand is its absence a loss.
	err = b.kv.View(ctx, ref.Home, func(r kv.Reader) error {
		if _, err := r.Get(ref.contentKey()); errors.Is(err, kv.ErrNotFound) {
			problem = ""
			return nil
		} else {
			return err
		}
	})
	return problem, err
}
