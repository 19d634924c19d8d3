package audit

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/store/kv"
	"github.com/mohar-mail/mohar/wire/tlog"
)

// chunk is how many entries are read in one view of the log.
const chunk = 1024

// Log reads the log.
type Log struct {
	store *kv.Store
	shard kv.Shard
}

// NewLog reads the log in shard ("": DefaultLog).
func NewLog(store *kv.Store, shard kv.Shard) *Log {
	if shard == "" {
		shard = DefaultLog
	}
	return &Log{store, shard}
}

// Checkpoint gives the newest checkpoint, signed and read. An empty log has
// none: nil and a checkpoint of size 0.
func (l *Log) Checkpoint(ctx context.Context) (signed []byte, c tlog.Checkpoint, err error) {
	err = l.store.View(ctx, l.shard, func(r kv.Reader) error {
		if c, err = checkpointOf(r); err != nil || c.Size == 0 {
			return err
		}
		signed, err = r.Get([]byte(checkpointKey))
		signed = bytes.Clone(signed)
		return err
	})
	return signed, c, err
}

// Entries gives up to limit entries from index from on (limit 0 or over 1,024:
// 1,024). Past the end it gives none.
func (l *Log) Entries(ctx context.Context, from int64, limit int) ([]Entry, error) {
	var out []Entry
	err := l.leaves(ctx, from, limit, func(i int64, leaf []byte) error {
		e, err := Decode(i, bytes.Clone(leaf))
		out = append(out, e)
		return err
	})
	return out, err
}

// Tail gives the last n entries, oldest first, and the index to go on from.
func (l *Log) Tail(ctx context.Context, n int) ([]Entry, int64, error) {
	_, c, err := l.Checkpoint(ctx)
	if err != nil {
		return nil, 0, err
	}
	from := max(c.Size-int64(min(max(n, 0), chunk)), 0)
	es, err := l.Entries(ctx, from, int(c.Size-from))
	return es, c.Size, err
}

func (l *Log) leaves(ctx context.Context, from int64, limit int, fn func(int64, []byte) error) error {
	if limit <= 0 || limit > chunk {
		limit = chunk
	}
	from = max(from, 0)
	return l.store.View(ctx, l.shard, func(r kv.Reader) error {
		var bad error
		rg := kv.Range{From: entryKey(from), To: kv.PrefixEnd([]byte(entryPrefix)), Limit: limit}
		i := from
		err := r.Scan(rg, func(k, v []byte) bool {
			if !bytes.Equal(k, entryKey(i)) {
				bad = fault.New(fault.Corrupt, "audit.Log", fmt.Sprintf("Entry %d of the audit log is missing.", i))
				return false
			}
			bad = fn(i, v)
			i++
			return bad == nil
		})
		if bad != nil {
			return bad
		}
		return err
	})
}

// Prove proves the entry at index under the newest checkpoint; fault.NotFound
// where the log is not so long.
func (l *Log) Prove(ctx context.Context, index int64) (*tlog.Proof, error) {
	var p *tlog.Proof
	err := l.store.View(ctx, l.shard, func(r kv.Reader) error {
		c, err := checkpointOf(r)
		if err != nil {
			return err
		}
		if index < 0 || index >= c.Size {
			return fault.New(fault.NotFound, "audit.Prove", fmt.Sprintf("The audit log has %d entries.", c.Size))
		}
		signed, err := r.Get([]byte(checkpointKey))
		if err != nil {
			return err
		}
		leaf, err := r.Get(entryKey(index))
		if err != nil {
			return fault.Wrap(err, fault.Corrupt, "audit.Prove", "The entry is missing.")
		}
		hashes, err := tlog.Inclusion(c.Size, index, tiles(r))
		p = &tlog.Proof{Index: index, Leaf: string(leaf), Hashes: hashes, Checkpoint: string(signed)}
		return fault.Wrap(err, fault.Corrupt, "audit.Prove", "The audit log is damaged.")
	})
	return p, err
}

