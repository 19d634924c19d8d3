package directory

import (
	"context"
	"strings"
	"sync"

	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/store/kv"
	"github.com/mohar-mail/mohar/wire/addr"
)

// Resolution is where an address leads.
type Resolution struct {
	Domain  *Domain  // nil: the domain is not ours
	Account *Account // nil: nobody has the address
	Detail  string   // the "tag" of user+tag (RFC 5233)
}

// separator begins the detail of an address (RFC 5233).
const separator = '+'

// Resolve looks an address up: as it stands, in the domain that its own is an
// alias of, without its detail, and in the spellings that a Hindi writer takes
// for the same. The error is fault.Invalid for what is no address; an address
// of nobody is no error.
//
// It is what every RCPT asks, so answers are remembered. A memory is used only
// while the version of the shard is the one it was read at: a change on any node
// is seen by the next question.
func (d *Directory) Resolve(ctx context.Context, address string) (Resolution, error) {
	m, err := addr.ParseMailbox(address)
	if err != nil {
		return Resolution{}, err
	}
	var out Resolution
	key := m.Wire()
	err = d.store.View(ctx, Shard, func(r kv.Reader) error {
		if hit, ok := d.cache.get(r.Version(), key); ok {
			out = hit
			return nil
		}
		out, err = d.ResolveIn(r, m)
		if err == nil {
			d.cache.put(r.Version(), key, out)
		}
		return err
	})
	return out, err
}

// ResolveIn is Resolve inside a transaction or view, without the memory.
func (d *Directory) ResolveIn(r kv.Reader, m addr.Mailbox) (Resolution, error) {
	dom, err := d.domains.Get(r, []byte(m.Domain.ASCII))
	if fault.Is(err, fault.NotFound) {
		return Resolution{}, nil
	}
	if err != nil {
		return Resolution{}, err
	}
	res := Resolution{Domain: dom}
	if dom.AliasOf != "" {
		if m.Domain, err = addr.ParseDomain(dom.AliasOf); err != nil {
			return res, err
		}
		main, err := d.domains.Get(r, []byte(dom.AliasOf))
		if err != nil {
			return res, err
		}
		// Rules and postmaster are the main domain's; both must be live.
		lent := *main
		if main.State == Live {
			lent.State = dom.State
		}
		res.Domain = &lent
	}
	if res.Account, err = d.find(r, m); err != nil || res.Account != nil {
		return res, err
	}
	user, detail, ok := addr.SplitDetail(m.Local, separator)
	if ok && user != "" {
		m.Local = user
		if res.Account, err = d.find(r, m); err != nil || res.Account != nil {
			res.Detail = detail
			return res, err
		}
	}
	if id := res.Domain.Postmaster; id != "" && (strings.EqualFold(m.Local, "postmaster") || strings.EqualFold(m.Local, "abuse")) {
		res.Account, err = d.AccountIn(r, id)
		if fault.Is(err, fault.NotFound) {
			err = nil
		}
	}
	return res, err
}

// find looks for one spelling, then for its loose form.
func (d *Directory) find(r kv.Reader, m addr.Mailbox) (*Account, error) {
	for _, q := range []struct{ index, key string }{{addressPrefix, m.Key()}, {loosePrefix, m.LooseKey()}} {
		as, err := d.accounts.Lookup(r, q.index, []byte(q.key), 1)
		if err != nil {
			return nil, err
		}
		if len(as) > 0 {
			return as[0], nil
		}
	}
	return nil, nil
}

// ByAddress gives the account that an address leads to and its domain;
// fault.NotFound.
func (d *Directory) ByAddress(ctx context.Context, address string) (*Account, *Domain, error) {
	res, err := d.Resolve(ctx, address)
	if err != nil {
		return nil, nil, err
	}
	if res.Account == nil {
		return nil, res.Domain, notFound("directory.ByAddress")
	}
	return res.Account, res.Domain, nil
}

// SendAs gives every address that an account may send as: its own, and the same
// local parts in the aliases of their domains. The primary one is first.
func (d *Directory) SendAs(ctx context.Context, a *Account) ([]string, error) {
	domains, err := d.Domains(ctx)
	if err != nil {
		return nil, err
	}
	out := append([]string(nil), a.Addresses...)
	for _, s := range a.Addresses {
		m, err := addr.ParseMailbox(s)
		if err != nil {
			continue
		}
		for _, x := range domains {
			if x.AliasOf == m.Domain.ASCII {
				out = append(out, addr.Mailbox{Local: m.Local, Domain: addr.Domain{ASCII: x.Name, Unicode: x.Unicode}}.String())
			}
		}
	}
	return out, nil
}

// cache remembers resolutions of one version of the shard, found and not found
// alike, for a stranger may ask for addresses that nobody has all day.
type cache struct {
	max int

	mu      sync.RWMutex
	version uint64
	known   map[string]Resolution
}

func newCache(n int) *cache { return &cache{max: n, known: map[string]Resolution{}} }

func (c *cache) get(version uint64, key string) (Resolution, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if version != c.version {
		return Resolution{}, false
	}
	r, ok := c.known[key]
	return r, ok
}

func (c *cache) put(version uint64, key string, r Resolution) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if version < c.version {
		return // a slow reader of the past
	}
	if version > c.version {
		c.version = version
		clear(c.known)
	}
	for k := range c.known {
		if len(c.known) < c.max {
			break
		}
		delete(c.known, k)
	}
	c.known[key] = r
}
