// Package sample seeds a small government: a union's approver, a state with its
// people, posts and mail in two languages, and a domain for load tests.
//
// Owns:      nothing. What it writes belongs to directory, mailbox and audit.
// Trusts:    its own embedded files; nobody else has a say in what they hold.
// May touch: flow/change (domains, accounts), mailbox (the letters). No files, no network, no clock but base/clock.
// Standards: RFC 5322 (letters), RFC 8601 (Authentication-Results), RFC 3464 (delivery reports).
package sample

import (
	"context"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/base/clock"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/directory"
	"github.com/mohar-mail/mohar/directory/credential"
	"github.com/mohar-mail/mohar/flow/change"
	"github.com/mohar-mail/mohar/mailbox"
)

// Names and passwords of the sample. They are printed for whoever runs the
// demonstration and must not guard anything else.
const (
	Password     = "Mohar-Demo-2026" // of every account of the government
	LoadDomain   = "example.test"
	LoadPassword = "secret"

	federalDomain  = "federal.example"
	stateDomain    = "rajya.example"
	stateTwin      = "राज्य.example"
	externalDomain = "external.rajya.example"
	hostname       = "mail.rajya.example" // of the trace fields
)

// Bounds of Config.Users.
const (
	DefaultUsers = 20
	MaxUsers     = 2_000_000
)

// Stores is what the seed is written through.
type Stores struct {
	Directory *directory.Directory
	Change    *change.Change
	Hasher    *credential.Hasher
	Mailboxes *mailbox.Store
	Clock     clock.Clock
}

// Config says how much to seed.
type Config struct {
	// Users is the number of accounts u1 to uN of LoadDomain; 0 is DefaultUsers.
	Users int
	// Progress is told how many of the steps (accounts and copies of letters)
	// are done. May be nil.
	Progress func(done, total int)
}

// Person is one account of the sample as it is shown to whoever tries it.
type Person struct {
	Address  string     // with an ASCII local part
	Hindi    string     // the twin in Devanagari, of the same account
	Name     mohar.Text // in both languages
	Post     mohar.Text
	Category string     // as mohar.Category prints it
	Note     mohar.Text // what to try with the account
}

// Report says what stands after a Seed.
type Report struct {
	People       []Person
	Password     string // shared by all people
	LoadDomain   string
	LoadPassword string // shared by u1 to uN of LoadDomain
	Users        int    // N
	Fresh        bool   // this run added something; false when all was there before
}

// seeder is one run of Seed.
type seeder struct {
	Stores
	cfg         Config
	cast        *cast
	letters     *letters
	fresh       bool
	done, total int
}

// Seed brings the sample government into the stores. What is there already is
// left as it is, so a second run changes nothing, a run after an interrupted one
// completes it, and a larger Config.Users adds the missing accounts. The error
// is fault.Invalid for a bad Config, else that of the store.
func Seed(ctx context.Context, s Stores, cfg Config) (*Report, error) {
	if cfg.Users == 0 {
		cfg.Users = DefaultUsers
	}
	if cfg.Users < 0 || cfg.Users > MaxUsers {
		return nil, fault.New(fault.Invalid, "sample.Seed", "The number of users is out of range.")
	}
	people, err := loadCast()
	if err != nil {
		return nil, err
	}
	all, err := loadLetters(people, s.Clock.Now())
	if err != nil {
		return nil, err
	}
	sd := &seeder{Stores: s, cfg: cfg, cast: people, letters: all}
	sd.total = len(people.list) + cfg.Users + len(all.copies)
	for _, step := range []func(context.Context) error{sd.government, sd.users, sd.mail} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	r := &Report{Password: Password, LoadDomain: LoadDomain, LoadPassword: LoadPassword, Users: cfg.Users, Fresh: sd.fresh}
	for _, p := range people.list {
		r.People = append(r.People, p.public())
	}
	return r, nil
}

// step counts n steps as done.
func (s *seeder) step(n int) {
	s.done += n
	if s.cfg.Progress != nil {
		s.cfg.Progress(s.done, s.total)
	}
}
