package jmap

import (
	"context"
	"crypto/sha256"
	"slices"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/mailbox"
	wire "github.com/mohar-mail/mohar/wire/jmap"
	"github.com/mohar-mail/mohar/wire/jmap/jmapserver"
)

// queryKey names the results of a query as long as they cannot have changed.
type queryKey struct {
	account mohar.AccountID
	modseq  uint64
	query   [sha256.Size]byte
}

// emailSearch is an Email/query but for its window.
type emailSearch struct {
	plan     *plan
	order    *order
	collapse bool
	hash     [sha256.Size]byte
}

func newEmailSearch(f *wire.Filter, sort []wire.Comparator, collapse bool) (*emailSearch, error) {
	p, err := compile(f)
	if err != nil {
		return nil, err
	}
	o, err := compileSort(sort)
	if err != nil {
		return nil, err
	}
	p.threads = p.threads || o.threads
	raw, err := wire.Marshal([]any{f, sort, collapse})
	if err != nil {
		return nil, err
	}
	return &emailSearch{plan: p, order: o, collapse: collapse, hash: sha256.Sum256(raw)}, nil
}

// emailQuery is Email/query (RFC 8621 section 4.4).
func (d *Door) emailQuery(ctx context.Context, c *jmapserver.Call) (any, error) {
	q, err := wire.ReadQueryArgs(c.Args)
	if err != nil {
		return nil, err
	}
	collapse := c.Args.Bool("collapseThreads", false)
	if err := c.Args.Err(); err != nil {
		return nil, err
	}
	es, err := newEmailSearch(q.Filter, q.Sort, collapse)
	if err != nil {
		return nil, err
	}
	var resp *wire.QueryResponse
	err = d.view(ctx, c.Principal.Account, func(r *mailbox.Reader) error {
		all, total, err := d.results(ctx, r, c.Principal.Account, es, &q)
		if err != nil {
			return err
		}
		anchor := -1
		if q.Anchor != "" {
			if id, err := mailbox.ParseEmailID(string(q.Anchor)); err == nil {
				anchor = slices.Index(all, id)
			}
		}
		var from, to int
		if resp, from, to, err = q.Bounds(len(all), anchor, MaxQueryLimit); err != nil {
			return err
		}
		for _, id := range all[from:to] {
			resp.IDs = append(resp.IDs, wire.ID(id.String()))
		}
		if resp.Total != nil {
			*resp.Total = uint64(total)
		}
		resp.QueryState, resp.CanCalculateChanges = state(r), !es.plan.partial
		return nil
	})
	return orNil(resp, err)
}

// results gives the ids of a query in order. With q they may end where the
// window of q does, while total is always that of all.
func (d *Door) results(ctx context.Context, r *mailbox.Reader, a mohar.AccountID, es *emailSearch, q *wire.QueryArgs) (ids []mailbox.EmailID, total int, err error) {
	if es.plan.onlyBox && es.order.byReceipt() && !es.plan.threads {
		box, err := r.Mailbox(es.plan.box)
		if fault.Is(err, fault.NotFound) {
			return nil, 0, nil
		}
		if err != nil {
			return nil, 0, err
		}
		items, err := d.indexes.get(r, a, box)
		if err != nil {
			return nil, 0, err
		}
		stop := -1
		if q != nil && q.Anchor == "" && q.Position >= 0 && !(q.CalculateTotal && es.collapse) {
			limit, _ := q.EffectiveLimit(MaxQueryLimit)
			stop = int(min(q.Position, int64(len(items)))) + int(limit)
		}
		ids, whole := byReceipt(r, es, items, stop)
		if !whole {
			return ids, len(items), nil
		}
		return ids, len(ids), nil
	}
	k := queryKey{a, r.State(), es.hash}
	if ids, ok := d.queries.get(k); ok {
		return ids, len(ids), nil
	}
	if ids, err = d.run(ctx, r, es); err != nil {
		return nil, 0, err
	}
	d.queries.put(k, ids, len(ids))
	return ids, len(ids), nil
}

// byReceipt lists a mailbox in order of receipt, up to stop ids (-1: all).
func byReceipt(r *mailbox.Reader, es *emailSearch, items []item, stop int) (ids []mailbox.EmailID, whole bool) {
	if stop < 0 || stop > len(items) {
		stop = len(items)
	}
	ids = make([]mailbox.EmailID, 0, stop)
	var seen threadSet
	if es.collapse {
		seen = newThreadSet(r)
	}
	for i := range items {
		it := items[i]
		if !es.order.by[0].Ascending {
			it = items[len(items)-1-i]
		}
		if es.collapse && !seen.add(it.thread) {
			continue
		}
		if len(ids) == stop {
			return ids, false
		}
		ids = append(ids, it.email)
	}
	return ids, true
}

