// Package fault gives errors a kind that doors map to their own replies, a
// public line that may be shown to the person, and a private cause for the log.
package fault

import (
	"context"
	"errors"
	"fmt"

	mohar "github.com/mohar-mail/mohar"
)

// Kind says what sort of failure an error is. Each door has one table from
// kinds to its own replies.
type Kind uint8

// The kinds.
const (
	Internal    Kind = iota // our defect or an unknown cause
	NotFound                // the thing named does not exist
	Exists                  // the thing to be made exists already
	Invalid                 // the input does not follow its grammar or limits
	Denied                  // not allowed for this principal
	Refused                 // a policy decision says no; see Decision
	Auth                    // wrong credentials
	TooLarge                // over a size limit
	TooMany                 // over a count or rate limit
	OverQuota               // the mailbox is full
	Conflict                // somebody changed it in between; retry may help
	Unavailable             // a resource is out of reach for now (disk full, database away)
	Timeout                 // it took too long
	Corrupt                 // stored data fails its checksum
	Unsupported             // a valid request that we do not serve
	NoSpace                 // the disk is full, or nearly: Unavailable until somebody makes room
)

var kindNames = [...]string{"internal", "not found", "exists", "invalid", "denied", "refused", "auth",
	"too large", "too many", "over quota", "conflict", "unavailable", "timeout", "corrupt", "unsupported", "no space"}

// String gives the kind in words, for logs.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind-%d", uint8(k))
}

// Error is an error with a kind. Public may be shown to anyone who talks to the
// door; Cause never leaves the log.
type Error struct {
	Kind   Kind
	Op     string // the operation in words, for the log: "mailbox.Add"
	Public string // one sentence without names of internals
	Cause  error
	// Decision is set for Refused, so that doors can show the reasons.
	Decision *mohar.Decision
}

// Error gives the operation, the public line and the cause: the form for logs.
func (e *Error) Error() string {
	s := e.Kind.String()
	if e.Op != "" {
		s = e.Op + ": " + s
	}
	if e.Public != "" {
		s += ": " + e.Public
	}
	if e.Cause != nil {
		s += ": " + e.Cause.Error()
	}
	return s
}

// Unwrap gives the private cause.
func (e *Error) Unwrap() error { return e.Cause }

// New makes an error that has no cause but itself.
func New(k Kind, op, public string) *Error { return &Error{Kind: k, Op: op, Public: public} }

// Wrap gives err a kind, an operation and a public line. A nil err stays nil.
func Wrap(err error, k Kind, op, public string) error {
	if err == nil {
		return nil
	}
	return &Error{Kind: k, Op: op, Public: public, Cause: err}
}

// Refusal makes the error of a policy decision.
func Refusal(op string, d *mohar.Decision) *Error {
	e := &Error{Kind: Refused, Op: op, Decision: d}
	if len(d.Reasons) > 0 {
		e.Public = d.Reasons[0].What.En
	}
	return e
}

// KindOf finds the kind of err: that of the outermost Error in its chain,
// Timeout for an expired context, Internal for anything else.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return Timeout
	}
	return Internal
}

// Is says whether err is of kind k.
func Is(err error, k Kind) bool { return err != nil && KindOf(err) == k }

// Public gives the sentence that may be shown; a general one where err has none.
func Public(err error) string {
	var e *Error
	if errors.As(err, &e) && e.Public != "" {
		return e.Public
	}
	return "The server could not do this now."
}

// DecisionOf gives the decision behind a refusal, or nil.
func DecisionOf(err error) *mohar.Decision {
	var e *Error
	if errors.As(err, &e) {
		return e.Decision
	}
	return nil
}
