package pebblekv_test

import (
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/store/kv"
)

// TestTablesFull: when flushes fail, commits are refused before memory runs
// full; when there is room again they are taken, without a restart, and nothing
// that was acknowledged is missing.
func TestTablesFull(t *testing.T) {
	t.Parallel()
	ffs := &faultFS{FS: vfs.NewMem(), match: func(n string) bool { return strings.HasSuffix(n, ".sst") }}
	ffs.usage.Store(1 << 40)
	ffs.failing.Store(true)
	db := open(t, "db", small(ffs))
	version := uint64(0)
	commit := func() error {
		ticket, err := db.Commit(t.Context(), &kv.Batch{Shard: "a", Expect: version, Writes: []kv.Write{
			{Key: []byte{byte(version >> 8), byte(version)}, Value: make([]byte, 20<<10)},
		}})
		if err == nil {
			err = ticket.Wait()
		}
		if err == nil {
			version++
		}
		return err
	}
	var err error
	for err == nil && version < 2000 {
		err = commit()
	}
	if !fault.Is(err, fault.NoSpace) {
		t.Fatalf("after %d commits without room for tables: %v", version, err)
	}
	ffs.failing.Store(false)
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if err = commit(); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("commits are still refused: %v", err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = open(t, "db", small(ffs))
	if got, rows := rows(t, db, "a"); got != version || uint64(len(rows)) != version {
		t.Errorf("version %d with %d rows, want %d", got, len(rows), version)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}