// Consistency proves that the log of today begins with that of old entries, and
// gives the signed checkpoint that the proof ends in.
func (l *Log) Consistency(ctx context.Context, old int64) (hashes []tlog.Hash, signed []byte, err error) {
	err = l.store.View(ctx, l.shard, func(r kv.Reader) error {
		c, err := checkpointOf(r)
		if err != nil {
			return err
		}
		if old < 1 || old > c.Size {
			return fault.New(fault.NotFound, "audit.Consistency", fmt.Sprintf("The audit log has %d entries.", c.Size))
		}
		if signed, err = r.Get([]byte(checkpointKey)); err != nil {
			return err
		}
		signed = bytes.Clone(signed)
		hashes, err = tlog.Consistency(c.Size, old, tiles(r))
		return fault.Wrap(err, fault.Corrupt, "audit.Consistency", "The audit log is damaged.")
	})
	return hashes, signed, err
}

// Export is what Log.Export needs of the outside.
type Export struct {
	// Create opens a file of the export for writing; name has slashes, and its
	// folders are to be made.
	Create   func(name string) (io.WriteCloser, error)
	Public   string                  // the public key, written beside
	Progress func(done, total int64) // may be nil
}

// Export writes the log as it stands: entries, tiles, checkpoint and key, in the
// form that tlog.Verify reads. It copies what is stored without mending it. The
// log may grow meanwhile; what comes later is not in the export.
func (l *Log) Export(ctx context.Context, x Export) (tlog.Checkpoint, error) {
	signed, c, err := l.Checkpoint(ctx)
	if err != nil {
		return c, err
	}
	if c.Size == 0 {
		return c, fault.New(fault.NotFound, "audit.Export", "The audit log is empty.")
	}
	if err := l.exportEntries(ctx, c.Size, x); err != nil {
		return c, err
	}
	if err := l.exportTiles(ctx, c.Size, x); err != nil {
		return c, err
	}
	if err := put(x, tlog.KeyFile, []byte(x.Public+"\n")); err != nil {
		return c, err
	}
	// Last, so that an export cut short has no checkpoint and cannot pass.
	return c, put(x, tlog.CheckpointFile, signed)
}

func (l *Log) exportEntries(ctx context.Context, size int64, x Export) error {
	w, err := x.Create(tlog.EntriesFile)
	if err != nil {
		return err
	}
	var buf bytes.Buffer
	for at := int64(0); at < size; {
		buf.Reset()
		before := at
		err := l.leaves(ctx, at, int(min(size-at, chunk)), func(i int64, leaf []byte) error {
			buf.Write(leaf)
			buf.WriteByte('\n')
			at = i + 1
			return nil
		})
		if err == nil && at == before {
			err = fault.New(fault.Corrupt, "audit.Export", fmt.Sprintf("Entry %d of the audit log is missing.", at))
		}
		if err == nil {
			_, err = w.Write(buf.Bytes())
		}
		if err != nil {
			_ = w.Close() // the first error is the one to tell
			return err
		}
		if x.Progress != nil {
			x.Progress(at, size)
		}
	}
	return w.Close()
}

func (l *Log) exportTiles(ctx context.Context, size int64, x Export) error {
	const hash = len(tlog.Hash{})
	for level, n := 0, size; n > 0; level, n = level+1, n>>tlog.Height {
		for i := int64(0); i*tlog.Width < n; i++ {
			t := tlog.Tile{Level: level, N: i}
			// A partial tile may have grown since the checkpoint was read.
			want := int(min(n-i*tlog.Width, tlog.Width)) * hash
			err := l.store.View(ctx, l.shard, func(r kv.Reader) error {
				d, err := r.Get(tileKey(t))
				if err != nil {
					return fault.Wrap(err, fault.Corrupt, "audit.Export", "A tile of the audit log is missing.")
				}
				return put(x, t.Path(), d[:min(want, len(d))])
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func put(x Export, name string, data []byte) error {
	w, err := x.Create(name)
	if err != nil {
		return err
	}
	if _, err := w.Write(data); err != nil {
		_ = w.Close()
		return err
	}
	return w.Close()
}
