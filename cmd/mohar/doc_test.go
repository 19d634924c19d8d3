package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

var update = flag.Bool("update", false, "write the generated files")

// TestCommandsDoc: docs/operate/commands.md is what the command line says.
func TestCommandsDoc(t *testing.T) {
	t.Parallel()
	var c cli
	parser, err := kong.New(&c, kong.Name("mohar"))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	b.WriteString("# Commands\n\nExit status 0: done. 1: refused or failed, with the reason on standard error. 2: wrong usage. Every command has `--help`.\n\n" +
		"The administrative commands speak to the running server of `--data`, or work on the data themselves while it is stopped. `MOHAR_DATA` and `MOHAR_CONFIG` in the environment stand for `--data` and `--config`.\n")
	leaves(parser.Model.Node, func(n *kong.Node) {
		name := strings.TrimPrefix(n.Path(), "mohar ")
		help := n.Help
		if help == "" {
			t.Errorf("%s says nothing of itself", name)
		}
		fmt.Fprintf(&b, "\n## mohar %s\n\n%s\n\n```sh\nmohar %s\n```\n\n| | |\n|---|---|\n", name, help, examples[name])
		for _, a := range n.Positional {
			fmt.Fprintf(&b, "| `%s` | %s |\n", strings.ToUpper(a.Name), a.Help)
		}
		for _, f := range n.Flags {
			if f.Help == "" {
				t.Errorf("%s --%s says nothing of itself", name, f.Name)
			}
			text := f.Help
			if f.Required {
				text += " Required."
			}
			if f.HasDefault && f.Default != "" {
				text += " Default: `" + f.Default + "`."
			}
			fmt.Fprintf(&b, "| `--%s` | %s |\n", f.Name, text)
		}
	})
	text := strings.ReplaceAll(b.String(), "\n\n| | |\n|---|---|\n\n", "\n\n")
	text = strings.TrimSuffix(text, "\n\n| | |\n|---|---|\n") + "\n"
	text = strings.TrimRight(text, "\n") + "\n"
	const file = "../../docs/operate/commands.md"
	if *update {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != text {
		t.Errorf("%s is not what the commands say; run: go test ./cmd/mohar -run TestCommandsDoc -update", file)
	}
}
