package queue

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/store/kv"
)

// recovered is how many leases one transaction gives back.
const recovered = 1000

// Recover makes due again what an earlier process had leased when it died. Only
// a server that holds the data alone may call it, before its workers start: the
// leases of a living worker elsewhere would be given away.
func (q *Queue) Recover(ctx context.Context) error {
	for lane := range q.lanes {
		for _, c := range []Class{Local, Remote} {
			if err := q.recoverClass(ctx, lane, c); err != nil {
				return err
			}
		}
	}
	return nil
}

// recoverClass goes through what is not due yet, in pages; a lease shows itself
// by standing at another time than its recipient says.
func (q *Queue) recoverClass(ctx context.Context, lane int, c Class) error {
	from := keyDue(c, q.clock.Now(), ItemID{}, 0)
	for from != nil {
		var next []byte
		err := q.kv.Update(ctx, Lane(lane), func(tx *kv.Tx) error {
			next = nil
			var keys [][]byte
			rg := kv.Range{From: from, To: kv.PrefixEnd([]byte{'N', byte(c)}), Limit: recovered}
			err := tx.Scan(rg, func(k, _ []byte) bool {
				if len(k) == 30 {
					keys = append(keys, append([]byte(nil), k...))
				}
				return true
			})
			if err != nil {
				return err
			}
			if len(keys) == recovered {
				next = append(keys[len(keys)-1], 0)
			}
			for _, k := range keys {
				if err := giveBack(tx, k); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		from = next
	}
	return nil
}

func giveBack(tx *kv.Tx, key []byte) error {
	at := time.UnixMicro(int64(binary.BigEndian.Uint64(key[2:])))
	r, err := getRecipient(tx, ItemID(key[10:26]), binary.BigEndian.Uint32(key[26:]))
	if fault.Is(err, fault.NotFound) {
		return nil // the check reports it
	}
	if err != nil {
		return err
	}
	if r.Due.Equal(at) || r.Class == Held {
		return nil
	}
	tx.Delete(key)
	tx.Put(keyDue(r.Class, r.Due, r.Item, r.N), []byte(r.to()))
	return nil
}
