package mime

import (
	"bytes"
	"iter"
	"strings"
)

// Header is the octets of a header, with or without its closing blank line.
type Header []byte

// Field is one field of a header.
type Field struct {
	Name  string // as it stands, without white space before the colon
	Value []byte // what follows the colon, folded, without the last line end
	Raw   []byte // the whole field with its line end
	Off   int    // of Raw, from the start of the header
}

// Text gives the value unfolded and trimmed, not decoded.
func (f Field) Text() string { return unfold(f.Value, maxFieldText) }

// Is says whether the field has that name, in any case.
func (f Field) Is(name string) bool { return strings.EqualFold(f.Name, name) }

const maxFieldText = MaxFieldBytes

// Fields ranges over the fields in their order. Lines that are no field are
// skipped. It ends at the blank line.
func (h Header) Fields() iter.Seq[Field] {
	return func(yield func(Field) bool) {
		sc := fieldScanner{b: h}
		for sc.next() {
			if sc.name == nil {
				continue
			}
			f := Field{Name: string(sc.name), Value: sc.value, Raw: h[sc.start:sc.pos], Off: sc.start}
			if !yield(f) {
				return
			}
		}
	}
}

// Get gives the first field of that name.
func (h Header) Get(name string) (Field, bool) {
	for f := range h.Fields() {
		if f.Is(name) {
			return f, true
		}
	}
	return Field{}, false
}

// fieldScanner steps through the fields of b. After next, [start,pos) is the
// field; name is nil for a line that is no field.
type fieldScanner struct {
	b          []byte
	start, pos int
	name       []byte
	value      []byte
	bareLF     bool
	// stop says that a line ends the header although it is no blank one.
	stop func(line []byte) bool
	end  endKind
}

type endKind uint8

const (
	endContent endKind = iota // the octets ran out
	endBlank                  // blank line, consumed
	endStop                   // stop said so, not consumed
)

// next finds one field. At the end it gives false, with pos behind the blank
// line if there was one.
func (s *fieldScanner) next() bool {
	if s.pos >= len(s.b) {
		s.end = endContent
		return false
	}
	s.start = s.pos
	line := s.line()
	if len(line) == 0 {
		s.end = endBlank
		return false
	}
	if s.stop != nil && s.stop(line) {
		s.pos, s.end = s.start, endStop
		return false
	}
	i := bytes.IndexByte(line, ':')
	s.name = nil
	if i > 0 {
		s.name = fieldName(line[:i])
	}
	// Continuation lines belong to a bad line as well: they cannot start a
	// field of their own (RFC 5322 section 2.2.3).
	end := s.start + len(line)
	for s.pos < len(s.b) && (s.b[s.pos] == ' ' || s.b[s.pos] == '\t') {
		from := s.pos
		end = from + len(s.line())
	}
	if s.name != nil {
		s.value = s.b[s.start+i+1 : end]
	}
	return true
}

// line takes one line and gives it without its line end.
func (s *fieldScanner) line() []byte {
	rest := s.b[s.pos:]
	i := bytes.IndexByte(rest, '\n')
	if i < 0 {
		s.pos = len(s.b)
		return bytes.TrimSuffix(rest, []byte("\r"))
	}
	s.pos += i + 1
	if i > 0 && rest[i-1] == '\r' {
		return rest[:i-1]
	}
	s.bareLF = true
	return rest[:i]
}

// fieldName checks ftext of RFC 5322 section 3.6.8 and drops the white space
// that section 4.5 allows before the colon. It gives nil for no name.
func fieldName(b []byte) []byte {
	b = bytes.TrimRight(b, " \t")
	if len(b) == 0 {
		return nil
	}
	for _, c := range b {
		if c <= ' ' || c >= 0x7f {
			return nil
		}
	}
	return b
}

// unfold drops line ends and trims (RFC 5322 section 2.2.3). Control characters
// but tab become spaces: the result is used in protocol lines.
func unfold(v []byte, limit int) string {
	v = bytes.TrimLeft(v, " \t\r\n")
	if len(v) > limit {
		v = v[:limit]
	}
	v = bytes.TrimRight(v, " \t\r\n")
	clean := true
	for _, c := range v {
		if c < ' ' && c != '\t' || c == 0x7f {
			clean = false
			break
		}
	}
	if clean {
		return string(v)
	}
	out := make([]byte, 0, len(v))
	for _, c := range v {
		switch {
		case c == '\r' || c == '\n':
		case c < ' ' && c != '\t' || c == 0x7f:
			out = append(out, ' ')
		default:
			out = append(out, c)
		}
	}
	return string(out)
}

// MsgIDs gives the msg-ids of a field, each with its brackets, white space
// dropped, at most max. A bare word with an "@" counts as well, for old mailers
// write such.
func MsgIDs(value string, max int) []string {
	var ids []string
	for len(value) > 0 && len(ids) < max {
		value = strings.TrimLeft(value, " \t\r\n,")
		if value == "" {
			break
		}
		if value[0] != '<' {
			end := strings.IndexAny(value, " \t\r\n,<")
			if end < 0 {
				end = len(value)
			}
			if w := value[:end]; strings.IndexByte(w, '@') > 0 && strings.IndexByte(w, '>') < 0 {
				ids = append(ids, "<"+w+">")
			}
			value = value[end:]
			continue
		}
		end := strings.IndexAny(value[1:], "><") + 1
		if end == 0 {
			break
		}
		if value[end] == '<' {
			value = value[end:]
			continue
		}
		if id := value[:end+1]; len(id) > 2 && len(id) <= maxMsgID {
			if strings.ContainsAny(id, " \t\r\n") {
				id = strings.Join(strings.Fields(id), "")
			}
			ids = append(ids, id)
		}
		value = value[end+1:]
	}
	return ids
}

// maxMsgID is the longest msg-id kept: a line (RFC 5322 section 2.1.1).
const maxMsgID = 998
