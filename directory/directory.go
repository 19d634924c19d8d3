// Package directory knows the domains of the installation and who has an
// address in them.
//
// Owns:      in shard "d" the keys "m/" (domains), "a/" (accounts), "A/" (their
// addresses) and "L/" (the same, spelt loosely).
// Trusts:    flow/* for who may change what; nobody for the form of an address.
// May touch: store/table inside the caller's transaction, base/clock. No files,
// no network.
// Standards: RFC 5321 section 2.4 and RFC 6530 (local parts), RFC 5233 (detail),
// RFC 2142 and RFC 5321 section 4.5.1 (postmaster, abuse), RFC 9670 (principal).
// States:    of a domain: requested - verified - live - suspended (and live again).
package directory

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"fmt"
	"io"
	"strings"
	"time"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/store/kv"
	"github.com/mohar-mail/mohar/store/table"
	"github.com/mohar-mail/mohar/wire/addr"
)

// Shard is where the directory lies.
const Shard = kv.Shard("d")

// Limits.
const (
	MaxAddresses = 64   // of one account
	MaxName      = 256  // bytes of a name or post in one language
	MaxPage      = 1000 // rows of one listing
	DefaultCache = 1 << 16
)

// Key prefixes.
const (
	domainPrefix  = "m/"
	accountPrefix = "a/"
	addressPrefix = "A/"
	loosePrefix   = "L/"
)

// State is how far a domain's go-ahead is.
type State uint8

// The states.
const (
	Requested State = iota + 1 // somebody has asked for it
	Verified                   // its DNS shows that they hold it
	Live                       // approved: mail is taken and sent
	Suspended                  // no mail in or out, no sign-in; nothing is lost
)

var stateNames = [...]string{"", "requested", "verified", "live", "suspended"}

// String gives the state as the command line spells it.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("state-%d", uint8(s))
}

// Domain is one domain of the installation.
type Domain struct {
	Name    string `cbor:"1,keyasint"` // A-label, lower case: the key
	Unicode string `cbor:"2,keyasint"` // U-label
	State   State  `cbor:"3,keyasint"`
	// AliasOf: every address here is the one with the same local part there, as
	// with the Hindi twin of a domain. A-label; "" for none.
	AliasOf string `cbor:"4,keyasint,omitempty"`
	// Rulebook is the name of its rules ("state", "base").
	Rulebook string `cbor:"5,keyasint,omitempty"`
	// Postmaster gets mail for postmaster and abuse where no account has them.
	Postmaster mohar.AccountID `cbor:"6,keyasint,omitempty"`
	// Token is what its holder publishes in DNS to prove it.
	Token      string          `cbor:"7,keyasint,omitempty"`
	RequestBy  mohar.AccountID `cbor:"8,keyasint,omitempty"`
	ApprovedBy mohar.AccountID `cbor:"9,keyasint,omitempty"`
	Changed    time.Time       `cbor:"10,keyasint"`
}

// Account is a person, an office or a program with an address. Values handed out
// by look-ups are shared: do not change them.
type Account struct {
	ID       mohar.AccountID `cbor:"1,keyasint"`
	Category mohar.Category  `cbor:"2,keyasint"`
	Name     mohar.Text      `cbor:"3,keyasint"`
	Post     mohar.Text      `cbor:"4,keyasint"`
	// Addresses are in display form; the first is the primary one. At least one
	// has an ASCII local part, for peers without SMTPUTF8.
	Addresses []string `cbor:"5,keyasint"`
	Lang      string   `cbor:"6,keyasint"` // BCP 47
	// Sponsor answers for an account from outside the government.
	Sponsor  mohar.AccountID `cbor:"7,keyasint,omitempty"`
	Until    time.Time       `cbor:"8,keyasint"` // zero: no end
	Disabled bool            `cbor:"9,keyasint,omitempty"`
	// Doors it may sign in by; empty: all.
	Doors     []mohar.Door `cbor:"10,keyasint,omitempty"`
	Quota     int64        `cbor:"11,keyasint,omitempty"` // bytes; 0: the default
	Hash      string       `cbor:"12,keyasint,omitempty"` // of the password, see directory/credential; "" cannot sign in
	Clearance mohar.Label  `cbor:"13,keyasint,omitempty"` // NoLabel: what the rulebook says for the category
	Roles     []string     `cbor:"14,keyasint,omitempty"`
	Created   time.Time    `cbor:"15,keyasint"`
}

// Address gives the primary address; "" where there is none.
func (a *Account) Address() string {
	if len(a.Addresses) == 0 {
		return ""
	}
	return a.Addresses[0]
}

// ASCII gives the first address whose local part is ASCII: the twin by which the
// account is known to peers without SMTPUTF8. "" where there is none.
func (a *Account) ASCII() string {
	for _, s := range a.Addresses {
		if m, err := addr.ParseMailbox(s); err == nil && !m.NeedsUTF8() {
			return s
		}
	}
	return ""
}

// HasRole says whether the account has a role.
func (a *Account) HasRole(role string) bool {
	for _, r := range a.Roles {
		if r == role {
			return true
		}
	}
	return false
}

// NewID makes an account id from 16 random bytes.
func NewID(random io.Reader) (mohar.AccountID, error) {
	if random == nil {
		random = rand.Reader
	}
	var b [16]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", fmt.Errorf("directory: no randomness: %w", err)
	}
	return mohar.AccountID(strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b[:]))), nil
}

