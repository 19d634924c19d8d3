package policy

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/base/fault"
)

// Limits of a rulebook.
const (
	MaxRulebook = 1 << 20 // bytes
	MaxRules    = 500
)

// Rulebook is a version of the rules, as read from JSON. It is not changed
// after Parse and safe for concurrent use.
type Rulebook struct {
	Name    string `json:"name"`
	Version int    `json:"version"`
	Hash    string `json:"-"` // "sha256:" and the hash of the exact bytes

	// UnlabelledAs is what mail without a label counts as; "" leaves it without.
	UnlabelledAs string      `json:"unlabelled,omitempty"`
	Unlabelled   mohar.Label `json:"-"`
	// Markings: labels written into subject and text count.
	Markings bool `json:"markings"`
	// Clearance is the highest label by category; "*" is everyone else.
	Clearance map[string]string `json:"clearance"`
	clear     map[mohar.Category]mohar.Label
	others    mohar.Label

	Rules  []Rule       `json:"rules"`
	Signin []SigninRule `json:"signin"`
}

// Rule is one rule about messages. All its conditions must be met; those on
// recipients choose the recipients it fires for.
type Rule struct {
	ID      string  `json:"id"`
	Purpose Purpose `json:"purpose,omitempty"`
	Network Network `json:"network,omitempty"`
	// Known: declared or found in a marking, at least this label.
	Known string `json:"known,omitempty"`
	// Effective: as Known, where what is unlabelled counts as the default.
	Effective string `json:"effective,omitempty"`
	// Unlabelled: nobody said, and no marking was found.
	Unlabelled        bool     `json:"unlabelled,omitempty"`
	AboveClearance    bool     `json:"above-clearance,omitempty"`
	MarkingAboveLabel bool     `json:"marking-above-label,omitempty"`
	Classes           []string `json:"classes,omitempty"`
	NotReply          bool     `json:"not-reply,omitempty"` // only recipients that are not being answered

	Verdict   string     `json:"verdict"`
	Temporary bool       `json:"temporary,omitempty"` // the refusal is for now only
	What      mohar.Text `json:"what"`
	Advice    mohar.Text `json:"advice"`

	book             *Rulebook
	verdict          mohar.Verdict
	known, effective mohar.Label
	classes          []mohar.DomainClass
}

// SigninRule refuses sign-ins.
type SigninRule struct {
	ID         string       `json:"id"`
	When       string       `json:"when"` // disabled, ended, domain-suspended, door-not-allowed, plaintext, outside-networks
	Doors      []mohar.Door `json:"doors,omitempty"`
	Categories []string     `json:"categories,omitempty"`
	Networks   []string     `json:"networks,omitempty"` // of outside-networks, as CIDR
	What       mohar.Text   `json:"what"`
	Advice     mohar.Text   `json:"advice"`

	categories []mohar.Category
	networks   []netip.Prefix
}

//go:embed rulebooks/*.json
var rulebooks embed.FS

// Names of the rulebooks that are compiled in.
const (
	State = "state" // the rules of a government
	Base  = "base"  // what no domain may do without
)

// Builtin gives a rulebook that is compiled in; fault.NotFound for any other name.
func Builtin(name string) (*Rulebook, error) {
	b, err := rulebooks.ReadFile("rulebooks/" + name + ".json")
	if err != nil {
		return nil, fault.Wrap(err, fault.NotFound, "policy.Builtin", fmt.Sprintf("There is no rulebook %q.", name))
	}
	return Parse(b)
}

// Parse reads a rulebook. Unknown fields, labels, classes and verdicts are
// errors (fault.Invalid): a rule that is misspelt must not silently never fire.
func Parse(data []byte) (*Rulebook, error) {
	if len(data) > MaxRulebook {
		return nil, fault.New(fault.TooLarge, "policy.Parse", "The rulebook is too large.")
	}
	b := &Rulebook{}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	err := dec.Decode(b)
	if err == nil && dec.More() {
		err = errors.New("text after the end")
	}
	if err == nil {
		err = b.compile()
	}
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "policy.Parse", "The rulebook has a mistake: "+err.Error())
	}
	sum := sha256.Sum256(data)
	b.Hash = "sha256:" + hex.EncodeToString(sum[:])
	return b, nil
}

