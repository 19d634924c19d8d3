package jmap

import (
	"encoding/json"
	"slices"
	"strings"
)

// Patch is a PatchObject (RFC 8620 section 5.3), checked against the rules that
// do not need the record.
type Patch struct {
	ops []patchOp
}

type patchOp struct {
	path  []string
	value json.RawMessage // nil: remove, or back to the default
}

// badPatch is the SetError of a patch that breaks the rules.
func badPatch(why string) *SetError { return &SetError{Type: SetInvalidPatch, Description: why} }

// ParsePatch reads a PatchObject. The error is a *SetError of type invalidPatch.
func ParsePatch(raw json.RawMessage) (*Patch, error) {
	var m map[string]json.RawMessage
	if !isObject(raw) || json.Unmarshal(raw, &m) != nil {
		return nil, badPatch("A patch is an object.")
	}
	p := &Patch{}
	for key, v := range m {
		op := patchOp{path: strings.Split(key, "/"), value: v}
		if isNull(v) {
			op.value = nil
		}
		for i, t := range op.path {
			u, ok := unescape(t)
			if !ok || len(op.path) > maxPointerPart {
				return nil, badPatch("A path is not a JSON Pointer.")
			}
			op.path[i] = u
		}
		p.ops = append(p.ops, op)
	}
	slices.SortFunc(p.ops, func(a, b patchOp) int { return slices.Compare(a.path, b.path) })
	for i := 1; i < len(p.ops); i++ {
		a, b := p.ops[i-1].path, p.ops[i].path
		if len(a) <= len(b) && slices.Equal(a, b[:len(a)]) {
			return nil, badPatch("One path is the beginning of another.")
		}
	}
	return p, nil
}

// Properties lists the names of the top-level properties that the patch
// touches, in order and once each.
func (p *Patch) Properties() []string {
	var names []string
	for _, op := range p.ops {
		if len(names) == 0 || names[len(names)-1] != op.path[0] {
			names = append(names, op.path[0])
		}
	}
	return names
}

// Apply gives the record after the patch. Values of record are as encoding/json
// prints them; record itself is not changed. A property that the patch removes
// is absent from the result: the caller gives it its default. The error is a
// *SetError of type invalidPatch.
func (p *Patch) Apply(record map[string]json.RawMessage) (map[string]json.RawMessage, error) {
	out := make(map[string]json.RawMessage, len(record)+len(p.ops))
	for k, v := range record {
		out[k] = v
	}
	for _, op := range p.ops {
		if err := apply(out, op.path, op.value); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func apply(m map[string]json.RawMessage, path []string, value json.RawMessage) error {
	if len(path) == 1 {
		if value == nil {
			delete(m, path[0])
		} else {
			m[path[0]] = value
		}
		return nil
	}
	raw, ok := m[path[0]]
	if !ok {
		return badPatch("The path leads through something that does not exist.")
	}
	var inner map[string]json.RawMessage
	if !isObject(raw) || json.Unmarshal(raw, &inner) != nil {
		return badPatch("The path leads through something that is not an object.")
	}
	if err := apply(inner, path[1:], value); err != nil {
		return err
	}
	raw, err := Marshal(inner)
	if err != nil {
		return badPatch("The value cannot be printed.")
	}
	m[path[0]] = raw
	return nil
}
