package segment

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"os"

	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/store/blob"
)

// minSaving is the part of a chunk, one in so many bytes, that compression must
// save to be kept.
const minSaving = 16

// upload is one Put under way.
type upload struct {
	s     *Store
	id    uint64
	index index
	files map[*file]int64 // files written to, and up to where they must be synced
	frame []byte          // scratch
	pack  []byte          // scratch
}

// Put stores what r gives, as blob.Store says.
func (s *Store) Put(ctx context.Context, r io.Reader) (blob.Location, int64, error) {
	if err := s.enter(ctx); err != nil {
		return "", 0, err
	}
	defer s.users.Done()
	var id [8]byte
	if _, err := rand.Read(id[:]); err != nil {
		return "", 0, err
	}
	u := &upload{s: s, id: binary.LittleEndian.Uint64(id[:]), files: make(map[*file]int64)}
	loc, err := u.run(ctx, r)
	for f := range u.files {
		_ = f.drop() // what was acknowledged is synced already
	}
	if err != nil {
		s.forget(u.index.chunks)
	}
	s.harvest()
	if err != nil {
		return "", 0, err
	}
	return loc, u.index.size, nil
}

func (u *upload) run(ctx context.Context, r io.Reader) (blob.Location, error) {
	chunk := make([]byte, chunkSize)
	for {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		n, err := fill(r, chunk)
		if err != nil && !errors.Is(err, io.EOF) {
			return "", err
		}
		if n > 0 {
			if len(u.index.chunks) == maxChunks {
				return "", fault.New(fault.TooLarge, "segment.Put", "The content is too large.")
			}
			if err := u.chunk(chunk[:n]); err != nil {
				return "", unavailable("Put", err)
			}
		}
		if err != nil {
			break
		}
	}
	at, err := u.append(indexFrame, 0, u.index.append(nil))
	if err != nil {
		return "", unavailable("Put", err)
	}
	for f, end := range u.files {
		if err := f.sync(end); err != nil {
			u.s.forget([]place{at})
			return "", unavailable("Put", err)
		}
	}
	return location(at, u.id), nil
}

// fill reads until p is full or r ends. io.ReadFull would make one error of a
// short end and of a reader that reports a connection cut short.
func fill(r io.Reader, p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var m int
		m, err = r.Read(p[n:])
		n += m
	}
	return n, err
}

// chunk appends one piece of content.
func (u *upload) chunk(content []byte) error {
	kind, payload := byte(zstdChunk), u.s.enc.EncodeAll(content, u.pack[:0])
	u.pack = payload
	if len(payload) > len(content)-len(content)/minSaving {
		kind, payload = plainChunk, content
	}
	at, err := u.append(kind, len(content), payload)
	if err != nil {
		return err
	}
	u.index.size += int64(len(content))
	u.index.chunks = append(u.index.chunks, at)
	return nil
}

// append writes one frame at the end of the current file.
func (u *upload) append(kind byte, content int, payload []byte) (place, error) {
	u.frame = appendFrame(u.frame[:0], kind, content, u.id, payload)
	u.s.mu.Lock()
	defer u.s.mu.Unlock()
	f, err := u.s.current(int64(len(u.frame)))
	if err != nil {
		return place{}, err
	}
	if _, err := f.f.WriteAt(u.frame, f.end); err != nil {
		f.bad = true
		return place{}, err
	}
	at := place{seg: f.seg, off: uint32(f.end), size: uint32(len(payload))}
	f.end += int64(len(u.frame))
	f.mu.Lock()
	f.written = f.end
	f.mu.Unlock()
	if _, held := u.files[f]; !held {
		f.hold()
	}
	u.files[f] = f.end
	return at, nil
}

// current gives the file that takes n more bytes, a new one where needed. It is
// called with mu held.
func (s *Store) current(n int64) (*file, error) {
	if s.cur != nil {
		s.cur.mu.Lock()
		usable := s.cur.err == nil && !s.cur.bad && (s.cur.end == 0 || s.cur.end+n <= s.max)
		s.cur.mu.Unlock()
		if usable {
			return s.cur, nil
		}
		old := s.cur
		s.cur = nil
		s.ripe = append(s.ripe, old.seg)
		if err := old.retire(); err != nil && !old.bad {
			return nil, err
		}
	}
	f, err := os.OpenFile(s.path(s.next), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	seg := s.next
	s.next++
	// Without its directory entry on disk the file's own sync is worth nothing.
	if err := syncDir(s.dir); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	s.cur = newFile(f, seg, 0)
	s.cur.extend(s.max)
	return s.cur, nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