func (b *Rulebook) compile() (err error) {
	if b.Name == "" || b.Version < 1 {
		return errors.New("no name or version")
	}
	if len(b.Rules) > MaxRules || len(b.Signin) > MaxRules {
		return errors.New("too many rules")
	}
	if b.Unlabelled, err = mohar.ParseLabel(b.UnlabelledAs); err != nil {
		return err
	}
	b.clear = map[mohar.Category]mohar.Label{}
	for name, label := range b.Clearance {
		l, err := mohar.ParseLabel(label)
		if err != nil {
			return err
		}
		if name == "*" {
			b.others = l
			continue
		}
		c, err := mohar.ParseCategory(name)
		if err != nil {
			return err
		}
		b.clear[c] = l
	}
	seen := map[string]bool{}
	for i := range b.Rules {
		if err := b.Rules[i].compile(b, seen); err != nil {
			return fmt.Errorf("rule %q: %w", b.Rules[i].ID, err)
		}
	}
	for i := range b.Signin {
		if err := b.Signin[i].compile(seen); err != nil {
			return fmt.Errorf("rule %q: %w", b.Signin[i].ID, err)
		}
	}
	return nil
}

// sentences makes sure that whoever is refused can read why and what to do.
func sentences(id string, seen map[string]bool, what, advice mohar.Text) error {
	if id == "" || seen[id] {
		return errors.New("no id, or one that stands twice")
	}
	seen[id] = true
	if what.En == "" || what.Hi == "" || advice.En == "" || advice.Hi == "" {
		return errors.New("a sentence or its translation is missing")
	}
	return nil
}

func (r *Rule) compile(b *Rulebook, seen map[string]bool) (err error) {
	if err := sentences(r.ID, seen, r.What, r.Advice); err != nil {
		return err
	}
	r.book = b
	if !slices.Contains([]Purpose{"", Submit, AutoForward, System}, r.Purpose) || !slices.Contains([]Network{"", Internet, Closed}, r.Network) {
		return errors.New("unknown purpose or network")
	}
	if r.known, err = mohar.ParseLabel(r.Known); err != nil {
		return err
	}
	if r.effective, err = mohar.ParseLabel(r.Effective); err != nil {
		return err
	}
	r.verdict = mohar.Allow
	for v := mohar.AskReason; v <= mohar.Refuse; v++ {
		if v.String() == r.Verdict {
			r.verdict = v
		}
	}
	if r.verdict == mohar.Allow {
		return fmt.Errorf("verdict %q", r.Verdict)
	}
	for _, name := range r.Classes {
		c, err := parseClass(name)
		if err != nil {
			return err
		}
		r.classes = append(r.classes, c)
	}
	return nil
}

func (r *SigninRule) compile(seen map[string]bool) error {
	if err := sentences(r.ID, seen, r.What, r.Advice); err != nil {
		return err
	}
	if !slices.Contains([]string{"disabled", "ended", "domain-suspended", "door-not-allowed", "plaintext", "outside-networks"}, r.When) {
		return fmt.Errorf("condition %q", r.When)
	}
	for _, name := range r.Categories {
		c, err := mohar.ParseCategory(name)
		if err != nil {
			return err
		}
		r.categories = append(r.categories, c)
	}
	for _, n := range r.Networks {
		p, err := netip.ParsePrefix(n)
		if err != nil {
			return err
		}
		r.networks = append(r.networks, p)
	}
	if (r.When == "outside-networks") != (len(r.networks) > 0) {
		return errors.New("networks belong to outside-networks, and it needs them")
	}
	return nil
}

func parseClass(name string) (mohar.DomainClass, error) {
	for c := mohar.ClassUnknown; c <= mohar.ClassOther; c++ {
		if c.String() == name {
			return c, nil
		}
	}
	return 0, fmt.Errorf("unknown class %q", name)
}

func (b *Rulebook) clearance(c mohar.Category) mohar.Label {
	if l, ok := b.clear[c]; ok {
		return l
	}
	return b.others
}

// Title gives name and version for people: "state 1".
func (b *Rulebook) Title() string { return fmt.Sprintf("%s %d", b.Name, b.Version) }
