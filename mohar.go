// Package mohar is the vocabulary of the platform: the few types that every
// room speaks of. It holds no behaviour beyond parsing and printing its own
// words, and imports nothing of the project.
package mohar

import "fmt"

// AccountID names one account for its whole life. It is opaque, never reused
// and never shown to correspondents; addresses come and go around it.
type AccountID string

// Label is the classification of a message, from lowest to highest.
type Label uint8

// The labels, in rising order. NoLabel means that nobody has said.
const (
	NoLabel Label = iota
	Open
	Official
	Restricted
	Confidential
	Secret
	TopSecret
)

var labelNames = [...]string{"", "open", "official", "restricted", "confidential", "secret", "top-secret"}

// String gives the label as it stands in the Mohar-Label field; "" for NoLabel.
func (l Label) String() string {
	if int(l) < len(labelNames) {
		return labelNames[l]
	}
	return fmt.Sprintf("label-%d", uint8(l))
}

// ParseLabel reads a value of the Mohar-Label field, in lower case and without
// surrounding space. The empty string is NoLabel; an unknown word is an error.
func ParseLabel(s string) (Label, error) {
	for i, n := range labelNames {
		if n == s {
			return Label(i), nil
		}
	}
	return NoLabel, fmt.Errorf("unknown label %q", s)
}

// Category says what kind of user an account belongs to.
type Category uint8

// The categories of government.md GOV-02, and the two without a person.
const (
	NoCategory Category = iota
	Employee
	Contractual
	Consultant
	Partner
	ThirdParty
	Functional  // an office's shared address
	Application // a program
)

var categoryNames = [...]string{"", "employee", "contractual", "consultant", "partner", "third-party", "functional", "application"}

// String gives the category as the command line spells it.
func (c Category) String() string {
	if int(c) < len(categoryNames) {
		return categoryNames[c]
	}
	return fmt.Sprintf("category-%d", uint8(c))
}

// ParseCategory reads a category as the command line spells it.
func ParseCategory(s string) (Category, error) {
	for i, n := range categoryNames {
		if n == s && i > 0 {
			return Category(i), nil
		}
	}
	return NoCategory, fmt.Errorf("unknown category %q", s)
}

// DomainClass says what a recipient's domain is to the state.
type DomainClass uint8

// The classes of recipient domains.
const (
	ClassUnknown        DomainClass = iota // nobody could say (for example: DNS did not answer)
	ClassOwn                               // a live domain of this installation
	ClassGovernment                        // another government's domain
	ClassForeignWebmail                    // Gmail, Yahoo, Rediff and the like, by list or by MX
	ClassPrivateCloud                      // mail relays of private clouds
	ClassOther                             // companies, schools, everyone else
)

var classNames = [...]string{"unknown", "own", "government", "foreign-webmail", "private-cloud", "other"}

// String gives the class as rulebooks spell it.
func (c DomainClass) String() string {
	if int(c) < len(classNames) {
		return classNames[c]
	}
	return fmt.Sprintf("class-%d", uint8(c))
}

// Verdict is what a decision says.
type Verdict uint8

// The verdicts, from mildest to strictest.
const (
	Allow Verdict = iota
	AskReason
	Hold
	Quarantine
	Refuse
)

var verdictNames = [...]string{"allow", "ask-reason", "hold", "quarantine", "refuse"}

// String gives the verdict as rulebooks and the audit log spell it.
func (v Verdict) String() string {
	if int(v) < len(verdictNames) {
		return verdictNames[v]
	}
	return fmt.Sprintf("verdict-%d", uint8(v))
}

// Text is one sentence in the two languages of the platform.
type Text struct {
	En string `json:"en" cbor:"1,keyasint"`
	Hi string `json:"hi" cbor:"2,keyasint"`
}

// In gives the sentence in the language of a BCP 47 tag; English where the tag
// is not Hindi.
func (t Text) In(lang string) string {
	if len(lang) >= 2 && (lang[0]|0x20) == 'h' && (lang[1]|0x20) == 'i' && t.Hi != "" {
		return t.Hi
	}
	return t.En
}

// Reason is one rule that fired, in words that the person concerned can act on.
type Reason struct {
	Rule   string `json:"rule" cbor:"1,keyasint"`   // id of the rule, for example "DLP-FOREIGN-OFFICIAL"
	What   Text   `json:"what" cbor:"2,keyasint"`   // what was refused or asked, and why
	Advice Text   `json:"advice" cbor:"3,keyasint"` // what to do instead
	// Recipients are the addresses concerned; empty means the whole message.
	Recipients []string `json:"recipients,omitempty" cbor:"4,keyasint,omitempty"`
}

// Decision is the answer of the decision point.
type Decision struct {
	Verdict      Verdict  `json:"verdict" cbor:"1,keyasint"`
	Reasons      []Reason `json:"reasons,omitempty" cbor:"2,keyasint,omitempty"`
	Obligations  []string `json:"obligations,omitempty" cbor:"3,keyasint,omitempty"`
	RulebookHash string   `json:"rulebook" cbor:"4,keyasint"`
}

// Recipient is one RCPT TO of an envelope.
type Recipient struct {
	Address string `json:"address" cbor:"1,keyasint"`                    // mailbox as given, without angle brackets
	Notify  string `json:"notify,omitempty" cbor:"2,keyasint,omitempty"` // RFC 3461 NOTIFY as given, "" when absent
	ORcpt   string `json:"orcpt,omitempty" cbor:"3,keyasint,omitempty"`  // RFC 3461 ORCPT "type;xtext" as given
}

// Envelope is what RFC 5321 says beside the content.
type Envelope struct {
	From       string      `json:"from" cbor:"1,keyasint"` // reverse-path without angle brackets; "" is the null path
	To         []Recipient `json:"to" cbor:"2,keyasint"`
	EightBit   bool        `json:"eightbit,omitempty" cbor:"3,keyasint,omitempty"` // BODY=8BITMIME
	SMTPUTF8   bool        `json:"smtputf8,omitempty" cbor:"4,keyasint,omitempty"` // RFC 6531
	RequireTLS bool        `json:"requiretls,omitempty" cbor:"5,keyasint,omitempty"`
	EnvID      string      `json:"envid,omitempty" cbor:"6,keyasint,omitempty"` // RFC 3461 ENVID, xtext as given
	Ret        string      `json:"ret,omitempty" cbor:"7,keyasint,omitempty"`   // RFC 3461 RET: "FULL", "HDRS" or ""
}

// Door names the way by which somebody came in.
type Door string

// The doors.
const (
	DoorMX         Door = "mx"
	DoorSubmission Door = "submission"
	DoorLMTP       Door = "lmtp"
	DoorIMAP       Door = "imap"
	DoorJMAP       Door = "jmap"
	DoorWeb        Door = "web"
	DoorPOP        Door = "pop"
	DoorSieve      Door = "sieve"
	DoorAdmin      Door = "admin"
	DoorSystem     Door = "system" // the platform itself: bounces, reports
)
