package directory

import (
	"bytes"
	"context"
	"fmt"

	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/directory/credential"
	"github.com/mohar-mail/mohar/store/kv"
	"github.com/mohar-mail/mohar/wire/addr"
)

// checkPage is how many accounts are looked at in one view.
const checkPage = 500

// Check verifies every invariant of the directory: that each account keeps the
// rules, is found by each of its addresses, and that no index leads to an
// address that is gone. It gives what is wrong, in words; the error is for what
// could not be read.
func (d *Directory) Check(ctx context.Context) ([]string, error) {
	var wrong []string
	say := func(format string, a ...any) { wrong = append(wrong, fmt.Sprintf(format, a...)) }
	domains, err := d.Domains(ctx)
	if err != nil {
		return nil, err
	}
	for _, x := range domains {
		if n, err := addr.ParseDomain(x.Name); err != nil || n.ASCII != x.Name || n.Unicode != x.Unicode {
			say("The domain %q is not in its own form.", x.Name)
		}
		if x.State < Requested || x.State > Suspended {
			say("The domain %s has an unknown state.", x.Name)
		}
	}
	for p := (Page{Limit: checkPage}); ; {
		as, err := d.List(ctx, p)
		if err != nil {
			return wrong, err
		}
		if len(as) == 0 {
			break
		}
		if err := d.checkPage(ctx, as, say); err != nil {
			return wrong, err
		}
		p.After = as[len(as)-1].ID
	}
	return wrong, d.checkIndexes(ctx, say)
}

// checkPage looks accounts over inside one view; one that was changed since it
// was listed is read again there.
func (d *Directory) checkPage(ctx context.Context, as []*Account, say func(string, ...any)) error {
	return d.store.View(ctx, Shard, func(r kv.Reader) error {
		for _, old := range as {
			a, err := d.AccountIn(r, old.ID)
			if fault.Is(err, fault.NotFound) {
				continue
			}
			if err != nil {
				return err
			}
			if err := d.check(r, a); err != nil {
				if k := fault.KindOf(err); k != fault.Invalid && k != fault.NotFound {
					return err
				}
				say("Account %s: %s", a.ID, fault.Public(err))
			}
			if a.Hash != "" && credential.Check(a.Hash) != nil {
				say("Account %s: the stored password cannot be read.", a.ID)
			}
			for _, s := range a.Addresses {
				m, err := addr.ParseMailbox(s)
				if err != nil {
					continue // said above
				}
				if got, err := d.find(r, m); err != nil || got == nil || got.ID != a.ID {
					say("Account %s is not found by its address %s.", a.ID, s)
				}
			}
		}
		return nil
	})
}

// checkIndexes makes sure that every index row belongs to an account that has
// the address. A row is prefix, length of the key, key, account id.
func (d *Directory) checkIndexes(ctx context.Context, say func(string, ...any)) error {
	for _, ix := range []struct {
		prefix string
		key    func(addr.Mailbox) string
	}{{addressPrefix, addr.Mailbox.Key}, {loosePrefix, addr.Mailbox.LooseKey}} {
		from := []byte(ix.prefix)
		for from != nil {
			err := d.store.View(ctx, Shard, func(r kv.Reader) (err error) {
				from, err = d.checkIndexPage(r, ix.prefix, from, ix.key, say)
				return err
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// checkIndexPage looks at some rows from key from on, and gives where to go on;
// nil at the end.
func (d *Directory) checkIndexPage(r kv.Reader, prefix string, from []byte, key func(addr.Mailbox) string, say func(string, ...any)) (next []byte, err error) {
	var rows, ids [][]byte
	err = r.Scan(kv.Range{From: from, To: kv.PrefixEnd([]byte(prefix)), Limit: checkPage}, func(k, v []byte) bool {
		rows, ids = append(rows, bytes.Clone(k)), append(ids, bytes.Clone(v))
		return true
	})
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	as, err := d.accounts.GetMany(r, ids)
	if err != nil {
		return nil, err
	}
	const length = 2 // bytes that hold the length of the key
	for i, row := range rows {
		found := false
		if as[i] != nil && len(row) >= len(prefix)+length {
			for _, k := range keysOf(as[i], key) {
				found = found || bytes.HasPrefix(row[len(prefix)+length:], k)
			}
		}
		if !found {
			say("An address of account %s is in an index, but not in the account.", ids[i])
		}
	}
	return append(rows[len(rows)-1], 0), nil
}
