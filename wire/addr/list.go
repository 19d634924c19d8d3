package addr

import (
	"iter"
	"strings"
)

// Bounds of ParseList. A list beyond them is cut, never refused.
const (
	DefaultMaxAddresses = 2000
	maxListBytes        = 512 << 10
	maxNameBytes        = 4 << 10
	maxPartBytes        = 1 << 10 // of a local part or a domain in a header field
)

// Kind says what an entry of an address list is.
type Kind uint8

// The kinds of entries. A group is a GroupStart, its members, a GroupEnd: the
// shape of ENVELOPE in RFC 9051 section 7.5.2.
const (
	Single Kind = iota
	GroupStart
	GroupEnd
)

// Address is an entry of an address list in a header field. Its strings are the
// octets of the field, unquoted and unfolded but not decoded: they may hold RFC
// 2047 words, UTF-8 or neither.
type Address struct {
	Kind   Kind
	Name   string // display name, or the name of a GroupStart; "" when absent
	Local  string // local part without quotes; for a bad address what stood there
	Domain string // as given; "" for a bad address
}

// Mailbox gives the address as a checked mailbox.
func (a Address) Mailbox() (Mailbox, error) {
	if a.Kind != Single {
		return Mailbox{}, invalid("this is a group and not an address")
	}
	m, err := ParseMailbox(QuoteLocal(a.Local) + "@" + a.Domain)
	if err == nil && m.Local != a.Local {
		// Quoting replaced a control character: it would be another mailbox.
		return Mailbox{}, invalid("the local part has a character that is not allowed")
	}
	return m, err
}

// Spec gives local@domain, quoted where needed, without checking it; "" for a
// group's ends.
func (a Address) Spec() string {
	if a.Kind != Single || (a.Local == "" && a.Domain == "") {
		return ""
	}
	if a.Domain == "" {
		return QuoteLocal(a.Local)
	}
	return QuoteLocal(a.Local) + "@" + a.Domain
}

// Singles ranges over the addresses of a list, those in groups included.
func Singles(list []Address) iter.Seq[Address] {
	return func(yield func(Address) bool) {
		for _, a := range list {
			if a.Kind == Single && !yield(a) {
				return
			}
		}
	}
}

// ParseList reads the address list of a header field (RFC 5322 section 3.4 with
// the obsolete forms of section 4.4, and what daily mail does beyond them). It
// appends to dst at most max entries (DefaultMaxAddresses if max <= 0), and the
// end of a group left open, and never fails: what cannot be read as an address becomes an entry with only a Local,
// so that nothing which stood in the field is hidden. Work is linear in value.
func ParseList(dst []Address, value string, max int) []Address {
	if max <= 0 {
		max = DefaultMaxAddresses
	}
	if len(value) > maxListBytes {
		value = value[:maxListBytes]
	}
	p := listParser{s: value, out: dst, limit: len(dst) + max}
	p.run()
	return p.out
}

// listParser gathers the pieces of one entry until a separator ends it.
type listParser struct {
	s     string
	i     int
	out   []Address
	limit int

	words   text   // phrase, or the address itself where there are no brackets
	comment string // the first comment, which older mail uses as the name
	local   string // of the bracketed address
	domain  string
	angle   bool
	inGroup bool
}

func (p *listParser) run() {
	p.reset()
	for p.i < len(p.s) && len(p.out) < p.limit {
		switch c := p.s[p.i]; c {
		case ' ', '\t', '\r', '\n', 0:
			p.i++
			p.words.space()
		case '(':
			if t := p.skipComment(); p.comment == "" {
				p.comment = t
			}
			p.words.space()
		case '"':
			p.words.quoted(p.scanQuoted())
		case '<':
			p.scanAngle()
		case ',', ';':
			p.i++
			p.flush()
			if c == ';' && p.inGroup {
				p.inGroup = false
				p.out = append(p.out, Address{Kind: GroupEnd})
			}
		case ':':
			p.i++
			p.colon()
		default:
			p.word()
		}
	}
	if len(p.out) < p.limit {
		p.flush()
	}
	if p.inGroup {
		p.out = append(p.out, Address{Kind: GroupEnd})
	}
}

