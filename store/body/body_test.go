package body

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/store/blob"
	"github.com/mohar-mail/mohar/store/blob/blobtest"
	"github.com/mohar-mail/mohar/store/blob/memblob"
	"github.com/mohar-mail/mohar/store/kv"
	"github.com/mohar-mail/mohar/store/kv/memkv"
)

func setup(cfg Config) (*Bodies, *kv.Store, *memblob.Store) {
	s, m := kv.NewStore(memkv.New()), memblob.New()
	return New(s, m, cfg), s, m
}

func stage(t testing.TB, b *Bodies, content []byte) *Staged {
	t.Helper()
	w := b.Writer(t.Context())
	// Writes of odd lengths, as a line reader makes them.
	for rest := content; len(rest) > 0; {
		n := min(len(rest), 1371)
		if got, err := w.Write(rest[:n]); err != nil || got != n {
			t.Fatalf("Write: %d, %v", got, err)
		}
		rest = rest[n:]
	}
	st, err := w.Finish()
	if err != nil {
		t.Fatal(err)
	}
	if st.Size != int64(len(content)) || st.SHA256 != sha256.Sum256(content) {
		t.Fatalf("Staged: %d bytes, sum %x", st.Size, st.SHA256)
	}
	return st
}

func add(t testing.TB, b *Bodies, s *kv.Store, shard kv.Shard, st *Staged, refs int) (ref Ref) {
	t.Helper()
	if err := s.Update(t.Context(), shard, func(tx *kv.Tx) error { ref = b.Add(tx, st, refs); return nil }); err != nil {
		t.Fatal(err)
	}
	return ref
}

func noise(n int) []byte {
	b := blobtest.Content(9, 3*n)
	var out []byte
	for i := 4096; len(out) < n; i += 8192 {
		out = append(out, b[i:min(i+4096, len(b))]...)
	}
	return out[:n]
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	text := bytes.Repeat([]byte("Subject: Namaste\r\n\r\nकार्यालय\r\n"), 40000)
	for _, tt := range []struct {
		name  string
		in    []byte
		codec byte
	}{
		{"empty", nil, plainHot},
		{"tiny", []byte("a"), plainHot},
		{"text", text[:10<<10], zstdHot},
		{"noise", noise(10 << 10), plainHot},
		{"at the limit", text[:DefaultHotLimit], zstdHot},
		{"noise at the limit", noise(DefaultHotLimit), plainHot},
		{"over the limit", text[:DefaultHotLimit+1], inBlob},
		{"large", text[:1<<20], inBlob},
	} {
		for _, cacheSize := range []int64{0, 1 << 20} {
			b, s, m := setup(Config{Cache: cacheSize})
			st := stage(t, b, tt.in)
			if st.row.codec != tt.codec || st.Large() != (tt.codec == inBlob) || m.Len() != int(tt.codec)/inBlob {
				t.Errorf("%s: codec %d, want %d; %d blobs", tt.name, st.row.codec, tt.codec, m.Len())
			}
			if early, err := io.ReadAll(st.Open(t.Context())); err != nil || !bytes.Equal(early, tt.in) {
				t.Errorf("%s: reading what is staged: %d bytes, %v", tt.name, len(early), err)
			}
			ref := add(t, b, s, "acct", st, 1)
			for range 2 {
				checkReads(t, tt.name, b, ref, tt.in)
			}
		}
	}
}

func checkReads(t *testing.T, name string, b *Bodies, ref Ref, want []byte) {
	t.Helper()
	ctx := t.Context()
	if got, err := b.Read(ctx, ref); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s: Read: %d bytes, %v", name, len(got), err)
	}
	size := int64(len(want))
	for _, r := range [][2]int64{{0, size}, {0, 0}, {0, size + 9}, {size / 2, 7}, {size, 1}, {size + 5, 5}, {max(size-3, 0), 100}} {
		from := min(r[0], size)
		if got, err := b.ReadRange(ctx, ref, r[0], r[1]); err != nil || !bytes.Equal(got, want[from:min(from+r[1], size)]) {
			t.Errorf("%s: ReadRange(%v): %d bytes, %v", name, r, len(got), err)
		}
	}
	if _, err := b.ReadRange(ctx, ref, -1, 1); !fault.Is(err, fault.Invalid) {
		t.Errorf("%s: negative range: %v", name, err)
	}
	c, err := b.Open(ctx, ref)
	if err != nil {
		t.Fatalf("%s: Open: %v", name, err)
	}
	if c.Size() != size || c.SHA256() != sha256.Sum256(want) {
		t.Errorf("%s: Content of %d bytes", name, c.Size())
	}
	if err := iotest.TestReader(c, want); err != nil {
		t.Errorf("%s: Content: %v", name, err)
	}
}

