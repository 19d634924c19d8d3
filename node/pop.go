package node

import (
	"context"
	"crypto/tls"
	"net/netip"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/flow/signin"
	"github.com/mohar-mail/mohar/serve/pop"
	"github.com/mohar-mail/mohar/wire/pop/popserver"
)

// popSignin is what the POP3 door asks.
type popSignin struct{ n *Node }

func (s popSignin) SignIn(ctx context.Context, door mohar.Door, user, password string, remote netip.Addr, tls bool) (mohar.AccountID, error) {
	p, err := s.n.signin.Authenticate(ctx, signin.Attempt{Door: door, User: user, Password: password, Remote: remote, TLS: tls || s.n.opt.Loopback})
	if err != nil {
		return "", err
	}
	return p.Account, nil
}

func (n *Node) popDoors(tlsCfg *tls.Config) []door {
	back := pop.New(pop.Config{Mail: n.boxes, Signin: popSignin{n}})
	var out []door
	for _, d := range []struct {
		name, addr string
		implicit   bool
	}{{"pop", n.cfg.Listen.POP, false}, {"pops", n.cfg.Listen.POPS, true}} {
		cfg := popserver.Config{Login: back.Login, TLS: tlsCfg, Implicit: d.implicit, AllowInsecureAuth: n.opt.Loopback, Name: "Mohar",
			Clock: n.clock, Log: n.log}
		if n.opt.Loopback {
			cfg.MaxPerRemote = popserver.DefaultMaxConns
		}
		srv := popserver.New(cfg)
		n.open.add(srv.Disconnect)
		out = append(out, door{d.name, d.addr, srv.Serve, srv.Drain})
	}
	return out
}
