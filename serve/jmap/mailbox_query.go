package jmap

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/mohar-mail/mohar/mailbox"
	"github.com/mohar-mail/mohar/serve/jmap/search"
	wire "github.com/mohar-mail/mohar/wire/jmap"
	"github.com/mohar-mail/mohar/wire/jmap/jmapserver"
)

// boxTest says whether a mailbox matches.
type boxTest func(*mailbox.Mailbox) bool

// boxFilter compiles a filter of Mailbox/query.
func boxFilter(f *wire.Filter) (boxTest, error) {
	if f == nil {
		return func(*mailbox.Mailbox) bool { return true }, nil
	}
	if f.Operator == "" {
		return boxCondition(f)
	}
	var tests []boxTest
	for _, c := range f.Conditions {
		t, err := boxFilter(c)
		if err != nil {
			return nil, err
		}
		tests = append(tests, t)
	}
	return func(m *mailbox.Mailbox) bool {
		some := slices.ContainsFunc(tests, func(t boxTest) bool { return t(m) })
		switch f.Operator {
		case "OR":
			return some
		case "NOT":
			return !some
		}
		return !slices.ContainsFunc(tests, func(t boxTest) bool { return !t(m) })
	}, nil
}

// boxCondition compiles a FilterCondition (RFC 8621 section 2.3).
func boxCondition(f *wire.Filter) (boxTest, error) {
	a, err := wire.NewArgs(f.Condition)
	if err != nil {
		return nil, err
	}
	var tests []boxTest
	if a.Has("parentId") {
		id := string(a.OptID("parentId"))
		tests = append(tests, func(m *mailbox.Mailbox) bool {
			return m.Parent == 0 && id == "" || m.Parent != 0 && m.Parent.String() == id
		})
	}
	if a.Has("name") {
		name := search.Fold(a.String("name"))
		tests = append(tests, func(m *mailbox.Mailbox) bool { return strings.Contains(search.Fold(m.Name), name) })
	}
	if a.Has("role") {
		role := mailbox.RoleNone
		if s := a.OptString("role"); s != nil {
			role = mailbox.Role(*s)
		}
		tests = append(tests, func(m *mailbox.Mailbox) bool { return m.Role == role })
	}
	if a.Has("hasAnyRole") {
		want := a.Bool("hasAnyRole", false)
		tests = append(tests, func(m *mailbox.Mailbox) bool { return (m.Role != mailbox.RoleNone) == want })
	}
	if a.Has("isSubscribed") {
		want := a.Bool("isSubscribed", false)
		tests = append(tests, func(m *mailbox.Mailbox) bool { return m.Subscribed == want })
	}
	if err := filterError(a); err != nil {
		return nil, err
	}
	return func(m *mailbox.Mailbox) bool {
		return !slices.ContainsFunc(tests, func(t boxTest) bool { return !t(m) })
	}, nil
}

// filterError tells a condition that we do not have (unsupportedFilter) from
// one that is wrong (invalidArguments).
func filterError(a *wire.Args) error {
	if names := a.Unknown(); len(names) > 0 {
		return &wire.MethodError{Type: wire.UnsupportedFilter, Description: "Unknown: " + strings.Join(names, ", ") + "."}
	}
	if err := a.Err(); err != nil {
		return wire.BadArgument("filter", wire.MethodErrorOf(err).Description)
	}
	return nil
}

// boxOrder compiles a sort of Mailbox/query.
func boxOrder(sort []wire.Comparator) (func(a, b *mailbox.Mailbox) int, error) {
	for _, s := range sort {
		if s.Property != "sortOrder" && s.Property != "name" {
			return nil, &wire.MethodError{Type: wire.UnsupportedSort, Description: "Mailboxes sort by sortOrder and name."}
		}
		if err := knownCollation(s); err != nil {
			return nil, err
		}
	}
	return func(a, b *mailbox.Mailbox) int {
		for _, s := range sort {
			n := 0
			if s.Property == "name" {
				n = cmp.Compare(search.Fold(a.Name), search.Fold(b.Name))
			} else {
				n = cmp.Compare(a.SortOrder, b.SortOrder)
			}
			if !s.Ascending {
				n = -n
			}
			if n != 0 {
				return n
			}
		}
		return cmp.Compare(a.ID, b.ID)
	}, nil
}

// knownCollation refuses collations that we do not advertise.
func knownCollation(s wire.Comparator) error {
	if s.Collation != "" && s.Collation != "i;unicode-casemap" {
		return &wire.MethodError{Type: wire.UnsupportedSort, Description: "Unknown collation."}
	}
	return nil
}

