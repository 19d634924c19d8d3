package node

import (
	"context"
	"crypto/tls"
	"net/netip"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/flow/signin"
	"github.com/mohar-mail/mohar/serve/imap"
	"github.com/mohar-mail/mohar/wire/imap/imapserver"
)

// imapSignin is what the IMAP door asks.
type imapSignin struct{ n *Node }

func (s imapSignin) SignIn(ctx context.Context, door mohar.Door, user, password string, remote netip.Addr, tls bool) (imap.Principal, error) {
	p, err := s.n.authenticate(ctx, signin.Attempt{Door: door, User: user, Password: password, Remote: remote, TLS: tls || s.n.opt.Loopback})
	if err != nil {
		return imap.Principal{}, err
	}
	return imap.Principal{Account: p.Account, Address: p.Address}, nil
}

func (n *Node) imapDoors(tlsCfg *tls.Config) []door {
	back := imap.New(imap.Config{Mail: n.boxes, Signin: imapSignin{n}, Hints: n.eng.hub, Clock: n.clock})
	var out []door
	for _, d := range []struct {
		name, addr string
		implicit   bool
	}{{"imap", n.cfg.Listen.IMAP, false}, {"imaps", n.cfg.Listen.IMAPS, true}} {
		cfg := imapserver.Config{Login: back.Login, TLS: tlsCfg, Implicit: d.implicit, AllowInsecureAuth: n.opt.Loopback, Name: "Mohar",
			MaxMessage: int64(n.cfg.Mail.MaxMessageMB) << 20, Clock: n.clock, Log: n.log}
		if n.opt.Loopback {
			cfg.MaxPerRemote = cfg.MaxConns
		}
		srv := imapserver.New(cfg)
		n.open.add(srv.Disconnect)
		out = append(out, door{d.name, d.addr, srv.Serve, srv.Drain})
	}
	return out
}
