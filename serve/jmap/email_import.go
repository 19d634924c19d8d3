package jmap

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/mailbox"
	"github.com/mohar-mail/mohar/serve/jmap/message"
	"github.com/mohar-mail/mohar/wire/addr"
	wire "github.com/mohar-mail/mohar/wire/jmap"
	"github.com/mohar-mail/mohar/wire/jmap/jmapserver"
	"github.com/mohar-mail/mohar/wire/mime"
)

// addMessage adds a message to the account.
func (d *Door) addMessage(ctx context.Context, c *jmapserver.Call, content []byte, received time.Time, p placement) (*newEmail, error) {
	if len(content) > MaxMessage {
		return nil, &wire.SetError{Type: wire.SetTooLarge}
	}
	described, err := mailbox.Parse(content)
	if err != nil {
		return nil, err
	}
	bw := d.cfg.Mail.Bodies().Writer(ctx)
	if _, err := bw.Write(content); err != nil {
		bw.Abort()
		return nil, err
	}
	st, err := bw.Finish()
	if err != nil {
		return nil, err
	}
	added, err := d.cfg.Mail.Add(ctx, c.Principal.Account, mailbox.Addition{
		Mailboxes: p.boxes, Flags: p.flags, Keywords: p.keywords, Received: received,
		Size: int64(len(content)), Content: described, Staged: st,
	})
	if err != nil {
		st.Discard(ctx)
		return nil, err
	}
	return &newEmail{ID: added.Email.String(), BlobID: messageBlob(added.Email), ThreadID: added.Thread.String(), Size: int64(len(content))}, nil
}

// importResponse is the answer of Email/import.
type importResponse struct {
	AccountID  wire.ID                    `json:"accountId"`
	OldState   string                     `json:"oldState"`
	NewState   string                     `json:"newState"`
	Created    map[wire.ID]any            `json:"created"`
	NotCreated map[wire.ID]*wire.SetError `json:"notCreated"`
}

// emailImport is Email/import (RFC 8621 section 4.8).
func (d *Door) emailImport(ctx context.Context, c *jmapserver.Call) (any, error) {
	account := c.Args.ID("accountId")
	want := c.Args.OptString("ifInState")
	emails := c.Args.Map("emails")
	if err := c.Args.Err(); err != nil {
		return nil, err
	}
	if emails == nil {
		return nil, wire.BadArgument("emails", "emails is a map of creation ids to objects.")
	}
	if len(emails) > c.Limits.MaxObjectsInSet {
		return nil, &wire.MethodError{Type: wire.RequestTooLarge}
	}
	r := &wire.SetResponse{}
	var err error
	if r.OldState, err = d.checkState(ctx, c, want); err != nil {
		return nil, err
	}
	for _, cid := range creationOrder(emails, "") {
		if !wire.ID(cid).Valid() {
			return nil, wire.BadArgument("emails", "emails is a map of creation ids to objects.")
		}
		o, err := d.importEmail(ctx, c, emails[cid])
		if err != nil {
			r.FailCreate(wire.ID(cid), err)
			continue
		}
		c.Created(wire.ID(cid), wire.ID(o.ID))
		r.DidCreate(wire.ID(cid), o)
	}
	r.NewState, err = d.checkState(ctx, c, nil)
	return importResponse{account, r.OldState, r.NewState, r.Created, r.NotCreated}, err
}

func (d *Door) importEmail(ctx context.Context, c *jmapserver.Call, raw json.RawMessage) (*newEmail, error) {
	a, err := wire.NewArgs(raw)
	if err != nil {
		return nil, wire.BadProperty("An EmailImport is an object.")
	}
	blobID := a.ID("blobId")
	received := a.UTCDate("receivedAt")
	p, err := d.readNewPlacement(ctx, c, a)
	if err != nil {
		return nil, err
	}
	if err := message.RecordError(a); err != nil {
		return nil, err
	}
	content, err := d.blobContent(ctx, c.Principal.Account, blobID)
	if fault.Is(err, fault.NotFound) {
		return nil, wire.BadProperty("There is no such blob.", "blobId")
	}
	if err != nil {
		return nil, err
	}
	m := mime.Parse(content)
	if !isMessage(m) {
		return nil, &wire.SetError{Type: "invalidEmail", Description: "This is not a message."}
	}
	if received.IsZero() {
		received = receivedOf(m, d.clock.Now())
	}
	return d.addMessage(ctx, c, content, received, p)
}

