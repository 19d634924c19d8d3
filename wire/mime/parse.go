package mime

import (
	"bytes"

	"github.com/mohar-mail/mohar/wire/addr"
)

// Parse reads a message. It never fails: whatever content holds, the outcome is
// a tree over all of its octets, and Index.Defects says what was wrong. The work
// is linear in len(content). content is not copied and not changed.
func Parse(content []byte) *Message {
	m := &Message{Content: content}
	m.Size = int64(len(content))
	m.Root = &Part{}
	p := parser{c: content, m: m, headerLeft: MaxHeaderBytes, count: 1}
	p.skipMboxFrom()
	p.part(m.Root, context{message: true}, 0)
	m.finish()
	return m
}

// parser walks the content once. Recursion is bounded by MaxDepth.
type parser struct {
	c   []byte
	pos int // always the start of a line
	m   *Message

	stack      []string       // boundaries of the open multiparts
	active     map[string]int // boundary to its innermost place in stack
	count      int            // parts made
	headerLeft int            // of MaxHeaderBytes

	countedTo int // line ends before this offset are in counted
	counted   int64
}

// context is what a part inherits from where it stands.
type context struct {
	message bool // its header is that of a message and has an envelope
	digest  bool // RFC 2046 section 5.1.5: the default type is message/rfc822
}

// delim is a delimiter line that ended a body, or the end of the content.
type delim struct {
	level   int // index in stack, -1 for the end of the content
	close   bool
	bodyEnd int // without the line end that belongs to the delimiter
}

func (p *parser) defect(d Defect) { p.m.Defects |= d }

func (p *parser) skipMboxFrom() {
	if bytes.HasPrefix(p.c, []byte("From ")) || bytes.HasPrefix(p.c, []byte(">From ")) {
		p.defect(DefectMboxFrom)
		if i := bytes.IndexByte(p.c, '\n'); i >= 0 {
			p.pos = i + 1
		} else {
			p.pos = len(p.c)
		}
	}
}

// part reads the part that starts at p.pos, and gives the delimiter that ended
// it, which may be that of any multipart around it.
func (p *parser) part(t *Part, ctx context, depth int) delim {
	p.header(t, ctx)
	linesBefore := p.linesTo(int(t.BodyStart))
	composite := t.Type == "multipart" || isMessageType(t)
	if composite && depth >= MaxDepth {
		p.defect(DefectDepth)
		t.opaque()
		composite = false
	}
	if composite && t.Encoding != "7bit" && t.Encoding != "8bit" && t.Encoding != "binary" {
		// RFC 2045 section 6.4 forbids it for composite types. A multipart is
		// read as it stands; a message that is encoded is a file and no tree.
		p.defect(DefectEncoding)
		if t.Type == "message" {
			composite = false
		}
	}
	var d delim
	switch {
	case composite && t.Type == "multipart":
		d = p.multipart(t, depth)
	case composite && p.count < MaxParts:
		p.count++
		nested := &Part{}
		t.Children = []*Part{nested}
		d = p.part(nested, context{message: true}, depth+1)
	default:
		d = p.scan()
	}
	t.BodyEnd = max(int64(d.bodyEnd), t.BodyStart)
	if n := len(t.Children); n > 0 {
		// The line end before a delimiter that ends an empty child and this part
		// at once belongs to the delimiter, but stands before the child.
		t.BodyEnd = max(t.BodyEnd, t.Children[n-1].BodyEnd)
	}
	t.Lines = p.linesTo(int(t.BodyEnd)) - linesBefore
	t.DecodedSize = t.Size()
	if len(t.Children) == 0 {
		t.DecodedSize = decodedSize(t.Encoding, p.c[t.BodyStart:t.BodyEnd])
	}
	return d
}

func isMessageType(t *Part) bool {
	return t.Type == "message" && (t.Subtype == "rfc822" || t.Subtype == "global")
}

// opaque makes a leaf of a part that will not be read.
func (t *Part) opaque() {
	t.Type, t.Subtype, t.Params = "application", "octet-stream", nil
}

