// Package detect finds what a writer did not say: classification markings in a
// subject, at the top and bottom of a text, and in file names, in English and
// Hindi.
//
// Owns:      the words of the markings.
// Trusts:    nobody; the text is a stranger's and may be of any length.
// May touch: nothing but its arguments.
// Standards: the levels and their Hindi names as the platform prints them:
// top secret परम गुप्त, secret गुप्त, confidential गोपनीय, restricted प्रतिबंधित.
package detect

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	mohar "github.com/mohar-mail/mohar"
)

// Bounds of one look at a message.
const (
	edgeLines = 5       // lines looked at from the top and from the bottom
	edgeBytes = 8 << 10 // bytes that those lines are sought in, at each end
	maxLine   = 512     // bytes of a line that are looked at
	maxNames  = 64      // file names
	maxWords  = 128     // words of a line
)

// Place says where a marking was found.
type Place string

// The places.
const (
	Subject  Place = "subject"
	Top      Place = "top"
	Bottom   Place = "bottom"
	FileName Place = "file-name"
)

// Marking is one marking found. It holds no text of the message.
type Marking struct {
	Label mohar.Label `json:"label"`
	Place Place       `json:"place"`
}

// Input is what is looked at. Text is plain UTF-8; HTML is given as its text.
type Input struct {
	Subject string
	Text    []byte
	Files   []string
}

// Scan gives the highest marking of every place, in the order of the places.
//
// A word alone is no marking: "secret" is one only where people put markings,
// that is as a whole line, in brackets, in capitals before or after a
// separator, or as a token of a file name. So neither a surname (राम गुप्त), nor
// privacy (गोपनीयता), nor a lawyer's footer is taken for one.
func Scan(in Input) []Marking {
	var out []Marking
	add := func(p Place, l mohar.Label) {
		if l > mohar.NoLabel {
			out = append(out, Marking{l, p})
		}
	}
	add(Subject, line(in.Subject, false))
	top, bottom := edges(in.Text)
	for _, e := range []struct {
		place Place
		lines [][]byte
	}{{Top, top}, {Bottom, bottom}} {
		high := mohar.NoLabel
		for _, l := range e.lines {
			high = max(high, line(string(l[:min(len(l), maxLine)]), false))
		}
		add(e.place, high)
	}
	high := mohar.NoLabel
	for i, f := range in.Files {
		if i == maxNames {
			break
		}
		high = max(high, line(f, true))
	}
	add(FileName, high)
	return out
}

// Highest gives the highest label of the markings; NoLabel where there is none.
func Highest(ms []Marking) mohar.Label {
	high := mohar.NoLabel
	for _, m := range ms {
		high = max(high, m.Label)
	}
	return high
}

// edges gives the first and the last lines that are not blank.
func edges(text []byte) (top, bottom [][]byte) {
	head, tail := text[:min(len(text), edgeBytes)], text[max(len(text)-edgeBytes, 0):]
	for len(head) > 0 && len(top) < edgeLines {
		l, rest, _ := bytes.Cut(head, []byte("\n"))
		if l = bytes.TrimSpace(l); len(l) > 0 {
			top = append(top, l)
		}
		head = rest
	}
	for len(tail) > 0 && len(bottom) < edgeLines {
		i := bytes.LastIndexByte(tail, '\n')
		if l := bytes.TrimSpace(tail[i+1:]); len(l) > 0 {
			bottom = append(bottom, l)
		}
		tail = tail[:max(i, 0)]
	}
	return top, bottom
}

// word is a run of letters; before and after are what stands around it.
type word struct {
	text  string // folded to lower case
	caps  bool   // written in capitals, or in a script without case
	ascii bool
	gap   string // what stands between it and the word before it
}

