package queue

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"strings"
	"time"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/store/body"
	"github.com/mohar-mail/mohar/store/kv"
)

// ItemID names a message in the queue: 6 bytes of milliseconds, so that ids sort
// by time, then the lane, then 9 random bytes.
type ItemID [16]byte

var itemText = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// String gives the id as replies, logs and the command line show it: 26
// characters.
func (id ItemID) String() string { return itemText.EncodeToString(id[:]) }

// ParseItemID reads what String wrote.
func ParseItemID(s string) (ItemID, error) {
	var id ItemID
	b, err := itemText.DecodeString(strings.ToLower(s))
	if err != nil || len(b) != len(id) {
		return id, fault.New(fault.Invalid, "queue.ParseItemID", "This is not the id of a message in the queue.")
	}
	copy(id[:], b)
	return id, nil
}

// Class says how a recipient is delivered.
type Class byte

// The classes, which are also the first byte of the due index.
const (
	Local  Class = 'L' // into a mailbox of ours
	Remote Class = 'R' // to another host
	Held   Class = 'H' // not at all until a person releases it
)

// Item is a message.
type Item struct {
	ID      ItemID          `cbor:"-"`
	From    string          `cbor:"1,keyasint"` // reverse-path; "" is null
	Body    body.Ref        `cbor:"2,keyasint"`
	Size    int64           `cbor:"3,keyasint"`
	Created time.Time       `cbor:"4,keyasint"`
	Door    mohar.Door      `cbor:"5,keyasint"`
	Account mohar.AccountID `cbor:"6,keyasint,omitempty"` // who submitted it
	Label   mohar.Label     `cbor:"7,keyasint,omitempty"`
	EnvID   string          `cbor:"8,keyasint,omitempty"`
	Ret     string          `cbor:"9,keyasint,omitempty"`
	// EightBit, SMTPUTF8 and RequireTLS are those of the envelope.
	EightBit   bool   `cbor:"10,keyasint,omitempty"`
	SMTPUTF8   bool   `cbor:"11,keyasint,omitempty"`
	RequireTLS bool   `cbor:"12,keyasint,omitempty"`
	Lang       string `cbor:"13,keyasint,omitempty"` // of the sender, for reports
	// Index is the parsed structure of the content (wire/mime), so that delivery
	// to many mailboxes parses once.
	Index []byte `cbor:"14,keyasint,omitempty"`
	// Mailbox names the role of the mailbox for local recipients; "" is the inbox.
	Mailbox string `cbor:"15,keyasint,omitempty"`
}

// Recipient is one recipient of an item and how far its delivery is.
type Recipient struct {
	Item     ItemID          `cbor:"-"`
	N        uint32          `cbor:"-"`
	Address  string          `cbor:"1,keyasint"`
	Notify   string          `cbor:"2,keyasint,omitempty"` // RFC 3461 section 4.1
	ORcpt    string          `cbor:"3,keyasint,omitempty"` // RFC 3461 section 4.2
	Account  mohar.AccountID `cbor:"4,keyasint,omitempty"` // of a local recipient
	Domain   string          `cbor:"5,keyasint,omitempty"` // of a remote one, as A-label
	Class    Class           `cbor:"6,keyasint"`
	Due      time.Time       `cbor:"-"`
	DueMicro int64           `cbor:"7,keyasint"` // Due as it is stored: its row in the due index has microseconds
	Attempts uint32          `cbor:"8,keyasint,omitempty"`
	Last     string          `cbor:"9,keyasint,omitempty"`  // the last reply or error, for people
	Delayed  bool            `cbor:"10,keyasint,omitempty"` // a delay report was sent
	Expires  time.Time       `cbor:"11,keyasint"`
	Reason   string          `cbor:"12,keyasint,omitempty"` // why it is held
	Before   Class           `cbor:"13,keyasint,omitempty"` // class before it was held
}

// to is the value of the due index: what lets a worker group recipients.
func (r *Recipient) to() string {
	if r.Account != "" {
		return string(r.Account)
	}
	return r.Domain
}

// Limits and defaults.
const (
	// DefaultLanes is the number of shards that the queue is spread over. Fewer gather
	// more mail in each look and each commit; more keep several nodes out of each
	// other's way.
	DefaultLanes  = 4
	MaxRecipients = 10_000             // recipients of one item
	Lifetime      = 5 * 24 * time.Hour // RFC 5321 section 4.5.4.1: at least 4 to 5 days
	LeaseTime     = 10 * time.Minute   // longest time a worker may take for a recipient
)

// Lane gives the shard of lane n.
func Lane(n int) kv.Shard {
	const digits = "0123456789abcdef"
	return kv.Shard([]byte{'q', '/', digits[n>>4&15], digits[n&15]})
}

// LaneOf gives the shard in which an item lives.
func LaneOf(id ItemID) kv.Shard { return Lane(int(id[6])) }

// NewID makes an id whose lane is one of lanes, by chance.
func NewID(now time.Time, lanes int) ItemID {
	var id ItemID
	_, _ = rand.Read(id[:]) // never fails, crypto/rand
	lane := int(id[6]) % lanes
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(now.UnixMilli()))
	copy(id[:6], ms[2:])
	id[6] = byte(lane)
	return id
}

// InLane gives id the lane of another item, so that both can be written in one
// transaction.
func InLane(id, of ItemID) ItemID {
	id[6] = of[6]
	return id
}

func keyItem(id ItemID) []byte { return append([]byte("M"), id[:]...) }

func keyRecipient(id ItemID, n uint32) []byte {
	return binary.BigEndian.AppendUint32(append([]byte("R"), id[:]...), n)
}

// keyDue has microseconds: the due time of a lease is its fencing token.
func keyDue(c Class, due time.Time, id ItemID, n uint32) []byte {
	b := make([]byte, 0, 30)
	b = append(b, 'N', byte(c))
	b = binary.BigEndian.AppendUint64(b, uint64(max(due.UnixMicro(), 0)))
	b = append(b, id[:]...)
	return binary.BigEndian.AppendUint32(b, n)
}
