package archlint

import (
	"fmt"
	"slices"
	"strings"
)

// Package is one package of the module as the go command lists it.
type Package struct {
	Path        string   // relative to the module; "." for the root
	Dir         string   // folder on disk
	Files       []string // Go files without tests
	TestFiles   []string
	Imports     []string // of Files, full paths
	TestImports []string // of TestFiles, full paths
	Deps        []string // everything Files reach, full paths
}

// Violation is one wall broken.
type Violation struct {
	Where string // package, or file:line
	Rule  string // short name of the rule
	What  string
}

// String gives the violation as one line.
func (v Violation) String() string { return v.Where + ": " + v.Rule + ": " + v.What }

// impure are the packages that a pure room may not import. fmt and embed are
// not among them: what they reach is not reached through them.
var impure = []string{"net", "net/http", "net/smtp", "crypto/tls", "os", "os/exec", "os/signal", "os/user", "io/ioutil",
	"syscall", "math/rand", "math/rand/v2", "crypto/rand", "log", "log/slog", "database/sql", "path/filepath"}

// reach are the packages by which a program can reach the network.
var reach = []string{"net", "net/http", "net/rpc", "net/smtp", "crypto/tls", "os/exec", "plugin"}

// CheckGraph checks the import rules of d over the packages of the module.
func CheckGraph(d *Dag, pkgs []Package) []Violation {
	var vs []Violation
	byPath := map[string]*Package{}
	for i := range pkgs {
		byPath[pkgs[i].Path] = &pkgs[i]
	}
	for i := range pkgs {
		vs = append(vs, d.checkPackage(&pkgs[i], byPath)...)
	}
	return vs
}

func (d *Dag) checkPackage(p *Package, all map[string]*Package) []Violation {
	var vs []Violation
	add := func(rule, format string, a ...any) {
		vs = append(vs, Violation{p.Path, rule, fmt.Sprintf(format, a...)})
	}
	rank, room := d.place(p.Path)
	if rank < 0 {
		add("place", "this folder stands in no rank of docs/arch.dag")
		return vs
	}
	for _, imp := range p.Imports {
		q, ours := d.relative(imp)
		if !ours {
			continue
		}
		qrank, qroom := d.place(q)
		switch {
		case qroom == room:
		case qrank > rank:
			add("rank", "%s may not import %s: %s is above %s", p.Path, q, d.rankName(qrank), d.Ranks[rank].Name)
		case qrank == rank:
			add("sibling", "%s may not import %s: neighbours in rank %s", p.Path, q, d.Ranks[rank].Name)
		}
		vs = append(vs, d.checkBans(p.Path, q)...)
	}
	for _, o := range d.Offline {
		if !under(p.Path, o) {
			continue
		}
		for _, dep := range p.Deps {
			if slices.Contains(reach, dep) {
				add("offline", "%s reaches %s", p.Path, dep)
			}
		}
	}
	for _, o := range d.Pure {
		if under(p.Path, o) {
			vs = append(vs, d.checkPure(p, all)...)
		}
	}
	return vs
}

// checkBans looks at one import p -> q for the bans beside the ranks.
func (d *Dag) checkBans(p, q string) []Violation {
	var vs []Violation
	for room, targets := range d.Forbid {
		if !under(p, room) {
			continue
		}
		for _, t := range targets {
			if under(q, t) {
				vs = append(vs, Violation{p, "forbid", p + " may not import " + q})
			}
		}
	}
	for _, b := range d.Backends {
		if !under(q, b) || under(p, b) || d.mayWire(p) {
			continue
		}
		vs = append(vs, Violation{p, "backend", p + " imports the backend " + q + "; only node and tests do"})
	}
	return vs
}

func (d *Dag) mayWire(p string) bool {
	return slices.ContainsFunc(d.From, func(room string) bool { return under(p, room) })
}

// checkPure looks at p and at everything of the project that p reaches.
func (d *Dag) checkPure(p *Package, all map[string]*Package) []Violation {
	var vs []Violation
	seen := map[string]bool{p.Path: true}
	queue := []*Package{p}
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		for _, imp := range at.Imports {
			if slices.Contains(impure, imp) {
				vs = append(vs, Violation{p.Path, "pure", fmt.Sprintf("reaches %s through %s", imp, at.Path)})
			}
			q, ours := d.relative(imp)
			if next := all[q]; ours && next != nil && !seen[q] {
				seen[q] = true
				queue = append(queue, next)
			}
		}
	}
	return vs
}

func (d *Dag) relative(imp string) (string, bool) {
	if imp == d.Module {
		return ".", true
	}
	return strings.CutPrefix(imp, d.Module+"/")
}

func (d *Dag) rankName(i int) string {
	if i < 0 {
		return "an unknown rank"
	}
	return d.Ranks[i].Name
}
