package jmap

import (
	"encoding/json"
	"errors"
	"unicode/utf8"
)

// Bounds of the JSON that a client may send; the size is bounded by its reader.
const (
	MaxDepth  = 64      // nested arrays and objects
	MaxValues = 500_000 // values of any kind in one text
)

// Errors of CheckIJSON.
var (
	errSyntax    = errors.New("not JSON")
	errUTF8      = errors.New("not UTF-8")
	errDepth     = errors.New("nested too deeply")
	errValues    = errors.New("too many values")
	errDuplicate = errors.New("a member name occurs twice in one object")
	errSurrogate = errors.New("a string holds a lone surrogate")
)

// frame is one open array or object.
type frame struct {
	object bool
	key    bool // the next string is a member name
	names  map[string]struct{}
}

// CheckIJSON says whether data is a single I-JSON text (RFC 7493) within
// MaxDepth and MaxValues. Two members of one name are refused because two
// readers of the same request could otherwise see two different requests.
func CheckIJSON(data []byte) error {
	if !utf8.Valid(data) {
		return errUTF8
	}
	if err := checkDepth(data); err != nil {
		return err
	}
	if !json.Valid(data) {
		return errSyntax
	}
	return walk(data)
}

// checkDepth runs before the syntax check, whose recursion has its own, far
// higher bound.
func checkDepth(data []byte) error {
	depth := 0
	for i := 0; i < len(data); i++ {
		switch data[i] {
		case '[', '{':
			if depth++; depth > MaxDepth {
				return errDepth
			}
		case ']', '}':
			depth--
		case '"':
			i = endOfString(data, i)
		}
	}
	return nil
}

// endOfString gives the index of the quote that closes the string opened at i,
// or of the last byte where none does.
func endOfString(data []byte, i int) int {
	for i++; i < len(data); i++ {
		switch data[i] {
		case '\\':
			i++
		case '"':
			return i
		}
	}
	return len(data) - 1
}

func walk(data []byte) error {
	var stack []frame
	values := 0
	for i := 0; i < len(data); i++ {
		top := len(stack) - 1
		switch data[i] {
		case '[', '{':
			values++
			stack = append(stack, frame{object: data[i] == '{', key: data[i] == '{'})
		case ']', '}':
			stack = stack[:top]
		case ',':
			values++
			stack[top].key = stack[top].object
		case ':':
			stack[top].key = false
		case '"':
			end := endOfString(data, i)
			s := data[i : end+1]
			if loneSurrogate(s) {
				return errSurrogate
			}
			if top >= 0 && stack[top].key && !stack[top].add(s) {
				return errDuplicate
			}
			i = end
		}
		if values > MaxValues {
			return errValues
		}
	}
	return nil
}

// add notes a quoted member name; false where it is there already.
func (f *frame) add(quoted []byte) bool {
	name := string(quoted[1 : len(quoted)-1])
	for i := range len(name) {
		if name[i] == '\\' {
			if json.Unmarshal(quoted, &name) != nil {
				return false
			}
			break
		}
	}
	if _, dup := f.names[name]; dup {
		return false
	}
	if f.names == nil {
		f.names = make(map[string]struct{}, 8)
	}
	f.names[name] = struct{}{}
	return true
}

// loneSurrogate looks for an escaped UTF-16 surrogate without its other half
// in a quoted string that is known to be valid JSON.
func loneSurrogate(s []byte) bool {
	for i := 0; i+1 < len(s); i++ {
		if s[i] != '\\' {
			continue
		}
		if s[i+1] != 'u' {
			i++
			continue
		}
		switch u := hex4(s[i+2:]); {
		case u >= 0xdc00 && u < 0xe000:
			return true
		case u >= 0xd800 && u < 0xdc00:
			if i+12 > len(s) || s[i+6] != '\\' || s[i+7] != 'u' {
				return true
			}
			if low := hex4(s[i+8:]); low < 0xdc00 || low >= 0xe000 {
				return true
			}
			i += 11
		default:
			i += 5
		}
	}
	return false
}

func hex4(s []byte) (u uint32) {
	if len(s) < 4 {
		return 0
	}
	for _, c := range s[:4] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		default:
			c = (c | 0x20) - 'a' + 10
		}
		u = u<<4 | uint32(c&0xf)
	}
	return u
}
