package mime

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"io"
	"strings"
	"time"

	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/wire/addr"
)

// Node is a part of a message to be written.
type Node struct {
	Type        string  // "text/plain"; "text/plain" where empty
	Params      []Param // charset is added to text, boundary to a multipart
	Disposition string  // "attachment", "inline" or ""
	Filename    string
	ID          string // Content-ID with its brackets
	Description string
	Language    string
	Location    string
	// Body of a leaf, not encoded. Text is UTF-8 unless Params say otherwise,
	// with line ends of any kind. That of a message/* part is written as it is.
	Body []byte
	// Children of a multipart.
	Children []*Node
}

// Text makes a text part of that subtype from UTF-8.
func Text(subtype, text string) *Node { return &Node{Type: "text/" + subtype, Body: []byte(text)} }

// Multipart makes a multipart of that subtype.
func Multipart(subtype string, children ...*Node) *Node {
	return &Node{Type: "multipart/" + subtype, Children: children}
}

// Attachment makes a file part.
func Attachment(filename, mediaType string, body []byte) *Node {
	return &Node{Type: mediaType, Disposition: "attachment", Filename: filename, Body: body}
}

// Builder writes a new message. Fields stand in the order of the calls. The
// first fault is kept and given by WriteTo. The zero value is ready.
type Builder struct {
	// UTF8 lets header and text stand in UTF-8: the message is then for hops
	// with SMTPUTF8 and 8BITMIME only (RFC 6532).
	UTF8 bool
	// Rand makes the boundaries; crypto/rand where nil.
	Rand io.Reader

	head []byte
	root *Node
	err  error
}

// Field adds a field whose value is written as it is, but folded.
func (b *Builder) Field(name, value string) {
	if b.err != nil {
		return
	}
	if !b.UTF8 && !isASCIIString(value) {
		b.err = fault.New(fault.Invalid, "mime.Builder", "the field "+name+" is not ASCII")
		return
	}
	b.head, b.err = AppendField(b.head, name, value)
}

// Text adds an unstructured field such as Subject. Line ends in it become
// spaces.
func (b *Builder) Text(name, value string) {
	if b.UTF8 {
		b.Field(name, cleanText(strings.ToValidUTF8(value, "\ufffd")))
		return
	}
	b.Field(name, EncodeText(value))
}

// Addresses adds an address field; none where the list is empty.
func (b *Builder) Addresses(name string, list []addr.Address) {
	if b.err != nil || len(list) == 0 {
		return
	}
	v, err := FormatAddresses(list, b.UTF8)
	if err != nil {
		b.err = err
		return
	}
	b.Field(name, v)
}

// IDs adds a field of msg-ids, each with its brackets; none where there is none.
func (b *Builder) IDs(name string, ids ...string) {
	if len(ids) > 0 {
		b.Field(name, strings.Join(ids, " "))
	}
}

// Date adds a date field.
func (b *Builder) Date(name string, t time.Time) { b.Field(name, FormatDate(t)) }

// Body sets the root of the tree.
func (b *Builder) Body(n *Node) { b.root = n }

// Bytes gives the message.
func (b *Builder) Bytes() ([]byte, error) {
	var out bytes.Buffer
	_, err := b.WriteTo(&out)
	return out.Bytes(), err
}

// WriteTo writes the message, all lines ending in CRLF. An error is of kind
// fault.Invalid for what was asked, or that of w.
func (b *Builder) WriteTo(w io.Writer) (int64, error) {
	if b.err != nil {
		return 0, b.err
	}
	root := b.root
	if root == nil {
		root = Text("plain", "")
	}
	p := &partWriter{w: w, utf8: b.UTF8, rand: b.Rand}
	if p.rand == nil {
		p.rand = rand.Reader
	}
	p.write(b.head)
	p.field("MIME-Version", "1.0")
	p.node(root, 0)
	return p.n, p.err
}

