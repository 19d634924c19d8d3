package jmap

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/mailbox"
	"github.com/mohar-mail/mohar/serve/jmap/message"
	wire "github.com/mohar-mail/mohar/wire/jmap"
	"github.com/mohar-mail/mohar/wire/jmap/jmapserver"
)

// maxSortOrder bounds sortOrder (RFC 8621 section 2).
const maxSortOrder = 1<<31 - 1

// mailboxSet is Mailbox/set (RFC 8621 section 2.5).
func (d *Door) mailboxSet(ctx context.Context, c *jmapserver.Call) (any, error) {
	s, err := wire.ReadSetArgs(c.Args, c.Limits.MaxObjectsInSet)
	if err != nil {
		return nil, err
	}
	removeEmails := c.Args.Bool("onDestroyRemoveEmails", false)
	if err := c.Args.Err(); err != nil {
		return nil, err
	}
	resp := &wire.SetResponse{AccountID: s.AccountID}
	if resp.OldState, err = d.checkState(ctx, c, s.IfInState); err != nil {
		return nil, err
	}
	for _, cid := range creationOrder(s.Create, "parentId") {
		o, err := d.createMailbox(ctx, c, s.Create[cid])
		if err != nil {
			resp.FailCreate(wire.ID(cid), err)
			continue
		}
		c.Created(wire.ID(cid), wire.ID(o["id"].(string)))
		resp.DidCreate(wire.ID(cid), o)
	}
	d.updateMailboxes(ctx, c, s.Update, resp)
	d.destroyMailboxes(ctx, c, s.Destroy, removeEmails, resp)
	resp.NewState, err = d.checkState(ctx, c, nil)
	return resp, err
}

// checkState gives the state of mailboxes and emails; stateMismatch where it is
// not what the client expects.
func (d *Door) checkState(ctx context.Context, c *jmapserver.Call, want *string) (string, error) {
	s := ""
	err := d.view(ctx, c.Principal.Account, func(r *mailbox.Reader) error { s = state(r); return nil })
	if err == nil && want != nil && *want != s {
		return "", &wire.MethodError{Type: wire.StateMismatch}
	}
	return s, err
}

// creationOrder sorts creation ids so that those that others of the same call
// refer to in a property come first (RFC 8620 section 5.3). A circle keeps its
// order and fails on its own.
func creationOrder(create map[string]json.RawMessage, property string) []string {
	refs := map[string]string{}
	var ids []string
	for cid, raw := range create {
		ids = append(ids, cid)
		var m map[string]json.RawMessage
		var s string
		if json.Unmarshal(raw, &m) == nil && json.Unmarshal(m[property], &s) == nil && len(s) > 1 && s[0] == '#' {
			refs[cid] = s[1:]
		}
	}
	depth := func(cid string) int {
		n := 0
		for range create {
			next, ok := refs[cid]
			if !ok {
				break
			}
			cid = next
			n++
		}
		return n
	}
	slices.Sort(ids)
	depths := make(map[string]int, len(ids))
	for _, cid := range ids {
		depths[cid] = depth(cid)
	}
	slices.SortStableFunc(ids, func(a, b string) int { return depths[a] - depths[b] })
	return ids
}

// settable are the properties of a Mailbox that a client may set.
func settableMailbox() []string {
	return []string{"name", "parentId", "role", "sortOrder", "isSubscribed"}
}

