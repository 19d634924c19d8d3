// Package body holds the content of messages: small ones in the key-value
// store, committed with their metadata, large ones in the blob store.
//
// Owns:      key prefixes "b/" (content) and "br/" (reference counts).
// Trusts:    callers to count their references.
// May touch: store/kv inside the caller's transaction, store/blob.
//
// A small body costs no fdatasync of its own, which is half of what a delivery
// costs. A large one is durable in the blob store before the transaction that
// refers to it begins; if that never commits, it is an orphan, which Discard
// frees at once and check finds after a crash.
//
// The count of references stands in a row of its own, so that a copy or an
// expunge does not write the content again.
package body

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/store/blob"
	"github.com/mohar-mail/mohar/store/kv"
)

// Limits and defaults.
const (
	// DefaultHotLimit is the largest body, in bytes before compression, that is
	// committed with its metadata.
	DefaultHotLimit = 256 << 10
	// MaxHotLimit is the largest HotLimit: what fits a row without compression.
	MaxHotLimit = kv.MaxValue - maxHead
	// maxHead is more than a content row has before its bytes.
	maxHead = 2 + binary.MaxVarintLen64 + sha256.Size
	// minSaving is the part of a body, one in so many bytes, that compression
	// must save to be kept: reading a plain body is cheaper.
	minSaving = 16
	// decoderMemory bounds what a damaged frame may ask the decoder to allocate.
	decoderMemory = 8 << 20
)

// Ref names one body for its whole life. It marshals as text, and as a CBOR map
// of two.
type Ref struct {
	Home kv.Shard `cbor:"1,keyasint"` // the shard that holds its rows
	ID   [16]byte `cbor:"2,keyasint"`
}

// String gives the form that ParseRef reads: 32 hexadecimal digits, "@", home.
func (r Ref) String() string {
	return hex.EncodeToString(r.ID[:]) + "@" + url.QueryEscape(string(r.Home))
}

// ParseRef reads what String wrote; anything else is fault.Invalid.
func ParseRef(s string) (Ref, error) {
	var r Ref
	id, home, ok := strings.Cut(s, "@")
	raw, err := hex.DecodeString(id)
	if err == nil && (!ok || len(raw) != len(r.ID)) {
		err = errors.New("wrong form")
	}
	if err == nil {
		home, err = url.QueryUnescape(home)
	}
	if err == nil {
		err = kv.Shard(home).Check()
	}
	if err != nil {
		return Ref{}, fault.Wrap(fmt.Errorf("reference %q: %w", s, err), fault.Invalid, "body.ParseRef", "The reference to a message is malformed.")
	}
	copy(r.ID[:], raw)
	r.Home = kv.Shard(home)
	return r, nil
}

// MarshalText is String.
func (r Ref) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText is ParseRef.
func (r *Ref) UnmarshalText(text []byte) error {
	got, err := ParseRef(string(text))
	if err == nil {
		*r = got
	}
	return err
}

func (r Ref) contentKey() []byte { return append([]byte("b/"), r.ID[:]...) }
func (r Ref) countKey() []byte   { return append([]byte("br/"), r.ID[:]...) }

// Config tunes Bodies. The zero value serves.
type Config struct {
	HotLimit int   // bytes before compression; 0 means DefaultHotLimit; at most MaxHotLimit
	Cache    int64 // bytes of small bodies kept decompressed; 0 keeps none
}

// Bodies is all content of an installation. It is safe for concurrent use.
type Bodies struct {
	kv    *kv.Store
	blob  blob.Store
	hot   int
	cache *cache
	enc   *zstd.Encoder // EncodeAll and DecodeAll keep pools of their own
	dec   *zstd.Decoder
}

// New makes Bodies over a key-value store and a blob store; it closes neither.
func New(s *kv.Store, b blob.Store, cfg Config) *Bodies {
	hot := cfg.HotLimit
	if hot <= 0 {
		hot = DefaultHotLimit
	}
	// The options are constants that the library accepts; without a stream
	// behind them neither constructor has anything else to fail at.
	enc, _ := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderCRC(false))
	dec, _ := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(decoderMemory), zstd.WithDecoderConcurrency(0))
	return &Bodies{kv: s, blob: b, hot: min(hot, MaxHotLimit), cache: newCache(cfg.Cache), enc: enc, dec: dec}
}

// Codecs of a content row.
const (
	plainHot = 0 // the bytes follow
	zstdHot  = 1 // the bytes follow, compressed
	inBlob   = 2 // a blob.Location follows
)

// rowVersion is the first byte of a content row.
const rowVersion = 1

