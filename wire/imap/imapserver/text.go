package imapserver

import (
	"io"
	"strings"

	"github.com/mohar-mail/mohar/wire/addr"
	"github.com/mohar-mail/mohar/wire/mime"
)

// Bounds of what a search reads of one message.
const (
	maxSearchHeader = 1 << 20 // octets of a header
	maxSearchPart   = 4 << 20 // octets of one text part, encoded
	maxSearchHTML   = 1 << 20 // characters of the text of one HTML part
)

// textReader gives the words of one message for comparison, reading its content
// only when a key asks for it.
type textReader struct {
	msg  *Message
	open func() (Body, error)
	body Body
}

func (t *textReader) close() {
	if t.body != nil {
		t.body.Close()
	}
}

func (t *textReader) content() (Body, error) {
	if t.body == nil {
		b, err := t.open()
		if err != nil {
			return nil, err
		}
		t.body = b
	}
	return t.body, nil
}

// inEnvelope says whether a field can be searched without the content.
func inEnvelope(name string) bool {
	switch strings.ToLower(name) {
	case "subject", "from", "to", "cc", "bcc", "message-id", "in-reply-to":
		return true
	}
	return false
}

// header says whether a field of that name holds the folded text.
func (t *textReader) header(name, want string) (bool, error) {
	if e := t.msg.Envelope; e != nil && inEnvelope(name) {
		return envelopeHas(e, strings.ToLower(name), want), nil
	}
	return t.fields(name, want)
}

// envelopeHas looks into one field of the envelope. The empty text asks whether
// the field is there at all.
func envelopeHas(e *mime.Envelope, name, want string) bool {
	text := func(s string) bool { return s != "" && strings.Contains(fold(mime.DecodeText(s)), want) }
	switch name {
	case "subject":
		return text(e.Subject)
	case "message-id":
		return text(e.MessageID)
	case "in-reply-to":
		return text(e.InReplyTo)
	}
	var list []addr.Address
	switch name {
	case "from":
		list = e.From
	case "to":
		list = e.To
	case "cc":
		list = e.Cc
	case "bcc":
		list = e.Bcc
	}
	for _, a := range list {
		// As one text, so that a search for "Asha Rao <asha@" finds it too.
		if strings.Contains(fold(mime.DecodeText(a.Name)+" <"+a.Local+"@"+a.Domain+">"), want) {
			return true
		}
	}
	return false
}

// fields looks into the header itself; "" stands for every field.
func (t *textReader) fields(name, want string) (bool, error) {
	if t.msg.Index == nil || t.msg.Index.Root == nil {
		return false, nil
	}
	b, err := t.content()
	if err != nil {
		return false, err
	}
	root := t.msg.Index.Root
	raw, err := readSpan(b, root.HeaderStart, min(root.BodyStart, root.HeaderStart+maxSearchHeader))
	if err != nil {
		return false, err
	}
	for f := range mime.Header(raw).Fields() {
		if name == "" {
			if strings.Contains(fold(f.Name+": "+mime.DecodeText(f.Text())), want) {
				return true, nil
			}
			continue
		}
		if f.Is(name) && strings.Contains(fold(mime.DecodeText(f.Text())), want) {
			return true, nil
		}
	}
	return false, nil
}

func (t *textReader) anyHeader(want string) (bool, error) { return t.fields("", want) }

// bodyHas looks into every text part, transfer encoding and charset undone, and
// into the header and text of nested messages.
func (t *textReader) bodyHas(want string) (bool, error) {
	if t.msg.Index == nil || t.msg.Index.Root == nil {
		return false, nil
	}
	if want == "" {
		return true, nil
	}
	b, err := t.content()
	if err != nil {
		return false, err
	}
	return partHas(b, t.msg.Index.Root, want)
}

// partHas: the depth of the tree is bounded by wire/mime.
func partHas(b Body, p *mime.Part, want string) (bool, error) {
	for _, c := range p.Children {
		if p.IsMessage() {
			raw, err := readSpan(b, c.HeaderStart, min(c.BodyStart, c.HeaderStart+maxSearchHeader))
			if err != nil {
				return false, err
			}
			if strings.Contains(fold(mime.DecodeText(string(raw))), want) {
				return true, nil
			}
		}
		if ok, err := partHas(b, c, want); ok || err != nil {
			return ok, err
		}
	}
	if len(p.Children) > 0 || p.Type != "text" {
		return false, nil
	}
	raw, err := readSpan(b, p.BodyStart, min(p.BodyEnd, p.BodyStart+maxSearchPart))
	if err != nil {
		return false, err
	}
	plain, err := io.ReadAll(mime.DecodeTransfer(p.Encoding, raw))
	if err != nil {
		return false, err
	}
	text := mime.DecodeCharset(p.Charset(), plain)
	if p.Subtype == "html" {
		text = mime.TextFromHTML(text, maxSearchHTML)
	}
	return strings.Contains(fold(text), want), nil
}
