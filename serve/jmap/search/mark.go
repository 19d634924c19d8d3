package search

import (
	"sort"
	"strings"
	"unicode/utf8"
)

// Bounds of a snippet.
const (
	MaxSnippet  = 255 // octets, marks and entities counted (RFC 8621 section 5)
	snippetLead = 40  // octets shown before the first match
)

// span is a stretch of a text, in octets.
type span struct{ from, to int }

// matchSpans gives the stretches of text that match a term, without overlaps.
func matchSpans(text string, words []string) []span {
	f := folder{mapped: true}
	f.run(text)
	folded := f.out.String()
	end := func(i int) int { // the octet of text after the one that made folded[i-1]
		if i >= len(f.at) {
			return len(text)
		}
		return f.at[i]
	}
	var spans []span
	for _, w := range words {
		for i := 0; len(spans) < MaxSnippet; {
			j := strings.Index(folded[i:], w)
			if j < 0 {
				break
			}
			from := i + j
			i = from + len(w)
			spans = append(spans, span{f.at[from], end(i)})
		}
	}
	sort.Slice(spans, func(a, b int) bool { return spans[a].from < spans[b].from })
	out := spans[:0]
	for _, s := range spans {
		if n := len(out); n > 0 && s.from < out[n-1].to {
			out[n-1].to = max(out[n-1].to, s.to)
			continue
		}
		out = append(out, s)
	}
	return out
}

// Mark gives text with its matches marked and HTML escaped, from shortly before
// the first match and at most limit octets (0: all of it); nil where nothing
// matches.
func Mark(text string, words []string, limit int) *string {
	spans := matchSpans(text, words)
	if len(spans) == 0 {
		return nil
	}
	const open, shut, more = "<mark>", "</mark>", "…"
	var b strings.Builder
	at := 0
	if limit > 0 && spans[0].from > snippetLead {
		at = wordStart(text, spans[0].from-snippetLead)
		b.WriteString(more)
	}
	// room says whether n more octets and a closing mark still fit.
	room := func(n int) bool { return limit == 0 || b.Len()+n+len(shut) <= limit }
	for len(spans) > 0 || at < len(text) {
		inside := len(spans) > 0 && at == spans[0].from
		if inside {
			if !room(len(open) + utf8.UTFMax) {
				break
			}
			b.WriteString(open)
		}
		end := len(text)
		if inside {
			end = spans[0].to
			spans = spans[1:]
		} else if len(spans) > 0 {
			end = spans[0].from
		}
		whole := true
		for at < end {
			_, n := utf8.DecodeRuneInString(text[at:])
			e := escape(text[at : at+n])
			if whole = room(len(e)); !whole {
				break
			}
			b.WriteString(e)
			at += n
		}
		if inside {
			b.WriteString(shut)
		}
		if !whole {
			break
		}
	}
	s := b.String()
	return &s
}

// wordStart gives the beginning of the word after i.
func wordStart(text string, i int) int {
	if j := strings.IndexAny(text[i:], " \n\t"); j >= 0 && j < snippetLead/2 {
		return i + j + 1
	}
	for i > 0 && !utf8.RuneStart(text[i]) {
		i--
	}
	return i
}

// escape prints one character as HTML, white space as a space.
func escape(s string) string {
	switch s {
	case "&":
		return "&amp;"
	case "<":
		return "&lt;"
	case ">":
		return "&gt;"
	case "\n", "\r", "\t":
		return " "
	}
	return s
}
