package audit

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/mohar-mail/mohar/base/clock"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/store/kv"
	"github.com/mohar-mail/mohar/wire/tlog"
)

// Defaults and limits of a Sequencer.
const (
	DefaultLog    = kv.Shard("log")
	DefaultGather = 200 * time.Millisecond // between two rounds, so that a commit carries many entries
	DefaultSweep  = time.Minute            // between two visits of every Source without a nudge
	batchEntries  = 4096                   // entries in one commit
	batchBytes    = 4 << 20                // leaf bytes in one commit, far below kv.MaxBatch
	maxNudged     = 1 << 16                // shards waiting; beyond it a sweep finds them
	sweepPage     = 1024                   // shards listed at a time
)

// Keys in the log shard.
const (
	entryPrefix   = "e/"
	tilePrefix    = "t/"
	cursorPrefix  = "c/"
	checkpointKey = "k"
)

func entryKey(i int64) []byte { return binary.BigEndian.AppendUint64([]byte(entryPrefix), uint64(i)) }

func tileKey(t tlog.Tile) []byte {
	return binary.BigEndian.AppendUint64(append([]byte(tilePrefix), byte(t.Level)), uint64(t.N))
}

func cursorKey(s kv.Shard) []byte { return append([]byte(cursorPrefix), s...) }

// Config is what a Sequencer needs.
type Config struct {
	Store   *kv.Store
	Log     kv.Shard   // "" is DefaultLog
	Sources []kv.Shard // visited every Sweep even without a nudge
	// Private is the signing key, the text form of tlog.GenerateKey. Its name
	// is the log's origin.
	Private string
	Clock   clock.Clock
	Gather  time.Duration // 0 is DefaultGather
	Sweep   time.Duration // 0 is DefaultSweep
	// Failed is told of errors that Run goes on after; nil ignores them.
	Failed func(error)
}

// Sequencer carries staged records into the log. Several may run at a time, on
// several nodes: the cursor of each source lies in the log shard and moves in
// the transaction that writes the entries, so each record enters once.
type Sequencer struct {
	cfg    Config
	origin string

	mu     sync.Mutex
	nudged map[kv.Shard]struct{}
	all    bool // more were nudged than are remembered
	wake   chan struct{}
}

// NewSequencer checks the key and makes a Sequencer; Run starts it.
func NewSequencer(cfg Config) (*Sequencer, error) {
	if cfg.Log == "" {
		cfg.Log = DefaultLog
	}
	if cfg.Gather <= 0 {
		cfg.Gather = DefaultGather
	}
	if cfg.Sweep <= 0 {
		cfg.Sweep = DefaultSweep
	}
	public, err := tlog.Public(cfg.Private)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "audit.NewSequencer", "The key of the audit log cannot be used.")
	}
	origin, _, _ := bytes.Cut([]byte(public), []byte("+"))
	return &Sequencer{cfg: cfg, origin: string(origin), nudged: map[kv.Shard]struct{}{}, wake: make(chan struct{}, 1)}, nil
}

// Nudge says that records were staged in shard. It never blocks; a nudge that
// is lost costs a delay until the next sweep, never a record.
func (s *Sequencer) Nudge(shard kv.Shard) {
	s.mu.Lock()
	if len(s.nudged) < maxNudged {
		s.nudged[shard] = struct{}{}
	} else {
		s.all = true
	}
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *Sequencer) taken() ([]kv.Shard, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	shards := slices.Sorted(maps.Keys(s.nudged))
	all := s.all
	s.nudged, s.all = map[kv.Shard]struct{}{}, false
	return shards, all
}

