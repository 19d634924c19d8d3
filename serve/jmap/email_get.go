package jmap

import (
	"context"

	"github.com/mohar-mail/mohar/mailbox"
	"github.com/mohar-mail/mohar/serve/jmap/message"
	wire "github.com/mohar-mail/mohar/wire/jmap"
	"github.com/mohar-mail/mohar/wire/jmap/jmapserver"
	"github.com/mohar-mail/mohar/wire/mime"
)

// emailGet is Email/get (RFC 8621 section 4.2).
func (d *Door) emailGet(ctx context.Context, c *jmapserver.Call) (any, error) {
	g, err := wire.ReadGetArgs(c.Args, c.Limits.MaxObjectsInGet)
	if err != nil {
		return nil, err
	}
	v, err := message.ReadView(c.Args, g.Properties, g.Every, true)
	if err != nil {
		return nil, err
	}
	if err := c.Args.Err(); err != nil {
		return nil, err
	}
	resp := &wire.GetResponse{AccountID: g.AccountID, List: []any{}, NotFound: []wire.ID{}}
	var emails []*mailbox.Email
	var entries []*mailbox.Entry
	err = d.view(ctx, c.Principal.Account, func(r *mailbox.Reader) (err error) {
		resp.State = state(r)
		if g.All {
			if r.Meta().Count > int64(c.Limits.MaxObjectsInGet) {
				return &wire.MethodError{Type: wire.RequestTooLarge, Description: "Name the ids."}
			}
			err = r.EachEmail(0, func(e *mailbox.Email) bool { emails = append(emails, e); return true })
		} else {
			emails, err = readEmails(r, g.IDs, resp)
		}
		if err == nil {
			entries, err = r.FirstEntries(emails)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	// The contents are read after the view is closed: they do not change, and a
	// slow blob store should not hold a snapshot open.
	for i, e := range emails {
		o := map[string]any{"id": e.ID.String()}
		showMeta(v.Props, o, e, entries[i])
		if err := d.showStored(ctx, v, o, e); err != nil {
			return nil, err
		}
		resp.List = append(resp.List, o)
	}
	return resp, nil
}

// readEmails gives the emails named and notes those that are not there.
func readEmails(r *mailbox.Reader, ids []wire.ID, resp *wire.GetResponse) ([]*mailbox.Email, error) {
	var known []mailbox.EmailID
	for _, id := range ids {
		e, err := mailbox.ParseEmailID(string(id))
		if err != nil {
			resp.NotFound = append(resp.NotFound, id)
			continue
		}
		known = append(known, e)
	}
	found, err := r.Emails(known)
	if err != nil {
		return nil, err
	}
	var emails []*mailbox.Email
	for i, e := range found {
		if e == nil {
			resp.NotFound = append(resp.NotFound, wire.ID(known[i].String()))
			continue
		}
		emails = append(emails, e)
	}
	return emails, nil
}

// showStored fills o with what the view asks of a stored message.
func (d *Door) showStored(ctx context.Context, v *message.View, o map[string]any, e *mailbox.Email) error {
	if !v.NeedHeaders && len(v.Props) == 0 {
		return nil
	}
	m, err := d.stored(ctx, e, v.NeedTree || v.NeedHeaders)
	if err != nil {
		return err
	}
	return v.Show(o, m)
}

// stored gives a stored email as a message, with its tree and offsets or only
// the summary. A header with repeated fields always comes with its offsets,
// because the summary does not say which field is the last.
func (d *Door) stored(ctx context.Context, e *mailbox.Email, tree bool) (*message.Message, error) {
	idx, err := mime.DecodeSummary(e.Index)
	if err == nil && (tree || idx.Defects&mime.DefectDuplicate != 0) {
		idx, err = mime.DecodeIndex(e.Index)
	}
	if err != nil {
		return nil, err
	}
	return &message.Message{Index: idx, Blob: e.ID.String(), Read: func(off, n int64) ([]byte, error) {
		return d.cfg.Mail.Bodies().ReadRange(ctx, e.Body, off, n)
	}}, nil
}
