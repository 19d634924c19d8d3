package imap

import (
	"strings"
	"time"
	"unicode/utf8"
)

// SearchOp is the kind of a search key.
type SearchOp uint8

// The search keys of RFC 9051 section 6.4.4 and its extensions. FROM, TO, CC,
// BCC and SUBJECT are SearchHeader; UNSEEN and its like are SearchNot over a
// flag.
const (
	SearchAll        SearchOp = iota
	SearchAnd                 // Keys, all of them
	SearchOr                  // Keys, two
	SearchNot                 // Keys, one
	SearchSeq                 // Set, sequence numbers or "$"
	SearchUID                 // Set, UIDs or "$"
	SearchFlag                // System, one bit
	SearchKeyword             // Text
	SearchHeader              // Header, Text ("" matches every message that has the field)
	SearchBody                // Text
	SearchText                // Text
	SearchBefore              // Date, by internal date without time and zone
	SearchOn                  // Date
	SearchSince               // Date
	SearchSentBefore          // Date, by the Date field
	SearchSentOn              // Date
	SearchSentSince           // Date
	SearchLarger              // Num octets
	SearchSmaller             // Num octets
	SearchYounger             // Num seconds (RFC 5032)
	SearchOlder               // Num seconds (RFC 5032)
	SearchModSeq              // Num (RFC 7162 section 3.1.5)
	SearchEmailID             // Text (RFC 8474)
	SearchThreadID            // Text (RFC 8474)
	SearchNone                // nothing: what asks for \Recent
)

// SearchKey is one node of a search program.
type SearchKey struct {
	Op     SearchOp
	Keys   []SearchKey
	Set    NumSet
	System SystemFlags
	Header string // field name as given
	Text   string // UTF-8
	Num    uint64
	Date   time.Time
}

// SearchReturn are the options of RETURN (RFC 4731, RFC 5182).
type SearchReturn struct {
	Extended                   bool // RETURN was given at all
	Min, Max, All, Count, Save bool
}

// Search is SEARCH or UID SEARCH.
type Search struct {
	UID    bool
	Return SearchReturn
	Key    SearchKey
}

// Walk calls fn for the key and all below it.
func (k *SearchKey) Walk(fn func(*SearchKey)) {
	fn(k)
	for i := range k.Keys {
		k.Keys[i].Walk(fn)
	}
}

func parseSearch(p *Parser, uid bool) (any, error) {
	s := &Search{UID: uid}
	if err := p.SP(); err != nil {
		return nil, err
	}
	if p.word("RETURN") {
		if err := p.searchReturn(&s.Return); err != nil {
			return nil, err
		}
	}
	if p.word("CHARSET") {
		if err := p.SP(); err != nil {
			return nil, err
		}
		cs, err := p.AString()
		if err != nil {
			return nil, err
		}
		if !strings.EqualFold(cs, "UTF-8") && !strings.EqualFold(cs, "US-ASCII") {
			return nil, &CharsetError{Charset: cs}
		}
		if err := p.SP(); err != nil {
			return nil, err
		}
	}
	k, err := p.searchProgram()
	if err != nil {
		return nil, err
	}
	s.Key = k
	return s, p.End()
}

func (p *Parser) searchReturn(r *SearchReturn) error {
	r.Extended = true
	if err := p.SP(); err != nil {
		return err
	}
	err := p.list(func() error {
		switch a, _ := p.Atom(); strings.ToUpper(a) {
		case "MIN":
			r.Min = true
		case "MAX":
			r.Max = true
		case "ALL":
			r.All = true
		case "COUNT":
			r.Count = true
		case "SAVE":
			r.Save = true
		default:
			return p.fail("unknown RETURN option")
		}
		return nil
	})
	if err != nil {
		return err
	}
	// RFC 4731 section 3.1: an empty list means ALL. SAVE alone returns nothing (RFC 5182 section 2.4).
	if !r.Min && !r.Max && !r.Count && !r.Save {
		r.All = true
	}
	return p.SP()
}

// searchProgram reads key *(SP key) to the end of the command.
func (p *Parser) searchProgram() (SearchKey, error) {
	var keys []SearchKey
	for {
		k, err := p.searchKey(0)
		if err != nil {
			return SearchKey{}, err
		}
		keys = append(keys, k)
		if p.AtEnd() {
			break
		}
		if err := p.SP(); err != nil {
			return SearchKey{}, err
		}
		if p.AtEnd() { // a trailing space, which some clients send
			break
		}
	}
	if len(keys) == 1 {
		return keys[0], nil
	}
	return SearchKey{Op: SearchAnd, Keys: keys}, nil
}

func (p *Parser) searchKey(depth int) (SearchKey, error) {
	if depth > MaxSearchDepth {
		return SearchKey{}, p.fail("search is nested too deep")
	}
	if p.keys++; p.keys > MaxSearchKeys {
		return SearchKey{}, p.fail("search has too many keys")
	}
	switch c := p.peek(); {
	case c == '(':
		k := SearchKey{Op: SearchAnd}
		err := p.list(func() error {
			sub, err := p.searchKey(depth + 1)
			k.Keys = append(k.Keys, sub)
			return err
		})
		if err == nil && len(k.Keys) == 0 {
			err = p.fail("search key expected")
		}
		return k, err
	case c == '$' || c == '*' || (c >= '0' && c <= '9'):
		set, err := p.NumSet()
		return SearchKey{Op: SearchSeq, Set: set}, err
	}
	name, err := p.Atom()
	if err != nil {
		return SearchKey{}, p.fail("search key expected")
	}
	name = strings.ToUpper(name)
	if k, ok := flagKeys[name]; ok {
		return k.key(), nil
	}
	if p.AtEnd() {
		return SearchKey{}, p.fail("unknown or unfinished search key")
	}
	if err := p.SP(); err != nil {
		return SearchKey{}, err
	}
	return p.searchArgument(name, depth)
}

