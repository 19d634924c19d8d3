package message

import (
	"bytes"
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"

	"github.com/mohar-mail/mohar/wire/addr"
	wire "github.com/mohar-mail/mohar/wire/jmap"
	"github.com/mohar-mail/mohar/wire/mime"
)

// form is a parsed form of a header field (RFC 8621 section 4.1.2).
type form string

const (
	formRaw       form = ""
	formText      form = "Text"
	formAddresses form = "Addresses"
	formGroups    form = "GroupedAddresses"
	formIDs       form = "MessageIds"
	formDate      form = "Date"
	formURLs      form = "URLs"
)

// headerProp is a property "header:{name}:as{form}:all".
type headerProp struct {
	prop string // as the client wrote it
	name string // of the field, as the client wrote it
	form form
	all  bool
}

// maxFieldName bounds the name in a header property: a line.
const maxFieldName = 998

// parseHeaderProp reads a property name that begins with "header:" (RFC 8621
// section 4.1.3) and refuses forms that the field may not have.
func parseHeaderProp(prop string) (headerProp, bool) {
	parts := strings.Split(prop, ":")
	if len(parts) < 2 || len(parts) > 4 || parts[0] != "header" || !fieldName(parts[1]) {
		return headerProp{}, false
	}
	h := headerProp{prop: prop, name: parts[1]}
	rest := parts[2:]
	if len(rest) > 0 {
		if f, ok := strings.CutPrefix(rest[0], "as"); ok {
			h.form, rest = form(f), rest[1:]
			if h.form == formRaw || h.form == "Raw" {
				if h.form == formRaw {
					return h, false
				}
				h.form = formRaw
			}
		}
	}
	if len(rest) > 0 && rest[0] == "all" {
		h.all, rest = true, rest[1:]
	}
	return h, len(rest) == 0 && allowedForm(strings.ToLower(h.name), h.form)
}

// fieldName checks the characters of a field name (RFC 8621 section 4.1.3).
func fieldName(s string) bool {
	return s != "" && len(s) <= maxFieldName && !strings.ContainsFunc(s, func(r rune) bool { return r < 33 || r > 126 || r == ':' })
}

// allowedForm is the table of RFC 8621 section 4.1.2: fields of RFC 5322 and RFC
// 2369 have the forms that make sense, all others have every form.
func allowedForm(name string, f form) bool {
	switch f {
	case formRaw:
		return true
	case formText, formAddresses, formGroups, formIDs, formDate, formURLs:
	default:
		return false
	}
	var own []form
	switch name {
	case "subject", "comments", "keywords":
		own = []form{formText}
	case "from", "sender", "reply-to", "to", "cc", "bcc", "resent-from", "resent-sender", "resent-reply-to", "resent-to",
		"resent-cc", "resent-bcc":
		own = []form{formAddresses, formGroups}
	case "message-id", "in-reply-to", "references", "resent-message-id":
		own = []form{formIDs}
	case "date", "resent-date":
		own = []form{formDate}
	case "list-help", "list-unsubscribe", "list-subscribe", "list-post", "list-owner", "list-archive":
		own = []form{formURLs}
	case "return-path", "received":
	default:
		return true
	}
	return slices.Contains(own, f)
}

// emailHeader is an EmailHeader.
type emailHeader struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// allHeaders lists the fields in Raw form.
func allHeaders(h mime.Header) []emailHeader {
	out := []emailHeader{}
	for f := range h.Fields() {
		out = append(out, emailHeader{f.Name, rawForm(f.Value)})
	}
	return out
}

// value gives the property's value in a header.
func (p headerProp) value(h mime.Header) any {
	all, last := []any{}, any(nil)
	for f := range h.Fields() {
		if f.Is(p.name) {
			last = p.form.value(f)
			all = append(all, last)
		}
	}
	if p.all {
		return all
	}
	return last
}

