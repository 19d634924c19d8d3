package jmap

import (
	"cmp"
	"slices"
	"sync"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/mailbox"
)

// Bounds of the indexes kept in memory.
const (
	maxItemsKept    = 4_000_000 // 128 MB: forty mailboxes of 100,000 emails
	maxIndexChanges = 2_000     // changes of the log that are worth following
	fewEmails       = 8         // so many are found faster in a list than in a map
)

// item is one email of a mailbox, as lists and counts need it.
type item struct {
	received int64 // Unix seconds
	email    mailbox.EmailID
	thread   mailbox.ThreadID
	flags    mailbox.Flags
}

// byReceived is the order of items: of receipt, the oldest first.
func byReceived(a, b item) int {
	return cmp.Or(cmp.Compare(a.received, b.received), cmp.Compare(a.email, b.email))
}

// indexKey names the index of one mailbox.
type indexKey struct {
	account mohar.AccountID
	box     mailbox.ID
}

// boxIndex is what is known of a mailbox at one state of its account. It is
// never changed once it is kept.
type boxIndex struct {
	state uint64 // of the account
	high  uint64 // HighestModSeq of the mailbox
	items []item // in order of receipt
	used  uint64 // when it was last asked for, in calls
}

// indexes keeps the indexes of the mailboxes that are being looked at, so that a
// window into a large one, and its counts, cost no reading of the whole. The
// log of changes brings an index up to date. It is safe for concurrent use.
type indexes struct {
	mu    sync.Mutex
	m     map[indexKey]*boxIndex
	items int
	calls uint64
}

func newIndexes() *indexes { return &indexes{m: map[indexKey]*boxIndex{}} }

// get gives the items of a mailbox as the reader sees it. They must not be
// modified.
func (x *indexes) get(r *mailbox.Reader, a mohar.AccountID, box *mailbox.Mailbox) ([]item, error) {
	k := indexKey{a, box.ID}
	x.mu.Lock()
	old := x.m[k]
	if old != nil {
		x.calls++
		old.used = x.calls
	}
	x.mu.Unlock()
	if old != nil && old.high == box.HighestModSeq {
		return old.items, nil
	}
	next := &boxIndex{state: r.State(), high: box.HighestModSeq}
	var err error
	follows := false
	if old != nil && old.state < r.State() {
		if next.items, follows, err = follow(r, old, box); err != nil {
			return nil, err
		}
	}
	if !follows {
		if next.items, err = readItems(r, box); err != nil {
			return nil, err
		}
	}
	x.keep(k, next)
	return next.items, nil
}

// keep stores an index unless a newer one is there, and lets those go that were
// not asked for longest.
func (x *indexes) keep(k indexKey, next *boxIndex) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if cur := x.m[k]; cur != nil {
		if cur.state > next.state {
			return
		}
		x.items -= len(cur.items)
	}
	x.calls++
	next.used = x.calls
	x.m[k] = next
	x.items += len(next.items)
	for x.items+len(x.m) > maxItemsKept && len(x.m) > 1 {
		var oldest indexKey
		least := x.calls + 1
		for k, i := range x.m {
			if i.used < least {
				oldest, least = k, i.used
			}
		}
		x.items -= len(x.m[oldest].items)
		delete(x.m, oldest)
	}
}

// readItems reads a whole mailbox.
func readItems(r *mailbox.Reader, box *mailbox.Mailbox) ([]item, error) {
	items := make([]item, 0, box.Total)
	err := r.Entries(box.ID, 1, 1<<32-1, func(e *mailbox.Entry) bool {
		items = append(items, item{e.Received, e.Email, e.Thread, e.Flags})
		return true
	})
	slices.SortFunc(items, byReceived)
	return items, err
}

// follow brings an index up to date by the log; ok is false where reading it all
// is the better way.
func follow(r *mailbox.Reader, old *boxIndex, box *mailbox.Mailbox) (items []item, ok bool, err error) {
	var gone []mailbox.EmailID // to be taken out, and put back if still there
	now := map[uint32]bool{}   // UIDs to be read
	changes := 0
	err = r.Changes(old.state, func(c mailbox.Change) bool {
		if changes++; changes > maxIndexChanges {
			return false
		}
		if c.Mailbox != box.ID {
			return true
		}
		switch c.Kind {
		case mailbox.EntryAdded, mailbox.EntryFlagged:
			now[c.UID] = true
		case mailbox.EntryRemoved:
			delete(now, c.UID)
		default:
			return true
		}
		gone = append(gone, c.Email)
		return true
	})
	if fault.Is(err, fault.Conflict) || changes > maxIndexChanges {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	items = without(old.items, gone, len(now))
	for uid := range now {
		e, err := r.Entry(box.ID, uid)
		if fault.Is(err, fault.NotFound) {
			continue // added and removed within one transaction
		}
		if err != nil {
			return nil, false, err
		}
		it := item{e.Received, e.Email, e.Thread, e.Flags}
		at, dup := slices.BinarySearchFunc(items, it, byReceived)
		if !dup {
			items = slices.Insert(items, at, it)
		}
	}
	return items, len(items) == int(box.Total), nil
}

// without copies items but for some emails, with room for more.
func without(items []item, gone []mailbox.EmailID, more int) []item {
	out := make([]item, 0, len(items)+more)
	if len(gone) <= fewEmails {
		for _, it := range items {
			if !slices.Contains(gone, it.email) {
				out = append(out, it)
			}
		}
		return out
	}
	set := make(map[mailbox.EmailID]bool, len(gone))
	for _, g := range gone {
		set[g] = true
	}
	for _, it := range items {
		if !set[it.email] {
			out = append(out, it)
		}
	}
	return out
}

// threadSet is a set of threads. Their numbers come from one sequence with the
// emails', so that a bit for each is small and fast.
type threadSet []uint64

func newThreadSet(r *mailbox.Reader) threadSet { return make(threadSet, r.Meta().LastEmail/64+1) }

// add puts a thread in and says whether it was new.
func (s threadSet) add(t mailbox.ThreadID) bool {
	i, bit := uint64(t)/64, uint64(1)<<(uint64(t)%64)
	if i >= uint64(len(s)) || s[i]&bit != 0 {
		return false
	}
	s[i] |= bit
	return true
}
