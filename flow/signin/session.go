package signin

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/audit"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/policy"
	"github.com/mohar-mail/mohar/store/kv"
	"github.com/mohar-mail/mohar/store/table"
)

// SessionConfig bounds the sessions of browsers. Zero values are the defaults.
type SessionConfig struct {
	Life  time.Duration // of a session, from its beginning
	Max   int           // sessions of one account; the oldest gives way
	Fresh time.Duration // how long a session once checked is believed without looking
}

// Defaults of sessions. Fresh bounds how long a session ended on one node still
// works on another.
const (
	DefaultLife  = 12 * time.Hour
	DefaultMax   = 20
	DefaultFresh = 10 * time.Second
)

func (c SessionConfig) withDefaults() SessionConfig {
	if c.Life <= 0 {
		c.Life = DefaultLife
	}
	if c.Max <= 0 {
		c.Max = DefaultMax
	}
	if c.Fresh == 0 {
		c.Fresh = DefaultFresh
	}
	return c
}

const (
	sessionPrefix = "t/"
	accountPrefix = "u/"
	tokenBytes    = 32
)

// session is a stored session. The token itself is stored nowhere: who reads the
// database cannot enter with it.
type session struct {
	Hash    []byte          `cbor:"1,keyasint"` // SHA-256 of the token: the key
	Account mohar.AccountID `cbor:"2,keyasint"`
	Begun   time.Time       `cbor:"3,keyasint"`
	Ends    time.Time       `cbor:"4,keyasint"`
	Remote  string          `cbor:"5,keyasint"`
	Agent   string          `cbor:"6,keyasint"`
	// Password is the hash of the stored password hash: a changed password ends
	// every session that was begun with the old one.
	Password []byte `cbor:"7,keyasint"`
	TLS      bool   `cbor:"8,keyasint"`
}

func newSessions() *table.Table[session] {
	return table.New(table.Config[session]{Name: "signin.sessions", Prefix: sessionPrefix, Codec: table.CBOR[session](),
		Key:     func(s *session) []byte { return s.Hash },
		Indexes: []table.Index[session]{{Prefix: accountPrefix, Keys: func(s *session) [][]byte { return [][]byte{[]byte(s.Account)} }}}})
}

// Client is where a session lives.
type Client struct {
	Remote netip.Addr
	Agent  string
	TLS    bool
}

// SessionInfo is a session as its owner may see it.
type SessionInfo struct {
	ID          string // to end it by; not the token
	Begun, Ends time.Time
	Remote      string
	Agent       string
}

// parts takes a token apart: the lane it was issued in, and its hash.
func parts(token string) (int, []byte, bool) {
	n, _, ok := strings.Cut(token, ".")
	i, err := strconv.Atoi(n)
	if !ok || err != nil || i < 0 || i >= Lanes || len(n) != 2 || len(token) != 3+base64.RawURLEncoding.EncodedLen(tokenBytes) {
		return 0, nil, false
	}
	h := sha256.Sum256([]byte(token))
	return i, h[:], true
}

func ended() error {
	return fault.New(fault.Auth, "signin.Session", "The session has ended. Sign in again.")
}

// NewSession begins a session for somebody whom Authenticate has let in, and
// gives its token: 46 ASCII characters, secret, for a cookie.
func (s *Signin) NewSession(ctx context.Context, p *Principal, c Client) (string, error) {
	a, err := s.cfg.Directory.Account(ctx, p.Account)
	if err != nil {
		return "", err
	}
	raw := make([]byte, tokenBytes)
	if _, err := io.ReadFull(s.cfg.Random, raw); err != nil {
		return "", fmt.Errorf("signin: no randomness: %w", err)
	}
	i := laneOf(string(a.ID))
	token := fmt.Sprintf("%02d.%s", i, base64.RawURLEncoding.EncodeToString(raw))
	_, hash, _ := parts(token)
	now := s.cfg.Clock.Now()
	const longest = 200 // bytes kept of the name of a browser
	row := &session{Hash: hash, Account: a.ID, Begun: now, Ends: now.Add(s.cfg.Sessions.Life), Remote: c.Remote.String(),
		Agent: c.Agent[:min(len(c.Agent), longest)], Password: fingerprint(a.Hash), TLS: c.TLS}
	return token, s.cfg.Store.Update(ctx, lane(i), func(tx *kv.Tx) error {
		if err := s.makeRoom(tx, a.ID, now); err != nil {
			return err
		}
		return s.sessions.Insert(tx, row)
	})
}

