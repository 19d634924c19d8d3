package jmap

import (
	"context"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/mailbox"
	"github.com/mohar-mail/mohar/wire/addr"
	wire "github.com/mohar-mail/mohar/wire/jmap"
	"github.com/mohar-mail/mohar/wire/jmap/jmapserver"
	"github.com/mohar-mail/mohar/wire/mime"
)

// explained is the answer of Policy/explain.
type explained struct {
	AccountID  wire.ID    `json:"accountId"`
	Verdict    string     `json:"verdict"`
	Recipients []standing `json:"recipients"`
	Reasons    []reason   `json:"reasons"`
}

// standing is one recipient of an explanation.
type standing struct {
	Address string `json:"address"`
	Class   string `json:"class"`
	Name    string `json:"name,omitempty"`
}

// policyExplain is Policy/explain, of the platform's own capability: what the
// rulebook would say of a message to these people under this label. It changes
// nothing and may be asked at every keystroke. Addresses that are not whole yet
// have class "unknown" and no part in the verdict.
//
// Arguments: accountId; from (String); to (String[]); label (String|null);
// inReplyTo (Id of an Email|null).
func (d *Door) policyExplain(ctx context.Context, c *jmapserver.Call) (any, error) {
	resp := explained{AccountID: c.Args.ID("accountId"), Recipients: []standing{}}
	q := Question{Account: c.Principal.Account, Address: c.Principal.Address, From: c.Args.String("from")}
	to, ok := c.Args.Strings("to")
	label := c.Args.OptString("label")
	inReplyTo := c.Args.OptID("inReplyTo")
	if err := c.Args.Err(); err != nil {
		return nil, err
	}
	if !ok {
		return nil, wire.BadArgument("to", "to is an array of addresses.")
	}
	if len(to) > MaxRecipients {
		return nil, &wire.MethodError{Type: wire.RequestTooLarge}
	}
	if label != nil {
		var err error
		if q.Label, err = mohar.ParseLabel(*label); err != nil {
			return nil, wire.BadArgument("label", "There is no such label.")
		}
	}
	var broken []standing
	for _, t := range to {
		if _, err := addr.ParseMailbox(t); err != nil {
			broken = append(broken, standing{Address: t, Class: mohar.ClassUnknown.String()})
			continue
		}
		q.To = append(q.To, t)
	}
	var err error
	if q.Answers, err = d.answers(ctx, c, inReplyTo); err != nil {
		return nil, err
	}
	ex, err := d.cfg.Submit.Explain(ctx, q)
	if err != nil {
		return nil, err
	}
	resp.Verdict, resp.Reasons = ex.Decision.Verdict.String(), reasonsOf(&ex.Decision)
	for _, s := range ex.Recipients {
		resp.Recipients = append(resp.Recipients, standing{s.Address, s.Class.String(), s.Name})
	}
	resp.Recipients = append(resp.Recipients, broken...)
	return resp, nil
}

// answers lists the message ids of an email and of those that it refers to.
func (d *Door) answers(ctx context.Context, c *jmapserver.Call, id wire.ID) ([]string, error) {
	if id == "" {
		return nil, nil
	}
	eid, err := mailbox.ParseEmailID(string(id))
	if err != nil {
		return nil, wire.BadArgument("inReplyTo", "There is no such email.")
	}
	var e *mailbox.Email
	err = d.view(ctx, c.Principal.Account, func(r *mailbox.Reader) (err error) { e, err = r.Email(eid); return err })
	if fault.Is(err, fault.NotFound) {
		return nil, wire.BadArgument("inReplyTo", "There is no such email.")
	}
	if err != nil {
		return nil, err
	}
	x, err := mime.DecodeSummary(e.Index)
	if err != nil {
		return nil, err
	}
	return append(mime.MsgIDs(x.Envelope().MessageID, mime.MaxReferences), x.References...), nil
}
