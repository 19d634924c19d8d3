package imap

import (
	"slices"
	"strconv"
)

// Star stands for "*", the largest number in use, inside a Range.
const Star = 0

// Range is one element of a sequence set. Start and Stop may be in either
// order, and either may be Star.
type Range struct{ Start, Stop uint32 }

// NumSet is a sequence set as the client wrote it (RFC 9051 section 9,
// sequence-set). Saved means "$", the result of the last SEARCH RETURN (SAVE)
// (RFC 5182); Ranges is empty then.
type NumSet struct {
	Ranges []Range
	Saved  bool
}

// Set is a concrete set of UIDs or sequence numbers: ranges that are sorted,
// do not touch, and hold no Star.
type Set []Range

// ParseNumSet reads a sequence set that must fill s entirely.
func ParseNumSet(s string) (NumSet, error) {
	p := NewParser([]byte(s))
	n, err := p.NumSet()
	if err != nil {
		return NumSet{}, err
	}
	if !p.AtEnd() {
		return NumSet{}, p.fail("sequence set expected")
	}
	return n, nil
}

// Resolve replaces "*" by max, sorts, and merges. With max 0 (an empty
// mailbox) ranges that contain "*" resolve to nothing beyond their fixed end.
func (n NumSet) Resolve(max uint32) Set {
	out := make(Set, 0, len(n.Ranges))
	for _, r := range n.Ranges {
		a, b := r.Start, r.Stop
		if a == Star {
			a = max
		}
		if b == Star {
			b = max
		}
		if a > b {
			a, b = b, a
		}
		if b == 0 {
			continue
		}
		out = append(out, Range{max1(a), b})
	}
	return out.normal()
}

func max1(n uint32) uint32 { return max(n, 1) }

// HasStar says whether the set names "*".
func (n NumSet) HasStar() bool {
	for _, r := range n.Ranges {
		if r.Start == Star || r.Stop == Star {
			return true
		}
	}
	return false
}

// Max gives the largest fixed number that the set names, 0 for none.
func (n NumSet) Max() uint32 {
	var m uint32
	for _, r := range n.Ranges {
		m = max(m, r.Start, r.Stop)
	}
	return m
}

// normal sorts and merges in place.
func (s Set) normal() Set {
	if len(s) < 2 {
		return s
	}
	sorted := true
	for i := 1; i < len(s); i++ {
		if s[i].Start <= s[i-1].Stop || s[i].Start == s[i-1].Stop+1 {
			sorted = false
			break
		}
	}
	if sorted {
		return s
	}
	slices.SortFunc(s, func(a, b Range) int {
		if a.Start != b.Start {
			if a.Start < b.Start {
				return -1
			}
			return 1
		}
		return 0
	})
	w := 0
	for _, r := range s[1:] {
		// Stop+1 may overflow to 0 at the top, hence the comparison by subtraction.
		if r.Start <= s[w].Stop || r.Start-s[w].Stop == 1 {
			s[w].Stop = max(s[w].Stop, r.Stop)
			continue
		}
		w++
		s[w] = r
	}
	return s[:w+1]
}

// SetOf makes a set of numbers given in any order.
func SetOf(nums ...uint32) Set {
	var s Set
	for _, n := range nums {
		s.Add(n)
	}
	return s.normal()
}

// Add puts n into the set. It is cheap when numbers come in rising order.
func (s *Set) Add(n uint32) { s.AddRange(n, n) }

// AddRange puts a..b into the set, a <= b.
func (s *Set) AddRange(a, b uint32) {
	if l := len(*s); l == 0 || (*s)[l-1].Stop < a {
		if l > 0 && (*s)[l-1].Stop+1 == a {
			(*s)[l-1].Stop = b
			return
		}
		*s = append(*s, Range{a, b})
		return
	}
	*s = append(*s, Range{a, b})
	*s = s.normal()
}

// Contains says whether n is in the set, by binary search.
func (s Set) Contains(n uint32) bool {
	lo, hi := 0, len(s)
	for lo < hi {
		m := (lo + hi) / 2
		if s[m].Stop < n {
			lo = m + 1
		} else {
			hi = m
		}
	}
	return lo < len(s) && s[lo].Start <= n
}

// Len counts the numbers in the set.
func (s Set) Len() int {
	n := 0
	for _, r := range s {
		n += int(r.Stop-r.Start) + 1
	}
	return n
}

// Each calls fn for every number in rising order until fn gives false. Never
// call it on a set that a client wrote and nobody has cut to the mailbox: such
// a set may hold four thousand million numbers.
func (s Set) Each(fn func(n uint32) bool) {
	for _, r := range s {
		for n := r.Start; ; n++ {
			if !fn(n) {
				return
			}
			if n == r.Stop {
				break
			}
		}
	}
}

// Intersect gives what is in both sets.
func (s Set) Intersect(o Set) Set {
	var out Set
	for i, j := 0, 0; i < len(s) && j < len(o); {
		a, b := max(s[i].Start, o[j].Start), min(s[i].Stop, o[j].Stop)
		if a <= b {
			out = append(out, Range{a, b})
		}
		if s[i].Stop < o[j].Stop {
			i++
		} else {
			j++
		}
	}
	return out
}

// Subtract gives what is in s and not in o.
func (s Set) Subtract(o Set) Set {
	var out Set
	j := 0
	for _, r := range s {
		a := r.Start
		done := false
		for j < len(o) && o[j].Stop < a {
			j++
		}
		for k := j; k < len(o) && o[k].Start <= r.Stop; k++ {
			if o[k].Start > a {
				out = append(out, Range{a, o[k].Start - 1})
			}
			if o[k].Stop >= r.Stop {
				done = true
				break
			}
			a = o[k].Stop + 1
		}
		if !done {
			out = append(out, Range{a, r.Stop})
		}
	}
	return out
}

// Append writes the set in its shortest form: "1:3,5".
func (s Set) Append(b []byte) []byte {
	for i, r := range s {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendUint(b, uint64(r.Start), 10)
		if r.Stop != r.Start {
			b = append(b, ':')
			b = strconv.AppendUint(b, uint64(r.Stop), 10)
		}
	}
	return b
}

// String is Append into a string.
func (s Set) String() string { return string(s.Append(nil)) }
