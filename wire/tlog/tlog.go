// Package tlog is the tamper-evident log as bytes: Merkle tiles, signed
// checkpoints, proofs, and the check of an exported log without any server.
//
// Owns:      the layout of tiles, checkpoints and export directories.
// Trusts:    nobody; an export is hostile until its checkpoint and key agree.
// May touch: nothing. Tiles are read and written through the caller's functions.
// Standards: RFC 9162 section 2.1 (tree hash, proofs; SHA-256); C2SP tlog-tiles,
// tlog-checkpoint and signed-note (Ed25519).
package tlog

import (
	"fmt"
	"io"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Limits and sizes.
const (
	Height  = 8              // of a tile; a full one holds 256 hashes (C2SP tlog-tiles)
	Width   = 1 << Height    // hashes in a full tile
	MaxLeaf = 16 << 10       // bytes of one entry
	MaxNote = 64 << 10       // bytes of a signed checkpoint
	MaxSize = int64(1) << 48 // entries of a log; keeps every index far from overflow
)

// Hash is the SHA-256 of a leaf or of a node.
type Hash = tlog.Hash

// Tile names one tile: the hashes of level Level*Height, from N*Width on.
type Tile struct {
	Level int
	N     int64
}

// Read gives the stored bytes of tiles, in their order; nil where there is none.
// The bytes are whole hashes, at most Width of them.
type Read func(tiles []Tile) ([][]byte, error)

// GenerateKey makes an Ed25519 key pair for a log of the given origin. Both are
// the text forms of C2SP signed-note; the private one must be kept secret.
func GenerateKey(rand io.Reader, origin string) (private, public string, err error) {
	return note.GenerateKey(rand, origin)
}

// Appender extends a log. It keeps only the rightmost tile of each level, so a
// log of any size is extended and recomputed in a few kilobytes.
type Appender struct {
	size    int64
	partial [][]byte // by level: hashes of the rightmost, never full, tile
	emit    func(t Tile, data []byte) error
}

// NewAppender continues a log of size entries whose tiles read gives. emit is
// called with every tile that becomes full, and by Flush with those that are
// not; the data is valid during the call only.
func NewAppender(size int64, read Read, emit func(t Tile, data []byte) error) (*Appender, error) {
	if size < 0 || size > MaxSize {
		return nil, fmt.Errorf("tlog: size %d", size)
	}
	a := &Appender{size: size, emit: emit}
	var need []Tile
	for n, level := size, 0; n > 0; n, level = n>>Height, level+1 {
		a.partial = append(a.partial, nil)
		if n%Width > 0 {
			need = append(need, Tile{level, n >> Height})
		}
	}
	if len(need) == 0 {
		return a, nil
	}
	data, err := read(need)
	if err != nil {
		return nil, err
	}
	for i, t := range need {
		want := int(size>>(Height*t.Level)) % Width * tlog.HashSize
		if i >= len(data) || len(data[i]) < want {
			return nil, fmt.Errorf("tlog: tile %d/%d is missing or short", t.Level, t.N)
		}
		// A longer tile is what a crash between two commits may leave behind.
		a.partial[t.Level] = append(make([]byte, 0, Width*tlog.HashSize), data[i][:want]...)
	}
	return a, nil
}

// Size gives the number of entries.
func (a *Appender) Size() int64 { return a.size }

// Append adds one entry and gives its leaf hash.
func (a *Appender) Append(leaf []byte) (Hash, error) {
	h := tlog.RecordHash(leaf)
	if a.size >= MaxSize {
		return h, fmt.Errorf("tlog: log is full")
	}
	up := h
	for level, n := 0, a.size; ; level, n = level+1, n>>Height {
		if level == len(a.partial) {
			a.partial = append(a.partial, nil)
		}
		a.partial[level] = append(a.partial[level], up[:]...)
		if len(a.partial[level]) < Width*tlog.HashSize {
			break
		}
		if err := a.emit(Tile{level, n >> Height}, a.partial[level]); err != nil {
			return h, err
		}
		up = top(a.partial[level])
		a.partial[level] = a.partial[level][:0]
	}
	a.size++
	return h, nil
}

// top is the hash over a full tile.
func top(data []byte) Hash {
	row := make([]Hash, len(data)/tlog.HashSize)
	for i := range row {
		row[i] = Hash(data[i*tlog.HashSize:])
	}
	for len(row) > 1 {
		for i := range len(row) / 2 {
			row[i] = tlog.NodeHash(row[2*i], row[2*i+1])
		}
		row = row[:len(row)/2]
	}
	return row[0]
}

// Flush emits the tiles that are not full.
func (a *Appender) Flush() error {
	for level, data := range a.partial {
		if len(data) == 0 {
			continue
		}
		if err := a.emit(Tile{level, a.size >> (Height * (level + 1))}, data); err != nil {
			return err
		}
	}
	return nil
}

// Root gives the tree hash over all entries.
func (a *Appender) Root() (Hash, error) {
	return tlog.TreeHash(a.size, hashes(func(tiles []Tile) ([][]byte, error) {
		out := make([][]byte, len(tiles))
		for i, t := range tiles {
			if t.Level < len(a.partial) && t.N == a.size>>(Height*(t.Level+1)) {
				out[i] = a.partial[t.Level]
			}
		}
		return out, nil
	}))
}

// hashes reads single hashes out of tiles.
func hashes(read Read) tlog.HashReader {
	return tlog.HashReaderFunc(func(indexes []int64) ([]Hash, error) {
		at := map[Tile]int{}
		var need []Tile
		for _, ix := range indexes {
			t := tlog.TileForIndex(Height, ix)
			k := Tile{t.L, t.N}
			if _, ok := at[k]; !ok {
				at[k] = len(need)
				need = append(need, k)
			}
		}
		data, err := read(need)
		if err != nil {
			return nil, err
		}
		out := make([]Hash, len(indexes))
		for i, ix := range indexes {
			t := tlog.TileForIndex(Height, ix)
			d := data[at[Tile{t.L, t.N}]]
			if len(d) < t.W*tlog.HashSize {
				return nil, fmt.Errorf("tlog: tile %d/%d is missing or short", t.L, t.N)
			}
			if out[i], err = tlog.HashFromTile(t, d[:t.W*tlog.HashSize], ix); err != nil {
				return nil, err
			}
		}
		return out, nil
	})
}

// Root gives the tree hash of the first size entries of the log behind read.
func Root(size int64, read Read) (Hash, error) { return tlog.TreeHash(size, hashes(read)) }

// Inclusion proves that entry n is in the log of size entries (RFC 9162
// section 2.1.3).
func Inclusion(size, n int64, read Read) ([]Hash, error) {
	if n < 0 || n >= size {
		return nil, fmt.Errorf("tlog: entry %d of %d", n, size)
	}
	return tlog.ProveRecord(size, n, hashes(read))
}

// CheckInclusion checks a proof of Inclusion for the bytes of a leaf.
func CheckInclusion(proof []Hash, size int64, root Hash, n int64, leaf []byte) error {
	if n < 0 || n >= size {
		return fmt.Errorf("tlog: entry %d of %d", n, size)
	}
	return tlog.CheckRecord(proof, size, root, n, tlog.RecordHash(leaf))
}

// Consistency proves that the log of size entries begins with that of old
// entries (RFC 9162 section 2.1.4).
func Consistency(size, old int64, read Read) ([]Hash, error) {
	if old < 1 || old > size {
		return nil, fmt.Errorf("tlog: size %d of %d", old, size)
	}
	return tlog.ProveTree(size, old, hashes(read))
}

// CheckConsistency checks a proof of Consistency.
func CheckConsistency(proof []Hash, size int64, root Hash, old int64, oldRoot Hash) error {
	if old < 1 || old > size {
		return fmt.Errorf("tlog: size %d of %d", old, size)
	}
	return tlog.CheckTree(proof, size, root, old, oldRoot)
}
