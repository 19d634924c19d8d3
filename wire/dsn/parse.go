package dsn

import (
	"bytes"
	"io"
	"strings"

	"github.com/mohar-mail/mohar/wire/mime"
)

// Parse reads a delivery status notification. ok is false where m holds no
// delivery-status part with a recipient: then it is ordinary mail, whatever its
// subject says. Addresses and texts in the report are claims of whoever sent it.
func Parse(m *mime.Message) (r *Report, ok bool) {
	if !m.Root.IsMultipart() || m.Root.Subtype != "report" {
		return nil, false
	}
	r = &Report{MessageID: m.Envelope().MessageID, Date: m.Envelope().Sent}
	if len(m.Envelope().From) > 0 {
		r.From = m.Envelope().From[0]
	}
	for _, p := range m.Root.Children {
		switch p.MediaType() {
		case "message/delivery-status", "message/global-delivery-status":
			if r.Recipients == nil {
				r.status(decoded(m, p, maxStatusBytes))
			}
		case "message/rfc822", "message/global":
			r.Original, r.ReturnFull = m.Body(p), true
			if p.IsMessage() {
				r.OriginalID = p.Children[0].Envelope.MessageID
			}
		case "text/rfc822-headers", "message/global-headers", "message/rfc822-headers":
			r.Original = decoded(m, p, MaxHeader)
			r.OriginalID = mime.Parse(r.Original).Envelope().MessageID
		}
	}
	return r, len(r.Recipients) > 0
}

func decoded(m *mime.Message, p *mime.Part, limit int64) []byte {
	// Reading from memory cannot fail.
	b, _ := io.ReadAll(io.LimitReader(mime.DecodeTransfer(p.Encoding, m.Body(p)), limit))
	return b
}

// status reads the groups of fields, parted by blank lines (RFC 3464 section
// 2.1): the first is about the message, each other about a recipient.
func (r *Report) status(b []byte) {
	b = bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n"))
	first := true
	for len(b) > 0 && len(r.Recipients) < MaxRecipients {
		b = bytes.TrimLeft(b, "\n")
		group, rest, _ := bytes.Cut(b, []byte("\n\n"))
		b = rest
		var p Recipient
		for f := range mime.Header(group).Fields() {
			value := f.Text()
			name := strings.ToLower(f.Name)
			if first {
				r.messageField(name, value)
			}
			// Some systems write no group for the message, or one group for all.
			p.field(name, value)
		}
		if p.Final != "" || p.Original.Addr != "" {
			r.Recipients = append(r.Recipients, p)
		}
		first = false
	}
}

func (r *Report) messageField(name, value string) {
	switch name {
	case "original-envelope-id":
		r.EnvelopeID = value
	case "reporting-mta":
		r.ReportingMTA = typed(value).Addr
	case "arrival-date":
		r.Arrival, _ = mime.ParseDate(value)
	}
}

func (p *Recipient) field(name, value string) {
	switch name {
	case "original-recipient":
		p.Original = typed(value)
	case "final-recipient":
		p.Final = typed(value).Addr
	case "action":
		p.Action = Action(word(value))
	case "status":
		p.Status = word(value)
	case "remote-mta":
		p.RemoteMTA = typed(value).Addr
	case "diagnostic-code":
		p.Diagnostic = mime.DecodeText(typed(value).Addr)
	case "localized-diagnostic":
		switch t := typed(value); {
		case strings.HasPrefix(t.Type, "hi"):
			p.Explanation.Hi = mime.DecodeText(t.Addr)
		case strings.HasPrefix(t.Type, "en"):
			p.Explanation.En = mime.DecodeText(t.Addr)
		}
	case "last-attempt-date":
		p.LastAttempt, _ = mime.ParseDate(value)
	case "will-retry-until":
		p.RetryUntil, _ = mime.ParseDate(value)
	case "final-log-id":
		p.LogID = value
	}
}

// word gives the first word, lower case: comments follow in daily mail.
func word(s string) string {
	if i := strings.IndexAny(s, " \t(;"); i >= 0 {
		s = s[:i]
	}
	return strings.ToLower(s)
}

// typed parts "type; value". A value without a type is taken as it is.
func typed(s string) Address {
	typ, v, ok := strings.Cut(s, ";")
	if !ok {
		return Address{Addr: strings.TrimSpace(s)}
	}
	a := Address{Type: strings.ToLower(strings.TrimSpace(typ)), Addr: strings.TrimSpace(v)}
	if a.Type == "utf-8" {
		if d, err := decodeUnitext(a.Addr); err == nil {
			a.Addr = d
		}
	}
	return a
}
