package node

import (
	"context"
	"net/http"
	"net/netip"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/base/limit"
	"github.com/mohar-mail/mohar/flow/signin"
	"github.com/mohar-mail/mohar/flow/submit"
	"github.com/mohar-mail/mohar/policy"
	"github.com/mohar-mail/mohar/serve/jmap"
	"github.com/mohar-mail/mohar/serve/web"
	"github.com/mohar-mail/mohar/wire/jmap/jmapserver"
)

// unlimited is the rate of a demo on loopback, where all clients share one
// address.
var unlimited = limit.Rate{Burst: 1 << 20, Every: 1}

func (n *Node) signinFlow() {
	cfg := signin.Config{Store: n.eng.kv, Directory: n.directory, Passwords: n.hasher, Clock: n.clock, Log: n.log,
		Rulebook: n.rulebookNamed, Staged: n.staged}
	if n.opt.Loopback {
		cfg.Limits = signin.Limits{Network: unlimited, Pair: unlimited, Account: unlimited}
	}
	n.signin = signin.New(cfg)
}

func (n *Node) rulebookNamed(name string) *policy.Rulebook {
	if b := n.rulebooks[name]; b != nil {
		return b
	}
	return n.rulebooks[policy.State]
}

// doorSignin gives each door the form of sign-in that it asks for.
type doorSignin struct{ n *Node }

// SignIn is what the submission door asks.
func (s doorSignin) SignIn(ctx context.Context, door mohar.Door, user, password string, remote netip.Addr, tls bool) (submit.Sender, error) {
	p, err := s.n.authenticate(ctx, signin.Attempt{Door: door, User: user, Password: password, Remote: remote, TLS: tls || s.n.opt.Loopback})
	if err != nil {
		return submit.Sender{}, err
	}
	return senderOf(p), nil
}

func senderOf(p *signin.Principal) submit.Sender {
	return submit.Sender{Account: p.Account, Addresses: p.Addresses, Category: p.Category, Clearance: p.Clearance, Lang: p.Lang}
}

// webSignin is what the web door asks.
type webSignin struct{ n *Node }

func (s webSignin) SignIn(ctx context.Context, a web.Attempt) (string, web.Person, error) {
	p, err := s.n.authenticate(ctx, signin.Attempt{Door: mohar.DoorWeb, User: a.User, Password: a.Password, Remote: a.Remote,
		TLS: a.TLS || s.n.opt.Loopback, Agent: a.Agent})
	if err != nil {
		return "", web.Person{}, err
	}
	token, err := s.n.signin.NewSession(ctx, p, signin.Client{Remote: a.Remote, Agent: a.Agent, TLS: a.TLS})
	return token, person(p), err
}

func (s webSignin) Person(ctx context.Context, token string) (web.Person, error) {
	p, err := s.n.signin.Session(ctx, token)
	if err != nil {
		return web.Person{}, err
	}
	return person(p), nil
}

func (s webSignin) SignOut(ctx context.Context, token string) error {
	return s.n.signin.End(ctx, token)
}

func person(p *signin.Principal) web.Person {
	return web.Person{Account: p.Account, Address: p.Address, Name: p.Name.In(p.Lang), Post: p.Post.In(p.Lang), Lang: p.Lang, Category: p.Category.String()}
}

// httpAuth finds out who sends a JMAP request: by the cookie of a browser's
// session, or by HTTP Basic.
type httpAuth struct{ n *Node }

func (h httpAuth) Authenticate(r *http.Request) (jmapserver.Principal, error) {
	if token := web.Token(r); token != "" {
		p, err := h.n.signin.Session(r.Context(), token)
		if err != nil {
			return jmapserver.Principal{}, err
		}
		q := principal(p)
		q.ByCookie = true
		return q, nil
	}
	user, password, ok := r.BasicAuth()
	if !ok {
		return jmapserver.Principal{}, fault.New(fault.Auth, "node.httpAuth", "Please sign in.")
	}
	p, err := h.n.authenticate(r.Context(), signin.Attempt{Door: mohar.DoorJMAP, User: user, Password: password,
		Remote: web.RemoteIP(r), TLS: r.TLS != nil || h.n.opt.Loopback, Agent: r.UserAgent()})
	if err != nil {
		return jmapserver.Principal{}, err
	}
	return principal(p), nil
}

func principal(p *signin.Principal) jmapserver.Principal {
	return jmapserver.Principal{Account: p.Account, Address: p.Address, Name: p.Name.In(p.Lang), Lang: p.Lang}
}

// people and submitter are what the JMAP door asks of directory and flow.
type people struct{ n *Node }

func (p people) Senders(ctx context.Context, id mohar.AccountID) ([]jmap.Sender, error) {
	a, err := p.n.directory.Account(ctx, id)
	if err != nil {
		return nil, err
	}
	out := make([]jmap.Sender, len(a.Addresses))
	for i, address := range a.Addresses {
		out[i] = jmap.Sender{Address: address, Name: a.Name.In(a.Lang)}
	}
	return out, nil
}

type submitter struct{ n *Node }

func (s submitter) sender(ctx context.Context, id mohar.AccountID, lang string) (submit.Sender, error) {
	a, err := s.n.directory.Account(ctx, id)
	if err != nil {
		return submit.Sender{}, err
	}
	addresses, err := s.n.directory.SendAs(ctx, a)
	if err != nil {
		return submit.Sender{}, err
	}
	return submit.Sender{Account: a.ID, Addresses: addresses, Category: a.Category, Clearance: a.Clearance, Lang: lang}, nil
}

func (s submitter) Submit(ctx context.Context, in jmap.Submission) (string, error) {
	who, err := s.sender(ctx, in.Account, in.Lang)
	if err != nil {
		return "", err
	}
	id, err := s.n.submit.Send(ctx, &submit.Submission{Sender: who, Door: mohar.DoorJMAP, Protocol: "JMAP",
		Envelope: in.Envelope, Content: in.Content, StripBcc: true})
	s.n.meters.message(mohar.DoorJMAP, err)
	return id.String(), err
}

func (s submitter) Explain(ctx context.Context, q jmap.Question) (jmap.Explanation, error) {
	who, err := s.sender(ctx, q.Account, "")
	if err != nil {
		return jmap.Explanation{}, err
	}
	d, targets, err := s.n.submit.Explain(ctx, &who, q.To, q.Label, q.Answers)
	if err != nil {
		return jmap.Explanation{}, err
	}
	out := jmap.Explanation{Decision: d}
	for i, t := range targets {
		st := jmap.Standing{Address: q.To[i], Class: t.Class}
		if t.Account != "" {
			if a, err := s.n.directory.Account(ctx, t.Account); err == nil {
				st.Name = a.Name.In(who.Lang)
			}
		}
		out.Recipients = append(out.Recipients, st)
	}
	return out, nil
}