// partWriter writes a tree and keeps the first error.
type partWriter struct {
	w    io.Writer
	rand io.Reader
	utf8 bool
	n    int64
	err  error
}

func (p *partWriter) write(b []byte) {
	if p.err != nil {
		return
	}
	n, err := p.w.Write(b)
	p.n += int64(n)
	p.err = err
}

func (p *partWriter) field(name, value string) {
	if p.err != nil {
		return
	}
	f, err := AppendField(nil, name, value)
	if err != nil {
		p.err = err
		return
	}
	p.write(f)
}

func (p *partWriter) node(n *Node, depth int) {
	if depth > MaxDepth {
		p.err = fault.New(fault.Invalid, "mime.Builder", "the parts are nested too deeply")
		return
	}
	typ := n.Type
	if typ == "" {
		typ = "text/plain"
	}
	if _, _, _, ok := ParseMediaType(typ); !ok {
		p.err = fault.New(fault.Invalid, "mime.Builder", "the media type is malformed")
		return
	}
	multi := strings.HasPrefix(typ, "multipart/")
	params := n.Params
	boundary := ""
	encoding := ""
	body := n.Body
	if multi {
		token, err := randomToken(p.rand)
		if err != nil {
			p.err = err
			return
		}
		// "=_" cannot stand in base64 or quoted-printable (RFC 2046 section 5.1.1).
		boundary = "=_" + token
		params = append(params[:len(params):len(params)], Param{"boundary", boundary})
		if p.has8bit(n) {
			encoding = "8bit"
		}
	} else {
		if strings.HasPrefix(typ, "text/") {
			body = toCRLF(body)
			if getParam(params, "charset") == "" && typ != "text/rfc822-headers" {
				params = append(params[:len(params):len(params)], Param{"charset", "utf-8"})
			}
		}
		encoding = p.encoding(typ, body)
	}
	p.partHeader(n, typ, params, encoding)
	p.write(crlf)
	if !multi {
		p.leaf(encoding, body)
		return
	}
	for _, c := range n.Children {
		p.write([]byte("--" + boundary + "\r\n"))
		p.node(c, depth+1)
		p.write(crlf)
	}
	p.write([]byte("--" + boundary + "--\r\n"))
}

func (p *partWriter) partHeader(n *Node, typ string, params []Param, encoding string) {
	p.field("Content-Type", typ+formatParams(params, p.utf8))
	if encoding != "" {
		p.field("Content-Transfer-Encoding", encoding)
	}
	if n.Disposition != "" || n.Filename != "" {
		d := n.Disposition
		if d == "" {
			d = "attachment"
		}
		if n.Filename != "" {
			d += formatParams([]Param{{"filename", n.Filename}}, p.utf8)
		}
		p.field("Content-Disposition", d)
	}
	if n.Description != "" {
		text := cleanText(n.Description)
		if !p.utf8 {
			text = EncodeText(text)
		}
		p.field("Content-Description", text)
	}
	for _, f := range [...][2]string{{"Content-ID", n.ID}, {"Content-Language", n.Language}, {"Content-Location", n.Location}} {
		if f[1] != "" {
			p.field(f[0], f[1])
		}
	}
}

// shape is what decides on a transfer encoding.
type shape struct {
	high   int  // octets above 127
	binary bool // NUL, a lone CR or LF, or a line too long for SMTP
}

func shapeOf(b []byte) (s shape) {
	start := 0
	for i, c := range b {
		switch {
		case c >= 0x80:
			s.high++
		case c == 0, c == '\r' && (i+1 == len(b) || b[i+1] != '\n'):
			s.binary = true
		case c == '\n':
			s.binary = s.binary || i == 0 || b[i-1] != '\r' || i-1-start > maxLine
			start = i + 1
		}
	}
	s.binary = s.binary || len(b)-start > maxLine
	return s
}

