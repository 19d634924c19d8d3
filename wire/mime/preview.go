package mime

import (
	"html"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// PreviewRunes is the length of a preview in characters (RFC 8970 section 3.1
// recommends 200).
const PreviewRunes = 200

// Bounds of what a preview looks at.
const (
	maxPreviewParts = 4
	maxPreviewInput = 64 << 10 // octets of one body, decoded
)

// preview gives the first readable text: of plain text, or of HTML where there
// is no plain text or it is empty.
func (m *Message) preview(b Bodies) string {
	tried := 0
	for _, list := range [][]*Part{b.Text, b.HTML} {
		for _, p := range list {
			if p.Type != "text" {
				continue
			}
			if tried++; tried > maxPreviewParts {
				return ""
			}
			if s := m.previewOf(p); s != "" {
				return s
			}
		}
	}
	return ""
}

func (m *Message) previewOf(p *Part) string {
	// Nearly always the first few lines are enough.
	for _, n := range [...]int64{4 << 10, maxPreviewInput} {
		n = min(n, p.DecodedSize)
		raw := make([]byte, n)
		k, _ := io.ReadFull(DecodeTransfer(p.Encoding, m.Body(p)), raw)
		text := DecodeCharset(p.Charset(), raw[:k])
		if n < p.DecodedSize {
			text = strings.TrimSuffix(text, "\ufffd") // a character cut in two
		}
		var s string
		if p.Subtype == "html" {
			s = TextFromHTML(text, PreviewRunes)
		} else if s = squeeze(dropQuoted(text), PreviewRunes); s == "" {
			s = squeeze(text, PreviewRunes)
		}
		if n == p.DecodedSize || n == maxPreviewInput || utf8.RuneCountInString(s) >= PreviewRunes {
			return s
		}
	}
	return ""
}

// dropQuoted leaves out the lines that quote another message, and all from the
// signature on.
func dropQuoted(s string) string {
	if !strings.Contains(s, ">") && !strings.Contains(s, "\n-- ") {
		return s
	}
	var b strings.Builder
	for line := range strings.Lines(s) {
		if strings.TrimRight(line, "\r\n") == "-- " {
			break
		}
		if !strings.HasPrefix(line, ">") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// squeeze makes one line of text: runs of white space become a space, controls
// and the marks that steer direction go, at most max characters.
func squeeze(s string, max int) string {
	var b strings.Builder
	gap, n := false, 0
	for _, r := range s {
		if unicode.IsSpace(r) || isControl(r) {
			gap = b.Len() > 0
			continue
		}
		if r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069' || r == '\ufeff' || r == '\u200b' || r == '\u034f' || r == '\u00ad' {
			continue
		}
		if gap {
			if n++; n >= max {
				break
			}
			b.WriteByte(' ')
			gap = false
		}
		b.WriteRune(r)
		if n++; n >= max {
			break
		}
	}
	return b.String()
}

// TextFromHTML gives the readable text of HTML in one line, at most max
// characters: tags dropped, blocks parted by a space, character references
// decoded. It is for previews and search, never for showing: it is no sanitiser.
func TextFromHTML(s string, max int) string {
	var b strings.Builder
	for s != "" && b.Len() < 16*max {
		i := strings.IndexByte(s, '<')
		if i < 0 {
			b.WriteString(s)
			break
		}
		b.WriteString(s[:i])
		s = s[i:]
		if strings.HasPrefix(s, "<!--") {
			if _, rest, ok := strings.Cut(s[4:], "-->"); ok {
				s = rest
				continue
			}
			break
		}
		name := tagName(s[1:])
		if name == "" {
			b.WriteByte('<')
			s = s[1:]
			continue
		}
		end := strings.IndexByte(s, '>')
		if end < 0 {
			break
		}
		s = s[end+1:]
		switch name {
		case "style", "script", "head", "title", "template", "noscript":
			s = skipElement(s, name)
		case "b", "/b", "i", "/i", "em", "/em", "strong", "/strong", "span", "/span", "a", "/a", "font", "/font", "u", "/u", "wbr":
		default:
			b.WriteByte(' ')
		}
	}
	return squeeze(html.UnescapeString(b.String()), max)
}

// tagName gives the lower-case name of a tag, with a slash if it closes; "" if
// it is none.
func tagName(s string) string {
	i := 0
	if i < len(s) && s[i] == '/' {
		i++
	}
	if i >= len(s) || !(s[i]|0x20 >= 'a' && s[i]|0x20 <= 'z' || s[i] == '!' || s[i] == '?') {
		return ""
	}
	for i < len(s) && i < 16 && s[i] != '>' && s[i] > ' ' && (s[i] != '/' || i == 0) {
		i++
	}
	return strings.ToLower(s[:i])
}

// skipElement steps over the content of an element that is not text. Without
// its end tag nothing is left, as browsers have it for style and script.
func skipElement(s, name string) string {
	for {
		i := strings.Index(s, "</")
		if i < 0 {
			return ""
		}
		s = s[i+2:]
		if len(s) >= len(name) && strings.EqualFold(s[:len(name)], name) {
			if end := strings.IndexByte(s, '>'); end >= 0 {
				return s[end+1:]
			}
			return ""
		}
	}
}
