package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mohar-mail/mohar/wire/tlog"
)

// write makes an export of n entries in a new directory, the proof of its last
// entry beside it, and gives its place.
func write(t *testing.T, private, public string, n int) string {
	t.Helper()
	dir := t.TempDir()
	put := func(name string, b []byte) {
		name = filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	tiles := map[tlog.Tile][]byte{}
	a, err := tlog.NewAppender(0, nil, func(tile tlog.Tile, d []byte) error {
		tiles[tile] = bytes.Clone(d)
		put(tile.Path(), d)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var lines bytes.Buffer
	leaf := ""
	for i := range n {
		leaf = fmt.Sprintf(`{"src":"d","n":%d}`, i+1)
		if _, err := a.Append([]byte(leaf)); err != nil {
			t.Fatal(err)
		}
		lines.WriteString(leaf + "\n")
	}
	if err := a.Flush(); err != nil {
		t.Fatal(err)
	}
	root, err := a.Root()
	if err != nil {
		t.Fatal(err)
	}
	signed, err := tlog.Checkpoint{Origin: "log.example", Size: int64(n), Root: root}.Sign(private)
	if err != nil {
		t.Fatal(err)
	}
	put(tlog.EntriesFile, lines.Bytes())
	put(tlog.CheckpointFile, signed)
	put(tlog.KeyFile, []byte(public+"\n"))
	hashes, err := tlog.Inclusion(int64(n), int64(n-1), func(ts []tlog.Tile) ([][]byte, error) {
		out := make([][]byte, len(ts))
		for i, tile := range ts {
			out[i] = tiles[tile]
		}
		return out, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(tlog.Proof{Index: int64(n - 1), Leaf: leaf, Hashes: hashes, Checkpoint: string(signed)})
	if err != nil {
		t.Fatal(err)
	}
	put("proof.json", b)
	put("spoiled.json", bytes.Replace(b, []byte(`\"n\":`), []byte(`\"n\":1`), 1))
	return dir
}

func TestRun(t *testing.T) {
	t.Parallel()
	private, public, err := tlog.GenerateKey(rand.Reader, "log.example")
	if err != nil {
		t.Fatal(err)
	}
	_, stranger, err := tlog.GenerateKey(rand.Reader, "log.example")
	if err != nil {
		t.Fatal(err)
	}
	good, small, spoiled := write(t, private, public, 600), write(t, private, public, 9), write(t, private, public, 9)
	f := filepath.Join(spoiled, tlog.EntriesFile)
	b, err := os.ReadFile(f)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(f, bytes.Replace(b, []byte(`"n":4`), []byte(`"n":5`), 1), 0o644); err != nil {
		t.Fatal(err)
	}
	strange := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(strange, []byte(stranger), 0o644); err != nil {
		t.Fatal(err)
	}
	key, sinceSmall := filepath.Join(good, tlog.KeyFile), filepath.Join(small, tlog.CheckpointFile)
	for _, c := range []struct {
		args   []string
		status int
		says   string
	}{
		{[]string{"verify", good}, done, "taken from the export itself"},
		{[]string{"verify", "--key", key, good}, done, "In order: 600 entries of log log.example, from 1 sources"},
		{[]string{"verify", "--key", key, "--since", sinceSmall, good}, done, "Nothing before the earlier checkpoint was changed."},
		{[]string{"verify", "--key", key, "--since", filepath.Join(good, tlog.CheckpointFile), small}, wrong, "shrunk"},
		{[]string{"verify", spoiled}, wrong, "entry 3: the entry is not the one whose hash the log holds"},
		{[]string{"verify", "--key", strange, good}, wrong, "does not belong to this key"},
		{[]string{"verify", filepath.Join(good, "none")}, wrong, "could not be finished"},
		{[]string{"proof", "--key", key, filepath.Join(good, "proof.json")}, done, "Valid: entry 599"},
		{[]string{"proof", "--key", key, filepath.Join(good, "spoiled.json")}, wrong, "NOT valid"},
		{[]string{"proof", "--key", key, key}, wrong, "not a proof"},
		{[]string{"proof", filepath.Join(good, "proof.json")}, usage, "worth nothing without --key"},
		{[]string{"verify", "--help"}, done, "Example:"},
		{[]string{"--help"}, done, "Exit status"},
		{[]string{"verify"}, usage, "Exit status"},
		{[]string{"verify", "--colour", good}, usage, "not defined"},
		{[]string{"dance"}, usage, `no command "dance"`},
		{nil, usage, "Exit status"},
	} {
		var out, errs bytes.Buffer
		if got := run(context.Background(), c.args, &out, &errs, true); got != c.status || !strings.Contains(out.String()+errs.String(), c.says) {
			t.Errorf("%q: status %d, want %d with %q\n%s%s", c.args, got, c.status, c.says, out.String(), errs.String())
		}
	}
}
