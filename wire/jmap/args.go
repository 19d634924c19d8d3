package jmap

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Args reads the members of an object one by one, by exact name and exact type,
// which encoding/json's structs do not: they fold case, and take null for
// anything. The first mistake is kept and given by Err; until then the readers
// go on with zero values. It serves arguments of methods and records alike.
type Args struct {
	m    map[string]json.RawMessage
	used map[string]bool
	err  *MethodError
}

// NewArgs begins to read raw, which must be an object.
func NewArgs(raw json.RawMessage) (*Args, error) {
	a := &Args{used: map[string]bool{}}
	if !isObject(raw) || json.Unmarshal(raw, &a.m) != nil {
		return nil, &MethodError{Type: InvalidArguments, Description: "An object was expected."}
	}
	return a, nil
}

func (a *Args) fail(name, want string) {
	if a.err == nil {
		a.err = BadArgument(name, fmt.Sprintf("%q must be %s.", name, want))
	}
}

// Err gives the first mistake: a wrong type, a missing member, or a member that
// nobody asked for. The error is a *MethodError of type invalidArguments.
func (a *Args) Err() error {
	if a.err != nil {
		return a.err
	}
	if names := a.Unknown(); len(names) > 0 {
		return &MethodError{Type: InvalidArguments, Arguments: names,
			Description: "Unknown: " + strings.Join(names, ", ") + "."}
	}
	return nil
}

// Unknown lists the members that nobody asked for, in order.
func (a *Args) Unknown() []string {
	var names []string
	for k := range a.m {
		if !a.used[k] {
			names = append(names, k)
		}
	}
	slices.Sort(names)
	return names
}

// Names lists all members, in order.
func (a *Args) Names() []string {
	names := make([]string, 0, len(a.m))
	for k := range a.m {
		names = append(names, k)
	}
	slices.Sort(names)
	return names
}

// Raw gives a member as it stands; false where it is absent or null.
func (a *Args) Raw(name string) (json.RawMessage, bool) {
	a.used[name] = true
	raw, ok := a.m[name]
	return raw, ok && !isNull(raw)
}

// Has says whether the member is there at all, null or not.
func (a *Args) Has(name string) bool {
	_, ok := a.m[name]
	return ok
}

// String gives a required string.
func (a *Args) String(name string) string {
	s := a.OptString(name)
	if s == nil {
		a.fail(name, "a string")
		return ""
	}
	return *s
}

// OptString gives a string, or nil where it is absent or null.
func (a *Args) OptString(name string) *string {
	raw, ok := a.Raw(name)
	if !ok {
		return nil
	}
	var s string
	if !isString(raw) || json.Unmarshal(raw, &s) != nil {
		a.fail(name, "a string")
		return nil
	}
	return &s
}

// ID gives a required id.
func (a *Args) ID(name string) ID {
	id := a.OptID(name)
	if id == "" {
		a.fail(name, "an id")
	}
	return id
}

// OptID gives an id, or "" where it is absent or null.
func (a *Args) OptID(name string) ID {
	s := a.OptString(name)
	if s == nil {
		return ""
	}
	if !ID(*s).Valid() {
		a.fail(name, "an id")
		return ""
	}
	return ID(*s)
}

// Bool gives a boolean, def where it is absent. Null is a mistake.
func (a *Args) Bool(name string, def bool) bool {
	a.used[name] = true
	switch raw := a.m[name]; string(bytes.TrimSpace(raw)) {
	case "":
		return def
	case "true":
		return true
	case "false":
		return false
	}
	a.fail(name, "true or false")
	return def
}

// OptBool gives a boolean, nil where it is absent or null.
func (a *Args) OptBool(name string) *bool {
	if _, ok := a.Raw(name); !ok {
		return nil
	}
	b := a.Bool(name, false)
	return &b
}