// colon starts a group, unless it belongs to an address such as
// "mailto:a@b.example" or the words before it are none.
func (p *listParser) colon() {
	if p.inGroup || p.angle || p.words.at >= 0 {
		p.words.add(":")
		return
	}
	name := strings.TrimSpace(p.words.String())
	p.reset()
	if strings.EqualFold(name, "mailto") {
		return
	}
	p.inGroup = true
	p.out = append(p.out, Address{Kind: GroupStart, Name: cut(name, maxNameBytes)})
}

// word takes the run of octets that have no meaning for the list.
func (p *listParser) word() {
	start := p.i
	for p.i < len(p.s) {
		switch p.s[p.i] {
		case ' ', '\t', '\r', '\n', 0, '(', '"', '<', ',', ';', ':':
			p.words.add(p.s[start:p.i])
			return
		case '[':
			// A domain literal may hold colons, but no line end.
			if j := strings.IndexAny(p.s[p.i:min(len(p.s), p.i+64)], "],\r\n\x00"); j > 0 && p.s[p.i+j] == ']' {
				p.i += j
			}
		}
		p.i++
	}
	p.words.add(p.s[start:p.i])
}

// skipComment steps over a comment, nested ones included (RFC 5322 section
// 3.2.2), and gives its text. Nesting is counted, not recursed into: a field of
// half a million "(" must cost no stack.
func (p *listParser) skipComment() string {
	start, depth := p.i+1, 0
	for ; p.i < len(p.s); p.i++ {
		switch p.s[p.i] {
		case '\\':
			p.i++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				t := p.s[start:p.i]
				p.i++
				return unescape(t)
			}
		}
	}
	p.i = len(p.s)
	return unescape(p.s[min(start, len(p.s)):])
}

// scanQuoted steps over a quoted-string and gives its value. One without an end
// reaches to the end of the field.
func (p *listParser) scanQuoted() string {
	start := p.i + 1
	for p.i++; p.i < len(p.s); p.i++ {
		switch p.s[p.i] {
		case '\\':
			p.i++
		case '"':
			t := p.s[start:p.i]
			p.i++
			return unescape(t)
		}
	}
	p.i = len(p.s)
	return unescape(p.s[min(start, len(p.s)):])
}

// scanAngle reads "<...>": an optional route, local part, "@", domain.
func (p *listParser) scanAngle() {
	p.i++
	var t text
	t.clear()
loop:
	for p.i < len(p.s) {
		switch c := p.s[p.i]; c {
		case '>':
			p.i++
			break loop
		case ',', ';', '<':
			// A comma within brackets is a route ("<@a,@b:c@d>") or a missing
			// bracket; only a route goes on.
			if c == ',' && t.first() == '@' {
				t.add(",")
				p.i++
				continue
			}
			break loop
		case ' ', '\t', '\r', '\n', 0:
			p.i++
			t.space()
		case '(':
			p.skipComment()
		case '"':
			t.quoted(p.scanQuoted())
		case ':':
			p.i++
			if t.first() == '@' || (t.n == 1 && strings.EqualFold(t.one, "mailto")) {
				t.clear()
				continue
			}
			t.add(":")
		default:
			start := p.i
			for p.i < len(p.s) && strings.IndexByte("><,; \t\r\n\x00(\":", p.s[p.i]) < 0 {
				p.i++
			}
			t.add(p.s[start:p.i])
		}
	}
	if p.angle {
		return // a second address in one entry: the first one counts
	}
	p.angle = true
	p.local, p.domain = t.split()
}

func (p *listParser) flush() {
	switch {
	case p.angle:
		name := strings.TrimSpace(p.words.String())
		if name == "" {
			name = p.comment
		}
		if p.local != "" || p.domain != "" || name != "" {
			p.out = append(p.out, Address{Name: cut(name, maxNameBytes), Local: p.local, Domain: p.domain})
		}
	case p.words.any:
		l, d := p.words.split()
		p.out = append(p.out, Address{Name: cut(p.comment, maxNameBytes), Local: l, Domain: d})
	}
	p.reset()
}

func (p *listParser) reset() {
	p.words.clear()
	p.comment, p.local, p.domain, p.angle = "", "", "", false
}
