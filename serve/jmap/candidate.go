package jmap

import (
	"context"
	"slices"
	"strings"

	"github.com/mohar-mail/mohar/mailbox"
	"github.com/mohar-mail/mohar/serve/jmap/message"
	"github.com/mohar-mail/mohar/serve/jmap/search"
	"github.com/mohar-mail/mohar/wire/mime"
)

// candidate is an email that a query considers.
type candidate struct {
	id       mailbox.EmailID
	thread   mailbox.ThreadID
	received int64 // Unix seconds
	size     uint32
	flags    mailbox.Flags
	keywords []string
	boxes    []mailbox.ID

	search *run
	// From here on filled when a tier needs it.
	email *mailbox.Email
	index *mime.Index
	head  *string
	body  *string
	keys  sortKeys
}

// run is one run of a query.
type run struct {
	ctx     context.Context
	d       *Door
	r       *mailbox.Reader
	plan    *plan
	threads map[mailbox.ThreadID][]*candidate // with plan.threads only
	err     error                             // the first failure to read
}

// loadBatch is how many emails are read at once.
const loadBatch = 256

// candidates lists what the plan could match, without judging it yet.
func (s *run) candidates() ([]*candidate, error) {
	boxes, err := s.r.Mailboxes()
	if err != nil || s.plan.nowhere {
		return nil, err
	}
	wide := s.plan.box == 0 || s.plan.threads || s.plan.places
	var all []*candidate
	byID := map[mailbox.EmailID]*candidate{}
	for _, m := range boxes {
		if !wide && m.ID != s.plan.box {
			continue
		}
		if !wide {
			all = make([]*candidate, 0, m.Total)
		}
		err := s.r.Entries(m.ID, 1, 1<<32-1, func(e *mailbox.Entry) bool {
			if wide {
				if c := byID[e.Email]; c != nil {
					c.boxes = append(c.boxes, m.ID)
					return true
				}
			}
			c := &candidate{id: e.Email, thread: e.Thread, received: e.Received, size: e.Size, flags: e.Flags,
				keywords: slices.Clone(e.Keywords), boxes: []mailbox.ID{m.ID}, search: s}
			all = append(all, c)
			if wide {
				byID[e.Email] = c
			}
			return true
		})
		if err != nil {
			return nil, err
		}
	}
	if s.plan.threads {
		s.threads = make(map[mailbox.ThreadID][]*candidate, len(all))
		for _, c := range all {
			s.threads[c.thread] = append(s.threads[c.thread], c)
		}
	}
	return all, nil
}

// inThread counts the emails of the thread with and without a keyword.
func (c *candidate) inThread(has func(mailbox.Flags, []string) bool) (with, without int) {
	for _, o := range c.search.threads[c.thread] {
		if has(o.flags, o.keywords) {
			with++
		} else {
			without++
		}
	}
	return with, without
}

// matches gives the candidates that the plan accepts.
func (s *run) matches() ([]*candidate, error) {
	all, err := s.candidates()
	if err != nil {
		return nil, err
	}
	var kept, open []*candidate
	for _, c := range all {
		switch s.plan.root.judge(c, tierEntry) {
		case yes:
			kept = append(kept, c)
		case unknown:
			open = append(open, c)
		}
	}
	if len(open) == 0 {
		return kept, nil
	}
	if err := s.load(open); err != nil {
		return nil, err
	}
	still := open[:0]
	for _, c := range open {
		switch s.plan.root.judge(c, tierIndex) {
		case yes:
			kept = append(kept, c)
		case unknown:
			still = append(still, c)
		}
	}
	// Contents are searched newest first, and not for ever.
	slices.SortFunc(still, newestFirst)
	for _, c := range still[:min(len(still), MaxSearchContent)] {
		if err := s.ctx.Err(); err != nil {
			return nil, err
		}
		if s.plan.root.judge(c, tierContent) == yes {
			kept = append(kept, c)
		}
		c.body = nil // not kept for 20,000 messages
		if s.err != nil {
			return nil, s.err
		}
	}
	return kept, s.err
}

// load reads rows and summaries of emails.
func (s *run) load(list []*candidate) error {
	for len(list) > 0 {
		n := min(len(list), loadBatch)
		var ids []mailbox.EmailID
		var want []*candidate
		for _, c := range list[:n] {
			if c.email == nil {
				ids, want = append(ids, c.id), append(want, c)
			}
		}
		list = list[n:]
		found, err := s.r.Emails(ids)
		if err != nil {
			return err
		}
		for i, e := range found {
			if e == nil {
				e = &mailbox.Email{ID: ids[i]} // an entry without its email: check's business
			}
			want[i].email = e
			if want[i].index, err = mime.DecodeSummary(e.Index); err != nil {
				want[i].index = &mime.Index{Root: &mime.Part{Envelope: &mime.Envelope{}}}
			}
		}
	}
	return nil
}

// headText gives what a text filter searches without reading the content.
func (c *candidate) headText() string {
	if c.head == nil {
		e := c.index.Envelope()
		s := search.Fold(strings.Join([]string{message.Text(e.Subject), addressText(e.From), addressText(e.To), addressText(e.Cc),
			addressText(e.Bcc), c.index.Preview}, "\n"))
		c.head = &s
	}
	return *c.head
}

// maxPartText bounds the text searched of one part, in octets.
const maxPartText = 1 << 20

// bodyText gives the readable text of all parts, folded.
func (c *candidate) bodyText() string {
	if c.body == nil {
		s := search.Fold(c.plainText())
		c.body = &s
	}
	return *c.body
}

// plainText gives the readable text of all parts, nested messages too.
func (c *candidate) plainText() string {
	m, err := c.search.d.stored(c.search.ctx, c.email, true)
	if err != nil {
		c.search.fail(err)
		return ""
	}
	var b strings.Builder
	var walk func(p *mime.Part)
	walk = func(p *mime.Part) {
		for _, ch := range p.Children {
			walk(ch)
		}
		if len(p.Children) > 0 || p.Type != "text" {
			return
		}
		data, err := m.Decoded(p, maxPartText)
		if err != nil {
			c.search.fail(err)
			return
		}
		text := mime.DecodeCharset(p.Charset(), data)
		if p.Subtype == "html" {
			text = mime.TextFromHTML(text, maxPartText)
		}
		b.WriteString(text)
		b.WriteByte('\n')
	}
	walk(m.Index.Root)
	return strings.TrimSpace(b.String())
}

// headerMatches looks for terms in one header field.
func (c *candidate) headerMatches(name string, words []string) bool {
	m, err := c.search.d.stored(c.search.ctx, c.email, true)
	if err != nil {
		c.search.fail(err)
		return false
	}
	h, err := m.Header(m.Index.Root)
	if err != nil {
		c.search.fail(err)
		return false
	}
	for f := range h.Fields() {
		if f.Is(name) && search.HasAll(search.Fold(message.Text(f.Text())), words) {
			return true
		}
	}
	return false
}

func (s *run) fail(err error) {
	if s.err == nil {
		s.err = err
	}
}
