// Package jmap is the JMAP door: the methods of RFC 8621 over the mailbox
// noun, submission through the submit flow, and what the rulebook says of a
// message before it is sent. Transport and dispatch are wire/jmap/jmapserver.
//
// Owns:      key prefixes "up/" (uploads), "js/" (submissions) and "ji/"
// (identities) in an account's shard.
// Trusts:    its Authenticator for who is asking; nobody for what is asked.
// May touch: mailbox, and store/body through it. No files, no network, no clock
// but base/clock.
// Standards: RFC 8620, RFC 8621.
package jmap

import (
	"context"
	"encoding/hex"
	"log/slog"
	"strconv"
	"time"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/base/clock"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/mailbox"
	"github.com/mohar-mail/mohar/store/hub"
	wire "github.com/mohar-mail/mohar/wire/jmap"
	"github.com/mohar-mail/mohar/wire/jmap/jmapserver"
)

// Limits of the door that are no part of a core capability.
const (
	MaxAttachments     = 50_000_000 // octets of the attachments of one email, before encoding
	MaxMessage         = 75_000_000 // octets of a message that is created, imported or sent
	MaxRecipients      = 500        // of one submission
	MaxQueryLimit      = 1000       // ids in one answer to a query
	MaxChanges         = 5000       // ids in one answer to /changes
	MaxSearchContent   = 20_000     // newest messages whose content a text filter reads
	UploadLife         = 24 * time.Hour
	DefaultUploadQuota = 250_000_000 // octets of the unexpired uploads of an account
	MaxUploads         = 1000        // unexpired uploads of an account
	MaxSubmissions     = 1000        // records of submissions that an account keeps
)

// Hints tells of changes to accounts.
type Hints interface {
	// Subscribe watches a topic until the Subscription is closed.
	Subscribe(topic hub.Topic) *hub.Subscription
}

// Sender is one address that an account may write as.
type Sender struct {
	Address string
	Name    string
}

// People knows who an account may write as.
type People interface {
	// Senders lists the addresses, the account's own first.
	Senders(ctx context.Context, account mohar.AccountID) ([]Sender, error)
}

// Submission is a message to be sent.
type Submission struct {
	Account  mohar.AccountID
	Address  string // of the account
	Envelope mohar.Envelope
	Content  []byte // as stored; the flow strips Bcc
	Lang     string // "hi" or "en"
}

// Question asks what the rulebook says of a message that is being written.
type Question struct {
	Account mohar.AccountID
	Address string // of the account
	From    string
	To      []string
	Label   mohar.Label
	// Answers are the message ids of the letter that the message answers and of
	// those before it, with angle brackets.
	Answers []string
}

// Standing is what one recipient is to the state.
type Standing struct {
	Address string
	Class   mohar.DomainClass
	Name    string // of a colleague; "" where unknown
}

// Explanation answers a Question.
type Explanation struct {
	Decision   mohar.Decision
	Recipients []Standing
}

// Submitter is the submit flow.
type Submitter interface {
	// Submit takes the message in charge and gives its queue id. fault.Refused
	// carries the decision; fault.Denied is a sender who may not use an address.
	Submit(ctx context.Context, s Submission) (queueID string, err error)
	// Explain says what Submit would decide, and changes nothing.
	Explain(ctx context.Context, q Question) (Explanation, error)
}

// Config is what a Door is made of.
type Config struct {
	Mail        *mailbox.Store
	Auth        jmapserver.Authenticator
	Hints       Hints
	People      People
	Submit      Submitter
	PublicURL   string              // scheme and host of the session's URLs; "" takes them from each request
	Limits      wire.CoreCapability // zero: those of jmapserver
	UploadQuota int64               // octets of an account's uploads; 0: DefaultUploadQuota
	Clock       clock.Clock         // nil: the system's
	Log         *slog.Logger        // nil: none
}

// Door answers JMAP for all accounts. It is an http.Handler for the paths of
// jmapserver and safe for concurrent use.
type Door struct {
	*jmapserver.Server
	cfg     Config
	clock   clock.Clock
	indexes *indexes
	queries *memo[queryKey, []mailbox.EmailID]
}

// Bounds of what the door remembers between requests, in entries and in what
// weigh gives for them.
const (
	maxQueriesKept = 512
	maxIDsKept     = 4_000_000 // 32 MB
)

// New makes a Door. Close ends its event sources.
func New(cfg Config) *Door {
	d := &Door{cfg: cfg, clock: cfg.Clock}
	if d.cfg.UploadQuota == 0 {
		d.cfg.UploadQuota = DefaultUploadQuota
	}
	if d.clock == nil {
		d.clock = clock.System{}
	}
	d.indexes = newIndexes()
	d.queries = newMemo[queryKey, []mailbox.EmailID](maxQueriesKept, maxIDsKept)
	if cfg.Limits.MaxSizeRequest == 0 {
		cfg.Limits = jmapserver.DefaultLimits()
	}
	d.Server = jmapserver.New(jmapserver.Config{
		Auth: cfg.Auth, Backend: d, Methods: d.methods(), Limits: cfg.Limits,
		Capabilities: map[string]any{wire.CapMail: struct{}{}, wire.CapSubmission: struct{}{}, wire.CapPolicy: struct{}{}},
		PublicURL:    cfg.PublicURL, Clock: d.clock, Log: cfg.Log,
	})
	return d
}

