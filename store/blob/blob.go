// Package blob is immutable content above the size that a key-value store
// should hold: large messages, packs, attachments.
//
// Owns:      nothing; backends own the bytes.
// Trusts:    callers to keep a Location with the metadata that refers to it.
// May touch: nothing; backends touch files or the network.
//
// Content is written once, read in ranges, and deleted once, which is all that
// an object store offers. A Put that nobody's metadata refers to, since the
// server died in between, is an orphan; check finds it by comparing.
package blob

import (
	"context"
	"io"
)

// MaxLocation is the longest Location that a backend gives, in bytes.
const MaxLocation = 64

// Location names a blob for the backend that gave it. It is opaque printable
// ASCII, never empty, at most MaxLocation bytes, and never used again after
// Delete.
type Location string

// Store is a backend. It is safe for concurrent use. Its errors are
// fault.NotFound for a location without content, fault.Corrupt for content that
// fails its checksum, fault.Unavailable for a disk or network that does not
// answer.
type Store interface {
	// Put stores what r gives until io.EOF, in bounded memory, and returns where
	// it is and how many bytes it has. The content is durable on return. Any
	// other error of r is returned as it is and nothing is kept.
	Put(ctx context.Context, r io.Reader) (Location, int64, error)
	// ReadAt reads the bytes from off as io.ReaderAt does: fewer than len(p)
	// only with an error, io.EOF at the end. Bytes that it returns are verified.
	ReadAt(ctx context.Context, loc Location, p []byte, off int64) (int, error)
	// Size gives the length of the content in bytes.
	Size(ctx context.Context, loc Location) (int64, error)
	// Delete removes the content. fault.NotFound if it is not there.
	Delete(ctx context.Context, loc Location) error
	// Close lets go of the backend; everything after it is fault.Unavailable.
	Close() error
}
