package imapserver

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"time"

	"github.com/mohar-mail/mohar/wire/imap"
	"github.com/mohar-mail/mohar/wire/mime"
)

// ConnInfo is what the engine knows about who connects.
type ConnInfo struct {
	Remote, Local net.Addr
	TLS           *tls.ConnectionState // nil: in clear text
}

// Login checks a password and opens the account behind it. A fault.Auth error
// is answered with AUTHENTICATIONFAILED; authzid is "" unless the client asked
// to act as somebody else.
type Login func(ctx context.Context, c ConnInfo, authzid, user, password string) (Session, error)

// Session is one signed-in client's hold on an account: the engine's way to
// the mail. Methods are called by one goroutine at a time, but for Close and
// the callback of Watch. Mailbox names are UTF-8 with "/" between levels, in
// the form of imap.CleanName. Errors are of base/fault; their public line is
// shown to the client.
type Session interface {
	// Account identifies the account, for limits per account and the log.
	Account() string
	// Close releases what the session holds.
	Close()
	// Watch calls notify, from any goroutine and without waiting for it, when
	// anything in the account may have changed. Calls are hints.
	Watch(notify func()) (stop func())

	// List gives every mailbox, sorted by name, INBOX first.
	List(ctx context.Context) ([]Mailbox, error)
	// Status gives one mailbox, or fault.NotFound.
	Status(ctx context.Context, name string) (Mailbox, error)
	// Create makes a mailbox, and those above it that are missing; use is a
	// special use such as \Archive, "" for none.
	Create(ctx context.Context, name, use string) (Mailbox, error)
	// Delete removes a mailbox. fault.Denied for INBOX and for one with children.
	Delete(ctx context.Context, name string) error
	// Rename moves a mailbox and what is below it.
	Rename(ctx context.Context, from, to string) error
	// Subscribe sets or clears the subscription.
	Subscribe(ctx context.Context, name string, on bool) error

	// Select opens a mailbox: its row and the UIDs of its messages at one instant.
	Select(ctx context.Context, name string) (Opened, error)
	// Changes tells what happened in a mailbox after since, a modseq or an earlier
	// State, as far as
	// known goes: messages that vanished are named only when in known, those that
	// came or changed when in known or above its largest number.
	Changes(ctx context.Context, mailbox string, since uint64, known imap.Set) (Changes, error)
	// Messages calls fn for the messages of the set that exist, in rising order
	// of UID. The Message is reused between calls.
	Messages(ctx context.Context, mailbox string, uids imap.Set, need Need, fn func(*Message) error) error
	// Body opens the content of a message, or fault.NotFound.
	Body(ctx context.Context, mailbox string, uid uint32) (Body, error)

	// Store changes flags.
	Store(ctx context.Context, mailbox string, r StoreRequest) (StoreResult, error)
	// Expunge removes those messages of the set that carry \Deleted.
	Expunge(ctx context.Context, mailbox string, uids imap.Set) error
	// Copy copies or moves messages into dest, fault.NotFound when that does not exist.
	Copy(ctx context.Context, mailbox string, uids imap.Set, dest string, move bool) (CopyResult, error)
	// Append starts a new message of size octets; a policy refusal may come here
	// or at Commit.
	Append(ctx context.Context, name string, size int64) (Appender, error)
	// Quota gives the account's storage.
	Quota(ctx context.Context) (Quota, error)
}

// Mailbox is one mailbox.
type Mailbox struct {
	ID            string // RFC 8474 MAILBOXID
	Name          string
	Use           string // special use with its backslash, "" for none
	Subscribed    bool
	NoSelect      bool
	UIDValidity   uint32
	UIDNext       uint32
	HighestModSeq uint64 // at least 1
	Messages      uint32
	Unseen        uint32
	Deleted       uint32
	Size          int64 // octets of all messages
}

// Opened is a mailbox at the instant of its opening.
type Opened struct {
	Mailbox
	UIDs  imap.Set
	State uint64 // where Changes goes on; at least HighestModSeq
}

// Need says which parts of a Message the engine will read.
type Need uint8

// The needs. Either may be answered by more than was asked.
const (
	NeedEnvelope Need = 1 << iota // Message.Envelope
	NeedIndex                     // Message.Index, and Message.Envelope from it
)

// Message is one message of a mailbox.
type Message struct {
	UID      uint32
	ModSeq   uint64
	Flags    imap.Flags
	Size     int64
	Received time.Time
	EmailID  string
	ThreadID string
	Envelope *mime.Envelope // set with a need; nil where it cannot be read
	Index    *mime.Index    // set with NeedIndex; nil where it cannot be read
}

// Body is the content of one message.
type Body interface {
	io.ReaderAt
	io.Closer
}

// Changes is what happened in a mailbox.
type Changes struct {
	State         uint64 // for the next call
	HighestModSeq uint64
	UIDNext       uint32
	Vanished      imap.Set
	Changed       []Message // new ones and ones with new flags, by UID; without Envelope and Index
}

// StoreRequest is a change of flags.
type StoreRequest struct {
	UIDs           imap.Set
	Mode           imap.StoreMode
	Flags          imap.Flags
	UnchangedSince *uint64
}

// StoreResult is what a Store did.
type StoreResult struct {
	Now      []Message // the messages that were not left alone, as they are now, by UID
	Modified imap.Set  // left alone because of UnchangedSince
}

// CopyResult names the copies: From[i] has become To[i].
type CopyResult struct {
	UIDValidity uint32
	From, To    []uint32
}

// AppendOptions are what APPEND says beside the content.
type AppendOptions struct {
	Flags    imap.Flags
	Received time.Time // zero: now
}

// Appender takes the content of a new message. Exactly one of Commit and Abort
// ends it.
type Appender interface {
	io.Writer
	// Commit adds the message and gives UIDVALIDITY of the mailbox and its UID.
	Commit(ctx context.Context, o AppendOptions) (uidValidity, uid uint32, err error)
	Abort()
}

// Quota is the storage of an account in octets and messages; Limit 0: none.
type Quota struct{ Used, Limit int64 }