// boxQuery gives the ids of a Mailbox/query.
func boxQuery(all []*mailbox.Mailbox, test boxTest, order func(a, b *mailbox.Mailbox) int, sortTree, filterTree bool) []wire.ID {
	byID := make(map[mailbox.ID]*mailbox.Mailbox, len(all))
	for _, m := range all {
		byID[m.ID] = m
	}
	// chain lists a mailbox and its ancestors, the topmost first.
	chain := func(m *mailbox.Mailbox) (c []*mailbox.Mailbox) {
		for range mailbox.MaxDepth {
			c = append(c, m)
			if m = byID[m.Parent]; m == nil {
				break
			}
		}
		slices.Reverse(c)
		return c
	}
	var kept []*mailbox.Mailbox
	for _, m := range all {
		if test(m) && (!filterTree || !slices.ContainsFunc(chain(m), func(a *mailbox.Mailbox) bool { return !test(a) })) {
			kept = append(kept, m)
		}
	}
	slices.SortFunc(kept, func(a, b *mailbox.Mailbox) int {
		if !sortTree {
			return order(a, b)
		}
		x, y := chain(a), chain(b)
		for i := 0; i < len(x) && i < len(y); i++ {
			if x[i] != y[i] {
				return order(x[i], y[i])
			}
		}
		return len(x) - len(y)
	})
	ids := make([]wire.ID, len(kept))
	for i, m := range kept {
		ids[i] = wire.ID(m.ID.String())
	}
	return ids
}

// mailboxQuery is Mailbox/query (RFC 8621 section 2.3).
func (d *Door) mailboxQuery(ctx context.Context, c *jmapserver.Call) (any, error) {
	q, err := wire.ReadQueryArgs(c.Args)
	if err != nil {
		return nil, err
	}
	sortTree, filterTree := c.Args.Bool("sortAsTree", false), c.Args.Bool("filterAsTree", false)
	if err := c.Args.Err(); err != nil {
		return nil, err
	}
	test, err := boxFilter(q.Filter)
	if err != nil {
		return nil, err
	}
	order, err := boxOrder(q.Sort)
	if err != nil {
		return nil, err
	}
	var resp *wire.QueryResponse
	err = d.view(ctx, c.Principal.Account, func(r *mailbox.Reader) error {
		all, err := r.Mailboxes()
		if err != nil {
			return err
		}
		// All mailboxes of an account fit into one answer.
		if resp, err = q.Window(boxQuery(all, test, order, sortTree, filterTree), mailbox.MaxMailboxes); err != nil {
			return err
		}
		if q.Limit == nil {
			resp.Limit = nil
		}
		resp.QueryState, resp.CanCalculateChanges = state(r), true
		return nil
	})
	return orNil(resp, err)
}

// mailboxQueryChanges is Mailbox/queryChanges (RFC 8621 section 2.4). Every
// mailbox that changed is removed, and added again where it is: the answer is
// exact but for the removal of some that were not in the old results. Where
// results depend on ancestors, a change of one moves others too.
func (d *Door) mailboxQueryChanges(ctx context.Context, c *jmapserver.Call) (any, error) {
	q, err := wire.ReadQueryChangesArgs(c.Args)
	if err != nil {
		return nil, err
	}
	tree := c.Args.Bool("sortAsTree", false)
	tree = c.Args.Bool("filterAsTree", false) || tree
	if err := c.Args.Err(); err != nil {
		return nil, err
	}
	if tree {
		return nil, cannotCalculate()
	}
	since, err := parseState(q.SinceState)
	if err != nil {
		return nil, err
	}
	test, err := boxFilter(q.Filter)
	if err != nil {
		return nil, err
	}
	order, err := boxOrder(q.Sort)
	if err != nil {
		return nil, err
	}
	resp := &wire.QueryChangesResponse{AccountID: q.AccountID, OldQueryState: q.SinceState, Removed: []wire.ID{}, Added: []wire.AddedItem{}}
	err = d.view(ctx, c.Principal.Account, func(r *mailbox.Reader) error {
		changed := map[wire.ID]bool{}
		err := readLog(r, since, func(ch mailbox.Change) {
			switch ch.Kind {
			case mailbox.MailboxCreated, mailbox.MailboxUpdated, mailbox.MailboxDestroyed:
				changed[wire.ID(ch.Mailbox.String())] = true
			}
		})
		if err != nil {
			return err
		}
		all, err := r.Mailboxes()
		if err != nil {
			return err
		}
		return fillQueryChanges(resp, q, boxQuery(all, test, order, false, false), changed, state(r))
	})
	return orNil(resp, err)
}

// fillQueryChanges completes an answer to /queryChanges out of the new results
// and the records whose place may have changed.
func fillQueryChanges(resp *wire.QueryChangesResponse, q wire.QueryChangesArgs, now []wire.ID, changed map[wire.ID]bool, newState string) error {
	resp.NewQueryState = newState
	for id := range changed {
		resp.Removed = append(resp.Removed, id)
	}
	slices.Sort(resp.Removed)
	for i, id := range now {
		if changed[id] {
			resp.Added = append(resp.Added, wire.AddedItem{ID: id, Index: uint64(i)})
		}
	}
	if q.MaxChanges != nil && uint64(len(resp.Added)+len(resp.Removed)) > *q.MaxChanges {
		return &wire.MethodError{Type: wire.TooManyChanges}
	}
	if q.CalculateTotal {
		n := uint64(len(now))
		resp.Total = &n
	}
	return nil
}
