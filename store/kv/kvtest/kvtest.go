// Package kvtest is the suite that every backend of kv passes.
//
// Owns:      nothing.
// Trusts:    the backend to be empty when it is opened.
// May touch: the backend under test.
package kvtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/store/kv"
)

// Run tests the backend that open makes; each call opens a new, empty one. The
// suite closes what it opened.
func Run(t *testing.T, open func(t *testing.T) kv.DB) {
	tests := []struct {
		name string
		run  func(t *testing.T, db kv.DB)
	}{
		{"Commit", testCommit},
		{"Conflict", testConflict},
		{"SnapshotIsolation", testIsolation},
		{"Scan", testScan},
		{"GetMany", testGetMany},
		{"EmptyAndAbsent", testEmpty},
		{"BinaryKeys", testBinary},
		{"ShardPrefixes", testShardPrefixes},
		{"Limits", testLimits},
		{"LargeValues", testLarge},
		{"Shards", testShards},
		{"CommitCopies", testCopies},
		{"Lazy", testLazy},
		{"Counters", testCounters},
		{"Model", testModel},
		{"Cancelled", testCancelled},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			db := open(t)
			defer func() {
				if err := db.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
			}()
			tt.run(t, db)
		})
	}
	t.Run("Closed", func(t *testing.T) {
		t.Parallel()
		testClosed(t, open(t))
	})
}

// Write commits writes given as pairs "key", "value"; a value of "-" deletes.
// It fails the test on an error and gives the new version.
func Write(t testing.TB, db kv.DB, shard kv.Shard, expect uint64, pairs ...string) uint64 {
	t.Helper()
	ticket, err := db.Commit(t.Context(), batch(shard, expect, pairs...))
	if err != nil {
		t.Fatalf("Commit: %v", err)
	}
	if err := ticket.Wait(); err != nil {
		t.Fatalf("Wait: %v", err)
	}
	return expect + 1
}

func batch(shard kv.Shard, expect uint64, pairs ...string) *kv.Batch {
	b := &kv.Batch{Shard: shard, Expect: expect}
	for i := 0; i < len(pairs); i += 2 {
		w := kv.Write{Key: []byte(pairs[i]), Value: []byte(pairs[i+1])}
		if pairs[i+1] == "-" {
			w.Value = nil
		}
		b.Writes = append(b.Writes, w)
	}
	slices.SortFunc(b.Writes, func(a, b kv.Write) int { return strings.Compare(string(a.Key), string(b.Key)) })
	return b
}

func snapshot(t testing.TB, db kv.DB, shard kv.Shard) kv.Snapshot {
	t.Helper()
	s, err := db.Snapshot(t.Context(), shard)
	if err != nil {
		t.Fatalf("Snapshot: %v", err)
	}
	return s
}

// Dump gives the rows of r as "key=value" words.
func Dump(t testing.TB, r kv.Reader, span kv.Range) []string {
	t.Helper()
	out := []string{}
	if err := r.Scan(span, func(k, v []byte) bool {
		out = append(out, string(k)+"="+string(v))
		return true
	}); err != nil {
		t.Fatalf("Scan: %v", err)
	}
	return out
}

func wantRows(t testing.TB, db kv.DB, shard kv.Shard, version uint64, rows ...string) {
	t.Helper()
	s := snapshot(t, db, shard)
	defer s.Release()
	if s.Version() != version || s.Shard() != shard {
		t.Errorf("shard %q version %d, want %q %d", s.Shard(), s.Version(), shard, version)
	}
	if got := Dump(t, s, kv.Range{}); !slices.Equal(got, append([]string{}, rows...)) {
		t.Errorf("shard %q rows %q, want %q", shard, got, rows)
	}
}

func testCommit(t *testing.T, db kv.DB) {
	wantRows(t, db, "a", 0)
	v := Write(t, db, "a", 0, "x", "1", "y", "2", "z", "3")
	wantRows(t, db, "a", v, "x=1", "y=2", "z=3")
	v = Write(t, db, "a", v, "x", "10", "y", "-", "absent", "-")
	wantRows(t, db, "a", v, "x=10", "z=3")
	v = Write(t, db, "a", v, "x", "-", "z", "-")
	wantRows(t, db, "a", v)
	v = Write(t, db, "a", v, "y", "again")
	wantRows(t, db, "a", v, "y=again")
}

