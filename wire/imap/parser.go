package imap

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Parser reads one whole command, literals included, from memory. Nothing that
// it gives aliases the input. The first error is final: callers stop there.
type Parser struct {
	b    []byte
	pos  int
	keys int // search keys read so far
	// UTF8 is set once UTF8=ACCEPT or IMAP4rev2 is enabled: mailbox names are
	// then UTF-8, else modified UTF-7 (RFC 6855 section 3, RFC 9051 section A.1).
	UTF8 bool
}

// NewParser reads from b, a command without its final CRLF.
func NewParser(b []byte) *Parser { return &Parser{b: b} }

func (p *Parser) fail(what string) error { return &SyntaxError{What: what, Pos: p.pos} }

// AtEnd says whether the whole command has been read.
func (p *Parser) AtEnd() bool { return p.pos >= len(p.b) }

// End is an error unless the whole command has been read.
func (p *Parser) End() error {
	if !p.AtEnd() {
		return p.fail("end of command expected")
	}
	return nil
}

func (p *Parser) peek() byte {
	if p.pos < len(p.b) {
		return p.b[p.pos]
	}
	return 0
}

// take reads c if it comes next.
func (p *Parser) take(c byte) bool {
	if p.pos < len(p.b) && p.b[p.pos] == c {
		p.pos++
		return true
	}
	return false
}

func (p *Parser) expect(c byte) error {
	if !p.take(c) {
		return p.fail("'" + string(rune(c)) + "' expected")
	}
	return nil
}

// SP reads one space. A run of spaces is accepted as one, since clients exist
// that send two.
func (p *Parser) SP() error {
	if !p.take(' ') {
		return p.fail("space expected")
	}
	for p.peek() == ' ' {
		p.pos++
	}
	return nil
}

// word reads a case-insensitive keyword if it comes next and ends there.
func (p *Parser) word(w string) bool {
	end := p.pos + len(w)
	if end > len(p.b) || !strings.EqualFold(string(p.b[p.pos:end]), w) {
		return false
	}
	if end < len(p.b) && isAtomChar(p.b[end]) {
		return false
	}
	p.pos = end
	return true
}

func isAtomChar(c byte) bool {
	switch c {
	case '(', ')', '{', ' ', '%', '*', '"', '\\', ']':
		return false
	}
	return c > 0x20 && c < 0x7f
}

func isAStringChar(c byte) bool { return isAtomChar(c) || c == ']' }

// IsAtom says whether s is an atom of the grammar.
func IsAtom(s string) bool {
	for i := 0; i < len(s); i++ {
		if !isAtomChar(s[i]) {
			return false
		}
	}
	return s != ""
}

func (p *Parser) span(ok func(byte) bool) string {
	start := p.pos
	for p.pos < len(p.b) && ok(p.b[p.pos]) {
		p.pos++
	}
	return string(p.b[start:p.pos])
}

// Atom reads an atom.
func (p *Parser) Atom() (string, error) {
	if s := p.span(isAtomChar); s != "" {
		return s, nil
	}
	return "", p.fail("atom expected")
}

// Tag reads a command's tag: an astring of plain characters without "+".
func (p *Parser) Tag() (string, error) {
	s := p.span(func(c byte) bool { return isAStringChar(c) && c != '+' })
	if s == "" || len(s) > 64 {
		return "", p.fail("tag expected")
	}
	return s, nil
}

// Quoted reads a quoted string; 8-bit content must be UTF-8.
func (p *Parser) Quoted() (string, error) {
	if err := p.expect('"'); err != nil {
		return "", err
	}
	// The common case has no escape and is one copy.
	start := p.pos
	var out []byte
	for p.pos < len(p.b) {
		switch c := p.b[p.pos]; c {
		case '"':
			if out == nil {
				out = p.b[start:p.pos]
			}
			p.pos++
			if !utf8.Valid(out) {
				return "", p.fail("quoted string is not UTF-8")
			}
			return string(out), nil
		case '\\':
			if out == nil {
				out = append(make([]byte, 0, p.pos-start+16), p.b[start:p.pos]...)
			}
			p.pos++
			if p.pos >= len(p.b) || (p.b[p.pos] != '"' && p.b[p.pos] != '\\') {
				return "", p.fail("bad escape in a quoted string")
			}
			out = append(out, p.b[p.pos])
			p.pos++
		case 0, '\r', '\n':
			return "", p.fail("control character in a quoted string")
		default:
			if out != nil {
				out = append(out, c)
			}
			p.pos++
		}
	}
	return "", p.fail("unfinished quoted string")
}

