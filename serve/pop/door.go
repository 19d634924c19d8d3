package pop

import (
	"context"
	"net"
	"net/netip"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/mailbox"
	"github.com/mohar-mail/mohar/wire/pop/popserver"
)

// Signin says who somebody is. Errors are fault.Auth, fault.Denied,
// fault.Refused with the decision, fault.TooMany and fault.Unavailable.
type Signin interface {
	SignIn(ctx context.Context, door mohar.Door, user, password string, remote netip.Addr, tls bool) (mohar.AccountID, error)
}

// Config is what a Door is made of.
type Config struct {
	Mail   *mailbox.Store
	Signin Signin
}

// Door opens sessions for the engine. It is safe for concurrent use.
type Door struct{ cfg Config }

// New makes a Door.
func New(cfg Config) *Door { return &Door{cfg: cfg} }

// Login is the popserver.Login of the door.
func (d *Door) Login(ctx context.Context, c popserver.ConnInfo, authzid, user, password string) (popserver.Session, error) {
	if authzid != "" && authzid != user {
		return nil, fault.New(fault.Denied, "pop.Login", "Acting for somebody else is not offered here.")
	}
	account, err := d.cfg.Signin.SignIn(ctx, mohar.DoorPOP, user, password, remoteAddr(c.Remote), c.TLS != nil)
	if err != nil {
		return nil, err
	}
	if err := d.cfg.Mail.Ensure(ctx, account); err != nil {
		return nil, err
	}
	return &session{mail: d.cfg.Mail, account: account}, nil
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
