package jmap

import (
	"slices"
	"strings"
	"time"

	"github.com/mohar-mail/mohar/mailbox"
	"github.com/mohar-mail/mohar/wire/addr"
	wire "github.com/mohar-mail/mohar/wire/jmap"
	"github.com/mohar-mail/mohar/wire/mime"
)

// view says what of an email a client wants to see.
type view struct {
	props       []string     // plain properties, "id" apart
	headers     []headerProp // header properties
	body        bodyView
	textValues  bool
	htmlValues  bool
	allValues   bool
	maxValue    uint64 // octets of a body value; 0: no bound
	needTree    bool   // the whole tree, not the summary alone
	needHeaders bool   // the octets of the header
}

// bodyView says what of a body part a client wants to see.
type bodyView struct {
	props   []string
	headers []headerProp
}

// metaProperties need the store; the others only the message.
func metaProperties() []string {
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
		out = metaProperties()
	}
	out = append(out, headProperties()...)
	return append(out, "hasAttachment", "preview", "bodyValues", "textBody", "htmlBody", "attachments")
}

// bodyProperties are all plain properties of an EmailBodyPart, those of the
// default first.
func bodyProperties() []string {
	return []string{"partId", "blobId", "size", "name", "type", "charset", "disposition", "cid", "language", "location", "subParts", "headers"}
}

// readView takes the arguments of Email/get and Email/parse that say what to
// show.
func readView(a *wire.Args, props []string, every, meta bool) (*view, error) {
	v := &view{textValues: a.Bool("fetchTextBodyValues", false), htmlValues: a.Bool("fetchHTMLBodyValues", false),
		allValues: a.Bool("fetchAllBodyValues", false)}
	if n := a.OptUint("maxBodyValueBytes"); n != nil {
		v.maxValue = *n
	}
	if every {
		props = defaultProperties(meta)
	}
	known := slices.Concat(metaProperties(), headProperties(), treeProperties(), []string{"headers", "hasAttachment", "preview"})
	var err error
	if v.props, v.headers, err = sortProperties("properties", props, known); err != nil {
		return nil, err
	}
	bp, given := a.Strings("bodyProperties")
	if !given {
		bp = bodyProperties()[:10]
	}
	if v.body.props, v.body.headers, err = sortProperties("bodyProperties", bp, bodyProperties()); err != nil {
		return nil, err
	}
	v.needTree = slices.ContainsFunc(v.props, func(p string) bool { return slices.Contains(treeProperties(), p) })
	v.needHeaders = len(v.headers) > 0 || slices.Contains(v.props, "headers")
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

// message is an email as far as its octets go.
type message struct {
	index *mime.Index
	blob  string // what ids of parts begin with, see blobs.go
	// read gives octets of the content, fewer at its end.
	read func(off, n int64) ([]byte, error)
}

// header reads the octets of a part's header.
func (m *message) header(p *mime.Part) (mime.Header, error) {
	b, err := m.read(p.HeaderStart, p.BodyStart-p.HeaderStart)
	return mime.Header(b), err
}

// show fills o with what the view asks of the message itself.
func (v *view) show(o map[string]any, m *message) error {
	env := m.index.Envelope()
	duplicates := m.index.Defects&mime.DefectDuplicate != 0
	var head mime.Header
	if v.needHeaders || duplicates {
		var err error
		if head, err = m.header(m.index.Root); err != nil {
			return err
		}
	}
	for _, h := range v.headers {
		o[h.prop] = h.value(head)
	}
	for _, p := range v.props {
		switch p {
		case "headers":
			o[p] = allHeaders(head)
		case "hasAttachment":
			o[p] = m.index.Flags&mime.HasAttachment != 0
		case "preview":
			o[p] = m.index.Preview
		default:
			if !slices.Contains(headProperties(), p) {
				continue
			}
			if duplicates {
				// The last of several fields counts here (RFC 8621 section 4.1.3),
				// which need not be the one in the envelope.
				o[p] = convenience(p).value(head)
			} else {
				o[p] = envelopeProperty(env, m.index.References, p)
			}
		}
	}
	if v.needTree {
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
		return textForm(e.Subject)
	case "sentAt":
		if e.Sent.IsZero() {
			return nil
		}
		return wire.Date(e.Sent)
	}
	list := addressesOf(e, p)
	if len(list) == 0 {
		return nil
	}
	return addressForm(list)
}

// addressesOf gives one of the address lists of an envelope by its property.
func addressesOf(e *mime.Envelope, p string) []addr.Address {
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

// showMeta fills o with what the store knows of an email.
func (v *view) showMeta(o map[string]any, e *mailbox.Email, en *mailbox.Entry) {
	for _, p := range v.props {
		switch p {
		case "blobId":
			o[p] = messageBlob(e.ID)
		case "threadId":
			o[p] = e.Thread.String()
		case "mailboxIds":
			ids := map[string]bool{}
			for _, pl := range e.Places {
				ids[pl.Mailbox.String()] = true
			}
			o[p] = ids
		case "keywords":
			set := map[string]bool{}
			if en != nil {
				for _, k := range keywordsOf(en) {
					set[k] = true
				}
			}
			o[p] = set
		case "size":
			o[p] = e.Size
		case "receivedAt":
			o[p] = wire.UTCDate(e.Received)
		}
	}
}

// systemKeywords pairs the flags with their keywords (RFC 8621 section 4.1.1).
// \Deleted has none: it belongs to IMAP alone.
func systemKeywords() []struct {
	flag mailbox.Flags
	name string
} {
	return []struct {
		flag mailbox.Flags
		name string
	}{{mailbox.Draft, "$draft"}, {mailbox.Seen, "$seen"}, {mailbox.Flagged, "$flagged"}, {mailbox.Answered, "$answered"}}
}

// keywordsOf lists the keywords of an entry, the system's first.
func keywordsOf(e *mailbox.Entry) []string {
	var out []string
	for _, s := range systemKeywords() {
		if e.Flags&s.flag != 0 {
			out = append(out, s.name)
		}
	}
	return append(out, e.Keywords...)
}

// splitKeywords turns keywords into flags and the rest.
func splitKeywords(words []string) (flags mailbox.Flags, rest []string) {
next:
	for _, w := range words {
		w = strings.ToLower(w)
		for _, s := range systemKeywords() {
			if s.name == w {
				flags |= s.flag
				continue next
			}
		}
		rest = append(rest, w)
	}
	return flags, rest
}

// sentOf gives when a message says that it was sent; the zero time where it
// does not.
func sentOf(x *mime.Index) time.Time { return x.Envelope().Sent }
