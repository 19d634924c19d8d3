package mime

import (
	"encoding/base64"
	"strings"
)

// maxWord bounds one encoded-word; RFC 2047 section 2 allows 75 octets, mailers
// write longer ones.
const maxWord = 4 << 10

// DecodeText gives an unstructured value or a phrase in UTF-8: encoded-words
// decoded (RFC 2047), the white space between two of them dropped, unlabelled
// 8-bit read as UTF-8 or else windows-1252. What cannot be decoded stays as it
// is. Control characters become spaces, so that the result is one line. Words
// within quoted strings are decoded too, against section 5 and with common use.
func DecodeText(s string) string {
	if !strings.Contains(s, "=?") {
		if isASCIIString(s) {
			return cleanText(s)
		}
		return cleanText(DecodeCharset("", []byte(s)))
	}
	var out strings.Builder
	var run wordRun
	for s != "" {
		i := strings.Index(s, "=?")
		if i < 0 {
			break
		}
		w, n, ok := scanWord(s[i:])
		if !ok {
			run.flush(&out)
			plain(&out, s[:i+2])
			s = s[i+2:]
			continue
		}
		if gap := s[:i]; gap != "" && (!run.any || strings.Trim(gap, " \t\r\n") != "") {
			run.flush(&out)
			plain(&out, gap)
		}
		run.add(&out, w)
		s = s[i+n:]
	}
	run.flush(&out)
	plain(&out, s)
	return cleanText(out.String())
}

func plain(out *strings.Builder, s string) {
	if isASCIIString(s) {
		out.WriteString(s)
	} else {
		out.WriteString(DecodeCharset("", []byte(s)))
	}
}

// word is an encoded-word in its three parts.
type word struct {
	charset string
	base64  bool
	text    string
}

// scanWord reads "=?charset?B?text?=" at the start of s, and its length.
func scanWord(s string) (w word, n int, ok bool) {
	head := s[2:min(len(s), 2+maxCharsetName+32)]
	q := strings.IndexByte(head, '?')
	if q <= 0 || len(s) < 2+q+3 || s[2+q+2] != '?' {
		return word{}, 0, false
	}
	w.charset = s[2 : 2+q]
	if strings.ContainsAny(w.charset, " \t\r\n\"()<>@,;:[]=") {
		return word{}, 0, false
	}
	if i := strings.IndexByte(w.charset, '*'); i >= 0 {
		w.charset = w.charset[:i] // RFC 2231 section 5: a language follows
	}
	switch s[2+q+1] | 0x20 {
	case 'b':
		w.base64 = true
	case 'q':
	default:
		return word{}, 0, false
	}
	start := 2 + q + 3
	rest := s[start:min(len(s), start+maxWord)]
	end := strings.Index(rest, "?=")
	if end < 0 {
		return word{}, 0, false
	}
	w.text = rest[:end]
	// An encoded-word that holds another one's start is two words, of which the
	// first lacks its end.
	if strings.Contains(w.text, "=?") {
		return word{}, 0, false
	}
	return w, start + end + 2, true
}

// wordRun joins the octets of adjacent words of one charset before converting
// them: mailers cut a character of several octets in two, against section 5 (3).
type wordRun struct {
	any     bool
	charset string
	octets  []byte
}

func (r *wordRun) add(out *strings.Builder, w word) {
	if r.any && !strings.EqualFold(r.charset, w.charset) {
		r.flush(out)
	}
	r.any, r.charset = true, w.charset
	if w.base64 {
		r.octets = appendBase64(r.octets, w.text)
	} else {
		r.octets = appendQ(r.octets, w.text)
	}
}

func (r *wordRun) flush(out *strings.Builder) {
	if r.any {
		out.WriteString(DecodeCharset(r.charset, r.octets))
		r.any, r.octets = false, r.octets[:0]
	}
}

// appendQ decodes "Q" (RFC 2047 section 4.2).
func appendQ(b []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '_':
			b = append(b, ' ')
		case c == '=' && i+2 < len(s) && unhex(s[i+1]) >= 0 && unhex(s[i+2]) >= 0:
			b = append(b, byte(unhex(s[i+1])<<4|unhex(s[i+2])))
			i += 2
		default:
			b = append(b, c)
		}
	}
	return b
}

// appendBase64 decodes with the leniency of the body decoder.
func appendBase64(b []byte, s string) []byte {
	d := base64State{}
	for i := 0; i < len(s); i++ {
		b = d.put(b, s[i])
	}
	return d.end(b)
}

func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	}
	return -1
}

const (
	maxWordOut  = 75 // RFC 2047 section 2, octets of one encoded-word
	wordHead    = "=?utf-8?b?"
	wordTail    = "?="
	wordPayload = (maxWordOut - len(wordHead) - len(wordTail)) / 4 * 3
)

// EncodeText gives text as it may stand in an unstructured value of an ASCII
// header: unchanged where it is ASCII and cannot be mistaken for an
// encoded-word, else as UTF-8 encoded-words of whole characters, parted by a
// space where the writer may fold.
func EncodeText(s string) string {
	s = cleanText(strings.ToValidUTF8(s, "\ufffd"))
	if isASCIIString(s) && !strings.Contains(s, "=?") {
		return s
	}
	return encodeWords(s)
}

func encodeWords(s string) string {
	var b strings.Builder
	for s != "" {
		n := 0
		for i, r := range s {
			if size := i + len(string(r)); size > wordPayload {
				break
			} else {
				n = size
			}
		}
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(wordHead + base64.StdEncoding.EncodeToString([]byte(s[:n])) + wordTail)
		s = s[n:]
	}
	return b.String()
}
