// Package policy is the decision point: Decide takes facts and a rulebook, both
// values, and gives a decision with its reasons.
//
// Owns:      the form of a rulebook; the two that are compiled in.
// Trusts:    flow/* to have gathered the facts.
// May touch: nothing. No network, storage or clock: the hour is a fact, so that
// a rulebook can be replayed over past decisions before it is signed.
// Standards: RFC 5321 and RFC 3463 for what flow makes of Refuse (550 5.7.1) and
// of the obligation Defer (451 4.7.1).
package policy

import (
	"net/netip"
	"strings"
	"time"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/policy/detect"
)

// Purpose says why a message wants to leave.
type Purpose string

// The purposes.
const (
	Submit      Purpose = "submit"       // somebody sends it
	AutoForward Purpose = "auto-forward" // a rule, list or delegate sends it on without a person
	System      Purpose = "system"       // the platform itself: bounces, reports
)

// Network is what the installation is connected to.
type Network string

// The network classes (government.md DLP-06).
const (
	Internet Network = "internet"
	Closed   Network = "closed"
)

// Defer is the obligation beside Refuse when the refusal is for now only: the
// sender may try again, as with a domain whose class DNS could not tell yet.
const Defer = "defer"

// Sender is who wants to send.
type Sender struct {
	Address  string         `json:"address"`
	Category mohar.Category `json:"category"`
	// Clearance is the highest label the sender may use; NoLabel takes what
	// the rulebook says for the category.
	Clearance mohar.Label `json:"clearance"`
}

// Recipient is one recipient of the message.
type Recipient struct {
	Address string            `json:"address"`
	Class   mohar.DomainClass `json:"class"`
	// Reply: the message answers mail that came from this very address in the
	// same thread, as the store knows it, not as the message's fields claim.
	Reply bool `json:"reply,omitempty"`
}

// Facts are everything a decision about a message depends on.
type Facts struct {
	Time       time.Time        `json:"time"`
	Network    Network          `json:"network"` // "" is Internet
	Door       mohar.Door       `json:"door"`
	Purpose    Purpose          `json:"purpose"` // "" is Submit
	Sender     Sender           `json:"sender"`
	Label      mohar.Label      `json:"label"` // as declared; NoLabel when nobody said
	Recipients []Recipient      `json:"recipients"`
	Markings   []detect.Marking `json:"markings,omitempty"`
}

// levels are the three readings of a message's label.
type levels struct {
	declared  mohar.Label // what the sender said
	known     mohar.Label // that, or a marking found that is higher
	effective mohar.Label // known, or the rulebook's default where nothing is known
	found     mohar.Label // highest marking found
	ceiling   mohar.Label // what the sender may use
}

func (b *Rulebook) levels(f *Facts) levels {
	l := levels{declared: f.Label, known: f.Label, ceiling: f.Sender.Clearance}
	if b.Markings {
		l.found = detect.Highest(f.Markings)
		l.known = max(l.known, l.found)
	}
	if l.effective = l.known; l.effective == mohar.NoLabel {
		l.effective = b.Unlabelled
	}
	if l.ceiling == mohar.NoLabel {
		l.ceiling = b.clearance(f.Sender.Category)
	}
	return l
}

// Decide applies a rulebook to facts. Every rule that fires is a reason; the
// strictest verdict among them is the decision. A reason names the recipients
// it concerns, so a caller may refuse those alone. A refusal whose reasons all
// come from rules that are for now only has the obligation Defer.
func Decide(b *Rulebook, f *Facts) mohar.Decision {
	d := mohar.Decision{RulebookHash: b.Hash}
	l := b.levels(f)
	final := false
	for i := range b.Rules {
		r := &b.Rules[i]
		who, fires := r.fires(f, &l)
		if !fires {
			continue
		}
		d.Reasons = append(d.Reasons, r.reason(&l, who))
		d.Verdict = max(d.Verdict, r.verdict)
		final = final || r.verdict == mohar.Refuse && !r.Temporary
	}
	if d.Verdict == mohar.Refuse && !final {
		d.Obligations = append(d.Obligations, Defer)
	}
	return d
}

// fires says whether the rule fires and for which recipients; none means the
// whole message.
func (r *Rule) fires(f *Facts, l *levels) (who []string, fires bool) {
	if r.misses(f, l) != "" {
		return nil, false
	}
	if !r.perRecipient() {
		return nil, true
	}
	for i := range f.Recipients {
		if r.missesRecipient(&f.Recipients[i]) == "" {
			who = append(who, f.Recipients[i].Address)
		}
	}
	return who, len(who) > 0
}

// misses names the first condition on the message that is not met; "" where all are.
func (r *Rule) misses(f *Facts, l *levels) string {
	switch {
	case r.Purpose != "" && r.Purpose != f.purpose():
		return "purpose"
	case r.Network != "" && r.Network != f.network():
		return "network"
	case l.known < r.known || l.effective < r.effective:
		return "label"
	case r.Unlabelled && l.known != mohar.NoLabel:
		return "unlabelled"
	case r.AboveClearance && l.effective <= l.ceiling:
		return "above-clearance"
	case r.MarkingAboveLabel && l.found <= max(l.declared, l.unsaid(r)):
		return "marking-above-label"
	}
	return ""
}

