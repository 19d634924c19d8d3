package jmap

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/fxamacker/cbor/v2"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/mailbox"
	"github.com/mohar-mail/mohar/store/kv"
	wire "github.com/mohar-mail/mohar/wire/jmap"
	"github.com/mohar-mail/mohar/wire/jmap/jmapserver"
)

// submissionRow is the record of one submission. Each creation and each removal
// takes one number of a counter, which is the state of the type.
type submissionRow struct {
	Created   uint64   `cbor:"1,keyasint"` // also its id
	Destroyed uint64   `cbor:"2,keyasint,omitempty"`
	Identity  wire.ID  `cbor:"3,keyasint"`
	Email     string   `cbor:"4,keyasint"`
	Thread    string   `cbor:"5,keyasint"`
	From      string   `cbor:"6,keyasint"`
	To        []string `cbor:"7,keyasint"`
	SendAt    int64    `cbor:"8,keyasint"` // Unix seconds
	Queue     string   `cbor:"9,keyasint"`
}

// keySubmissionState holds the counter and after it the lowest state from which
// changes are known.
func keySubmissionState() []byte { return []byte("js") }

func keySubmission(n uint64) []byte { return binary.BigEndian.AppendUint64([]byte("js/"), n) }

func (s *submissionRow) id() wire.ID { return wire.ID("S" + strconv.FormatUint(s.Created, 10)) }

// submissions are all records of an account.
type submissions struct {
	rows  []*submissionRow // by id, removed ones too
	state uint64
	floor uint64
}

func readSubmissions(r kv.Reader) (*submissions, error) {
	s := &submissions{}
	v, err := r.Get(keySubmissionState())
	if err != nil && !errors.Is(err, kv.ErrNotFound) {
		return nil, err
	}
	if len(v) == 16 {
		s.state, s.floor = binary.BigEndian.Uint64(v), binary.BigEndian.Uint64(v[8:])
	}
	var bad error
	err = r.Scan(kv.PrefixRange([]byte("js/")), func(_, v []byte) bool {
		row := &submissionRow{}
		if bad = cbor.Unmarshal(v, row); bad != nil {
			return false
		}
		s.rows = append(s.rows, row)
		return true
	})
	return s, errors.Join(err, bad)
}

// write stores a row and the state; the oldest rows over the limit go.
func (s *submissions) write(tx *kv.Tx, row *submissionRow) error {
	data, err := cbor.Marshal(row)
	if err != nil {
		return err
	}
	tx.PutOwned(keySubmission(row.Created), data)
	for len(s.rows) > MaxSubmissions {
		tx.Delete(keySubmission(s.rows[0].Created))
		s.rows = s.rows[1:]
		s.floor = s.state // who knew the row must read afresh
	}
	v := binary.BigEndian.AppendUint64(nil, s.state)
	tx.PutOwned(keySubmissionState(), binary.BigEndian.AppendUint64(v, s.floor))
	return nil
}

// live gives a record by id that is not removed, or nil.
func (s *submissions) live(id wire.ID) *submissionRow {
	for _, r := range s.rows {
		if r.id() == id && r.Destroyed == 0 {
			return r
		}
	}
	return nil
}

func (d *Door) submissionsOf(ctx context.Context, a mohar.AccountID) (s *submissions, err error) {
	err = d.view(ctx, a, func(r *mailbox.Reader) error {
		s, err = readSubmissions(r.KV())
		return err
	})
	return s, err
}

// object gives the EmailSubmission (RFC 8621 section 7).
func (s *submissionRow) object() map[string]any {
	to := make([]envelopeAddress, len(s.To))
	for i, a := range s.To {
		to[i] = envelopeAddress{Email: a}
	}
	return map[string]any{"id": s.id(), "identityId": s.Identity, "emailId": s.Email, "threadId": s.Thread,
		"envelope": map[string]any{"mailFrom": envelopeAddress{Email: s.From}, "rcptTo": to},
		"sendAt":   wire.UTCDate(time.Unix(s.SendAt, 0)), "undoStatus": "final", "deliveryStatus": nil,
		"dsnBlobIds": []string{}, "mdnBlobIds": []string{}}
}

