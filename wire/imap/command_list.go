package imap

import "strings"

// List is LIST in its plain and its extended form (RFC 5258), and LSUB.
type List struct {
	Lsub      bool
	Reference string   // decoded
	Patterns  []string // decoded; "" asks for the delimiter (RFC 9051 section 6.3.9)
	// Selection options.
	SelSubscribed, SelRemote, SelSpecialUse, SelRecursive bool
	// Return options.
	RetSubscribed, RetChildren, RetSpecialUse bool
	RetStatus                                 []string // STATUS items (RFC 5819), nil: none
	Extended                                  bool     // any option or more than one pattern was given
}

func parseLsub(p *Parser, _ bool) (any, error) {
	l := &List{Lsub: true}
	var err error
	if err = p.SP(); err != nil {
		return nil, err
	}
	if err = p.listNames(l); err != nil {
		return nil, err
	}
	return l, p.End()
}

func parseList(p *Parser, _ bool) (any, error) {
	l := &List{}
	var err error
	if err = p.SP(); err != nil {
		return nil, err
	}
	if p.peek() == '(' {
		l.Extended = true
		if err = p.list(func() error { return p.listSelect(l) }); err != nil {
			return nil, err
		}
		// RFC 5258 section 3.1: RECURSIVEMATCH needs another, base option.
		if l.SelRecursive && !l.SelSubscribed && !l.SelSpecialUse {
			return nil, p.fail("RECURSIVEMATCH needs SUBSCRIBED")
		}
		if err = p.SP(); err != nil {
			return nil, err
		}
	}
	if err = p.listNames(l); err != nil {
		return nil, err
	}
	if p.AtEnd() {
		return l, nil
	}
	if err = p.SP(); err != nil {
		return nil, err
	}
	if !p.word("RETURN") {
		return nil, p.fail("RETURN expected")
	}
	l.Extended = true
	if err = p.SP(); err != nil {
		return nil, err
	}
	if err = p.list(func() error { return p.listReturn(l) }); err != nil {
		return nil, err
	}
	return l, p.End()
}

// listNames reads reference SP pattern, or reference SP "(" patterns ")".
func (p *Parser) listNames(l *List) error {
	ref, err := p.AString()
	if err != nil {
		return err
	}
	if l.Reference, err = p.decodeName(ref); err != nil {
		return err
	}
	if err = p.SP(); err != nil {
		return err
	}
	if p.peek() == '(' && !l.Lsub {
		l.Extended = true
		return p.list(func() error { return p.listPattern(l) })
	}
	return p.listPattern(l)
}

func (p *Parser) listPattern(l *List) error {
	if len(l.Patterns) >= MaxPatterns {
		return p.fail("too many patterns")
	}
	var s string
	var err error
	if c := p.peek(); c == '"' || c == '{' {
		s, err = p.String()
	} else if s = p.span(func(c byte) bool { return isAStringChar(c) || c == '*' || c == '%' }); s == "" {
		err = p.fail("pattern expected")
	}
	if err != nil {
		return err
	}
	if len(s) > MaxNameLength {
		return p.fail("pattern is too long")
	}
	if s, err = p.decodeName(s); err != nil {
		return err
	}
	l.Patterns = append(l.Patterns, s)
	return nil
}

func (p *Parser) listSelect(l *List) error {
	a, _ := p.Atom()
	switch strings.ToUpper(a) {
	case "SUBSCRIBED":
		l.SelSubscribed = true
	case "REMOTE":
		l.SelRemote = true
	case "RECURSIVEMATCH":
		l.SelRecursive = true
	case "SPECIAL-USE":
		l.SelSpecialUse = true
	default:
		return p.fail("unknown LIST option")
	}
	return nil
}

func (p *Parser) listReturn(l *List) (err error) {
	a, _ := p.Atom()
	switch strings.ToUpper(a) {
	case "SUBSCRIBED":
		l.RetSubscribed = true
	case "CHILDREN":
		l.RetChildren = true
	case "SPECIAL-USE":
		l.RetSpecialUse = true
	case "STATUS":
		if err = p.SP(); err != nil {
			return err
		}
		l.RetStatus, err = p.statusList()
		return err
	default:
		return p.fail("unknown LIST return option")
	}
	return nil
}

// MatchPattern says whether a decoded name fits a decoded LIST pattern: "*"
// stands for anything, "%" for anything but the delimiter. The time is bounded
// by len(pattern) * len(name): the pattern comes from a client.
func MatchPattern(pattern, name string) bool {
	// INBOX is matched without case (RFC 9051 section 6.3.9).
	if len(name) >= 5 && strings.EqualFold(name[:5], "INBOX") && len(pattern) >= 5 && strings.EqualFold(pattern[:5], "INBOX") {
		pattern = "INBOX" + pattern[5:]
	}
	// state[i] says that pattern[:j] can have eaten name[:i].
	state := make([]bool, len(name)+1)
	state[0] = true
	for j := 0; j < len(pattern); j++ {
		c := pattern[j]
		if c == '*' || c == '%' {
			for i := 1; i <= len(name); i++ {
				if state[i-1] && (c == '*' || name[i-1] != Delimiter) {
					state[i] = true
				}
			}
			continue
		}
		for i := len(name); i > 0; i-- {
			state[i] = state[i-1] && name[i-1] == c
		}
		state[0] = false
	}
	return state[len(name)]
}
