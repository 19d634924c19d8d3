package popserver

import (
	"crypto/tls"
	"log/slog"
	"time"

	"github.com/mohar-mail/mohar/base/clock"
)

// Defaults of Config and fixed bounds of the engine.
const (
	DefaultIdleTimeout    = 10 * time.Minute // RFC 1939 section 3: at least 10 minutes
	DefaultLoginTimeout   = 3 * time.Minute  // from connection to signing in
	DefaultCommandTimeout = 2 * time.Minute  // for the Session to answer
	DefaultWriteTimeout   = 2 * time.Minute  // without progress of the client's reading
	DefaultMaxConns       = 10_000
	DefaultMaxAccount     = 20  // connections of one account
	DefaultMaxRemote      = 500 // connections of one address that have not signed in
	// DefaultMaxMessages bounds the memory of a session: 16 octets a message. A
	// larger maildrop shows its newest messages.
	DefaultMaxMessages = 250_000

	maxBadBeforeLogin   = 10 // bad commands before login
	maxBadCommands      = 50 // bad commands in a row after it
	maxAuthFailures     = 5
	maxResponse         = 6 << 10 // octets of an AUTH response line: above what sasl.MaxResponse takes in base64
	tlsHandshakeTimeout = 30 * time.Second
	outBatch            = 32 << 10 // octets gathered before a write
	readBuffer          = 8 << 10
	bodyBuffer          = 64 << 10 // of a message read at once, and looked at for a header in UTF-8
	maxKeptBuffer       = 128 << 10
)

// Config is what a Server needs. Zero fields take the defaults above.
type Config struct {
	Login Login
	// TLS enables STLS, and TLS from the first octet when Implicit is set.
	TLS      *tls.Config
	Implicit bool
	// AllowInsecureAuth offers passwords without TLS: for loopback only.
	AllowInsecureAuth bool
	Name              string // server name, in the greeting and IMPLEMENTATION; one word
	MaxConns          int
	MaxPerAccount     int // above it the account's longest silent connection is closed
	MaxPerRemote      int
	MaxMessages       int
	IdleTimeout       time.Duration
	LoginTimeout      time.Duration
	CommandTimeout    time.Duration
	WriteTimeout      time.Duration
	Clock             clock.Clock
	Log               *slog.Logger
}

func (c Config) withDefaults() Config {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{{&c.IdleTimeout, DefaultIdleTimeout}, {&c.LoginTimeout, DefaultLoginTimeout},
		{&c.CommandTimeout, DefaultCommandTimeout}, {&c.WriteTimeout, DefaultWriteTimeout}} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	for _, d := range []struct {
		field *int
		value int
	}{{&c.MaxConns, DefaultMaxConns}, {&c.MaxPerAccount, DefaultMaxAccount},
		{&c.MaxPerRemote, DefaultMaxRemote}, {&c.MaxMessages, DefaultMaxMessages}} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if c.Clock == nil {
		c.Clock = clock.System{}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Name == "" {
		c.Name = "localhost"
	}
	return c
}