// Config is what a Directory needs.
type Config struct {
	Store *kv.Store
	Cache int // addresses remembered; 0 is DefaultCache
}

// Directory reads and changes the directory. It is safe for concurrent use.
type Directory struct {
	store    *kv.Store
	domains  *table.Table[Domain]
	accounts *table.Table[Account]
	cache    *cache
}

// New makes a Directory.
func New(cfg Config) *Directory {
	if cfg.Cache <= 0 {
		cfg.Cache = DefaultCache
	}
	return &Directory{
		store: cfg.Store,
		domains: table.New(table.Config[Domain]{Name: "directory.domains", Prefix: domainPrefix, Codec: table.CBOR[Domain](),
			Key: func(d *Domain) []byte { return []byte(d.Name) }}),
		accounts: table.New(table.Config[Account]{Name: "directory.accounts", Prefix: accountPrefix, Codec: table.CBOR[Account](),
			Key: func(a *Account) []byte { return []byte(a.ID) },
			Indexes: []table.Index[Account]{
				{Prefix: addressPrefix, Unique: true, Keys: func(a *Account) [][]byte { return keysOf(a, addr.Mailbox.Key) }},
				// Unique too: two mailboxes that a Hindi writer takes for one
				// name must not both exist (government.md EAI-07).
				{Prefix: loosePrefix, Unique: true, Keys: func(a *Account) [][]byte { return keysOf(a, addr.Mailbox.LooseKey) }},
			}}),
		cache: newCache(cfg.Cache),
	}
}

// keysOf gives the distinct keys of an account's addresses.
func keysOf(a *Account, key func(addr.Mailbox) string) [][]byte {
	var out [][]byte
	seen := map[string]bool{}
	for _, s := range a.Addresses {
		m, err := addr.ParseMailbox(s)
		if err != nil {
			continue // refused before it is written
		}
		if k := key(m); !seen[k] {
			seen[k] = true
			out = append(out, []byte(k))
		}
	}
	return out
}

// Update runs a transaction on the directory. Whoever changes something stages
// its audit record in the same one.
func (d *Directory) Update(ctx context.Context, fn func(tx *kv.Tx) error) error {
	return d.store.Update(ctx, Shard, fn)
}

// Account gives the account with an id; fault.NotFound.
func (d *Directory) Account(ctx context.Context, id mohar.AccountID) (*Account, error) {
	var a *Account
	err := d.store.View(ctx, Shard, func(r kv.Reader) (err error) {
		a, err = d.AccountIn(r, id)
		return err
	})
	return a, err
}

// AccountIn is Account inside a transaction or view.
func (d *Directory) AccountIn(r kv.Reader, id mohar.AccountID) (*Account, error) {
	return d.accounts.Get(r, []byte(id))
}

// Domain gives a domain by either of its names; fault.NotFound.
func (d *Directory) Domain(ctx context.Context, name string) (*Domain, error) {
	var out *Domain
	err := d.store.View(ctx, Shard, func(r kv.Reader) (err error) {
		out, err = d.DomainIn(r, name)
		return err
	})
	return out, err
}

// DomainIn is Domain inside a transaction or view.
func (d *Directory) DomainIn(r kv.Reader, name string) (*Domain, error) {
	n, err := addr.ParseDomain(name)
	if err != nil {
		return nil, err
	}
	return d.domains.Get(r, []byte(n.ASCII))
}

// Domains lists all domains in the order of their A-labels.
func (d *Directory) Domains(ctx context.Context) ([]*Domain, error) {
	var out []*Domain
	err := d.store.View(ctx, Shard, func(r kv.Reader) error {
		return d.domains.Scan(r, kv.Range{}, func(x *Domain) bool { out = append(out, x); return true })
	})
	return out, err
}

// Page asks for accounts in the order of their ids.
type Page struct {
	Domain string          // only accounts with an address there; "" for all
	After  mohar.AccountID // the last one seen
	Limit  int             // at most MaxPage; 0 is MaxPage
}

// List gives one page of accounts; fewer than Limit (or none) is the end.
func (d *Directory) List(ctx context.Context, p Page) ([]*Account, error) {
	if p.Limit <= 0 || p.Limit > MaxPage {
		p.Limit = MaxPage
	}
	if p.Domain != "" {
		n, err := addr.ParseDomain(p.Domain)
		if err != nil {
			return nil, err
		}
		p.Domain = n.ASCII
	}
	var out []*Account
	err := d.store.View(ctx, Shard, func(r kv.Reader) error {
		rg := kv.Range{}
		if p.After != "" {
			rg.From = append([]byte(p.After), 0)
		}
		return d.accounts.Scan(r, rg, func(a *Account) bool {
			if p.Domain == "" || a.in(p.Domain) {
				out = append(out, a)
			}
			return len(out) < p.Limit && ctx.Err() == nil
		})
	})
	if err == nil {
		err = ctx.Err()
	}
	return out, err
}

func (a *Account) in(domain string) bool {
	for _, s := range a.Addresses {
		if m, err := addr.ParseMailbox(s); err == nil && m.Domain.ASCII == domain {
			return true
		}
	}
	return false
}

// notFound is the answer for an address that nobody has, here or elsewhere.
func notFound(op string) error {
	return fault.New(fault.NotFound, op, "There is no such address here.")
}
