// Package signin finds out who somebody is: limits, directory, password, policy,
// record, in this order, for every door; and keeps the sessions of browsers.
//
// Owns:      the shards "s/00" to "s/15": sign-in records, and in them the key
// prefixes "t/" (sessions by hash of their token) and "u/" (by account).
// Trusts:    doors for the address of the client and for TLS; nobody for the rest.
// May touch: directory, directory/credential, policy, audit, store. No network.
// Standards: RFC 4954 section 4 and RFC 9051 section 6.2 for what doors make of
// the errors; NIST SP 800-63B section 5.2.2 for limits on guessing.
package signin

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/audit"
	"github.com/mohar-mail/mohar/base/clock"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/base/limit"
	"github.com/mohar-mail/mohar/directory"
	"github.com/mohar-mail/mohar/directory/credential"
	"github.com/mohar-mail/mohar/policy"
	"github.com/mohar-mail/mohar/store/kv"
	"github.com/mohar-mail/mohar/store/table"
	"github.com/mohar-mail/mohar/wire/addr"
)

// Lanes is the number of shards that sign-ins are recorded in.
const Lanes = 16

// Limits on guessing. A right password costs nothing.
type Limits struct {
	Network limit.Rate // by network; a whole office may stand behind one address
	Pair    limit.Rate // by account and network
	// Account is by account from everywhere. It is far above Pair, so that one
	// stranger cannot lock an account for its owner.
	Account limit.Rate
}

// DefaultLimits are the limits where Config names none.
func DefaultLimits() Limits {
	return Limits{
		Network: limit.Rate{Burst: 300, Every: 2 * time.Second},
		Pair:    limit.Rate{Burst: 10, Every: 30 * time.Second},
		Account: limit.Rate{Burst: 100, Every: 20 * time.Second},
	}
}

// toldEvery is how often a network that is over a limit is recorded.
const toldEvery = time.Minute

// Config is what a Signin needs.
type Config struct {
	Store     *kv.Store
	Directory *directory.Directory
	Passwords *credential.Hasher
	Clock     clock.Clock
	// Rulebook gives the rules of a domain by the name that stands in its
	// directory entry. It never gives nil.
	Rulebook func(name string) *policy.Rulebook
	Limits   Limits // zero: DefaultLimits
	// DefaultDomain is put behind a name without "@"; "" refuses such names.
	DefaultDomain string
	Sessions      SessionConfig
	Random        io.Reader      // nil is crypto/rand
	Staged        func(kv.Shard) // told when a record waits in a shard; may be nil
	Log           *slog.Logger   // nil is silent
}

// Attempt is one try to sign in.
type Attempt struct {
	Door     mohar.Door
	User     string
	Password string
	Remote   netip.Addr
	TLS      bool
	Agent    string // name of the program, for the record
}

// String leaves the password out, so that no log line can hold it.
func (a Attempt) String() string {
	return fmt.Sprintf("%s sign-in of %q from %s", a.Door, a.User, a.Remote)
}

// LogValue is String for structured logs.
func (a Attempt) LogValue() slog.Value { return slog.StringValue(a.String()) }

// Principal is who somebody is. Session hands the same one out more than once:
// do not change it.
type Principal struct {
	Account   mohar.AccountID
	Address   string   // the primary one
	Addresses []string // that it may send as, the primary one first
	Name      mohar.Text
	Post      mohar.Text
	Category  mohar.Category
	Clearance mohar.Label // NoLabel: what the rulebook says for the category
	Lang      string
	Domain    string // A-label of the primary address
	Rulebook  string // name of the rules of its domain
	Roles     []string
}

// Signin is the flow. It is safe for concurrent use.
type Signin struct {
	cfg                           Config
	network, pair, account, heard *limit.Keyed
	sessions                      *table.Table[session]
	fresh                         *fresh
}