// readSettings reads the settable properties out of a whole record.
func readSettings(c *jmapserver.Call, a *wire.Args) (s mailbox.Settings, err error) {
	name := a.String("name")
	parent, role := mailbox.ID(0), mailbox.RoleNone
	var bad []string
	if ref := a.OptString("parentId"); ref != nil {
		id, ok := c.Resolve(*ref)
		if parent, err = mailbox.ParseID(string(id)); err != nil || !ok {
			bad = append(bad, "parentId")
		}
	}
	if r := a.OptString("role"); r != nil {
		role = mailbox.Role(*r)
		if !slices.Contains(roles(), role) {
			bad = append(bad, "role")
		}
	}
	order := a.Int("sortOrder", 0)
	if order < 0 || order > maxSortOrder {
		bad = append(bad, "sortOrder")
	}
	subscribed := a.Bool("isSubscribed", true)
	if name, err = mailbox.CleanName(name); err != nil {
		bad = append(bad, "name")
	}
	if len(bad) > 0 {
		return s, wire.BadProperty("These properties are not valid.", bad...)
	}
	if err := message.RecordError(a); err != nil {
		return s, err
	}
	n := uint32(order)
	return mailbox.Settings{Name: &name, Parent: &parent, Role: &role, Subscribed: &subscribed, SortOrder: &n}, nil
}

// roles are the roles that a client may give. The inbox is there from the
// beginning.
func roles() []mailbox.Role {
	return []mailbox.Role{mailbox.RoleInbox, mailbox.RoleDrafts, mailbox.RoleSent, mailbox.RoleArchive, mailbox.RoleJunk, mailbox.RoleTrash}
}

func (d *Door) createMailbox(ctx context.Context, c *jmapserver.Call, raw json.RawMessage) (map[string]any, error) {
	a, err := wire.NewArgs(raw)
	if err != nil {
		return nil, err
	}
	s, err := readSettings(c, a)
	if err != nil {
		return nil, err
	}
	var o map[string]any
	err = d.cfg.Mail.Update(ctx, c.Principal.Account, func(w *mailbox.Writer) error {
		m, err := w.Create(mailbox.Mailbox{Name: *s.Name, Parent: *s.Parent, Role: *s.Role, Subscribed: *s.Subscribed, SortOrder: *s.SortOrder})
		if err != nil {
			return boxError(err, *s.Role)
		}
		// Only what the client did not say itself (RFC 8620 section 5.3).
		o = mailboxObject(m)
		for _, p := range settableMailbox() {
			if a.Has(p) {
				delete(o, p)
			}
		}
		for _, p := range countProperties() {
			o[p] = 0
		}
		return nil
	})
	return o, err
}

// boxError names the property at fault where a mailbox may not be as asked.
func boxError(err error, role mailbox.Role) error {
	switch fault.KindOf(err) {
	case fault.Exists:
		if role == mailbox.RoleNone {
			return wire.BadProperty(fault.Public(err), "name")
		}
		return wire.BadProperty(fault.Public(err), "name", "role")
	case fault.NotFound:
		return wire.BadProperty(fault.Public(err), "parentId")
	case fault.Invalid:
		return wire.BadProperty(fault.Public(err), "parentId")
	}
	return err
}

func (d *Door) updateMailboxes(ctx context.Context, c *jmapserver.Call, update map[string]json.RawMessage, resp *wire.SetResponse) {
	refs := make([]string, 0, len(update))
	for ref := range update {
		refs = append(refs, ref)
	}
	slices.Sort(refs)
	for _, ref := range refs {
		id, ok := c.Resolve(ref)
		if !ok {
			id = wire.ID(ref)
		}
		if err := d.updateMailbox(ctx, c, id, update[ref]); err != nil {
			resp.FailUpdate(id, err)
			continue
		}
		resp.DidUpdate(id, nil)
	}
}

func (d *Door) updateMailbox(ctx context.Context, c *jmapserver.Call, id wire.ID, raw json.RawMessage) error {
	patch, err := wire.ParsePatch(raw)
	if err != nil {
		return err
	}
	bid, err := mailbox.ParseID(string(id))
	if err != nil {
		return &wire.SetError{Type: wire.SetNotFound}
	}
	return d.cfg.Mail.Update(ctx, c.Principal.Account, func(w *mailbox.Writer) error {
		m, err := w.Mailbox(bid)
		if err != nil {
			return err
		}
		o := mailboxObject(m)
		if needsCounts(patch) {
			if err := d.addCounts(&w.Reader, c.Principal.Account, m, o); err != nil {
				return err
			}
		}
		next, err := patched(o, patch, settableMailbox())
		if err != nil {
			return err
		}
		a, err := wire.NewArgs(next)
		if err != nil {
			return err
		}
		s, err := readSettings(c, a)
		if err != nil {
			return err
		}
		return boxError(w.Change(bid, s), *s.Role)
	})
}

