package mailbox

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/store/body"
)

// ID names a mailbox within its account. IDs are never reused.
type ID uint32

// EmailID names an email within its account. IDs are never reused.
type EmailID uint64

// ThreadID names a thread within its account.
type ThreadID uint64

// String gives the id as JMAP and OBJECTID show it: "F" and a number.
func (id ID) String() string { return "F" + strconv.FormatUint(uint64(id), 10) }

// String gives the id as JMAP and OBJECTID show it: "E" and a number.
func (id EmailID) String() string { return "E" + strconv.FormatUint(uint64(id), 10) }

// String gives the id as JMAP and OBJECTID show it: "T" and a number.
func (id ThreadID) String() string { return "T" + strconv.FormatUint(uint64(id), 10) }

// ParseID reads what ID.String wrote.
func ParseID(s string) (ID, error) { n, err := parseNumber(s, 'F', 32); return ID(n), err }

// ParseEmailID reads what EmailID.String wrote.
func ParseEmailID(s string) (EmailID, error) {
	n, err := parseNumber(s, 'E', 64)
	return EmailID(n), err
}

// ParseThreadID reads what ThreadID.String wrote.
func ParseThreadID(s string) (ThreadID, error) {
	n, err := parseNumber(s, 'T', 64)
	return ThreadID(n), err
}

func parseNumber(s string, letter byte, bits int) (uint64, error) {
	if len(s) < 2 || s[0] != letter || s[1] == '+' {
		return 0, fault.New(fault.Invalid, "mailbox.ParseID", "This is not an id of ours.")
	}
	n, err := strconv.ParseUint(s[1:], 10, bits)
	if err != nil || strconv.FormatUint(n, 10) != s[1:] {
		return 0, fault.New(fault.Invalid, "mailbox.ParseID", "This is not an id of ours.")
	}
	return n, nil
}

// Role is the special use of a mailbox, in the words of RFC 8621 section 2.
type Role string

// The roles that every account has, RFC 6154 and RFC 8621.
const (
	RoleNone    Role = ""
	RoleInbox   Role = "inbox"
	RoleDrafts  Role = "drafts"
	RoleSent    Role = "sent"
	RoleArchive Role = "archive"
	RoleJunk    Role = "junk"
	RoleTrash   Role = "trash"
)

// Limits of an account.
const (
	MaxNameOctets    = 255      // octets of one level of a mailbox name
	MaxDepth         = 16       // levels of a mailbox name
	MaxMailboxes     = 10_000   // mailboxes of an account
	MaxKeywords      = 64       // keywords of an email
	MaxKeywordOctets = 64       // octets of a keyword
	MaxReferences    = 20       // message ids by which an email looks for its thread
	MaxBatch         = 1_000    // emails changed in one transaction
	NoQuota          = int64(0) // a quota that does not limit
)

// Mailbox is a folder. Counts are exact, kept in the transaction that changes
// them.
type Mailbox struct {
	ID            ID     `cbor:"1,keyasint"`
	Parent        ID     `cbor:"2,keyasint,omitempty"` // 0: top level
	Name          string `cbor:"3,keyasint"`           // one level, NFC, UTF-8
	Role          Role   `cbor:"4,keyasint,omitempty"`
	UIDValidity   uint32 `cbor:"5,keyasint"`
	UIDNext       uint32 `cbor:"6,keyasint"`
	HighestModSeq uint64 `cbor:"7,keyasint"`            // of the mailbox's entries; at least 1
	Total         uint32 `cbor:"8,keyasint,omitempty"`  // entries
	Unseen        uint32 `cbor:"9,keyasint,omitempty"`  // entries without Seen
	Size          int64  `cbor:"10,keyasint,omitempty"` // octets of all entries
	Subscribed    bool   `cbor:"11,keyasint,omitempty"`
	SortOrder     uint32 `cbor:"12,keyasint,omitempty"`
	Deleted       uint32 `cbor:"13,keyasint,omitempty"` // entries with \Deleted
}

// Flags are the system flags of an entry.
type Flags uint8

// The system flags of RFC 9051 section 2.3.2.
const (
	Seen Flags = 1 << iota
	Answered
	Flagged
	Deleted
	Draft
)

