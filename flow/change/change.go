// Package change is the flow of administrative acts: each is made and recorded
// in one transaction.
//
// Owns:      nothing; it writes directory, queue and audit.
// Trusts:    the door for who acts.
// May touch: directory, credential, queue, audit, mailbox (quota).
// Standards: none.
package change

import (
	"context"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/audit"
	"github.com/mohar-mail/mohar/base/clock"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/directory"
	"github.com/mohar-mail/mohar/directory/credential"
	"github.com/mohar-mail/mohar/queue"
	"github.com/mohar-mail/mohar/store/kv"
	"github.com/mohar-mail/mohar/wire/addr"
)

// By is who acts, and why.
type By struct {
	Actor  mohar.AccountID // "" for the operator at the machine itself
	Reason string
}

// Config is what a Change needs.
type Config struct {
	Directory *directory.Directory
	Hasher    *credential.Hasher
	Queue     *queue.Queue
	Clock     clock.Clock
	// Staged tells that audit records wait in a shard.
	Staged func(kv.Shard)
	// Ended ends what an account that may no longer sign in still has open; nil for
	// nothing.
	Ended func(context.Context, mohar.AccountID) error
	// Keys makes the signing keys of a domain, before it goes live.
	Keys func(domain string) error
}

// Change is the flow.
type Change struct{ cfg Config }

// New makes a Change.
func New(cfg Config) *Change { return &Change{cfg: cfg} }

func (c *Change) stage(tx *kv.Tx, by By, kind, object string, detail map[string]string) error {
	if by.Reason != "" {
		if detail == nil {
			detail = map[string]string{}
		}
		detail["reason"] = by.Reason
	}
	return audit.Stage(tx, audit.Record{Time: c.cfg.Clock.Now(), Kind: kind, Actor: by.Actor, Door: mohar.DoorAdmin, Object: object, Detail: detail})
}

func (c *Change) directory(ctx context.Context, by By, kind, object string, detail map[string]string, fn func(*kv.Tx) error) error {
	err := c.cfg.Directory.Update(ctx, func(tx *kv.Tx) error {
		if err := fn(tx); err != nil {
			return err
		}
		return c.stage(tx, by, kind, object, detail)
	})
	if err == nil && c.cfg.Staged != nil {
		c.cfg.Staged(directory.Shard)
	}
	return err
}

// AddDomain adds a domain and makes its signing keys.
func (c *Change) AddDomain(ctx context.Context, by By, d directory.Domain) error {
	name, err := addr.ParseDomain(d.Name)
	if err != nil {
		return err
	}
	if name.IsLiteral() {
		return fault.New(fault.Invalid, "change.AddDomain", "An address in brackets is no domain.")
	}
	// Checked before any key is made, since a key's file bears the name; and in the
	// form by which the keys are asked for.
	d.Name = name.ASCII
	if d.State == 0 {
		d.State = directory.Requested
	}
	if c.cfg.Keys != nil {
		if err := c.cfg.Keys(d.Name); err != nil {
			return err
		}
	}
	return c.directory(ctx, by, "domain.add", d.Name, map[string]string{"state": d.State.String()}, func(tx *kv.Tx) error {
		d.Changed = c.cfg.Clock.Now()
		return c.cfg.Directory.AddDomain(tx, &d)
	})
}

// AddAccount adds an account. password is hashed; an empty one leaves the
// account without a way to sign in.
func (c *Change) AddAccount(ctx context.Context, by By, a directory.Account, password string) (mohar.AccountID, error) {
	if password != "" {
		if err := credential.Acceptable(password, credential.DefaultMin, a.Addresses...); err != nil {
			return "", err
		}
		hash, err := c.cfg.Hasher.Hash(ctx, password)
		if err != nil {
			return "", err
		}
		a.Hash = hash
	}
	return c.addHashed(ctx, by, a)
}

