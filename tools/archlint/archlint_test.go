package archlint

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

// TestHouse checks the real source of the project.
func TestHouse(t *testing.T) {
	vs, err := Check(context.Background(), "../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range vs {
		t.Error(v)
	}
}

// TestPlanted builds a small house in which every wall is broken once, beside
// one package that is in order, and expects exactly those findings.
func TestPlanted(t *testing.T) {
	a, err := txtar.ParseFile("testdata/planted.txtar")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var want []string
	for _, f := range a.Files {
		if f.Name == "want" {
			want = strings.Split(strings.TrimSpace(string(f.Data)), "\n")
			continue
		}
		name := filepath.Join(dir, filepath.FromSlash(f.Name))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		data := strings.ReplaceAll(string(f.Data), "LONG\n", strings.Repeat("\t_ = 0\n", MaxFunc))
		data = strings.ReplaceAll(data, "LONGER\n", strings.Repeat("//\n", MaxFile))
		if err := os.WriteFile(name, []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	vs, err := Check(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, v := range vs {
		got = append(got, v.String())
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got:\n%s\n\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestDagErrors(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"no reason":    "module m\nrank a . \n",
		"unknown word": "module m\nrank a . | why\nwall x | why\n",
		"nothing":      "module m\n",
		"no names":     "module m\nrank a . | why\npure | why\n",
	} {
		if _, err := ParseDag(strings.NewReader(text)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestPlace(t *testing.T) {
	t.Parallel()
	f, err := os.Open("../../docs/arch.dag")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	d, err := ParseDag(f)
	if err != nil {
		t.Fatal(err)
	}
	for p, want := range map[string]string{
		".": "vocabulary .", "base/limit": "base base", "wire/smtp/smtpserver": "wire wire", "store/kv/memkv": "storage store",
		"directory/credential": "nouns directory", "flow/signin": "flow flow/signin", "serve/mx/x": "serve serve/mx",
		"cmd/mohar": "cmd cmd/mohar", "tools/archlint": "proof tools/archlint", "nowhere": "an unknown rank ",
	} {
		r, room := d.place(p)
		if got := d.rankName(r) + " " + room; got != want {
			t.Errorf("%s: %q, want %q", p, got, want)
		}
	}
}

// FuzzParseDag shows that no text makes the reader panic.
func FuzzParseDag(f *testing.F) {
	f.Add("module m\nrank a . | why\n")
	f.Add("|\n")
	f.Fuzz(func(t *testing.T, s string) {
		d, err := ParseDag(strings.NewReader(s))
		if err == nil && d.Module == "" {
			t.Error("accepted without a module")
		}
	})
}

func TestMain(m *testing.M) {
	if _, err := exec.LookPath("go"); err != nil {
		os.Stderr.WriteString("archlint needs the go command\n")
		os.Exit(1)
	}
	os.Exit(m.Run())
}
