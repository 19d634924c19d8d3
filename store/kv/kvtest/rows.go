package kvtest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/store/kv"
)

func testBinary(t *testing.T, db kv.DB) {
	// In byte order: separators, bounds and signs that a backend may trip over.
	keys := []string{"\x00", "\x00\x00", "\x00\xff", "\x01", "a", "a\x00", "a\x00b", "a\xff", "\xfe\xff", "\xff", "\xff\x00", "\xff\xff\xff"}
	var pairs, want []string
	for i, k := range keys {
		pairs = append(pairs, k, fmt.Sprint(i))
		want = append(want, fmt.Sprintf("%s=%d", k, i))
	}
	Write(t, db, "a", 0, pairs...)
	wantRows(t, db, "a", 1, want...)
	s := snapshot(t, db, "a")
	defer s.Release()
	for i, k := range keys {
		if v, err := s.Get([]byte(k)); err != nil || string(v) != fmt.Sprint(i) {
			t.Errorf("Get(%q) = %q, %v", k, v, err)
		}
		if got := Dump(t, s, kv.Range{From: []byte(k)}); !slices.Equal(got, want[i:]) {
			t.Errorf("from %q: %q", k, got)
		}
		if got := Dump(t, s, kv.Range{To: []byte(k)}); !slices.Equal(got, want[:i]) {
			t.Errorf("to %q: %q", k, got)
		}
	}
	if got := Dump(t, s, kv.PrefixRange([]byte("\xff"))); !slices.Equal(got, want[9:]) {
		t.Errorf("prefix 0xff: %q", got)
	}
	back := slices.Clone(want)
	slices.Reverse(back)
	if got := Dump(t, s, kv.Range{Reverse: true}); !slices.Equal(got, back) {
		t.Errorf("backwards: %q", got)
	}
}

func testShardPrefixes(t *testing.T, db kv.DB) {
	shards := []kv.Shard{"a", "a\x01", "a\xff", "aa", "ab", "b", "\x01", "\xff", kv.Shard(strings.Repeat("s", kv.MaxShard))}
	for i, s := range shards {
		Write(t, db, s, 0, "\x00", fmt.Sprint(i), "b", fmt.Sprint(i), "\xff\xff", fmt.Sprint(i))
	}
	Write(t, db, "ab", 1, "\x00", "-", "b", "-", "\xff\xff", "-")
	for i, s := range shards {
		if s == "ab" {
			wantRows(t, db, s, 2)
			continue
		}
		wantRows(t, db, s, 1, fmt.Sprintf("\x00=%d", i), fmt.Sprintf("b=%d", i), fmt.Sprintf("\xff\xff=%d", i))
	}
}

func testLimits(t *testing.T, db kv.DB) {
	ctx := t.Context()
	long := func(n int) []byte { return bytes.Repeat([]byte("k"), n) }
	commit := func(s kv.Shard, w ...kv.Write) error {
		_, err := db.Commit(ctx, &kv.Batch{Shard: s, Writes: w})
		return err
	}
	one := kv.Write{Key: []byte("k"), Value: []byte("v")}
	wantKind(t, "no shard", commit("", one), fault.Invalid)
	wantKind(t, "long shard", commit(kv.Shard(long(kv.MaxShard+1)), one), fault.Invalid)
	wantKind(t, "zero in shard", commit("a\x00b", one), fault.Invalid)
	wantKind(t, "no key", commit("a", kv.Write{Value: []byte("v")}), fault.Invalid)
	wantKind(t, "long key", commit("a", kv.Write{Key: long(kv.MaxKey + 1), Value: []byte("v")}), fault.TooLarge)
	wantKind(t, "large value", commit("a", kv.Write{Key: []byte("k"), Value: make([]byte, kv.MaxValue+1)}), fault.TooLarge)
	wantKind(t, "repeated key", commit("a", one, one), fault.Invalid)
	wantKind(t, "falling keys", commit("a", kv.Write{Key: []byte("l"), Value: []byte("v")}, one), fault.Invalid)
	var many []kv.Write
	value := make([]byte, kv.MaxValue)
	for i := range kv.MaxBatch / kv.MaxValue {
		many = append(many, kv.Write{Key: fmt.Appendf(nil, "%03d", i), Value: value})
	}
	wantKind(t, "large batch", commit("a", many...), fault.TooLarge)
	_, err := db.Snapshot(ctx, "a\x00")
	wantKind(t, "snapshot of a bad shard", err, fault.Invalid)
	wantRows(t, db, "a", 0)
}

