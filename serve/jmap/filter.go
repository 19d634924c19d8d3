package jmap

import (
	"slices"
	"strings"

	"github.com/mohar-mail/mohar/mailbox"
	"github.com/mohar-mail/mohar/serve/jmap/message"
	"github.com/mohar-mail/mohar/serve/jmap/search"
	"github.com/mohar-mail/mohar/wire/addr"
	wire "github.com/mohar-mail/mohar/wire/jmap"
	"github.com/mohar-mail/mohar/wire/mime"
)

// tier says how much must be read about an email before a condition can be
// judged. A filter is judged on the cheapest tier first, and only the emails
// that it leaves open go on to the next.
type tier uint8

const (
	tierEntry   tier = iota // the entry in its mailbox
	tierIndex               // the email's row
	tierContent             // its octets
)

// truth is a judgement that may still be open.
type truth uint8

const (
	no truth = iota
	unknown
	yes
)

func truthOf(b bool) truth {
	if b {
		return yes
	}
	return no
}

// node is a compiled filter.
type node struct {
	operator string // "" for a condition
	children []*node
	tier     tier
	// test judges at the tier given, which is at least the condition's own.
	test func(c *candidate, t tier) truth
}

// judge judges one email.
func (n *node) judge(c *candidate, t tier) truth {
	if n == nil {
		return yes
	}
	if n.operator == "" {
		if t < n.tier {
			return unknown
		}
		return n.test(c, t)
	}
	some, all := no, yes // of the children: the greatest and the least
	for _, child := range n.children {
		v := child.judge(c, t)
		some, all = max(some, v), min(all, v)
	}
	switch n.operator {
	case "OR":
		return some
	case "NOT":
		return yes - some
	}
	return all
}

// plan is a compiled filter and what it needs to be judged.
type plan struct {
	root    *node
	box     mailbox.ID // every match lies in it; 0: anywhere
	onlyBox bool       // the filter says nothing else
	nowhere bool       // nothing matches: the mailbox named cannot exist
	threads bool       // needs what all emails of a thread have
	places  bool       // needs all mailboxes of an email
	partial bool       // may not have looked at every content
	text    []string   // terms of text, subject and body conditions, for snippets
}

// compile reads the filter of Email/query.
func compile(f *wire.Filter) (*plan, error) {
	p := &plan{}
	if f == nil {
		return p, nil
	}
	var err error
	if p.root, err = p.compile(f, true); err != nil {
		return nil, err
	}
	p.onlyBox = p.box != 0 && p.root.operator == "AND" && len(p.root.children) == 1 && f.Operator == ""
	return p, nil
}

// compile compiles one filter; must says that every match of the whole filter
// matches it.
func (p *plan) compile(f *wire.Filter, must bool) (*node, error) {
	if f.Operator == "" {
		return p.condition(f, must)
	}
	n := &node{operator: f.Operator}
	for _, c := range f.Conditions {
		child, err := p.compile(c, must && f.Operator == "AND")
		if err != nil {
			return nil, err
		}
		n.children = append(n.children, child)
	}
	return n, nil
}

// condition compiles a FilterCondition (RFC 8621 section 4.4.1): all of its
// properties must hold.
func (p *plan) condition(f *wire.Filter, must bool) (*node, error) {
	a, err := wire.NewArgs(f.Condition)
	if err != nil {
		return nil, err
	}
	n := &node{operator: "AND"}
	on := func(t tier, test func(*candidate, tier) truth) {
		n.children = append(n.children, &node{tier: t, test: test})
	}
	entry := func(test func(*candidate) bool) {
		on(tierEntry, func(c *candidate, _ tier) truth { return truthOf(test(c)) })
	}
	p.placeConditions(a, must, entry)
	entryConditions(a, entry)
	p.threadConditions(a, entry)
	if b := a.OptBool("hasAttachment"); b != nil {
		want := *b
		on(tierIndex, func(c *candidate, _ tier) truth {
			return truthOf((c.index.Flags&mime.HasAttachment != 0) == want)
		})
	}
	p.textConditions(a, on)
	if err := filterError(a); err != nil {
		return nil, err
	}
	return n, nil
}

func (p *plan) placeConditions(a *wire.Args, must bool, entry func(func(*candidate) bool)) {
	if id := a.OptID("inMailbox"); id != "" {
		box, err := mailbox.ParseID(string(id))
		if must {
			p.nowhere = p.nowhere || err != nil
			if p.box == 0 {
				p.box = box
			} else if p.box != box {
				p.places = true
			}
		} else {
			p.places = true
		}
		entry(func(c *candidate) bool { return err == nil && slices.Contains(c.boxes, box) })
	}
	if ids, ok := a.IDs("inMailboxOtherThan"); ok {
		p.places = true
		entry(func(c *candidate) bool {
			return slices.ContainsFunc(c.boxes, func(b mailbox.ID) bool { return !slices.Contains(ids, wire.ID(b.String())) })
		})
	}
}

