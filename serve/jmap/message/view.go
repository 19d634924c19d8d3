package message

import (
	"slices"
	"strings"

	"github.com/mohar-mail/mohar/wire/addr"
	wire "github.com/mohar-mail/mohar/wire/jmap"
	"github.com/mohar-mail/mohar/wire/mime"
)

// View says what of an email a client wants to see.
type View struct {
	Props       []string     // plain properties, "id" apart
	headers     []headerProp // header properties
	body        bodyView
	textValues  bool
	htmlValues  bool
	allValues   bool
	maxValue    uint64 // octets of a body value; 0: no bound
	NeedTree    bool   // the whole tree, not the summary alone
	NeedHeaders bool   // the octets of the header
}

// bodyView says what of a body part a client wants to see.
type bodyView struct {
	props   []string
	headers []headerProp
}

// MetaProperties need the store; the others only the message.
func MetaProperties() []string {
	return []string{"id", "blobId", "threadId", "mailboxIds", "keywords", "size", "receivedAt"}
}

func headProperties() []string {
	return []string{"messageId", "inReplyTo", "references", "sender", "from", "to", "cc", "bcc", "replyTo", "subject", "sentAt"}
}

func treeProperties() []string {
	return []string{"bodyValues", "textBody", "htmlBody", "attachments", "bodyStructure"}
}

// defaultProperties are those of RFC 8621 section 4.2; of section 4.9 without
// the metadata.
func defaultProperties(meta bool) []string {
	var out []string
	if meta {
		out = MetaProperties()
	}
	out = append(out, headProperties()...)
	return append(out, "hasAttachment", "preview", "bodyValues", "textBody", "htmlBody", "attachments")
}

// bodyProperties are all plain properties of an EmailBodyPart, those of the
// default first.
func bodyProperties() []string {
	return []string{"partId", "blobId", "size", "name", "type", "charset", "disposition", "cid", "language", "location", "subParts", "headers"}
}

// ReadView takes the arguments of Email/get and Email/parse that say what to
// show.
func ReadView(a *wire.Args, props []string, every, meta bool) (*View, error) {
	v := &View{textValues: a.Bool("fetchTextBodyValues", false), htmlValues: a.Bool("fetchHTMLBodyValues", false),
		allValues: a.Bool("fetchAllBodyValues", false)}
	if n := a.OptUint("maxBodyValueBytes"); n != nil {
		v.maxValue = *n
	}
	if every {
		props = defaultProperties(meta)
	}
	known := slices.Concat(MetaProperties(), headProperties(), treeProperties(), []string{"headers", "hasAttachment", "preview"})
	var err error
	if v.Props, v.headers, err = sortProperties("properties", props, known); err != nil {
		return nil, err
	}
	bp, given := a.Strings("bodyProperties")
	if !given {
		bp = bodyProperties()[:10]
	}
	if v.body.props, v.body.headers, err = sortProperties("bodyProperties", bp, bodyProperties()); err != nil {
		return nil, err
	}
	v.NeedTree = slices.ContainsFunc(v.Props, func(p string) bool { return slices.Contains(treeProperties(), p) })
	v.NeedHeaders = len(v.headers) > 0 || slices.Contains(v.Props, "headers")
	return v, nil
}

// sortProperties parts plain properties from header properties.
func sortProperties(arg string, props, known []string) (plain []string, headers []headerProp, err error) {
	for _, p := range props {
		switch {
		case slices.Contains(known, p):
			plain = append(plain, p)
		case strings.HasPrefix(p, "header:"):
			h, ok := parseHeaderProp(p)
			if !ok {
				return nil, nil, wire.BadArgument(arg, "There is no property "+p+", or not in this form.")
			}
			headers = append(headers, h)
		default:
			return nil, nil, wire.BadArgument(arg, "There is no property "+p+".")
		}
	}
	return plain, headers, nil
}

// Message is an email as far as its octets go.
type Message struct {
	Index *mime.Index
	Blob  string // what the ids of the blobs of its parts begin with
	// Read gives octets of the content, fewer at its end.
	Read func(off, n int64) ([]byte, error)
}

// Header reads the octets of a part's header.
func (m *Message) Header(p *mime.Part) (mime.Header, error) {
	b, err := m.Read(p.HeaderStart, p.BodyStart-p.HeaderStart)
	return mime.Header(b), err
}

// Show fills o with what the view asks of the message itself.
func (v *View) Show(o map[string]any, m *Message) error {
	env := m.Index.Envelope()
	duplicates := m.Index.Defects&mime.DefectDuplicate != 0
	var head mime.Header
	if v.NeedHeaders || duplicates {
		var err error
		if head, err = m.Header(m.Index.Root); err != nil {
			return err
		}
	}
	for _, h := range v.headers {
		o[h.prop] = h.value(head)
	}
	for _, p := range v.Props {
		switch p {
		case "headers":
			o[p] = allHeaders(head)
		case "hasAttachment":
			o[p] = m.Index.Flags&mime.HasAttachment != 0
		case "preview":
			o[p] = m.Index.Preview
		default:
			if !slices.Contains(headProperties(), p) {
				continue
			}
			if duplicates {
				// The last of several fields counts here (RFC 8621 section 4.1.3),
				// which need not be the one in the envelope.
				o[p] = convenience(p).value(head)
			} else {
				o[p] = envelopeProperty(env, m.Index.References, p)
			}
		}
	}
	if v.NeedTree {
		return v.showBody(o, m)
	}
	return nil
}

// convenience gives the header property that a plain one stands for (RFC 8621
// section 4.1.3).
func convenience(p string) headerProp {
	switch p {
	case "messageId":
		return headerProp{name: "Message-ID", form: formIDs}
	case "inReplyTo":
		return headerProp{name: "In-Reply-To", form: formIDs}
	case "references":
		return headerProp{name: "References", form: formIDs}
	case "replyTo":
		return headerProp{name: "Reply-To", form: formAddresses}
	case "subject":
		return headerProp{name: "Subject", form: formText}
	case "sentAt":
		return headerProp{name: "Date", form: formDate}
	}
	return headerProp{name: p, form: formAddresses}
}

// envelopeProperty gives a convenience property from the index.
func envelopeProperty(e *mime.Envelope, references []string, p string) any {
	switch p {
	case "messageId":
		return idForm(mime.MsgIDs(e.MessageID, mime.MaxReferences))
	case "inReplyTo":
		return idForm(mime.MsgIDs(e.InReplyTo, mime.MaxReferences))
	case "references":
		return idForm(references)
	case "subject":
		if e.Subject == "" {
			return nil
		}
		return Text(e.Subject)
	case "sentAt":
		if e.Sent.IsZero() {
			return nil
		}
		return wire.Date(e.Sent)
	}
	list := AddressesOf(e, p)
	if len(list) == 0 {
		return nil
	}
	return AddressForm(list)
}

// AddressesOf gives one of the address lists of an envelope by its property.
func AddressesOf(e *mime.Envelope, p string) []addr.Address {
	switch p {
	case "sender":
		return e.Sender
	case "from":
		return e.From
	case "to":
		return e.To
	case "cc":
		return e.Cc
	case "bcc":
		return e.Bcc
	}
	return e.ReplyTo
}
