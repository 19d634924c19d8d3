package smtpclient

import (
	"crypto/tls"
	"time"

	"github.com/mohar-mail/mohar/base/clock"
)

// TLSPolicy says when a connection must be, or become, encrypted.
type TLSPolicy uint8

// The policies.
const (
	// Opportunistic uses STARTTLS where it is offered; with Config.TLS nil any
	// certificate will do (RFC 7435). When the handshake fails so does New, and
	// the caller decides about another try with Clear.
	Opportunistic TLSPolicy = iota
	Required                // no mail without STARTTLS; Config.TLS says whom to trust
	Clear                   // no STARTTLS
	Implicit                // TLS from the first octet (RFC 8314)
)

// Config is how a Client behaves. Zero values take the defaults.
type Config struct {
	LocalName string // for EHLO: our own host name, ASCII
	LMTP      bool   // LHLO, and a reply for each recipient
	Policy    TLSPolicy
	// TLS verifies the peer; for DANE and MTA-STS the caller sets
	// VerifyConnection. nil takes any certificate under Opportunistic and
	// verifies by the system's roots otherwise. ServerName is that of the host
	// where empty.
	TLS *tls.Config
	// NoChunking sends by DATA even where the peer offers BDAT.
	NoChunking bool
	Timeouts   Timeouts
	Clock      clock.Clock // nil: the system's; deadlines are computed with it
}

// Timeouts are those of RFC 5321 section 4.5.3.2.
type Timeouts struct {
	Connect   time.Duration // TCP
	Handshake time.Duration // TLS
	Greeting  time.Duration // the 220
	Command   time.Duration // EHLO, MAIL, RCPT, RSET, AUTH and all that has no own line here
	DataInit  time.Duration // the 354
	DataBlock time.Duration // each block of content written
	DataEnd   time.Duration // the reply to the content; too short a wait makes duplicates
	Quit      time.Duration // QUIT, whose answer nobody needs
}

// The default timeouts.
const (
	DefaultConnect   = 30 * time.Second
	DefaultHandshake = 1 * time.Minute
	DefaultGreeting  = 5 * time.Minute
	DefaultCommand   = 5 * time.Minute
	DefaultDataInit  = 2 * time.Minute
	DefaultDataBlock = 3 * time.Minute
	DefaultDataEnd   = 10 * time.Minute
	DefaultQuit      = 5 * time.Second
)

func (c *Config) fill() {
	t := &c.Timeouts
	for _, v := range []struct {
		p *time.Duration
		d time.Duration
	}{
		{&t.Connect, DefaultConnect}, {&t.Handshake, DefaultHandshake}, {&t.Greeting, DefaultGreeting},
		{&t.Command, DefaultCommand}, {&t.DataInit, DefaultDataInit}, {&t.DataBlock, DefaultDataBlock},
		{&t.DataEnd, DefaultDataEnd}, {&t.Quit, DefaultQuit},
	} {
		if *v.p == 0 {
			*v.p = v.d
		}
	}
	if c.Clock == nil {
		c.Clock = clock.System{}
	}
	if c.LocalName == "" {
		c.LocalName = "localhost"
	}
}