func needsCounts(p *wire.Patch) bool {
	return slices.ContainsFunc(p.Properties(), func(n string) bool { return slices.Contains(countProperties(), n) })
}

// patched applies a patch to a record and gives the settable properties of the
// result. Any other property may be in the patch only with the value that it
// has (RFC 8620 section 5.3).
func patched(record map[string]any, p *wire.Patch, settable []string) (json.RawMessage, error) {
	old := make(map[string]json.RawMessage, len(record))
	for k, v := range record {
		raw, err := wire.Marshal(v)
		if err != nil {
			return nil, err
		}
		old[k] = raw
	}
	next, err := p.Apply(old)
	if err != nil {
		return nil, err
	}
	var bad []string
	out := map[string]json.RawMessage{}
	for _, k := range p.Properties() {
		if !slices.Contains(settable, k) && !sameJSON(old[k], next[k]) {
			bad = append(bad, k)
		}
	}
	if len(bad) > 0 {
		return nil, wire.BadProperty("These properties are not for the client to change.", bad...)
	}
	for _, k := range settable {
		if v, ok := next[k]; ok {
			out[k] = v
		}
	}
	return wire.Marshal(out)
}

// sameJSON compares two values as JSON; two that are absent are the same.
func sameJSON(a, b json.RawMessage) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	var x, y any
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
		return false
	}
	p, err1 := json.Marshal(x)
	q, err2 := json.Marshal(y)
	return err1 == nil && err2 == nil && string(p) == string(q)
}

func (d *Door) destroyMailboxes(ctx context.Context, c *jmapserver.Call, refs []string, removeEmails bool, resp *wire.SetResponse) {
	var ids []wire.ID
	for _, ref := range refs {
		id, ok := c.Resolve(ref)
		if !ok {
			id = wire.ID(ref)
		}
		ids = append(ids, id)
	}
	// Children go first, so that a whole tree can be destroyed in one call.
	var all []*mailbox.Mailbox
	if err := d.view(ctx, c.Principal.Account, func(r *mailbox.Reader) (err error) { all, err = r.Mailboxes(); return err }); err != nil {
		for _, id := range ids {
			resp.FailDestroy(id, err)
		}
		return
	}
	depth := func(id wire.ID) int {
		b, err := mailbox.ParseID(string(id))
		if err != nil {
			return 0
		}
		return len(mailbox.Path(all, b))
	}
	slices.SortStableFunc(ids, func(a, b wire.ID) int { return depth(b) - depth(a) })
	for _, id := range slices.Compact(ids) {
		if err := d.destroyMailbox(ctx, c, id, removeEmails); err != nil {
			resp.FailDestroy(id, err)
			continue
		}
		resp.DidDestroy(id)
	}
}

func (d *Door) destroyMailbox(ctx context.Context, c *jmapserver.Call, id wire.ID, removeEmails bool) error {
	bid, err := mailbox.ParseID(string(id))
	if err != nil {
		return &wire.SetError{Type: wire.SetNotFound}
	}
	for more := true; more; {
		err := d.cfg.Mail.Update(ctx, c.Principal.Account, func(w *mailbox.Writer) error {
			m, err := w.Mailbox(bid)
			if err != nil {
				return err
			}
			all, err := w.Mailboxes()
			if err != nil {
				return err
			}
			if slices.ContainsFunc(all, func(o *mailbox.Mailbox) bool { return o.Parent == bid }) {
				return &wire.SetError{Type: "mailboxHasChild"}
			}
			if m.Total > 0 && !removeEmails {
				return &wire.SetError{Type: "mailboxHasEmail"}
			}
			more, err = w.Remove(bid)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
