package tlog

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"strings"
	"testing"
	"testing/fstest"

	"golang.org/x/mod/sumdb/tlog"
)

// shelf keeps tiles as a store would.
type shelf map[Tile][]byte

func (s shelf) read(ts []Tile) ([][]byte, error) {
	out := make([][]byte, len(ts))
	for i, t := range ts {
		out[i] = s[t]
	}
	return out, nil
}

func (s shelf) emit(t Tile, d []byte) error { s[t] = bytes.Clone(d); return nil }

func leaf(i int) []byte { return fmt.Appendf(nil, `{"src":"s/%02d","n":%d}`, i%3, i/3+1) }

// TestAgainstReference extends a log in uneven steps, each with a new Appender,
// and compares every root and proof with the reference storage of x/mod.
func TestAgainstReference(t *testing.T) {
	t.Parallel()
	var ref []Hash
	reader := tlog.HashReaderFunc(func(ix []int64) ([]Hash, error) {
		out := make([]Hash, len(ix))
		for i, x := range ix {
			out[i] = ref[x]
		}
		return out, nil
	})
	s := shelf{}
	roots := map[int64]Hash{}
	n := 0
	for _, step := range []int{1, 1, 2, 250, 1, 1, 1, 300, 1000, 4096, 70000} {
		a, err := NewAppender(int64(n), s.read, s.emit)
		if err != nil {
			t.Fatal(err)
		}
		for range step {
			if _, err := a.Append(leaf(n)); err != nil {
				t.Fatal(err)
			}
			hs, err := tlog.StoredHashes(int64(n), leaf(n), reader)
			if err != nil {
				t.Fatal(err)
			}
			ref = append(ref, hs...)
			n++
		}
		if err := a.Flush(); err != nil {
			t.Fatal(err)
		}
		want, err := tlog.TreeHash(int64(n), reader)
		if err != nil {
			t.Fatal(err)
		}
		got, err := a.Root()
		if err != nil || got != want {
			t.Fatalf("size %d: root %v, want %v (%v)", n, got, want, err)
		}
		if got, err = Root(int64(n), s.read); err != nil || got != want {
			t.Fatalf("size %d: stored root %v, want %v (%v)", n, got, want, err)
		}
		roots[int64(n)] = want
	}
	size := int64(n)
	for _, i := range []int64{0, 1, 255, 256, 257, 65535, 65536, size - 1} {
		p, err := Inclusion(size, i, s.read)
		if err != nil {
			t.Fatal(err)
		}
		if err := CheckInclusion(p, size, roots[size], i, leaf(int(i))); err != nil {
			t.Errorf("entry %d: %v", i, err)
		}
		if CheckInclusion(p, size, roots[size], i, leaf(int(i)+1)) == nil {
			t.Errorf("entry %d: another leaf is proved", i)
		}
	}
	for old, root := range roots {
		p, err := Consistency(size, old, s.read)
		if err != nil {
			t.Fatal(err)
		}
		if err := CheckConsistency(p, size, roots[size], old, root); err != nil {
			t.Errorf("old size %d: %v", old, err)
		}
		if old < size && CheckConsistency(p, size, roots[size], old, roots[size]) == nil {
			t.Errorf("old size %d: another root is proved", old)
		}
	}
	for _, bad := range []int64{-1, size} {
		if _, err := Inclusion(size, bad, s.read); err == nil {
			t.Errorf("proof for entry %d", bad)
		}
	}
}

func TestAppenderRefusesHoles(t *testing.T) {
	t.Parallel()
	if _, err := NewAppender(300, shelf{}.read, nil); err == nil {
		t.Error("a log without its tiles was continued")
	}
	if _, err := NewAppender(-1, shelf{}.read, nil); err == nil {
		t.Error("negative size")
	}
}

func keys(t *testing.T) (string, string) {
	t.Helper()
	private, public, err := GenerateKey(rand.Reader, "log.example")
	if err != nil {
		t.Fatal(err)
	}
	return private, public
}

