package imap

import "strings"

// FetchKind is the kind of one FETCH item.
type FetchKind uint8

// The FETCH items.
const (
	FetchUID FetchKind = iota
	FetchFlags
	FetchInternalDate
	FetchSize
	FetchEnvelope
	FetchBody          // BODY: the structure without extension data
	FetchBodyStructure // BODYSTRUCTURE
	FetchSection       // BODY[...]: Section
	FetchBinary        // BINARY[...]: Section.Part
	FetchBinarySize    // BINARY.SIZE[...]: Section.Part
	FetchRFC822        // the three of RFC 3501, answered under their own names
	FetchRFC822Header
	FetchRFC822Text
	FetchModSeq   // RFC 7162
	FetchEmailID  // RFC 8474
	FetchThreadID // RFC 8474
)

// FetchItem is one item.
type FetchItem struct {
	Kind    FetchKind
	Peek    bool // does not set \Seen
	Section Section
	Partial *Partial
}

// SectionText is the named end of a section.
type SectionText uint8

// The ends of a section. SectionAll is the part (or message) itself.
const (
	SectionAll SectionText = iota
	SectionHeader
	SectionHeaderFields
	SectionHeaderFieldsNot
	SectionBodyText
	SectionMIME
)

// Section is what stands between the brackets.
type Section struct {
	Part   []int // empty: the message itself
	Text   SectionText
	Fields []string // names as given
}

// Partial is <Offset.Length>.
type Partial struct{ Offset, Length uint64 }

// Fetch is FETCH or UID FETCH.
type Fetch struct {
	UID          bool
	Set          NumSet
	Items        []FetchItem
	ChangedSince *uint64 // RFC 7162 section 3.1.4.1
	Vanished     bool    // RFC 7162 section 3.2.6
}

var fetchAtoms = map[string]FetchKind{
	"UID": FetchUID, "FLAGS": FetchFlags, "INTERNALDATE": FetchInternalDate, "RFC822.SIZE": FetchSize,
	"ENVELOPE": FetchEnvelope, "BODYSTRUCTURE": FetchBodyStructure, "RFC822": FetchRFC822,
	"RFC822.HEADER": FetchRFC822Header, "RFC822.TEXT": FetchRFC822Text, "MODSEQ": FetchModSeq,
	"EMAILID": FetchEmailID, "THREADID": FetchThreadID,
}

func macroItems(name string) []FetchItem {
	kinds := []FetchKind{FetchFlags, FetchInternalDate, FetchSize}
	switch name {
	case "FAST":
	case "ALL":
		kinds = append(kinds, FetchEnvelope)
	case "FULL":
		kinds = append(kinds, FetchEnvelope, FetchBody)
	default:
		return nil
	}
	items := make([]FetchItem, len(kinds))
	for i, k := range kinds {
		items[i].Kind = k
	}
	return items
}

func parseFetch(p *Parser, uid bool) (any, error) {
	f := &Fetch{UID: uid}
	var err error
	if err = p.SP(); err != nil {
		return nil, err
	}
	if f.Set, err = p.NumSet(); err != nil {
		return nil, err
	}
	if err = p.SP(); err != nil {
		return nil, err
	}
	item := func() error {
		if len(f.Items) >= MaxFetchItems {
			return p.fail("too many FETCH items")
		}
		it, err := p.fetchItem()
		f.Items = append(f.Items, it)
		return err
	}
	if p.peek() == '(' {
		if err = p.list(item); err == nil && len(f.Items) == 0 {
			err = p.fail("FETCH item expected")
		}
	} else {
		start := p.pos
		name, _ := p.Atom()
		if f.Items = macroItems(strings.ToUpper(name)); f.Items == nil {
			p.pos = start
			err = item()
		}
	}
	if err != nil {
		return nil, err
	}
	if !p.AtEnd() {
		if err = p.SP(); err != nil {
			return nil, err
		}
		if err = p.list(func() error { return p.fetchModifier(f) }); err != nil {
			return nil, err
		}
	}
	if f.Vanished && (!uid || f.ChangedSince == nil) {
		return nil, p.fail("VANISHED needs UID FETCH and CHANGEDSINCE") // RFC 7162 section 3.2.6
	}
	return f, p.End()
}

