package policy

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"strings"

	"golang.org/x/net/idna"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/base/fault"
)

//go:embed lists.json
var builtinLists []byte

// MaxLists bounds the JSON form of Lists, in bytes.
const MaxLists = 4 << 20

// Lists say what domains and mail exchangers belong to whom. A name stands for
// itself and everything below it; one that ends in ".*" has any top-level
// domain there ("yahoo.*", "yahoo.co.*"). Names may be U-labels or A-labels.
type Lists struct {
	Version    int      `json:"version"`
	Government []string `json:"government"` // wins over everything else
	Foreign    []string `json:"foreign"`    // webmail kept abroad
	ForeignMX  []string `json:"foreign-mx"`
	Private    []string `json:"private"` // private webmail kept in the country
	PrivateMX  []string `json:"private-mx"`
	CloudMX    []string `json:"cloud-mx"` // relays of private clouds
	// PrivateAllowed takes the private webmail of the country for ordinary
	// companies. A state decides; without it they count as foreign webmail.
	PrivateAllowed bool `json:"private-allowed,omitempty"`
}

// Classifier classifies domains by compiled Lists. It is not changed after it
// was made and safe for concurrent use.
type Classifier struct {
	government, names, exchangers set
}

// set is a set of names, each with a class.
type set struct {
	exact map[string]mohar.DomainClass // the name and everything below it
	open  map[string]mohar.DomainClass // the name without its ".*"
}

// BuiltinLists gives the lists that are compiled in.
func BuiltinLists() (*Lists, error) { return ParseLists(builtinLists) }

// ParseLists reads lists from JSON; fault.Invalid for unknown fields.
func ParseLists(data []byte) (*Lists, error) {
	if len(data) > MaxLists {
		return nil, fault.New(fault.TooLarge, "policy.ParseLists", "The lists are too large.")
	}
	l := &Lists{}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	err := dec.Decode(l)
	if err == nil && dec.More() {
		err = errors.New("text after the end")
	}
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "policy.ParseLists", "The lists of domains cannot be read.")
	}
	return l, nil
}

// NewClassifier compiles lists; fault.Invalid for a name that is no domain.
func NewClassifier(l *Lists) (*Classifier, error) {
	c := &Classifier{government: newSet(), names: newSet(), exchangers: newSet()}
	private := mohar.ClassForeignWebmail
	if l.PrivateAllowed {
		private = mohar.ClassOther
	}
	for _, part := range []struct {
		set   set
		names []string
		class mohar.DomainClass
	}{
		{c.government, l.Government, mohar.ClassGovernment},
		{c.names, l.Foreign, mohar.ClassForeignWebmail},
		{c.names, l.Private, private},
		{c.exchangers, l.ForeignMX, mohar.ClassForeignWebmail},
		{c.exchangers, l.PrivateMX, private},
		{c.exchangers, l.CloudMX, mohar.ClassPrivateCloud},
	} {
		for _, n := range part.names {
			if err := part.set.add(n, part.class); err != nil {
				return nil, fault.Wrap(err, fault.Invalid, "policy.NewClassifier", "The list names no domain: "+n)
			}
		}
	}
	return c, nil
}

func newSet() set {
	return set{map[string]mohar.DomainClass{}, map[string]mohar.DomainClass{}}
}

// ascii gives the A-label form in lower case, without a final dot.
func ascii(name string) (string, error) {
	name = strings.TrimSuffix(name, ".")
	plain := true
	for i := range len(name) {
		plain = plain && name[i] < 0x80
	}
	if plain {
		return strings.ToLower(name), nil
	}
	return idna.Lookup.ToASCII(name)
}

func (s set) add(name string, class mohar.DomainClass) error {
	name, open := strings.CutSuffix(name, ".*")
	a, err := ascii(name)
	if err != nil {
		return err
	}
	if a == "" {
		return errors.New("empty name")
	}
	if open {
		s.open[a] = class
	} else {
		s.exact[a] = class
	}
	return nil
}

// find looks a name and then its parents up.
func (s set) find(name string) (mohar.DomainClass, bool) {
	for name != "" {
		if c, ok := s.exact[name]; ok {
			return c, true
		}
		if i := strings.LastIndexByte(name, '.'); i > 0 {
			if c, ok := s.open[name[:i]]; ok {
				return c, true
			}
		}
		_, name, _ = strings.Cut(name, ".")
	}
	return mohar.ClassUnknown, false
}

// Class says what a domain that is not our own is to the state. mx are the
// names of its mail exchangers; nil means that DNS did not answer, an empty
// slice that it has none. Where mail is really kept decides: a school whose
// exchangers are Google's is foreign webmail, whatever its name.
func (c *Classifier) Class(domain string, mx []string) mohar.DomainClass {
	name, err := ascii(domain)
	if err != nil {
		return mohar.ClassOther // no domain of any list; it will not be delivered to either
	}
	if class, ok := c.government.find(name); ok {
		return class
	}
	if class, ok := c.names.find(name); ok {
		return class
	}
	if mx == nil {
		return mohar.ClassUnknown
	}
	worst := mohar.ClassOther
	for _, h := range mx {
		h, err := ascii(h)
		if err != nil {
			continue
		}
		if _, ok := c.government.find(h); ok {
			continue
		}
		switch class, _ := c.exchangers.find(h); {
		case class == mohar.ClassForeignWebmail:
			return class
		case class == mohar.ClassPrivateCloud:
			worst = class
		}
	}
	return worst
}

// Classify is Class of a Classifier made for the one question.
func Classify(domain string, mx []string, l *Lists) (mohar.DomainClass, error) {
	c, err := NewClassifier(l)
	if err != nil {
		return mohar.ClassUnknown, err
	}
	return c.Class(domain, mx), nil
}