// Literal reads "{n}" or "{n+}" CRLF and n octets that the reader has put in
// line. NUL is refused (RFC 9051 section 4.3: literal holds no NUL).
func (p *Parser) Literal() (string, error) {
	nl := bytes.IndexByte(p.b[p.pos:], '\n')
	if nl < 0 {
		return "", p.fail("literal expected")
	}
	lit, ok := literalAtEnd(p.b[p.pos : p.pos+nl+1])
	start := p.pos + nl + 1
	if !ok || lit.offset != 0 || lit.Binary || lit.Size > int64(len(p.b)-start) {
		return "", p.fail("literal expected")
	}
	p.pos = start + int(lit.Size)
	s := p.b[start:p.pos]
	if bytes.IndexByte(s, 0) >= 0 {
		return "", p.fail("NUL in a literal")
	}
	return string(s), nil
}

// String reads a quoted string or a literal.
func (p *Parser) String() (string, error) {
	switch p.peek() {
	case '"':
		return p.Quoted()
	case '{':
		return p.Literal()
	}
	return "", p.fail("string expected")
}

// AString reads an atom-like word, a quoted string or a literal.
func (p *Parser) AString() (string, error) {
	if c := p.peek(); c == '"' || c == '{' {
		return p.String()
	}
	if s := p.span(isAStringChar); s != "" {
		return s, nil
	}
	return "", p.fail("string expected")
}

// NString reads a string or NIL; ok is false for NIL.
func (p *Parser) NString() (s string, ok bool, err error) {
	if p.word("NIL") {
		return "", false, nil
	}
	s, err = p.String()
	return s, err == nil, err
}

// Number64 reads a number up to 2^63-1.
func (p *Parser) Number64() (uint64, error) {
	s := p.span(func(c byte) bool { return c >= '0' && c <= '9' })
	if len(s) == 0 || len(s) > 19 {
		return 0, p.fail("number expected")
	}
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil {
		return 0, p.fail("number expected")
	}
	return n, nil
}

// Number reads a number of 32 bits.
func (p *Parser) Number() (uint32, error) {
	n, err := p.Number64()
	if err != nil || n > 1<<32-1 {
		return 0, p.fail("number expected")
	}
	return uint32(n), nil
}

// NzNumber reads a number of 32 bits that is not zero.
func (p *Parser) NzNumber() (uint32, error) {
	n, err := p.Number()
	if err == nil && n == 0 {
		err = p.fail("number above zero expected")
	}
	return n, err
}

// NumSet reads a sequence set.
func (p *Parser) NumSet() (NumSet, error) {
	if p.take('$') {
		return NumSet{Saved: true}, nil
	}
	var n NumSet
	for {
		a, err := p.seqNumber()
		if err != nil {
			return NumSet{}, err
		}
		r := Range{a, a}
		if p.take(':') {
			if r.Stop, err = p.seqNumber(); err != nil {
				return NumSet{}, err
			}
		}
		if len(n.Ranges) >= MaxSetRanges {
			return NumSet{}, p.fail("sequence set is too long")
		}
		n.Ranges = append(n.Ranges, r)
		if !p.take(',') {
			return n, nil
		}
	}
}

func (p *Parser) seqNumber() (uint32, error) {
	if p.take('*') {
		return Star, nil
	}
	return p.NzNumber()
}

// Mailbox reads a mailbox name and gives it decoded and clean (CleanName).
func (p *Parser) Mailbox() (string, error) {
	s, err := p.AString()
	if err != nil {
		return "", err
	}
	if s, err = p.decodeName(s); err != nil {
		return "", err
	}
	return CleanName(s)
}

// decodeName accepts raw UTF-8 also without ENABLE, as many clients send it,
// and reads modified UTF-7 otherwise.
func (p *Parser) decodeName(s string) (string, error) {
	if p.UTF8 {
		if !utf8.ValidString(s) {
			return "", p.fail("mailbox name is not valid UTF-8")
		}
		return s, nil
	}
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			if !utf8.ValidString(s) {
				return "", p.fail("mailbox name is not valid UTF-8")
			}
			return s, nil
		}
	}
	return DecodeUTF7(s)
}

// Flag reads one flag or keyword into f.
func (p *Parser) flag(f *Flags) error {
	name := ""
	if p.take('\\') {
		name = `\`
	}
	a, err := p.Atom()
	if err != nil {
		return p.fail("flag expected")
	}
	name += a
	if len(name) > MaxFlagLength || len(f.Keywords) >= MaxFlags {
		return p.fail("too many or too long flags")
	}
	if !f.add(name) {
		return p.fail("unknown system flag")
	}
	return nil
}

// FlagList reads "(flag flag)".
func (p *Parser) FlagList() (Flags, error) {
	var f Flags
	err := p.list(func() error { return p.flag(&f) })
	return f, err
}

// list reads "(" item *(SP item) ")"; it may be empty.
func (p *Parser) list(item func() error) error {
	if err := p.expect('('); err != nil {
		return err
	}
	if p.take(')') {
		return nil
	}
	for {
		if err := item(); err != nil {
			return err
		}
		if p.take(')') {
			return nil
		}
		if err := p.SP(); err != nil {
			return err
		}
	}
}
