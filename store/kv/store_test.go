package kv_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/store/kv"
	"github.com/mohar-mail/mohar/store/kv/memkv"
)

// slowDB is a backend whose tickets are done when the test says so.
type slowDB struct {
	kv.DB
	mu       sync.Mutex
	tickets  []*slowTicket
	conflict int // so many commits are refused first
	commits  int
}

type slowTicket struct {
	done chan struct{}
	err  error
}

func (t *slowTicket) Wait() error { <-t.done; return t.err }

func (t *slowTicket) finish(err error) { t.err = err; close(t.done) }

func (d *slowDB) Commit(ctx context.Context, b *kv.Batch) (kv.Ticket, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.commits++
	if d.conflict > 0 {
		d.conflict--
		return nil, kv.ErrConflict
	}
	ticket, err := d.DB.Commit(ctx, b)
	if err != nil || b.Lazy {
		return ticket, err
	}
	slow := &slowTicket{done: make(chan struct{})}
	d.tickets = append(d.tickets, slow)
	return slow, nil
}

func put(key, value string) func(*kv.Tx) error {
	return func(tx *kv.Tx) error { tx.Put([]byte(key), []byte(value)); return nil }
}

// TestViewWaits: a view that sees a commit waits until it is durable, also when
// a lazy commit follows it, and fails when the commit does.
func TestViewWaits(t *testing.T) {
	for _, tt := range []struct {
		name string
		lazy bool
		err  error
	}{{"plain", false, nil}, {"lazy after", true, nil}, {"failed", false, errors.New("disk gone")}, {"failed, lazy after", true, errors.New("disk gone")}} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				db := &slowDB{DB: memkv.New()}
				s := kv.NewStore(db)
				updated, viewed := false, false
				go func() {
					err := s.Update(t.Context(), "a", put("k", "v"))
					if (err != nil) != (tt.err != nil) || (err != nil && !fault.Is(err, fault.Unavailable)) {
						t.Errorf("Update: %v", err)
					}
					updated = true
				}()
				synctest.Wait()
				if tt.lazy {
					if err := s.UpdateLazy(t.Context(), "a", put("l", "w")); err != nil {
						t.Errorf("UpdateLazy: %v", err)
					}
				}
				go func() {
					err := s.View(t.Context(), "a", func(r kv.Reader) error {
						_, err := r.Get([]byte("k"))
						return err
					})
					if (err != nil) != (tt.err != nil) {
						t.Errorf("View: %v", err)
					}
					viewed = true
				}()
				synctest.Wait()
				if updated || viewed {
					t.Errorf("before the data is durable: Update returned %v, View returned %v", updated, viewed)
				}
				db.tickets[0].finish(tt.err)
				synctest.Wait()
				if !updated || !viewed {
					t.Errorf("after it: Update returned %v, View returned %v", updated, viewed)
				}
			})
		})
	}
}

func TestRetry(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		conflicts int
		wantCalls int
		ok        bool
	}{{0, 1, true}, {3, 4, true}, {kv.MaxTries - 1, kv.MaxTries, true}, {kv.MaxTries, kv.MaxTries, false}} {
		db := &slowDB{DB: memkv.New(), conflict: tt.conflicts}
		calls := 0
		err := kv.NewStore(db).UpdateLazy(t.Context(), "a", func(tx *kv.Tx) error {
			calls++
			return put("k", "v")(tx)
		})
		if calls != tt.wantCalls || (err == nil) != tt.ok {
			t.Errorf("%d conflicts: %d calls, %v", tt.conflicts, calls, err)
		}
		if !tt.ok && (!fault.Is(err, fault.Conflict) || !errors.Is(err, kv.ErrConflict)) {
			t.Errorf("after %d conflicts: %v", tt.conflicts, err)
		}
	}
}

func TestUpdateWritesNothing(t *testing.T) {
	t.Parallel()
	stop := errors.New("stop")
	for _, tt := range []struct {
		name string
		fn   func(*kv.Tx) error
		is   func(error) bool
	}{
		{"error", func(tx *kv.Tx) error { tx.Put([]byte("k"), nil); return stop }, func(err error) bool { return err == stop }},
		{"no writes", func(tx *kv.Tx) error { return nil }, func(err error) bool { return err == nil }},
		{"long key", put(strings.Repeat("k", kv.MaxKey+1), ""), func(err error) bool { return fault.Is(err, fault.TooLarge) }},
		{"no key", put("", ""), func(err error) bool { return fault.Is(err, fault.TooLarge) }},
		{"large value", put("k", strings.Repeat("v", kv.MaxValue+1)), func(err error) bool { return fault.Is(err, fault.TooLarge) }},
		{"large batch", func(tx *kv.Tx) error {
			for i := range kv.MaxBatch/kv.MaxValue + 1 {
				tx.PutOwned([]byte{byte(i)}, make([]byte, kv.MaxValue))
			}
			return nil
		}, func(err error) bool { return fault.Is(err, fault.TooLarge) }},
	} {
		db := &slowDB{DB: memkv.New()}
		if err := kv.NewStore(db).UpdateLazy(t.Context(), "a", tt.fn); !tt.is(err) {
			t.Errorf("%s: %v", tt.name, err)
		}
		if db.commits != 0 {
			t.Errorf("%s: committed", tt.name)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := kv.NewStore(memkv.New()).Update(ctx, "a", put("k", "v")); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestTxSize: what is overwritten or deleted in a transaction no longer counts.
func TestTxSize(t *testing.T) {
	t.Parallel()
	err := kv.NewStore(memkv.New()).Update(t.Context(), "a", func(tx *kv.Tx) error {
		for range 2 * kv.MaxBatch / kv.MaxValue {
			tx.PutOwned([]byte("k"), make([]byte, kv.MaxValue))
		}
		tx.Delete([]byte("k"))
		if _, err := tx.Get([]byte("k")); !errors.Is(err, kv.ErrNotFound) {
			t.Errorf("Get of a deleted key: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestPrefixEnd(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ prefix, end string }{{"a", "b"}, {"ab", "ac"}, {"a\xff", "b"}, {"a\xff\xff", "b"}, {"\x00", "\x01"}} {
		if got := kv.PrefixEnd([]byte(tt.prefix)); string(got) != tt.end {
			t.Errorf("PrefixEnd(%q) = %q, want %q", tt.prefix, got, tt.end)
		}
	}
	for _, p := range []string{"", "\xff", "\xff\xff"} {
		if got := kv.PrefixEnd([]byte(p)); got != nil {
			t.Errorf("PrefixEnd(%q) = %q, want nil", p, got)
		}
	}
}
