// Package blobtest is the suite that every backend of blob passes.
//
// Owns:      nothing.
// Trusts:    the backend to be empty when it is opened.
// May touch: the backend under test.
package blobtest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/store/blob"
)

// Run tests the backend that open makes; the suite closes what it opened.
func Run(t *testing.T, open func(t *testing.T) blob.Store) {
	for name, run := range map[string]func(*testing.T, blob.Store){
		"Sizes": testSizes, "Ranges": testRanges, "Delete": testDelete, "BadReader": testBadReader,
		"Unknown": testUnknown, "Interleaved": testInterleaved, "Concurrent": testConcurrent, "Cancelled": testCancelled,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			run(t, s)
			if err := s.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
			if _, _, err := s.Put(t.Context(), bytes.NewReader(nil)); !fault.Is(err, fault.Unavailable) {
				t.Errorf("Put after Close: %v", err)
			}
		})
	}
}

// Content makes n bytes that are half text, half noise, the same for a seed.
func Content(seed uint64, n int) []byte {
	rng := rand.New(rand.NewPCG(seed, 7))
	b := make([]byte, n)
	for i := 0; i < n; i += 8 {
		v := rng.Uint64()
		for j := i; j < min(i+8, n); j++ {
			if b[j] = byte(v >> (8 * (j - i))); i/4096%2 == 0 {
				b[j] = "mohar kitab "[int(b[j])%12]
			}
		}
	}
	return b
}

// Put stores b and fails the test on an error.
func Put(t testing.TB, s blob.Store, b []byte) blob.Location {
	t.Helper()
	loc, n, err := s.Put(t.Context(), bytes.NewReader(b))
	if err != nil || n != int64(len(b)) || loc == "" || len(loc) > blob.MaxLocation {
		t.Fatalf("Put of %d bytes: %q, %d, %v", len(b), loc, n, err)
	}
	return loc
}

// Want fails the test unless loc holds b.
func Want(t testing.TB, s blob.Store, loc blob.Location, b []byte) {
	t.Helper()
	got := make([]byte, len(b))
	n, err := s.ReadAt(t.Context(), loc, got, 0)
	if (err != nil && !errors.Is(err, io.EOF)) || n != len(b) || !bytes.Equal(got, b) {
		t.Errorf("ReadAt of %d bytes: %d, %v, equal %v", len(b), n, err, bytes.Equal(got, b))
	}
	if size, err := s.Size(t.Context(), loc); err != nil || size != int64(len(b)) {
		t.Errorf("Size: %d, %v, want %d", size, err, len(b))
	}
}

func testSizes(t *testing.T, s blob.Store) {
	seen := map[blob.Location][]byte{}
	for i, n := range []int{0, 1, 7, 4095, 4096, 256<<10 - 1, 256 << 10, 256<<10 + 1, 3 << 20} {
		b := Content(uint64(i), n)
		loc := Put(t, s, b)
		if _, twice := seen[loc]; twice {
			t.Errorf("location %q given twice", loc)
		}
		seen[loc] = b
	}
	for loc, b := range seen {
		Want(t, s, loc, b)
	}
}

func testRanges(t *testing.T, s blob.Store) {
	b := Content(1, 1<<20+5)
	loc := Put(t, s, b)
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		off := rng.IntN(len(b) + 10)
		p := make([]byte, rng.IntN(300<<10))
		want := b[min(off, len(b)):min(off+len(p), len(b))]
		n, err := s.ReadAt(t.Context(), loc, p, int64(off))
		if n != len(want) || !bytes.Equal(p[:n], want) {
			t.Fatalf("ReadAt(%d, %d): %d bytes, %v, want %d", off, len(p), n, err, len(want))
		}
		if n < len(p) && !errors.Is(err, io.EOF) || n == len(p) && off+n < len(b) && err != nil {
			t.Fatalf("ReadAt(%d, %d): %d bytes with %v", off, len(p), n, err)
		}
	}
	if _, err := s.ReadAt(t.Context(), loc, make([]byte, 1), -1); !fault.Is(err, fault.Invalid) {
		t.Errorf("negative offset: %v", err)
	}
}

