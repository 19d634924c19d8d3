package node

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/mohar-mail/mohar/audit"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/store/kv"
	"github.com/mohar-mail/mohar/wire/tlog"
)

// Keys of package audit, as its documentation gives them.
const (
	auditCursor     = "c/" // in the log: + source, the last record that was taken from it
	auditOutbox     = "o/" // in a source: + number, a record that waits
	auditOutboxLast = "o#" // in a source: the last number given
)

// log verifies the audit log: the tree over the entries as they are stored is
// the one that the checkpoint was signed for, no record of a source is missing
// or there twice, the stored tiles are those of the entries, and what the
// sources have staged is in the log or waits for it.
func (c *integrity) log(ctx context.Context) error {
	v := &logCheck{bad: c.bad, last: map[string]uint64{}, tiles: map[string][sha256.Size]byte{}}
	var err error
	if v.tree, err = tlog.NewAppender(0, nil, v.tile); err != nil {
		return err
	}
	_, err = c.audit.Export(ctx, audit.Export{Create: v.create, Public: c.public})
	switch {
	case fault.Is(err, fault.NotFound):
		if first, err := c.audit.Entries(ctx, 0, 1); err != nil || len(first) > 0 {
			c.bad("audit log: there are entries, and no checkpoint (%v)", err)
		}
	case fault.Is(err, fault.Corrupt):
		c.bad("audit log: %s (%v)", fault.Public(err), err)
		return nil // what follows would repeat it for every source
	case err != nil:
		return err
	default:
		v.verdict(c.public)
	}
	return c.eachShard(ctx, func(s kv.Shard) error {
		err := c.staged(ctx, s, v.last[string(s)], v.tree.Size())
		if fault.Is(err, fault.Corrupt) {
			c.bad("audit log: source %q: %v", s, err)
			return nil
		}
		return err
	})
}

// logCheck takes the log's export piece by piece: entries, tiles, key and
// checkpoint, in this order.
type logCheck struct {
	bad    func(format string, args ...any)
	tree   *tlog.Appender
	rest   []byte                       // an entry whose end has not come yet
	last   map[string]uint64            // by source: its last record in the log
	broken int                          // records out of their order
	tiles  map[string][sha256.Size]byte // by path: the tile that the entries give
	signed []byte
}

func (v *logCheck) create(name string) (io.WriteCloser, error) {
	switch name {
	case tlog.EntriesFile:
		return piece{v.entries, v.tree.Flush}, nil
	case tlog.CheckpointFile:
		return piece{func(p []byte) error { v.signed = append(v.signed, p...); return nil }, nil}, nil
	case tlog.KeyFile:
		return piece{}, nil
	}
	return piece{func(p []byte) error {
		if want, ok := v.tiles[name]; !ok || want != sha256.Sum256(p) {
			v.bad("audit log: %s is not that of the entries", name)
		}
		return nil
	}, nil}, nil
}

// piece is a file of the export, taken as it is written.
type piece struct {
	write func([]byte) error
	end   func() error
}

// Write hands p on; a piece without use is let go.
func (w piece) Write(p []byte) (int, error) {
	if w.write == nil {
		return len(p), nil
	}
	return len(p), w.write(p)
}

// Close ends the piece.
func (w piece) Close() error {
	if w.end == nil {
		return nil
	}
	return w.end()
}

// tile remembers what a tile is to be.
func (v *logCheck) tile(t tlog.Tile, data []byte) error {
	v.tiles[t.Path()] = sha256.Sum256(data)
	return nil
}

// entries takes whole chunks of lines.
func (v *logCheck) entries(p []byte) error {
	v.rest = append(v.rest, p...)
	data := v.rest
	for {
		leaf, left, ok := bytes.Cut(data, []byte("\n"))
		if !ok {
			break
		}
		data = left
		if err := v.entry(leaf); err != nil {
			return err
		}
	}
	v.rest = append(v.rest[:0], data...)
	return nil
}

