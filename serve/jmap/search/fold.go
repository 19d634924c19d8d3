// Package search compares text as people write it, in Devanagari and in Latin
// script, and shows where a search matched.
//
// Owns:      nothing.
// Trusts:    nobody; texts and queries are bounded.
// May touch: nothing.
// Standards: RFC 8621 sections 4.4.1 and 5; Unicode normalization forms.
package search

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Characters of Devanagari that people write in more than one way.
const (
	nukta       = '़' // often left out
	chandrabind = 'ँ' // often written as anusvara
	anusvara    = 'ं'
	virama      = '्'
	zwnj        = '‌'
	zwj         = '‍'
)

// Fold gives text as search compares it: without case, accents and nukta, with
// chandrabindu and half nasals as anusvara (so that हिन्दी finds हिंदी), joiners
// dropped and white space as single spaces.
func Fold(s string) string {
	f := folder{}
	f.run(s)
	return f.out.String()
}

// folder folds one text; with at set it remembers where each octet came from.
type folder struct {
	out    strings.Builder
	at     []int // for each octet of out, the octet of the text that made it
	mapped bool
	space  bool
}

func (f *folder) put(r rune, from int) {
	f.out.WriteRune(r)
	if f.mapped {
		for range utf8.RuneLen(r) {
			f.at = append(f.at, from)
		}
	}
}

func (f *folder) run(s string) {
	f.out.Grow(len(s))
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if m := halfNasal(r, s[i+n:]); m > 0 {
			f.space = false
			f.put(anusvara, i)
			i += n + m
			continue
		}
		f.rune(r, i)
		i += n
	}
}

func (f *folder) rune(r rune, from int) {
	switch {
	case r < utf8.RuneSelf:
		if r == ' ' || '\t' <= r && r <= '\r' {
			f.blank(from)
			return
		}
		f.space = false
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		f.put(r, from)
	case unicode.IsSpace(r):
		f.blank(from)
	default:
		f.space = false
		for _, d := range norm.NFD.String(string(r)) {
			switch {
			case d == nukta || d == zwj || d == zwnj || '̀' <= d && d <= 'ͯ':
			case d == chandrabind:
				f.put(anusvara, from)
			default:
				f.put(unicode.ToLower(unicode.ToUpper(d)), from)
			}
		}
	}
}

func (f *folder) blank(from int) {
	if !f.space && f.out.Len() > 0 {
		f.put(' ', from)
	}
	f.space = true
}

// halfNasal recognises a nasal with virama before a stop of its own class, and
// gives the octets of the virama.
func halfNasal(r rune, rest string) int {
	var from, to rune
	switch r {
	case 'ङ':
		from, to = 'क', 'घ'
	case 'ञ':
		from, to = 'च', 'झ'
	case 'ण':
		from, to = 'ट', 'ढ'
	case 'न':
		from, to = 'त', 'ध'
	case 'म':
		from, to = 'प', 'भ'
	default:
		return 0
	}
	v, n := utf8.DecodeRuneInString(rest)
	if v != virama {
		return 0
	}
	if next, _ := utf8.DecodeRuneInString(rest[n:]); next < from || next > to {
		return 0
	}
	return n
}

// Bounds of a search text.
const (
	maxTerms    = 32
	maxTermText = 1024 // octets of the whole text
)

// Terms parts a search text into folded terms that must all be found: quoted
// phrases, and words between white space (RFC 8621 section 4.4.1). A quote
// without its match is a character like any other.
func Terms(s string) []string {
	s = strings.ToValidUTF8(s[:min(len(s), maxTermText)], "")
	var out []string
	for s != "" && len(out) < maxTerms {
		s = strings.TrimLeftFunc(s, unicode.IsSpace)
		if s == "" {
			break
		}
		term := ""
		if phrase, rest, ok := quoted(s); ok {
			term, s = phrase, rest
		} else {
			i := strings.IndexFunc(s, unicode.IsSpace)
			if i < 0 {
				i = len(s)
			}
			term, s = s[:i], s[i:]
		}
		if t := strings.TrimSpace(Fold(term)); t != "" {
			out = append(out, t)
		}
	}
	return out
}

// quoted reads a phrase at the beginning of s.
func quoted(s string) (phrase, rest string, ok bool) {
	if s[0] != '"' && s[0] != '\'' {
		return "", s, false
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s) && strings.IndexByte(`'"\`, s[i+1]) >= 0:
			i++
			b.WriteByte(s[i])
		case s[i] == s[0]:
			return b.String(), s[i+1:], true
		default:
			b.WriteByte(s[i])
		}
	}
	return "", s, false
}

// HasAll says whether a folded text holds every term.
func HasAll(folded string, terms []string) bool {
	for _, t := range terms {
		if !strings.Contains(folded, t) {
			return false
		}
	}
	return true
}