func testConflict(t *testing.T, db kv.DB) {
	ctx := t.Context()
	v := Write(t, db, "a", 0, "x", "1")
	for _, expect := range []uint64{0, v + 1, 1 << 40} {
		if _, err := db.Commit(ctx, batch("a", expect, "x", "lost", "y", "lost")); !errors.Is(err, kv.ErrConflict) {
			t.Errorf("Commit expecting %d: %v, want ErrConflict", expect, err)
		}
	}
	if _, err := db.Commit(ctx, batch("new", 1, "x", "lost")); !errors.Is(err, kv.ErrConflict) {
		t.Errorf("Commit to a new shard expecting 1: %v", err)
	}
	wantRows(t, db, "a", v, "x=1")
	wantRows(t, db, "new", 0)

	// Of many that read the same version exactly one wins, with all it wrote.
	const writers = 16
	var wg sync.WaitGroup
	won := make([]bool, writers)
	for i := range writers {
		wg.Go(func() {
			tag := fmt.Sprint(i)
			ticket, err := db.Commit(ctx, batch("a", v, "p", tag, "q", tag, "x", tag))
			switch {
			case err == nil:
				won[i] = ticket.Wait() == nil
			case !errors.Is(err, kv.ErrConflict):
				t.Errorf("Commit: %v", err)
			}
		})
	}
	wg.Wait()
	winner := slices.Index(won, true)
	if winner < 0 || slices.Contains(won[winner+1:], true) {
		t.Fatalf("winners %v, want exactly one", won)
	}
	wantRows(t, db, "a", v+1, fmt.Sprintf("p=%d", winner), fmt.Sprintf("q=%d", winner), fmt.Sprintf("x=%d", winner))
}

func testIsolation(t *testing.T, db kv.DB) {
	v := Write(t, db, "a", 0, "x", "1", "y", "1")
	old := snapshot(t, db, "a")
	defer old.Release()
	empty := snapshot(t, db, "later")
	defer empty.Release()
	v = Write(t, db, "a", v, "x", "2", "y", "-", "z", "2")
	Write(t, db, "later", 0, "k", "v")
	mid := snapshot(t, db, "a")
	defer mid.Release()
	Write(t, db, "a", v, "x", "3", "y", "3")

	if got := Dump(t, old, kv.Range{}); !slices.Equal(got, []string{"x=1", "y=1"}) || old.Version() != 1 {
		t.Errorf("old snapshot: version %d, %q", old.Version(), got)
	}
	if got := Dump(t, mid, kv.Range{}); !slices.Equal(got, []string{"x=2", "z=2"}) || mid.Version() != 2 {
		t.Errorf("middle snapshot: version %d, %q", mid.Version(), got)
	}
	if got, err := old.Get([]byte("x")); err != nil || string(got) != "1" {
		t.Errorf("old Get: %q, %v", got, err)
	}
	if _, err := old.Get([]byte("z")); !errors.Is(err, kv.ErrNotFound) {
		t.Errorf("old Get of a later key: %v", err)
	}
	if got := Dump(t, empty, kv.Range{}); len(got) != 0 || empty.Version() != 0 {
		t.Errorf("snapshot of a shard not yet written: %q", got)
	}
	wantRows(t, db, "a", 3, "x=3", "y=3", "z=2")
}

