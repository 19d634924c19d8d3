package addr

import "strings"

// text gathers words and quoted strings. It keeps a lone piece as a slice of
// the field and copies only when there is more than one.
type text struct {
	one  string
	b    []byte
	n    int  // pieces
	gap  bool // white space seen since the last piece
	any  bool // something was there, be it an empty quoted string
	at   int  // offset of the last "@" outside quotes, or -1
	size int
}

// clear must come before the first use.
func (t *text) clear() { *t = text{at: -1} }

// first gives the first octet, without joining the pieces: a caller may ask at
// every octet of a hostile field.
func (t *text) first() byte {
	if t.one == "" {
		return 0
	}
	return t.one[0]
}

func (t *text) space() { t.gap = t.any }

func (t *text) add(s string) { t.put(s, true) }

func (t *text) quoted(s string) {
	t.put(s, false)
	t.any = true // `""` is a word, though an empty one
}

func (t *text) put(s string, bare bool) {
	if s == "" {
		return
	}
	switch t.n {
	case 0:
		t.one = s
	case 1:
		t.b = append(append(t.b[:0], t.one...), sep(t.gap)...)
		t.b = append(t.b, s...)
	default:
		t.b = append(append(t.b, sep(t.gap)...), s...)
	}
	if t.n > 0 && t.gap {
		t.size++
	}
	if bare {
		if i := strings.LastIndexByte(s, '@'); i >= 0 {
			t.at = t.size + i
		}
	}
	t.size += len(s)
	t.n++
	t.gap, t.any = false, true
}

func sep(gap bool) string {
	if gap {
		return " "
	}
	return ""
}

// String gives the pieces joined, one space for each run of white space.
func (t *text) String() string {
	if t.n <= 1 {
		return t.one
	}
	return string(t.b)
}

// split parts the text at its last bare "@". White space beside the dots and
// the "@" (RFC 5322 section 4.4, obs-local-part and obs-domain) is dropped.
func (t *text) split() (local, domain string) {
	s := t.String()
	if t.at < 0 {
		return cut(strings.TrimSpace(s), maxNameBytes), ""
	}
	local, domain = s[:t.at], s[t.at+1:]
	if strings.IndexByte(domain, ' ') >= 0 {
		domain = strings.ReplaceAll(domain, " ", "")
	}
	if strings.IndexByte(local, ' ') >= 0 {
		local = strings.TrimSpace(local)
		local = strings.ReplaceAll(strings.ReplaceAll(local, " .", "."), ". ", ".")
	}
	return cut(local, maxPartBytes), cut(domain, maxPartBytes)
}

// unescape drops the backslashes of quoted-pairs and the line ends of folding.
func unescape(s string) string {
	if strings.IndexAny(s, "\\\r\n\x00") < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\r' || c == '\n' || c == 0:
		case c == '\\' && i+1 < len(s):
			i++
			if n := s[i]; n != '\r' && n != '\n' && n != 0 {
				b = append(b, n)
			}
		default:
			b = append(b, c)
		}
	}
	return string(b)
}

func cut(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}