// run judges and sorts every candidate.
func (d *Door) run(ctx context.Context, r *mailbox.Reader, es *emailSearch) ([]mailbox.EmailID, error) {
	s := &run{ctx: ctx, d: d, r: r, plan: es.plan}
	list, err := s.matches()
	if err != nil {
		return nil, err
	}
	if err := es.order.sort(s, list); err != nil {
		return nil, err
	}
	ids := make([]mailbox.EmailID, 0, len(list))
	seen := map[mailbox.ThreadID]bool{}
	for _, c := range list {
		if es.collapse {
			if seen[c.thread] {
				continue
			}
			seen[c.thread] = true
		}
		ids = append(ids, c.id)
	}
	return ids, nil
}

// readLog calls fn for the changes since a state.
func readLog(r *mailbox.Reader, since uint64, fn func(mailbox.Change)) error {
	err := r.Changes(since, func(c mailbox.Change) bool { fn(c); return true })
	if fault.Is(err, fault.Conflict) {
		return cannotCalculate()
	}
	return err
}

// emailQueryChanges is Email/queryChanges (RFC 8621 section 4.5). Every email
// that changed in any way is removed, and added again where it is; where a
// thread decides what is shown, so is every email of a thread that changed.
func (d *Door) emailQueryChanges(ctx context.Context, c *jmapserver.Call) (any, error) {
	q, err := wire.ReadQueryChangesArgs(c.Args)
	if err != nil {
		return nil, err
	}
	collapse := c.Args.Bool("collapseThreads", false)
	if err := c.Args.Err(); err != nil {
		return nil, err
	}
	es, err := newEmailSearch(q.Filter, q.Sort, collapse)
	if err != nil {
		return nil, err
	}
	since, err := parseState(q.SinceState)
	if err != nil {
		return nil, err
	}
	if es.plan.partial {
		return nil, cannotCalculate()
	}
	resp := &wire.QueryChangesResponse{AccountID: q.AccountID, OldQueryState: q.SinceState, Removed: []wire.ID{}, Added: []wire.AddedItem{}}
	err = d.view(ctx, c.Principal.Account, func(r *mailbox.Reader) error {
		changed, err := changedEmails(r, since, collapse || es.plan.threads)
		if err != nil {
			return err
		}
		all, _, err := d.results(ctx, r, c.Principal.Account, es, nil)
		if err != nil {
			return err
		}
		return addEmailChanges(resp, q, all, changed, state(r))
	})
	return orNil(resp, err)
}

// changedEmails lists the emails whose place in results may have changed, with
// the whole of their threads where asked for.
func changedEmails(r *mailbox.Reader, since uint64, whole bool) (map[mailbox.EmailID]bool, error) {
	changed, threads := map[mailbox.EmailID]bool{}, map[mailbox.ThreadID]bool{}
	err := readLog(r, since, func(ch mailbox.Change) {
		switch ch.Kind {
		case mailbox.EmailCreated, mailbox.EmailUpdated, mailbox.EmailDestroyed:
			changed[ch.Email] = true
			threads[ch.Thread] = true
		}
	})
	if err != nil || !whole {
		return changed, err
	}
	for t := range threads {
		ids, err := r.Thread(t)
		if err != nil {
			return nil, err
		}
		for _, id := range ids {
			changed[id] = true
		}
	}
	return changed, nil
}

// addEmailChanges is fillQueryChanges without turning every id of a large
// mailbox into a string.
func addEmailChanges(resp *wire.QueryChangesResponse, q wire.QueryChangesArgs, all []mailbox.EmailID, changed map[mailbox.EmailID]bool, newState string) error {
	ids := make(map[wire.ID]bool, len(changed))
	for id := range changed {
		ids[wire.ID(id.String())] = true
	}
	for i, id := range all {
		if changed[id] {
			resp.Added = append(resp.Added, wire.AddedItem{ID: wire.ID(id.String()), Index: uint64(i)})
		}
	}
	if err := fillQueryChanges(resp, q, nil, ids, newState); err != nil {
		return err
	}
	if resp.Total != nil {
		*resp.Total = uint64(len(all))
	}
	return nil
}