// New makes a Signin.
func New(cfg Config) *Signin {
	if cfg.Limits == (Limits{}) {
		cfg.Limits = DefaultLimits()
	}
	if cfg.Random == nil {
		cfg.Random = rand.Reader
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Staged == nil {
		cfg.Staged = func(kv.Shard) {}
	}
	cfg.Sessions = cfg.Sessions.withDefaults()
	return &Signin{
		cfg:     cfg,
		network: limit.NewKeyed(cfg.Limits.Network, 0, cfg.Clock),
		pair:    limit.NewKeyed(cfg.Limits.Pair, 0, cfg.Clock),
		account: limit.NewKeyed(cfg.Limits.Account, 0, cfg.Clock),
		heard:   limit.NewKeyed(limit.Rate{Burst: 1, Every: toldEvery}, 0, cfg.Clock),

		sessions: newSessions(),
		fresh:    newFresh(cfg.Sessions.Fresh),
	}
}

// Shards lists the shards of sign-ins, for the sequencer of the log.
func Shards() []kv.Shard {
	out := make([]kv.Shard, Lanes)
	for i := range out {
		out[i] = lane(i)
	}
	return out
}

func lane(i int) kv.Shard { return kv.Shard(fmt.Sprintf("s/%02d", i)) }

func laneOf(key string) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(key)) // a hash never fails
	return int(h.Sum32() % Lanes)
}

// Authenticate finds out who an attempt is by. fault.Auth for a wrong password
// and for an account that does not exist, which take the same time and are told
// in the same words; fault.Denied, with the decision, where the password was
// right and policy says no; fault.TooMany; fault.Unavailable. Whatever the
// outcome, it is recorded before it is told.
func (s *Signin) Authenticate(ctx context.Context, a Attempt) (*Principal, error) {
	who := s.look(ctx, a.User)
	if who.err != nil {
		return nil, who.err
	}
	tokens := s.tokens(a, who.key)
	if err := s.allowed(ctx, a, who, tokens); err != nil {
		return nil, err
	}
	id, hash := "", ""
	if who.account != nil {
		id, hash = string(who.account.ID), who.account.Hash
	}
	right, stale, err := s.cfg.Passwords.Verify(ctx, id, hash, a.Password)
	if err != nil {
		return nil, err
	}
	if !right {
		why := "wrong password"
		if hash == "" {
			why = "unknown account"
		}
		if err := s.record(ctx, a, who, nil, why); err != nil {
			return nil, err
		}
		return nil, fault.New(fault.Auth, "signin.Authenticate", "Name or password is wrong.")
	}
	for _, t := range tokens {
		t.limiter.Give(t.key, 1)
	}
	d := policy.DecideSignin(s.cfg.Rulebook(who.domain.Rulebook), s.facts(a, who))
	if d.Verdict != mohar.Allow {
		if err := s.record(ctx, a, who, &d, "refused"); err != nil {
			return nil, err
		}
		return nil, &fault.Error{Kind: fault.Denied, Op: "signin.Authenticate", Public: d.Reasons[0].What.En, Decision: &d}
	}
	p, err := s.principal(ctx, who.account, who.domain)
	if err != nil {
		return nil, err
	}
	if err := s.record(ctx, a, who, &d, "ok"); err != nil {
		return nil, err
	}
	if stale {
		s.rehash(ctx, who.account, a.Password)
	}
	return p, nil
}

// subject is what is known of a name before the password is looked at.
type subject struct {
	account *directory.Account // nil: nobody
	domain  *directory.Domain  // of the account
	key     string             // for limits: the account's id, or the name as typed
	named   string             // for the record
	err     error
}

func (s *Signin) look(ctx context.Context, user string) *subject {
	if !strings.Contains(user, "@") && s.cfg.DefaultDomain != "" {
		user += "@" + s.cfg.DefaultDomain
	}
	who := &subject{key: "?" + strings.ToLower(user)}
	const longest = 512
	if len(who.key) > longest {
		who.key = who.key[:longest]
	}
	res, err := s.cfg.Directory.Resolve(ctx, user)
	switch {
	case fault.Is(err, fault.Invalid):
		return who
	case err != nil:
		who.err = err
		return who
	}
	if res.Domain != nil {
		// A name outside our domains is often a password typed into the
		// wrong field: it must not stand in the log for ever.
		who.named = user
	}
	if res.Account != nil {
		who.account, who.domain, who.key = res.Account, res.Domain, string(res.Account.ID)
	}
	return who
}

// token is one place where an attempt is counted.
type token struct {
	limiter *limit.Keyed
	key     string
}

