package jmap

import (
	"cmp"
	"slices"

	"github.com/mohar-mail/mohar/mailbox"
	"github.com/mohar-mail/mohar/serve/jmap/message"
	"github.com/mohar-mail/mohar/serve/jmap/search"
	"github.com/mohar-mail/mohar/wire/addr"
	wire "github.com/mohar-mail/mohar/wire/jmap"
	"github.com/mohar-mail/mohar/wire/mime"
)

// sortOptions are the properties by which Email/query sorts.
func sortOptions() []string {
	return []string{"receivedAt", "size", "from", "to", "subject", "sentAt", "hasKeyword", "allInThreadHaveKeyword", "someInThreadHaveKeyword"}
}

// sortKeys are what an email is compared by, filled as a sort needs it.
type sortKeys struct {
	from, to, subject string
	sent              int64
}

// order is a compiled sort.
type order struct {
	by        []wire.Comparator
	has       []func(mailbox.Flags, []string) bool // for each comparator with a keyword
	needIndex bool
	threads   bool
}

// compileSort reads the sort of Email/query (RFC 8621 section 4.4.2). None is
// newest first.
func compileSort(list []wire.Comparator) (*order, error) {
	if len(list) == 0 {
		list = []wire.Comparator{{Property: "receivedAt"}}
	}
	o := &order{by: list, has: make([]func(mailbox.Flags, []string) bool, len(list))}
	for i, c := range list {
		if !slices.Contains(sortOptions(), c.Property) {
			return nil, &wire.MethodError{Type: wire.UnsupportedSort, Description: "Emails do not sort by " + c.Property + "."}
		}
		if err := knownCollation(c); err != nil {
			return nil, err
		}
		switch c.Property {
		case "from", "to", "subject", "sentAt":
			o.needIndex = true
		case "hasKeyword", "allInThreadHaveKeyword", "someInThreadHaveKeyword":
			if c.Keyword == "" {
				return nil, wire.BadArgument("sort", "The comparator needs a keyword.")
			}
			o.has[i] = keywordTest(c.Keyword)
			o.threads = o.threads || c.Property != "hasKeyword"
		}
	}
	return o, nil
}

// byReceipt says whether the sort is by receivedAt alone.
func (o *order) byReceipt() bool { return len(o.by) == 1 && o.by[0].Property == "receivedAt" }

// newestFirst is the order of receipt, the newest first.
func newestFirst(a, b *candidate) int {
	return cmp.Or(cmp.Compare(b.received, a.received), cmp.Compare(b.id, a.id))
}

// sort puts candidates in order. Emails that are equal keep the order of their
// ids, in the direction of the last comparator.
func (o *order) sort(s *run, list []*candidate) error {
	if o.needIndex {
		if err := s.load(list); err != nil {
			return err
		}
		for _, c := range list {
			e := c.index.Envelope()
			c.keys = sortKeys{from: firstName(e.From), to: firstName(e.To),
				subject: search.Fold(mime.BaseSubject(message.Text(e.Subject))), sent: e.Sent.Unix()}
		}
	}
	slices.SortFunc(list, func(a, b *candidate) int {
		n := 0
		for i, c := range o.by {
			if n = o.compare(i, a, b); n != 0 {
				if !c.Ascending {
					n = -n
				}
				return n
			}
		}
		n = cmp.Compare(a.id, b.id)
		if !o.by[len(o.by)-1].Ascending {
			n = -n
		}
		return n
	})
	return nil
}

func (o *order) compare(i int, a, b *candidate) int {
	switch o.by[i].Property {
	case "receivedAt":
		return cmp.Compare(a.received, b.received)
	case "size":
		return cmp.Compare(a.size, b.size)
	case "from":
		return cmp.Compare(a.keys.from, b.keys.from)
	case "to":
		return cmp.Compare(a.keys.to, b.keys.to)
	case "subject":
		return cmp.Compare(a.keys.subject, b.keys.subject)
	case "sentAt":
		return cmp.Compare(a.keys.sent, b.keys.sent)
	}
	return cmp.Compare(o.keyword(i, a), o.keyword(i, b))
}

// keyword gives 1 where a keyword comparator holds, else 0.
func (o *order) keyword(i int, c *candidate) int {
	holds := false
	switch o.by[i].Property {
	case "hasKeyword":
		holds = o.has[i](c.flags, c.keywords)
	case "allInThreadHaveKeyword":
		_, without := c.inThread(o.has[i])
		holds = without == 0
	case "someInThreadHaveKeyword":
		with, _ := c.inThread(o.has[i])
		holds = with > 0
	}
	if holds {
		return 1
	}
	return 0
}

// firstName gives name or address of the first of a list, folded.
func firstName(list []addr.Address) string {
	for a := range addr.Singles(list) {
		e := message.AddressOf(a)
		if e.Name != nil && *e.Name != "" {
			return search.Fold(*e.Name)
		}
		return search.Fold(e.Email)
	}
	return ""
}