// line gives the highest marking of one line.
func line(s string, file bool) mohar.Label {
	if len(s) > maxLine {
		s = s[:maxLine]
	}
	ws, tail := words(norm.NFC.String(s))
	ws, tail = unspaced(ws, tail)
	high := mohar.NoLabel
	covered := make([]bool, len(ws))
	type hit struct {
		from, to int
		label    mohar.Label
		any      bool
	}
	var hits []hit
	for i := 0; i < len(ws); {
		p, n := match(ws[i:])
		if n == 0 {
			covered[i] = neutral(ws[i].text)
			i++
			continue
		}
		hits = append(hits, hit{i, i + n, p.label, p.anywhere})
		for k := i; k < i+n; k++ {
			covered[k] = true
		}
		i += n
	}
	if len(hits) == 0 {
		return high
	}
	whole := true
	for _, c := range covered {
		whole = whole && c
	}
	for _, h := range hits {
		if whole || position(ws, h.from, h.to, tail, h.any, file || strings.Contains(s, ".")) {
			high = max(high, h.label)
		}
	}
	if !whole && legal(s) {
		return mohar.NoLabel
	}
	return high
}

// position says whether the words from..to stand where markings stand.
func position(ws []word, from, to int, tail string, anywhere, file bool) bool {
	before, after := ws[from].gap, tail
	if to < len(ws) {
		after = ws[to].gap
	}
	caps := true
	for _, w := range ws[from:to] {
		caps = caps && w.caps
	}
	if anywhere && caps {
		return true
	}
	b, a := strings.TrimSpace(before), strings.TrimSpace(after)
	open, closed := lastRune(b), firstRune(a)
	if strings.ContainsRune("[({*【<«", open) && strings.ContainsRune("])}*】>»", closed) {
		return true
	}
	if !caps {
		return false
	}
	if file && before != "" && after != "" && strings.ContainsRune("-_.()", lastRune(before)) && strings.ContainsRune("-_.()", firstRune(after)) {
		return true
	}
	if from == 0 && strings.ContainsRune(":-–—/|", closed) && a != "" {
		return spaced(after) || closed == ':'
	}
	return to == len(ws) && b != "" && strings.ContainsRune(":-–—/|", open) && spaced(before)
}

// spaced says whether a separator stands apart from the words, as a dash does
// and a hyphen does not.
func spaced(gap string) bool { return strings.ContainsRune(gap, ' ') }

func lastRune(s string) rune  { r, _ := utf8.DecodeLastRuneInString(s); return r }
func firstRune(s string) rune { r, _ := utf8.DecodeRuneInString(s); return r }

// words cuts s into words and gives what follows the last one.
func words(s string) ([]word, string) {
	var ws []word
	start, gap := -1, 0
	end := func(i int) {
		if start < 0 || len(ws) == maxWords {
			start = -1
			return
		}
		raw := strings.Map(dropJoiners, s[start:i])
		low := strings.ToLower(raw)
		ws = append(ws, word{text: low, caps: strings.ToUpper(raw) == raw, ascii: len(raw) == utf8.RuneCountInString(raw), gap: s[gap:start]})
		start, gap = -1, i
	}
	for i, r := range s {
		inside := unicode.IsLetter(r) || unicode.IsMark(r) || unicode.IsDigit(r) || dropJoiners(r) < 0
		switch {
		case inside && start < 0:
			start = i
		case !inside && start >= 0:
			end(i)
		}
	}
	end(len(s))
	return ws, s[gap:]
}

// dropJoiners removes ZWNJ and ZWJ, which change no letter.
func dropJoiners(r rune) rune {
	if r == '\u200c' || r == '\u200d' {
		return -1
	}
	return r
}

// unspaced joins runs of single letters, "S E C R E T", into words.
func unspaced(ws []word, tail string) ([]word, string) {
	const fewest = 5 // letters; "A B C" is a list
	var out []word
	for i := 0; i < len(ws); {
		j := i
		for j < len(ws) && len(ws[j].text) == 1 && ws[j].caps && (j == i || len(strings.TrimSpace(ws[j].gap)) <= 1) {
			j++
		}
		if j-i < fewest {
			out = append(out, ws[i])
			i++
			continue
		}
		w := word{caps: true, ascii: true, gap: ws[i].gap}
		for _, l := range ws[i:j] {
			w.text += l.text
		}
		out = append(out, w)
		i = j
	}
	return out, tail
}

// legal says whether a line is one of the footers that lawyers put below mail.
func legal(s string) bool {
	low := strings.ToLower(s)
	for _, w := range []string{"privileged", "intended recipient", "this e-mail", "this email", "this message", "इस ईमेल", "यह ईमेल", "यह ई-मेल"} {
		if strings.Contains(low, w) {
			return true
		}
	}
	return false
}
