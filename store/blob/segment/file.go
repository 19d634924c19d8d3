package segment

import (
	"errors"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// file is a segment that is or was appended to by this process.
type file struct {
	f   *os.File
	seg uint64
	end int64 // next append; guarded by Store.mu
	bad bool  // an append failed: nothing more is written here; guarded by Store.mu

	mu      sync.Mutex
	cond    *sync.Cond
	written int64 // bytes handed to the kernel
	synced  int64 // bytes known to be on disk
	syncing bool
	err     error // the first failed sync; nothing after it counts as durable
	holders int   // those who may still sync; the last one closes
	retired bool  // no more appends
}

func newFile(f *os.File, seg uint64, end int64) *file {
	x := &file{f: f, seg: seg, end: end, written: end, synced: end}
	x.cond = sync.NewCond(&x.mu)
	return x
}

// extend reserves room, so that an fdatasync does not have to change the file's
// length each time. A file system that cannot do it is merely slower.
func (x *file) extend(size int64) {
	if size > x.end {
		_ = unix.Fallocate(int(x.f.Fd()), 0, 0, size)
	}
}

// sync returns when the first upTo bytes are on disk. Whoever comes while a
// sync is under way waits for the next, which one of them does for all.
func (x *file) sync(upTo int64) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	for x.synced < upTo && x.err == nil {
		if x.syncing {
			x.cond.Wait()
			continue
		}
		x.syncing = true
		target := x.written
		x.mu.Unlock()
		err := unix.Fdatasync(int(x.f.Fd()))
		x.mu.Lock()
		x.syncing = false
		if err != nil {
			x.err = err // the kernel may have dropped the pages: a second try proves nothing
		} else {
			x.synced = max(x.synced, target)
		}
		x.cond.Broadcast()
	}
	if x.synced >= upTo {
		return nil
	}
	return x.err
}

// hold keeps the file open; drop lets go of it.
func (x *file) hold() {
	x.mu.Lock()
	x.holders++
	x.mu.Unlock()
}

func (x *file) drop() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.holders--
	return x.closeIfDone()
}

// retire ends appending: the room that was reserved and not used goes back.
func (x *file) retire() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.retired = true
	err := x.f.Truncate(x.end)
	return errors.Join(err, x.closeIfDone())
}

func (x *file) closeIfDone() error {
	if x.retired && x.holders == 0 {
		return x.f.Close()
	}
	return nil
}

// finish is retire for Close: everything is synced first.
func (x *file) finish() error {
	err := x.sync(x.end)
	return errors.Join(err, x.retire())
}

// walk calls fn for the frames of a file in order, until fn returns false, the
// file ends, or what stands there is no frame; end is where it stopped. With
// check, the payload of live frames is read, verified and handed to fn; a bad
// one ends the walk.
func walk(f *os.File, fn func(h head, payload []byte) bool, check bool) (end int64, err error) {
	var hb [headSize]byte
	var payload []byte
	for {
		if _, err := f.ReadAt(hb[:], end); err != nil {
			return end, notEOF(err)
		}
		h, err := parseHead(hb[:])
		if err != nil {
			return end, nil
		}
		if check && h.live {
			if cap(payload) < int(h.payload) {
				payload = make([]byte, h.payload)
			}
			payload = payload[:h.payload]
			if _, err := f.ReadAt(payload, end+headSize); err != nil {
				return end, notEOF(err)
			}
			if checksum(hb[4:24], payload) != h.sum {
				return end, nil
			}
		}
		if !fn(h, payload) {
			return end, nil
		}
		end += frameSize(int(h.payload))
	}
}

func notEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// followed says whether a valid live frame begins anywhere after from. Then what
// stands at from is damage in the middle of a file, not the end that a crash
// left. The file is searched through a window that holds any frame.
func followed(f *os.File, from int64) (bool, error) {
	const window = 4 * chunkSize
	buf := make([]byte, window)
	for {
		n, err := f.ReadAt(buf, from)
		if notEOF(err) != nil {
			return false, err
		}
		for i := 0; i+headSize <= n; i += align {
			h, herr := parseHead(buf[i:])
			if herr != nil || !h.live || i+headSize+int(h.payload) > n {
				continue
			}
			if checksum(buf[i+4:i+24], buf[i+headSize:i+headSize+int(h.payload)]) == h.sum {
				return true, nil
			}
		}
		if err != nil {
			return false, nil
		}
		from += window / 2
	}
}
