package archlint

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Sizes and names that every package keeps.
const (
	MaxFile      = 500  // lines of a file
	MaxFunc      = 80   // lines of a function outside tests
	MaxPackage   = 5000 // lines of a package without tests
	MaxInterface = 5    // methods, except the waists of docs/arch.dag
)

var forbiddenNames = []string{"common", "util", "utils", "helpers", "helper", "manager", "service", "core", "lib", "pkg", "misc"}

var generated = regexp.MustCompile(`(?m)^// Code generated .* DO NOT EDIT\.$`)

// CheckSource reads the files of p and checks sizes, names and habits.
func CheckSource(d *Dag, p *Package) ([]Violation, error) {
	s := &source{dag: d, pkg: p, fset: token.NewFileSet(), vars: map[string]bool{}}
	for _, part := range strings.Split(p.Path, "/") {
		if slices.Contains(forbiddenNames, part) {
			s.add(p.Path, "name", "a package says what it owns; %q says nothing", part)
		}
	}
	for _, f := range p.Files {
		if err := s.read(f, false); err != nil {
			return s.found, err
		}
	}
	for _, f := range p.TestFiles {
		if err := s.read(f, true); err != nil {
			return s.found, err
		}
	}
	if s.total > MaxPackage {
		s.add(p.Path, "size", "package of %d lines, over %d", s.total, MaxPackage)
	}
	s.checkDoc()
	for _, f := range s.files {
		s.collectVars(f)
	}
	for _, f := range s.files {
		s.checkFile(f)
	}
	return s.found, nil
}

type source struct {
	dag   *Dag
	pkg   *Package
	fset  *token.FileSet
	files []*ast.File // without tests and generated files
	vars  map[string]bool
	total int
	doc   string // package comments of all files
	found []Violation
}

func (s *source) add(where, rule, format string, a ...any) {
	s.found = append(s.found, Violation{where, rule, fmt.Sprintf(format, a...)})
}

func (s *source) at(n ast.Node) string {
	p := s.fset.Position(n.Pos())
	return fmt.Sprintf("%s/%s:%d", s.pkg.Path, filepath.Base(p.Filename), p.Line)
}

func (s *source) read(name string, test bool) error {
	src, err := os.ReadFile(filepath.Join(s.pkg.Dir, name))
	if err != nil {
		return err
	}
	lines := bytes.Count(src, []byte("\n"))
	made := generated.Match(src) || strings.HasSuffix(name, "_table.go") || name == "tables.go"
	if lines > MaxFile && !made {
		s.add(s.pkg.Path+"/"+name, "size", "file of %d lines, over %d", lines, MaxFile)
	}
	if test {
		return nil
	}
	if !made {
		s.total += lines
	}
	f, err := parser.ParseFile(s.fset, filepath.Join(s.pkg.Dir, name), src, parser.ParseComments)
	if err != nil {
		return err
	}
	s.doc += f.Doc.Text()
	if !generated.Match(src) {
		s.files = append(s.files, f)
	}
	return nil
}

// checkDoc wants a package comment, and in the rooms that touch mail or its
// storage the lines by which a reviewer knows what to suspect.
func (s *source) checkDoc() {
	if len(s.files) == 0 {
		return
	}
	if s.doc == "" {
		s.add(s.pkg.Path, "doc", "package has no doc comment")
		return
	}
	if !slices.ContainsFunc(s.dag.Preamble, func(r string) bool { return under(s.pkg.Path, r) }) {
		return
	}
	for _, word := range []string{"Owns:", "Trusts:", "May touch:"} {
		if !strings.Contains(s.doc, word) {
			s.add(s.pkg.Path, "doc", "the doc comment has no line %q", word)
		}
	}
}

func (s *source) collectVars(f *ast.File) {
	for _, d := range f.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.VAR {
			continue
		}
		for _, spec := range g.Specs {
			for _, n := range spec.(*ast.ValueSpec).Names {
				s.vars[n.Name] = true
			}
		}
	}
}

