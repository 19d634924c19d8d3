package segment

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/store/blob"
)

// A frame is a header of headSize bytes and a payload, padded with zeros to a
// multiple of align:
//
//	0  magic, 4 bytes: liveMagic, or deadMagic once deleted
//	4  kind, 1 byte; 3 bytes zero
//	8  length of the payload, 4 bytes
//	12 length of the content in it, 4 bytes
//	16 id of the blob, 8 bytes
//	24 xxhash64 of bytes 4 to 24 and of the payload, 8 bytes
//
// Numbers are little endian. The magic is outside the checksum, so that a frame
// can be marked dead by one small write in place.
const (
	headSize  = 32
	align     = 8
	liveMagic = 0x4d484c31 // "MHL1"
	deadMagic = 0x4d484431 // "MHD1"

	plainChunk = 1
	zstdChunk  = 2
	indexFrame = 3
)

// Limits of the format.
const (
	// chunkSize is the content in one chunk, but for the last: what a read of
	// one byte has to decompress.
	chunkSize = 256 << 10
	// maxChunks bounds a blob to 16 GB and its index to 1 MB.
	maxChunks  = 1 << 16
	entrySize  = 16
	maxPayload = maxChunks*entrySize + 16
)

// head is a decoded header.
type head struct {
	live    bool
	kind    byte
	payload uint32
	content uint32
	id      uint64
	sum     uint64
}

// frameSize is the room that a payload takes in a file.
func frameSize(payload int) int64 {
	return int64(headSize+payload+align-1) / align * align
}

// appendFrame appends a live frame.
func appendFrame(b []byte, kind byte, content int, id uint64, payload []byte) []byte {
	start := len(b)
	b = binary.LittleEndian.AppendUint32(b, liveMagic)
	b = append(b, kind, 0, 0, 0)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(payload)))
	b = binary.LittleEndian.AppendUint32(b, uint32(content))
	b = binary.LittleEndian.AppendUint64(b, id)
	b = binary.LittleEndian.AppendUint64(b, checksum(b[start+4:start+24], payload))
	b = append(b, payload...)
	for len(b) < start+int(frameSize(len(payload))) {
		b = append(b, 0)
	}
	return b
}

func checksum(header, payload []byte) uint64 {
	var d xxhash.Digest
	d.Reset()
	_, _ = d.Write(header) // never fails
	_, _ = d.Write(payload)
	return d.Sum64()
}

var errFrame = errors.New("no frame here")

// parseHead reads a header; b has at least headSize bytes.
func parseHead(b []byte) (head, error) {
	magic := binary.LittleEndian.Uint32(b)
	h := head{
		live: magic == liveMagic, kind: b[4],
		payload: binary.LittleEndian.Uint32(b[8:]), content: binary.LittleEndian.Uint32(b[12:]),
		id: binary.LittleEndian.Uint64(b[16:]), sum: binary.LittleEndian.Uint64(b[24:]),
	}
	if (magic != liveMagic && magic != deadMagic) || h.kind < plainChunk || h.kind > indexFrame ||
		h.payload > maxPayload || h.content > chunkSize || b[5]|b[6]|b[7] != 0 {
		return head{}, errFrame
	}
	return h, nil
}

// place is where a frame stands.
type place struct {
	seg  uint64
	off  uint32
	size uint32 // of the payload
}

// index is the content of an index frame: the chunks of a blob in order.
type index struct {
	size   int64
	chunks []place
}

func (x index) append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint64(b, uint64(x.size))
	for _, c := range x.chunks {
		b = binary.LittleEndian.AppendUint64(b, c.seg)
		b = binary.LittleEndian.AppendUint32(b, c.off)
		b = binary.LittleEndian.AppendUint32(b, c.size)
	}
	return b
}

// parseIndex reads an index; its size and the number of chunks must agree.
func parseIndex(b []byte) (index, error) {
	if len(b) < 8 || (len(b)-8)%entrySize != 0 || len(b) > maxPayload {
		return index{}, errFrame
	}
	x := index{size: int64(binary.LittleEndian.Uint64(b))}
	n := (len(b) - 8) / entrySize
	if x.size < 0 || (x.size+chunkSize-1)/chunkSize != int64(n) {
		return index{}, errFrame
	}
	x.chunks = make([]place, n)
	for i := range x.chunks {
		e := b[8+i*entrySize:]
		x.chunks[i] = place{binary.LittleEndian.Uint64(e), binary.LittleEndian.Uint32(e[8:]), binary.LittleEndian.Uint32(e[12:])}
	}
	return x, nil
}

// location is "s", segment, ".", offset of the index frame, ".", id, in hex. The
// id keeps a location from naming what later stands in the same place.
func location(p place, id uint64) blob.Location {
	return blob.Location(fmt.Sprintf("s%x.%x.%016x", p.seg, p.off, id))
}

func parseLocation(loc blob.Location) (p place, id uint64, err error) {
	notFound := func(cause error) error {
		return fault.Wrap(fmt.Errorf("location %q: %w", string(loc), cause), fault.NotFound, "segment", "The content is not there.")
	}
	parts := strings.Split(strings.TrimPrefix(string(loc), "s"), ".")
	if len(parts) != 3 || len(parts[2]) != 16 || len(loc) > blob.MaxLocation {
		return p, 0, notFound(errors.New("not a location"))
	}
	seg, err1 := strconv.ParseUint(parts[0], 16, 64)
	off, err2 := strconv.ParseUint(parts[1], 16, 32)
	id, err3 := strconv.ParseUint(parts[2], 16, 64)
	p = place{seg: seg, off: uint32(off)}
	if err := errors.Join(err1, err2, err3); err != nil {
		return p, 0, notFound(err)
	}
	if location(p, id) != loc {
		return p, 0, notFound(errors.New("not the canonical form"))
	}
	return p, id, nil
}
