package smtpserver

import (
	"crypto/tls"
	"log/slog"
	"time"

	"github.com/mohar-mail/mohar/base/clock"
)

// Mode says which of the three services a Server speaks.
type Mode uint8

// The modes.
const (
	MX         Mode = iota // mail from other organisations; no AUTH
	Submission             // mail from our own users (RFC 6409); AUTH before MAIL
	LMTP                   // delivery from our own relays (RFC 2033)
)

// Config is what a Server is built from. Zero values of limits and timeouts
// take the defaults below.
type Config struct {
	Hostname string      // our name in the greeting, ASCII
	Mode     Mode        // MX where not set
	TLS      *tls.Config // nil: no TLS at all
	Implicit bool        // TLS from the first octet (RFC 8314), else STARTTLS
	// AllowInsecureAuth offers AUTH without TLS. For a demo on loopback only.
	AllowInsecureAuth bool
	// AllowUnauthenticated lets a Submission server take mail without AUTH: for
	// appliances inside a closed network, whose Session then decides.
	AllowUnauthenticated bool
	// GreetDelay, above zero and without Implicit, waits so long before the
	// greeting and turns away clients that talk before it, as bots do.
	GreetDelay time.Duration
	// ExplainURL is put before a rule's id in policy refusals, for example
	// "https://mail.rajya.example/rule/"; "" leaves the link out.
	ExplainURL string
	Limits     Limits
	Timeouts   Timeouts
	Clock      clock.Clock  // nil: the system's; deadlines of connections are computed with it
	Log        *slog.Logger // nil: no log
}

// Limits bound what one client may use.
type Limits struct {
	Connections  int   // at once, over all
	PerNetwork   int   // at once from one /24 (IPv4) or /48 (IPv6); negative: no such limit
	MessageSize  int64 // octets of content; announced by SIZE
	Recipients   int   // accepted RCPT of one message; RFC 5321 section 4.5.3.1.8 asks for 100 at least
	RefusedRcpts int   // refused RCPT of one connection before it is closed: address harvesting
	LineLength   int   // octets of one text line without CRLF; not under 998
	Errors       int   // faulty commands of one connection before it is closed
	IdleCommands int   // commands in a row without a message accepted: NOOP, RSET, VRFY, EHLO and their like
	AuthFailures int   // of one connection
	AuthRounds   int   // of one AUTH exchange
	DrainBytes   int64 // octets of a refused message read to its end before the connection is cut
	MinRate      int64 // octets of content per second that a client must reach once Timeouts.DataGrace is over
}

// The default limits.
const (
	DefaultConnections  = 4096
	DefaultPerNetwork   = 64
	DefaultMessageSize  = 50 << 20
	DefaultRecipients   = 1000
	DefaultRefusedRcpts = 100
	DefaultLineLength   = 64 << 10
	DefaultErrors       = 20
	DefaultIdleCommands = 200
	DefaultAuthFailures = 3
	DefaultAuthRounds   = 8
	DefaultDrainBytes   = 64 << 20
	DefaultMinRate      = 1 << 10
)

// Timeouts bound how long the engine waits. RFC 5321 section 4.5.3.2 gives the
// least values.
type Timeouts struct {
	Command   time.Duration // for one whole command line, however many pieces it comes in (section 4.5.3.2.7)
	DataBlock time.Duration // for the next octets of content (section 4.5.3.2.5)
	DataGrace time.Duration // after this, content must have come at Limits.MinRate
	Write     time.Duration // for the peer to take a reply
	Handshake time.Duration // for TLS
}

// The default timeouts.
const (
	DefaultCommand   = 5 * time.Minute
	DefaultDataBlock = 3 * time.Minute
	DefaultDataGrace = 10 * time.Minute
	DefaultWrite     = 2 * time.Minute
	DefaultHandshake = 30 * time.Second
)

func orDefault[T int | int64 | time.Duration](v *T, d T) {
	if *v == 0 {
		*v = d
	}
}

func (c *Config) fill() {
	l, t := &c.Limits, &c.Timeouts
	orDefault(&l.Connections, DefaultConnections)
	orDefault(&l.PerNetwork, DefaultPerNetwork)
	orDefault(&l.MessageSize, DefaultMessageSize)
	orDefault(&l.Recipients, DefaultRecipients)
	orDefault(&l.RefusedRcpts, DefaultRefusedRcpts)
	orDefault(&l.LineLength, DefaultLineLength)
	orDefault(&l.Errors, DefaultErrors)
	orDefault(&l.IdleCommands, DefaultIdleCommands)
	orDefault(&l.AuthFailures, DefaultAuthFailures)
	orDefault(&l.AuthRounds, DefaultAuthRounds)
	orDefault(&l.DrainBytes, DefaultDrainBytes)
	orDefault(&l.MinRate, DefaultMinRate)
	orDefault(&t.Command, DefaultCommand)
	orDefault(&t.DataBlock, DefaultDataBlock)
	orDefault(&t.DataGrace, DefaultDataGrace)
	orDefault(&t.Write, DefaultWrite)
	orDefault(&t.Handshake, DefaultHandshake)
	if c.Clock == nil {
		c.Clock = clock.System{}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
}