func testLarge(t *testing.T, db kv.DB) {
	key := bytes.Repeat([]byte{0xff}, kv.MaxKey)
	value := make([]byte, kv.MaxValue)
	for i := range value {
		value[i] = byte(i * 7 / 5)
	}
	b := &kv.Batch{Shard: "a"}
	for i := range byte(20) { // far over what a memtable of a small backend takes
		b.Writes = append(b.Writes, kv.Write{Key: []byte{i}, Value: value})
	}
	b.Writes = append(b.Writes, kv.Write{Key: key, Value: value})
	ticket, err := db.Commit(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	if err := ticket.Wait(); err != nil {
		t.Fatal(err)
	}
	s := snapshot(t, db, "a")
	defer s.Release()
	for _, k := range [][]byte{{0}, {19}, key} {
		if got, err := s.Get(k); err != nil || !bytes.Equal(got, value) {
			t.Errorf("Get of a large value: %d bytes, %v", len(got), err)
		}
	}
}

func testShards(t *testing.T, db kv.DB) {
	ctx := t.Context()
	if got, err := db.Shards(ctx, "", 10); err != nil || len(got) != 0 {
		t.Errorf("Shards of nothing: %q, %v", got, err)
	}
	want := []kv.Shard{"\x01", "a", "a\x01", "ab", "a\xff", "b", "\xff", "\xff\xff"}
	for i := range want {
		Write(t, db, want[len(want)-1-i], 0, "\x00", "1", "k", "1", "\xff", "1")
	}
	if got, err := db.Shards(ctx, "", 100); err != nil || !slices.Equal(got, want) {
		t.Errorf("Shards: %q, %v", got, err)
	}
	var paged []kv.Shard
	for after := kv.Shard(""); ; after = paged[len(paged)-1] {
		page, err := db.Shards(ctx, after, 3)
		if err != nil {
			t.Fatal(err)
		}
		paged = append(paged, page...)
		if len(page) < 3 {
			break
		}
	}
	if !slices.Equal(paged, want) {
		t.Errorf("paged: %q", paged)
	}
	if got, err := db.Shards(ctx, "aa", 1); err != nil || !slices.Equal(got, []kv.Shard{"ab"}) {
		t.Errorf("after a shard that is not there: %q, %v", got, err)
	}
	if got, err := db.Shards(ctx, "", 0); err != nil || len(got) != 0 {
		t.Errorf("limit 0: %q, %v", got, err)
	}
}

// testCopies: a caller may use its buffers again once Commit has returned.
func testCopies(t *testing.T, db kv.DB) {
	b := batch("a", 0, "key", "value")
	ticket, err := db.Commit(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	copy(b.Writes[0].Key, "xxx")
	copy(b.Writes[0].Value, "xxxxx")
	if err := ticket.Wait(); err != nil {
		t.Fatal(err)
	}
	wantRows(t, db, "a", 1, "key=value")
}

func testLazy(t *testing.T, db kv.DB) {
	b := batch("a", 0, "k", "lazy")
	b.Lazy = true
	ticket, err := db.Commit(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := ticket.Wait(); err != nil {
				t.Errorf("Wait: %v", err)
			}
		})
	}
	wg.Wait()
	wantRows(t, db, "a", 1, "k=lazy")
	Write(t, db, "a", 1, "l", "synced")
	wantRows(t, db, "a", 2, "k=lazy", "l=synced")
}

