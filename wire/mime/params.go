package mime

import (
	"strconv"
	"strings"
)

// ParseMediaType reads a Content-Type value: type and subtype in lower case,
// parameters decoded (RFC 2231, and by leniency RFC 2047). ok is false where
// there is no type/subtype; the parameters are given even so.
func ParseMediaType(value string) (typ, subtype string, params []Param, ok bool) {
	typ, subtype, params, _ = parseMediaType([]byte(value))
	return typ, subtype, params, typ != ""
}

// ParseDisposition reads a Content-Disposition value (RFC 2183), or any other
// field of the form word *(";" name "=" value); the word is in lower case.
func ParseDisposition(value string) (word string, params []Param) {
	word, params, _ = parseStructured([]byte(value))
	return word, params
}

func parseMediaType(v []byte) (typ, sub string, params []Param, bad bool) {
	main, params, bad := parseStructured(v)
	i := strings.IndexByte(main, '/')
	if i < 0 {
		return "", "", params, bad
	}
	typ, sub = strings.TrimSpace(main[:i]), strings.TrimSpace(main[i+1:])
	if !isToken(typ) || !isToken(sub) {
		return "", "", params, bad
	}
	return typ, sub, params, bad
}

// rawParam is a parameter as it stands, unquoted, its name in lower case.
type rawParam struct{ name, value string }

// parseStructured reads word *(";" parameter). bad says that something was cut
// or stood twice.
func parseStructured(v []byte) (main string, params []Param, bad bool) {
	if len(v) > MaxFieldBytes {
		v, bad = v[:MaxFieldBytes], true
	}
	s := unfold(v, MaxFieldBytes)
	i := strings.IndexByte(s, ';')
	if i < 0 {
		return strings.ToLower(strings.TrimSpace(stripComment(s))), nil, bad
	}
	main = strings.ToLower(strings.TrimSpace(stripComment(s[:i])))
	raw, cut := scanParams(s[i+1:])
	params, clash := assemble(raw)
	return main, params, bad || cut || clash
}

// stripComment drops what follows an opening parenthesis: no word of these
// fields holds one (RFC 2045 section 5.1, tspecials).
func stripComment(s string) string {
	if i := strings.IndexByte(s, '('); i > 0 {
		return s[:i]
	}
	return s
}

func scanParams(s string) (raw []rawParam, cut bool) {
	for {
		s = strings.TrimLeft(s, "; \t")
		if s == "" {
			return raw, false
		}
		if len(raw) >= MaxParams {
			return raw, true
		}
		end := strings.IndexAny(s, "=;")
		if end < 0 {
			return raw, false
		}
		if s[end] == ';' {
			s = s[end:]
			continue
		}
		name := strings.ToLower(strings.TrimSpace(s[:end]))
		s = strings.TrimLeft(s[end+1:], " \t")
		var value string
		if strings.HasPrefix(s, `"`) {
			value, s = scanQuotedValue(s)
			if i := strings.IndexByte(s, ';'); i >= 0 {
				s = s[i:]
			} else {
				s = ""
			}
		} else {
			i := strings.IndexByte(s, ';')
			if i < 0 {
				i = len(s)
			}
			value, s = strings.TrimSpace(s[:i]), s[i:]
			if !strings.Contains(name, "name") {
				value = strings.TrimSpace(stripComment(value))
			}
		}
		if name != "" {
			raw = append(raw, rawParam{name, value})
		}
	}
}

// scanQuotedValue reads a quoted-string. A backslash escapes only a quote or
// another backslash: programs write Windows paths unescaped.
func scanQuotedValue(s string) (value, rest string) {
	var b []byte
	from := 1
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			if b == nil {
				return s[from:i], s[i+1:]
			}
			return string(append(b, s[from:i]...)), s[i+1:]
		case '\\':
			if i+1 < len(s) && (s[i+1] == '"' || s[i+1] == '\\') {
				b = append(b, s[from:i]...)
				i++
				from = i
			}
		}
	}
	return string(append(b, s[from:]...)), ""
}

