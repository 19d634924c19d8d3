package jmap

import (
	"cmp"
	"context"
	"slices"

	"github.com/mohar-mail/mohar/mailbox"
	wire "github.com/mohar-mail/mohar/wire/jmap"
	"github.com/mohar-mail/mohar/wire/jmap/jmapserver"
)

// thread is the Thread object (RFC 8621 section 3).
type thread struct {
	ID       wire.ID   `json:"id"`
	EmailIDs []wire.ID `json:"emailIds"` // oldest first
}

// threadGet is Thread/get (RFC 8621 section 3.1).
func (d *Door) threadGet(ctx context.Context, c *jmapserver.Call) (any, error) {
	g, err := wire.ReadGetArgs(c.Args, c.Limits.MaxObjectsInGet)
	if err != nil {
		return nil, err
	}
	if err := c.Args.Err(); err != nil {
		return nil, err
	}
	if err := knownProperties(g.Properties, "id", "emailIds"); err != nil {
		return nil, err
	}
	if g.All {
		return nil, &wire.MethodError{Type: wire.RequestTooLarge, Description: "Name the ids."}
	}
	resp := &wire.GetResponse{AccountID: g.AccountID, List: []any{}, NotFound: []wire.ID{}}
	err = d.view(ctx, c.Principal.Account, func(r *mailbox.Reader) error {
		resp.State = state(r)
		for _, id := range g.IDs {
			t, err := readThread(r, id)
			if err != nil {
				return err
			}
			if t == nil {
				resp.NotFound = append(resp.NotFound, id)
				continue
			}
			if g.Every || slices.Contains(g.Properties, "emailIds") {
				resp.List = append(resp.List, t)
			} else {
				resp.List = append(resp.List, map[string]any{"id": id})
			}
		}
		return nil
	})
	return resp, err
}

// readThread gives a thread, nil where there is none.
func readThread(r *mailbox.Reader, id wire.ID) (*thread, error) {
	tid, err := mailbox.ParseThreadID(string(id))
	if err != nil {
		return nil, nil
	}
	ids, err := r.Thread(tid)
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	emails, err := r.Emails(ids)
	if err != nil {
		return nil, err
	}
	emails = slices.DeleteFunc(emails, func(e *mailbox.Email) bool { return e == nil })
	// RFC 8621 section 3: by receivedAt, oldest first.
	slices.SortFunc(emails, func(a, b *mailbox.Email) int {
		return cmp.Or(a.Received.Compare(b.Received), cmp.Compare(a.ID, b.ID))
	})
	t := &thread{ID: id, EmailIDs: make([]wire.ID, len(emails))}
	for i, e := range emails {
		t.EmailIDs[i] = wire.ID(e.ID.String())
	}
	return t, nil
}

// knownProperties refuses names that a type does not have (RFC 8620 section
// 5.1).
func knownProperties(asked []string, known ...string) error {
	for _, p := range asked {
		if !slices.Contains(known, p) {
			return wire.BadArgument("properties", "There is no property "+p+".")
		}
	}
	return nil
}

// pick keeps the properties asked for, and always the id.
func pick(all map[string]any, g wire.GetArgs) map[string]any {
	if g.Every {
		return all
	}
	out := map[string]any{"id": all["id"]}
	for _, p := range g.Properties {
		out[p] = all[p]
	}
	return out
}
