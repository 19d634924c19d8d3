package body

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"hash"
	"io"

	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/store/blob"
)

// errAborted is what the blob store reads from a Writer that was given up.
var errAborted = errors.New("body: writer aborted")

// Writer takes the content of one message as it arrives. Up to the hot limit it
// stays in memory; beyond, all of it flows into the blob store. It is not safe
// for concurrent use. Finish or Abort ends it, and must be called.
type Writer struct {
	b    *Bodies
	ctx  context.Context
	buf  []byte
	size int64
	sum  hash.Hash
	over bool // Finish or Abort was called

	pipe *io.PipeWriter // nil while the content is small
	done chan struct{}  // closed when the blob store has answered
	loc  blob.Location  // its answer
	err  error
}

// Writer begins a body. ctx bounds the whole upload.
func (b *Bodies) Writer(ctx context.Context) *Writer {
	return &Writer{b: b, ctx: ctx, sum: sha256.New()}
}

// Write takes the next bytes of content.
func (w *Writer) Write(p []byte) (int, error) {
	if w.over {
		return 0, fault.New(fault.Internal, "body.Write", "")
	}
	if w.pipe == nil && len(w.buf)+len(p) > w.b.hot {
		w.spill()
	}
	n := len(p)
	if w.pipe == nil {
		w.buf = append(w.buf, p...)
	} else {
		var err error
		if n, err = w.pipe.Write(p); err != nil {
			<-w.done
			return n, errors.Join(w.err, err)
		}
	}
	w.sum.Write(p)
	w.size += int64(n)
	return n, nil
}

// spill starts the upload with what is in memory.
func (w *Writer) spill() {
	r, pipe := io.Pipe()
	w.pipe, w.done = pipe, make(chan struct{})
	head := w.buf
	w.buf = nil
	go func() {
		defer close(w.done)
		w.loc, _, w.err = w.b.blob.Put(w.ctx, io.MultiReader(&sliceReader{head}, r))
		// Whatever is still written gets the reason instead of waiting for ever.
		_ = r.CloseWithError(errors.Join(errAborted, w.err))
	}()
}

// sliceReader reads b once and forgets it.
type sliceReader struct{ b []byte }

func (r *sliceReader) Read(p []byte) (int, error) {
	if len(r.b) == 0 {
		r.b = nil
		return 0, io.EOF
	}
	n := copy(p, r.b)
	r.b = r.b[n:]
	return n, nil
}

// Staged is content that is ready to be added by a transaction: in memory when
// small, durable in the blob store when large.
type Staged struct {
	Size   int64
	SHA256 [sha256.Size]byte

	b   *Bodies
	id  [16]byte
	row row
	loc blob.Location
	raw []byte // the content of a small body
}

// Finish ends the content. It waits until a large body is durable; a small one
// is compressed where that helps.
func (w *Writer) Finish() (*Staged, error) {
	if w.over {
		return nil, fault.New(fault.Internal, "body.Finish", "")
	}
	w.over = true
	st := &Staged{b: w.b, Size: w.size, SHA256: [sha256.Size]byte(w.sum.Sum(nil))}
	if _, err := rand.Read(st.id[:]); err != nil {
		return nil, err
	}
	st.row = row{codec: plainHot, size: w.size, sum: st.SHA256, data: w.buf}
	if w.pipe != nil {
		_ = w.pipe.Close() // always nil
		<-w.done
		if w.err != nil {
			return nil, w.err
		}
		st.loc = w.loc
		st.row.codec, st.row.data = inBlob, []byte(w.loc)
		return st, nil
	}
	st.raw = w.buf
	packed := w.b.enc.EncodeAll(w.buf, make([]byte, 0, len(w.buf)/2+minSaving))
	if len(packed) < len(w.buf)-len(w.buf)/minSaving {
		st.row.codec, st.row.data = zstdHot, packed
	}
	return st, nil
}

// Abort gives the content up and frees what it took. After Finish it does
// nothing.
func (w *Writer) Abort() {
	if w.over {
		return
	}
	w.over = true
	w.buf = nil
	if w.pipe == nil {
		return
	}
	_ = w.pipe.CloseWithError(errAborted)
	<-w.done
	if w.err == nil { // the store was done before it could hear of it
		_ = w.b.Free(context.WithoutCancel(w.ctx), w.loc)
	}
}

// Large says whether the content went to the blob store.
func (s *Staged) Large() bool { return s.loc != "" }

// Bytes gives the whole content of a small body, which must not be modified;
// nil for a large one, which Open reads.
func (s *Staged) Bytes() []byte {
	if s.Large() {
		return nil
	}
	return s.raw
}

// Open reads the content before it is added, so that it can be judged first.
func (s *Staged) Open(ctx context.Context) *Content {
	return newContent(ctx, s.b.blob, s.row, s.raw)
}

// Discard frees the content if no transaction took it. It must not be called
// after a transaction with Add has committed, or may have.
func (s *Staged) Discard(ctx context.Context) {
	// What cannot be deleted now is an orphan that check finds.
	_ = s.b.Free(ctx, s.loc)
}