// Run carries records until ctx ends, then once more, so that a drained server
// leaves nothing staged. It begins by visiting every shard of the store, for
// what an earlier process left. Errors are told to Failed and tried again.
func (s *Sequencer) Run(ctx context.Context) {
	s.told(s.Everything(ctx))
	for {
		sweep := s.cfg.Clock.After(s.cfg.Sweep)
		select {
		case <-ctx.Done():
			// The last round must not be stopped by the very end it tidies.
			s.round(context.WithoutCancel(ctx), s.cfg.Sources)
			return
		case <-s.wake:
			s.round(ctx, nil)
		case <-sweep:
			s.round(ctx, s.cfg.Sources)
		}
		select {
		case <-s.cfg.Clock.After(s.cfg.Gather):
		case <-ctx.Done():
		}
	}
}

func (s *Sequencer) round(ctx context.Context, also []kv.Shard) {
	shards, all := s.taken()
	if all {
		s.told(s.Everything(ctx))
	}
	if err := s.Drain(ctx, append(shards, also...)...); err != nil {
		s.told(err)
		if fault.Is(err, fault.Corrupt) {
			return // trying again at once mends nothing; the next sweep looks
		}
		for _, shard := range shards {
			s.Nudge(shard)
		}
	}
}

func (s *Sequencer) told(err error) {
	if err != nil && s.cfg.Failed != nil {
		s.cfg.Failed(err)
	}
}

// Everything drains every shard of the store.
func (s *Sequencer) Everything(ctx context.Context) error {
	var after kv.Shard
	for {
		page, err := s.cfg.Store.DB().Shards(ctx, after, sweepPage)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			return nil
		}
		if err := s.Drain(ctx, page...); err != nil {
			return err
		}
		after = page[len(page)-1]
	}
}

// staged is one outbox row.
type staged struct {
	source kv.Shard
	n      uint64
	leaf   []byte
}

// Drain carries what is staged in the shards into the log, and removes it from
// there. When it returns nil, everything that was staged before the call is
// under a durable signed checkpoint.
func (s *Sequencer) Drain(ctx context.Context, shards ...kv.Shard) error {
	shards = slices.Clone(shards)
	slices.Sort(shards)
	shards = slices.Compact(shards)
	var holes []error
	for len(shards) > 0 {
		batch, left, err := s.collect(ctx, shards)
		if err != nil {
			return err
		}
		if len(batch) == 0 {
			break
		}
		broken, err := s.enter(ctx, batch)
		if err != nil {
			return err
		}
		for shard, why := range broken {
			// One damaged source must not stop the others, nor lose what
			// it still has.
			holes = append(holes, why)
			batch = slices.DeleteFunc(batch, func(b staged) bool { return b.source == shard })
			left = slices.DeleteFunc(left, func(l kv.Shard) bool { return l == shard })
		}
		if err := s.clear(ctx, batch); err != nil {
			return err
		}
		shards = left
	}
	return errors.Join(holes...)
}

// collect reads up to one batch, and says which shards may hold more.
func (s *Sequencer) collect(ctx context.Context, shards []kv.Shard) (batch []staged, left []kv.Shard, err error) {
	size := 0
	for i, shard := range shards {
		full := false
		err = s.cfg.Store.View(ctx, shard, func(r kv.Reader) error {
			return r.Scan(kv.PrefixRange([]byte(outboxPrefix)), func(k, v []byte) bool {
				if len(k) != len(outboxPrefix)+8 {
					return true // not ours
				}
				if len(batch) == batchEntries || size+len(v) > batchBytes {
					full = true
					return false
				}
				size += len(v)
				batch = append(batch, staged{shard, binary.BigEndian.Uint64(k[len(outboxPrefix):]), bytes.Clone(v)})
				return true
			})
		})
		if err != nil {
			return nil, nil, err
		}
		if full {
			return batch, shards[i:], nil
		}
	}
	return batch, nil, nil
}

