package queue

import (
	"context"
	"fmt"
	"io"

	"github.com/mohar-mail/mohar/base/fault"
)

// Bounds of the memory that messages take while they are received.
const (
	// DefaultRoom bounds what all messages that are being received take together,
	// over all doors, in octets. A message that finds no room is asked to come
	// again.
	DefaultRoom = 1 << 30
	// firstRoom is the buffer that a message begins with, in octets.
	firstRoom = 16 << 10
	// copies is how often a content is in memory at its worst: as it was read, and
	// below the fields that a flow puts before it.
	copies = 2
)

// Read takes a content of at most limit octets into memory, within the room that
// all doors share. free gives the room back; it is never nil and must be called
// once nobody uses the content. The errors are fault.Unavailable where there is
// no room, fault.TooLarge, and those of r.
func (q *Queue) Read(ctx context.Context, r io.Reader, limit int64) (content []byte, free func(), err error) {
	var taken int64
	free = func() { q.room.Release(taken) }
	var b []byte
	for {
		if len(b) == cap(b) {
			// One octet more than the limit tells a content that is too large.
			size := min(max(2*int64(cap(b)), firstRoom), limit+1)
			if size <= int64(len(b)) {
				return nil, free, fault.New(fault.TooLarge, "queue.Read", fmt.Sprintf("Messages are limited to %d octets.", limit))
			}
			need := copies * (size - int64(cap(b)))
			if !q.room.TryAcquire(need) {
				return nil, free, fault.New(fault.Unavailable, "queue.Read", "The server is busy. Try again later.")
			}
			taken += need
			grown := make([]byte, len(b), size)
			copy(grown, b)
			b = grown
		}
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		switch {
		case int64(len(b)) > limit:
			return nil, free, fault.New(fault.TooLarge, "queue.Read", fmt.Sprintf("Messages are limited to %d octets.", limit))
		case err == io.EOF:
			return b, free, nil
		case err != nil:
			return nil, free, err
		}
		if err := ctx.Err(); err != nil {
			return nil, free, err
		}
	}
}