// plain makes a leaf of a multipart that has no parts: RFC 2045 section 5.2 has
// text/plain for what cannot be understood, and so its text stays in sight.
func (t *Part) plain() {
	t.Type, t.Subtype, t.Params = "text", "plain", nil
}

func (p *parser) multipart(t *Part, depth int) delim {
	boundary := boundaryOf(t)
	if boundary == "" {
		p.defect(DefectNoBoundary)
		t.plain()
		return p.scan()
	}
	if len(boundary) > 70 {
		p.defect(DefectLongBoundary)
	}
	level := p.push(boundary)
	ctx := context{digest: t.Subtype == "digest"}
	d := p.scan()
	for d.level == level && !d.close {
		if p.count >= MaxParts {
			d = p.rest(t)
			break
		}
		p.count++
		child := &Part{}
		t.Children = append(t.Children, child)
		d = p.part(child, ctx, depth+1)
	}
	p.pop()
	if len(t.Children) == 0 {
		p.defect(DefectEmptyMulti)
		t.plain()
	}
	if d.level == level {
		return p.scan() // the epilogue
	}
	p.defect(DefectUnclosed)
	return d
}

// rest makes one last, unread part of what is left of the content.
func (p *parser) rest(t *Part) delim {
	p.defect(DefectParts)
	child := &Part{HeaderStart: int64(p.pos), BodyStart: int64(p.pos), BodyEnd: int64(len(p.c)), Encoding: "binary"}
	child.opaque()
	child.DecodedSize = child.Size()
	before := p.linesTo(p.pos)
	child.Lines = p.linesTo(len(p.c)) - before
	t.Children = append(t.Children, child)
	p.pos = len(p.c)
	return delim{level: -1, bodyEnd: len(p.c)}
}

func boundaryOf(t *Part) string {
	b := t.Param("boundary")
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1] // RFC 2046 section 5.1.1: it cannot end in white space
	}
	if len(b) > maxBoundary {
		return ""
	}
	return b
}

func (p *parser) push(boundary string) int {
	if p.active == nil {
		p.active = map[string]int{}
	}
	p.stack = append(p.stack, boundary)
	p.active[boundary] = len(p.stack) - 1
	return len(p.stack) - 1
}

func (p *parser) pop() {
	b := p.stack[len(p.stack)-1]
	p.stack = p.stack[:len(p.stack)-1]
	delete(p.active, b)
	for i, outer := range p.stack {
		if outer == b {
			p.active[b] = i
		}
	}
}

// scan steps over a body from p.pos to behind the next delimiter line of any
// open multipart, or to the end. One look into a table decides each line that
// starts with two hyphens, however many multiparts are open: to compare with
// every open boundary would let depth multiply the work.
func (p *parser) scan() delim {
	if len(p.stack) > 0 {
		for at := p.pos; ; {
			if line, next := lineAt(p.c, at); len(line) >= 2 && line[0] == '-' && line[1] == '-' {
				if d, ok := p.match(line); ok {
					d.bodyEnd = trimLineEnd(p.c, at)
					p.pos = next
					return d
				}
			}
			i := bytes.Index(p.c[at:], []byte("\n--"))
			if i < 0 {
				break
			}
			at += i + 1
		}
	}
	p.pos = len(p.c)
	return delim{level: -1, bodyEnd: len(p.c)}
}

// lineAt gives the line at an offset if it starts with a hyphen, and where the
// next one starts.
func lineAt(c []byte, at int) (line []byte, next int) {
	if at >= len(c) || c[at] != '-' {
		return nil, at
	}
	i := bytes.IndexByte(c[at:], '\n')
	if i < 0 {
		return c[at:], len(c)
	}
	return c[at : at+i], at + i + 1
}

