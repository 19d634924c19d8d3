package jmap

import (
	"context"

	"github.com/mohar-mail/mohar/mailbox"
	"github.com/mohar-mail/mohar/serve/jmap/message"
	"github.com/mohar-mail/mohar/serve/jmap/search"
	wire "github.com/mohar-mail/mohar/wire/jmap"
	"github.com/mohar-mail/mohar/wire/jmap/jmapserver"
)

// snippet is a SearchSnippet (RFC 8621 section 5).
type snippet struct {
	EmailID wire.ID `json:"emailId"`
	Subject *string `json:"subject"`
	Preview *string `json:"preview"`
}

// snippetResponse is the answer of SearchSnippet/get.
type snippetResponse struct {
	AccountID wire.ID   `json:"accountId"`
	List      []snippet `json:"list"`
	NotFound  []wire.ID `json:"notFound"`
}

// maxSnippetCalls bounds the emails in one call: each has its content read.
const maxSnippetCalls = 200

// snippetGet is SearchSnippet/get (RFC 8621 section 5.1).
func (d *Door) snippetGet(ctx context.Context, c *jmapserver.Call) (any, error) {
	resp := snippetResponse{AccountID: c.Args.ID("accountId"), List: []snippet{}}
	ids, ok := c.Args.IDs("emailIds")
	var f *wire.Filter
	if raw, ok := c.Args.Raw("filter"); ok {
		var err error
		if f, err = wire.ParseFilter(raw); err != nil {
			return nil, err
		}
	}
	if err := c.Args.Err(); err != nil {
		return nil, err
	}
	if !ok {
		return nil, wire.BadArgument("emailIds", "emailIds is an array of ids.")
	}
	if len(ids) > maxSnippetCalls {
		return nil, &wire.MethodError{Type: wire.RequestTooLarge}
	}
	p, err := compile(f)
	if err != nil {
		return nil, err
	}
	var emails []*mailbox.Email
	found := &wire.GetResponse{}
	err = d.view(ctx, c.Principal.Account, func(r *mailbox.Reader) (err error) {
		emails, err = readEmails(r, ids, found)
		return err
	})
	if err != nil {
		return nil, err
	}
	resp.NotFound = found.NotFound
	s := &run{ctx: ctx, d: d, plan: p}
	for _, e := range emails {
		sn := snippet{EmailID: wire.ID(e.ID.String())}
		if len(p.text) > 0 {
			m, err := d.stored(ctx, e, false)
			if err != nil {
				return nil, err
			}
			sn.Subject = search.Mark(message.Text(m.Index.Envelope().Subject), p.text, 0)
			sn.Preview = search.Mark((&candidate{search: s, email: e, index: m.Index}).plainText(), p.text, search.MaxSnippet)
			if s.err != nil {
				return nil, s.err
			}
		}
		resp.List = append(resp.List, sn)
	}
	return resp, nil
}
