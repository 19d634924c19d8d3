package sample

import (
	"context"
	"fmt"
	"slices"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/directory"
	"github.com/mohar-mail/mohar/flow/change"
	"github.com/mohar-mail/mohar/wire/addr"
)

// Keys of people on whom domains rest.
const (
	approverKey = "approver"
	helpdeskKey = "helpdesk"
	nodalKey    = "nodal"
)

// perAdd is how many accounts one transaction adds. Each insertion looks through
// what its transaction has pending, so that the work of a transaction grows with
// the square of its size, while a commit costs about as much as one flush.
const perAdd = 64

func by(actor mohar.AccountID) change.By { return change.By{Actor: actor, Reason: "sample government"} }

// government adds the domains, then the people. A domain may name people that
// do not exist yet, since their ids are known beforehand.
func (s *seeder) government(ctx context.Context) error {
	approver, helpdesk, nodal := s.cast.byKey[approverKey].id(), s.cast.byKey[helpdeskKey].id(), s.cast.byKey[nodalKey].id()
	for _, d := range []directory.Domain{
		{Name: federalDomain, Rulebook: "base", Postmaster: approver, ApprovedBy: approver},
		{Name: stateDomain, Rulebook: "state", Postmaster: helpdesk, RequestBy: nodal, ApprovedBy: approver},
		{Name: stateTwin, Rulebook: "state", AliasOf: stateDomain, Postmaster: helpdesk, RequestBy: nodal, ApprovedBy: approver},
		{Name: externalDomain, Rulebook: "state", Postmaster: helpdesk, RequestBy: nodal, ApprovedBy: approver},
		{Name: LoadDomain, Rulebook: "base"},
	} {
		if err := s.domain(ctx, d); err != nil {
			return err
		}
	}
	return s.people(ctx)
}

func (s *seeder) domain(ctx context.Context, d directory.Domain) error {
	_, err := s.Directory.Domain(ctx, d.Name)
	if !fault.Is(err, fault.NotFound) {
		return err
	}
	n, err := addr.ParseDomain(d.Name)
	if err != nil {
		return err
	}
	d.Name, d.State = n.ASCII, directory.Live
	s.fresh = true
	return s.Change.AddDomain(ctx, by(d.ApprovedBy), d)
}

// people adds whoever is missing, all with one hash: the password is shared and
// public, so a salt for each would protect nothing and cost a second of start.
func (s *seeder) people(ctx context.Context) error {
	var missing []directory.Account
	for _, p := range s.cast.list {
		_, err := s.find(ctx, p)
		if err == nil {
			s.step(1)
			continue
		}
		if !fault.Is(err, fault.NotFound) {
			return err
		}
		a, err := p.account(s.cast, s.Clock.Now())
		if err != nil {
			return err
		}
		missing = append(missing, a)
	}
	return s.add(ctx, missing, Password, by(s.cast.byKey[approverKey].id()))
}

// find gives a person's account: by our id, as its addresses may have been
// changed since, or by the address, as somebody else may have made it.
// fault.NotFound.
func (s *seeder) find(ctx context.Context, p *person) (*directory.Account, error) {
	a, err := s.Directory.Account(ctx, p.id())
	if fault.Is(err, fault.NotFound) {
		a, _, err = s.Directory.ByAddress(ctx, p.address())
	}
	return a, err
}

// users adds the missing ones of u1 to uN. The whole list is read once, because
// that many look-ups would each be a transaction.
func (s *seeder) users(ctx context.Context) error {
	have := map[string]bool{}
	for after := mohar.AccountID(""); ; {
		list, err := s.Directory.List(ctx, directory.Page{Domain: LoadDomain, After: after})
		if err != nil {
			return err
		}
		for _, a := range list {
			for _, x := range a.Addresses {
				have[x] = true
			}
			after = a.ID
		}
		if len(list) < directory.MaxPage {
			break
		}
	}
	var missing []directory.Account
	for i := 1; i <= s.cfg.Users; i++ {
		address := fmt.Sprintf("u%d@%s", i, LoadDomain)
		if have[address] {
			continue
		}
		missing = append(missing, directory.Account{Category: mohar.Employee, Lang: "en", Addresses: []string{address},
			Name: mohar.Text{En: fmt.Sprintf("User %d", i), Hi: fmt.Sprintf("उपयोक्ता %d", i)}})
	}
	s.step(s.cfg.Users - len(missing))
	return s.add(ctx, missing, LoadPassword, by(""))
}

// add hashes the password once and adds the accounts with it.
func (s *seeder) add(ctx context.Context, list []directory.Account, password string, who change.By) error {
	if len(list) == 0 {
		return nil
	}
	s.fresh = true
	hash, err := s.Hasher.Hash(ctx, password)
	if err != nil {
		return err
	}
	for i := range list {
		list[i].Hash = hash
	}
	for part := range slices.Chunk(list, perAdd) {
		if err := s.Change.AddAccounts(ctx, who, part, s.step); err != nil {
			return err
		}
	}
	return nil
}
