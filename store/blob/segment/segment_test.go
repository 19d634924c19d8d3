package segment

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"

	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/store/blob"
	"github.com/mohar-mail/mohar/store/blob/blobtest"
)

func open(t testing.TB, dir string, size int64) *Store {
	t.Helper()
	s, err := Open(dir, Config{FileSize: size})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func closeStore(t testing.TB, s *Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestSuite(t *testing.T) {
	t.Parallel()
	for name, size := range map[string]int64{"one file": DefaultFileSize, "many files": 300 << 10} {
		t.Run(name, func(t *testing.T) {
			blobtest.Run(t, func(t *testing.T) blob.Store { return open(t, t.TempDir(), size) })
		})
	}
}

func TestReopen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	held := map[blob.Location][]byte{}
	for round := range 4 {
		s := open(t, dir, 1<<20)
		if _, err := Open(dir, Config{}); !fault.Is(err, fault.Unavailable) {
			t.Errorf("second Open: %v", err)
		}
		for loc, b := range held {
			blobtest.Want(t, s, loc, b)
		}
		for i := range 5 {
			b := blobtest.Content(uint64(round*10+i), 300<<10)
			held[blobtest.Put(t, s, b)] = b
		}
		closeStore(t, s)
	}
	if len(held) != 20 {
		t.Errorf("%d locations, want 20", len(held))
	}
}

// newest is the path of the file that is written to.
func newest(t testing.TB, s *Store) string {
	t.Helper()
	segs, err := s.segments()
	if err != nil || len(segs) == 0 {
		t.Fatalf("segments: %v, %v", segs, err)
	}
	return s.path(segs[len(segs)-1])
}

// TestTornTail: whatever a crash leaves after the last frame that was
// acknowledged is dropped, and nothing before it.
func TestTornTail(t *testing.T) {
	t.Parallel()
	a, b := blobtest.Content(1, 100<<10), blobtest.Content(2, 50<<10)
	dir := t.TempDir()
	s := open(t, dir, 1<<20)
	locA := blobtest.Put(t, s, a)
	s.mu.Lock()
	endA := s.cur.end
	s.mu.Unlock()
	locB := blobtest.Put(t, s, b)
	s.mu.Lock()
	endB := s.cur.end
	s.mu.Unlock()
	path := newest(t, s)
	closeStore(t, s)
	whole, err := os.ReadFile(path)
	if err != nil || int64(len(whole)) != endB {
		t.Fatalf("file of %d bytes, want %d: %v", len(whole), endB, err)
	}
	for _, tt := range []struct {
		name string
		make func() []byte
		keep bool // b is complete
	}{
		{"cut in a header", func() []byte { return bytes.Clone(whole[:endA+7]) }, false},
		{"cut in a payload", func() []byte { return bytes.Clone(whole[:endA+headSize+100]) }, false},
		{"cut in the index", func() []byte { return bytes.Clone(whole[:endB-20]) }, false},
		{"payload of zeros", func() []byte {
			return append(bytes.Clone(whole[:endA+headSize]), make([]byte, int(endB-endA)+headSize)...)
		}, false},
		{"reserved room", func() []byte { return append(bytes.Clone(whole), make([]byte, 1<<20)...) }, true},
		{"noise after", func() []byte { return append(bytes.Clone(whole), blobtest.Content(5, 9999)...) }, true},
	} {
		if err := os.WriteFile(path, tt.make(), 0o600); err != nil {
			t.Fatal(err)
		}
		s := open(t, dir, 1<<20)
		blobtest.Want(t, s, locA, a)
		if tt.keep {
			blobtest.Want(t, s, locB, b)
		} else if _, err := s.ReadAt(t.Context(), locB, make([]byte, 1), 0); err == nil {
			t.Errorf("%s: a torn blob can be read", tt.name)
		}
		c := blobtest.Content(3, 200<<10)
		locC := blobtest.Put(t, s, c)
		closeStore(t, s)
		s = open(t, dir, 1<<20)
		blobtest.Want(t, s, locA, a)
		blobtest.Want(t, s, locC, c)
		closeStore(t, s)
	}
}

// TestBitFlip: any flipped bit is found when it is read, and costs no other
// blob, neither now nor at the next open.
func TestBitFlip(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir, 1<<20)
	bad := blobtest.Content(1, 30<<10)
	locBad := blobtest.Put(t, s, bad)
	s.mu.Lock()
	end := s.cur.end
	s.mu.Unlock()
	good := blobtest.Content(2, 30<<10)
	locGood := blobtest.Put(t, s, good)
	path := newest(t, s)
	closeStore(t, s)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := int64(0); i < end; i += 1 + end/61 {
		flipped := bytes.Clone(whole)
		flipped[i] ^= 0x10
		if err := os.WriteFile(path, flipped, 0o600); err != nil {
			t.Fatal(err)
		}
		s := open(t, dir, 1<<20)
		got := make([]byte, len(bad))
		n, err := s.ReadAt(t.Context(), locBad, got, 0)
		if err == nil && !bytes.Equal(got[:n], bad) || err != nil && !errors.Is(err, io.EOF) && !fault.Is(err, fault.Corrupt) {
			t.Errorf("bit in byte %d flipped: %d bytes, %v", i, n, err)
		}
		if i == 4096 && err == nil {
			t.Error("a flipped payload was read")
		}
		blobtest.Want(t, s, locGood, good)
		c := blobtest.Put(t, s, good)
		if err := s.Delete(t.Context(), c); err != nil {
			t.Errorf("Delete: %v", err)
		}
		blobtest.Want(t, s, locGood, good)
		closeStore(t, s)
		segs, err := s.segments()
		if err != nil {
			t.Fatal(err)
		}
		for _, seg := range segs[1:] {
			if err := os.Remove(s.path(seg)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// allocated is the room that the directory's files take on the disk.
func allocated(t testing.TB, dir string) (total int64, files int) {
	t.Helper()
	entries, err := filepath.Glob(filepath.Join(dir, "*"+suffix))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		info, err := os.Stat(e)
		if err != nil {
			t.Fatal(err)
		}
		total += info.Sys().(*syscall.Stat_t).Blocks * 512
	}
	return total, len(entries)
}

func TestRoomComesBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir, 1<<20)
	var locs []blob.Location
	for i := range 12 {
		locs = append(locs, blobtest.Put(t, s, blobtest.Content(uint64(i), 500<<10)))
	}
	before, files := allocated(t, dir)
	if files < 4 {
		t.Fatalf("%d files: the test wants many", files)
	}
	for _, loc := range locs {
		if err := s.Delete(t.Context(), loc); err != nil {
			t.Fatal(err)
		}
	}
	// The newest file is still written to, and goes when it is closed for that.
	after, left := allocated(t, dir)
	if left != 1 || after > before/4 {
		t.Errorf("%d bytes in %d files before, %d in %d after", before, files, after, left)
	}
	big := blobtest.Content(99, 3<<20)
	loc := blobtest.Put(t, s, big)
	if _, err := os.Stat(s.path(parse(t, locs[len(locs)-1]).seg)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file with nothing alive in it is still there: %v", err)
	}
	blobtest.Want(t, s, loc, big)
	closeStore(t, s)
	s = open(t, dir, 1<<20)
	blobtest.Want(t, s, loc, big)
	if err := s.Delete(t.Context(), loc); err != nil {
		t.Error(err)
	}
	closeStore(t, s)
}

func parse(t testing.TB, loc blob.Location) place {
	t.Helper()
	p, _, err := parseLocation(loc)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestFailedPutLeavesRoom: the frames of an upload that broke off are dead.
func TestFailedPutLeavesRoom(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir, 300<<10)
	for range 5 {
		r, w := io.Pipe()
		go func() {
			_, _ = w.Write(blobtest.Content(1, 900<<10))
			_ = w.CloseWithError(io.ErrUnexpectedEOF)
		}()
		// ErrUnexpectedEOF of the reader's own must not pass for its end.
		if _, _, err := s.Put(t.Context(), r); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("Put: %v", err)
		}
	}
	if _, files := allocated(t, dir); files > 1 {
		t.Errorf("%d files left", files)
	}
	closeStore(t, s)
}

