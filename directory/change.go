package directory

import (
	"fmt"
	"slices"
	"time"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/store/kv"
	"github.com/mohar-mail/mohar/wire/addr"
)

// steps are the moves that a domain's state may make.
func steps(from State) []State {
	switch from {
	case Requested:
		return []State{Verified}
	case Verified:
		return []State{Live}
	case Live:
		return []State{Suspended}
	case Suspended:
		return []State{Live}
	}
	return nil
}

// AddDomain adds a domain; Name may be given in either form. A zero State is
// Requested. fault.Exists, fault.Invalid.
func (d *Directory) AddDomain(tx *kv.Tx, x *Domain) error {
	n, err := addr.ParseDomain(x.Name)
	if err != nil {
		return err
	}
	if n.IsLiteral() {
		return fault.New(fault.Invalid, "directory.AddDomain", "An address in brackets is no domain.")
	}
	row := *x
	row.Name, row.Unicode = n.ASCII, n.Unicode
	if row.State == 0 {
		row.State = Requested
	}
	if row.State > Suspended {
		return fault.New(fault.Invalid, "directory.AddDomain", "The domain has an unknown state.")
	}
	if row.AliasOf != "" {
		main, err := d.DomainIn(tx, row.AliasOf)
		if err != nil {
			return err
		}
		if main.AliasOf != "" || main.Name == row.Name {
			return fault.New(fault.Invalid, "directory.AddDomain", "An alias must stand for a domain that is not an alias itself.")
		}
		row.AliasOf = main.Name
	}
	return d.domains.Insert(tx, &row)
}

// SetDomainState moves a domain on: requested, verified, live, suspended, live.
// by is who approved it. fault.Conflict for any other move.
func (d *Directory) SetDomainState(tx *kv.Tx, name string, to State, by mohar.AccountID, at time.Time) error {
	x, err := d.DomainIn(tx, name)
	if err != nil {
		return err
	}
	if !slices.Contains(steps(x.State), to) {
		return fault.New(fault.Conflict, "directory.SetDomainState", fmt.Sprintf("A domain that is %s cannot become %s.", x.State, to))
	}
	x.State, x.Changed = to, at
	if to == Live {
		x.ApprovedBy = by
	}
	return d.domains.Put(tx, x)
}

// ChangeDomain lets fn change a domain; name and state stay.
func (d *Directory) ChangeDomain(tx *kv.Tx, name string, fn func(*Domain) error) error {
	x, err := d.DomainIn(tx, name)
	if err != nil {
		return err
	}
	row := *x
	if err := fn(&row); err != nil {
		return err
	}
	row.Name, row.Unicode, row.State = x.Name, x.Unicode, x.State
	return d.domains.Put(tx, &row)
}

// AddAccount adds an account whose ID is from NewID. fault.Exists where an
// address is taken, or reads like one that is; fault.Invalid where the account
// breaks a rule of its category.
func (d *Directory) AddAccount(tx *kv.Tx, a *Account) error {
	row := *a
	row.Addresses = slices.Clone(a.Addresses)
	if err := d.check(tx, &row); err != nil {
		return err
	}
	return d.accounts.Insert(tx, &row)
}

// ChangeAccount lets fn change an account; its id stays.
func (d *Directory) ChangeAccount(tx *kv.Tx, id mohar.AccountID, fn func(*Account) error) error {
	a, err := d.AccountIn(tx, id)
	if err != nil {
		return err
	}
	if err := fn(a); err != nil {
		return err
	}
	a.ID = id
	if err := d.check(tx, a); err != nil {
		return err
	}
	return d.accounts.Put(tx, a)
}

// SetDisabled disables an account or enables it again.
func (d *Directory) SetDisabled(tx *kv.Tx, id mohar.AccountID, disabled bool) error {
	return d.ChangeAccount(tx, id, func(a *Account) error { a.Disabled = disabled; return nil })
}

// SetPassword stores the hash of a new password, from credential.Hasher; "" takes
// the password away.
func (d *Directory) SetPassword(tx *kv.Tx, id mohar.AccountID, hash string) error {
	return d.ChangeAccount(tx, id, func(a *Account) error { a.Hash = hash; return nil })
}

// check makes sure that an account keeps the rules, and brings its addresses
// into display form.
func (d *Directory) check(r kv.Reader, a *Account) error {
	bad := func(what string) error { return fault.New(fault.Invalid, "directory.Account", what) }
	switch {
	case a.ID == "":
		return bad("The account has no id.")
	case a.Category == mohar.NoCategory || a.Category > mohar.Application:
		return bad("The account needs a category.")
	case max(len(a.Name.En), len(a.Name.Hi), len(a.Post.En), len(a.Post.Hi)) > MaxName:
		return bad("The name or post is too long.")
	case len(a.Addresses) == 0 || len(a.Addresses) > MaxAddresses:
		return bad(fmt.Sprintf("An account has 1 to %d addresses.", MaxAddresses))
	case a.Quota < 0:
		return bad("The quota is negative.")
	case a.Clearance > mohar.TopSecret:
		return bad("The clearance is unknown.")
	case a.Until.IsZero() && temporary(a.Category):
		return bad(fmt.Sprintf("An account of category %s needs an end date.", a.Category))
	case a.Sponsor == "" && outside(a.Category):
		return bad(fmt.Sprintf("An account of category %s needs a sponsor.", a.Category))
	}
	if a.Sponsor != "" {
		if _, err := d.AccountIn(r, a.Sponsor); err != nil {
			return fault.Wrap(err, fault.Invalid, "directory.Account", "The sponsor has no account.")
		}
	}
	return d.checkAddresses(r, a)
}

func (d *Directory) checkAddresses(r kv.Reader, a *Account) error {
	twin := false
	for i, s := range a.Addresses {
		m, err := addr.ParseMailbox(s)
		if err != nil {
			return err
		}
		dom, err := d.domains.Get(r, []byte(m.Domain.ASCII))
		if fault.Is(err, fault.NotFound) {
			return fault.New(fault.Invalid, "directory.Account", "The domain of <"+s+"> is not one of ours.")
		}
		if err != nil {
			return err
		}
		if dom.AliasOf != "" {
			return fault.New(fault.Invalid, "directory.Account", "The domain of <"+s+"> is an alias; give the address in "+dom.AliasOf+".")
		}
		twin = twin || !m.NeedsUTF8()
		a.Addresses[i] = m.String()
	}
	if !twin {
		return fault.New(fault.Invalid, "directory.Account", "A Hindi address needs a twin in ASCII letters, for mail systems that cannot take it.")
	}
	return nil
}

// temporary categories end; outside ones also need somebody to answer for them.
func temporary(c mohar.Category) bool { return c == mohar.Contractual || outside(c) }

func outside(c mohar.Category) bool {
	return c == mohar.Consultant || c == mohar.Partner || c == mohar.ThirdParty
}
