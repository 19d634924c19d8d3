package segment

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/store/blob"
)

func notFound(p place) error {
	return fault.Wrap(fmt.Errorf("segment %x offset %x", p.seg, p.off), fault.NotFound, "segment", "The content is not there.")
}

func corrupt(p place, why string) error {
	return fault.Wrap(fmt.Errorf("segment %x offset %x: %s", p.seg, p.off, why), fault.Corrupt, "segment", "The content is damaged in storage.")
}

// reader reads frames, keeping the last file open.
type reader struct {
	s   *Store
	f   *os.File
	seg uint64
	buf []byte
}

func (r *reader) close() {
	if r.f != nil {
		_ = r.f.Close() // opened for reading
	}
}

// frame reads the frame at p and verifies it; payload is valid until the next.
func (r *reader) frame(p place, id uint64) (h head, payload []byte, err error) {
	if r.f == nil || r.seg != p.seg {
		r.close()
		if r.f, err = os.Open(r.s.path(p.seg)); err != nil {
			r.f = nil
			if missing(err) {
				return h, nil, notFound(p)
			}
			return h, nil, unavailable("read", err)
		}
		r.seg = p.seg
	}
	// One read serves chunks, whose length the index gives.
	want := headSize + int(min(p.size, maxPayload))
	if cap(r.buf) < want {
		r.buf = make([]byte, want)
	}
	r.buf = r.buf[:want]
	n, err := r.f.ReadAt(r.buf, int64(p.off))
	if err != nil && !errors.Is(err, io.EOF) {
		return h, nil, unavailable("read", err)
	}
	if n < headSize {
		return h, nil, notFound(p)
	}
	head, err := parseHead(r.buf)
	if err != nil {
		return h, nil, corrupt(p, "no header")
	}
	if !head.live {
		return h, nil, notFound(p)
	}
	if head.id != id {
		return h, nil, corrupt(p, "another blob's frame")
	}
	if need := headSize + int(head.payload); need > n {
		if n == want && need > want {
			p.size = head.payload
			return r.frame(p, id)
		}
		return h, nil, corrupt(p, "cut short")
	}
	payload = r.buf[headSize : headSize+head.payload]
	if checksum(r.buf[4:24], payload) != head.sum {
		return h, nil, corrupt(p, "checksum")
	}
	return head, payload, nil
}

// index reads the index frame of loc.
func (r *reader) index(loc blob.Location) (index, place, uint64, error) {
	p, id, err := parseLocation(loc)
	if err != nil {
		return index{}, p, id, err
	}
	h, payload, err := r.frame(p, id)
	if err != nil {
		return index{}, p, id, err
	}
	x, err := parseIndex(payload)
	if err != nil || h.kind != indexFrame {
		return index{}, p, id, corrupt(p, "no index")
	}
	return x, p, id, nil
}

// chunk reads and decodes chunk i.
func (r *reader) chunk(x index, i int, id uint64, dst []byte) ([]byte, error) {
	p := x.chunks[i]
	h, payload, err := r.frame(p, id)
	if err != nil {
		return nil, err
	}
	want := min(chunkSize, x.size-int64(i)*chunkSize)
	if int64(h.content) != want {
		return nil, corrupt(p, "length")
	}
	switch h.kind {
	case plainChunk:
		dst = append(dst[:0], payload...)
	case zstdChunk:
		if dst, err = r.s.dec.DecodeAll(payload, dst[:0]); err != nil {
			return nil, corrupt(p, err.Error())
		}
	default:
		return nil, corrupt(p, "not a chunk")
	}
	if int64(len(dst)) != want {
		return nil, corrupt(p, "length")
	}
	return dst, nil
}

// Size gives the length of the content.
func (s *Store) Size(ctx context.Context, loc blob.Location) (int64, error) {
	if err := s.enter(ctx); err != nil {
		return 0, err
	}
	defer s.users.Done()
	r := reader{s: s}
	defer r.close()
	x, _, _, err := r.index(loc)
	return x.size, err
}

// ReadAt reads the bytes from off; it decompresses only the chunks concerned.
func (s *Store) ReadAt(ctx context.Context, loc blob.Location, p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, fault.New(fault.Invalid, "segment.ReadAt", "The offset is negative.")
	}
	if err := s.enter(ctx); err != nil {
		return 0, err
	}
	defer s.users.Done()
	r := reader{s: s}
	defer r.close()
	x, _, id, err := r.index(loc)
	if err != nil {
		return 0, err
	}
	var dst []byte
	for n < len(p) && off+int64(n) < x.size {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		at := off + int64(n)
		if dst, err = r.chunk(x, int(at/chunkSize), id, dst); err != nil {
			return n, err
		}
		n += copy(p[n:], dst[at%chunkSize:])
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}