// unsaid is what a missing declaration counts as when a marking is compared
// with it: the default, so that "official use only" on mail without a label is
// no contradiction.
func (l *levels) unsaid(r *Rule) mohar.Label {
	if l.declared == mohar.NoLabel {
		return r.book.Unlabelled
	}
	return mohar.NoLabel
}

func (r *Rule) perRecipient() bool { return len(r.classes) > 0 || r.NotReply }

func (r *Rule) missesRecipient(to *Recipient) string {
	if len(r.classes) > 0 {
		in := false
		for _, c := range r.classes {
			in = in || c == to.Class
		}
		if !in {
			return "class"
		}
	}
	if r.NotReply && to.Reply {
		return "reply"
	}
	return ""
}

func (f *Facts) purpose() Purpose {
	if f.Purpose == "" {
		return Submit
	}
	return f.Purpose
}

func (f *Facts) network() Network {
	if f.Network == "" {
		return Internet
	}
	return f.Network
}

// reason gives the rule's sentences with the labels filled in.
func (r *Rule) reason(l *levels, who []string) mohar.Reason {
	fill := func(t mohar.Text) mohar.Text {
		if !strings.Contains(t.En, "{") && !strings.Contains(t.Hi, "{") {
			return t
		}
		eff, found, ceiling := LabelName(l.effective), LabelName(l.found), LabelName(l.ceiling)
		return mohar.Text{
			En: strings.NewReplacer("{label}", eff.En, "{found}", found.En, "{ceiling}", ceiling.En).Replace(t.En),
			Hi: strings.NewReplacer("{label}", eff.Hi, "{found}", found.Hi, "{ceiling}", ceiling.Hi).Replace(t.Hi),
		}
	}
	return mohar.Reason{Rule: r.ID, What: fill(r.What), Advice: fill(r.Advice), Recipients: who}
}

// LabelName gives a label as people read it.
func LabelName(l mohar.Label) mohar.Text {
	switch l {
	case mohar.Open:
		return mohar.Text{En: "Open", Hi: "अवर्गीकृत"}
	case mohar.Official:
		return mohar.Text{En: "Official", Hi: "केवल सरकारी उपयोग के लिए"}
	case mohar.Restricted:
		return mohar.Text{En: "Restricted", Hi: "प्रतिबंधित"}
	case mohar.Confidential:
		return mohar.Text{En: "Confidential", Hi: "गोपनीय"}
	case mohar.Secret:
		return mohar.Text{En: "Secret", Hi: "गुप्त"}
	case mohar.TopSecret:
		return mohar.Text{En: "Top Secret", Hi: "परम गुप्त"}
	}
	return mohar.Text{En: "no label", Hi: "बिना वर्गीकरण"}
}

// SigninFacts are everything a decision about a sign-in depends on, once the
// password was right.
type SigninFacts struct {
	Time      time.Time      `json:"time"`
	Door      mohar.Door     `json:"door"`
	Category  mohar.Category `json:"category"`
	Remote    netip.Addr     `json:"remote"`
	TLS       bool           `json:"tls"`
	Disabled  bool           `json:"disabled"`
	Until     time.Time      `json:"until"`     // end of the account; zero: none
	Suspended bool           `json:"suspended"` // the account's domain is not live
	Doors     []mohar.Door   `json:"doors"`     // doors allowed; empty: all
}

// DecideSignin applies a rulebook to a sign-in.
func DecideSignin(b *Rulebook, f *SigninFacts) mohar.Decision {
	d := mohar.Decision{RulebookHash: b.Hash}
	for i := range b.Signin {
		r := &b.Signin[i]
		if !r.fires(f) {
			continue
		}
		d.Reasons = append(d.Reasons, mohar.Reason{Rule: r.ID, What: r.What, Advice: r.Advice})
		d.Verdict = mohar.Refuse
	}
	return d
}

func (r *SigninRule) fires(f *SigninFacts) bool {
	switch {
	case len(r.Doors) > 0 && !hasDoor(r.Doors, f.Door):
		return false
	case len(r.categories) > 0 && !hasCategory(r.categories, f.Category):
		return false
	}
	switch r.When {
	case "disabled":
		return f.Disabled
	case "ended":
		return !f.Until.IsZero() && !f.Time.Before(f.Until)
	case "domain-suspended":
		return f.Suspended
	case "door-not-allowed":
		return len(f.Doors) > 0 && !hasDoor(f.Doors, f.Door)
	case "plaintext":
		return !f.TLS && !f.Remote.Unmap().IsLoopback()
	case "outside-networks":
		return !r.inside(f.Remote)
	}
	return false
}

// inside says whether an address is in the rule's networks. Loopback is the
// machine itself.
func (r *SigninRule) inside(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	if a.IsLoopback() {
		return true
	}
	for _, p := range r.networks {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

func hasDoor(ds []mohar.Door, d mohar.Door) bool {
	for _, x := range ds {
		if x == d {
			return true
		}
	}
	return false
}

func hasCategory(cs []mohar.Category, c mohar.Category) bool {
	for _, x := range cs {
		if x == c {
			return true
		}
	}
	return false
}