// readNewPlacement is readPlacement outside a transaction.
func (d *Door) readNewPlacement(ctx context.Context, c *jmapserver.Call, a *wire.Args) (p placement, err error) {
	verr := d.view(ctx, c.Principal.Account, func(r *mailbox.Reader) error {
		p, err = readPlacement(c, a, r)
		return nil
	})
	if verr != nil {
		return p, verr
	}
	return p, err
}

// isMessage says whether content begins with at least one header field.
func isMessage(m *mime.Message) bool {
	for range m.Header(m.Root).Fields() {
		return true
	}
	return false
}

// receivedOf gives the time of the most recent Received field, which is the
// first, or def where there is none (RFC 8621 section 4.8).
func receivedOf(m *mime.Message, def time.Time) time.Time {
	f, ok := m.Header(m.Root).Get("Received")
	if !ok {
		return def
	}
	text := f.Text()
	if t, ok := mime.ParseDate(text[strings.LastIndexByte(text, ';')+1:]); ok && !t.After(def) {
		return t
	}
	return def
}

// parseResponse is the answer of Email/parse.
type parseResponse struct {
	AccountID   wire.ID         `json:"accountId"`
	Parsed      map[wire.ID]any `json:"parsed"`
	NotParsable []wire.ID       `json:"notParsable"`
	NotFound    []wire.ID       `json:"notFound"`
}

// emailParse is Email/parse (RFC 8621 section 4.9).
func (d *Door) emailParse(ctx context.Context, c *jmapserver.Call) (any, error) {
	resp := parseResponse{AccountID: c.Args.ID("accountId")}
	ids, ok := c.Args.IDs("blobIds")
	props, given := c.Args.Strings("properties")
	v, err := message.ReadView(c.Args, props, !given, false)
	if err != nil {
		return nil, err
	}
	if err := c.Args.Err(); err != nil {
		return nil, err
	}
	if !ok {
		return nil, wire.BadArgument("blobIds", "blobIds is an array of ids.")
	}
	if len(ids) > c.Limits.MaxObjectsInGet {
		return nil, &wire.MethodError{Type: wire.RequestTooLarge}
	}
	for _, id := range ids {
		content, err := d.blobContent(ctx, c.Principal.Account, id)
		if fault.Is(err, fault.NotFound) {
			resp.NotFound = append(resp.NotFound, id)
			continue
		}
		if err != nil {
			return nil, err
		}
		m := message.Of(content, blobBase(id))
		if !isMessage(&mime.Message{Content: content, Index: *m.Index}) {
			resp.NotParsable = append(resp.NotParsable, id)
			continue
		}
		o := map[string]any{}
		for _, p := range v.Props {
			switch p {
			case "blobId":
				o[p] = id
			case "size":
				o[p] = len(content)
			case "id", "threadId", "mailboxIds", "keywords", "receivedAt":
				o[p] = nil
			}
		}
		if err := v.Show(o, m); err != nil {
			return nil, err
		}
		if resp.Parsed == nil {
			resp.Parsed = map[wire.ID]any{}
		}
		resp.Parsed[id] = o
	}
	return resp, nil
}

// blobBase gives what the ids of the parts of a blob begin with.
func blobBase(id wire.ID) string {
	if id[0] == 'U' {
		return string(id)
	}
	return string(id[1:])
}

// createEmail makes an Email (RFC 8621 section 4.6, create).
func (d *Door) createEmail(ctx context.Context, c *jmapserver.Call, raw json.RawMessage) (*newEmail, error) {
	a, err := wire.NewArgs(raw)
	if err != nil {
		return nil, err
	}
	p, err := d.readNewPlacement(ctx, c, a)
	if err != nil {
		return nil, err
	}
	received := a.UTCDate("receivedAt")
	if received.IsZero() {
		received = d.clock.Now()
	}
	domain := "localhost"
	if m, err := addr.ParseMailbox(c.Principal.Address); err == nil {
		domain = m.Domain.ASCII
	}
	content, err := message.Compose(a, message.Source{Now: d.clock.Now(), Domain: domain, MaxAttachments: MaxAttachments,
		Blob: func(id wire.ID) ([]byte, error) { return d.blobContent(ctx, c.Principal.Account, id) }})
	if err != nil {
		return nil, err
	}
	return d.addMessage(ctx, c, content, received, p)
}