func TestCheckpoint(t *testing.T) {
	t.Parallel()
	private, public := keys(t)
	if p, err := Public(private); err != nil || p != public {
		t.Errorf("Public: %q %v", p, err)
	}
	if _, err := Public("PRIVATE+KEY+x"); err == nil {
		t.Error("Public accepts rubbish")
	}
	c := Checkpoint{"log.example", 7, Hash{1, 2}}
	signed, err := c.Sign(private)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := Open(signed, public); err != nil || got != c {
		t.Fatalf("%v %v", got, err)
	}
	if _, err := Open(bytes.Replace(signed, []byte("\n7\n"), []byte("\n8\n"), 1), public); err == nil {
		t.Error("a changed size passes")
	}
	_, other := keys(t)
	if _, err := Open(signed, other); err == nil {
		t.Error("another key passes")
	}
	if _, err := (Checkpoint{"else.example", 1, Hash{}}).Sign(private); err == nil {
		t.Error("signs for another origin")
	}
	for _, text := range []string{"", "a\n", "a\n1\n", "a\n01\n" + strings.Repeat("A", 43) + "=\n", "a\n-1\n" + strings.Repeat("A", 43) + "=\n", "\n1\n" + strings.Repeat("A", 43) + "=\n", "a\n1\nAA==\n"} {
		if _, err := ParseCheckpoint(text); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}

// export makes a directory of n entries; change may spoil a leaf before it is
// written, without the log knowing.
func export(t *testing.T, private, public string, n int, log func(int) []byte) fstest.MapFS {
	t.Helper()
	s := shelf{}
	a, err := NewAppender(0, nil, s.emit)
	if err != nil {
		t.Fatal(err)
	}
	var lines bytes.Buffer
	for i := range n {
		l := log(i)
		if _, err := a.Append(l); err != nil {
			t.Fatal(err)
		}
		lines.Write(append(l, '\n'))
	}
	if err := a.Flush(); err != nil {
		t.Fatal(err)
	}
	root, err := a.Root()
	if err != nil {
		t.Fatal(err)
	}
	signed, err := Checkpoint{"log.example", int64(n), root}.Sign(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := fstest.MapFS{
		EntriesFile:    {Data: lines.Bytes()},
		CheckpointFile: {Data: signed},
		KeyFile:        {Data: []byte(public)},
	}
	for tile, d := range s {
		dir[tile.Path()] = &fstest.MapFile{Data: d}
	}
	return dir
}

func TestVerify(t *testing.T) {
	t.Parallel()
	private, public := keys(t)
	const n = 700
	good := export(t, private, public, n, leaf)
	older := export(t, private, public, 300, leaf)[CheckpointFile].Data
	lines := func(edit func([]string) []string) []byte {
		l := strings.SplitAfter(string(good[EntriesFile].Data), "\n")
		return []byte(strings.Join(edit(l[:n]), ""))
	}
	cases := []struct {
		name  string
		spoil func(fstest.MapFS)
		older []byte
		want  string // part of a finding; "" for none
		entry int64
	}{
		{"in order", func(fstest.MapFS) {}, nil, "", 0},
		{"in order, grown", func(fstest.MapFS) {}, older, "", 0},
		{"an entry changed", func(d fstest.MapFS) {
			d[EntriesFile] = &fstest.MapFile{Data: lines(func(l []string) []string { l[413] = `{"src":"s/02","n":138,"x":1}` + "\n"; return l })}
		}, nil, "not the one whose hash", 413},
		{"an entry cut out", func(d fstest.MapFS) {
			d[EntriesFile] = &fstest.MapFile{Data: lines(func(l []string) []string { return append(l[:10], l[11:]...) })}
		}, nil, "entries between them are missing", 12},
		{"the last entry cut off", func(d fstest.MapFS) {
			d[EntriesFile] = &fstest.MapFile{Data: lines(func(l []string) []string { return l[:n-1] })}
		}, nil, "699 entries are here", -1},
		{"an entry added", func(d fstest.MapFS) {
			d[EntriesFile] = &fstest.MapFile{Data: lines(func(l []string) []string { return append(l, string(leaf(n))+"\n") })}
		}, nil, "more entries", n},
		{"half a line at the end", func(d fstest.MapFS) {
			d[EntriesFile] = &fstest.MapFile{Data: lines(func(l []string) []string { l[n-1] = l[n-1][:5]; return l })}
		}, nil, "cut short", n - 1},
		{"a tile changed", func(d fstest.MapFS) {
			b := bytes.Clone(d["tile/0/1"].Data)
			b[40] ^= 1
			d["tile/0/1"] = &fstest.MapFile{Data: b}
		}, nil, "not the one whose hash", 257},
		{"an upper tile changed", func(d fstest.MapFS) {
			b := bytes.Clone(d["tile/1/0"].Data)
			b[0] ^= 1
			d["tile/1/0"] = &fstest.MapFile{Data: b}
		}, nil, "tile/1/0", -1},
		{"the checkpoint changed", func(d fstest.MapFS) {
			d[CheckpointFile] = &fstest.MapFile{Data: bytes.Replace(d[CheckpointFile].Data, []byte("\n700\n"), []byte("\n699\n"), 1)}
		}, nil, "signature", -1},
		{"everything made anew with a hole", func(d fstest.MapFS) {
			maps.Copy(d, export(t, private, public, n, func(i int) []byte { return leaf(i + i/600) }))
		}, nil, "missing", 602},
		{"history rewritten", func(d fstest.MapFS) {
			maps.Copy(d, export(t, private, public, n, func(i int) []byte {
				return fmt.Appendf(nil, `{"src":"s/%02d","n":%d,"x":2}`, i%3, i/3+1)
			}))
		}, older, "rewritten", -1},
		{"the log shrunk", func(d fstest.MapFS) { maps.Copy(d, export(t, private, public, 100, leaf)) }, older, "shrunk", -1},
		{"not JSON", func(d fstest.MapFS) {
			maps.Copy(d, export(t, private, public, n, func(i int) []byte { return []byte("x") }))
		}, nil, "not a record", 0},
	}
	for _, c := range cases {
		dir := maps.Clone(good)
		c.spoil(dir)
		calls := 0
		r, err := Verify(context.Background(), dir, Verification{Public: public, Older: c.older, Progress: func(_, _ int64) { calls++ }})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if c.want == "" {
			if !r.OK() || r.Entries != n || r.Sources != 3 || calls < 2 {
				t.Errorf("%s: %+v", c.name, r)
			}
			continue
		}
		found := false
		for _, f := range r.Findings {
			found = found || strings.Contains(f.What, c.want) && f.Entry == c.entry
		}
		if !found {
			t.Errorf("%s: findings %+v", c.name, r.Findings)
		}
	}
	for _, gone := range []string{EntriesFile, CheckpointFile, "tile/0/2"} {
		dir := maps.Clone(good)
		delete(dir, gone)
		if _, err := Verify(context.Background(), dir, Verification{Public: public}); err == nil {
			t.Errorf("%s missing: no error", gone)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Verify(ctx, good, Verification{Public: public}); err == nil {
		t.Error("goes on after its context has ended")
	}
}

func FuzzOpen(f *testing.F) {
	private, public, err := GenerateKey(rand.Reader, "log.example")
	if err != nil {
		f.Fatal(err)
	}
	c := Checkpoint{"log.example", 3, Hash{9}}
	signed, err := c.Sign(private)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(signed)
	f.Add([]byte("a\n1\n\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if got, err := Open(b, public); err == nil && got != c {
			t.Errorf("opened %v", got)
		}
		if got, err := ParseCheckpoint(string(b)); err == nil && !strings.HasPrefix(string(b), got.Text()) {
			t.Errorf("%q reads as %q", b, got.Text())
		}
	})
}

func FuzzVerify(f *testing.F) {
	private, public, err := GenerateKey(rand.Reader, "log.example")
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(`{"src":"s/00","n":1}`+"\n"), []byte{0})
	f.Fuzz(func(t *testing.T, entries, tile []byte) {
		signed, err := Checkpoint{"log.example", 1, tlog.RecordHash([]byte(`{"src":"s/00","n":1}`))}.Sign(private)
		if err != nil {
			t.Fatal(err)
		}
		dir := fs.FS(fstest.MapFS{EntriesFile: {Data: entries}, CheckpointFile: {Data: signed}, "tile/0/0": {Data: tile}})
		r, err := Verify(context.Background(), dir, Verification{Public: public})
		if err == nil && r.OK() && string(entries) != `{"src":"s/00","n":1}`+"\n" {
			t.Errorf("passed %q", entries)
		}
	})
}

func FuzzProof(f *testing.F) {
	private, public, err := GenerateKey(rand.Reader, "log.example")
	if err != nil {
		f.Fatal(err)
	}
	signed, err := Checkpoint{"log.example", 1, tlog.RecordHash([]byte("x"))}.Sign(private)
	if err != nil {
		f.Fatal(err)
	}
	text, err := json.Marshal(Proof{0, "x", nil, string(signed)})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"index":-1}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ReadProof(bytes.NewReader(b))
		if err != nil {
			return
		}
		if _, err := p.Check(public); err == nil && (p.Leaf != "x" || p.Index != 0) {
			t.Errorf("proved %+v", p)
		}
	})
}
