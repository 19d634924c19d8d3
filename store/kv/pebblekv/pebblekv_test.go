package pebblekv_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/store/kv"
	"github.com/mohar-mail/mohar/store/kv/kvtest"
	"github.com/mohar-mail/mohar/store/kv/pebblekv"
)

func open(t testing.TB, dir string, cfg pebblekv.Config) kv.DB {
	t.Helper()
	db, err := pebblekv.Open(dir, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func small(fs vfs.FS) pebblekv.Config {
	return pebblekv.Config{Cache: 1 << 20, MemTable: 1 << 20, Reserve: 1, FS: fs}
}

func TestSuite(t *testing.T) {
	kvtest.Run(t, func(t *testing.T) kv.DB { return open(t, "db", small(vfs.NewMem())) })
}

func TestSuiteOnDisk(t *testing.T) {
	if testing.Short() {
		t.Skip("on disk")
	}
	kvtest.Run(t, func(t *testing.T) kv.DB { return open(t, t.TempDir(), small(nil)) })
}

func rows(t *testing.T, db kv.DB, shard kv.Shard) (uint64, []string) {
	t.Helper()
	s, err := db.Snapshot(t.Context(), shard)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Release()
	return s.Version(), kvtest.Dump(t, s, kv.Range{})
}

func TestReopen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir() + "/deep/db"
	db := open(t, dir, small(nil))
	v := kvtest.Write(t, db, "a", 0, "x", "1", "y", "2")
	if _, err := pebblekv.Open(dir, small(nil)); !errors.Is(err, kv.ErrLocked) || !fault.Is(err, fault.Unavailable) {
		t.Errorf("second Open: %v, want ErrLocked", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = open(t, dir, small(nil))
	if version, got := rows(t, db, "a"); version != v || strings.Join(got, " ") != "x=1 y=2" {
		t.Errorf("after reopen: version %d, %q", version, got)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestOpenErrors(t *testing.T) {
	t.Parallel()
	file := t.TempDir() + "/file"
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := pebblekv.Open(file, small(nil)); !fault.Is(err, fault.Unavailable) || errors.Is(err, kv.ErrLocked) {
		t.Errorf("Open on a file: %v", err)
	}
	mem := vfs.NewMem()
	db := open(t, "db", small(mem))
	kvtest.Write(t, db, "a", 0, "x", "1")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	names, err := mem.List("db")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		if !strings.HasPrefix(n, "MANIFEST") {
			continue
		}
		f, err := mem.Create("db/"+n, "test")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte("not a manifest at all")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := pebblekv.Open("db", small(mem)); err == nil {
		t.Error("Open with a ruined manifest succeeded")
	}
}

// TestCrash pulls the plug while many write. What was acknowledged is there
// afterwards; what is there is whole.
func TestCrash(t *testing.T) {
	t.Parallel()
	for round := range 8 {
		mem := vfs.NewCrashableMem()
		db := open(t, "db", small(mem))
		const writers = 6
		var acked [writers]atomic.Uint64
		stop := make(chan struct{})
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() { writeUntil(t, db, w, &acked[w], stop) })
		}
		for total := uint64(0); total < uint64(40*(round+1)); {
			total = 0
			for w := range acked {
				total += acked[w].Load()
			}
		}
		var before [writers]uint64
		for w := range acked {
			before[w] = acked[w].Load()
		}
		crashed := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 25 * (round % 4), RNG: rand.New(rand.NewPCG(uint64(round), 1))})
		close(stop)
		wg.Wait()
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		db = open(t, "db", small(crashed))
		for w := range writers {
			version, got := rows(t, db, kv.Shard(fmt.Sprintf("w%d", w)))
			if version < before[w] {
				t.Errorf("round %d: writer %d at version %d after the crash, %d were acknowledged", round, w, version, before[w])
			}
			if uint64(len(got)) != 2*version {
				t.Errorf("round %d: writer %d has %d rows at version %d: a commit is torn", round, w, len(got), version)
			}
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// writeUntil makes commits of two rows, every third lazy; acked is the version
// of the newest synced one whose Wait returned.
func writeUntil(t *testing.T, db kv.DB, w int, acked *atomic.Uint64, stop chan struct{}) {
	big := strings.Repeat("v", 3000)
	for v := uint64(0); ; v++ {
		select {
		case <-stop:
			return
		default:
		}
		b := &kv.Batch{Shard: kv.Shard(fmt.Sprintf("w%d", w)), Expect: v, Lazy: v%3 == 1, Writes: []kv.Write{
			{Key: fmt.Appendf(nil, "a%06d", v), Value: []byte(big)}, {Key: fmt.Appendf(nil, "b%06d", v), Value: []byte{}},
		}}
		ticket, err := db.Commit(context.Background(), b)
		if err == nil {
			err = ticket.Wait()
		}
		if err != nil {
			t.Errorf("writer %d: %v", w, err)
			return
		}
		if !b.Lazy {
			acked.Store(v + 1)
		}
	}
}

// faultFS fails writes of the files that match while failing is set.
type faultFS struct {
	vfs.FS
	match   func(name string) bool
	failing atomic.Bool
	usage   atomic.Uint64 // bytes reported as available
}

func (f *faultFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if f.failing.Load() && f.match(name) {
		return nil, syscall.ENOSPC
	}
	file, err := f.FS.Create(name, c)
	if err != nil || !f.match(name) {
		return file, err
	}
	return &faultFile{File: file, fs: f}, nil
}

func (f *faultFS) ReuseForWrite(o, n string, c vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := f.FS.ReuseForWrite(o, n, c)
	if err != nil || !f.match(n) {
		return file, err
	}
	return &faultFile{File: file, fs: f}, nil
}

func (f *faultFS) Unwrap() vfs.FS { return f.FS }

func (f *faultFS) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{AvailBytes: f.usage.Load()}, nil
}

type faultFile struct {
	vfs.File
	fs *faultFS
}

func (f *faultFile) Write(p []byte) (int, error) {
	if f.fs.failing.Load() {
		n, _ := f.File.Write(p[:len(p)/2])
		return n, errors.Join(syscall.ENOSPC, io.ErrShortWrite)
	}
	return f.File.Write(p)
}

func (f *faultFile) Sync() error {
	if f.fs.failing.Load() {
		return syscall.EIO
	}
	return f.File.Sync()
}

func (f *faultFile) SyncData() error {
	if f.fs.failing.Load() {
		return syscall.EIO
	}
	return f.File.SyncData()
}

// TestDiskFull: once the log cannot be written no commit is reported as done,
// nothing hangs or panics, reads go on, and a later open has exactly what was
// acknowledged (and perhaps what was not, but whole).
func TestDiskFull(t *testing.T) {
	t.Parallel()
	for _, match := range []string{".log", "MANIFEST", "any"} {
		t.Run(match, func(t *testing.T) {
			t.Parallel()
			ffs := &faultFS{FS: vfs.NewCrashableMem(), match: func(n string) bool {
				return (match == "any" && !strings.Contains(n, ".sst")) || strings.Contains(n, match)
			}}
			ffs.usage.Store(1 << 40)
			db := open(t, "db", small(ffs))
			const writers = 8
			var acked [writers]uint64
			var good, wg sync.WaitGroup
			good.Add(writers)
			fail := make(chan struct{})
			value := make([]byte, 40<<10) // more than one block of the log
			for w := range writers {
				wg.Go(func() {
					shard := kv.Shard(fmt.Sprintf("w%d", w))
					for v := uint64(0); v < 500; v++ {
						if v == 10 {
							good.Done()
							<-fail
						}
						ticket, err := db.Commit(context.Background(), &kv.Batch{Shard: shard, Expect: v, Lazy: v%7 == 3, Writes: []kv.Write{
							{Key: fmt.Appendf(nil, "a%06d", v), Value: value}, {Key: fmt.Appendf(nil, "b%06d", v), Value: []byte{}},
						}})
						if err == nil {
							err = ticket.Wait()
						}
						if err != nil {
							if !fault.Is(err, fault.NoSpace) {
								t.Errorf("Commit: %v, want NoSpace", err)
							}
							return
						}
						if v%7 != 3 {
							acked[w] = v + 1
						}
					}
					t.Errorf("writer %d was never told", w)
				})
			}
			good.Wait()
			ffs.failing.Store(true)
			close(fail)
			wg.Wait()
			if _, err := db.Commit(t.Context(), &kv.Batch{Shard: "other", Writes: []kv.Write{{Key: []byte("k"), Value: []byte("v")}}}); !fault.Is(err, fault.NoSpace) {
				t.Errorf("Commit after the failure: %v", err)
			}
			if version, _ := rows(t, db, "w0"); version < acked[0] {
				t.Errorf("read after the failure: version %d, want at least %d", version, acked[0])
			}
			crashed := ffs.FS.(*vfs.MemFS).CrashClone(vfs.CrashCloneCfg{})
			if err := db.Close(); !fault.Is(err, fault.Unavailable) {
				t.Errorf("Close after the failure: %v, want Unavailable", err)
			}
			for name, fs := range map[string]vfs.FS{"crash": crashed, "close": ffs.FS} {
				db := open(t, "db", small(fs))
				for w := range writers {
					version, got := rows(t, db, kv.Shard(fmt.Sprintf("w%d", w)))
					if version < acked[w] || uint64(len(got)) != 2*version {
						t.Errorf("%s: writer %d: version %d with %d rows, %d acknowledged", name, w, version, len(got), acked[w])
					}
				}
				if err := db.Close(); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
}

// TestReserve: commits are refused while the disk is nearly full, and taken
// again when there is room.
func TestReserve(t *testing.T) {
	t.Parallel()
	ffs := &faultFS{FS: vfs.NewMem(), match: func(string) bool { return false }}
	ffs.usage.Store(1 << 30)
	cfg := small(ffs)
	cfg.Reserve = 1 << 20
	db := open(t, "db", cfg)
	kvtest.Write(t, db, "a", 0, "x", "1")
	ffs.usage.Store(1 << 10)
	version, refused := uint64(1), false
	for i := 0; i < 20 && !refused; i++ {
		ticket, err := db.Commit(t.Context(), &kv.Batch{Shard: "a", Expect: version, Writes: []kv.Write{{Key: []byte("k"), Value: make([]byte, 1<<20)}}})
		switch {
		case err == nil:
			version++
			if err := ticket.Wait(); err != nil {
				t.Fatal(err)
			}
		case fault.Is(err, fault.NoSpace):
			refused = true
		default:
			t.Fatal(err)
		}
	}
	if !refused {
		t.Error("commits went on below the reserve")
	}
	ffs.usage.Store(1 << 30)
	kvtest.Write(t, db, "a", version, "x", "2")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}
