package jmap

import (
	"context"
	"slices"

	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/mailbox"
	"github.com/mohar-mail/mohar/serve/jmap/message"
	wire "github.com/mohar-mail/mohar/wire/jmap"
	"github.com/mohar-mail/mohar/wire/jmap/jmapserver"
)

// emailSet is Email/set (RFC 8621 section 4.6).
func (d *Door) emailSet(ctx context.Context, c *jmapserver.Call) (any, error) {
	s, err := wire.ReadSetArgs(c.Args, c.Limits.MaxObjectsInSet)
	if err != nil {
		return nil, err
	}
	if err := c.Args.Err(); err != nil {
		return nil, err
	}
	resp := &wire.SetResponse{AccountID: s.AccountID}
	if resp.OldState, err = d.checkState(ctx, c, s.IfInState); err != nil {
		return nil, err
	}
	for _, cid := range creationOrder(s.Create, "") {
		o, err := d.createEmail(ctx, c, s.Create[cid])
		if err != nil {
			resp.FailCreate(wire.ID(cid), err)
			continue
		}
		c.Created(wire.ID(cid), wire.ID(o.ID))
		resp.DidCreate(wire.ID(cid), o)
	}
	d.updateEmails(ctx, c, s, resp)
	d.destroyEmails(ctx, c, s.Destroy, resp)
	resp.NewState, err = d.checkState(ctx, c, nil)
	return resp, err
}

// change is one update of /set, before it is applied.
type change struct {
	id    wire.ID
	patch *wire.Patch
}

// updateEmails applies all updates in one transaction, which costs one write to
// disk. Where one of them fails halfway, all are tried again one by one, so that
// each stays a unit of its own.
func (d *Door) updateEmails(ctx context.Context, c *jmapserver.Call, s wire.SetArgs, resp *wire.SetResponse) {
	var list []change
	for ref, raw := range s.Update {
		id, ok := c.Resolve(ref)
		if !ok {
			id = wire.ID(ref)
		}
		if slices.Contains(s.Destroy, ref) {
			resp.FailUpdate(id, &wire.SetError{Type: wire.SetWillDestroy})
			continue
		}
		p, err := wire.ParsePatch(raw)
		if err != nil {
			resp.FailUpdate(id, err)
			continue
		}
		list = append(list, change{id, p})
	}
	slices.SortFunc(list, func(a, b change) int { return compareIDs(a.id, b.id) })
	for len(list) > 0 {
		batch := list[:min(len(list), mailbox.MaxBatch)]
		list = list[len(batch):]
		err := d.cfg.Mail.Update(ctx, c.Principal.Account, func(w *mailbox.Writer) error {
			for _, ch := range batch {
				if err := d.updateEmail(w, c, ch); err != nil {
					return err
				}
			}
			return nil
		})
		for _, ch := range batch {
			if err != nil {
				if err := d.cfg.Mail.Update(ctx, c.Principal.Account, func(w *mailbox.Writer) error {
					return d.updateEmail(w, c, ch)
				}); err != nil {
					resp.FailUpdate(ch.id, err)
					continue
				}
			}
			resp.DidUpdate(ch.id, nil)
		}
	}
}

func compareIDs(a, b wire.ID) int {
	if a < b {
		return -1
	}
	if a > b {
		return 1
	}
	return 0
}

// settableEmail are the properties of an Email that a client may update.
func settableEmail() []string { return []string{"mailboxIds", "keywords"} }

// updateEmail applies one update inside a transaction.
func (d *Door) updateEmail(w *mailbox.Writer, c *jmapserver.Call, ch change) error {
	e, en, err := findEmail(&w.Reader, ch.id)
	if err != nil {
		return err
	}
	raw, err := patched(updatable(e, en, ch.patch), ch.patch, settableEmail())
	if err != nil {
		return err
	}
	a, err := wire.NewArgs(raw)
	if err != nil {
		return err
	}
	p, err := readPlacement(c, a, w)
	if err != nil {
		return err
	}
	if err := message.RecordError(a); err != nil {
		return err
	}
	if err := w.SetPlaces(e.ID, p.boxes); err != nil {
		return err
	}
	return w.SetKeywords(e.ID, mailbox.FlagChange{Op: mailbox.ReplaceFlags, Flags: p.flags, Keywords: p.keywords})
}

// updatable gives the record that a patch is applied to: the mutable properties,
// and of the others those that the patch names, to compare with.
func updatable(e *mailbox.Email, en *mailbox.Entry, p *wire.Patch) map[string]any {
	o := map[string]any{"id": e.ID.String()}
	props := settableEmail()
	for _, name := range p.Properties() {
		if slices.Contains(message.MetaProperties(), name) && !slices.Contains(props, name) {
			props = append(props, name)
		}
	}
	showMeta(props, o, e, en)
	return o
}