// enter writes the batch into the log in one transaction: entries, tiles,
// cursors and the signed checkpoint. What is in the log already is passed over.
// A source whose records do not follow on is left as it is and given back.
func (s *Sequencer) enter(ctx context.Context, batch []staged) (broken map[kv.Shard]error, err error) {
	err = s.cfg.Store.Update(ctx, s.cfg.Log, func(tx *kv.Tx) error {
		at, err := checkpointOf(tx)
		if err != nil {
			return err
		}
		if at.Size > 0 && at.Origin != s.origin {
			return fault.New(fault.Conflict, "audit.enter", fmt.Sprintf("The audit log belongs to %q, the key to %q.", at.Origin, s.origin))
		}
		app, err := tlog.NewAppender(at.Size, tiles(tx), func(t tlog.Tile, d []byte) error {
			tx.Put(tileKey(t), d)
			return nil
		})
		if err != nil {
			return fault.Wrap(err, fault.Corrupt, "audit.enter", "The audit log is damaged.")
		}
		if broken, err = enterAll(tx, app, batch); err != nil || app.Size() == at.Size {
			return err
		}
		return s.seal(tx, app)
	})
	return broken, err
}

func enterAll(tx *kv.Tx, app *tlog.Appender, batch []staged) (broken map[kv.Shard]error, err error) {
	cursors, broken := map[kv.Shard]uint64{}, map[kv.Shard]error{}
	for _, b := range batch {
		c, ok := cursors[b.source]
		if !ok {
			if c, err = counter(tx, cursorKey(b.source)); err != nil {
				return nil, err
			}
		}
		if b.n > c+1 && broken[b.source] == nil {
			broken[b.source] = fault.New(fault.Corrupt, "audit.enter", fmt.Sprintf("Records %d to %d of %q are missing.", c+1, b.n-1, b.source))
		}
		if b.n == c+1 {
			tx.Put(entryKey(app.Size()), b.leaf)
			if _, err := app.Append(b.leaf); err != nil {
				return nil, err
			}
			c = b.n
		}
		cursors[b.source] = c
	}
	for shard, c := range cursors {
		tx.Put(cursorKey(shard), binary.BigEndian.AppendUint64(nil, c))
	}
	return broken, nil
}

// seal writes the unfinished tiles and the signed checkpoint.
func (s *Sequencer) seal(tx *kv.Tx, app *tlog.Appender) error {
	if err := app.Flush(); err != nil {
		return err
	}
	root, err := app.Root()
	if err != nil {
		return err
	}
	signed, err := tlog.Checkpoint{Origin: s.origin, Size: app.Size(), Root: root}.Sign(s.cfg.Private)
	if err != nil {
		return err
	}
	tx.PutOwned([]byte(checkpointKey), signed)
	return nil
}

// clear removes the outbox rows of a batch that is in the log. Losing the
// removal costs only doing it again.
func (s *Sequencer) clear(ctx context.Context, batch []staged) error {
	for len(batch) > 0 {
		source := batch[0].source
		n := slices.IndexFunc(batch, func(b staged) bool { return b.source != source })
		if n < 0 {
			n = len(batch)
		}
		err := s.cfg.Store.UpdateLazy(ctx, source, func(tx *kv.Tx) error {
			for _, b := range batch[:n] {
				tx.Delete(outboxKey(b.n))
			}
			return nil
		})
		if err != nil {
			return err
		}
		batch = batch[n:]
	}
	return nil
}

// checkpointOf reads the checkpoint of the log without checking its signature,
// which is for those who do not own the store. An empty log has none.
func checkpointOf(r kv.Reader) (tlog.Checkpoint, error) {
	signed, err := r.Get([]byte(checkpointKey))
	if errors.Is(err, kv.ErrNotFound) {
		return tlog.Checkpoint{}, nil
	}
	if err != nil {
		return tlog.Checkpoint{}, err
	}
	c, err := tlog.ParseCheckpoint(string(signed))
	return c, fault.Wrap(err, fault.Corrupt, "audit", "The checkpoint of the audit log cannot be read.")
}

func tiles(r kv.Reader) tlog.Read {
	return func(ts []tlog.Tile) ([][]byte, error) {
		keys := make([][]byte, len(ts))
		for i, t := range ts {
			keys[i] = tileKey(t)
		}
		return r.GetMany(keys)
	}
}
