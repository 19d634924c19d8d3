package imap

import (
	gomime "mime"
	"strings"

	"github.com/mohar-mail/mohar/wire/addr"
	"github.com/mohar-mail/mohar/wire/mime"
)

// AppendEnvelope writes ENVELOPE (RFC 9051 section 7.5.2). Without utf8OK,
// 8-bit text of a field is given as RFC 2047 words (RFC 6855 section 3).
func AppendEnvelope(b []byte, e *mime.Envelope, utf8OK bool) []byte {
	if e == nil {
		e = &mime.Envelope{}
	}
	b = append(b, '(')
	b = appendNText(b, e.Date, utf8OK)
	b = append(b, ' ')
	b = appendNText(b, e.Subject, utf8OK)
	for _, list := range [...][]addr.Address{e.From, e.SenderOrFrom(), e.ReplyToOrFrom(), e.To, e.Cc, e.Bcc} {
		b = append(b, ' ')
		b = appendAddresses(b, list, utf8OK)
	}
	b = append(b, ' ')
	b = appendNText(b, e.InReplyTo, utf8OK)
	b = append(b, ' ')
	b = appendNText(b, e.MessageID, utf8OK)
	return append(b, ')')
}

func appendNText(b []byte, s string, utf8OK bool) []byte {
	if s == "" {
		return append(b, "NIL"...)
	}
	return appendText2047(b, s, utf8OK)
}

func appendText2047(b []byte, s string, utf8OK bool) []byte {
	if !isASCII(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
		if !utf8OK {
			s = gomime.BEncoding.Encode("utf-8", s)
		}
	}
	return AppendString(b, s, utf8OK)
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// appendAddresses writes a list of addresses; groups as RFC 9051 section 7.5.2
// says: a start with NIL host, an end with NIL mailbox and host.
func appendAddresses(b []byte, list []addr.Address, utf8OK bool) []byte {
	if len(list) == 0 {
		return append(b, "NIL"...)
	}
	b = append(b, '(')
	for i := range list {
		a := &list[i]
		switch a.Kind {
		case addr.GroupStart:
			b = append(b, "(NIL NIL "...)
			b = appendText2047(b, a.Name, utf8OK)
			b = append(b, " NIL)"...)
		case addr.GroupEnd:
			b = append(b, "(NIL NIL NIL NIL)"...)
		default:
			b = append(b, '(')
			b = appendNText(b, a.Name, utf8OK)
			b = append(b, " NIL "...)
			// A NIL mailbox or host would mean a group: absent ones are empty strings.
			b = AppendString(b, a.Local, utf8OK)
			b = append(b, ' ')
			b = AppendString(b, a.Domain, utf8OK)
			b = append(b, ')')
		}
	}
	return append(b, ')')
}

// AppendStructure writes BODYSTRUCTURE, or with ext false BODY (RFC 9051
// section 7.5.2). The depth of the tree is bounded by wire/mime.
func AppendStructure(b []byte, p *mime.Part, ext, utf8OK bool) []byte {
	if p == nil {
		return append(b, `("text" "plain" NIL NIL NIL "7bit" 0 0)`...)
	}
	b = append(b, '(')
	if p.IsMultipart() && len(p.Children) > 0 {
		for _, c := range p.Children {
			b = AppendStructure(b, c, ext, utf8OK)
		}
		b = append(b, ' ')
		b = AppendString(b, p.Subtype, utf8OK)
		if ext {
			b = append(b, ' ')
			b = appendParams(b, p.Params, utf8OK)
			b = appendDisposition(b, p, utf8OK)
		}
		return append(b, ')')
	}
	typ, sub := p.Type, p.Subtype
	switch {
	case typ == "multipart", typ == "message" && (sub == "rfc822" || sub == "global") && !p.IsMessage():
		// A multipart or message whose inside could not be read has no form of its own.
		typ, sub = "application", "octet-stream"
	}
	b = AppendString(b, typ, utf8OK)
	b = append(b, ' ')
	b = AppendString(b, sub, utf8OK)
	b = append(b, ' ')
	b = appendParams(b, p.Params, utf8OK)
	b = append(b, ' ')
	b = appendNText(b, p.ID, utf8OK)
	b = append(b, ' ')
	b = appendNText(b, p.Description, utf8OK)
	b = append(b, ' ')
	b = AppendString(b, p.Encoding, utf8OK)
	b = append(b, ' ')
	b = AppendNum(b, uint64(p.Size()))
	switch {
	case p.IsMessage():
		b = append(b, ' ')
		b = AppendEnvelope(b, p.Children[0].Envelope, utf8OK)
		b = append(b, ' ')
		b = AppendStructure(b, p.Children[0], ext, utf8OK)
		b = append(b, ' ')
		b = AppendNum(b, uint64(p.Lines))
	case typ == "text":
		b = append(b, ' ')
		b = AppendNum(b, uint64(p.Lines))
	}
	if ext {
		b = append(b, ' ')
		b = appendNText(b, p.MD5, utf8OK)
		b = appendDisposition(b, p, utf8OK)
	}
	return append(b, ')')
}

// appendParams writes body-fld-param. A value that is not ASCII is written in
// the form of RFC 2231 for clients that have not enabled UTF-8.
func appendParams(b []byte, params []mime.Param, utf8OK bool) []byte {
	if len(params) == 0 {
		return append(b, "NIL"...)
	}
	b = append(b, '(')
	for i, p := range params {
		if i > 0 {
			b = append(b, ' ')
		}
		name, value := p.Name, p.Value
		if !utf8OK && !isASCII(value) {
			name, value = name+"*", encode2231(strings.ToValidUTF8(value, "\uFFFD"))
		}
		b = AppendString(b, name, utf8OK)
		b = append(b, ' ')
		b = AppendString(b, value, utf8OK)
	}
	return append(b, ')')
}

// encode2231 writes an extended value (RFC 2231 section 4) in UTF-8.
func encode2231(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	b.WriteString("utf-8''")
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c > 0x20 && c < 0x7f && !strings.ContainsRune(`*'%()<>@,;:\"/[]?=`, rune(c)) {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(hex[c>>4])
		b.WriteByte(hex[c&15])
	}
	return b.String()
}

// appendDisposition writes SP body-fld-dsp SP body-fld-lang SP body-fld-loc.
func appendDisposition(b []byte, p *mime.Part, utf8OK bool) []byte {
	b = append(b, ' ')
	if p.Disposition == "" {
		b = append(b, "NIL"...)
	} else {
		b = append(b, '(')
		b = AppendString(b, p.Disposition, utf8OK)
		b = append(b, ' ')
		b = appendParams(b, p.DispParams, utf8OK)
		b = append(b, ')')
	}
	b = append(b, ' ')
	switch len(p.Language) {
	case 0:
		b = append(b, "NIL"...)
	case 1:
		b = AppendString(b, p.Language[0], utf8OK)
	default:
		b = append(b, '(')
		for i, l := range p.Language {
			if i > 0 {
				b = append(b, ' ')
			}
			b = AppendString(b, l, utf8OK)
		}
		b = append(b, ')')
	}
	b = append(b, ' ')
	return appendNText(b, p.Location, utf8OK)
}