func (c *Change) addHashed(ctx context.Context, by By, a directory.Account) (mohar.AccountID, error) {
	id, err := directory.NewID(nil)
	if err != nil {
		return "", err
	}
	a.ID, a.Created = id, c.cfg.Clock.Now()
	err = c.directory(ctx, by, "account.add", a.Address(), map[string]string{"category": a.Category.String()}, func(tx *kv.Tx) error {
		return c.cfg.Directory.AddAccount(tx, &a)
	})
	return id, err
}

// AddAccounts adds many accounts whose passwords are hashed already, some
// hundreds a transaction. done counts them for a display of progress.
func (c *Change) AddAccounts(ctx context.Context, by By, list []directory.Account, done func(int)) error {
	const batch = 500
	now := c.cfg.Clock.Now()
	for len(list) > 0 {
		n := min(batch, len(list))
		part := list[:n]
		list = list[n:]
		err := c.directory(ctx, by, "account.add", part[0].Address(), map[string]string{"to": part[n-1].Address()}, func(tx *kv.Tx) error {
			for i := range part {
				if part[i].ID == "" {
					id, err := directory.NewID(nil)
					if err != nil {
						return err
					}
					part[i].ID = id
				}
				part[i].Created = now
				if err := c.cfg.Directory.AddAccount(tx, &part[i]); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		if done != nil {
			done(n)
		}
	}
	return nil
}

// SetDisabled disables an account, or enables it again.
func (c *Change) SetDisabled(ctx context.Context, by By, address string, disabled bool) error {
	a, err := c.byAddress(ctx, address)
	if err != nil {
		return err
	}
	kind := "account.enable"
	if disabled {
		kind = "account.disable"
	}
	// After the change, or a sign-in in between would be remembered again.
	defer c.cfg.Hasher.Forget(string(a.ID))
	err = c.directory(ctx, by, kind, a.Address(), nil, func(tx *kv.Tx) error {
		return c.cfg.Directory.SetDisabled(tx, a.ID, disabled)
	})
	if err == nil && disabled && c.cfg.Ended != nil {
		return c.cfg.Ended(ctx, a.ID)
	}
	return err
}

// SetPassword gives an account a new password.
func (c *Change) SetPassword(ctx context.Context, by By, address, password string) error {
	a, err := c.byAddress(ctx, address)
	if err != nil {
		return err
	}
	if err := credential.Acceptable(password, credential.DefaultMin, a.Addresses...); err != nil {
		return err
	}
	hash, err := c.cfg.Hasher.Hash(ctx, password)
	if err != nil {
		return err
	}
	defer c.cfg.Hasher.Forget(string(a.ID))
	return c.directory(ctx, by, "account.password", a.Address(), nil, func(tx *kv.Tx) error {
		return c.cfg.Directory.SetPassword(tx, a.ID, hash)
	})
}

func (c *Change) byAddress(ctx context.Context, address string) (*directory.Account, error) {
	a, _, err := c.cfg.Directory.ByAddress(ctx, address)
	return a, err
}

// QueueAct is an operator's act on a message in the queue.
type QueueAct string

// The acts.
const (
	Hold    QueueAct = "hold"
	Release QueueAct = "release"
	Retry   QueueAct = "retry"
	Drop    QueueAct = "drop"
)

// Queue does an act on a message in the queue.
func (c *Change) Queue(ctx context.Context, by By, act QueueAct, id queue.ItemID) error {
	record := func(tx *kv.Tx) error { return c.stage(tx, by, "queue."+string(act), id.String(), nil) }
	var err error
	switch act {
	case Hold:
		err = c.cfg.Queue.Hold(ctx, id, by.Reason, record)
	case Release:
		err = c.cfg.Queue.Release(ctx, id, record)
	case Retry:
		err = c.cfg.Queue.Retry(ctx, id, record)
	case Drop:
		err = c.cfg.Queue.Drop(ctx, id, record)
	default:
		err = fault.New(fault.Invalid, "change.Queue", "There is no such act.")
	}
	if err == nil && c.cfg.Staged != nil {
		c.cfg.Staged(queue.LaneOf(id))
	}
	return err
}