// methods is the registry.
func (d *Door) methods() jmapserver.Methods {
	m := jmapserver.Methods{}
	read := func(name, capability string, f jmapserver.MethodFunc) {
		m[name] = jmapserver.Method{Capability: capability, Do: f}
	}
	write := func(name, capability string, f jmapserver.MethodFunc) {
		m[name] = jmapserver.Method{Capability: capability, Writes: true, Do: f}
	}
	write("Blob/copy", wire.CapCore, d.blobCopy)
	read("Mailbox/get", wire.CapMail, d.mailboxGet)
	read("Mailbox/changes", wire.CapMail, d.mailboxChanges)
	read("Mailbox/query", wire.CapMail, d.mailboxQuery)
	read("Mailbox/queryChanges", wire.CapMail, d.mailboxQueryChanges)
	write("Mailbox/set", wire.CapMail, d.mailboxSet)
	read("Thread/get", wire.CapMail, d.threadGet)
	read("Thread/changes", wire.CapMail, d.threadChanges)
	read("Email/get", wire.CapMail, d.emailGet)
	read("Email/changes", wire.CapMail, d.emailChanges)
	read("Email/query", wire.CapMail, d.emailQuery)
	read("Email/queryChanges", wire.CapMail, d.emailQueryChanges)
	write("Email/set", wire.CapMail, d.emailSet)
	write("Email/copy", wire.CapMail, d.emailCopy)
	write("Email/import", wire.CapMail, d.emailImport)
	read("Email/parse", wire.CapMail, d.emailParse)
	read("SearchSnippet/get", wire.CapMail, d.snippetGet)
	read("Identity/get", wire.CapSubmission, d.identityGet)
	read("Identity/changes", wire.CapSubmission, d.identityChanges)
	write("Identity/set", wire.CapSubmission, d.identitySet)
	read("EmailSubmission/get", wire.CapSubmission, d.submissionGet)
	read("EmailSubmission/changes", wire.CapSubmission, d.submissionChanges)
	read("EmailSubmission/query", wire.CapSubmission, d.submissionQuery)
	read("EmailSubmission/queryChanges", wire.CapSubmission, d.submissionQueryChanges)
	write("EmailSubmission/set", wire.CapSubmission, d.submissionSet)
	read("Policy/explain", wire.CapPolicy, d.policyExplain)
	return m
}

// mailCapability is the account's value of CapMail (RFC 8621 section 1.3.1).
type mailCapability struct {
	MaxMailboxesPerEmail       *int     `json:"maxMailboxesPerEmail"`
	MaxMailboxDepth            int      `json:"maxMailboxDepth"`
	MaxSizeMailboxName         int      `json:"maxSizeMailboxName"`
	MaxSizeAttachmentsPerEmail int      `json:"maxSizeAttachmentsPerEmail"`
	EmailQuerySortOptions      []string `json:"emailQuerySortOptions"`
	MayCreateTopLevelMailbox   bool     `json:"mayCreateTopLevelMailbox"`
}

// submissionCapability is the account's value of CapSubmission (RFC 8621
// section 1.3.2).
type submissionCapability struct {
	MaxDelayedSend       int                 `json:"maxDelayedSend"`
	SubmissionExtensions map[string][]string `json:"submissionExtensions"`
}

// accountID gives an account's id as JMAP may show it: itself where it follows
// the grammar of an Id, else its octets in hexadecimal.
func accountID(a mohar.AccountID) wire.ID {
	if id := wire.ID(a); id.Valid() {
		return id
	}
	return wire.ID("x-" + hex.EncodeToString([]byte(a)))
}

// Accounts gives the principal's own account, which is all there is to see.
func (d *Door) Accounts(_ context.Context, p jmapserver.Principal) (map[wire.ID]wire.Account, error) {
	return map[wire.ID]wire.Account{accountID(p.Account): {
		Name: p.Address, IsPersonal: true,
		AccountCapabilities: map[string]any{
			wire.CapCore: struct{}{},
			wire.CapMail: mailCapability{MaxMailboxDepth: mailbox.MaxDepth, MaxSizeMailboxName: mailbox.MaxNameOctets,
				MaxSizeAttachmentsPerEmail: MaxAttachments, EmailQuerySortOptions: sortOptions(), MayCreateTopLevelMailbox: true},
			wire.CapSubmission: submissionCapability{SubmissionExtensions: map[string][]string{}},
			wire.CapPolicy:     struct{}{},
		},
	}}, nil
}

// States gives the state of each type as /get would.
func (d *Door) States(ctx context.Context, p jmapserver.Principal) (map[wire.ID]map[string]string, error) {
	_, ident, err := d.identities(ctx, p.Account)
	if err != nil {
		return nil, err
	}
	var s map[string]string
	err = d.view(ctx, p.Account, func(r *mailbox.Reader) error {
		mail := state(r)
		sub, err := readCounter(r.KV(), keySubmissionState())
		if err != nil {
			return err
		}
		s = map[string]string{
			"Mailbox": mail, "Thread": mail, "Email": mail, "Identity": ident,
			"EmailDelivery":   strconv.FormatUint(r.Meta().LastEmail, 10),
			"EmailSubmission": strconv.FormatUint(sub, 10),
		}
		return nil
	})
	return map[wire.ID]map[string]string{accountID(p.Account): s}, err
}

// Watch tells of changes to the principal's account.
func (d *Door) Watch(p jmapserver.Principal) (changed <-chan struct{}, stop func()) {
	sub := d.cfg.Hints.Subscribe(hub.Account(p.Account))
	return sub.C(), sub.Close
}

// view reads an account, which is given its mailboxes at the first look.
func (d *Door) view(ctx context.Context, a mohar.AccountID, fn func(*mailbox.Reader) error) error {
	ran := false
	err := d.cfg.Mail.View(ctx, a, func(r *mailbox.Reader) error { ran = true; return fn(r) })
	if ran || !fault.Is(err, fault.NotFound) {
		return err
	}
	if err := d.cfg.Mail.Ensure(ctx, a); err != nil {
		return err
	}
	return d.cfg.Mail.View(ctx, a, fn)
}

var _ jmapserver.Backend = (*Door)(nil)
