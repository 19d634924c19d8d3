package imap

import "strings"

// SystemFlags is a set of the five system flags of RFC 9051 section 2.3.2.
type SystemFlags uint8

// The system flags. \Recent is not among them: RFC 9051 withdrew it, and
// RFC 3501 allows that no message ever carries it.
const (
	Answered SystemFlags = 1 << iota
	Flagged
	Deleted
	Seen
	Draft
)

const numSystemFlags = 5

var systemFlagNames = [numSystemFlags]string{`\Answered`, `\Flagged`, `\Deleted`, `\Seen`, `\Draft`}

// Flags are the flags of one message, or of one STORE or APPEND.
type Flags struct {
	System   SystemFlags
	Keywords []string // without duplicates; compared without case
}

// HasKeyword says whether k is set, without regard to case (RFC 9051 section 2.3.2).
func (f Flags) HasKeyword(k string) bool {
	for _, x := range f.Keywords {
		if strings.EqualFold(x, k) {
			return true
		}
	}
	return false
}

// add puts one flag of the wire into the set; false for one that no client may
// set (\Recent is dropped in silence, other flag-extensions are refused).
func (f *Flags) add(name string) bool {
	if name == "" {
		return false
	}
	if name[0] != '\\' {
		if !f.HasKeyword(name) {
			f.Keywords = append(f.Keywords, name)
		}
		return true
	}
	for i, n := range systemFlagNames {
		if strings.EqualFold(n, name) {
			f.System |= 1 << i
			return true
		}
	}
	return strings.EqualFold(name, `\Recent`)
}

// AppendFlags writes "(\Seen $Forwarded)".
func AppendFlags(b []byte, f Flags) []byte {
	b = append(b, '(')
	first := true
	for i := range systemFlagNames {
		if f.System&(1<<i) != 0 {
			if !first {
				b = append(b, ' ')
			}
			b = append(b, systemFlagNames[i]...)
			first = false
		}
	}
	for _, k := range f.Keywords {
		// A keyword that came in by another door may hold what an atom cannot;
		// such a one is left out rather than breaking the client's parser.
		if !IsAtom(k) {
			continue
		}
		if !first {
			b = append(b, ' ')
		}
		b = append(b, k...)
		first = false
	}
	return append(b, ')')
}
