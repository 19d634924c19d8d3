package pebblekv

import (
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// tablePause is how long a failed write of a table is held before the engine
// hears of it: the engine tries again at once, for as long as it takes.
const tablePause = time.Second

// guard is the file system that the engine sees. Pebble answers a failed write
// of its log by failing the waiters of that write, and panics with its commit
// lock held at one of the next commits, which would hang or kill the server.
// guard turns this round: the first failure of a log, manifest or marker is
// remembered, the engine is told that all went well, and from then on nothing
// in the directory is changed or removed. The database asks guard before each
// commit and after each wait, so that nobody is told a success that the disk
// has not confirmed; the files stay as they were at the failure, and the next
// open recovers every commit that was acknowledged.
//
// Failed writes of tables are the engine's own business: it keeps the log and
// tries again. guard slows the attempts down and lets the database refuse
// commits meanwhile.
type guard struct {
	vfs.FS
	log    *slog.Logger
	armed  atomic.Bool // set when the database is open: errors before go to Open's caller
	broken atomic.Pointer[diskError]
	table  atomic.Pointer[diskError] // newest failure of a table; nil after a good flush
	stop   chan struct{}             // closed by Close
}

// diskError is the failure of one operation.
type diskError struct {
	op  string
	err error
}

func (e *diskError) Error() string { return fmt.Sprintf("storage engine: %s: %v", e.op, e.err) }
func (e *diskError) Unwrap() error { return e.err }

// failure gives the failure after which nothing is durable any more, or nil.
func (g *guard) failure() error {
	if e := g.broken.Load(); e != nil {
		return e
	}
	return nil
}

// isTable says whether a file belongs to a flush or a compaction.
func isTable(name string) bool {
	return strings.HasSuffix(name, ".sst") || strings.HasSuffix(name, ".blob")
}

// down says whether changes have stopped.
func (g *guard) down() bool { return g.armed.Load() && g.broken.Load() != nil }

// judge decides what the engine hears of err.
func (g *guard) judge(op, name string, err error) error {
	if err == nil || !g.armed.Load() {
		return err
	}
	e := &diskError{op: op + " " + g.PathBase(name), err: err}
	if isTable(name) {
		g.table.Store(e)
		t := time.NewTimer(tablePause)
		defer t.Stop()
		select {
		case <-t.C:
		case <-g.stop:
		}
		return err
	}
	if g.broken.CompareAndSwap(nil, e) {
		g.log.Error("storage failed: no change is accepted until the server is started again", "op", e.op, "err", err)
	}
	return nil
}

// open wraps a file that was opened for writing; after a failure it gives one
// that swallows what is written.
func (g *guard) open(op, name string, do func() (vfs.File, error)) (vfs.File, error) {
	if g.down() {
		if isTable(name) {
			return nil, g.judge(op, name, g.failure())
		}
		return &guardFile{File: sink{name: name}, g: g, name: name}, nil
	}
	f, err := do()
	if err != nil {
		if err = g.judge(op, name, err); err != nil {
			return nil, err
		}
		return &guardFile{File: sink{name: name}, g: g, name: name}, nil
	}
	return &guardFile{File: f, g: g, name: name}, nil
}

func (g *guard) change(op, name string, do func() error) error {
	if g.down() {
		return nil
	}
	return g.judge(op, name, do())
}

func (g *guard) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return g.open("create", name, func() (vfs.File, error) { return g.FS.Create(name, c) })
}

func (g *guard) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return g.open("open", name, func() (vfs.File, error) { return g.FS.OpenReadWrite(name, c, opts...) })
}

func (g *guard) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return g.open("reuse", newname, func() (vfs.File, error) { return g.FS.ReuseForWrite(oldname, newname, c) })
}

func (g *guard) OpenDir(name string) (vfs.File, error) {
	f, err := g.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &guardFile{File: f, g: g, name: name}, nil
}

