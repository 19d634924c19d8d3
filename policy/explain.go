package policy

import (
	mohar "github.com/mohar-mail/mohar"
)

// Explanation is a decision with the way to it, for `mohar policy explain` and
// for the writer of a message.
type Explanation struct {
	Rulebook  string         `json:"rulebook"` // name and version: "state 1"
	Hash      string         `json:"hash"`
	Declared  string         `json:"declared"`  // label as declared; "" for none
	Found     string         `json:"found"`     // highest marking; "" for none
	Effective string         `json:"effective"` // what the message counts as
	Ceiling   string         `json:"ceiling"`   // what the sender may use
	Decision  mohar.Decision `json:"decision"`
	Verdict   string         `json:"verdict"` // Decision.Verdict in words
	Deferred  bool           `json:"deferred"`
	Steps     []Step         `json:"steps"`
}

// Step is one rule and what became of it.
type Step struct {
	Rule    string `json:"rule"`
	Verdict string `json:"verdict"` // what the rule would say
	Fired   bool   `json:"fired"`
	// Unmet is the first condition that was not met: purpose, network, label,
	// unlabelled, above-clearance, marking-above-label, or recipients.
	Unmet      string          `json:"unmet,omitempty"`
	Recipients []RecipientStep `json:"recipients,omitempty"`
}

// RecipientStep is what became of one recipient under a rule.
type RecipientStep struct {
	Address string `json:"address"`
	Class   string `json:"class"`
	Fired   bool   `json:"fired"`
	Unmet   string `json:"unmet,omitempty"` // class or reply
}

// Explain decides and says why each rule fired or did not.
func Explain(b *Rulebook, f *Facts) Explanation {
	l := b.levels(f)
	e := Explanation{
		Rulebook: b.Title(), Hash: b.Hash, Declared: l.declared.String(), Found: l.found.String(),
		Effective: l.effective.String(), Ceiling: l.ceiling.String(), Decision: Decide(b, f),
	}
	e.Verdict = e.Decision.Verdict.String()
	e.Deferred = Deferred(e.Decision)
	for i := range b.Rules {
		r := &b.Rules[i]
		s := Step{Rule: r.ID, Verdict: r.verdict.String(), Unmet: r.misses(f, &l)}
		switch {
		case s.Unmet != "":
		case !r.perRecipient():
			s.Fired = true
		default:
			for k := range f.Recipients {
				to := &f.Recipients[k]
				m := r.missesRecipient(to)
				s.Recipients = append(s.Recipients, RecipientStep{to.Address, to.Class.String(), m == "", m})
				s.Fired = s.Fired || m == ""
			}
			if !s.Fired {
				s.Unmet = "recipients"
			}
		}
		e.Steps = append(e.Steps, s)
	}
	return e
}

// Deferred says whether a refusal is for now only.
func Deferred(d mohar.Decision) bool {
	for _, o := range d.Obligations {
		if o == Defer {
			return true
		}
	}
	return false
}