func fingerprint(hash string) []byte {
	h := sha256.Sum256([]byte(hash))
	return h[:]
}

// makeRoom removes the account's sessions that have ended, and the oldest of
// those left when they are as many as it may have.
func (s *Signin) makeRoom(tx *kv.Tx, id mohar.AccountID, now time.Time) error {
	rows, err := s.sessions.Lookup(tx, accountPrefix, []byte(id), 0)
	if err != nil {
		return err
	}
	var live []*session
	for _, r := range rows {
		if r.Ends.After(now) {
			live = append(live, r)
		} else if err := s.sessions.Delete(tx, r.Hash); err != nil {
			return err
		}
	}
	for len(live) >= s.cfg.Sessions.Max {
		oldest := 0
		for i, r := range live {
			if r.Begun.Before(live[oldest].Begun) {
				oldest = i
			}
		}
		if err := s.sessions.Delete(tx, live[oldest].Hash); err != nil {
			return err
		}
		live = append(live[:oldest], live[oldest+1:]...)
	}
	return nil
}

// Session gives who a token belongs to. fault.Auth for one that is unknown, has
// ended, or whose password was changed; fault.Denied where policy would not let
// the account in any more.
func (s *Signin) Session(ctx context.Context, token string) (*Principal, error) {
	i, hash, ok := parts(token)
	if !ok {
		return nil, ended()
	}
	now := s.cfg.Clock.Now()
	if p := s.fresh.get(hash, now); p != nil {
		return p, nil
	}
	var row *session
	err := s.cfg.Store.View(ctx, lane(i), func(r kv.Reader) (err error) {
		row, err = s.sessions.Get(r, hash)
		return err
	})
	if fault.Is(err, fault.NotFound) || (err == nil && !row.Ends.After(now)) {
		return nil, ended()
	}
	if err != nil {
		return nil, err
	}
	p, err := s.still(ctx, row, now)
	if err != nil {
		return nil, err
	}
	s.fresh.put(hash, p, now, row.Ends)
	return p, nil
}

// still asks whether the owner of a session may still come in.
func (s *Signin) still(ctx context.Context, row *session, now time.Time) (*Principal, error) {
	a, err := s.cfg.Directory.Account(ctx, row.Account)
	if fault.Is(err, fault.NotFound) {
		return nil, ended()
	}
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(row.Password, fingerprint(a.Hash)) {
		return nil, ended()
	}
	res, err := s.cfg.Directory.Resolve(ctx, a.Address())
	if err != nil {
		return nil, err
	}
	if res.Domain == nil {
		return nil, ended()
	}
	remote, _ := netip.ParseAddr(row.Remote) // was written by us; the zero address is nowhere
	f := s.facts(Attempt{Door: mohar.DoorWeb, Remote: remote, TLS: row.TLS}, &subject{account: a, domain: res.Domain})
	f.Time = now
	if d := policy.DecideSignin(s.cfg.Rulebook(res.Domain.Rulebook), f); d.Verdict != mohar.Allow {
		return nil, &fault.Error{Kind: fault.Denied, Op: "signin.Session", Public: d.Reasons[0].What.En, Decision: &d}
	}
	return s.principal(ctx, a, res.Domain)
}

// End ends a session; a token that is unknown is no error.
func (s *Signin) End(ctx context.Context, token string) error {
	i, hash, ok := parts(token)
	if !ok {
		return nil
	}
	return s.end(ctx, i, hash, "")
}

// EndByID ends a session of an account by its id from Sessions; fault.NotFound.
func (s *Signin) EndByID(ctx context.Context, account mohar.AccountID, id string) error {
	hash, err := base64.RawURLEncoding.DecodeString(id)
	if err != nil {
		return fault.New(fault.NotFound, "signin.EndByID", "There is no such session.")
	}
	return s.end(ctx, laneOf(string(account)), hash, account)
}

// end removes a session, of account where one is named.
func (s *Signin) end(ctx context.Context, i int, hash []byte, account mohar.AccountID) error {
	s.fresh.drop(hash)
	err := s.cfg.Store.Update(ctx, lane(i), func(tx *kv.Tx) error {
		row, err := s.sessions.Get(tx, hash)
		if err == nil && account != "" && row.Account != account {
			err = fault.New(fault.NotFound, "signin.EndByID", "There is no such session.")
		}
		if err != nil {
			return err
		}
		if err := s.sessions.Delete(tx, hash); err != nil {
			return err
		}
		return audit.Stage(tx, audit.Record{Time: s.cfg.Clock.Now(), Kind: "signout", Actor: row.Account, Door: mohar.DoorWeb, Remote: row.Remote})
	})
	if fault.Is(err, fault.NotFound) && account == "" {
		return nil
	}
	if err == nil {
		s.cfg.Staged(lane(i))
	}
	return err
}

