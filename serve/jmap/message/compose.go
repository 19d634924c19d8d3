package message

import (
	"crypto/rand"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/wire/addr"
	wire "github.com/mohar-mail/mohar/wire/jmap"
	"github.com/mohar-mail/mohar/wire/mime"
)

// Source is what a new message needs beside its properties.
type Source struct {
	Now    time.Time
	Domain string // of a message id that must be made
	// Blob reads what is to be attached; fault.NotFound where there is none.
	Blob func(id wire.ID) ([]byte, error)
	// MaxAttachments bounds the octets of all blobs.
	MaxAttachments int64
}

// draft is an Email being made from its properties.
type draft struct {
	src  Source
	a    *wire.Args
	b    mime.Builder
	bad  []string          // properties at fault
	seen map[string]string // field in lower case -> the property that gave it
	body bodyDraft
}

// Compose makes the octets of a message out of the properties of an Email (RFC
// 8621 section 4.6, create). mailboxIds, keywords and receivedAt must have been
// read from a before. The error is a *wire.SetError for what the client did.
func Compose(a *wire.Args, src Source) ([]byte, error) {
	dr := &draft{src: src, a: a, seen: map[string]string{}}
	return dr.build()
}

func (dr *draft) fail(names ...string) { dr.bad = append(dr.bad, names...) }

// claim notes that a property gives a header field; two for one field are
// refused.
func (dr *draft) claim(field, prop string) {
	k := strings.ToLower(field)
	if other, dup := dr.seen[k]; dup {
		dr.fail(other, prop)
	}
	dr.seen[k] = prop
}

// build gives the octets of the message.
func (dr *draft) build() ([]byte, error) {
	names := dr.a.Names()
	for _, p := range []string{"id", "blobId", "threadId", "size", "hasAttachment", "preview", "headers"} {
		if dr.a.Has(p) {
			dr.a.Raw(p)
			dr.fail(p)
		}
	}
	var headers []headerProp
	for _, n := range names {
		if !strings.HasPrefix(n, "header:") {
			continue
		}
		dr.a.Raw(n)
		h, ok := parseHeaderProp(n)
		lower := strings.ToLower(h.name)
		if !ok || strings.HasPrefix(lower, "content-") || lower == "mime-version" {
			dr.fail(n)
			continue
		}
		dr.claim(h.name, n)
		headers = append(headers, h)
	}
	dr.b.UTF8 = dr.needsUTF8(headers)
	dr.standardFields()
	for _, h := range headers {
		dr.headerField(h)
	}
	dr.generatedFields()
	root, err := dr.bodyTree()
	if err != nil {
		return nil, err
	}
	if err := RecordError(dr.a); err != nil {
		return nil, err
	}
	if len(dr.bad) > 0 {
		slices.Sort(dr.bad)
		return nil, wire.BadProperty("These properties are not valid in a new email.", slices.Compact(dr.bad)...)
	}
	dr.b.Body(root)
	content, err := dr.b.Bytes()
	if fault.Is(err, fault.Invalid) {
		return nil, wire.BadProperty(fault.Public(err))
	}
	return content, err
}

// RecordError turns the mistakes found while reading a record into a SetError.
func RecordError(a *wire.Args) error {
	err := a.Err()
	if err == nil {
		return nil
	}
	me := wire.MethodErrorOf(err)
	return wire.BadProperty(me.Description, me.Arguments...)
}

// addressFields pairs the address properties with their fields, in the order in
// which they are written.
func addressFields() [][2]string {
	return [][2]string{{"from", "From"}, {"sender", "Sender"}, {"replyTo", "Reply-To"}, {"to", "To"}, {"cc", "Cc"}, {"bcc", "Bcc"}}
}

// needsUTF8 says whether an address cannot be written without RFC 6532: only a
// local part beyond ASCII, for which there is no other form.
func (dr *draft) needsUTF8(headers []headerProp) bool {
	names := []string{}
	for _, f := range addressFields() {
		names = append(names, f[0])
	}
	for _, h := range headers {
		names = append(names, h.prop)
	}
	for _, n := range names {
		raw, ok := dr.a.Raw(n)
		if !ok {
			continue
		}
		for _, e := range findEmails(raw) {
			if m, err := addr.ParseMailbox(e); err == nil && m.NeedsUTF8() {
				return true
			}
		}
	}
	return false
}

// findEmails gives every "email" in a value of an address form.
func findEmails(raw json.RawMessage) (out []string) {
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) == nil {
		for _, item := range list {
			out = append(out, findEmails(item)...)
		}
		return out
	}
	var o struct {
		Email     string          `json:"email"`
		Addresses json.RawMessage `json:"addresses"`
	}
	if json.Unmarshal(raw, &o) != nil {
		return nil
	}
	if o.Email != "" {
		out = append(out, o.Email)
	}
	if o.Addresses != nil {
		out = append(out, findEmails(o.Addresses)...)
	}
	return out
}

// standardFields writes the convenience properties.
func (dr *draft) standardFields() {
	if t := dr.a.Date("sentAt"); !t.IsZero() {
		dr.claim("Date", "sentAt")
		dr.b.Date("Date", t)
	}
	for _, f := range addressFields() {
		if raw, ok := dr.a.Raw(f[0]); ok {
			dr.claim(f[1], f[0])
			dr.value(f[1], f[0], formAddresses, raw)
		}
	}
	if s := dr.a.OptString("subject"); s != nil {
		dr.claim("Subject", "subject")
		dr.b.Text("Subject", *s)
	}
	for _, f := range [][2]string{{"messageId", "Message-ID"}, {"inReplyTo", "In-Reply-To"}, {"references", "References"}} {
		if raw, ok := dr.a.Raw(f[0]); ok {
			dr.claim(f[1], f[0])
			dr.value(f[1], f[0], formIDs, raw)
		}
	}
}

