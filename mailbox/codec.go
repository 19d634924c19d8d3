package mailbox

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/store/body"
	"github.com/mohar-mail/mohar/store/kv"
)

// Entries and emails are read by the ten thousand, so their rows have a
// hand-written form: a version byte, then varints in a fixed order. A new
// version byte is a new form; old ones stay readable.
const (
	entryForm = 1
	emailForm = 1
)

var errShort = errors.New("row ends early")

// The keys of a shard, see doc.go.

func keyMeta() []byte { return []byte("M") }

func keyMailbox(m ID) []byte { return binary.BigEndian.AppendUint32([]byte("F"), uint32(m)) }

func keyEntry(m ID, uid uint32) []byte {
	b := make([]byte, 9)
	b[0] = 'U'
	binary.BigEndian.PutUint32(b[1:], uint32(m))
	binary.BigEndian.PutUint32(b[5:], uid)
	return b
}

func keyEmail(e EmailID) []byte { return binary.BigEndian.AppendUint64([]byte("E"), uint64(e)) }

// keyReceived sorts by time also before 1970, which broken clocks do produce.
func keyReceived(m ID, at int64, e EmailID) []byte {
	b := make([]byte, 21)
	b[0] = 'R'
	binary.BigEndian.PutUint32(b[1:], uint32(m))
	binary.BigEndian.PutUint64(b[5:], uint64(at)^(1<<63))
	binary.BigEndian.PutUint64(b[13:], uint64(e))
	return b
}

func keyThread(t ThreadID, e EmailID) []byte {
	b := binary.BigEndian.AppendUint64([]byte("T"), uint64(t))
	return binary.BigEndian.AppendUint64(b, uint64(e))
}

func keyThreadHash(h [12]byte) []byte { return append([]byte("H"), h[:]...) }

func keyMessageID(h [12]byte, e EmailID) []byte {
	return binary.BigEndian.AppendUint64(append([]byte("I"), h[:]...), uint64(e))
}

func keyLog(modseq uint64) []byte { return binary.BigEndian.AppendUint64([]byte("L"), modseq) }

func keyDelivered(item [16]byte) []byte { return append([]byte("D"), item[:]...) }

func keyShared(ref body.Ref) []byte { return append([]byte("S"), ref.String()...) }

func keyRelease(seq uint64) []byte { return binary.BigEndian.AppendUint64([]byte("X"), seq) }

// entryRange is the entries of a mailbox with from <= UID <= to.
func entryRange(m ID, from, to uint32) kv.Range {
	return kv.Range{From: keyEntry(m, from), To: append(keyEntry(m, to), 0)}
}

func encodeEntry(e *Entry) []byte {
	b := make([]byte, 0, 48)
	b = append(b, entryForm, byte(e.Flags))
	b = binary.AppendUvarint(b, uint64(e.Email))
	b = binary.AppendUvarint(b, uint64(e.Thread))
	b = binary.AppendUvarint(b, e.ModSeq)
	b = binary.AppendUvarint(b, uint64(e.Size))
	b = binary.AppendVarint(b, e.Received)
	b = binary.AppendUvarint(b, uint64(len(e.Keywords)))
	for _, k := range e.Keywords {
		b = binary.AppendUvarint(b, uint64(len(k)))
		b = append(b, k...)
	}
	return b
}

// cursor reads varints and remembers the first failure.
type cursor struct {
	b   []byte
	err error
}

func (c *cursor) byte() byte {
	if len(c.b) == 0 {
		c.err = errShort
		return 0
	}
	v := c.b[0]
	c.b = c.b[1:]
	return v
}

func (c *cursor) uint() uint64 {
	v, n := binary.Uvarint(c.b)
	if n <= 0 {
		c.err, c.b = errShort, nil
		return 0
	}
	c.b = c.b[n:]
	return v
}

func (c *cursor) int() int64 {
	v, n := binary.Varint(c.b)
	if n <= 0 {
		c.err, c.b = errShort, nil
		return 0
	}
	c.b = c.b[n:]
	return v
}

func (c *cursor) bytes() []byte {
	n := c.uint()
	if n > uint64(len(c.b)) {
		c.err, c.b = errShort, nil
		return nil
	}
	v := c.b[:n]
	c.b = c.b[n:]
	return v
}

func corrupt(err error, what string) error {
	return fault.Wrap(err, fault.Corrupt, "mailbox."+what, "A stored record cannot be read.")
}

func decodeEntry(key, data []byte, e *Entry) error {
	c := cursor{b: data}
	form := c.byte()
	if len(key) != 9 || form != entryForm {
		return corrupt(errShort, "entry")
	}
	*e = Entry{UID: binary.BigEndian.Uint32(key[5:]), Flags: Flags(c.byte())}
	e.Email, e.Thread, e.ModSeq = EmailID(c.uint()), ThreadID(c.uint()), c.uint()
	e.Size, e.Received = uint32(c.uint()), c.int()
	n := c.uint()
	if n > MaxKeywords {
		return corrupt(errShort, "entry")
	}
	for range n {
		e.Keywords = append(e.Keywords, string(c.bytes()))
	}
	if c.err != nil {
		return corrupt(c.err, "entry")
	}
	return nil
}

func encodeEmail(e *Email) []byte {
	ref := e.Body.String()
	b := make([]byte, 0, 64+len(ref)+len(e.Index))
	b = append(b, emailForm)
	b = binary.AppendUvarint(b, uint64(e.Thread))
	b = binary.AppendUvarint(b, uint64(e.Size))
	b = binary.AppendVarint(b, e.Received.Unix())
	b = binary.AppendUvarint(b, uint64(len(ref)))
	b = append(b, ref...)
	b = binary.AppendUvarint(b, uint64(len(e.Places)))
	for _, p := range e.Places {
		b = binary.AppendUvarint(b, uint64(p.Mailbox))
		b = binary.AppendUvarint(b, uint64(p.UID))
	}
	return append(b, e.Index...)
}

// decodeEmail copies what it keeps of data.
func decodeEmail(id EmailID, data []byte) (*Email, error) {
	c := cursor{b: data}
	if c.byte() != emailForm {
		return nil, corrupt(errShort, "email")
	}
	e := &Email{ID: id, Thread: ThreadID(c.uint()), Size: int64(c.uint())}
	e.Received = time.Unix(c.int(), 0).UTC()
	ref, err := body.ParseRef(string(c.bytes()))
	if err != nil {
		return nil, corrupt(err, "email")
	}
	e.Body = ref
	n := c.uint()
	if n > MaxMailboxes {
		return nil, corrupt(errShort, "email")
	}
	for range n {
		e.Places = append(e.Places, Place{Mailbox: ID(c.uint()), UID: uint32(c.uint())})
	}
	if c.err != nil {
		return nil, corrupt(c.err, "email")
	}
	e.Index = append([]byte(nil), c.b...)
	return e, nil
}