func wantGone(t *testing.T, s blob.Store, loc blob.Location) {
	t.Helper()
	_, err := s.ReadAt(t.Context(), loc, make([]byte, 1), 0)
	_, err2 := s.Size(t.Context(), loc)
	for _, err := range []error{err, err2, s.Delete(t.Context(), loc)} {
		if !fault.Is(err, fault.NotFound) {
			t.Errorf("%q: %v, want NotFound", loc, err)
		}
	}
}

func testDelete(t *testing.T, s blob.Store) {
	kept, gone := Content(1, 700<<10), Content(2, 700<<10)
	a, b, c := Put(t, s, kept), Put(t, s, gone), Put(t, s, kept)
	if err := s.Delete(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	wantGone(t, s, b)
	Want(t, s, a, kept)
	Want(t, s, c, kept)
	if d := Put(t, s, gone); d == b {
		t.Error("a deleted location was given again")
	}
}

func testBadReader(t *testing.T, s blob.Store) {
	broken := errors.New("line went dead")
	for _, n := range []int{0, 100, 600 << 10} {
		r := io.MultiReader(bytes.NewReader(Content(1, n)), iotest.ErrReader(broken))
		if loc, _, err := s.Put(t.Context(), r); !errors.Is(err, broken) || loc != "" {
			t.Errorf("Put after %d bytes: %q, %v", n, loc, err)
		}
	}
	b := Content(3, 300<<10)
	loc, n, err := s.Put(t.Context(), iotest.OneByteReader(bytes.NewReader(b)))
	if err != nil || n != int64(len(b)) {
		t.Fatalf("Put byte by byte: %d, %v", n, err)
	}
	Want(t, s, loc, b)
}

func testUnknown(t *testing.T, s blob.Store) {
	loc := Put(t, s, []byte("hello"))
	for _, bad := range []blob.Location{"", "x", "../../etc/passwd", loc + "0", loc[:len(loc)-1], "s1.1.0.0", "s0.0.0000000000000000", "sffffffffffffffff.ffffffff.ffffffffffffffff"} {
		if bad != loc {
			wantGone(t, s, bad)
		}
	}
	Want(t, s, loc, []byte("hello"))
}

// testInterleaved: a slow Put does not hold up a quick one.
func testInterleaved(t *testing.T, s blob.Store) {
	slow := Content(1, 900<<10)
	r, w := io.Pipe()
	got := make(chan blob.Location)
	go func() {
		loc, _, err := s.Put(context.Background(), r)
		if err != nil {
			t.Errorf("slow Put: %v", err)
		}
		got <- loc
	}()
	for i := 0; i < len(slow); i += 300 << 10 {
		if _, err := w.Write(slow[i:min(i+300<<10, len(slow))]); err != nil {
			t.Fatal(err)
		}
		quick := Content(uint64(i+2), 400<<10)
		Want(t, s, Put(t, s, quick), quick) // hangs if the slow one holds a lock
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	Want(t, s, <-got, slow)
}

func testConcurrent(t *testing.T, s blob.Store) {
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 6 {
				b := Content(uint64(w*100+i), 10<<10+w*90<<10)
				loc := Put(t, s, b)
				Want(t, s, loc, b)
				if i%2 == 0 {
					if err := s.Delete(t.Context(), loc); err != nil {
						t.Errorf("Delete: %v", err)
					}
					wantGone(t, s, loc)
				}
			}
		})
	}
	wg.Wait()
}

func testCancelled(t *testing.T, s blob.Store) {
	loc := Put(t, s, []byte("hello"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err := s.Put(ctx, bytes.NewReader([]byte("x")))
	_, err2 := s.ReadAt(ctx, loc, make([]byte, 1), 0)
	for _, err := range []error{err, err2, s.Delete(ctx, loc)} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
	}
	Want(t, s, loc, []byte("hello"))
}