// findEmail gives an email and the entry that carries its keywords.
func findEmail(r *mailbox.Reader, id wire.ID) (*mailbox.Email, *mailbox.Entry, error) {
	eid, err := mailbox.ParseEmailID(string(id))
	if err != nil {
		return nil, nil, &wire.SetError{Type: wire.SetNotFound}
	}
	e, err := r.Email(eid)
	if fault.Is(err, fault.NotFound) {
		return nil, nil, &wire.SetError{Type: wire.SetNotFound}
	}
	if err != nil {
		return nil, nil, err
	}
	entries, err := r.FirstEntries([]*mailbox.Email{e})
	if err != nil {
		return nil, nil, err
	}
	return e, entries[0], nil
}

// placement is where an email lies and what it is marked with.
type placement struct {
	boxes    []mailbox.ID
	flags    mailbox.Flags
	keywords []string
}

// boxReader knows mailboxes.
type boxReader interface {
	Mailbox(id mailbox.ID) (*mailbox.Mailbox, error)
}

// readPlacement reads mailboxIds and keywords of a record and makes sure that
// they can be given, so that applying them does not fail halfway.
func readPlacement(c *jmapserver.Call, a *wire.Args, r boxReader) (placement, error) {
	var p placement
	ids, _ := a.Set("mailboxIds")
	for _, ref := range ids {
		id, ok := c.Resolve(ref)
		box, err := mailbox.ParseID(string(id))
		if err == nil && ok {
			_, err = r.Mailbox(box)
		}
		if err != nil || !ok {
			return p, wire.BadProperty("There is no such mailbox.", "mailboxIds")
		}
		if !slices.Contains(p.boxes, box) {
			p.boxes = append(p.boxes, box)
		}
	}
	if len(p.boxes) == 0 {
		return p, wire.BadProperty("An email lies in at least one mailbox.", "mailboxIds")
	}
	words, _ := a.Set("keywords")
	var err error
	p.flags, p.keywords = splitKeywords(words)
	if p.keywords, err = mailbox.CleanKeywords(p.keywords); fault.Is(err, fault.TooMany) {
		return p, &wire.SetError{Type: "tooManyKeywords", Description: fault.Public(err)}
	} else if err != nil {
		return p, wire.BadProperty(fault.Public(err), "keywords")
	}
	return p, nil
}

// destroyEmails destroys emails in as few transactions as it takes.
func (d *Door) destroyEmails(ctx context.Context, c *jmapserver.Call, refs []string, resp *wire.SetResponse) {
	var ids []wire.ID
	for _, ref := range refs {
		id, ok := c.Resolve(ref)
		if !ok {
			id = wire.ID(ref)
		}
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	for len(ids) > 0 {
		batch := ids[:min(len(ids), mailbox.MaxBatch)]
		ids = ids[len(batch):]
		missing := map[wire.ID]bool{}
		err := d.cfg.Mail.Update(ctx, c.Principal.Account, func(w *mailbox.Writer) error {
			clear(missing)
			for _, id := range batch {
				eid, err := mailbox.ParseEmailID(string(id))
				if err == nil {
					err = w.Destroy(eid)
				}
				if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Invalid) {
					missing[id] = true
					continue
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
		for _, id := range batch {
			switch {
			case err != nil:
				resp.FailDestroy(id, err)
			case missing[id]:
				resp.FailDestroy(id, &wire.SetError{Type: wire.SetNotFound})
			default:
				resp.DidDestroy(id)
			}
		}
	}
}

// emailCopy is Email/copy (RFC 8621 section 4.7). A principal sees one account,
// so that there is never another one to copy from.
func (d *Door) emailCopy(_ context.Context, c *jmapserver.Call) (any, error) {
	c.Args.ID("accountId")
	from := c.Args.ID("fromAccountId")
	c.Args.OptString("ifFromInState")
	c.Args.OptString("ifInState")
	c.Args.Map("create")
	c.Args.Bool("onSuccessDestroyOriginal", false)
	c.Args.OptString("destroyFromIfInState")
	return nil, onlyOneAccount(c, from)
}

// newEmail is what the answer says of an email that was created.
type newEmail struct {
	ID       string `json:"id"`
	BlobID   string `json:"blobId"`
	ThreadID string `json:"threadId"`
	Size     int64  `json:"size"`
}
