package dsn

import (
	"time"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/wire/addr"
)

// Bounds. What is beyond them is cut or left out, never an error.
const (
	MaxRecipients  = 1000
	MaxReturned    = 1 << 20   // content returned whole; larger ones return their header
	MaxHeader      = 64 << 10  // of a returned header
	maxDiagnostic  = 2 << 10   // of one Diagnostic-Code
	maxStatusBytes = 512 << 10 // of a delivery-status part that is read
)

// Action says what was done for a recipient (RFC 3464 section 2.3.3).
type Action string

// The actions.
const (
	Failed    Action = "failed"
	Delayed   Action = "delayed"
	Delivered Action = "delivered"
	Relayed   Action = "relayed"
	Expanded  Action = "expanded"
)

// Address is a typed address of RFC 3464 section 2.1.1, decoded.
type Address struct {
	Type string // "rfc822", "utf-8", in lower case
	Addr string
}

// Recipient is what became of one recipient.
type Recipient struct {
	Original Address // from ORCPT, by way of ParseORCPT; zero when absent
	Final    string  // the mailbox, as in the envelope
	Action   Action
	Status   string // RFC 3463, "5.1.1"
	// RemoteMTA is the host that answered, "" if it was this one.
	RemoteMTA string
	// Diagnostic is the SMTP reply, "550 5.1.1 no such user"; may be empty.
	Diagnostic string
	// Explanation is for the sender: what happened and what to do.
	Explanation mohar.Text
	LastAttempt time.Time // zero: left out
	RetryUntil  time.Time // for Delayed; zero: left out
	LogID       string    // Final-Log-ID; may be empty
}

// Report is a notification. Parse fills what it finds.
type Report struct {
	ReportingMTA string    // host name
	EnvelopeID   string    // decoded ENVID; "" when absent
	Arrival      time.Time // of the message; zero: left out
	Recipients   []Recipient

	From      addr.Address // who reports: postmaster of the domain
	To        string       // the reverse-path of the message
	Date      time.Time
	MessageID string // of the report, with its brackets

	// Original is the content that the report is about; its header, or all of it
	// with ReturnFull (RFC 3461 section 4.3), goes into the report. Parse gives
	// here what the report returned.
	Original   []byte
	ReturnFull bool
	// OriginalID is the Message-ID of the content; Build finds it itself.
	OriginalID string
	// UTF8 says that the report may travel with SMTPUTF8 and 8BITMIME: the parts
	// of RFC 6533 are then used where they are needed.
	UTF8 bool
}