// value gives a field in one form; nil where it cannot be read so.
func (f form) value(field mime.Field) any {
	switch f {
	case formText:
		return Text(field.Text())
	case formAddresses:
		return AddressForm(addr.ParseList(nil, field.Text(), 0))
	case formGroups:
		return groupForm(addr.ParseList(nil, field.Text(), 0))
	case formIDs:
		return idForm(mime.MsgIDs(field.Text(), mime.MaxReferences))
	case formDate:
		t, ok := mime.ParseDate(field.Text())
		if !ok {
			return nil
		}
		return wire.Date(t)
	case formURLs:
		return urlForm(field.Text())
	}
	return rawForm(field.Value)
}

// rawForm gives the octets as they stand, but for what JSON cannot carry (RFC
// 8621 section 4.1.2.1).
func rawForm(v []byte) string {
	if bytes.IndexByte(v, 0) >= 0 {
		v = bytes.ReplaceAll(v, []byte{0}, nil)
	}
	return strings.ToValidUTF8(string(v), "�")
}

// Text decodes an unfolded value (RFC 8621 section 4.1.2.2).
func Text(v string) string { return norm.NFC.String(mime.DecodeText(v)) }

// EmailAddress is an EmailAddress.
type EmailAddress struct {
	Name  *string `json:"name"`
	Email string  `json:"email"`
}

// AddressOf turns an address of a list into an EmailAddress.
func AddressOf(a addr.Address) EmailAddress {
	e := EmailAddress{Email: strings.ToValidUTF8(a.Local, "�")}
	if a.Domain != "" {
		e.Email = strings.ToValidUTF8(a.Spec(), "�")
	}
	if a.Name != "" {
		n := strings.TrimSpace(Text(a.Name))
		e.Name = &n
	}
	return e
}

// AddressForm lists the mailboxes of a list, groups opened.
func AddressForm(list []addr.Address) []EmailAddress {
	out := []EmailAddress{}
	for a := range addr.Singles(list) {
		out = append(out, AddressOf(a))
	}
	return out
}

// addressGroup is an EmailAddressGroup.
type addressGroup struct {
	Name      *string        `json:"name"`
	Addresses []EmailAddress `json:"addresses"`
}

// groupForm lists the mailboxes of a list by group.
func groupForm(list []addr.Address) []addressGroup {
	out := []addressGroup{}
	open := false // whether the last group still takes addresses
	for _, a := range list {
		switch a.Kind {
		case addr.GroupStart:
			n := strings.TrimSpace(Text(a.Name))
			out = append(out, addressGroup{Name: &n, Addresses: []EmailAddress{}})
			open = true
		case addr.GroupEnd:
			open = false
		default:
			if !open {
				out = append(out, addressGroup{Addresses: []EmailAddress{}})
				open = true
			}
			g := &out[len(out)-1]
			g.Addresses = append(g.Addresses, AddressOf(a))
		}
	}
	return out
}

// idForm strips the angle brackets of msg-ids; nil where there are none.
func idForm(ids []string) any {
	if len(ids) == 0 {
		return nil
	}
	out := make([]string, len(ids))
	for i, id := range ids {
		out[i] = strings.ToValidUTF8(strings.Trim(id, "<>"), "�")
	}
	return out
}

// maxURLs bounds the URLs read of one field.
const maxURLs = 64

// urlForm lists the URLs in angle brackets (RFC 2369 section 2); nil where there
// are none.
func urlForm(v string) any {
	var out []string
	for len(out) < maxURLs {
		_, rest, ok := strings.Cut(v, "<")
		if !ok {
			break
		}
		u, after, ok := strings.Cut(rest, ">")
		if !ok {
			break
		}
		// White space inside is an artefact of folding and is dropped.
		out = append(out, strings.ToValidUTF8(strings.Join(strings.Fields(u), ""), "�"))
		v = after
	}
	if out == nil {
		return nil
	}
	return out
}