// envelopeAddress is an Address of an Envelope (RFC 8621 section 7). Parameters
// are never given, because the account offers no submission extension.
type envelopeAddress struct {
	Email      string            `json:"email"`
	Parameters map[string]string `json:"parameters"`
}

func submissionProperties() []string {
	return []string{"id", "identityId", "emailId", "threadId", "envelope", "sendAt", "undoStatus", "deliveryStatus", "dsnBlobIds", "mdnBlobIds"}
}

// submissionGet is EmailSubmission/get (RFC 8621 section 7.1).
func (d *Door) submissionGet(ctx context.Context, c *jmapserver.Call) (any, error) {
	g, err := wire.ReadGetArgs(c.Args, c.Limits.MaxObjectsInGet)
	if err != nil {
		return nil, err
	}
	if err := c.Args.Err(); err != nil {
		return nil, err
	}
	if err := knownProperties(g.Properties, submissionProperties()...); err != nil {
		return nil, err
	}
	s, err := d.submissionsOf(ctx, c.Principal.Account)
	if err != nil {
		return nil, err
	}
	resp := &wire.GetResponse{AccountID: g.AccountID, State: strconv.FormatUint(s.state, 10), List: []any{}, NotFound: []wire.ID{}}
	if g.All {
		for _, r := range s.rows {
			if r.Destroyed == 0 {
				g.IDs = append(g.IDs, r.id())
			}
		}
		if len(g.IDs) > c.Limits.MaxObjectsInGet {
			return nil, &wire.MethodError{Type: wire.RequestTooLarge}
		}
	}
	for _, id := range g.IDs {
		if r := s.live(id); r != nil {
			resp.List = append(resp.List, pick(r.object(), g))
		} else {
			resp.NotFound = append(resp.NotFound, id)
		}
	}
	return resp, nil
}

// submissionChanges is EmailSubmission/changes (RFC 8621 section 7.2).
func (d *Door) submissionChanges(ctx context.Context, c *jmapserver.Call) (any, error) {
	a, since, limit, err := readChangesArgs(c)
	if err != nil {
		return nil, err
	}
	s, err := d.submissionsOf(ctx, c.Principal.Account)
	if err != nil {
		return nil, err
	}
	if since < s.floor || since > s.state {
		return nil, cannotCalculate()
	}
	// Every number of the counter belongs to one record, so that each is a state
	// to stop at.
	type step struct {
		at uint64
		id wire.ID
		f  fate
	}
	var steps []step
	for _, r := range s.rows {
		if r.Created > since {
			steps = append(steps, step{r.Created, r.id(), wasCreated})
		}
		if r.Destroyed > since {
			steps = append(steps, step{r.Destroyed, r.id(), wasDestroyed})
		}
	}
	slices.SortFunc(steps, func(x, y step) int { return cmp.Compare(x.at, y.at) })
	var n net[wire.ID]
	upTo, more := s.state, len(steps) > limit
	if more {
		steps = steps[:limit]
		upTo = steps[limit-1].at
	}
	for _, st := range steps {
		n.add(st.id, st.f)
	}
	return orNil(n.respond(a, upTo, more, func(id wire.ID) string { return string(id) }))
}

// submissionFilter compiles a filter of EmailSubmission/query.
func submissionFilter(f *wire.Filter) (func(*submissionRow) bool, error) {
	if f == nil {
		return func(*submissionRow) bool { return true }, nil
	}
	if f.Operator == "" {
		return submissionCondition(f)
	}
	var tests []func(*submissionRow) bool
	for _, c := range f.Conditions {
		t, err := submissionFilter(c)
		if err != nil {
			return nil, err
		}
		tests = append(tests, t)
	}
	return func(r *submissionRow) bool {
		hits := 0
		for _, t := range tests {
			if t(r) {
				hits++
			}
		}
		switch f.Operator {
		case "OR":
			return hits > 0
		case "NOT":
			return hits == 0
		}
		return hits == len(tests)
	}, nil
}

