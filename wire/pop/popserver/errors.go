package popserver

import (
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/wire/pop"
)

// kindCodes is the one table from kinds of failure to response codes. Kinds that
// it does not name have none: they are about the request, not about the system.
var kindCodes = map[fault.Kind]string{
	fault.Internal:    pop.CodeSysPerm,
	fault.Corrupt:     pop.CodeSysPerm,
	fault.Unavailable: pop.CodeSysTemp,
	fault.NoSpace:     pop.CodeSysTemp,
	fault.Timeout:     pop.CodeSysTemp,
	fault.Conflict:    pop.CodeSysTemp,
	fault.TooMany:     pop.CodeSysTemp,
	fault.Auth:        pop.CodeAuth,
}

// replyFor gives the answer to an error. A policy refusal names its rule first,
// so that the person can ask about it: "<rule> sentence".
func replyFor(err error) (code, text string) {
	text = fault.Public(err)
	if d := fault.DecisionOf(err); d != nil && len(d.Reasons) > 0 {
		text = "<" + d.Reasons[0].Rule + "> " + d.Reasons[0].What.En
		if a := d.Reasons[0].Advice.En; a != "" {
			text += " " + a
		}
	}
	return kindCodes[fault.KindOf(err)], text
}