func testScan(t *testing.T, db kv.DB) {
	Write(t, db, "a", 0, "b", "1", "c", "2", "d", "3", "e", "4", "f", "5")
	s := snapshot(t, db, "a")
	defer s.Release()
	k := func(s string) []byte { return []byte(s) }
	for _, tt := range []struct {
		name string
		r    kv.Range
		want string
	}{
		{"all", kv.Range{}, "b=1 c=2 d=3 e=4 f=5"},
		{"all back", kv.Range{Reverse: true}, "f=5 e=4 d=3 c=2 b=1"},
		{"from", kv.Range{From: k("d")}, "d=3 e=4 f=5"},
		{"from back", kv.Range{From: k("d"), Reverse: true}, "f=5 e=4 d=3"},
		{"to", kv.Range{To: k("d")}, "b=1 c=2"},
		{"to back", kv.Range{To: k("d"), Reverse: true}, "c=2 b=1"},
		{"between keys", kv.Range{From: k("bb"), To: k("ee")}, "c=2 d=3 e=4"},
		{"between keys back", kv.Range{From: k("bb"), To: k("ee"), Reverse: true}, "e=4 d=3 c=2"},
		{"limit", kv.Range{Limit: 2}, "b=1 c=2"},
		{"limit back", kv.Range{Limit: 2, Reverse: true}, "f=5 e=4"},
		{"limit in range", kv.Range{From: k("c"), To: k("f"), Limit: 1, Reverse: true}, "e=4"},
		{"limit beyond", kv.Range{From: k("e"), Limit: 9}, "e=4 f=5"},
		{"empty", kv.Range{From: k("c"), To: k("c")}, ""},
		{"inverted", kv.Range{From: k("e"), To: k("c")}, ""},
		{"inverted back", kv.Range{From: k("e"), To: k("c"), Reverse: true}, ""},
		{"empty To", kv.Range{To: []byte{}}, ""},
		{"before all", kv.Range{To: k("a")}, ""},
		{"after all", kv.Range{From: k("g"), Reverse: true}, ""},
		{"prefix", kv.PrefixRange(k("d")), "d=3"},
	} {
		if got := strings.Join(Dump(t, s, tt.r), " "); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	calls := 0
	if err := s.Scan(kv.Range{}, func(_, _ []byte) bool { calls++; return calls < 3 }); err != nil || calls != 3 {
		t.Errorf("stopped scan: %d calls, %v", calls, err)
	}
	// A callback may read the same snapshot.
	if err := s.Scan(kv.Range{Limit: 1}, func(k, v []byte) bool {
		got, err := s.Get(k)
		if err != nil || string(got) != string(v) {
			t.Errorf("Get inside Scan: %q, %v", got, err)
		}
		return true
	}); err != nil {
		t.Error(err)
	}
}

func testGetMany(t *testing.T, db kv.DB) {
	Write(t, db, "a", 0, "b", "1", "c", "", "d", "3")
	s := snapshot(t, db, "a")
	defer s.Release()
	got, err := s.GetMany([][]byte{[]byte("d"), []byte("no"), []byte("b"), []byte("c"), []byte("b")})
	if err != nil || len(got) != 5 {
		t.Fatalf("GetMany: %q, %v", got, err)
	}
	if string(got[0]) != "3" || got[1] != nil || string(got[2]) != "1" || got[3] == nil || len(got[3]) != 0 || string(got[4]) != "1" {
		t.Errorf("GetMany: %q", got)
	}
	if got, err := s.GetMany(nil); err != nil || len(got) != 0 {
		t.Errorf("GetMany of nothing: %q, %v", got, err)
	}
}

func testEmpty(t *testing.T, db kv.DB) {
	Write(t, db, "a", 0, "empty", "")
	s := snapshot(t, db, "a")
	defer s.Release()
	if v, err := s.Get([]byte("empty")); err != nil || v == nil || len(v) != 0 {
		t.Errorf("Get of an empty value: %v, %v", v, err)
	}
	for _, k := range []string{"absent", "", "empt", "empty\x00"} {
		if v, err := s.Get([]byte(k)); !errors.Is(err, kv.ErrNotFound) || v != nil {
			t.Errorf("Get(%q): %v, %v, want ErrNotFound", k, v, err)
		}
	}
	seen := 0
	if err := s.Scan(kv.Range{}, func(k, v []byte) bool {
		if seen++; string(k) != "empty" || v == nil || len(v) != 0 {
			t.Errorf("Scan gives %q, %v", k, v)
		}
		return true
	}); err != nil || seen != 1 {
		t.Errorf("Scan: %d rows, %v", seen, err)
	}
}

func testCancelled(t *testing.T, db kv.DB) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := db.Snapshot(ctx, "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("Snapshot: %v", err)
	}
	if _, err := db.Commit(ctx, batch("a", 0, "k", "v")); !errors.Is(err, context.Canceled) {
		t.Errorf("Commit: %v", err)
	}
	wantRows(t, db, "a", 0)
}

func testClosed(t *testing.T, db kv.DB) {
	Write(t, db, "a", 0, "k", "v")
	s := snapshot(t, db, "a")
	if err := db.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	ctx := t.Context()
	_, err1 := db.Snapshot(ctx, "a")
	_, err2 := db.Commit(ctx, batch("a", 1, "k", "w"))
	_, err3 := db.Shards(ctx, "", 1)
	_, err4 := s.Get([]byte("k"))
	_, err5 := s.GetMany([][]byte{[]byte("k")})
	err6 := s.Scan(kv.Range{}, func(_, _ []byte) bool { return true })
	for i, err := range []error{err1, err2, err3, err4, err5, err6, db.Close()} {
		if !errors.Is(err, kv.ErrClosed) {
			t.Errorf("operation %d after Close: %v, want ErrClosed", i+1, err)
		}
	}
	s.Release()
}

func wantKind(t testing.TB, what string, err error, kind fault.Kind) {
	t.Helper()
	if !fault.Is(err, kind) {
		t.Errorf("%s: %v, want %v", what, err, kind)
	}
}
