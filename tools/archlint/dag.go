// Package archlint checks the walls written in docs/arch.dag, and the sizes and
// habits that HOUSE rules ask of every file, against the real source.
//
// Owns:      nothing.
// Trusts:    the go command for the import graph.
// May touch: the source tree (read), the go command. No network.
package archlint

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// Dag is docs/arch.dag as read.
type Dag struct {
	Module   string
	Ranks    []Rank              // lowest first
	Forbid   map[string][]string // room -> rooms or packages it may not import
	Backends []string
	From     []string // rooms that may import backends
	Pure     []string
	Offline  []string
	Timeless []string        // rooms that read the time from base/clock only
	Preamble []string        // rooms whose packages say Owns, Trusts and May touch
	Waists   map[string]bool // "store/kv.DB"
}

// Rank is one rank of the house.
type Rank struct {
	Name  string
	Rooms []string // folder relative to the module; "." is the root, "flow/*" one room per folder
}

// ParseDag reads the text form. Every wall needs a reason after a bar; a line
// without one is an error, so that nobody adds a wall that nobody can judge.
func ParseDag(r io.Reader) (*Dag, error) {
	d := &Dag{Forbid: map[string][]string{}, Waists: map[string]bool{}}
	sc := bufio.NewScanner(r)
	for n := 1; sc.Scan(); n++ {
		line := strings.TrimSpace(sc.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		if err := d.line(line); err != nil {
			return nil, fmt.Errorf("arch.dag line %d: %w", n, err)
		}
	}
	if err := sc.Err(); err != nil {
		return nil, err
	}
	if d.Module == "" || len(d.Ranks) == 0 {
		return nil, fmt.Errorf("arch.dag: no module or no rank")
	}
	return d, nil
}

func (d *Dag) line(line string) error {
	rule, reason, _ := strings.Cut(line, "|")
	f := strings.Fields(rule)
	if len(f) == 0 {
		return fmt.Errorf("a reason without a wall")
	}
	if f[0] == "module" && len(f) == 2 {
		d.Module = f[1]
		return nil
	}
	if strings.TrimSpace(reason) == "" {
		return fmt.Errorf("%q has no reason", f[0])
	}
	if len(f) < 2 {
		return fmt.Errorf("%q names nothing", f[0])
	}
	args := f[1:]
	switch f[0] {
	case "rank":
		d.Ranks = append(d.Ranks, Rank{Name: args[0], Rooms: args[1:]})
	case "forbid":
		d.Forbid[args[0]] = append(d.Forbid[args[0]], args[1:]...)
	case "backend":
		d.Backends = append(d.Backends, args...)
	case "backends-from":
		d.From = append(d.From, args...)
	case "pure":
		d.Pure = append(d.Pure, args...)
	case "offline":
		d.Offline = append(d.Offline, args...)
	case "timeless":
		d.Timeless = append(d.Timeless, args...)
	case "preamble":
		d.Preamble = append(d.Preamble, args...)
	case "waist":
		for _, w := range args {
			d.Waists[w] = true
		}
	default:
		return fmt.Errorf("unknown word %q", f[0])
	}
	return nil
}

// under says whether the package path p (relative to the module, "." for the
// root) lies in room, which may be of the form "x/*".
func under(p, room string) bool {
	if room == "." {
		return p == "."
	}
	room = strings.TrimSuffix(room, "/*")
	return p == room || strings.HasPrefix(p, room+"/")
}

// place gives the rank of a package and the room it lies in; rank -1 where the
// dag does not know it.
func (d *Dag) place(p string) (rank int, room string) {
	for i, r := range d.Ranks {
		for _, ro := range r.Rooms {
			if !under(p, ro) {
				continue
			}
			base, each := strings.CutSuffix(ro, "/*")
			if !each {
				return i, ro
			}
			rest := strings.TrimPrefix(strings.TrimPrefix(p, base), "/")
			first, _, _ := strings.Cut(rest, "/")
			return i, base + "/" + first
		}
	}
	return -1, ""
}
