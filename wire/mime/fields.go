package mime

import (
	"bytes"
	"strings"
)

// fieldReader puts the fields of one header into a part and its envelope.
type fieldReader struct {
	p    *parser
	t    *Part
	seen seen
}

// seen has a bit for each field that may stand once (RFC 5322 section 3.6).
type seen uint32

const (
	seenType seen = 1 << iota
	seenEncoding
	seenDisposition
	seenDate
	seenSubject
	seenFrom
	seenSender
	seenReplyTo
	seenTo
	seenCc
	seenBcc
	seenInReplyTo
	seenMessageID
	seenReferences
	seenID
)

// once says whether the field is the first of its name.
func (f *fieldReader) once(b seen) bool {
	if f.seen&b != 0 {
		f.p.defect(DefectDuplicate)
		return false
	}
	f.seen |= b
	return true
}

const maxKnownName = 32

func (f *fieldReader) field(name, v []byte) {
	if len(name) > maxKnownName {
		return
	}
	var buf [maxKnownName]byte
	for i, c := range name {
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		buf[i] = c
	}
	low := buf[:len(name)]
	if bytes.HasPrefix(low, []byte("content-")) {
		f.content(low[len("content-"):], v)
	} else if f.t.Envelope != nil {
		f.envelope(low, v)
	}
}

func (f *fieldReader) content(name, v []byte) {
	t := f.t
	switch string(name) {
	case "type":
		if f.once(seenType) {
			f.contentType(v)
		}
	case "transfer-encoding":
		if f.once(seenEncoding) {
			main, _, _ := parseStructured(v)
			t.Encoding = main
			if !KnownEncoding(main) {
				f.p.defect(DefectEncoding)
			}
			if main == "" {
				t.Encoding = "7bit"
			}
		}
	case "disposition":
		if f.once(seenDisposition) {
			var bad bool
			t.Disposition, t.DispParams, bad = parseStructured(v)
			f.params(bad)
			if !isToken(t.Disposition) {
				// RFC 2183 section 2.8: what is not known is an attachment.
				t.Disposition = "attachment"
			}
		}
	case "id":
		if f.once(seenID) {
			t.ID = unfold(v, maxMsgID)
		}
	case "description":
		t.Description = unfold(v, maxEnvelopeText)
	case "language":
		t.Language = t.Language[:0]
		for _, l := range strings.Split(unfold(v, 256), ",") {
			if l = strings.TrimSpace(l); l != "" {
				t.Language = append(t.Language, l)
			}
		}
	case "location":
		t.Location = strings.Join(strings.Fields(unfold(v, maxEnvelopeText)), "")
	case "md5":
		t.MD5 = unfold(v, 64)
	}
}

func (f *fieldReader) params(bad bool) {
	if bad {
		f.p.defect(DefectParams)
	}
}

func (f *fieldReader) contentType(v []byte) {
	typ, sub, params, bad := parseMediaType(v)
	f.params(bad)
	f.t.Params = params
	if typ == "" {
		f.p.defect(DefectContentType)
		f.t.Type, f.t.Subtype = "text", "plain"
		return
	}
	f.t.Type, f.t.Subtype = typ, sub
}

func (f *fieldReader) envelope(name, v []byte) {
	e, p := f.t.Envelope, f.p
	switch string(name) {
	case "date":
		if f.once(seenDate) {
			e.Date = unfold(v, 256)
			e.Sent, _ = ParseDate(e.Date)
		}
	case "subject":
		if f.once(seenSubject) {
			e.Subject = unfold(v, maxEnvelopeText)
		}
	case "from":
		// A second From is appended and not dropped: whichever one another
		// reader would show, it is in sight here.
		f.once(seenFrom)
		e.From = p.addresses(e.From, v)
	case "sender":
		f.once(seenSender)
		e.Sender = p.addresses(e.Sender, v)
	case "reply-to":
		f.once(seenReplyTo)
		e.ReplyTo = p.addresses(e.ReplyTo, v)
	case "to":
		f.once(seenTo)
		e.To = p.addresses(e.To, v)
	case "cc":
		f.once(seenCc)
		e.Cc = p.addresses(e.Cc, v)
	case "bcc":
		f.once(seenBcc)
		e.Bcc = p.addresses(e.Bcc, v)
	case "in-reply-to":
		if f.once(seenInReplyTo) {
			e.InReplyTo = unfold(v, maxEnvelopeText)
		}
	case "message-id":
		if f.once(seenMessageID) {
			e.MessageID = unfold(v, maxMsgID)
		}
	case "references":
		if f.t == p.m.Root && f.once(seenReferences) {
			p.references(v)
		}
	}
}

// references keeps the first msg-id, which names the thread, and the last ones.
func (p *parser) references(v []byte) {
	ids := MsgIDs(string(v[:min(len(v), MaxFieldBytes)]), MaxFieldBytes/3)
	if len(ids) > MaxReferences {
		p.defect(DefectTooManyValues)
		ids = append(ids[:1:1], ids[len(ids)-MaxReferences+1:]...)
	}
	p.m.References = ids
}