// generatedFields writes what every message must have (RFC 8621 section 4.6).
func (dr *draft) generatedFields() {
	if _, ok := dr.seen["date"]; !ok {
		dr.b.Date("Date", dr.src.Now.UTC())
	}
	if _, ok := dr.seen["message-id"]; ok {
		return
	}
	id, err := mime.NewMessageID(dr.src.Domain, rand.Reader)
	if err != nil {
		dr.fail("messageId")
		return
	}
	dr.b.IDs("Message-ID", id)
}

// headerField writes a header property.
func (dr *draft) headerField(h headerProp) {
	raw, ok := dr.a.Raw(h.prop)
	if !ok {
		return
	}
	if !h.all {
		dr.value(h.name, h.prop, h.form, raw)
		return
	}
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil {
		dr.fail(h.prop)
	}
	for _, item := range list {
		dr.value(h.name, h.prop, h.form, item)
	}
}

// value writes one field from its value in a form.
func (dr *draft) value(field, prop string, f form, raw json.RawMessage) {
	a, err := wire.NewArgs(json.RawMessage(`{"v":` + string(raw) + `}`))
	if err != nil {
		dr.fail(prop)
		return
	}
	switch f {
	case formAddresses:
		list, ok := ReadAddresses(raw)
		if !ok {
			dr.fail(prop)
		} else if len(list) > 0 {
			dr.b.Field(field, formatAddresses(list, dr.b.UTF8))
		}
		return
	case formGroups:
		text, ok := formatGroups(raw, dr.b.UTF8)
		if !ok {
			dr.fail(prop)
		} else if text != "" {
			dr.b.Field(field, text)
		}
		return
	case formText:
		dr.b.Text(field, a.String("v"))
	case formIDs, formURLs:
		list, _ := a.Strings("v")
		sep := " "
		if f == formURLs {
			sep = ", "
		}
		if slices.ContainsFunc(list, badBracketed) {
			dr.fail(prop)
		} else if len(list) > 0 {
			dr.b.Field(field, "<"+strings.Join(list, ">"+sep+"<")+">")
		}
	case formDate:
		if t := a.Date("v"); !t.IsZero() {
			dr.b.Date(field, t)
		}
	default:
		if text, ok := rawValue(a.String("v")); ok {
			dr.b.Field(field, text)
		} else {
			dr.fail(prop)
		}
	}
	if a.Err() != nil {
		dr.fail(prop)
	}
}

// badBracketed says whether a message id or URL cannot stand in angle brackets.
func badBracketed(s string) bool {
	return s == "" || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == '<' || r == '>' || r > '~' })
}

// rawValue unfolds a value given in Raw form. A line end that is no folding
// would let the value bring in a field of its own; octets beyond ASCII have no
// meaning in Raw form and belong into Text.
func rawValue(s string) (string, bool) {
	s = strings.ReplaceAll(strings.ReplaceAll(s, "\r\n ", " "), "\r\n\t", "\t")
	return s, !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' && r != '\t' || r > '~' })
}

// maxAddresses bounds the addresses of one field.
const maxAddresses = 2000

// ReadAddresses reads an EmailAddress[].
func ReadAddresses(raw json.RawMessage) ([]EmailAddress, bool) {
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil || len(list) > maxAddresses {
		return nil, false
	}
	var out []EmailAddress
	for _, item := range list {
		a, err := wire.NewArgs(item)
		if err != nil {
			return nil, false
		}
		e := EmailAddress{Name: a.OptString("name"), Email: a.String("email")}
		if a.Err() != nil {
			return nil, false
		}
		out = append(out, e)
	}
	return out, true
}

// formatAddresses writes a list. What is no address yet is written as the person
// left it, for a draft may be half finished (RFC 8621 section 4.6); submission
// checks it again.
func formatAddresses(list []EmailAddress, utf8 bool) string {
	var parts []string
	for _, e := range list {
		name := ""
		if e.Name != nil {
			name = *e.Name
		}
		if m, err := addr.ParseMailbox(e.Email); err == nil {
			text, err := mime.FormatAddresses([]addr.Address{{Name: name, Local: m.Local, Domain: m.Domain.Unicode}}, utf8)
			if err == nil {
				parts = append(parts, text)
				continue
			}
		}
		words := strings.Join(strings.Fields(name+" "+strings.Map(plainRune, e.Email)), " ")
		if words != "" {
			parts = append(parts, mime.EncodeText(words))
		}
	}
	return strings.Join(parts, ", ")
}

// plainRune drops what has a meaning in an address list.
func plainRune(r rune) rune {
	if r < ' ' || strings.ContainsRune(`,;:<>()[]"\`, r) {
		return -1
	}
	return r
}

// formatGroups writes an EmailAddressGroup[].
func formatGroups(raw json.RawMessage, utf8 bool) (string, bool) {
	var groups []json.RawMessage
	if json.Unmarshal(raw, &groups) != nil || len(groups) > maxAddresses {
		return "", false
	}
	var parts []string
	for _, g := range groups {
		a, err := wire.NewArgs(g)
		if err != nil {
			return "", false
		}
		name := a.OptString("name")
		inner, _ := a.Raw("addresses")
		list, ok := ReadAddresses(inner)
		if !ok || a.Err() != nil {
			return "", false
		}
		text := formatAddresses(list, utf8)
		if name != nil {
			head, err := mime.FormatAddresses([]addr.Address{{Kind: addr.GroupStart, Name: *name}}, utf8)
			if err != nil {
				return "", false
			}
			text = strings.TrimSpace(head) + " " + text + ";"
		}
		if text != "" {
			parts = append(parts, text)
		}
	}
	return strings.Join(parts, ", "), true
}
