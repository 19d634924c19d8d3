package main

import (
	"fmt"
	"strings"

	"github.com/alecthomas/kong"
)

// examples holds one example for each command, as it is typed after "mohar".
var examples = map[string]string{
	"demo":             "demo --data ./mohar-demo --port-base 10000",
	"init":             "init --data /var/lib/mohar --domain rajya.example --admin admin@rajya.example < password.txt",
	"serve":            "serve --data /var/lib/mohar",
	"account add":      "account add ravi@rajya.example --category employee --name 'Ravi Meena' --password-stdin < password.txt",
	"account list":     "account list --domain rajya.example --json",
	"account show":     "account show ravi@rajya.example",
	"account disable":  "account disable ravi@rajya.example --reason 'left the service'",
	"account password": "account password ravi@rajya.example --reason 'forgotten' < password.txt",
	"account enable":   "account enable ravi@rajya.example --reason 'came back'",
	"domain list":      "domain list",
	"domain dns":       "domain dns rajya.example",
	"policy show":      "policy show",
	"policy explain":   "policy explain --from asha.verma@rajya.example --to x@gmail.com --label official",
	"queue list":       "queue list --json",
	"queue show":       "queue show ID",
	"queue hold":       "queue hold ID --reason 'asked by the sender'",
	"queue release":    "queue release ID --reason 'checked by the nodal officer'",
	"queue retry":      "queue retry ID",
	"queue drop":       "queue drop ID --dry-run",
	"audit tail":       "audit tail -n 100",
	"audit prove":      "audit prove 42 > proof.json",
	"audit export":     "audit export ./log",
	"check":            "check --data /var/lib/mohar",
	"version":          "version",
}

// help prints kong's help, and below it the examples of the command or of the
// commands inside it.
func help(options kong.HelpOptions, ctx *kong.Context) error {
	if err := kong.DefaultHelpPrinter(options, ctx); err != nil {
		return err
	}
	node := ctx.Selected()
	if node == nil {
		_, err := fmt.Fprintf(ctx.Stdout, "\nExample:\n  mohar %s\n", examples["demo"])
		return err
	}
	var lines []string
	leaves := []*kong.Node{node}
	if len(node.Children) > 0 {
		leaves = node.Children
	}
	for _, leaf := range leaves {
		if x, ok := examples[strings.TrimPrefix(leaf.Path(), "mohar ")]; ok {
			lines = append(lines, "  mohar "+x)
		}
	}
	title := "Example:"
	if len(lines) > 1 {
		title = "Examples:"
	}
	_, err := fmt.Fprintf(ctx.Stdout, "\n%s\n%s\n", title, strings.Join(lines, "\n"))
	return err
}
