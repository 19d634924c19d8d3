package jmap

import (
	"context"
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/mohar-mail/mohar/mailbox"
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

// Bounds of a snippet.
const (
	maxSnippet      = 255 // octets, marks and entities counted (RFC 8621 section 5)
	snippetLead     = 40  // octets shown before the first match
	maxSnippetCalls = 200 // emails in one call: each has its content read
)

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
	s := &search{ctx: ctx, d: d, plan: p}
	for _, e := range emails {
		sn := snippet{EmailID: wire.ID(e.ID.String())}
		if len(p.text) > 0 {
			m, err := d.stored(ctx, e, false)
			if err != nil {
				return nil, err
			}
			sn.Subject = mark(textForm(m.index.Envelope().Subject), p.text, 0)
			sn.Preview = mark((&candidate{search: s, email: e, index: m.index}).plainText(), p.text, maxSnippet)
			if s.err != nil {
				return nil, s.err
			}
		}
		resp.List = append(resp.List, sn)
	}
	return resp, nil
}

// span is a stretch of a text, in octets.
type span struct{ from, to int }

// found gives the stretches of text that match a term, without overlaps.
func matchSpans(text string, words []string) []span {
	f := folder{mapped: true}
	f.run(text)
	folded := f.out.String()
	end := func(i int) int { // the octet of text after the one that made folded[i-1]
		if i >= len(f.at) {
			return len(text)
		}
		return f.at[i]
	}
	var spans []span
	for _, w := range words {
		for i := 0; len(spans) < maxSnippet; {
			j := strings.Index(folded[i:], w)
			if j < 0 {
				break
			}
			from := i + j
			i = from + len(w)
			spans = append(spans, span{f.at[from], end(i)})
		}
	}
	sort.Slice(spans, func(a, b int) bool { return spans[a].from < spans[b].from })
	out := spans[:0]
	for _, s := range spans {
		if n := len(out); n > 0 && s.from < out[n-1].to {
			out[n-1].to = max(out[n-1].to, s.to)
			continue
		}
		out = append(out, s)
	}
	return out
}

// mark gives text with its matches marked and HTML escaped, from shortly before
// the first match and at most limit octets (0: all of it); nil where nothing
// matches.
func mark(text string, words []string, limit int) *string {
	spans := matchSpans(text, words)
	if len(spans) == 0 {
		return nil
	}
	const open, shut, more = "<mark>", "</mark>", "…"
	var b strings.Builder
	at := 0
	if limit > 0 && spans[0].from > snippetLead {
		at = wordStart(text, spans[0].from-snippetLead)
		b.WriteString(more)
	}
	// room says whether n more octets and a closing mark still fit.
	room := func(n int) bool { return limit == 0 || b.Len()+n+len(shut) <= limit }
	for len(spans) > 0 || at < len(text) {
		inside := len(spans) > 0 && at == spans[0].from
		if inside {
			if !room(len(open) + utf8.UTFMax) {
				break
			}
			b.WriteString(open)
		}
		end := len(text)
		if inside {
			end = spans[0].to
			spans = spans[1:]
		} else if len(spans) > 0 {
			end = spans[0].from
		}
		whole := true
		for at < end {
			_, n := utf8.DecodeRuneInString(text[at:])
			e := escape(text[at : at+n])
			if whole = room(len(e)); !whole {
				break
			}
			b.WriteString(e)
			at += n
		}
		if inside {
			b.WriteString(shut)
		}
		if !whole {
			break
		}
	}
	s := b.String()
	return &s
}

// wordStart gives the beginning of the word after i.
func wordStart(text string, i int) int {
	if j := strings.IndexAny(text[i:], " \n\t"); j >= 0 && j < snippetLead/2 {
		return i + j + 1
	}
	for i > 0 && !utf8.RuneStart(text[i]) {
		i--
	}
	return i
}

// escape prints one character as HTML, white space as a space.
func escape(s string) string {
	switch s {
	case "&":
		return "&amp;"
	case "<":
		return "&lt;"
	case ">":
		return "&gt;"
	case "\n", "\r", "\t":
		return " "
	}
	return s
}