func (v *logCheck) entry(leaf []byte) error {
	at := v.tree.Size()
	if _, err := v.tree.Append(leaf); err != nil {
		return err
	}
	var h tlog.Head
	if err := json.Unmarshal(leaf, &h); err != nil {
		v.disorder("audit log: entry %d cannot be read", at)
		return nil
	}
	if want := v.last[h.Source] + 1; h.N != want {
		v.disorder("audit log: entry %d is record %d of %q, where %d is due", at, h.N, h.Source, want)
	}
	v.last[h.Source] = h.N
	return nil
}

func (v *logCheck) disorder(format string, args ...any) {
	if v.broken++; v.broken <= maxProblems {
		v.bad(format, args...)
	}
}

// verdict compares the tree with the checkpoint.
func (v *logCheck) verdict(public string) {
	if v.broken > maxProblems {
		v.bad("audit log: %d further entries are out of order", v.broken-maxProblems)
	}
	cp, err := tlog.Open(v.signed, public)
	if err != nil {
		v.bad("audit log: the checkpoint is not signed with our key (%v)", err)
		if cp, err = tlog.ParseCheckpoint(string(v.signed)); err != nil {
			return
		}
	}
	root, err := v.tree.Root()
	switch {
	case err != nil:
		v.bad("audit log: the tree cannot be computed (%v)", err)
	case v.tree.Size() != cp.Size:
		v.bad("audit log: %d entries are stored, the checkpoint was signed for %d", v.tree.Size(), cp.Size)
	case root != cp.Root:
		v.bad("audit log: the entries are not those for which the checkpoint was signed")
	}
}

// staged compares one source with the log. inLog is the last record of it that
// the log was seen to hold. The order of the reads makes the answer right while
// the sequencer runs: cursors and numbers only rise.
func (c *integrity) staged(ctx context.Context, s kv.Shard, inLog uint64, size int64) error {
	before, err := c.cursor(ctx, s)
	if err != nil {
		return err
	}
	var last uint64
	var waiting []uint64
	err = c.kv.View(ctx, s, func(r kv.Reader) error {
		if last, err = number(r, []byte(auditOutboxLast)); err != nil {
			return err
		}
		return r.Scan(kv.PrefixRange([]byte(auditOutbox)), func(k, _ []byte) bool {
			if len(k) == len(auditOutbox)+8 {
				waiting = append(waiting, binary.BigEndian.Uint64(k[len(auditOutbox):]))
			}
			return true
		})
	})
	if err != nil {
		return err
	}
	after, err := c.cursor(ctx, s)
	if err != nil {
		return err
	}
	if before != inLog {
		_, now, err := c.audit.Checkpoint(ctx)
		if err != nil {
			return err
		}
		if before < inLog || now.Size == size { // else the log has grown
			c.bad("audit log: the log holds records of %q up to %d, its cursor is at %d", s, inLog, before)
		}
	}
	if before > last {
		c.bad("audit log: the cursor of %q is at %d, only %d records were ever given", s, before, last)
	}
	due := after + 1
	for _, n := range waiting {
		if n < due {
			continue // in the log already; the next round clears the row
		}
		if n > due {
			c.bad("audit log: records %d to %d of %q are missing", due, n-1, s)
		}
		due = n + 1
	}
	if due <= last {
		c.bad("audit log: records %d to %d of %q are missing", due, last, s)
	}
	return nil
}

func (c *integrity) cursor(ctx context.Context, s kv.Shard) (n uint64, err error) {
	err = c.kv.View(ctx, audit.DefaultLog, func(r kv.Reader) error {
		n, err = number(r, append([]byte(auditCursor), s...))
		return err
	})
	return n, err
}

// number reads 8 bytes big endian; 0 where there are none.
func number(r kv.Reader, key []byte) (uint64, error) {
	v, err := r.Get(key)
	if errors.Is(err, kv.ErrNotFound) {
		return 0, nil
	}
	if err == nil && len(v) != 8 {
		err = fault.Wrap(fmt.Errorf("key %q: %d octets", key, len(v)), fault.Corrupt, "node.Check", "A counter of the audit log cannot be read.")
	}
	if err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint64(v), nil
}