func (s *source) checkFile(f *ast.File) {
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			s.checkFunc(d)
		case *ast.GenDecl:
			s.checkDecl(d)
		}
	}
	in := func(rooms []string) bool {
		return slices.ContainsFunc(rooms, func(r string) bool { return under(s.pkg.Path, r) })
	}
	switch {
	case in(s.dag.Pure):
		s.checkClock(f, "pure", "the hour is a fact")
	case in(s.dag.Timeless):
		s.checkClock(f, "timeless", "the time comes from base/clock")
	}
}

func (s *source) checkFunc(d *ast.FuncDecl) {
	if d.Recv == nil && d.Name.Name == "init" {
		s.add(s.at(d), "init", "an init function runs without anybody asking")
	}
	from, to := s.fset.Position(d.Pos()).Line, s.fset.Position(d.End()).Line
	if n := to - from + 1; n > MaxFunc {
		s.add(s.at(d), "size", "%s has %d lines, over %d", d.Name.Name, n, MaxFunc)
	}
	if d.Doc == nil && d.Name.IsExported() && exportedReceiver(d) && s.pkg.Path != "." {
		s.add(s.at(d), "doc", "%s has no doc comment", d.Name.Name)
	}
	if d.Body != nil {
		s.checkWrites(d.Body)
	}
}

func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil || len(d.Recv.List) == 0 {
		return true
	}
	t := d.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.Ident:
			return x.IsExported()
		default:
			return false
		}
	}
}

func (s *source) checkDecl(g *ast.GenDecl) {
	for _, spec := range g.Specs {
		t, ok := spec.(*ast.TypeSpec)
		if !ok {
			continue
		}
		if t.Name.IsExported() && t.Doc == nil && g.Doc == nil && t.Comment == nil {
			s.add(s.at(t), "doc", "type %s has no doc comment", t.Name.Name)
		}
		i, ok := t.Type.(*ast.InterfaceType)
		if !ok || s.dag.Waists[s.pkg.Path+"."+t.Name.Name] {
			continue
		}
		if n := i.Methods.NumFields(); n > MaxInterface {
			s.add(s.at(t), "interface", "%s has %d methods, over %d", t.Name.Name, n, MaxInterface)
		}
	}
}

// checkWrites finds assignments to variables of the package: state that two
// tests, or two servers in one process, would share.
func (s *source) checkWrites(body *ast.BlockStmt) {
	ast.Inspect(body, func(n ast.Node) bool {
		var targets []ast.Expr
		switch n := n.(type) {
		case *ast.AssignStmt:
			if n.Tok != token.DEFINE {
				targets = n.Lhs
			}
		case *ast.IncDecStmt:
			targets = []ast.Expr{n.X}
		}
		for _, t := range targets {
			if id := root(t); id != nil && id.Name != "_" && s.vars[id.Name] && packageLevel(id) {
				s.add(s.at(n), "state", "writes the package variable %s", id.Name)
			}
		}
		return true
	})
}

// packageLevel says whether id is not declared inside a function. The parser
// resolves names within one file; what it leaves open is another file's.
func packageLevel(id *ast.Ident) bool {
	if id.Obj == nil {
		return true
	}
	_, isVar := id.Obj.Decl.(*ast.ValueSpec)
	return isVar && id.Obj.Kind == ast.Var && id.Obj.Data != nil
}

func root(e ast.Expr) *ast.Ident {
	for {
		switch x := e.(type) {
		case *ast.Ident:
			return x
		case *ast.IndexExpr:
			e = x.X
		case *ast.SelectorExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		default:
			return nil
		}
	}
}

var clockCalls = []string{"Now", "Since", "Until", "After", "AfterFunc", "Sleep", "Tick", "NewTimer", "NewTicker"}

func (s *source) checkClock(f *ast.File, rule, why string) {
	ast.Inspect(f, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if id, ok := sel.X.(*ast.Ident); ok && id.Name == "time" && slices.Contains(clockCalls, sel.Sel.Name) {
			s.add(s.at(sel), rule, "time.%s: %s", sel.Sel.Name, why)
		}
		return true
	})
}
