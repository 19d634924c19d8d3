package archlint

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Load lists the packages of the module in dir with the go command. A package
// that does not compile is listed as far as it could be read.
func Load(ctx context.Context, dir, module string) ([]Package, error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-e", "-json=ImportPath,Dir,GoFiles,CgoFiles,TestGoFiles,XTestGoFiles,Imports,TestImports,XTestImports,Deps", "./...")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off")
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	var complaint strings.Builder
	cmd.Stderr = &complaint
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	pkgs, derr := decode(out, module)
	if err := cmd.Wait(); err != nil {
		return nil, fmt.Errorf("go list: %w: %s", err, complaint.String())
	}
	return pkgs, derr
}

func decode(r io.Reader, module string) ([]Package, error) {
	var pkgs []Package
	dec := json.NewDecoder(r)
	for {
		var l struct {
			ImportPath, Dir                              string
			GoFiles, CgoFiles, TestGoFiles, XTestGoFiles []string
			Imports, TestImports, XTestImports, Deps     []string
		}
		if err := dec.Decode(&l); errors.Is(err, io.EOF) {
			return pkgs, nil
		} else if err != nil {
			return nil, err
		}
		p := Package{Path: ".", Dir: l.Dir, Files: append(l.GoFiles, l.CgoFiles...), TestFiles: append(l.TestGoFiles, l.XTestGoFiles...),
			Imports: l.Imports, TestImports: append(l.TestImports, l.XTestImports...), Deps: l.Deps}
		if rel, ok := strings.CutPrefix(l.ImportPath, module+"/"); ok {
			p.Path = rel
		} else if l.ImportPath != module {
			continue
		}
		pkgs = append(pkgs, p)
	}
}

// Check loads the module in dir and checks everything against dir/docs/arch.dag.
func Check(ctx context.Context, dir string) ([]Violation, error) {
	f, err := os.Open(filepath.Join(dir, "docs", "arch.dag"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	d, err := ParseDag(f)
	if err != nil {
		return nil, err
	}
	pkgs, err := Load(ctx, dir, d.Module)
	if err != nil {
		return nil, err
	}
	if len(pkgs) == 0 {
		return nil, fmt.Errorf("no package of %s in %s", d.Module, dir)
	}
	vs := CheckGraph(d, pkgs)
	for i := range pkgs {
		found, err := CheckSource(d, &pkgs[i])
		vs = append(vs, found...)
		if err != nil {
			return vs, err
		}
	}
	return vs, nil
}