// testCounters adds from many goroutines through kv.Store: no addition is lost.
func testCounters(t *testing.T, db kv.DB) {
	const workers, rounds, counters = 32, 12, 3
	store := kv.NewStore(db)
	ctx := t.Context()
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range rounds {
				shard := kv.Shard(fmt.Sprintf("c%d", (w+i)%counters))
				err := store.Update(ctx, shard, func(tx *kv.Tx) error {
					old, err := tx.Get([]byte("n"))
					if err != nil && !errors.Is(err, kv.ErrNotFound) {
						return err
					}
					tx.Put([]byte("n"), binary.AppendUvarint(nil, number(old)+1))
					tx.Put(fmt.Appendf(nil, "by/%d/%d", w, i), nil)
					return nil
				})
				if err != nil {
					t.Errorf("Update: %v", err)
				}
			}
		})
	}
	wg.Wait()
	var sum, rows uint64
	for c := range counters {
		err := store.View(ctx, kv.Shard(fmt.Sprintf("c%d", c)), func(r kv.Reader) error {
			v, err := r.Get([]byte("n"))
			if err != nil {
				return err
			}
			if sum += number(v); number(v) != r.Version() {
				t.Errorf("counter %d is %d at version %d", c, number(v), r.Version())
			}
			return r.Scan(kv.PrefixRange([]byte("by/")), func(_, _ []byte) bool { rows++; return true })
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if sum != workers*rounds || rows != workers*rounds {
		t.Errorf("sum %d, rows %d, want %d", sum, rows, workers*rounds)
	}
}

func number(v []byte) uint64 {
	n, _ := binary.Uvarint(v)
	return n
}

// testModel compares random commits, reads and transactions with a plain map.
func testModel(t *testing.T, db kv.DB) {
	store, run := kv.NewStore(db), 0
	rapid.Check(t, func(rt *rapid.T) {
		run++
		shard := kv.Shard(fmt.Sprintf("m%d", run))
		model := map[string]string{}
		key := rapid.StringMatching(`[ab\x00]{1,3}`)
		for range rapid.IntRange(1, 8).Draw(rt, "commits") {
			fails := rapid.Bool().Draw(rt, "fails")
			next := map[string]string{}
			for k, v := range model {
				next[k] = v
			}
			errStop := errors.New("stop")
			err := store.Update(t.Context(), shard, func(tx *kv.Tx) error {
				for range rapid.IntRange(0, 6).Draw(rt, "writes") {
					k := key.Draw(rt, "key")
					if rapid.Bool().Draw(rt, "delete") {
						tx.Delete([]byte(k))
						delete(next, k)
					} else {
						next[k] = rapid.StringN(0, 3, -1).Draw(rt, "value")
						tx.Put([]byte(k), []byte(next[k]))
					}
					compare(rt, tx, next, drawRange(rt, key))
				}
				if fails {
					return errStop
				}
				return nil
			})
			if fails != errors.Is(err, errStop) || (!fails && err != nil) {
				rt.Fatalf("Update: %v", err)
			}
			if !fails {
				model = next
			}
			r := drawRange(rt, key)
			if err := store.View(t.Context(), shard, func(v kv.Reader) error { compare(rt, v, model, r); return nil }); err != nil {
				rt.Fatalf("View: %v", err)
			}
		}
	})
}

func drawRange(rt *rapid.T, key *rapid.Generator[string]) kv.Range {
	r := kv.Range{Reverse: rapid.Bool().Draw(rt, "reverse"), Limit: rapid.IntRange(0, 3).Draw(rt, "limit")}
	if rapid.Bool().Draw(rt, "hasFrom") {
		r.From = []byte(key.Draw(rt, "from"))
	}
	if rapid.Bool().Draw(rt, "hasTo") {
		r.To = []byte(key.Draw(rt, "to"))
	}
	return r
}

func compare(rt *rapid.T, got kv.Reader, model map[string]string, r kv.Range) {
	var want []string
	for k, v := range model {
		if k >= string(r.From) && (r.To == nil || k < string(r.To)) {
			want = append(want, k+"="+v)
		}
		if g, err := got.Get([]byte(k)); err != nil || string(g) != v {
			rt.Fatalf("Get(%q) = %q, %v, want %q", k, g, err, v)
		}
	}
	byKey := func(a, b string) int {
		ka, _, _ := strings.Cut(a, "=")
		kb, _, _ := strings.Cut(b, "=")
		return strings.Compare(ka, kb)
	}
	slices.SortFunc(want, byKey)
	if r.Reverse {
		slices.Reverse(want)
	}
	if r.Limit > 0 && len(want) > r.Limit {
		want = want[:r.Limit]
	}
	var have []string
	if err := got.Scan(r, func(k, v []byte) bool { have = append(have, string(k)+"="+string(v)); return true }); err != nil {
		rt.Fatalf("Scan: %v", err)
	}
	if !slices.Equal(have, want) {
		rt.Fatalf("Scan(%+v) = %q, want %q", r, have, want)
	}
}
