package segment

import (
	"context"
	"encoding/binary"
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"github.com/mohar-mail/mohar/store/blob"
)

// page is the unit in which a file system gives room back.
const page = 4096

// Delete removes the content. It is durable on return: a blob whose metadata is
// gone must not come back with a crash.
func (s *Store) Delete(ctx context.Context, loc blob.Location) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.users.Done()
	s.dmu.Lock()
	defer s.dmu.Unlock()
	r := reader{s: s}
	defer r.close()
	x, at, _, err := r.index(loc)
	if err != nil {
		return err
	}
	// The index first: once it is dead the blob is gone as a whole.
	if err := s.kill([]place{at}, true); err != nil {
		return unavailable("Delete", err)
	}
	// The chunks are garbage from here on; what fails now costs only room.
	_ = s.kill(x.chunks, false)
	return nil
}

// forget gives up the frames of a Put that failed, as far as that is possible.
func (s *Store) forget(frames []place) {
	s.dmu.Lock()
	defer s.dmu.Unlock()
	_ = s.kill(frames, false)
}

// kill marks frames dead and gives their room back. It is called with dmu held.
func (s *Store) kill(frames []place, durable bool) error {
	for len(frames) > 0 {
		seg, n := frames[0].seg, 1
		for n < len(frames) && frames[n].seg == seg {
			n++
		}
		if err := s.killIn(seg, frames[:n], durable); err != nil {
			return err
		}
		frames = frames[n:]
	}
	return nil
}

func (s *Store) killIn(seg uint64, frames []place, durable bool) (err error) {
	f, err := os.OpenFile(s.path(seg), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	var magic [4]byte
	binary.LittleEndian.PutUint32(magic[:], deadMagic)
	for _, p := range frames {
		if _, err := f.WriteAt(magic[:], int64(p.off)); err != nil {
			return err
		}
	}
	if durable {
		if err := unix.Fdatasync(int(f.Fd())); err != nil {
			return err
		}
	}
	for _, p := range frames {
		// Headers stay, so that the file can still be walked.
		from := (int64(p.off) + headSize + page - 1) / page * page
		to := (int64(p.off) + headSize + int64(p.size)) / page * page
		if from < to {
			_ = unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, from, to-from)
		}
	}
	return s.reap(seg, f, len(frames))
}

// reap removes a file that is closed for writing and has nothing alive in it.
func (s *Store) reap(seg uint64, f *os.File, killed int) error {
	s.mu.Lock()
	open := s.cur != nil && s.cur.seg == seg
	s.mu.Unlock()
	if open {
		return nil
	}
	left, counted := s.live[seg]
	if counted {
		left -= killed
	} else {
		left = 0
		end, err := walk(f, func(h head, _ []byte) bool {
			if h.live {
				left++
			}
			return true
		}, false)
		if err != nil {
			return err
		}
		if info, err := f.Stat(); err != nil || info.Size() != end {
			return err // damaged or never cut: whatever lives beyond cannot be counted
		}
	}
	s.live[seg] = left
	if left > 0 {
		return nil
	}
	delete(s.live, seg)
	return os.Remove(s.path(seg))
}

// harvest looks through the files that were closed for writing meanwhile: all
// in them may have been deleted while they were still written.
func (s *Store) harvest() {
	s.mu.Lock()
	ripe := s.ripe
	s.ripe = nil
	s.mu.Unlock()
	if len(ripe) == 0 {
		return
	}
	s.dmu.Lock()
	defer s.dmu.Unlock()
	for _, seg := range ripe {
		_ = s.killIn(seg, nil, false) // costs only room
	}
}
