package outside

import (
	"html"
	"io"
	"regexp"
	"strings"

	"github.com/mohar-mail/mohar/wire/mime"
)

// maxText is how much of a letter's text a page shows, in octets.
const maxText = 256 << 10

var tags = regexp.MustCompile(`(?s)<(style|script)[^>]*>.*?</(style|script)>|<[^>]*>`)

// readable gives the text of a letter, the plain form before the HTML one.
func readable(m *mime.Message) string {
	part := find(m.Root, "plain")
	if part == nil {
		part = find(m.Root, "html")
	}
	if part == nil {
		return ""
	}
	r := mime.NewUTF8Reader(part.Charset(), mime.DecodeTransfer(part.Encoding, m.Body(part)), maxText)
	text, err := io.ReadAll(r)
	if err != nil && len(text) == 0 {
		return ""
	}
	if part.Subtype == "html" {
		return strings.TrimSpace(html.UnescapeString(tags.ReplaceAllString(string(text), "")))
	}
	return string(text)
}

// find gives the first text part of a subtype that is no attachment.
func find(p *mime.Part, subtype string) *mime.Part {
	if p.Type == "text" && p.Subtype == subtype && p.Disposition != "attachment" {
		return p
	}
	for _, c := range p.Children {
		if f := find(c, subtype); f != nil {
			return f
		}
	}
	return nil
}
