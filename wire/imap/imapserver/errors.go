package imapserver

import (
	"github.com/mohar-mail/mohar/base/fault"
)

// kindReplies is the one table from kinds of failure to answers: status and
// response code (RFC 5530, RFC 9051 section 7.1).
var kindReplies = map[fault.Kind][2]string{
	fault.Internal:    {"NO", "SERVERBUG"},
	fault.NotFound:    {"NO", "NONEXISTENT"},
	fault.Exists:      {"NO", "ALREADYEXISTS"},
	fault.Invalid:     {"NO", "CANNOT"},
	fault.Denied:      {"NO", "NOPERM"},
	fault.Refused:     {"NO", "NOPERM"},
	fault.Auth:        {"NO", "AUTHENTICATIONFAILED"},
	fault.TooLarge:    {"NO", "TOOBIG"}, // RFC 7889 section 4 and RFC 4469 section 4.2
	fault.TooMany:     {"NO", "LIMIT"},
	fault.OverQuota:   {"NO", "OVERQUOTA"},
	fault.Conflict:    {"NO", "INUSE"},
	fault.Unavailable: {"NO", "UNAVAILABLE"},
	fault.NoSpace:     {"NO", "UNAVAILABLE"},
	fault.Timeout:     {"NO", "UNAVAILABLE"},
	fault.Corrupt:     {"NO", "CORRUPTION"},
	fault.Unsupported: {"NO", "CANNOT"},
}

// replyFor gives the answer to an error. A policy refusal names its rule first,
// so that the person can ask about it: "<rule> sentence".
func replyFor(err error) (status, code, text string) {
	r := kindReplies[fault.KindOf(err)]
	text = fault.Public(err)
	if d := fault.DecisionOf(err); d != nil && len(d.Reasons) > 0 {
		text = "<" + d.Reasons[0].Rule + "> " + d.Reasons[0].What.En
		if a := d.Reasons[0].Advice.En; a != "" {
			text += " " + a
		}
	}
	return r[0], r[1], text
}