// Sessions lists the live sessions of an account, for its owner.
func (s *Signin) Sessions(ctx context.Context, account mohar.AccountID) ([]SessionInfo, error) {
	var out []SessionInfo
	now := s.cfg.Clock.Now()
	err := s.cfg.Store.View(ctx, lane(laneOf(string(account))), func(r kv.Reader) error {
		rows, err := s.sessions.Lookup(r, accountPrefix, []byte(account), 0)
		for _, row := range rows {
			if row.Ends.After(now) {
				out = append(out, SessionInfo{base64.RawURLEncoding.EncodeToString(row.Hash), row.Begun, row.Ends, row.Remote, row.Agent})
			}
		}
		return err
	})
	return out, err
}

// EndAll ends every session of an account.
func (s *Signin) EndAll(ctx context.Context, account mohar.AccountID) error {
	i := laneOf(string(account))
	s.fresh.dropAccount(account)
	err := s.cfg.Store.Update(ctx, lane(i), func(tx *kv.Tx) error {
		rows, err := s.sessions.Lookup(tx, accountPrefix, []byte(account), 0)
		if err != nil || len(rows) == 0 {
			return err
		}
		for _, r := range rows {
			if err := s.sessions.Delete(tx, r.Hash); err != nil {
				return err
			}
		}
		return audit.Stage(tx, audit.Record{Time: s.cfg.Clock.Now(), Kind: "signout", Actor: account, Door: mohar.DoorWeb,
			Detail: map[string]string{"sessions": strconv.Itoa(len(rows))}})
	})
	if err == nil {
		s.cfg.Staged(lane(i))
	}
	return err
}

// Sweep removes sessions that have ended. Node calls it from time to time.
func (s *Signin) Sweep(ctx context.Context) error {
	const most = 1000 // rows removed in one transaction
	now := s.cfg.Clock.Now()
	for _, shard := range Shards() {
		for more := true; more; {
			var old [][]byte
			err := s.cfg.Store.UpdateLazy(ctx, shard, func(tx *kv.Tx) error {
				old = old[:0]
				err := s.sessions.Scan(tx, kv.Range{}, func(r *session) bool {
					if !r.Ends.After(now) {
						old = append(old, r.Hash)
					}
					return len(old) < most
				})
				for _, h := range old {
					if err == nil {
						err = s.sessions.Delete(tx, h)
					}
				}
				return err
			})
			if err != nil {
				return err
			}
			more = len(old) == most
		}
	}
	return nil
}

// maxFresh bounds how many sessions are believed without looking.
const maxFresh = 1 << 14

// fresh remembers for a moment that a session is good: a page of the webmail
// asks a dozen things at once.
type fresh struct {
	keep time.Duration
	mu   sync.Mutex
	held map[[sha256.Size]byte]held
}

type held struct {
	p     *Principal
	until time.Time
}

func newFresh(keep time.Duration) *fresh {
	return &fresh{keep: keep, held: map[[sha256.Size]byte]held{}}
}

func (f *fresh) get(hash []byte, now time.Time) *Principal {
	f.mu.Lock()
	defer f.mu.Unlock()
	h, ok := f.held[[sha256.Size]byte(hash)]
	if !ok || !h.until.After(now) {
		return nil
	}
	return h.p
}

func (f *fresh) put(hash []byte, p *Principal, now, ends time.Time) {
	until := now.Add(f.keep)
	if ends.Before(until) {
		until = ends
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for k := range f.held {
		if len(f.held) < maxFresh {
			break
		}
		delete(f.held, k)
	}
	f.held[[sha256.Size]byte(hash)] = held{p, until}
}

func (f *fresh) drop(hash []byte) {
	if len(hash) != sha256.Size {
		return
	}
	f.mu.Lock()
	delete(f.held, [sha256.Size]byte(hash))
	f.mu.Unlock()
}

func (f *fresh) dropAccount(id mohar.AccountID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for k, h := range f.held {
		if h.p.Account == id {
			delete(f.held, k)
		}
	}
}
