package table

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/store/kv"
)

// schemaKey holds the schema version of a shard, as 8 bytes big endian. No
// table's prefix may begin with '!'.
const schemaKey = "!schema"

// Migration brings the rows of one shard from the version before it to its own.
type Migration struct {
	Version uint64 // rising by one from 1
	Name    string
	// Apply changes the shard inside tx. It must read rows of the version before.
	Apply func(tx *kv.Tx) error
}

// Schema is the history of a kind of shard.
type Schema struct {
	Name       string
	Migrations []Migration
}

// Version is the version that this binary writes.
func (s *Schema) Version() uint64 { return uint64(len(s.Migrations)) }

// Upgrade brings one shard to Version, one migration a transaction, so that a
// kill between two leaves a shard that the next start goes on with. A shard
// written by a newer binary is fault.Unsupported: nothing is touched.
func (s *Schema) Upgrade(ctx context.Context, store *kv.Store, shard kv.Shard) error {
	for {
		done := false
		err := store.Update(ctx, shard, func(tx *kv.Tx) error {
			at, err := schemaVersion(tx)
			if err != nil {
				return err
			}
			if at > s.Version() {
				return fault.New(fault.Unsupported, "table.Upgrade",
					fmt.Sprintf("The data of %s is of version %d; this program knows %d. Use a newer program.", s.Name, at, s.Version()))
			}
			if done = at == s.Version(); done {
				return nil
			}
			m := s.Migrations[at]
			if err := m.Apply(tx); err != nil {
				return fmt.Errorf("%s: migration %d %s: %w", s.Name, m.Version, m.Name, err)
			}
			tx.Put([]byte(schemaKey), binary.BigEndian.AppendUint64(nil, m.Version))
			return nil
		})
		if err != nil || done {
			return err
		}
	}
}

func schemaVersion(r kv.Reader) (uint64, error) {
	v, err := r.Get([]byte(schemaKey))
	if errors.Is(err, kv.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	if len(v) != 8 {
		return 0, fault.New(fault.Corrupt, "table.Upgrade", "The schema version cannot be read.")
	}
	return binary.BigEndian.Uint64(v), nil
}
