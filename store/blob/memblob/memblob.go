// Package memblob keeps blobs in memory: for tests, and for a server that may
// forget.
//
// Owns:      a map, gone with the process.
// Trusts:    nobody with its slices: all are copies.
// May touch: memory only.
package memblob

import (
	"bytes"
	"context"
	"io"
	"strconv"
	"sync"

	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/store/blob"
)

// Store is the backend. New makes it.
type Store struct {
	mu     sync.Mutex
	next   uint64
	blobs  map[blob.Location][]byte
	closed bool
}

// New makes an empty backend.
func New() *Store { return &Store{blobs: make(map[blob.Location][]byte)} }

// Len counts the blobs that are there, so that tests can find orphans.
func (s *Store) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.blobs)
}

// Put stores what r gives.
func (s *Store) Put(ctx context.Context, r io.Reader) (blob.Location, int64, error) {
	var b bytes.Buffer
	if _, err := b.ReadFrom(r); err != nil {
		return "", 0, err
	}
	if err := ctx.Err(); err != nil {
		return "", 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return "", 0, closed()
	}
	s.next++
	loc := blob.Location("m" + strconv.FormatUint(s.next, 36))
	s.blobs[loc] = b.Bytes()
	return loc, int64(b.Len()), nil
}

func closed() error { return fault.New(fault.Unavailable, "memblob", "The storage is closed.") }

func (s *Store) get(ctx context.Context, loc blob.Location) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, closed()
	}
	b, ok := s.blobs[loc]
	if !ok {
		return nil, fault.New(fault.NotFound, "memblob", "The content is not there.")
	}
	return b, nil
}

// ReadAt reads the bytes from off.
func (s *Store) ReadAt(ctx context.Context, loc blob.Location, p []byte, off int64) (int, error) {
	b, err := s.get(ctx, loc)
	if err != nil {
		return 0, err
	}
	if off < 0 {
		return 0, fault.New(fault.Invalid, "memblob.ReadAt", "The offset is negative.")
	}
	return bytes.NewReader(b).ReadAt(p, off)
}

// Size gives the length of the content.
func (s *Store) Size(ctx context.Context, loc blob.Location) (int64, error) {
	b, err := s.get(ctx, loc)
	return int64(len(b)), err
}

// Delete removes the content.
func (s *Store) Delete(ctx context.Context, loc blob.Location) error {
	if _, err := s.get(ctx, loc); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.blobs, loc)
	return nil
}

// Close forgets everything.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return closed()
	}
	s.closed, s.blobs = true, nil
	return nil
}

var _ blob.Store = (*Store)(nil)
