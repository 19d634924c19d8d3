package queue_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mohar-mail/mohar/queue"
	"github.com/mohar-mail/mohar/store/body"
)

func (w *world) sound() {
	w.Helper()
	got, err := w.q.Check(w.Context())
	w.must(err)
	if len(got) > 0 {
		w.Errorf("%q", got)
	}
}

// The check is clean in every state of an item. How it finds damage is tested
// where whole installations are checked.
func TestCheckOfEveryState(t *testing.T) {
	w := newWorld(t)
	w.sound()
	it := w.promise(toRavi, toGmail)
	w.sound()
	local, remote := w.lease(queue.Local, 1), w.lease(queue.Remote, 1)
	w.sound()
	w.must(w.q.Finish(t.Context(), []queue.Result{{Lease: remote[0], Retry: w.clock.Now().Add(time.Hour), Last: "451"}}, nil))
	w.sound()
	w.must(w.q.Finish(t.Context(), []queue.Result{{Lease: local[0], Retry: w.clock.Now()}}, nil))
	w.sound()
	w.must(w.q.Hold(t.Context(), it.ID, "why", nil))
	w.sound()
	w.must(w.q.Release(t.Context(), it.ID, nil))
	w.sound()
	local = w.lease(queue.Local, 1)
	w.must(w.q.Finish(t.Context(), []queue.Result{{Lease: local[0], Taken: true}}, nil))
	w.sound()
	w.must(w.q.Drop(t.Context(), it.ID, nil))
	w.sound()
}

func TestHolds(t *testing.T) {
	w := newWorld(t)
	first := w.promise(toRavi, toGmail, queue.Recipient{Address: "s@rajya.example", Account: "a2", Class: queue.Held})
	second := w.promise(toGmail)
	want := map[body.Ref]string{first.Body: "ravi@rajya.example s@rajya.example", second.Body: ""}
	err := w.q.Holds(t.Context(), func(ref body.Ref, local []*queue.Recipient) error {
		var got []string
		for _, r := range local {
			got = append(got, r.Address)
			if r.Item != first.ID {
				t.Errorf("recipient of %s", r.Item)
			}
		}
		slices.Sort(got)
		if strings.Join(got, " ") != want[ref] {
			t.Errorf("local recipients %v, want %q", got, want[ref])
		}
		delete(want, ref)
		return nil
	})
	w.must(err)
	if len(want) > 0 {
		t.Errorf("not told of %v", want)
	}
}

func TestQueued(t *testing.T) {
	w := newWorld(t)
	it := w.promise(toGmail)
	folded, other := it.ID, it.ID
	folded[15] ^= 7
	other[11] ^= 1
	for _, tt := range []struct {
		mark queue.ItemID
		want bool
	}{{it.ID, true}, {folded, true}, {other, false}} {
		if got, err := w.q.Queued(t.Context(), tt.mark); err != nil || got != tt.want {
			t.Errorf("%s: %v %v", tt.mark, got, err)
		}
	}
	w.must(w.q.Drop(t.Context(), it.ID, nil))
	if got, err := w.q.Queued(t.Context(), it.ID); err != nil || got {
		t.Errorf("after it has gone: %v %v", got, err)
	}
}
