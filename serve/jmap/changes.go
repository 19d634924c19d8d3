package jmap

import (
	"context"
	"slices"
	"strconv"

	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/mailbox"
	wire "github.com/mohar-mail/mohar/wire/jmap"
	"github.com/mohar-mail/mohar/wire/jmap/jmapserver"
)

// state is the state string of mailboxes, threads and emails: the account's
// modification sequence.
func state(r *mailbox.Reader) string { return strconv.FormatUint(r.State(), 10) }

// parseState reads a state string; one that is none of ours cannot be told from
// one too old.
func parseState(s string) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || strconv.FormatUint(n, 10) != s {
		return 0, cannotCalculate()
	}
	return n, nil
}

func cannotCalculate() error {
	return &wire.MethodError{Type: wire.CannotCalculateChanges, Description: "The state is unknown or too old."}
}

// fate is what happened to one record since a state.
type fate uint8

const (
	wasUpdated fate = 1 << iota
	wasCreated
	wasDestroyed
)

// net gathers the fates of records of one type over a stretch of the log.
type net[K comparable] struct {
	fates map[K]fate
	order []K
}

func (n *net[K]) add(k K, f fate) {
	if n.fates == nil {
		n.fates = map[K]fate{}
	}
	if _, ok := n.fates[k]; !ok {
		n.order = append(n.order, k)
	}
	n.fates[k] |= f
}

// event is what one line of the log means for the records of one type.
type event[K comparable] struct {
	key K
	f   fate
}

// logged reads the log from since on. meaning says what a change means for the
// type; changes of one transaction stay together, so that every state between
// is one that existed. more says that it stopped for max, at the state upTo.
func logged[K comparable](r *mailbox.Reader, since uint64, limit int, meaning func(mailbox.Change) (event[K], bool)) (n net[K], upTo uint64, more bool, err error) {
	upTo = since
	var batch []event[K]
	at := uint64(0)
	// flush takes a whole transaction in, or none of it.
	flush := func() bool {
		fresh := 0
		for _, e := range batch {
			if _, ok := n.fates[e.key]; !ok {
				fresh++
			}
		}
		if len(n.order)+fresh > limit {
			more = true
			return false
		}
		for _, e := range batch {
			n.add(e.key, e.f)
		}
		if at > 0 {
			upTo = at
		}
		batch = batch[:0]
		return true
	}
	err = r.Changes(since, func(c mailbox.Change) bool {
		if c.ModSeq != at {
			if !flush() {
				return false
			}
			at = c.ModSeq
		}
		if e, ok := meaning(c); ok && !slices.Contains(batch, e) {
			batch = append(batch, e)
		}
		return true
	})
	if fault.Is(err, fault.Conflict) {
		err = cannotCalculate()
	}
	if err != nil || more {
		return n, upTo, more, err
	}
	if flush() {
		upTo = r.State()
	}
	return n, upTo, more, nil
}

// respond turns fates into the answer of /changes.
func (n *net[K]) respond(a wire.ChangesArgs, upTo uint64, more bool, id func(K) string) (*wire.ChangesResponse, error) {
	resp := &wire.ChangesResponse{AccountID: a.AccountID, OldState: a.SinceState, NewState: strconv.FormatUint(upTo, 10),
		HasMoreChanges: more, Created: []wire.ID{}, Updated: []wire.ID{}, Destroyed: []wire.ID{}}
	if more && resp.NewState == resp.OldState {
		return nil, cannotCalculate() // one transaction alone is over the limit
	}
	for _, k := range n.order {
		w := wire.ID(id(k))
		switch f := n.fates[k]; {
		case f&wasCreated != 0 && f&wasDestroyed != 0:
		case f&wasDestroyed != 0:
			resp.Destroyed = append(resp.Destroyed, w)
		case f&wasCreated != 0:
			resp.Created = append(resp.Created, w)
		default:
			resp.Updated = append(resp.Updated, w)
		}
	}
	return resp, nil
}

// readChangesArgs reads the arguments of /changes and the limit that applies.
func readChangesArgs(c *jmapserver.Call) (a wire.ChangesArgs, since uint64, limit int, err error) {
	if a, err = wire.ReadChangesArgs(c.Args); err != nil {
		return a, 0, 0, err
	}
	if err = c.Args.Err(); err != nil {
		return a, 0, 0, err
	}
	limit = MaxChanges
	if a.MaxChanges > 0 && a.MaxChanges < MaxChanges {
		limit = int(a.MaxChanges)
	}
	since, err = parseState(a.SinceState)
	return a, since, limit, err
}

// changesOf answers /changes for a type whose records the log names.
func changesOf[K comparable](ctx context.Context, d *Door, c *jmapserver.Call, id func(K) string, meaning func(mailbox.Change) (event[K], bool)) (*wire.ChangesResponse, error) {
	a, since, limit, err := readChangesArgs(c)
	if err != nil {
		return nil, err
	}
	var resp *wire.ChangesResponse
	err = d.view(ctx, c.Principal.Account, func(r *mailbox.Reader) error {
		n, upTo, more, err := logged(r, since, limit, meaning)
		if err != nil {
			return err
		}
		resp, err = n.respond(a, upTo, more, id)
		return err
	})
	return resp, err
}

// emailMeaning says what a change means for emails.
func emailMeaning(c mailbox.Change) (event[mailbox.EmailID], bool) {
	switch c.Kind {
	case mailbox.EmailCreated:
		return event[mailbox.EmailID]{c.Email, wasCreated}, true
	case mailbox.EmailUpdated:
		return event[mailbox.EmailID]{c.Email, wasUpdated}, true
	case mailbox.EmailDestroyed:
		return event[mailbox.EmailID]{c.Email, wasDestroyed}, true
	}
	return event[mailbox.EmailID]{}, false
}

// threadMeaning says what a change means for threads. A thread bears the number
// of its first email, so that its creation is seen there.
func threadMeaning(c mailbox.Change) (event[mailbox.ThreadID], bool) {
	switch c.Kind {
	case mailbox.EmailCreated:
		if uint64(c.Email) == uint64(c.Thread) {
			return event[mailbox.ThreadID]{c.Thread, wasCreated}, true
		}
		return event[mailbox.ThreadID]{c.Thread, wasUpdated}, true
	case mailbox.EmailDestroyed:
		return event[mailbox.ThreadID]{c.Thread, wasUpdated}, true
	case mailbox.ThreadDestroyed:
		return event[mailbox.ThreadID]{c.Thread, wasDestroyed}, true
	}
	return event[mailbox.ThreadID]{}, false
}

// emailChanges is Email/changes (RFC 8621 section 4.3).
func (d *Door) emailChanges(ctx context.Context, c *jmapserver.Call) (any, error) {
	return orNil(changesOf(ctx, d, c, mailbox.EmailID.String, emailMeaning))
}

// threadChanges is Thread/changes (RFC 8621 section 3.2).
func (d *Door) threadChanges(ctx context.Context, c *jmapserver.Call) (any, error) {
	return orNil(changesOf(ctx, d, c, mailbox.ThreadID.String, threadMeaning))
}

// orNil keeps a nil pointer from becoming a value that is not nil.
func orNil[T any](v *T, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return v, nil
}
