package sample

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base32"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/directory"
	"github.com/mohar-mail/mohar/wire/addr"
)

//go:embed people.toml
var peopleFile []byte

// person is one account as people.toml has it.
type person struct {
	Key      string    // by which letters name it
	Local    string    // ASCII local part
	HindiLoc string    `toml:"hindi"` // its twin in Devanagari
	Domain   string    // stateDomain where empty
	Category string    // employee where empty
	Name     [2]string // English, Hindi
	Post     [2]string
	Note     [2]string
	Lang     string
	Roles    []string
	Sponsor  string // key of another person
	Days     int    // until the account ends; 0: no end
	Disabled bool
}

func text(s [2]string) mohar.Text { return mohar.Text{En: s[0], Hi: s[1]} }

func (p *person) address() string { return p.Local + "@" + p.Domain }

// hindiAddress is the twin address: wholly in Devanagari where the domain has a
// twin of its own.
func (p *person) hindiAddress() string {
	if p.Domain == stateDomain {
		return p.HindiLoc + "@" + stateTwin
	}
	return p.HindiLoc + "@" + p.Domain
}

func (p *person) public() Person {
	return Person{Address: p.address(), Hindi: p.hindiAddress(), Name: text(p.Name), Post: text(p.Post),
		Category: p.Category, Note: text(p.Note)}
}

// id is the account's id. It follows from the address, so that a run which was
// interrupted between two transactions finds the ids it had given.
func (p *person) id() mohar.AccountID {
	sum := sha256.Sum256([]byte("sample account " + p.address()))
	return mohar.AccountID(strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:16])))
}

// account gives the directory's row without a password.
func (p *person) account(c *cast, now time.Time) (directory.Account, error) {
	category, err := mohar.ParseCategory(p.Category)
	if err != nil {
		return directory.Account{}, fault.Wrap(err, fault.Internal, "sample.people", "")
	}
	a := directory.Account{ID: p.id(), Category: category, Name: text(p.Name), Post: text(p.Post), Lang: p.Lang,
		Addresses: []string{p.address(), p.HindiLoc + "@" + p.Domain}, Roles: p.Roles, Disabled: p.Disabled}
	if p.Days > 0 {
		a.Until = now.AddDate(0, 0, p.Days)
	}
	if p.Sponsor != "" {
		a.Sponsor = c.byKey[p.Sponsor].id()
	}
	return a, nil
}

// cast is everybody of the government, sponsors before those they answer for.
type cast struct {
	list  []*person
	byKey map[string]*person
}

func loadCast() (*cast, error) {
	var file struct{ Person []*person }
	d := toml.NewDecoder(bytes.NewReader(peopleFile)).DisallowUnknownFields()
	if err := d.Decode(&file); err != nil {
		return nil, fault.Wrap(err, fault.Internal, "sample.people", "")
	}
	c := &cast{list: file.Person, byKey: map[string]*person{}}
	for _, p := range c.list {
		if p.Domain == "" {
			p.Domain = stateDomain
		}
		if p.Category == "" {
			p.Category = mohar.Employee.String()
		}
		if p.Lang == "" {
			p.Lang = "hi"
		}
		if p.Sponsor != "" && c.byKey[p.Sponsor] == nil {
			return nil, fault.New(fault.Internal, "sample.people", "The sponsor of "+p.Key+" is not known before it.")
		}
		if c.byKey[p.Key] != nil {
			return nil, fault.New(fault.Internal, "sample.people", "Two people have the key "+p.Key+".")
		}
		c.byKey[p.Key] = p
	}
	return c, nil
}

// party reads how a letter names somebody: a person's key, "hi:" and a key for
// the address in Devanagari, or "Name <address>" for outsiders.
func (c *cast) party(s, lang string) (addr.Address, *person, error) {
	key, hindi := strings.CutPrefix(s, "hi:")
	if p := c.byKey[key]; p != nil {
		spec := p.address()
		if hindi {
			spec = p.hindiAddress()
		}
		local, domain, _ := strings.Cut(spec, "@")
		return addr.Address{Name: text(p.Name).In(lang), Local: local, Domain: domain}, p, nil
	}
	name, spec, ok := strings.Cut(strings.TrimSuffix(s, ">"), " <")
	m, err := addr.ParseMailbox(spec)
	if !ok || err != nil {
		return addr.Address{}, nil, fault.New(fault.Internal, "sample.letters", "Nobody is called "+s+".")
	}
	return addr.Address{Name: name, Local: m.Local, Domain: m.Domain.Unicode}, nil, nil
}
