package imapserver

import (
	"crypto/tls"
	"log/slog"
	"time"

	"github.com/mohar-mail/mohar/base/clock"
)

// Defaults of Config and fixed bounds of the engine.
const (
	DefaultIdleTimeout    = 30 * time.Minute // RFC 9051 section 5.4: at least 30 minutes
	DefaultLoginTimeout   = 3 * time.Minute  // from connection to signing in
	DefaultCommandTimeout = 2 * time.Minute  // without progress inside a command
	DefaultWriteTimeout   = 2 * time.Minute  // without progress of the client's reading
	// DefaultKeepAlive is how often IDLE says "Still here". Networks drop silent
	// flows after 5 to 15 minutes; more often costs phones their battery.
	DefaultKeepAlive      = 4 * time.Minute
	DefaultMaxMessage     = 50 << 20
	DefaultMaxCommand     = 256 << 10 // RFC 7162 section 4 asks for 8192 octets at least
	DefaultMaxConns       = 50_000
	DefaultMaxAccount     = 100 // connections of one account
	DefaultMaxRemote      = 500 // connections of one address that have not signed in
	maxCommandBeforeLogin = 8 << 10
	maxDiscardBeforeLogin = 64 << 10
	maxBadBeforeLogin     = 10 // bad commands before login
	maxBadCommands        = 50 // bad commands in a row after it
	maxAuthFailures       = 5
	tlsHandshakeTimeout   = 30 * time.Second
	outBatch              = 64 << 10 // octets gathered before a write
	readBuffer            = 8 << 10
	maxKeptBuffer         = 256 << 10 // larger buffers are not pooled
	pushers               = 4         // goroutines that write to idling clients
)

// Config is what a Server needs. Zero fields take the defaults above.
type Config struct {
	Login Login
	// TLS enables STARTTLS, and TLS from the first octet when Implicit is set.
	TLS      *tls.Config
	Implicit bool
	// AllowInsecureAuth offers passwords without TLS: for loopback only.
	AllowInsecureAuth bool
	Name              string // server name, in the greeting
	Version           string // in the answer to ID; "" gives none
	MaxMessage        int64  // octets of a message, announced by APPENDLIMIT
	MaxCommand        int    // octets of a command after login, without message literals
	MaxConns          int
	MaxPerAccount     int // above it the account's longest silent connection is closed
	MaxPerRemote      int
	IdleTimeout       time.Duration
	LoginTimeout      time.Duration
	CommandTimeout    time.Duration
	WriteTimeout      time.Duration
	KeepAlive         time.Duration // negative: never
	Clock             clock.Clock
	Log               *slog.Logger
}

func (c Config) withDefaults() Config {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	defInt := func(d *int, v int) {
		if *d == 0 {
			*d = v
		}
	}
	def(&c.IdleTimeout, DefaultIdleTimeout)
	def(&c.LoginTimeout, DefaultLoginTimeout)
	def(&c.CommandTimeout, DefaultCommandTimeout)
	def(&c.WriteTimeout, DefaultWriteTimeout)
	def(&c.KeepAlive, DefaultKeepAlive)
	defInt(&c.MaxCommand, DefaultMaxCommand)
	defInt(&c.MaxConns, DefaultMaxConns)
	defInt(&c.MaxPerAccount, DefaultMaxAccount)
	defInt(&c.MaxPerRemote, DefaultMaxRemote)
	if c.MaxMessage == 0 {
		c.MaxMessage = DefaultMaxMessage
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
