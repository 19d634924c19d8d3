package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/mohar-mail/mohar/node"
)

const password = "a long and quiet river"

// result is what a command did.
type result struct {
	status    int
	out, errs string
}

func command(in string, args ...string) result {
	var out, errs bytes.Buffer
	status := run(args, strings.NewReader(in), &out, &errs)
	return result{status, out.String(), errs.String()}
}

// want runs a command and compares its exit status and what it says, on either
// stream.
func want(t *testing.T, status int, says string, in string, args ...string) result {
	t.Helper()
	r := command(in, args...)
	if r.status != status || !strings.Contains(r.out+r.errs, says) {
		t.Errorf("mohar %s: status %d\n%s%s\nwanted %d and %q", strings.Join(args, " "), r.status, r.out, r.errs, status, says)
	}
	if status != exitDone && r.errs == "" {
		t.Errorf("mohar %s: no reason on standard error", strings.Join(args, " "))
	}
	return r
}

func leaves(n *kong.Node, fn func(*kong.Node)) {
	if len(n.Children) == 0 {
		fn(n)
	}
	for _, c := range n.Children {
		leaves(c, fn)
	}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	var c cli
	parser, err := kong.New(&c, kong.Name("mohar"))
	if err != nil {
		t.Fatal(err)
	}
	unused := map[string]bool{}
	for name := range examples {
		unused[name] = true
	}
	leaves(parser.Model.Node, func(n *kong.Node) {
		name := strings.TrimPrefix(n.Path(), "mohar ")
		delete(unused, name)
		if examples[name] == "" {
			t.Errorf("%s has no example", name)
			return
		}
		want(t, exitDone, "Example:\n  mohar "+examples[name], "", append(strings.Fields(name), "--help")...)
	})
	if len(unused) > 0 {
		t.Errorf("examples of no command: %v", unused)
	}
	want(t, exitDone, "Examples:\n  mohar queue list", "", "queue", "--help")
	want(t, exitDone, "Example:\n  mohar demo", "", "--help")
}

func TestUsage(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{}, {"queue"}, {"nothing"}, {"account", "show"}, {"queue", "show"}, {"audit", "prove", "first"},
		{"demo", "--port-base", "70000"}, {"demo", "--users", "0"}, {"demo", "--relay", "nowhere"}, {"init", "--data", "x"}, {"serve", "--nothing"},
		{"account", "add", "a@b.example", "--category", "king"}, {"policy", "explain", "--from", "a@b.example"}} {
		want(t, exitUsage, "mohar: ", "", args...)
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	want(t, exitDone, "mohar ", "", "version")
}

// shortDir is a folder whose path is short enough for a socket.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "m")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // best effort
	return dir
}

// TestInstallation follows one installation from its beginning: set up, used
// while it is stopped, used while it runs, and protected from a second server.
func TestInstallation(t *testing.T) {
	t.Parallel()
	data := filepath.Join(shortDir(t), "data")
	in := []string{"init", "--data", data, "--domain", "rajya.example", "--admin"}
	want(t, exitFailed, "no installation", "", "serve", "--data", data)
	want(t, exitFailed, "must be of the domain", password, append(in, "chief@other.example")...)
	want(t, exitFailed, "password", "", append(in, "chief@rajya.example")...)
	want(t, exitFailed, "", "short\n", append(in, "chief@rajya.example")...) // and the first domain is there now
	r := want(t, exitDone, "rajya.example. 3600 IN MX 10 mail.rajya.example.", password+"\n", append(in, "chief@rajya.example")...)
	for _, record := range []string{"v=spf1", "v=DMARC1; p=reject", "mohar1r._domainkey.rajya.example.", "mohar1e._domainkey", "_imaps._tcp"} {
		if !strings.Contains(r.out, record) {
			t.Errorf("%s is not among the records", record)
		}
	}
	want(t, exitFailed, "already", password, append(in, "chief@rajya.example")...)
	if cfg, err := node.LoadConfig(filepath.Join(data, node.ConfigName), false); err != nil || cfg.Hostname != "mail.rajya.example" {
		t.Errorf("the configuration that was written: %q, %v", cfg.Hostname, err)
	}
	use(t, data, "stopped@rajya.example")

	want(t, exitFailed, "line 2: there is no key mail.max_mesage_mb", "", "serve", "--data", data, "--config", config(t, "[mail]\nmax_mesage_mb = 3\n"))
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	alone := "[listen]\nmx = ''\nlmtp = ''\nsubmission = ''\nsubmissions = ''\nimap = ''\nimaps = ''\nhttps = ''\nops = '%s'\n"
	want(t, exitFailed, "The door ops cannot be opened at "+busy.Addr().String(), "", "serve", "--data", data, "--config", config(t, fmt.Sprintf(alone, busy.Addr())))
	stop := serve(t, data, config(t, fmt.Sprintf(alone, "")))
	want(t, exitFailed, "Another server is using the data", "", "serve", "--data", data)
	use(t, data, "running@rajya.example")
	stop()
	want(t, exitDone, "running@rajya.example", "", "account", "list", "--data", data)
}