// Int gives a whole number between -MaxInt and MaxInt, def where it is absent.
func (a *Args) Int(name string, def int64) int64 {
	raw, ok := a.Raw(name)
	if !ok {
		if a.Has(name) {
			a.fail(name, "a whole number")
		}
		return def
	}
	n, ok := parseInt(raw)
	if !ok {
		a.fail(name, "a whole number")
		return def
	}
	return n
}

// OptUint gives a whole number from 0 to MaxInt, nil where it is absent or null.
func (a *Args) OptUint(name string) *uint64 {
	raw, ok := a.Raw(name)
	if !ok {
		return nil
	}
	n, ok := parseInt(raw)
	if !ok || n < 0 {
		a.fail(name, "a whole number from 0 up")
		return nil
	}
	u := uint64(n)
	return &u
}

// parseInt reads a JSON number that is a whole number in Int's range. "1.0" and
// "1e3" are whole numbers too.
func parseInt(raw json.RawMessage) (int64, bool) {
	var f float64
	if c := firstByte(raw); c != '-' && (c < '0' || c > '9') {
		return 0, false
	}
	if json.Unmarshal(raw, &f) != nil || f != float64(int64(f)) || f > MaxInt || f < -MaxInt {
		return 0, false
	}
	return int64(f), true
}

// Strings gives an array of strings; false where it is absent or null.
func (a *Args) Strings(name string) ([]string, bool) {
	raw, ok := a.Raw(name)
	if !ok {
		return nil, false
	}
	var list []string
	if !isArray(raw) || !allStrings(raw, &list) {
		a.fail(name, "an array of strings")
		return nil, false
	}
	return list, true
}

// IDs gives an array of ids; false where it is absent or null.
func (a *Args) IDs(name string) ([]ID, bool) {
	list, ok := a.Strings(name)
	if !ok {
		return nil, false
	}
	ids := make([]ID, len(list))
	for i, s := range list {
		if ids[i] = ID(s); !ids[i].Valid() {
			a.fail(name, "an array of ids")
			return nil, false
		}
	}
	return ids, true
}

// List gives the items of an array as they stand; false where it is absent or
// null.
func (a *Args) List(name string) ([]json.RawMessage, bool) {
	raw, ok := a.Raw(name)
	if !ok {
		return nil, false
	}
	var list []json.RawMessage
	if !isArray(raw) || json.Unmarshal(raw, &list) != nil {
		a.fail(name, "an array")
		return nil, false
	}
	return list, true
}

// Map gives the members of an object as they stand; nil where it is absent or
// null.
func (a *Args) Map(name string) map[string]json.RawMessage {
	raw, ok := a.Raw(name)
	if !ok {
		return nil
	}
	var m map[string]json.RawMessage
	if !isObject(raw) || json.Unmarshal(raw, &m) != nil {
		a.fail(name, "an object")
		return nil
	}
	return m
}

// Set gives a set written as an object whose values are all true (RFC 8620
// section 1 calls it String[Boolean]); false where it is absent or null.
func (a *Args) Set(name string) ([]string, bool) {
	m := a.Map(name)
	if m == nil {
		return nil, false
	}
	list := make([]string, 0, len(m))
	for k, v := range m {
		if string(bytes.TrimSpace(v)) != "true" {
			a.fail(name, "an object whose values are true")
			return nil, false
		}
		list = append(list, k)
	}
	slices.Sort(list)
	return list, true
}

// UTCDate gives an instant; the zero time where it is absent or null.
func (a *Args) UTCDate(name string) time.Time { return a.date(name, ParseUTCDate) }

// Date gives an instant with its offset; the zero time where it is absent or
// null.
func (a *Args) Date(name string) time.Time { return a.date(name, ParseDate) }

func (a *Args) date(name string, parse func(string) (time.Time, bool)) time.Time {
	s := a.OptString(name)
	if s == nil {
		return time.Time{}
	}
	t, ok := parse(*s)
	if !ok {
		a.fail(name, "a date")
	}
	return t
}
