package mailbox

import (
	"context"
	"encoding/binary"
	"strings"
	"time"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/store/body"
	"github.com/mohar-mail/mohar/store/kv"
)

// PurgeBatch is how many markers of delivery, or applied releases, one
// transaction removes at most.
const PurgeBatch = 1_000

// Release is a body of another shard of which an account has let go. It is
// applied in the body's home, once, and forgotten here afterwards.
type Release struct {
	Seq uint64 // rising within the account, never used again
	Ref body.Ref
}

// Damaged says that the row could not be read: its Ref is empty. It stays where
// it is, for the check to report.
func (r Release) Damaged() bool { return r.Ref.Home == "" }

// AccountOf gives the account whose shard s is; false for other shards.
func AccountOf(s kv.Shard) (mohar.AccountID, bool) {
	id, ok := strings.CutPrefix(string(s), string(Shard("")))
	return mohar.AccountID(id), ok && id != ""
}

// Releases gives up to limit pending releases of an account after seq, oldest
// first. An account without a store has none.
func (s *Store) Releases(ctx context.Context, a mohar.AccountID, after uint64, limit int) ([]Release, error) {
	var out []Release
	err := s.kv.View(ctx, Shard(a), func(r kv.Reader) error {
		return releases(r, after, limit, func(rel Release) { out = append(out, rel) })
	})
	return out, err
}

// Releases calls fn for all pending releases of the account, oldest first.
func (r *Reader) Releases(fn func(Release)) error { return releases(r.r, 0, 0, fn) }

func releases(r kv.Reader, after uint64, limit int, fn func(Release)) error {
	if after == 1<<64-1 {
		return nil
	}
	rg := kv.Range{From: keyRelease(after + 1), To: kv.PrefixEnd([]byte("X")), Limit: limit}
	return r.Scan(rg, func(k, v []byte) bool {
		if len(k) != 9 {
			return true
		}
		rel := Release{Seq: binary.BigEndian.Uint64(k[1:])}
		if ref, err := body.ParseRef(string(v)); err == nil {
			rel.Ref = ref
		}
		fn(rel)
		return true
	})
}

// ForgetReleases removes releases that have been applied. A crash may bring them
// back: whoever applies them remembers the last Seq and applies none twice.
func (s *Store) ForgetReleases(ctx context.Context, a mohar.AccountID, seqs []uint64) error {
	for len(seqs) > 0 {
		n := min(len(seqs), PurgeBatch)
		err := s.kv.UpdateLazy(ctx, Shard(a), func(tx *kv.Tx) error {
			for _, seq := range seqs[:n] {
				tx.Delete(keyRelease(seq))
			}
			return nil
		})
		if err != nil {
			return err
		}
		seqs = seqs[n:]
	}
	return nil
}

// PurgeDelivered forgets the queue items that were delivered to an account
// before a time, at most PurgeBatch in one transaction, and says how many. It
// keeps those of which keep says that the queue may still deliver them: without
// its marker such an item would arrive a second time.
func (s *Store) PurgeDelivered(ctx context.Context, a mohar.AccountID, before time.Time, keep func(item [16]byte) (bool, error)) (int, error) {
	purged := 0
	from := []byte("D")
	for from != nil {
		old, next, err := s.delivered(ctx, a, from, before)
		if err != nil {
			return purged, err
		}
		from = next
		var gone [][16]byte
		for _, item := range old {
			kept, err := keep(item)
			if err != nil {
				return purged, err
			}
			if !kept {
				gone = append(gone, item)
			}
		}
		if len(gone) == 0 {
			continue
		}
		err = s.kv.UpdateLazy(ctx, Shard(a), func(tx *kv.Tx) error {
			for _, item := range gone {
				tx.Delete(keyDelivered(item))
			}
			return nil
		})
		if err != nil {
			return purged, err
		}
		purged += len(gone)
	}
	return purged, nil
}

// delivered lists up to PurgeBatch markers from a key on that are older than a
// time; next is the key to go on from, nil at the end.
func (s *Store) delivered(ctx context.Context, a mohar.AccountID, from []byte, before time.Time) (old [][16]byte, next []byte, err error) {
	err = s.kv.View(ctx, Shard(a), func(r kv.Reader) error {
		return r.Scan(kv.Range{From: from, To: kv.PrefixEnd([]byte("D"))}, func(k, v []byte) bool {
			// The value is email(8) seconds(8); what is not belongs to the check.
			if len(k) != 17 || len(v) != 16 || int64(binary.BigEndian.Uint64(v[8:])) >= before.Unix() {
				return true
			}
			if len(old) == PurgeBatch {
				next = append([]byte(nil), k...)
				return false
			}
			old = append(old, [16]byte(k[1:]))
			return true
		})
	})
	return old, next, err
}

// BodyHolds counts for each body how many references the account has on it. That
// is one where its emails came to it by copying, and one more for each further
// time that the same body was delivered: to two addresses of one person, say.
func (r *Reader) BodyHolds(fn func(ref body.Ref, n uint64)) error {
	emails := map[kv.Shard]map[[16]byte]uint64{}
	err := r.EachEmail(0, func(e *Email) bool {
		of := emails[e.Body.Home]
		if of == nil {
			of = map[[16]byte]uint64{}
			emails[kv.Shard(strings.Clone(string(e.Body.Home)))] = of
		}
		of[e.Body.ID]++
		return true
	})
	if err != nil {
		return err
	}
	for home, of := range emails {
		for id, n := range of {
			ref := body.Ref{Home: home, ID: id}
			shared, err := sharedBy(r.r, ref)
			if err != nil {
				return err
			}
			// Of the emails that share the body all but one came by copying.
			fn(ref, n-min(max(shared, 1)-1, n-1))
		}
	}
	return nil
}
