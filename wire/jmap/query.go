package jmap

import (
	"encoding/json"
	"slices"
)

// Bounds of a query that a client may ask.
const (
	MaxFilterDepth = 16  // nested FilterOperators
	MaxFilterNodes = 256 // operators and conditions together
	MaxSort        = 16  // comparators
)

// Filter is a FilterOperator or a FilterCondition (RFC 8620 section 5.5).
type Filter struct {
	Operator   string          // "AND", "OR", "NOT"; "" for a condition
	Conditions []*Filter       // of an operator
	Condition  json.RawMessage // of a condition: an object
}

// ParseFilter reads a filter within its bounds. The error is a *MethodError.
func ParseFilter(raw json.RawMessage) (*Filter, error) {
	nodes := 0
	return parseFilter(raw, 0, &nodes)
}

func parseFilter(raw json.RawMessage, depth int, nodes *int) (*Filter, error) {
	if *nodes++; *nodes > MaxFilterNodes || depth > MaxFilterDepth {
		return nil, &MethodError{Type: UnsupportedFilter, Description: "The filter is too large."}
	}
	a, err := NewArgs(raw)
	if err != nil {
		return nil, BadArgument("filter", "A filter is an object.")
	}
	if !a.Has("operator") {
		return &Filter{Condition: raw}, nil
	}
	f := &Filter{Operator: a.String("operator")}
	list, ok := a.List("conditions")
	if err := a.Err(); err != nil || !ok {
		return nil, BadArgument("filter", "An operator has the members operator and conditions.")
	}
	switch f.Operator {
	case "AND", "OR", "NOT":
	default:
		return nil, BadArgument("filter", "An operator is AND, OR or NOT.")
	}
	for _, c := range list {
		inner, err := parseFilter(c, depth+1, nodes)
		if err != nil {
			return nil, err
		}
		f.Conditions = append(f.Conditions, inner)
	}
	return f, nil
}

// Comparator is one key of a sort (RFC 8620 section 5.5).
type Comparator struct {
	Property  string
	Ascending bool
	Collation string
	Keyword   string // RFC 8621 section 4.4.2, with the hasKeyword family
}

// ParseSort reads an array of comparators. The error is a *MethodError.
func ParseSort(list []json.RawMessage) ([]Comparator, error) {
	if len(list) > MaxSort {
		return nil, &MethodError{Type: UnsupportedSort, Description: "Too many comparators."}
	}
	var out []Comparator
	for _, raw := range list {
		a, err := NewArgs(raw)
		if err != nil {
			return nil, BadArgument("sort", "A comparator is an object.")
		}
		c := Comparator{Property: a.String("property"), Ascending: a.Bool("isAscending", true)}
		if s := a.OptString("collation"); s != nil {
			c.Collation = *s
		}
		if s := a.OptString("keyword"); s != nil {
			c.Keyword = *s
		}
		if err := a.Err(); err != nil {
			return nil, BadArgument("sort", "A comparator is wrong: "+MethodErrorOf(err).Description)
		}
		out = append(out, c)
	}
	return out, nil
}

// QueryArgs are the standard arguments of a /query call.
type QueryArgs struct {
	AccountID      ID
	Filter         *Filter
	Sort           []Comparator
	Position       int64
	Anchor         ID // "" where there is none
	AnchorOffset   int64
	Limit          *uint64
	CalculateTotal bool
}

// ReadQueryArgs takes the standard arguments of /query out of a; the caller
// takes its own and then asks a.Err.
func ReadQueryArgs(a *Args) (QueryArgs, error) {
	q := QueryArgs{
		AccountID: a.ID("accountId"), Position: a.Int("position", 0), Anchor: a.OptID("anchor"),
		AnchorOffset: a.Int("anchorOffset", 0), Limit: a.OptUint("limit"), CalculateTotal: a.Bool("calculateTotal", false),
	}
	var err error
	q.Filter, q.Sort, err = filterAndSort(a)
	return q, err
}

