package pebblekv

import (
	"fmt"
	"log/slog"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable/block"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Defaults of Config.
const (
	DefaultCache    = 64 << 20  // bytes of uncompressed blocks kept in memory
	DefaultMemTable = 32 << 20  // bytes of one memtable, taken as they are needed
	DefaultReserve  = 256 << 20 // bytes of free disk under which commits are refused
)

// What the engine is told, and why.
const (
	// memTables may be full before writers must wait for a flush: two absorb a
	// burst of deliveries while one is written.
	memTables = 3
	// bloomBits per key keep most lookups of absent keys off the disk at about
	// one false answer in a hundred.
	bloomBits = 10
	// l0Compact and l0Stop bound how many overlapping tables a read must ask.
	l0Compact = 4
	l0Stop    = 24
	// tableSize at the first level; bodies make tables large, and fewer, larger
	// ones keep the manifest short.
	tableSize = 8 << 20
	// bytesPerSync spreads the write-back of tables so that it does not meet the
	// log's fdatasync in one burst.
	bytesPerSync = 512 << 10
	// openFiles bounds the descriptors that the engine keeps.
	openFiles = 1000
	// spaceEvery is how many bytes of batches pass between two looks at the
	// free space of the disk.
	spaceEvery = 4 << 20
)

// Config tunes a backend. The zero value is right for a small server.
type Config struct {
	Cache    int64        // bytes; 0 means DefaultCache
	MemTable uint64       // bytes; 0 means DefaultMemTable
	Reserve  uint64       // bytes of disk kept free; 0 means DefaultReserve
	Log      *slog.Logger // nil discards
	// FS is the file system; nil is the machine's. Tests inject faults here.
	FS vfs.FS
}

func (c Config) withDefaults() Config {
	if c.Cache <= 0 {
		c.Cache = DefaultCache
	}
	if c.MemTable == 0 {
		c.MemTable = DefaultMemTable
	}
	if c.Reserve == 0 {
		c.Reserve = DefaultReserve
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.FS == nil {
		c.FS = vfs.Default
	}
	return c
}

// compression leaves the first level as it comes, since it is rewritten within
// minutes, and spends time only where data stays. Blocks that do not shrink,
// as those of bodies that are compressed already, are stored plain.
func compression() pebble.DBCompressionSettings {
	cs := pebble.DBCompressionBalanced
	cs.Name = "Mohar"
	cs.Levels[0] = block.NoCompression
	return cs
}

func (c Config) options(g *guard) *pebble.Options {
	o := &pebble.Options{
		FS:                          g,
		CacheSize:                   c.Cache,
		MemTableSize:                c.MemTable,
		MemTableStopWritesThreshold: memTables,
		L0CompactionThreshold:       l0Compact,
		L0StopWritesThreshold:       l0Stop,
		BytesPerSync:                bytesPerSync,
		MaxOpenFiles:                openFiles,
		FormatMajorVersion:          pebble.FormatNewest,
		Logger:                      logger{c.Log},
		EventListener: &pebble.EventListener{
			BackgroundError: func(err error) { c.Log.Warn("storage engine, in the background", "err", err) },
			FlushEnd: func(info pebble.FlushInfo) {
				if info.Err == nil {
					g.table.Store(nil)
				}
			},
			WriteStallBegin: func(info pebble.WriteStallBeginInfo) {
				c.Log.Warn("storage engine makes writers wait", "reason", info.Reason)
			},
		},
	}
	o.TargetFileSizes[0] = tableSize
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(bloomBits)
	}
	o.ApplyCompressionSettings(compression)
	return o
}

// logger carries the engine's own lines.
type logger struct{ log *slog.Logger }

func (l logger) Infof(format string, args ...any) {
	l.log.Debug("storage engine", "line", fmt.Sprintf(format, args...))
}

func (l logger) Errorf(format string, args ...any) {
	l.log.Error("storage engine", "line", fmt.Sprintf(format, args...))
}

// Fatalf is called where the engine finds its own state impossible. It must not
// return, since the engine goes on as if it had not been called; nothing that
// was acknowledged is lost by dying here.
func (l logger) Fatalf(format string, args ...any) {
	msg := fmt.Sprintf(format, args...)
	l.log.Error("storage engine cannot go on", "line", msg)
	panic("pebblekv: " + msg)
}