// flagKey is a key without argument.
type flagKey struct {
	op     SearchOp
	system SystemFlags
	not    bool
}

func (f flagKey) key() SearchKey {
	k := SearchKey{Op: f.op, System: f.system}
	if f.not {
		return SearchKey{Op: SearchNot, Keys: []SearchKey{k}}
	}
	return k
}

// flagKeys: \Recent is never set, so RECENT and NEW match nothing and OLD all.
var flagKeys = map[string]flagKey{
	"ALL":        {op: SearchAll},
	"ANSWERED":   {op: SearchFlag, system: Answered},
	"DELETED":    {op: SearchFlag, system: Deleted},
	"DRAFT":      {op: SearchFlag, system: Draft},
	"FLAGGED":    {op: SearchFlag, system: Flagged},
	"SEEN":       {op: SearchFlag, system: Seen},
	"UNANSWERED": {op: SearchFlag, system: Answered, not: true},
	"UNDELETED":  {op: SearchFlag, system: Deleted, not: true},
	"UNDRAFT":    {op: SearchFlag, system: Draft, not: true},
	"UNFLAGGED":  {op: SearchFlag, system: Flagged, not: true},
	"UNSEEN":     {op: SearchFlag, system: Seen, not: true},
	"NEW":        {op: SearchNone},
	"RECENT":     {op: SearchNone},
	"OLD":        {op: SearchAll},
}

// argumentOps are the keys with one plain argument.
var argumentOps = map[string]SearchOp{
	"BODY": SearchBody, "TEXT": SearchText, "KEYWORD": SearchKeyword, "UNKEYWORD": SearchKeyword,
	"BCC": SearchHeader, "CC": SearchHeader, "FROM": SearchHeader, "TO": SearchHeader, "SUBJECT": SearchHeader,
	"BEFORE": SearchBefore, "ON": SearchOn, "SINCE": SearchSince,
	"SENTBEFORE": SearchSentBefore, "SENTON": SearchSentOn, "SENTSINCE": SearchSentSince,
	"LARGER": SearchLarger, "SMALLER": SearchSmaller, "YOUNGER": SearchYounger, "OLDER": SearchOlder,
	"EMAILID": SearchEmailID, "THREADID": SearchThreadID, "UID": SearchUID, "MODSEQ": SearchModSeq,
}

func (p *Parser) searchArgument(name string, depth int) (k SearchKey, err error) {
	switch name {
	case "NOT":
		sub, err := p.searchKey(depth + 1)
		return SearchKey{Op: SearchNot, Keys: []SearchKey{sub}}, err
	case "OR":
		return p.searchOr(depth)
	case "HEADER":
		k.Op = SearchHeader
		if k.Header, err = p.AString(); err != nil {
			return k, err
		}
		if err = p.SP(); err != nil {
			return k, err
		}
		k.Text, err = p.searchText()
		return k, err
	}
	op, ok := argumentOps[name]
	if !ok {
		return k, p.fail("unknown search key")
	}
	k.Op = op
	switch op {
	case SearchHeader:
		k.Header = name
		k.Text, err = p.searchText()
	case SearchKeyword:
		if k.Text, err = p.Atom(); err == nil && name == "UNKEYWORD" {
			k = SearchKey{Op: SearchNot, Keys: []SearchKey{k}}
		}
	case SearchBody, SearchText:
		k.Text, err = p.searchText()
	case SearchEmailID, SearchThreadID:
		k.Text, err = p.AString()
	case SearchLarger, SearchSmaller:
		k.Num, err = p.Number64()
	case SearchYounger, SearchOlder:
		var n uint32
		n, err = p.NzNumber()
		k.Num = uint64(n)
	case SearchUID:
		k.Set, err = p.NumSet()
	case SearchModSeq:
		err = p.searchModSeq(&k)
	default:
		k.Date, err = p.Date()
	}
	return k, err
}

func (p *Parser) searchOr(depth int) (SearchKey, error) {
	a, err := p.searchKey(depth + 1)
	if err != nil {
		return a, err
	}
	if err := p.SP(); err != nil {
		return a, err
	}
	b, err := p.searchKey(depth + 1)
	return SearchKey{Op: SearchOr, Keys: []SearchKey{a, b}}, err
}

// searchText reads the argument of a text key; it must be UTF-8 whatever the
// charset says, US-ASCII being a part of it.
func (p *Parser) searchText() (string, error) {
	s, err := p.AString()
	if err == nil && !utf8.ValidString(s) {
		return "", p.fail("search text is not UTF-8")
	}
	return s, err
}

// searchModSeq reads [entry-name SP entry-type SP] number. We keep one
// mod-sequence per message, so name and type are ignored (RFC 7162 section 3.1.5).
func (p *Parser) searchModSeq(k *SearchKey) (err error) {
	if p.peek() == '"' {
		if _, err = p.Quoted(); err != nil {
			return err
		}
		if err = p.SP(); err != nil {
			return err
		}
		if !p.word("priv") && !p.word("shared") && !p.word("all") {
			return p.fail("entry type expected")
		}
		if err = p.SP(); err != nil {
			return err
		}
	}
	k.Num, err = p.Number64()
	return err
}