// match reads a delimiter line (RFC 2046 section 5.1.1): "--", the boundary,
// "--" if it closes, white space. The whole line counts, for one boundary may
// be the beginning of another.
func (p *parser) match(line []byte) (delim, bool) {
	b := bytes.TrimRight(line[2:], " \t\r")
	if len(b) > maxBoundary+2 {
		return delim{}, false
	}
	if l, ok := p.active[string(b)]; ok {
		return delim{level: l}, true
	}
	if n := len(b) - 2; n >= 0 && b[n] == '-' && b[n+1] == '-' {
		if l, ok := p.active[string(b[:n])]; ok {
			return delim{level: l, close: true}, true
		}
	}
	return delim{}, false
}

// trimLineEnd gives the offset before the line end that precedes at.
func trimLineEnd(c []byte, at int) int {
	if at > 0 && c[at-1] == '\n' {
		at--
		if at > 0 && c[at-1] == '\r' {
			at--
		}
	}
	return at
}

// linesTo gives the number of line ends before pos. Calls come in rising order,
// but for the one line end before a delimiter.
func (p *parser) linesTo(pos int) int64 {
	if pos >= p.countedTo {
		p.counted += int64(bytes.Count(p.c[p.countedTo:pos], []byte("\n")))
	} else {
		p.counted -= int64(bytes.Count(p.c[pos:p.countedTo], []byte("\n")))
	}
	p.countedTo = pos
	return p.counted
}

// header reads the header at p.pos and leaves p.pos at the body.
func (p *parser) header(t *Part, ctx context) {
	t.HeaderStart = int64(p.pos)
	t.Type, t.Subtype, t.Encoding = "text", "plain", "7bit"
	if ctx.digest {
		t.Type, t.Subtype = "message", "rfc822"
	}
	f := fieldReader{p: p, t: t}
	if ctx.message {
		t.Envelope = &Envelope{}
	}
	sc := fieldScanner{b: p.c[p.pos:]}
	fields := 0
	sc.stop = func(line []byte) bool {
		if len(p.stack) > 0 && line[0] == '-' && len(line) > 2 && line[1] == '-' {
			if _, ok := p.match(line); ok {
				return true
			}
		}
		// Text where the header should start: the blank line is missing. But
		// one line of rubbish before true fields is only that.
		return fields == 0 && !isField(line) && !nextIsField(sc.b[sc.pos:])
	}
	for sc.next() {
		fields++
		p.headerLeft -= sc.pos - sc.start
		switch {
		case p.headerLeft < 0 || fields > MaxHeaderFields:
			p.defect(DefectHeaderSize)
		case sc.name == nil:
			p.defect(DefectGarbageField)
		default:
			f.field(sc.name, sc.value)
		}
	}
	if sc.end != endBlank && (sc.end == endStop || fields > 0) {
		p.defect(DefectNoBlankLine)
	}
	if sc.bareLF {
		p.defect(DefectBareLF)
	}
	p.pos += sc.pos
	t.BodyStart = int64(p.pos)
	p.octets(p.c[t.HeaderStart:t.BodyStart])
}

// octets looks for NUL and 8-bit in a header.
func (p *parser) octets(h []byte) {
	if bytes.IndexByte(h, 0) >= 0 {
		p.defect(DefectNUL)
	}
	if p.m.Flags&Is8Bit == 0 && !isASCIIBytes(h) {
		p.m.Flags |= Is8Bit
	}
}

func isField(line []byte) bool {
	i := bytes.IndexByte(line, ':')
	return i > 0 && fieldName(line[:i]) != nil
}

func nextIsField(rest []byte) bool {
	if i := bytes.IndexByte(rest[:min(len(rest), 1000)], '\n'); i >= 0 {
		rest = rest[:i]
	} else {
		rest = rest[:min(len(rest), 1000)]
	}
	return isField(rest)
}

// addresses appends the entries of an address field.
func (p *parser) addresses(dst []addr.Address, v []byte) []addr.Address {
	if len(dst) >= MaxAddresses {
		p.defect(DefectTooManyValues)
		return dst
	}
	dst = addr.ParseList(dst, string(v), MaxAddresses-len(dst))
	if len(dst) >= MaxAddresses {
		p.defect(DefectTooManyValues)
	}
	return dst
}