func TestReferences(t *testing.T) {
	t.Parallel()
	for _, size := range []int{100, DefaultHotLimit + 1} {
		b, s, m := setup(Config{Cache: 1 << 20})
		ref := add(t, b, s, "home", stage(t, b, make([]byte, size)), 2)
		ctx := t.Context()
		change := func(n int) (freed blob.Location) {
			t.Helper()
			if err := s.Update(ctx, ref.Home, func(tx *kv.Tx) (err error) {
				if n > 0 {
					return b.Retain(tx, ref, n)
				}
				freed, err = b.Release(tx, ref, -n)
				return err
			}); err != nil {
				t.Fatal(err)
			}
			return freed
		}
		for i, n := range []int{-1, 3, -2, -1} { // 2, 1, 4, 2, 1 references
			if freed := change(n); freed != "" {
				t.Errorf("step %d freed %q", i, freed)
			}
			if got, err := b.Read(ctx, ref); err != nil || len(got) != size {
				t.Errorf("step %d: %v", i, err)
			}
		}
		freed := change(-1)
		if (freed != "") != (size > DefaultHotLimit) {
			t.Errorf("size %d: the last Release freed %q", size, freed)
		}
		if _, err := b.Read(ctx, ref); !fault.Is(err, fault.NotFound) {
			t.Errorf("Read after the last Release: %v", err)
		}
		if err := b.Free(ctx, freed); err != nil || m.Len() != 0 {
			t.Errorf("Free: %v, %d blobs left", err, m.Len())
		}
		if err := b.Free(ctx, freed); err != nil {
			t.Errorf("Free again: %v", err)
		}
		for _, shard := range []kv.Shard{ref.Home, "other"} {
			err := s.Update(ctx, shard, func(tx *kv.Tx) error { _, err := b.Release(tx, ref, 1); return err })
			if want := map[bool]fault.Kind{true: fault.NotFound, false: fault.Internal}[shard == ref.Home]; !fault.Is(err, want) {
				t.Errorf("Release in %q: %v, want %v", shard, err, want)
			}
		}
		rows := 0
		if err := s.View(ctx, "home", func(r kv.Reader) error {
			return r.Scan(kv.Range{}, func(_, _ []byte) bool { rows++; return true })
		}); err != nil || rows != 0 {
			t.Errorf("%d rows left, %v", rows, err)
		}
	}
}