func (p *Parser) fetchModifier(f *Fetch) error {
	switch {
	case p.word("CHANGEDSINCE"):
		if err := p.SP(); err != nil {
			return err
		}
		// Zero is not in the grammar, but clients send it; it means "everything".
		n, err := p.Number64()
		f.ChangedSince = &n
		return err
	case p.word("VANISHED"):
		f.Vanished = true
		return nil
	}
	return p.fail("unknown FETCH modifier")
}

func (p *Parser) fetchItem() (FetchItem, error) {
	name := strings.ToUpper(p.span(func(c byte) bool { return isAtomChar(c) && c != '[' && c != '<' }))
	var it FetchItem
	if p.peek() != '[' {
		if name == "BODY" {
			it.Kind = FetchBody
			return it, nil
		}
		k, ok := fetchAtoms[name]
		if !ok {
			return it, p.fail("unknown FETCH item")
		}
		it.Kind = k
		it.Peek = k == FetchRFC822Header
		return it, nil
	}
	switch name {
	case "BODY", "BODY.PEEK":
		it.Kind, it.Peek = FetchSection, name == "BODY.PEEK"
	case "BINARY", "BINARY.PEEK":
		it.Kind, it.Peek = FetchBinary, name == "BINARY.PEEK"
	case "BINARY.SIZE":
		it.Kind, it.Peek = FetchBinarySize, true
	default:
		return it, p.fail("unknown FETCH item")
	}
	if err := p.section(&it.Section, it.Kind == FetchSection); err != nil {
		return it, err
	}
	if p.peek() != '<' || it.Kind == FetchBinarySize {
		return it, nil
	}
	p.pos++
	var part Partial
	var err error
	if part.Offset, err = p.Number64(); err != nil {
		return it, err
	}
	if err = p.expect('.'); err != nil {
		return it, err
	}
	if part.Length, err = p.Number64(); err != nil {
		return it, err
	}
	it.Partial = &part
	return it, p.expect('>')
}

// section reads "[" ... "]"; text says whether named ends are allowed.
func (p *Parser) section(s *Section, text bool) error {
	p.pos++ // "["
	for c := p.peek(); c >= '1' && c <= '9'; c = p.peek() {
		n, err := p.NzNumber()
		if err != nil {
			return err
		}
		if len(s.Part) >= MaxPartDepth || n > 1<<30 {
			return p.fail("section is too deep")
		}
		s.Part = append(s.Part, int(n))
		if !p.take('.') {
			return p.expect(']')
		}
		if p.peek() == ']' {
			return p.fail("section part expected")
		}
	}
	if p.take(']') {
		return nil
	}
	if !text {
		return p.fail("section part expected")
	}
	switch {
	case p.word("HEADER.FIELDS.NOT"):
		s.Text = SectionHeaderFieldsNot
	case p.word("HEADER.FIELDS"):
		s.Text = SectionHeaderFields
	case p.word("HEADER"):
		s.Text = SectionHeader
	case p.word("TEXT"):
		s.Text = SectionBodyText
	case p.word("MIME") && len(s.Part) > 0:
		s.Text = SectionMIME
	default:
		return p.fail("unknown section")
	}
	if s.Text == SectionHeaderFields || s.Text == SectionHeaderFieldsNot {
		if err := p.headerList(s); err != nil {
			return err
		}
	}
	return p.expect(']')
}

func (p *Parser) headerList(s *Section) error {
	if err := p.SP(); err != nil {
		return err
	}
	err := p.list(func() error {
		if len(s.Fields) >= MaxHeaderNames {
			return p.fail("too many field names")
		}
		f, err := p.AString()
		if err == nil && !validFieldName(f) {
			err = p.fail("field name expected")
		}
		s.Fields = append(s.Fields, f)
		return err
	})
	if err == nil && len(s.Fields) == 0 {
		err = p.fail("field name expected")
	}
	return err
}

// validFieldName is ftext of RFC 5322 section 3.6.8; since the name is echoed
// to the client, nothing else may pass.
func validFieldName(f string) bool {
	for i := 0; i < len(f); i++ {
		if f[i] <= 0x20 || f[i] >= 0x7f || f[i] == ':' {
			return false
		}
	}
	return f != ""
}
