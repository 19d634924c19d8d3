package signin

import (
	"context"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/audit"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/directory"
	"github.com/mohar-mail/mohar/directory/credential"
	"github.com/mohar-mail/mohar/store/kv"
)

// ChangePassword sets a new password for somebody who knows the old one; least is
// the length asked for, in characters (0: credential.DefaultMin). It ends every
// session of the account. Errors are those of Authenticate, and fault.Invalid
// with what is wrong with the new password.
func (s *Signin) ChangePassword(ctx context.Context, a Attempt, next string, least int) error {
	p, err := s.Authenticate(ctx, a)
	if err != nil {
		return err
	}
	if next == a.Password {
		return fault.New(fault.Invalid, "signin.ChangePassword", "The new password is the old one.")
	}
	return s.SetPassword(ctx, p.Account, p.Account, next, least, a.Door)
}

// SetPassword sets a new password for an account, by an actor whom the caller
// has found entitled to. See ChangePassword for the rest.
func (s *Signin) SetPassword(ctx context.Context, actor, account mohar.AccountID, next string, least int, door mohar.Door) error {
	if least <= 0 {
		least = credential.DefaultMin
	}
	a, err := s.cfg.Directory.Account(ctx, account)
	if err != nil {
		return err
	}
	if err := credential.Acceptable(next, least, a.Addresses...); err != nil {
		return err
	}
	hash, err := s.cfg.Passwords.Hash(ctx, next)
	if err != nil {
		return err
	}
	err = s.cfg.Directory.Update(ctx, func(tx *kv.Tx) error {
		if err := s.cfg.Directory.SetPassword(tx, account, hash); err != nil {
			return err
		}
		return audit.Stage(tx, audit.Record{Time: s.cfg.Clock.Now(), Kind: "password.set", Actor: actor, Door: door, Object: a.Address()})
	})
	if err != nil {
		return err
	}
	s.cfg.Staged(directory.Shard)
	s.cfg.Passwords.Forget(string(account))
	// The new hash has ended the sessions already; this removes their rows.
	return s.EndAll(ctx, account)
}