// TestCountIsSmall: a change of the count must not write the content again.
func TestCountIsSmall(t *testing.T) {
	t.Parallel()
	b, s, _ := setup(Config{})
	ref := add(t, b, s, "a", stage(t, b, noise(100<<10)), 1)
	if err := s.View(t.Context(), "a", func(r kv.Reader) error {
		v, err := r.Get(ref.countKey())
		if len(v) > 10 {
			t.Errorf("count row of %d bytes", len(v))
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

func TestAbortAndDiscard(t *testing.T) {
	t.Parallel()
	b, _, m := setup(Config{HotLimit: 1000})
	for _, n := range []int{0, 500, 5000} {
		w := b.Writer(t.Context())
		if _, err := w.Write(make([]byte, n)); err != nil {
			t.Fatal(err)
		}
		w.Abort()
		w.Abort()
		if _, err := w.Write([]byte("x")); err == nil {
			t.Error("Write after Abort")
		}
		if _, err := w.Finish(); err == nil {
			t.Error("Finish after Abort")
		}
		st := stage(t, b, make([]byte, n))
		st.Discard(t.Context())
		st.Discard(t.Context())
		if m.Len() != 0 {
			t.Errorf("%d bytes: %d blobs left", n, m.Len())
		}
	}
}

// brokenBlob fails Put after it has read some bytes.
type brokenBlob struct {
	blob.Store
	after int64
}

func (b brokenBlob) Put(_ context.Context, r io.Reader) (blob.Location, int64, error) {
	_, err := io.CopyN(io.Discard, r, b.after)
	return "", 0, errors.Join(fault.New(fault.Unavailable, "test", "The disk is full."), err)
}

func TestBlobStoreFails(t *testing.T) {
	t.Parallel()
	for _, after := range []int64{0, 500, 3000, 10000} {
		b := New(kv.NewStore(memkv.New()), brokenBlob{memblob.New(), after}, Config{HotLimit: 1000})
		w := b.Writer(t.Context())
		var werr error
		for range 100 {
			if _, werr = w.Write(make([]byte, 100)); werr != nil {
				break
			}
		}
		st, err := w.Finish()
		if st != nil || !fault.Is(err, fault.Unavailable) || (werr != nil && !fault.Is(werr, fault.Unavailable)) {
			t.Errorf("after %d bytes: Write %v, Finish %v", after, werr, err)
		}
	}
}

func TestDamage(t *testing.T) {
	t.Parallel()
	text := bytes.Repeat([]byte("namaste "), 1000)
	for _, in := range [][]byte{text, noise(5000), bytes.Repeat(text, 100)} {
		b, s, _ := setup(Config{})
		ref := add(t, b, s, "a", stage(t, b, in), 1)
		var good []byte
		if err := s.View(t.Context(), "a", func(r kv.Reader) error {
			v, err := r.Get(ref.contentKey())
			good = bytes.Clone(v)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(good); i += 1 + len(good)/97 {
			bad := bytes.Clone(good)
			bad[i] ^= 0x41
			if err := s.Update(t.Context(), "a", func(tx *kv.Tx) error { tx.Put(ref.contentKey(), bad); return nil }); err != nil {
				t.Fatal(err)
			}
			got, err := b.Read(t.Context(), ref)
			// A damaged location names nothing.
			if err == nil || got != nil && !fault.Is(err, fault.Corrupt) || !fault.Is(err, fault.Corrupt) && !fault.Is(err, fault.NotFound) {
				t.Errorf("byte %d of %d damaged: %d bytes, %v", i, len(good), len(got), err)
			}
		}
	}
}

func TestRefText(t *testing.T) {
	t.Parallel()
	r := Ref{Home: "a/b@c\xff%", ID: [16]byte{1, 2, 0xff}}
	if got, err := ParseRef(r.String()); err != nil || got != r {
		t.Errorf("ParseRef(%q) = %v, %v", r, got, err)
	}
	text, err := json.Marshal(map[Ref]Ref{r: r})
	var back map[Ref]Ref
	if err != nil || json.Unmarshal(text, &back) != nil || back[r] != r {
		t.Errorf("JSON %s: %v, %v", text, back, err)
	}
	for _, bad := range []string{"", "@", "00@a", r.String()[1:], "zz02ff00000000000000000000000000@a", "0102ff00000000000000000000000000", "0102ff00000000000000000000000000@", "0102ff00000000000000000000000000@%zz", "0102ff00000000000000000000000000@a%00"} {
		if got, err := ParseRef(bad); !fault.Is(err, fault.Invalid) {
			t.Errorf("ParseRef(%q) = %v, %v", bad, got, err)
		}
	}
}

func TestCacheBound(t *testing.T) {
	t.Parallel()
	c := newCache(10 * (1000 + entryOverhead))
	for i := range 100 {
		ref := Ref{Home: "a", ID: [16]byte{byte(i)}}
		c.put(ref, row{size: 1000}, make([]byte, 1000))
		c.put(ref, row{size: 1000}, make([]byte, 1000))
		if _, _, ok := c.get(Ref{Home: "a"}); !ok {
			t.Fatal("the body that is used all the time fell out")
		}
		if c.used > c.max || c.order.Len() != len(c.byRef) {
			t.Fatalf("%d bytes in %d entries, limit %d", c.used, c.order.Len(), c.max)
		}
	}
	if len(c.byRef) != 10 {
		t.Errorf("%d entries, want 10", len(c.byRef))
	}
	c.put(Ref{Home: "b"}, row{}, make([]byte, 100_000))
	if _, _, ok := c.get(Ref{Home: "b"}); ok {
		t.Error("a body larger than the cache was kept")
	}
}

func FuzzParseRow(f *testing.F) {
	f.Add(row{codec: zstdHot, size: 5, data: []byte("x")}.append(nil))
	f.Add(row{codec: inBlob, size: 1 << 40, data: []byte("m1")}.append(nil))
	f.Add([]byte{rowVersion, plainHot, 0xff})
	f.Fuzz(func(t *testing.T, in []byte) {
		r, err := parseRow(in)
		if err != nil {
			if !fault.Is(err, fault.Corrupt) {
				t.Errorf("%v", err)
			}
			return
		}
		again, err := parseRow(r.append(nil))
		if err != nil || again.size != r.size || again.codec != r.codec || again.sum != r.sum || !bytes.Equal(again.data, r.data) {
			t.Errorf("row %v becomes %v, %v", r, again, err)
		}
	})
}