func (s *Signin) tokens(a Attempt, key string) []token {
	net := limit.Network(a.Remote)
	out := []token{{s.pair, key + " " + net}, {s.account, key}}
	// The machine itself is not a network of strangers: a proxy in front of
	// us, or a load test, would be one client.
	if !a.Remote.Unmap().IsLoopback() {
		out = append(out, token{s.network, net})
	}
	return out
}

// allowed counts the attempt before the password is looked at, so that a
// thousand guesses at once are not a thousand times within the limit.
func (s *Signin) allowed(ctx context.Context, a Attempt, who *subject, tokens []token) error {
	for i, t := range tokens {
		ok, wait := t.limiter.Allow(t.key, 1)
		if ok {
			continue
		}
		for _, taken := range tokens[:i] {
			taken.limiter.Give(taken.key, 1)
		}
		// One record says it; a flood of refusals must not become a flood
		// of records.
		if first, _ := s.heard.Allow(limit.Network(a.Remote), 1); first {
			if err := s.record(ctx, a, who, nil, "too many attempts"); err != nil {
				return err
			}
		}
		return fault.Wrap(fmt.Errorf("next in %s", wait.Round(time.Second)), fault.TooMany, "signin.Authenticate",
			"Too many attempts. Wait a few minutes and try again.")
	}
	return nil
}

func (s *Signin) facts(a Attempt, who *subject) *policy.SigninFacts {
	return &policy.SigninFacts{
		Time: s.cfg.Clock.Now(), Door: a.Door, Category: who.account.Category, Remote: a.Remote, TLS: a.TLS,
		Disabled: who.account.Disabled, Until: who.account.Until, Doors: who.account.Doors,
		Suspended: who.domain.State != directory.Live,
	}
}

// record stages the audit record of an attempt, durably.
func (s *Signin) record(ctx context.Context, a Attempt, who *subject, d *mohar.Decision, result string) error {
	r := audit.Record{Time: s.cfg.Clock.Now(), Kind: "signin", Door: a.Door, Remote: a.Remote.String(), Object: who.named, Decision: d,
		Detail: map[string]string{"result": result}}
	if who.account != nil {
		r.Actor = who.account.ID
	}
	if a.Agent != "" {
		r.Detail["agent"] = a.Agent
	}
	if !a.TLS {
		r.Detail["tls"] = "none"
	}
	return s.stage(ctx, lane(laneOf(who.key)), r)
}

func (s *Signin) stage(ctx context.Context, shard kv.Shard, r audit.Record) error {
	if err := s.cfg.Store.Update(ctx, shard, func(tx *kv.Tx) error { return audit.Stage(tx, r) }); err != nil {
		return err
	}
	s.cfg.Staged(shard)
	return nil
}

// principal gathers what doors need to know of an account.
func (s *Signin) principal(ctx context.Context, a *directory.Account, d *directory.Domain) (*Principal, error) {
	as, err := s.cfg.Directory.SendAs(ctx, a)
	if err != nil {
		return nil, err
	}
	p := &Principal{Account: a.ID, Address: a.Address(), Addresses: as, Name: a.Name, Post: a.Post, Category: a.Category,
		Clearance: a.Clearance, Lang: a.Lang, Rulebook: d.Rulebook, Roles: a.Roles}
	if m, err := addr.ParseMailbox(p.Address); err == nil {
		p.Domain = m.Domain.ASCII
	}
	return p, nil
}

// rehash stores the password under today's cost. Failing costs only trying again
// at the next sign-in.
func (s *Signin) rehash(ctx context.Context, a *directory.Account, password string) {
	hash, err := s.cfg.Passwords.Hash(ctx, password)
	changed := errors.New("the password was changed meanwhile")
	if err == nil {
		err = s.cfg.Directory.Update(ctx, func(tx *kv.Tx) error {
			now, err := s.cfg.Directory.AccountIn(tx, a.ID)
			if err != nil {
				return err
			}
			if now.Hash != a.Hash {
				return changed
			}
			if err := s.cfg.Directory.SetPassword(tx, a.ID, hash); err != nil {
				return err
			}
			return audit.Stage(tx, audit.Record{Time: s.cfg.Clock.Now(), Kind: "password.rehash", Actor: a.ID, Door: mohar.DoorSystem})
		})
	}
	if err != nil {
		s.cfg.Log.Warn("a password could not be hashed anew", "account", string(a.ID), "cause", err)
		return
	}
	s.cfg.Staged(directory.Shard)
}