func (g *guard) Link(oldname, newname string) error {
	return g.change("link", newname, func() error { return g.FS.Link(oldname, newname) })
}

func (g *guard) Rename(oldname, newname string) error {
	return g.change("rename", newname, func() error { return g.FS.Rename(oldname, newname) })
}

// Remove leaves everything in place after a failure: the manifest on disk may
// still name a file that the engine believes to have replaced. A file that
// cannot be removed only takes room.
func (g *guard) Remove(name string) error {
	if g.down() {
		return nil
	}
	return g.FS.Remove(name)
}

func (g *guard) RemoveAll(name string) error {
	if g.down() {
		return nil
	}
	return g.FS.RemoveAll(name)
}

func (g *guard) Unwrap() vfs.FS { return g.FS }

// guardFile is a file opened for writing.
type guardFile struct {
	vfs.File
	g    *guard
	name string
}

// change does one change of the file unless changes have stopped.
func (f *guardFile) change(op string, do func() error) error {
	if f.g.down() && !isTable(f.name) {
		return nil
	}
	return f.g.judge(op, f.name, do())
}

func (f *guardFile) Write(p []byte) (int, error) {
	n := len(p)
	err := f.change("write", func() (err error) { n, err = f.File.Write(p); return err })
	if err == nil {
		n = len(p)
	}
	return n, err
}

func (f *guardFile) WriteAt(p []byte, off int64) (int, error) {
	n := len(p)
	err := f.change("write", func() (err error) { n, err = f.File.WriteAt(p, off); return err })
	if err == nil {
		n = len(p)
	}
	return n, err
}

func (f *guardFile) Sync() error     { return f.change("sync", f.File.Sync) }
func (f *guardFile) SyncData() error { return f.change("sync", f.File.SyncData) }

func (f *guardFile) SyncTo(length int64) (full bool, err error) {
	full = true
	err = f.change("sync", func() (err error) { full, err = f.File.SyncTo(length); return err })
	return full, err
}

// Preallocate is a wish: where the disk is full the write itself will tell.
func (f *guardFile) Preallocate(offset, length int64) error {
	if f.g.down() {
		return nil
	}
	return f.File.Preallocate(offset, length)
}

// Close of a log or manifest can report a write that was put off.
func (f *guardFile) Close() error {
	err := f.File.Close()
	if isTable(f.name) {
		return err
	}
	return f.g.judge("close", f.name, err)
}

// sink stands for a file that could not be made.
type sink struct{ name string }

func (sink) Close() error                           { return nil }
func (sink) Read([]byte) (int, error)               { return 0, io.EOF }
func (sink) ReadAt([]byte, int64) (int, error)      { return 0, io.EOF }
func (sink) Write(p []byte) (int, error)            { return len(p), nil }
func (sink) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }
func (sink) Preallocate(int64, int64) error         { return nil }
func (sink) Sync() error                            { return nil }
func (sink) SyncTo(int64) (bool, error)             { return true, nil }
func (sink) SyncData() error                        { return nil }
func (sink) Prefetch(int64, int64) error            { return nil }
func (sink) Fd() uintptr                            { return vfs.InvalidFd }
func (s sink) Stat() (vfs.FileInfo, error)          { return sinkInfo(s), nil }

// sinkInfo is what Stat says of a sink.
type sinkInfo struct{ name string }

func (i sinkInfo) Name() string         { return i.name }
func (sinkInfo) Size() int64            { return 0 }
func (sinkInfo) Mode() fs.FileMode      { return 0o600 }
func (sinkInfo) ModTime() time.Time     { return time.Time{} }
func (sinkInfo) IsDir() bool            { return false }
func (sinkInfo) Sys() any               { return nil }
func (sinkInfo) DeviceID() vfs.DeviceID { return vfs.DeviceID{} }

var (
	_ vfs.FS       = (*guard)(nil)
	_ vfs.FileInfo = sinkInfo{}
	_ os.FileInfo  = sinkInfo{}
)
