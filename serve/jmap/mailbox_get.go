package jmap

import (
	"context"
	"slices"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/mailbox"
	wire "github.com/mohar-mail/mohar/wire/jmap"
	"github.com/mohar-mail/mohar/wire/jmap/jmapserver"
)

// counts are the computed properties of a mailbox (RFC 8621 section 2).
type counts struct {
	total, unread, threads, unreadThreads uint64
}

// unseen says whether an email counts as unread: neither $seen nor $draft.
func unseen(f mailbox.Flags) bool { return f&(mailbox.Seen|mailbox.Draft) == 0 }

// countsOf computes the counts of a mailbox. unreadThreads is the number of
// threads with an unread email in this mailbox, the simplest of the ways that
// RFC 8621 section 2 leaves open.
func (d *Door) countsOf(r *mailbox.Reader, a mohar.AccountID, m *mailbox.Mailbox) (counts, error) {
	if m.Total == 0 {
		return counts{}, nil
	}
	items, err := d.indexes.get(r, a, m)
	if err != nil {
		return counts{}, err
	}
	c := counts{total: uint64(len(items))}
	all, unread := newThreadSet(r), newThreadSet(r)
	for _, it := range items {
		if all.add(it.thread) {
			c.threads++
		}
		if unseen(it.flags) {
			c.unread++
			if unread.add(it.thread) {
				c.unreadThreads++
			}
		}
	}
	return c, nil
}

// rights are the MailboxRights of the owner (RFC 8621 section 2).
type rights struct {
	MayReadItems   bool `json:"mayReadItems"`
	MayAddItems    bool `json:"mayAddItems"`
	MayRemoveItems bool `json:"mayRemoveItems"`
	MaySetSeen     bool `json:"maySetSeen"`
	MaySetKeywords bool `json:"maySetKeywords"`
	MayCreateChild bool `json:"mayCreateChild"`
	MayRename      bool `json:"mayRename"`
	MayDelete      bool `json:"mayDelete"`
	MaySubmit      bool `json:"maySubmit"`
}

func rightsOf(m *mailbox.Mailbox) rights {
	own := m.Role != mailbox.RoleInbox
	return rights{true, true, true, true, true, true, own, own, true}
}

// countProperties are those that change with the emails alone.
func countProperties() []string {
	return []string{"totalEmails", "unreadEmails", "totalThreads", "unreadThreads"}
}

func mailboxProperties() []string {
	return append([]string{"id", "name", "parentId", "role", "sortOrder", "myRights", "isSubscribed"}, countProperties()...)
}

// mailboxObject gives a Mailbox but for its counts.
func mailboxObject(m *mailbox.Mailbox) map[string]any {
	o := map[string]any{
		"id": m.ID.String(), "name": m.Name, "parentId": nil, "role": nil, "sortOrder": m.SortOrder,
		"myRights": rightsOf(m), "isSubscribed": m.Subscribed,
	}
	if m.Parent != 0 {
		o["parentId"] = m.Parent.String()
	}
	if m.Role != mailbox.RoleNone {
		o["role"] = string(m.Role)
	}
	return o
}

// addCounts puts the counts into a Mailbox.
func (d *Door) addCounts(r *mailbox.Reader, a mohar.AccountID, m *mailbox.Mailbox, o map[string]any) error {
	n, err := d.countsOf(r, a, m)
	o["totalEmails"], o["unreadEmails"], o["totalThreads"], o["unreadThreads"] = n.total, n.unread, n.threads, n.unreadThreads
	return err
}

// mailboxGet is Mailbox/get (RFC 8621 section 2.1).
func (d *Door) mailboxGet(ctx context.Context, c *jmapserver.Call) (any, error) {
	g, err := wire.ReadGetArgs(c.Args, c.Limits.MaxObjectsInGet)
	if err != nil {
		return nil, err
	}
	if err := c.Args.Err(); err != nil {
		return nil, err
	}
	if err := knownProperties(g.Properties, mailboxProperties()...); err != nil {
		return nil, err
	}
	counted := g.Every || slices.ContainsFunc(g.Properties, func(p string) bool { return slices.Contains(countProperties(), p) })
	resp := &wire.GetResponse{AccountID: g.AccountID, List: []any{}, NotFound: []wire.ID{}}
	err = d.view(ctx, c.Principal.Account, func(r *mailbox.Reader) error {
		resp.State = state(r)
		all, err := r.Mailboxes()
		if err != nil {
			return err
		}
		if g.All {
			for _, m := range all {
				g.IDs = append(g.IDs, wire.ID(m.ID.String()))
			}
		}
		for _, id := range g.IDs {
			i := slices.IndexFunc(all, func(m *mailbox.Mailbox) bool { return wire.ID(m.ID.String()) == id })
			if i < 0 {
				resp.NotFound = append(resp.NotFound, id)
				continue
			}
			o := mailboxObject(all[i])
			if counted {
				if err := d.addCounts(r, c.Principal.Account, all[i], o); err != nil {
					return err
				}
			}
			resp.List = append(resp.List, pick(o, g))
		}
		return nil
	})
	return resp, err
}

// mailboxChangesResponse is the answer of Mailbox/changes.
type mailboxChangesResponse struct {
	*wire.ChangesResponse
	UpdatedProperties []string `json:"updatedProperties"`
}

// mailboxChanges is Mailbox/changes (RFC 8621 section 2.2).
func (d *Door) mailboxChanges(ctx context.Context, c *jmapserver.Call) (any, error) {
	onlyCounts := true
	resp, err := changesOf(ctx, d, c, mailbox.ID.String, func(ch mailbox.Change) (event[mailbox.ID], bool) {
		switch ch.Kind {
		case mailbox.MailboxCreated:
			return event[mailbox.ID]{ch.Mailbox, wasCreated}, true
		case mailbox.MailboxUpdated:
			onlyCounts = false
			return event[mailbox.ID]{ch.Mailbox, wasUpdated}, true
		case mailbox.MailboxCounted:
			return event[mailbox.ID]{ch.Mailbox, wasUpdated}, true
		case mailbox.MailboxDestroyed:
			return event[mailbox.ID]{ch.Mailbox, wasDestroyed}, true
		}
		return event[mailbox.ID]{}, false
	})
	if err != nil {
		return nil, err
	}
	out := mailboxChangesResponse{ChangesResponse: resp}
	if onlyCounts && len(resp.Updated) > 0 {
		out.UpdatedProperties = countProperties()
	}
	return out, nil
}
