package tlog

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"golang.org/x/mod/sumdb/tlog"
)

// Names inside an export directory. Tiles stand beside them under Path.
const (
	EntriesFile    = "entries.jsonl" // one entry a line, in the log's order
	CheckpointFile = "checkpoint"    // the signed note
	KeyFile        = "key.pub"       // the public key; compare it with one from another source
)

// Path is the file of a tile in an export: "tile/LEVEL/N", N in decimal.
func (t Tile) Path() string { return fmt.Sprintf("tile/%d/%d", t.Level, t.N) }

// Head is the beginning of every entry: where it was staged, and its place
// there. Places of one source run 1, 2, 3 without a gap, so a leaf that was
// lost, or applied twice, on its way into the log shows offline.
type Head struct {
	Source string `json:"src"`
	N      uint64 `json:"n"`
}

// Finding is one thing wrong with an export, in words for an auditor.
type Finding struct {
	Entry int64 // index of the entry concerned; -1 where it is none
	What  string
}

// Report is what Verify found.
type Report struct {
	Checkpoint Checkpoint
	Entries    int64 // lines read
	Sources    int   // shards that staged them
	Findings   []Finding
}

// OK says whether nothing is wrong.
func (r *Report) OK() bool { return len(r.Findings) == 0 }

// Limits of Verify.
const (
	MaxFindings = 100     // after so many the rest is not listed
	maxSources  = 1 << 20 // shards that may have staged entries
	stride      = 4096    // entries between two calls of Progress
)

// Verification is what Verify is asked to do.
type Verification struct {
	Public string // the log's public key, from a source that the auditor trusts
	// Older is an earlier checkpoint of the same log, signed, or nil: the
	// export must begin with exactly the log that it describes.
	Older []byte
	// Progress is called now and then with entries done and expected; may be nil.
	Progress func(done, total int64)
}

// Verify checks an export: the signature, every entry against its leaf hash in
// the tiles, the tree hash, the sequence of every source, and that nothing is
// missing or beyond the end. The error is for what could not be read; what was
// read and is wrong stands in the report.
func Verify(ctx context.Context, dir fs.FS, v Verification) (*Report, error) {
	r := &Report{}
	signed, err := readSmall(dir, CheckpointFile)
	if err != nil {
		return nil, err
	}
	if r.Checkpoint, err = Open(signed, v.Public); err != nil {
		r.find(-1, "the signature of the checkpoint does not belong to this key, or the checkpoint was changed: %v", err)
		return r, nil
	}
	c := &check{Report: r, dir: dir, ask: v, next: map[string]uint64{}}
	if v.Older != nil {
		old, err := Open(v.Older, v.Public)
		if err != nil {
			r.find(-1, "the earlier checkpoint does not belong to this key: %v", err)
			return r, nil
		}
		if c.older = &old; old.Size > r.Checkpoint.Size {
			r.find(-1, "the log has shrunk: %d entries, %d at the earlier checkpoint", r.Checkpoint.Size, old.Size)
		}
	}
	if c.app, err = NewAppender(0, nil, c.tile); err != nil {
		return nil, err
	}
	return r, c.run(ctx)
}

type check struct {
	*Report
	dir   fs.FS
	ask   Verification
	older *Checkpoint
	app   *Appender
	next  map[string]uint64
}

func (r *Report) find(entry int64, format string, a ...any) {
	if len(r.Findings) < MaxFindings {
		r.Findings = append(r.Findings, Finding{entry, fmt.Sprintf(format, a...)})
	}
}

func (c *check) run(ctx context.Context) error {
	f, err := c.dir.Open(EntriesFile)
	if err != nil {
		return fmt.Errorf("the entries cannot be read: %w", err)
	}
	defer f.Close()
	in := bufio.NewReaderSize(f, MaxLeaf+1)
	for c.Entries <= c.Checkpoint.Size {
		if c.Entries%stride == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			if c.ask.Progress != nil {
				c.ask.Progress(c.Entries, c.Checkpoint.Size)
			}
		}
		if err := c.olderRoot(); err != nil {
			return err
		}
		line, err := in.ReadSlice('\n')
		if errors.Is(err, io.EOF) && len(line) == 0 {
			break
		}
		if errors.Is(err, bufio.ErrBufferFull) || errors.Is(err, io.EOF) {
			c.find(c.Entries, "the line is cut short or longer than %d bytes", MaxLeaf)
			return nil
		}
		if err != nil {
			return fmt.Errorf("the entries cannot be read: %w", err)
		}
		if c.Entries == c.Checkpoint.Size {
			c.find(c.Entries, "there are more entries than the checkpoint has signed (%d)", c.Checkpoint.Size)
			return nil
		}
		if err := c.entry(line[:len(line)-1]); err != nil {
			return err
		}
	}
	return c.finish()
}

func (c *check) olderRoot() error {
	if c.older == nil || c.older.Size != c.Entries {
		return nil
	}
	root, err := c.app.Root()
	if err == nil && root != c.older.Root {
		c.find(-1, "history was rewritten: the first %d entries are not those of the earlier checkpoint", c.older.Size)
	}
	return err
}

func (c *check) entry(leaf []byte) error {
	at := c.Entries
	c.Entries++
	if _, err := c.app.Append(leaf); err != nil {
		return err
	}
	var h Head
	if err := json.Unmarshal(leaf, &h); err != nil || h.Source == "" {
		c.find(at, "the entry is not a record of the log")
		return nil
	}
	if len(c.next) >= maxSources {
		return errors.New("too many sources")
	}
	if want := c.next[h.Source] + 1; h.N != want {
		c.find(at, "source %q: number %d follows %d; %s", h.Source, h.N, want-1, gap(h.N, want))
	}
	c.next[h.Source] = h.N
	return nil
}

func gap(n, want uint64) string {
	if n > want {
		return "entries between them are missing"
	}
	return "an entry stands twice or out of order"
}

// tile compares a recomputed tile with the one of the export.
func (c *check) tile(t Tile, data []byte) error {
	stored, err := readSmall(c.dir, t.Path())
	if err != nil {
		return err
	}
	if bytes.Equal(stored, data) {
		return nil
	}
	if t.Level > 0 {
		c.find(-1, "tile %s does not agree with the entries", t.Path())
		return nil
	}
	for i := 0; i < len(data) || i < len(stored); i += tlog.HashSize {
		if i+tlog.HashSize > len(data) || i+tlog.HashSize > len(stored) || !bytes.Equal(data[i:i+tlog.HashSize], stored[i:i+tlog.HashSize]) {
			c.find(t.N*Width+int64(i/tlog.HashSize), "the entry is not the one whose hash the log holds")
		}
	}
	return nil
}

func (c *check) finish() error {
	if err := c.app.Flush(); err != nil {
		return err
	}
	c.Sources = len(c.next)
	if c.Entries != c.Checkpoint.Size {
		c.find(-1, "%d entries are here, the checkpoint has signed %d", c.Entries, c.Checkpoint.Size)
		return nil
	}
	root, err := c.app.Root()
	if err != nil {
		return err
	}
	if root != c.Checkpoint.Root {
		c.find(-1, "the tree hash of the entries is not the one that was signed")
	}
	if c.ask.Progress != nil {
		c.ask.Progress(c.Entries, c.Checkpoint.Size)
	}
	return nil
}

// readSmall reads a whole file of at most MaxNote bytes.
func readSmall(dir fs.FS, name string) ([]byte, error) {
	f, err := dir.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, MaxNote+1))
	if err == nil && len(b) > MaxNote {
		err = fmt.Errorf("%s is too large", name)
	}
	return b, err
}
