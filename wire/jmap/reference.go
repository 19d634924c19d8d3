package jmap

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

// Bounds of a result reference.
const (
	maxPointer     = 1024 // octets in its path
	maxPointerPart = 32   // reference tokens in its path
)

// badReference is the error of a reference that does not resolve.
func badReference(why string) *MethodError {
	return &MethodError{Type: InvalidResultReference, Description: why}
}

// ResolveArgs replaces the members of args whose names begin with "#" by what
// they refer to in earlier responses (RFC 8620 section 3.7). The result is at
// most limit octets: without a bound, calls that each refer twice to the one
// before would double the answer with every call.
func ResolveArgs(args json.RawMessage, done []Invocation, limit int) (json.RawMessage, error) {
	if !bytes.Contains(args, []byte(`"#`)) && !bytes.Contains(args, []byte(`"\u0023`)) {
		return args, nil
	}
	var m map[string]json.RawMessage
	if err := json.Unmarshal(args, &m); err != nil {
		return nil, &MethodError{Type: InvalidArguments, Description: "The arguments are not an object."}
	}
	size, found := len(args), false
	for name, raw := range m {
		plain, is := strings.CutPrefix(name, "#")
		if !is {
			continue
		}
		found = true
		if _, both := m[plain]; both {
			return nil, BadArgument(plain, "The argument is given both plainly and by reference.")
		}
		v, err := resolve(raw, done)
		if err != nil {
			return nil, err
		}
		if size += len(v); size > limit {
			return nil, badReference("The references make the request too large.")
		}
		delete(m, name)
		m[plain] = v
	}
	if !found {
		return args, nil
	}
	return Marshal(m)
}

func resolve(raw json.RawMessage, done []Invocation) (json.RawMessage, error) {
	a, err := NewArgs(raw)
	if err != nil {
		return nil, badReference("A result reference is an object.")
	}
	resultOf, name, path := a.String("resultOf"), a.String("name"), a.String("path")
	if a.Err() != nil {
		return nil, badReference("A result reference has the strings resultOf, name and path.")
	}
	if len(path) > maxPointer || strings.Count(path, "/") > maxPointerPart {
		return nil, badReference("The path is too long.")
	}
	for _, r := range done {
		if r.CallID != resultOf {
			continue
		}
		if r.Name != name {
			break
		}
		v, ok := Pointer(r.Args, path)
		if !ok {
			return nil, badReference("The path leads nowhere.")
		}
		return v, nil
	}
	return nil, badReference("No such response.")
}

// Pointer evaluates a JSON Pointer (RFC 6901) with the "*" of RFC 8620
// section 3.7 against doc; false where it leads nowhere.
func Pointer(doc json.RawMessage, path string) (json.RawMessage, bool) {
	if path == "" {
		return doc, true
	}
	if path[0] != '/' {
		return nil, false
	}
	tokens := strings.Split(path[1:], "/")
	for i, t := range tokens {
		u, ok := unescape(t)
		if !ok {
			return nil, false
		}
		tokens[i] = u
	}
	return follow(doc, tokens)
}

// unescape reads a reference token: ~1 is "/", ~0 is "~", any other ~ is wrong.
func unescape(t string) (string, bool) {
	for i := 0; i < len(t); i++ {
		if t[i] == '~' && (i+1 == len(t) || (t[i+1] != '0' && t[i+1] != '1')) {
			return "", false
		}
	}
	return strings.ReplaceAll(strings.ReplaceAll(t, "~1", "/"), "~0", "~"), true
}

func follow(doc json.RawMessage, tokens []string) (json.RawMessage, bool) {
	if len(tokens) == 0 {
		return doc, true
	}
	switch {
	case isObject(doc):
		var m map[string]json.RawMessage
		if json.Unmarshal(doc, &m) != nil {
			return nil, false
		}
		v, ok := m[tokens[0]]
		if !ok {
			return nil, false
		}
		return follow(v, tokens[1:])
	case isArray(doc):
		var list []json.RawMessage
		if json.Unmarshal(doc, &list) != nil {
			return nil, false
		}
		if tokens[0] == "*" {
			return mapArray(list, tokens[1:])
		}
		i, ok := arrayIndex(tokens[0])
		if !ok || i >= len(list) {
			return nil, false
		}
		return follow(list[i], tokens[1:])
	}
	return nil, false
}

// mapArray applies the rest of a pointer to every item and flattens one level.
func mapArray(list []json.RawMessage, rest []string) (json.RawMessage, bool) {
	out := []json.RawMessage{}
	for _, item := range list {
		v, ok := follow(item, rest)
		if !ok {
			return nil, false
		}
		if !isArray(v) {
			out = append(out, v)
			continue
		}
		var inner []json.RawMessage
		if json.Unmarshal(v, &inner) != nil {
			return nil, false
		}
		out = append(out, inner...)
	}
	raw, err := Marshal(out)
	return raw, err == nil
}

// arrayIndex reads an index of RFC 6901 section 4: digits without a leading
// zero.
func arrayIndex(t string) (int, bool) {
	if t == "" || len(t) > 9 || (t[0] == '0' && t != "0") || strings.Trim(t, "0123456789") != "" {
		return 0, false
	}
	i, err := strconv.Atoi(t)
	return i, err == nil
}