// Entry is one email in one mailbox.
type Entry struct {
	UID      uint32
	Email    EmailID
	Thread   ThreadID
	ModSeq   uint64
	Flags    Flags
	Keywords []string // lower case, sorted; without the system flags
	Size     uint32   // octets
	Received int64    // INTERNALDATE, Unix seconds
}

// Has says whether the entry carries the keyword.
func (e *Entry) Has(keyword string) bool {
	_, ok := slices.BinarySearch(e.Keywords, keyword)
	return ok
}

// Place is one mailbox of an email and its UID there.
type Place struct {
	Mailbox ID
	UID     uint32
}

// Email is what does not change about a message, and where it lies.
type Email struct {
	ID       EmailID
	Thread   ThreadID
	Body     body.Ref
	Size     int64
	Received time.Time // whole seconds
	Index    []byte    // of wire/mime: structure and envelope with offsets
	Places   []Place   // rising by mailbox
}

// In gives the email's UID in a mailbox, or 0.
func (e *Email) In(m ID) uint32 {
	for _, p := range e.Places {
		if p.Mailbox == m {
			return p.UID
		}
	}
	return 0
}

// ChangeKind says what happened to the thing that a Change names.
type ChangeKind uint8

// The kinds of change. An email that moves is one Removed and one Added entry
// and one EmailUpdated.
const (
	MailboxCreated   ChangeKind = 1 + iota // Mailbox
	MailboxUpdated                         // Mailbox: name, parent, role, subscription
	MailboxCounted                         // Mailbox: only its counts
	MailboxDestroyed                       // Mailbox
	EntryAdded                             // Mailbox, UID, Email, Thread
	EntryFlagged                           // Mailbox, UID, Email, Thread
	EntryRemoved                           // Mailbox, UID, Email, Thread
	EmailCreated                           // Email, Thread
	EmailUpdated                           // Email, Thread: keywords or mailboxes
	EmailDestroyed                         // Email, Thread
	ThreadDestroyed                        // Thread: its last email is gone
)

// Change is one thing that a transaction changed.
type Change struct {
	ModSeq  uint64     `cbor:"-"`
	Kind    ChangeKind `cbor:"1,keyasint"`
	Mailbox ID         `cbor:"2,keyasint,omitempty"`
	UID     uint32     `cbor:"3,keyasint,omitempty"`
	Email   EmailID    `cbor:"4,keyasint,omitempty"`
	Thread  ThreadID   `cbor:"5,keyasint,omitempty"`
}

// Meta is the account's own row.
type Meta struct {
	ModSeq      uint64 `cbor:"1,keyasint"` // newest; also the JMAP state
	LastMailbox ID     `cbor:"2,keyasint"`
	LastEmail   uint64 `cbor:"3,keyasint"`           // emails and threads share the sequence
	UIDValidity uint32 `cbor:"4,keyasint"`           // last one given out
	Used        int64  `cbor:"5,keyasint"`           // octets of all emails
	Quota       int64  `cbor:"6,keyasint"`           // octets; NoQuota for none
	Count       int64  `cbor:"7,keyasint"`           // emails
	Release     uint64 `cbor:"8,keyasint,omitempty"` // last "X" row
	// LogFrom is the oldest modseq whose changes the log still holds.
	LogFrom uint64 `cbor:"9,keyasint,omitempty"`
}

// CleanKeywords lower-cases, checks, sorts and deduplicates keywords. Grammar:
// RFC 8621 section 4.1.1, which is that of an IMAP atom.
func CleanKeywords(in []string) ([]string, error) {
	if len(in) > MaxKeywords {
		return nil, fault.New(fault.TooMany, "mailbox.Keywords", fmt.Sprintf("A message holds at most %d keywords.", MaxKeywords))
	}
	var out []string
	for _, k := range in {
		k = strings.ToLower(k)
		if k == "" || len(k) > MaxKeywordOctets || strings.ContainsFunc(k, badKeywordRune) {
			return nil, fault.New(fault.Invalid, "mailbox.Keywords", "This keyword is not valid.")
		}
		out = append(out, k)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

func badKeywordRune(r rune) bool {
	return r <= ' ' || r > '~' || strings.ContainsRune(`(){]%*"\`, r)
}