// row is a content row: version, codec, size, SHA-256, then data.
type row struct {
	codec byte
	size  int64
	sum   [sha256.Size]byte
	data  []byte
}

func (r row) append(b []byte) []byte {
	b = append(b, rowVersion, r.codec)
	b = binary.AppendUvarint(b, uint64(r.size))
	b = append(b, r.sum[:]...)
	return append(b, r.data...)
}

// parseRow reads a row; data points into b.
func parseRow(b []byte) (row, error) {
	var r row
	if len(b) < 2 || b[0] != rowVersion || b[1] > inBlob {
		return r, corrupt(errors.New("unknown form of content row"))
	}
	r.codec = b[1]
	size, n := binary.Uvarint(b[2:])
	if n <= 0 || size > 1<<62 || len(b) < 2+n+sha256.Size {
		return r, corrupt(errors.New("content row cut short"))
	}
	r.size = int64(size)
	r.data = b[2+n+copy(r.sum[:], b[2+n:]):]
	switch {
	case r.codec == inBlob && (len(r.data) == 0 || len(r.data) > blob.MaxLocation):
		return r, corrupt(errors.New("content row with an impossible location"))
	case r.codec == plainHot && int64(len(r.data)) != r.size, r.codec == zstdHot && r.size > kv.MaxValue:
		return r, corrupt(errors.New("content row with an impossible size"))
	}
	return r, nil
}

func corrupt(err error) error {
	return fault.Wrap(err, fault.Corrupt, "body", "The message is damaged in storage.")
}

// count is a "br/" row: references, then the blob's location where there is one.
type count struct {
	refs uint64
	loc  blob.Location
}

func (c count) append() []byte {
	return append(binary.AppendUvarint(nil, c.refs), c.loc...)
}

func getCount(tx *kv.Tx, ref Ref) (count, error) {
	if tx.Shard() != ref.Home {
		return count{}, fault.Wrap(fmt.Errorf("shard %q, body %s", tx.Shard(), ref), fault.Internal, "body", "")
	}
	v, err := tx.Get(ref.countKey())
	if errors.Is(err, kv.ErrNotFound) {
		return count{}, fault.Wrap(fmt.Errorf("body %s: %w", ref, err), fault.NotFound, "body", "The message is no longer there.")
	}
	if err != nil {
		return count{}, err
	}
	refs, n := binary.Uvarint(v)
	if n <= 0 || refs == 0 || len(v)-n > blob.MaxLocation {
		return count{}, corrupt(fmt.Errorf("count row of %s", ref))
	}
	return count{refs: refs, loc: blob.Location(v[n:])}, nil
}

// Add writes st in tx's shard, to be referred to refs times (at least once). A
// Staged has one home: others refer to it by the Ref, which is the same each
// time that a transaction is tried again.
func (b *Bodies) Add(tx *kv.Tx, st *Staged, refs int) Ref {
	ref := Ref{Home: tx.Shard(), ID: st.id}
	tx.PutOwned(ref.contentKey(), st.row.append(make([]byte, 0, maxHead+len(st.row.data))))
	tx.Put(ref.countKey(), count{refs: uint64(max(refs, 1)), loc: st.loc}.append())
	return ref
}

// Retain counts n more references, for a copy within the home shard.
// fault.NotFound if the body is gone.
func (b *Bodies) Retain(tx *kv.Tx, ref Ref, n int) error {
	c, err := getCount(tx, ref)
	if err != nil || n <= 0 {
		return err
	}
	c.refs += uint64(n)
	tx.Put(ref.countKey(), c.append())
	return nil
}

// Release counts n references less, in the home shard. At the last one the body
// is deleted with tx, and freed is the blob that the caller deletes when tx has
// committed; empty for a small body. fault.NotFound if the body is gone.
func (b *Bodies) Release(tx *kv.Tx, ref Ref, n int) (freed blob.Location, err error) {
	c, err := getCount(tx, ref)
	if err != nil || n <= 0 {
		return "", err
	}
	if uint64(n) < c.refs {
		c.refs -= uint64(n)
		tx.Put(ref.countKey(), c.append())
		return "", nil
	}
	tx.Delete(ref.countKey())
	tx.Delete(ref.contentKey())
	b.cache.drop(ref)
	return c.loc, nil
}

// Free deletes a blob that Release gave, after its transaction has committed.
// Nothing happens for an empty location or one that is gone already.
func (b *Bodies) Free(ctx context.Context, loc blob.Location) error {
	if loc == "" {
		return nil
	}
	if err := b.blob.Delete(ctx, loc); !fault.Is(err, fault.NotFound) {
		return err
	}
	return nil
}