func filterAndSort(a *Args) (f *Filter, s []Comparator, err error) {
	if raw, ok := a.Raw("filter"); ok {
		if f, err = ParseFilter(raw); err != nil {
			return nil, nil, err
		}
	}
	if list, ok := a.List("sort"); ok {
		if s, err = ParseSort(list); err != nil {
			return nil, nil, err
		}
	}
	return f, s, nil
}

// QueryResponse is the answer of a /query call.
type QueryResponse struct {
	AccountID           ID      `json:"accountId"`
	QueryState          string  `json:"queryState"`
	CanCalculateChanges bool    `json:"canCalculateChanges"`
	Position            uint64  `json:"position"`
	IDs                 []ID    `json:"ids"`
	Total               *uint64 `json:"total,omitempty"`
	Limit               *uint64 `json:"limit,omitempty"`
}

// Bounds finds the part that q asks for among total results: those from from,
// before to. anchor is the index of q.Anchor, -1 where it is not among them. max
// is the server's own limit. IDs and state of the answer are the caller's to
// fill in. The error is a *MethodError of type anchorNotFound.
func (q QueryArgs) Bounds(total, anchor int, max uint64) (r *QueryResponse, from, to int, err error) {
	r = &QueryResponse{AccountID: q.AccountID, IDs: []ID{}}
	pos := q.Position
	if q.Anchor != "" {
		if anchor < 0 {
			return nil, 0, 0, &MethodError{Type: AnchorNotFound}
		}
		pos = clamp(int64(anchor) + q.AnchorOffset)
	} else if pos < 0 {
		pos = clamp(pos + int64(total))
	}
	limit, imposed := q.EffectiveLimit(max)
	if imposed {
		r.Limit = &limit
	}
	if q.CalculateTotal {
		n := uint64(total)
		r.Total = &n
	}
	r.Position = uint64(pos)
	from = int(min(pos, int64(total)))
	to = int(min(uint64(total), uint64(from)+limit))
	return r, from, to, nil
}

// Window is Bounds over results that are at hand.
func (q QueryArgs) Window(all []ID, max uint64) (*QueryResponse, error) {
	r, from, to, err := q.Bounds(len(all), slices.Index(all, q.Anchor), max)
	if err != nil {
		return nil, err
	}
	r.IDs = all[from:to]
	return r, nil
}

// EffectiveLimit gives the number of ids to return at most, and whether the
// server imposed it.
func (q QueryArgs) EffectiveLimit(max uint64) (limit uint64, imposed bool) {
	if q.Limit != nil && *q.Limit <= max {
		return *q.Limit, false
	}
	return max, true
}

func clamp(n int64) int64 { return max(n, 0) }

// QueryChangesArgs are the standard arguments of a /queryChanges call.
type QueryChangesArgs struct {
	AccountID      ID
	Filter         *Filter
	Sort           []Comparator
	SinceState     string
	MaxChanges     *uint64
	UpToID         ID
	CalculateTotal bool
}

// ReadQueryChangesArgs takes the standard arguments of /queryChanges out of a.
func ReadQueryChangesArgs(a *Args) (QueryChangesArgs, error) {
	q := QueryChangesArgs{
		AccountID: a.ID("accountId"), SinceState: a.String("sinceQueryState"), MaxChanges: a.OptUint("maxChanges"),
		UpToID: a.OptID("upToId"), CalculateTotal: a.Bool("calculateTotal", false),
	}
	var err error
	q.Filter, q.Sort, err = filterAndSort(a)
	return q, err
}

// AddedItem is an id and its place in the new results.
type AddedItem struct {
	ID    ID     `json:"id"`
	Index uint64 `json:"index"`
}

// QueryChangesResponse is the answer of a /queryChanges call.
type QueryChangesResponse struct {
	AccountID     ID          `json:"accountId"`
	OldQueryState string      `json:"oldQueryState"`
	NewQueryState string      `json:"newQueryState"`
	Total         *uint64     `json:"total,omitempty"`
	Removed       []ID        `json:"removed"`
	Added         []AddedItem `json:"added"`
}
