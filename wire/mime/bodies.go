package mime

import "strings"

// Bodies are the lists of RFC 8621 section 4.1.4: what to show as plain text, as
// HTML, and what to offer beside it. A part may be in several.
type Bodies struct{ Text, HTML, Attachments []*Part }

// Bodies sorts the leaves of the tree by the procedure of RFC 8621 section
// 4.1.4. Nested messages are leaves here.
func (x *Index) Bodies() Bodies {
	var b Bodies
	b.walk([]*Part{x.Root}, "mixed", false, true, true)
	return b
}

// walk handles the children of one multipart. text and html say whether that
// list is still being filled: within an alternative only one of them is.
func (b *Bodies) walk(parts []*Part, subtype string, inAlternative, text, html bool) {
	textBefore, htmlBefore := len(b.Text), len(b.HTML)
	for i, p := range parts {
		isMulti := p.IsMultipart()
		media := isMedia(p)
		inline := p.Disposition != "attachment" && (p.is("text", "plain") || p.is("text", "html") || media) &&
			(i == 0 || subtype != "related" && (media || p.Filename() == ""))
		switch {
		case isMulti:
			b.walk(p.Children, p.Subtype, inAlternative || p.Subtype == "alternative", text, html)
		case inline && subtype == "alternative":
			switch {
			case p.is("text", "plain") && text:
				b.Text = append(b.Text, p)
			case p.is("text", "html") && html:
				b.HTML = append(b.HTML, p)
			default:
				b.Attachments = append(b.Attachments, p)
			}
		case inline:
			// RFC 8621: in an alternative, text belongs to its own list only.
			if inAlternative {
				if p.is("text", "plain") {
					html = false
				}
				if p.is("text", "html") {
					text = false
				}
			}
			if text {
				b.Text = append(b.Text, p)
			}
			if html {
				b.HTML = append(b.HTML, p)
			}
			if (!text || !html) && media {
				b.Attachments = append(b.Attachments, p)
			}
		default:
			b.Attachments = append(b.Attachments, p)
		}
	}
	if subtype == "alternative" && text && html {
		// Only one form was given: it stands for the other as well.
		if len(b.Text) == textBefore && len(b.HTML) > htmlBefore {
			b.Text = append(b.Text, b.HTML[htmlBefore:]...)
		} else if len(b.HTML) == htmlBefore && len(b.Text) > textBefore {
			b.HTML = append(b.HTML, b.Text[textBefore:]...)
		}
	}
}

func (p *Part) is(typ, sub string) bool { return p.Type == typ && p.Subtype == sub }

func isMedia(p *Part) bool { return p.Type == "image" || p.Type == "audio" || p.Type == "video" }

// finish derives what the index says of the whole message.
func (m *Message) finish() {
	b := m.Bodies()
	for _, p := range b.Attachments {
		if p.Disposition != "inline" {
			m.Flags |= HasAttachment
		}
	}
	m.Root.flags(&m.Flags)
	m.Preview = m.preview(b)
}

func (p *Part) flags(f *Flags) {
	switch {
	case p.is("application", "ms-tnef"), strings.EqualFold(p.Filename(), "winmail.dat"):
		*f |= HasTNEF | HasAttachment
	case p.is("text", "calendar"):
		*f |= HasCalendar
	case p.is("multipart", "signed"):
		*f |= IsSigned
	case p.is("multipart", "encrypted"):
		*f |= IsEncrypted
	case p.is("multipart", "report") && p.Envelope != nil:
		*f |= IsReport
	case p.is("application", "pkcs7-mime"), p.is("application", "x-pkcs7-mime"):
		if strings.HasPrefix(strings.ToLower(p.Param("smime-type")), "signed") {
			*f |= IsSigned
		} else {
			*f |= IsEncrypted
		}
	}
	for _, c := range p.Children {
		c.flags(f)
	}
}