// zeros reads as n zero bytes and remembers the largest heap seen.
type zeros struct {
	left int64
	peak uint64
}

func (z *zeros) Read(p []byte) (int, error) {
	if z.left == 0 {
		return 0, io.EOF
	}
	n := min(int64(len(p)), z.left)
	if z.left -= n; z.left%(16<<20) == 0 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		z.peak = max(z.peak, m.HeapAlloc)
	}
	return int(n), nil
}

func TestStreams(t *testing.T) {
	s := open(t, t.TempDir(), DefaultFileSize)
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	z := &zeros{left: 192 << 20}
	loc, n, err := s.Put(t.Context(), z)
	if err != nil || n != 192<<20 {
		t.Fatalf("Put: %d, %v", n, err)
	}
	if grown := int64(z.peak) - int64(m.HeapAlloc); grown > 64<<20 {
		t.Errorf("the heap grew by %d bytes during a Put of %d", grown, n)
	}
	if err := s.Delete(t.Context(), loc); err != nil {
		t.Error(err)
	}
	closeStore(t, s)
}

func TestGroupSync(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir(), DefaultFileSize)
	var wg sync.WaitGroup
	for w := range 32 {
		wg.Go(func() {
			b := blobtest.Content(uint64(w), 20<<10)
			loc, _, err := s.Put(context.Background(), bytes.NewReader(b))
			if err != nil {
				t.Errorf("Put: %v", err)
				return
			}
			blobtest.Want(t, s, loc, b)
		})
	}
	wg.Wait()
	s.mu.Lock()
	f := s.cur
	s.mu.Unlock()
	f.mu.Lock()
	if f.synced != f.written || f.holders != 0 || f.syncing {
		t.Errorf("after all Puts: written %d, synced %d, %d holders", f.written, f.synced, f.holders)
	}
	f.mu.Unlock()
	closeStore(t, s)
}

func FuzzFrame(f *testing.F) {
	f.Add(appendFrame(nil, zstdChunk, 5, 1, []byte("hello")))
	f.Add(appendFrame(nil, indexFrame, 0, 1, index{size: 3, chunks: []place{{1, 2, 3}}}.append(nil)))
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) >= headSize {
			if h, err := parseHead(in); err == nil && (h.payload > maxPayload || h.content > chunkSize) {
				t.Errorf("header %+v passes", h)
			}
		}
		if x, err := parseIndex(in); err == nil && !bytes.Equal(x.append(nil), in) {
			t.Errorf("index %x becomes %x", in, x.append(nil))
		}
		if p, id, err := parseLocation(blob.Location(in)); err == nil && string(location(p, id)) != string(in) {
			t.Errorf("location %q is not canonical", in)
		}
	})
}
