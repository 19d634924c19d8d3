package audit

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/mohar-mail/mohar/store/kv"
	"github.com/mohar-mail/mohar/wire/tlog"
)

// Check recomputes the stored log from its entries: tiles, root, signature, and
// the cursor of every source. It gives what is wrong, in words; the error is
// for what could not be read. public is the log's public key. The log may grow
// meanwhile; what comes later is not looked at.
func (l *Log) Check(ctx context.Context, public string, progress func(done, total int64)) ([]string, error) {
	signed, c, err := l.Checkpoint(ctx)
	if err != nil || c.Size == 0 {
		return nil, err
	}
	var wrong []string
	say := func(format string, a ...any) { wrong = append(wrong, fmt.Sprintf(format, a...)) }
	if _, err := tlog.Open(signed, public); err != nil {
		say("The signature of the audit log's checkpoint is not by its key.")
	}
	app, err := tlog.NewAppender(0, nil, func(t tlog.Tile, data []byte) error {
		return l.store.View(ctx, l.shard, func(r kv.Reader) error {
			d, err := r.Get(tileKey(t))
			if errors.Is(err, kv.ErrNotFound) || (err == nil && !bytes.HasPrefix(d, data)) {
				say("Tile %d/%d of the audit log does not agree with the entries.", t.Level, t.N)
				return nil
			}
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	last := map[string]uint64{}
	for app.Size() < c.Size {
		at := app.Size()
		err := l.leaves(ctx, at, int(min(c.Size-at, chunk)), func(i int64, leaf []byte) error {
			if _, err := app.Append(leaf); err != nil {
				return err
			}
			e, err := Decode(i, leaf)
			if err != nil || e.N != last[e.Source]+1 {
				say("Entry %d of the audit log does not follow the one before it from the same source.", i)
			}
			last[e.Source] = e.N
			return nil
		})
		if err == nil && app.Size() == at {
			say("Entry %d of the audit log is missing.", at)
			return wrong, nil
		}
		if err != nil {
			return wrong, err
		}
		if progress != nil {
			progress(app.Size(), c.Size)
		}
	}
	if err := app.Flush(); err != nil {
		return wrong, err
	}
	root, err := app.Root()
	if err == nil && root != c.Root {
		say("The root of the audit log is not the one that was signed.")
	}
	return wrong, errors.Join(err, l.checkCursors(ctx, c.Size, last, say))
}

// checkCursors compares each source's cursor with its last entry, if the log has
// not grown since.
func (l *Log) checkCursors(ctx context.Context, size int64, last map[string]uint64, say func(string, ...any)) error {
	return l.store.View(ctx, l.shard, func(r kv.Reader) error {
		c, err := checkpointOf(r)
		if err != nil || c.Size != size {
			return err
		}
		seen := 0
		err = r.Scan(kv.PrefixRange([]byte(cursorPrefix)), func(k, v []byte) bool {
			source := string(k[len(cursorPrefix):])
			if len(v) != 8 || binary.BigEndian.Uint64(v) != last[source] {
				say("The audit log's place in %q is not that of its last entry.", source)
			}
			seen++
			return true
		})
		if err == nil && seen != len(last) {
			say("The audit log knows %d sources, its entries come from %d.", seen, len(last))
		}
		return err
	})
}
