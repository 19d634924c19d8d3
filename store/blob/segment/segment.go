// Package segment keeps blobs in append-only files of one directory.
//
// Owns:      the directory given to Open: LOCK and *.seg, nothing else.
// Trusts:    the disk to keep what fdatasync confirmed.
// May touch: files below that directory.
//
// A blob is cut into chunks of 256 KB that are compressed one by one and
// appended as frames to the newest file, between the chunks of whoever else is
// writing; an index frame that names the chunks ends it. So a slow upload holds
// nobody up, memory does not depend on the size, and a read in the middle of a
// 25 MB message decompresses one chunk. Writers that finish at the same time
// share one fdatasync.
//
// Frames are appended under a lock, so that a frame on disk means that all
// before it in the file are too: what follows the last valid frame after a
// crash was never acknowledged and is dropped at open. Chunks of an upload that
// a crash cut off stay as garbage in their file until check copies the rest.
//
// Delete marks frames dead, gives their room back to the file system where that
// is possible, and removes a file in which nothing lives.
package segment

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/klauspost/compress/zstd"

	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/store/blob"
)

// DefaultFileSize is the length at which a file is closed for writing.
const DefaultFileSize = 64 << 20

// suffix ends the names of segment files.
const suffix = ".seg"

// Config tunes a Store.
type Config struct {
	FileSize int64 // bytes, at most 1 GB; 0 means DefaultFileSize
}

// Store is the backend. Open makes it.
type Store struct {
	dir  string
	max  int64
	lock *os.File
	enc  *zstd.Encoder // EncodeAll and DecodeAll keep pools of their own
	dec  *zstd.Decoder

	mu     sync.Mutex // guards appending: held for a write to the page cache, never for a sync
	cur    *file      // nil until the next append makes one
	next   uint64     // number of the next file
	ripe   []uint64   // files closed for writing that nobody has looked through yet
	closed bool

	users sync.WaitGroup // operations that Close waits for

	dmu  sync.Mutex     // guards the marking of frames as dead, and what follows
	live map[uint64]int // live frames in closed files, as far as they were counted
}

// Open opens the directory, made where it is missing, and drops what a crash
// left unfinished at the end of the newest file. fault.Unavailable if another
// server holds it.
func Open(dir string, cfg Config) (*Store, error) {
	if cfg.FileSize <= 0 {
		cfg.FileSize = DefaultFileSize
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, unavailable("Open", err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "LOCK"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, unavailable("Open", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fault.Wrap(fmt.Errorf("%s: %w", dir, err), fault.Unavailable, "segment.Open",
			"Another server is using the storage directory."), lock.Close())
	}
	s := &Store{dir: dir, max: min(cfg.FileSize, 1<<30), lock: lock, live: make(map[uint64]int)}
	s.enc, err = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderCRC(false))
	if err == nil {
		s.dec, err = zstd.NewReader(nil, zstd.WithDecoderMaxMemory(4*chunkSize), zstd.WithDecoderConcurrency(0))
	}
	if err == nil {
		err = s.recover()
	}
	if err != nil {
		return nil, errors.Join(unavailable("Open", err), lock.Close())
	}
	return s, nil
}

func unavailable(op string, err error) error {
	if errors.Is(err, syscall.ENOSPC) {
		return fault.Wrap(err, fault.NoSpace, "segment."+op, "The disk is full.")
	}
	return fault.Wrap(err, fault.Unavailable, "segment."+op, "The storage is out of reach for now.")
}

func (s *Store) path(seg uint64) string {
	return filepath.Join(s.dir, fmt.Sprintf("%016x", seg)+suffix)
}

// segments lists the numbers of the files in order.
func (s *Store) segments() ([]uint64, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, err
	}
	var out []uint64
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), suffix)
		if n, err := strconv.ParseUint(name, 16, 64); ok && err == nil && len(name) == 16 {
			out = append(out, n)
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i] < out[j] })
	return out, nil
}

// recover cuts the newest file after its last valid frame and goes on in it.
// Earlier files are never appended to: whatever stands at their end was cut or
// acknowledged.
func (s *Store) recover() error {
	segs, err := s.segments()
	if err != nil || len(segs) == 0 {
		s.next = 1
		return err
	}
	last := segs[len(segs)-1]
	s.next = last + 1
	f, err := os.OpenFile(s.path(last), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	var damaged bool
	end, err := walk(f, func(head, []byte) bool { return true }, true)
	if err == nil {
		damaged, err = followed(f, end)
	}
	if err == nil && damaged {
		return f.Close() // left as it is; the next append begins a new file
	}
	if err == nil {
		err = f.Truncate(end)
	}
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	s.cur = newFile(f, last, end)
	s.cur.extend(s.max)
	return nil
}

// enter begins an operation; users.Done ends it.
func (s *Store) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return fault.New(fault.Unavailable, "segment", "The storage is closed.")
	}
	s.users.Add(1)
	return nil
}

// Close waits for what is under way and lets go of the directory.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return fault.New(fault.Unavailable, "segment.Close", "The storage is closed.")
	}
	s.closed = true
	s.mu.Unlock()
	s.users.Wait()
	var err error
	if s.cur != nil {
		err = s.cur.finish()
	}
	s.dec.Close()
	return unavailable("Close", errors.Join(err, s.enc.Close(), s.lock.Close()))
}

// missing says whether err means that a file is not there.
func missing(err error) bool { return errors.Is(err, fs.ErrNotExist) }

var _ blob.Store = (*Store)(nil)