func config(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "mohar.toml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// serve runs the installation until stop is called.
func serve(t *testing.T, data, file string) (stop func()) {
	t.Helper()
	cfg, err := node.LoadConfig(file, false)
	if err != nil {
		t.Fatal(err)
	}
	n, err := node.Open(data, cfg, node.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() { done <- n.Serve(ctx, node.Doors{}, func() { close(ready) }) }()
	select {
	case <-ready:
	case err := <-done:
		t.Fatal(err)
	}
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}
}

// use goes through the administrative commands.
func use(t *testing.T, data, address string) {
	t.Helper()
	ask := func(status int, says string, args ...string) result {
		t.Helper()
		return want(t, status, says, password+"\n", append(args, "--data", data)...)
	}
	ask(exitDone, "added "+address, "account", "add", address, "--name", "Ravi", "--password-stdin")
	ask(exitFailed, "", "account", "add", address)
	ask(exitFailed, "2027-03-31", "account", "add", "x@rajya.example", "--until", "soon")
	ask(exitDone, "employee", "account", "show", address)
	ask(exitFailed, "", "account", "show", "nobody@rajya.example")
	ask(exitDone, "disabled", "account", "disable", address, "--reason", "left")
	ask(exitDone, "active", "account", "enable", address)
	ask(exitDone, "live", "domain", "list")
	ask(exitDone, "v=DMARC1", "domain", "dns", "rajya.example")
	ask(exitFailed, "", "domain", "dns", "other.example")
	ask(exitDone, "DLP-FOREIGN-OFFICIAL", "policy", "show")
	ask(exitDone, "DLP-FOREIGN-OFFICIAL", "policy", "explain", "--from", address, "--to", "x@gmail.com", "--label", "official")
	ask(exitFailed, "", "policy", "explain", "--from", address, "--to", "x@gmail.com", "--label", "cosmic")
	ask(exitDone, "queue is empty", "queue", "list")
	ask(exitFailed, "", "queue", "drop", "../accounts/state", "--dry-run")
	ask(exitFailed, "", "queue", "hold", "00000000000000000000000000000000")
	ask(exitDone, "", "audit", "tail")
	ask(exitFailed, "", "audit", "prove", "1000000")
	ask(exitDone, "0 problems", "check")
	for _, args := range [][]string{{"queue", "list"}, {"account", "list", "--domain", "none.example"}} {
		if r := ask(exitDone, "", append(args, "--json")...); strings.TrimSpace(r.out) != "[]" {
			t.Errorf("%v without entries: %q", args, r.out)
		}
	}
	for _, args := range [][]string{{"account", "show", address}, {"domain", "list"}, {"policy", "show"}, {"audit", "tail"}, {"check"}} {
		if r := ask(exitDone, "", append(args, "--json")...); !json.Valid([]byte(r.out)) {
			t.Errorf("%v: no JSON: %q", args, r.out)
		}
	}
}

// TestForeignFolders: no command makes or destroys anything in a folder that is
// not its own.
func TestForeignFolders(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"demo", "letter.txt"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want(t, exitFailed, "does not hold a demo", "", "demo", "--data", dir, "--fresh")
	want(t, exitFailed, "is not empty", "", "demo", "--data", dir)
	want(t, exitFailed, "no installation", "", "queue", "list", "--data", dir)
	want(t, exitFailed, "no installation", "", "serve", "--data", dir)
	want(t, exitFailed, "no installation", "", "check", "--data", filepath.Join(dir, "none"))
	if list, err := os.ReadDir(dir); err != nil || len(list) != 2 {
		t.Errorf("the folder: %v, %v", list, err)
	}
}

// TestOtherUser: root makes no files that the server cannot read.
func TestOtherUser(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can give a folder away")
	}
	dir := t.TempDir()
	if err := os.Chown(dir, 12345, 12345); err != nil {
		t.Fatal(err)
	}
	if err := sameUser(dir); err == nil || !strings.Contains(sentence(err), "12345") {
		t.Errorf("%v", err)
	}
}
