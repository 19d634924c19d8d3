package submit

import (
	"context"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/directory"
	"github.com/mohar-mail/mohar/policy"
	"github.com/mohar-mail/mohar/wire/addr"
	"github.com/mohar-mail/mohar/wire/dns"
)

// Directory is what a Targets asks of the directory.
type Directory interface {
	Resolve(ctx context.Context, address string) (directory.Resolution, error)
}

// Resolver is what a Targets asks of the DNS.
type Resolver interface {
	LookupMX(ctx context.Context, domain string) (dns.Answer[dns.MX], error)
}

// Targets finds where addresses lead.
type Targets struct {
	Directory  Directory
	Resolver   Resolver
	Classifier *policy.Classifier
}

// Find gives the target of an address. A domain whose exchangers DNS could not
// name just now has class unknown, and policy decides what that means.
func (t *Targets) Find(ctx context.Context, address string) (Target, error) {
	m, err := addr.ParseMailbox(address)
	if err != nil {
		return Target{}, fault.Wrap(err, fault.Invalid, "submit.Target", "The address <"+address+"> is not valid.")
	}
	res, err := t.Directory.Resolve(ctx, address)
	if err != nil {
		return Target{}, err
	}
	if res.Domain != nil {
		switch {
		case res.Domain.State != directory.Live:
			return Target{}, fault.New(fault.Denied, "submit.Target", "The domain of <"+address+"> may not receive mail: it has no go-ahead.")
		case res.Account == nil:
			return Target{}, fault.New(fault.NotFound, "submit.Target", "There is no such address: <"+address+">.")
		case res.Account.Disabled:
			// GOV LIF-05: mail to a closed account is told so and goes nowhere else.
			return Target{}, fault.New(fault.NotFound, "submit.Target", "The account of <"+address+"> is closed.")
		}
		return Target{Account: res.Account.ID, Domain: m.Domain.ASCII, Class: mohar.ClassOwn}, nil
	}
	return Target{Domain: m.Domain.ASCII, Class: t.class(ctx, m.Domain.ASCII)}, nil
}

// class asks the lists first: most foreign mail goes to the few large providers,
// whose names need no look-up.
func (t *Targets) class(ctx context.Context, domain string) mohar.DomainClass {
	if c := t.Classifier.Class(domain, nil); c != mohar.ClassUnknown {
		return c
	}
	answer, err := t.Resolver.LookupMX(ctx, domain)
	if err != nil && dns.IsTemporary(err) {
		return mohar.ClassUnknown
	}
	hosts := []string{}
	for _, mx := range answer.Records {
		hosts = append(hosts, mx.Host)
	}
	return t.Classifier.Class(domain, hosts)
}