// submissionCondition compiles a FilterCondition (RFC 8621 section 7.3).
func submissionCondition(f *wire.Filter) (func(*submissionRow) bool, error) {
	a, err := wire.NewArgs(f.Condition)
	if err != nil {
		return nil, err
	}
	var tests []func(*submissionRow) bool
	for _, n := range []struct {
		name string
		of   func(*submissionRow) wire.ID
	}{
		{"identityIds", func(r *submissionRow) wire.ID { return r.Identity }},
		{"emailIds", func(r *submissionRow) wire.ID { return wire.ID(r.Email) }},
		{"threadIds", func(r *submissionRow) wire.ID { return wire.ID(r.Thread) }},
	} {
		if ids, ok := a.IDs(n.name); ok {
			tests = append(tests, func(r *submissionRow) bool { return slices.Contains(ids, n.of(r)) })
		}
	}
	if s := a.OptString("undoStatus"); s != nil {
		tests = append(tests, func(*submissionRow) bool { return *s == "final" })
	}
	if t := a.UTCDate("before"); !t.IsZero() {
		tests = append(tests, func(r *submissionRow) bool { return r.SendAt < t.Unix() })
	}
	if t := a.UTCDate("after"); !t.IsZero() {
		tests = append(tests, func(r *submissionRow) bool { return r.SendAt >= t.Unix() })
	}
	if err := filterError(a); err != nil {
		return nil, err
	}
	return func(r *submissionRow) bool {
		return !slices.ContainsFunc(tests, func(t func(*submissionRow) bool) bool { return !t(r) })
	}, nil
}

// submissionQuery is EmailSubmission/query (RFC 8621 section 7.3).
func (d *Door) submissionQuery(ctx context.Context, c *jmapserver.Call) (any, error) {
	q, err := wire.ReadQueryArgs(c.Args)
	if err != nil {
		return nil, err
	}
	if err := c.Args.Err(); err != nil {
		return nil, err
	}
	test, err := submissionFilter(q.Filter)
	if err != nil {
		return nil, err
	}
	for _, k := range q.Sort {
		// "sentAt" is what RFC 8621 calls the property in this one place; it is
		// sendAt everywhere else.
		if !slices.Contains([]string{"emailId", "threadId", "sentAt", "sendAt"}, k.Property) || knownCollation(k) != nil {
			return nil, &wire.MethodError{Type: wire.UnsupportedSort}
		}
	}
	s, err := d.submissionsOf(ctx, c.Principal.Account)
	if err != nil {
		return nil, err
	}
	var rows []*submissionRow
	for _, r := range s.rows {
		if r.Destroyed == 0 && test(r) {
			rows = append(rows, r)
		}
	}
	slices.SortStableFunc(rows, func(a, b *submissionRow) int {
		for _, k := range q.Sort {
			n := 0
			switch k.Property {
			case "emailId":
				n = cmp.Compare(a.Email, b.Email)
			case "threadId":
				n = cmp.Compare(a.Thread, b.Thread)
			default:
				n = cmp.Compare(a.SendAt, b.SendAt)
			}
			if !k.Ascending {
				n = -n
			}
			if n != 0 {
				return n
			}
		}
		return 0
	})
	ids := make([]wire.ID, len(rows))
	for i, r := range rows {
		ids[i] = r.id()
	}
	resp, err := q.Window(ids, MaxQueryLimit)
	if err != nil {
		return nil, err
	}
	resp.QueryState = strconv.FormatUint(s.state, 10)
	return resp, nil
}

// submissionQueryChanges is EmailSubmission/queryChanges (RFC 8621 section 7.4):
// few records, read afresh sooner than compared.
func (d *Door) submissionQueryChanges(_ context.Context, c *jmapserver.Call) (any, error) {
	if _, err := wire.ReadQueryChangesArgs(c.Args); err != nil {
		return nil, err
	}
	if err := c.Args.Err(); err != nil {
		return nil, err
	}
	return nil, cannotCalculate()
}
