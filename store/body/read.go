package body

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/store/blob"
	"github.com/mohar-mail/mohar/store/kv"
)

// readAhead is the piece in which a large body is read in sequence: the chunk
// that a blob store decompresses as a whole.
const readAhead = 256 << 10

// load gives the row of ref; small content is decoded and verified.
func (b *Bodies) load(ctx context.Context, ref Ref) (r row, small []byte, err error) {
	if r, small, ok := b.cache.get(ref); ok {
		return r, small, nil
	}
	var data []byte
	err = b.kv.View(ctx, ref.Home, func(kr kv.Reader) error {
		v, err := kr.Get(ref.contentKey())
		if err != nil {
			return err
		}
		if r, err = parseRow(v); err != nil {
			return err
		}
		data = bytes.Clone(r.data)
		return nil
	})
	switch {
	case errors.Is(err, kv.ErrNotFound):
		return r, nil, fault.Wrap(fmt.Errorf("body %s: %w", ref, err), fault.NotFound, "body", "The message is no longer there.")
	case err != nil:
		return r, nil, fmt.Errorf("body %s: %w", ref, err)
	}
	r.data = data
	if r.codec == inBlob {
		return r, nil, nil
	}
	if small = data; r.codec == zstdHot {
		if small, err = b.dec.DecodeAll(data, make([]byte, 0, r.size)); err != nil {
			return r, nil, corrupt(fmt.Errorf("body %s: %w", ref, err))
		}
	}
	if err := verify(ref, r, small); err != nil {
		return r, nil, err
	}
	r.data = nil
	b.cache.put(ref, r, small)
	return r, small, nil
}

func verify(ref Ref, r row, content []byte) error {
	if int64(len(content)) != r.size || sha256.Sum256(content) != r.sum {
		return corrupt(fmt.Errorf("body %s does not match its checksum", ref))
	}
	return nil
}

// Read gives the whole content, verified, in memory; Open serves large ones
// better. The bytes must not be modified. fault.NotFound if the body is gone,
// fault.Corrupt if it fails its checksum.
func (b *Bodies) Read(ctx context.Context, ref Ref) ([]byte, error) {
	r, content, err := b.load(ctx, ref)
	if err != nil || r.codec != inBlob {
		return content, err
	}
	// The row's size is only believed when the blob store agrees.
	loc := blob.Location(r.data)
	size, err := b.blob.Size(ctx, loc)
	if err != nil {
		return nil, err
	}
	if size != r.size {
		return nil, corrupt(fmt.Errorf("body %s has %d bytes, its row says %d", ref, size, r.size))
	}
	content = make([]byte, r.size)
	if n, err := b.blob.ReadAt(ctx, loc, content, 0); int64(n) != r.size {
		return nil, err
	}
	return content, verify(ref, r, content)
}

// ReadRange gives up to n bytes from off: fewer at the end, none beyond it. The
// bytes must not be modified. fault.Invalid for negative numbers.
func (b *Bodies) ReadRange(ctx context.Context, ref Ref, off, n int64) ([]byte, error) {
	if off < 0 || n < 0 {
		return nil, fault.New(fault.Invalid, "body.ReadRange", "The range is not possible.")
	}
	r, content, err := b.load(ctx, ref)
	if err != nil {
		return nil, err
	}
	off = min(off, r.size)
	n = min(n, r.size-off)
	if r.codec != inBlob {
		return content[off : off+n : off+n], nil
	}
	if n == 0 {
		return []byte{}, nil
	}
	part := make([]byte, n)
	if got, err := b.blob.ReadAt(ctx, blob.Location(r.data), part, off); int64(got) != n {
		return nil, err
	}
	return part, nil
}

// Open gives the content for reading piece by piece, in memory of a fixed size
// when it is large. ctx bounds all reading. It needs no closing.
func (b *Bodies) Open(ctx context.Context, ref Ref) (*Content, error) {
	r, small, err := b.load(ctx, ref)
	if err != nil {
		return nil, err
	}
	return newContent(ctx, b.blob, r, small), nil
}

// Content is one body opened for reading. ReadAt is safe for concurrent use;
// Read and WriteTo, which share a position, are not.
type Content struct {
	size int64
	sum  [sha256.Size]byte
	at   io.ReaderAt
	seq  io.Reader
}

func newContent(ctx context.Context, store blob.Store, r row, small []byte) *Content {
	c := &Content{size: r.size, sum: r.sum}
	if r.codec != inBlob {
		c.at, c.seq = bytes.NewReader(small), bytes.NewReader(small)
		return c
	}
	c.at = &blobReader{ctx: ctx, store: store, loc: blob.Location(r.data)}
	c.seq = bufio.NewReaderSize(io.NewSectionReader(c.at, 0, r.size), readAhead)
	return c
}

// Size is the length in bytes.
func (c *Content) Size() int64 { return c.size }

// SHA256 is the checksum of the whole content.
func (c *Content) SHA256() [sha256.Size]byte { return c.sum }

// ReadAt reads from off, as io.ReaderAt.
func (c *Content) ReadAt(p []byte, off int64) (int, error) { return c.at.ReadAt(p, off) }

// Read reads on in sequence, as io.Reader.
func (c *Content) Read(p []byte) (int, error) { return c.seq.Read(p) }

// blobReader reads one blob.
type blobReader struct {
	ctx   context.Context
	store blob.Store
	loc   blob.Location
}

func (r *blobReader) ReadAt(p []byte, off int64) (int, error) {
	return r.store.ReadAt(r.ctx, r.loc, p, off)
}