func entryConditions(a *wire.Args, entry func(func(*candidate) bool)) {
	if t := a.UTCDate("before"); !t.IsZero() {
		entry(func(c *candidate) bool { return c.received < t.Unix() })
	}
	if t := a.UTCDate("after"); !t.IsZero() {
		entry(func(c *candidate) bool { return c.received >= t.Unix() })
	}
	if n := a.OptUint("minSize"); n != nil {
		entry(func(c *candidate) bool { return uint64(c.size) >= *n })
	}
	if n := a.OptUint("maxSize"); n != nil {
		entry(func(c *candidate) bool { return uint64(c.size) < *n })
	}
	if k := a.OptString("hasKeyword"); k != nil {
		has := keywordTest(*k)
		entry(func(c *candidate) bool { return has(c.flags, c.keywords) })
	}
	if k := a.OptString("notKeyword"); k != nil {
		has := keywordTest(*k)
		entry(func(c *candidate) bool { return !has(c.flags, c.keywords) })
	}
}

// keywordTest looks for one keyword among flags and keywords.
func keywordTest(k string) func(mailbox.Flags, []string) bool {
	flags, rest := splitKeywords([]string{k})
	if flags != 0 {
		return func(f mailbox.Flags, _ []string) bool { return f&flags != 0 }
	}
	return func(_ mailbox.Flags, words []string) bool {
		_, ok := slices.BinarySearch(words, rest[0])
		return ok
	}
}

func (p *plan) threadConditions(a *wire.Args, entry func(func(*candidate) bool)) {
	for _, name := range []string{"allInThreadHaveKeyword", "someInThreadHaveKeyword", "noneInThreadHaveKeyword"} {
		k := a.OptString(name)
		if k == nil {
			continue
		}
		p.threads = true
		has := keywordTest(*k)
		entry(func(c *candidate) bool {
			with, without := c.inThread(has)
			switch name {
			case "allInThreadHaveKeyword":
				return without == 0
			case "someInThreadHaveKeyword":
				return with > 0
			}
			return with == 0
		})
	}
}

func (p *plan) textConditions(a *wire.Args, on func(tier, func(*candidate, tier) truth)) {
	for _, name := range []string{"from", "to", "cc", "bcc"} {
		if s := a.OptString(name); s != nil {
			words := search.Terms(*s)
			on(tierIndex, func(c *candidate, _ tier) truth {
				return truthOf(search.HasAll(search.Fold(addressText(message.AddressesOf(c.index.Envelope(), name))), words))
			})
		}
	}
	if s := a.OptString("subject"); s != nil {
		words := search.Terms(*s)
		p.text = append(p.text, words...)
		on(tierIndex, func(c *candidate, _ tier) truth {
			return truthOf(search.HasAll(search.Fold(message.Text(c.index.Envelope().Subject)), words))
		})
	}
	if s := a.OptString("text"); s != nil {
		words := search.Terms(*s)
		p.text, p.partial = append(p.text, words...), true
		on(tierIndex, func(c *candidate, t tier) truth {
			if search.HasAll(c.headText(), words) {
				return yes
			}
			if t < tierContent {
				return unknown
			}
			return truthOf(search.HasAll(c.headText()+"\n"+c.bodyText(), words))
		})
	}
	if s := a.OptString("body"); s != nil {
		words := search.Terms(*s)
		p.text, p.partial = append(p.text, words...), true
		on(tierContent, func(c *candidate, _ tier) truth { return truthOf(search.HasAll(c.bodyText(), words)) })
	}
	if h, ok := a.Strings("header"); ok {
		if len(h) < 1 || len(h) > 2 {
			// Asked for as what it is not, so that the mistake is told.
			_ = a.String("header")
			return
		}
		p.partial = true
		var words []string
		if len(h) == 2 {
			words = search.Terms(h[1])
		}
		on(tierContent, func(c *candidate, _ tier) truth { return truthOf(c.headerMatches(h[0], words)) })
	}
}

// addressText gives the words of an address list.
func addressText(list []addr.Address) string {
	var b strings.Builder
	for _, a := range message.AddressForm(list) {
		if a.Name != nil {
			b.WriteString(*a.Name)
			b.WriteByte(' ')
		}
		b.WriteString(a.Email)
		b.WriteByte('\n')
	}
	return b.String()
}