// encoding chooses the transfer encoding of a leaf: the one under which it
// survives any hop, and of those the shortest. Text goes as 8bit only where
// UTF-8 was allowed; message/* only as it stands (RFC 2045 section 6.4), but
// message/global and its kin as base64 where UTF-8 was not.
func (p *partWriter) encoding(typ string, body []byte) string {
	s := shapeOf(body)
	message := strings.HasPrefix(typ, "message/")
	if strings.HasPrefix(typ, "message/global") && !p.utf8 && s.high > 0 {
		// RFC 6532 section 3.7 allows what RFC 2045 forbids to message/rfc822.
		return "base64"
	}
	switch {
	case !message && !strings.HasPrefix(typ, "text/"):
		return "base64"
	case message && s.high > 0:
		return "8bit"
	case message:
		return "7bit"
	case !s.binary && s.high == 0:
		return "7bit"
	case !s.binary && p.utf8:
		return "8bit"
	case s.high*6 < len(body):
		return "quoted-printable"
	}
	return "base64"
}

func (p *partWriter) has8bit(n *Node) bool {
	if strings.HasPrefix(n.Type, "multipart/") {
		for _, c := range n.Children {
			if p.has8bit(c) {
				return true
			}
		}
		return false
	}
	return (n.Type == "" || strings.HasPrefix(n.Type, "text/") || strings.HasPrefix(n.Type, "message/")) &&
		p.encoding(n.Type, toCRLF(n.Body)) == "8bit"
}

func (p *partWriter) leaf(encoding string, body []byte) {
	switch encoding {
	case "base64":
		p.base64(body)
	case "quoted-printable":
		p.write(appendQuotedPrintable(nil, body))
	default:
		p.write(body)
	}
}

// base64Line is the octets that fill a line of 76 (RFC 2045 section 6.8).
const base64Line = 57

func (p *partWriter) base64(body []byte) {
	const lines = 512
	out := make([]byte, 0, lines*(76+2))
	for len(body) > 0 && p.err == nil {
		n := min(base64Line, len(body))
		out = append(base64.StdEncoding.AppendEncode(out, body[:n]), "\r\n"...)
		body = body[n:]
		if len(out) >= lines*(76+2) || len(body) == 0 {
			p.write(out)
			out = out[:0]
		}
	}
}

// toCRLF makes every line end CRLF.
func toCRLF(b []byte) []byte {
	if !bytes.ContainsAny(b, "\r\n") || !shapeOf(b).binary {
		return b
	}
	out := make([]byte, 0, len(b)+bytes.Count(b, []byte("\n")))
	for i, c := range b {
		switch c {
		case '\r':
			out = append(out, "\r\n"...)
		case '\n':
			if i == 0 || b[i-1] != '\r' {
				out = append(out, "\r\n"...)
			}
		default:
			out = append(out, c)
		}
	}
	return out
}

// appendQuotedPrintable encodes text with CRLF line ends (RFC 2045 section 6.7)
// in lines of at most 76. A dot and the word "From" at the start of a line are
// escaped, because some hops change them.
func appendQuotedPrintable(dst, b []byte) []byte {
	const digits = "0123456789ABCDEF"
	col := 0
	for i, c := range b {
		if c == '\r' && i+1 < len(b) && b[i+1] == '\n' {
			continue
		}
		if c == '\n' && i > 0 && b[i-1] == '\r' {
			dst = append(dst, "\r\n"...)
			col = 0
			continue
		}
		last := i+1 == len(b) || b[i+1] == '\r'
		escape := c < ' ' && c != '\t' || c > '~' || c == '=' || (c == ' ' || c == '\t') && last ||
			col == 0 && (c == '.' || c == 'F' && bytes.HasPrefix(b[i:], []byte("From ")))
		width := 1
		if escape {
			width = 3
		}
		if col+width > 75 {
			dst = append(dst, "=\r\n"...)
			col = 0
		}
		if escape {
			dst = append(dst, '=', digits[c>>4], digits[c&15])
		} else {
			dst = append(dst, c)
		}
		col += width
	}
	return dst
}
