package relay

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/netip"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/wire/smtp"
)

// TLSMode says how much TLS a connection must have.
type TLSMode uint8

// The modes.
const (
	TLSOpportunistic TLSMode = iota // encrypt if possible, without asking who it is (RFC 7435)
	TLSRequired                     // encrypt, or do not send
	TLSVerified                     // encrypt to a host that proves its name, or do not send
)

// ErrTLS is in the chain of a Dialer's error when STARTTLS was refused, missing
// or failed: the host may still be spoken to in plain where the policy allows.
var ErrTLS = errors.New("TLS could not be established")

// ErrClosing is the error of a Peer that has answered for every recipient and
// takes no further message (421).
var ErrClosing = errors.New("the peer closes the session")

// Unsendable is the error of a Peer for a message that it can never take, found
// before anything was sent; the session is as good as before.
type Unsendable struct {
	Status smtp.EnhancedCode
	Text   string
}

// Error gives the status and the reason.
func (u *Unsendable) Error() string { return u.Status.String() + " " + u.Text }

// Target is one address of one host.
type Target struct {
	Host string // name for SNI and verification; an address for a literal
	Addr netip.AddrPort
	TLS  TLSMode
	// Plain forbids STARTTLS, because it broke a moment ago.
	Plain bool
}

// Dialer opens sessions with other hosts, up to and with EHLO after STARTTLS.
type Dialer interface {
	Dial(ctx context.Context, t Target) (Peer, error)
}

// PeerInfo is what a session's greeting told.
type PeerInfo struct {
	Host       string               // name of the host, as Target had it
	TLS        *tls.ConnectionState // nil in plain
	Verified   bool                 // the certificate proves the name
	DSN        bool                 // RFC 3461
	SMTPUTF8   bool                 // RFC 6531
	RequireTLS bool                 // RFC 8689
}

// Peer is a session with another host. It is used by one goroutine at a time.
type Peer interface {
	Info() PeerInfo
	// Send runs one transaction. It gives a reply for each recipient: its own
	// where it was refused, else that of MAIL or of the content. An error means
	// that the session is of no use any more; replies that were had before it
	// are given nonetheless, nil for the others.
	Send(ctx context.Context, t *Transaction) ([]*smtp.Reply, error)
	// Close ends the session, with QUIT where it is still of use.
	Close()
}

// Transaction is what goes to the peer.
type Transaction struct {
	From       string
	To         []mohar.Recipient // with Notify and ORcpt only where the peer has DSN
	EightBit   bool
	SMTPUTF8   bool
	RequireTLS bool
	EnvID, Ret string
	Content    io.ReaderAt
	Size       int64
}

// state is what became of a recipient in one attempt.
type state uint8

const (
	stateTemporary state = iota
	stateDelivered
	statePermanent
)

// outcome is the end of one attempt for one recipient.
type outcome struct {
	state       state
	status      smtp.EnhancedCode
	reply       *smtp.Reply // nil when the peer did not say it
	text        string      // for people: the reply, or our own words
	host        string      // the peer, "" when there was none
	tls         string      // for the audit record
	peerDSN     bool        // the peer has taken over the duty to report
	unreachable bool        // no host answered at all
	uncertain   bool        // the peer may have taken it
	interrupted bool        // we stopped under way, before any answer
}

func temporary(host string, status smtp.EnhancedCode, text string) *outcome {
	return &outcome{state: stateTemporary, status: status, text: text, host: host}
}

func permanent(host string, status smtp.EnhancedCode, text string) *outcome {
	return &outcome{state: statePermanent, status: status, text: text, host: host}
}

// fromReply judges by the first digit (RFC 5321 section 4.2.1).
func fromReply(rep *smtp.Reply, info PeerInfo) outcome {
	o := outcome{reply: rep, status: rep.Enhanced, text: rep.Error(), host: info.Host, tls: describeTLS(info), peerDSN: info.DSN}
	switch {
	case rep.Positive():
		o.state = stateDelivered
	case rep.Permanent():
		o.state = statePermanent
	default:
		o.state = stateTemporary
	}
	if o.status == (smtp.EnhancedCode{}) {
		o.status = smtp.EnhancedCode{uint16(rep.Code / 100), 0, 0} // RFC 3463 section 2: "other undefined"
	}
	return o
}

func describeTLS(info PeerInfo) string {
	if info.TLS == nil {
		return "none"
	}
	s := tls.VersionName(info.TLS.Version) + " " + tls.CipherSuiteName(info.TLS.CipherSuite)
	if info.Verified {
		return s + " verified"
	}
	return s + " unverified"
}
