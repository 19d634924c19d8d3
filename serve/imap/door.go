package imap

import (
	"context"
	"net"
	"net/netip"
	"time"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/base/clock"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/mailbox"
	"github.com/mohar-mail/mohar/store/hub"
	"github.com/mohar-mail/mohar/wire/imap/imapserver"
)

// Principal is who signed in.
type Principal struct {
	Account mohar.AccountID
	Address string // primary address
}

// Signin says who somebody is. Errors are fault.Auth, fault.Denied,
// fault.Refused with the decision, fault.TooMany and fault.Unavailable.
type Signin interface {
	SignIn(ctx context.Context, door mohar.Door, user, password string, remote netip.Addr, tls bool) (Principal, error)
}

// Hints tells of changes to accounts; a hub.Hub does.
type Hints interface {
	// Subscribe watches a topic until the Subscription is closed.
	Subscribe(topic hub.Topic) *hub.Subscription
}

// Judge asks the decision point whether a message may be put into a mailbox by
// its owner. It gives nil, or a fault.Refused with the decision. content must
// not be kept or modified.
type Judge func(ctx context.Context, who Principal, mailbox string, content []byte) error

// Config is what a Door is made of.
type Config struct {
	Mail   *mailbox.Store
	Signin Signin
	Hints  Hints
	Judge  Judge       // nil: everything may be kept
	Clock  clock.Clock // nil: the machine's
}

// Door opens sessions for the engine. It is safe for concurrent use.
type Door struct {
	cfg   Config
	watch *watch
}

// New makes a Door.
func New(cfg Config) *Door {
	if cfg.Clock == nil {
		cfg.Clock = clock.System{}
	}
	return &Door{cfg: cfg, watch: newWatch(cfg.Hints)}
}

func (d *Door) now() time.Time { return d.cfg.Clock.Now() }

// Close ends the watches. The engine that uses the door must be closed before.
func (d *Door) Close() { d.watch.close() }

// Login is the imapserver.Login of the door.
func (d *Door) Login(ctx context.Context, c imapserver.ConnInfo, authzid, user, password string) (imapserver.Session, error) {
	if authzid != "" && authzid != user {
		return nil, fault.New(fault.Denied, "imap.Login", "Acting for somebody else is not offered here.")
	}
	who, err := d.cfg.Signin.SignIn(ctx, mohar.DoorIMAP, user, password, remoteAddr(c.Remote), c.TLS != nil)
	if err != nil {
		return nil, err
	}
	if err := d.cfg.Mail.Ensure(ctx, who.Account); err != nil {
		return nil, err
	}
	return &session{d: d, who: who}, nil
}

func remoteAddr(a net.Addr) netip.Addr {
	if a == nil {
		return netip.Addr{}
	}
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap()
}