// assemble joins continuations and decodes (RFC 2231 sections 3 and 4). Where a
// name stands both plain and extended, the extended one counts. clash says that
// a name stands twice: two readers may take different ones.
func assemble(raw []rawParam) (params []Param, clash bool) {
	if len(raw) == 0 {
		return nil, false
	}
	params = make([]Param, 0, len(raw))
	var split map[string]*segments
	var order []string
	for _, r := range raw {
		star := strings.IndexByte(r.name, '*')
		if star <= 0 {
			if getParam(params, r.name) != "" {
				clash = true
				continue
			}
			params = append(params, Param{r.name, decodeParam(r.value)})
			continue
		}
		base, rest := r.name[:star], r.name[star+1:]
		if split == nil {
			split = map[string]*segments{}
		}
		g := split[base]
		if g == nil {
			g = &segments{}
			split[base] = g
			order = append(order, base)
		}
		clash = g.put(rest, r.value) || clash
	}
	for _, base := range order {
		v, ok := split[base].join()
		if !ok {
			continue
		}
		for i := range params {
			if params[i].Name == base {
				params[i].Value, base = v, ""
				break
			}
		}
		if base != "" {
			params = append(params, Param{base, v})
		}
	}
	return params, clash
}

// segments are the pieces of one extended parameter.
type segments struct{ list []segment }

type segment struct {
	n     int
	ext   bool
	value string
}

// put takes the piece "0", "0*" or "" (for "name*"), and says whether it stood
// before.
func (g *segments) put(key, value string) (twice bool) {
	p := segment{ext: true, value: value}
	if key != "" {
		key, p.ext = strings.CutSuffix(key, "*")
		n, err := strconv.Atoi(key)
		if err != nil || n < 0 || n >= MaxParams {
			return false
		}
		p.n = n
	}
	if g.find(p.n) != nil {
		return true
	}
	g.list = append(g.list, p)
	return false
}

// find looks through at most MaxParams pieces.
func (g *segments) find(n int) *segment {
	for i := range g.list {
		if g.list[i].n == n {
			return &g.list[i]
		}
	}
	return nil
}

// join puts the pieces together from 0 to the first that is missing.
func (g *segments) join() (string, bool) {
	charset := ""
	var b []byte
	n := 0
	for s := g.find(0); s != nil; s = g.find(n) {
		v := s.value
		if s.ext && n == 0 {
			if parts := strings.SplitN(v, "'", 3); len(parts) == 3 {
				charset, v = parts[0], parts[2]
			}
		}
		if s.ext {
			b = appendPercent(b, v)
		} else {
			b = append(b, v...)
		}
		n++
	}
	return cleanText(DecodeCharset(charset, b)), n > 0
}

// appendPercent decodes %XX; what is no such triple stays.
func appendPercent(b []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if hi, lo := unhex(s[i+1]), unhex(s[i+2]); hi >= 0 && lo >= 0 {
				b = append(b, byte(hi<<4|lo))
				i += 2
				continue
			}
		}
		b = append(b, s[i])
	}
	return b
}

// decodeParam decodes a plain value. RFC 2047 section 5 forbids encoded-words
// in it; daily mail has them.
func decodeParam(v string) string {
	if isASCIIString(v) && !strings.Contains(v, "=?") {
		return v
	}
	return DecodeText(v)
}

// cleanText makes spaces of the control characters that decoding brought in, so
// that no value can break a line of a protocol.
func cleanText(s string) string {
	if strings.IndexFunc(s, isControl) < 0 {
		return s
	}
	return strings.Map(func(r rune) rune {
		if isControl(r) {
			return ' '
		}
		return r
	}, s)
}

func isControl(r rune) bool { return r < ' ' && r != '\t' || r >= 0x7f && r < 0xa0 }

// isToken checks token of RFC 2045 section 5.1.
func isToken(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`()<>@,;:\"/[]?=`, c) >= 0 {
			return false
		}
	}
	return s != ""
}
