package message

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/mohar-mail/mohar/wire/mime"
)

// MaxBodyValue bounds the octets of one body value, before decoding.
const MaxBodyValue = 16 << 20

// partIDs names the leaves of a tree: numbers from the root down, parted by
// dots, as IMAP does within multiparts. Nested messages are leaves (RFC 8621
// section 4.1.4).
func partIDs(root *mime.Part) map[*mime.Part]string {
	ids := map[*mime.Part]string{}
	var walk func(p *mime.Part, id string)
	walk = func(p *mime.Part, id string) {
		if !p.IsMultipart() {
			if id == "" {
				id = "1"
			}
			ids[p] = id
			return
		}
		for i, c := range p.Children {
			n := strconv.Itoa(i + 1)
			if id != "" {
				n = id + "." + n
			}
			walk(c, n)
		}
	}
	walk(root, "")
	return ids
}

// FindPart gives the leaf of that name, or nil.
func FindPart(root *mime.Part, id string) *mime.Part {
	for p, n := range partIDs(root) {
		if n == id {
			return p
		}
	}
	return nil
}

// showBody fills o with the body properties of a view.
func (v *View) showBody(o map[string]any, m *Message) error {
	ids := partIDs(m.Index.Root)
	bodies := m.Index.Bodies()
	list := func(parts []*mime.Part) (any, error) {
		out := []any{}
		for _, p := range parts {
			b, err := v.body.part(m, ids, p, false)
			if err != nil {
				return nil, err
			}
			out = append(out, b)
		}
		return out, nil
	}
	for _, p := range v.Props {
		var err error
		switch p {
		case "bodyStructure":
			o[p], err = v.body.part(m, ids, m.Index.Root, true)
		case "textBody":
			o[p], err = list(bodies.Text)
		case "htmlBody":
			o[p], err = list(bodies.HTML)
		case "attachments":
			o[p], err = list(bodies.Attachments)
		case "bodyValues":
			o[p], err = v.values(m, ids, bodies)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// part gives an EmailBodyPart. With tree set a multipart holds its parts even
// where "subParts" was not asked for: a structure without them would be of no
// use to anybody.
func (b bodyView) part(m *Message, ids map[*mime.Part]string, p *mime.Part, tree bool) (map[string]any, error) {
	o := map[string]any{}
	for _, prop := range b.props {
		o[prop] = partProperty(m, ids, p, prop)
	}
	if slices.Contains(b.props, "headers") || len(b.headers) > 0 {
		h, err := m.Header(p)
		if err != nil {
			return nil, err
		}
		for _, hp := range b.headers {
			o[hp.prop] = hp.value(h)
		}
		if slices.Contains(b.props, "headers") {
			o["headers"] = allHeaders(h)
		}
	}
	if tree && p.IsMultipart() {
		sub := []any{}
		for _, c := range p.Children {
			s, err := b.part(m, ids, c, true)
			if err != nil {
				return nil, err
			}
			sub = append(sub, s)
		}
		o["subParts"] = sub
	}
	return o, nil
}

// orNull gives nil for the empty string.
func orNull(s string) any {
	if s == "" {
		return nil
	}
	return strings.ToValidUTF8(s, "�")
}

// partProperty gives a plain property of a body part (RFC 8621 section 4.1.4).
func partProperty(m *Message, ids map[*mime.Part]string, p *mime.Part, prop string) any {
	id, leaf := ids[p]
	switch prop {
	case "partId":
		return orNull(id)
	case "blobId":
		if !leaf {
			return nil
		}
		return PartBlob(m.Blob, id)
	case "size":
		if !leaf {
			return p.Size()
		}
		return p.DecodedSize
	case "name":
		return orNull(mime.DecodeText(p.Filename()))
	case "type":
		return strings.ToValidUTF8(p.MediaType(), "�")
	case "charset":
		if c := p.Charset(); c != "" {
			return orNull(c)
		}
		if p.Type == "text" {
			return "us-ascii"
		}
		return nil
	case "disposition":
		return orNull(p.Disposition)
	case "cid":
		return orNull(strings.Trim(p.ID, "<>"))
	case "language":
		if len(p.Language) == 0 {
			return nil
		}
		return p.Language
	case "location":
		return orNull(p.Location)
	}
	return nil // subParts of a leaf; headers is set by the caller
}

// bodyValue is an EmailBodyValue.
type bodyValue struct {
	Value             string `json:"value"`
	IsEncodingProblem bool   `json:"isEncodingProblem"`
	IsTruncated       bool   `json:"isTruncated"`
}

// values gives bodyValues for the parts that the view asks for.
func (v *View) values(m *Message, ids map[*mime.Part]string, b mime.Bodies) (map[string]bodyValue, error) {
	want := map[*mime.Part]bool{}
	add := func(parts []*mime.Part) {
		for _, p := range parts {
			want[p] = true
		}
	}
	if v.textValues {
		add(b.Text)
	}
	if v.htmlValues {
		add(b.HTML)
	}
	out := map[string]bodyValue{}
	for p, id := range ids {
		if p.Type != "text" || !(v.allValues || want[p]) {
			continue
		}
		bv, err := m.value(p, v.maxValue)
		if err != nil {
			return nil, err
		}
		out[id] = bv
	}
	return out, nil
}

// Decoded gives the octets of a leaf after transfer decoding, at most limit.
func (m *Message) Decoded(p *mime.Part, limit int64) ([]byte, error) {
	raw, err := m.Read(p.BodyStart, p.BodyEnd-p.BodyStart)
	if err != nil {
		return nil, err
	}
	out, err := io.ReadAll(io.LimitReader(mime.DecodeTransfer(p.Encoding, raw), limit))
	if err != nil {
		return nil, fmt.Errorf("decode part: %w", err)
	}
	return out, nil
}

// value gives the text of a part.
func (m *Message) value(p *mime.Part, maxOctets uint64) (bodyValue, error) {
	data, err := m.Decoded(p, MaxBodyValue+1)
	if err != nil {
		return bodyValue{}, err
	}
	v := bodyValue{IsTruncated: len(data) > MaxBodyValue}
	if v.IsTruncated {
		data = data[:MaxBodyValue]
	}
	charset := p.Charset()
	v.Value = strings.ReplaceAll(mime.DecodeCharset(charset, data), "\r\n", "\n")
	v.IsEncodingProblem = !mime.KnownEncoding(p.Encoding) || charset != "" && !mime.KnownCharset(charset) ||
		strings.ContainsRune(v.Value, utf8.RuneError)
	if maxOctets > 0 && uint64(len(v.Value)) > maxOctets {
		v.Value, v.IsTruncated = truncate(v.Value, int(maxOctets), p.Subtype == "html"), true
	}
	return v, nil
}

// truncate cuts s to at most n octets, never inside a character, and in HTML not
// inside a tag (RFC 8621 section 4.2).
func truncate(s string, n int, html bool) string {
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	s = s[:n]
	if html {
		if open := strings.LastIndexByte(s, '<'); open > strings.LastIndexByte(s, '>') {
			s = s[:open]
		}
	}
	return s
}

// PartBlob names a part of the message whose blob path is base: "P", the path,
// and after a "-" the part's id with "_" for ".", because an Id has no dots.
func PartBlob(base, partID string) string {
	return "P" + base + "-" + strings.ReplaceAll(partID, ".", "_")
}

// Of is a message in memory; base is its blob path.
func Of(content []byte, base string) *Message {
	return &Message{Index: &mime.Parse(content).Index, Blob: base, Read: func(off, n int64) ([]byte, error) {
		size := int64(len(content))
		off = min(off, size)
		return content[off : off+min(n, size-off)], nil
	}}
}
