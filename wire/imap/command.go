package imap

import (
	"encoding/base64"
	"strings"
	"time"
)

// Command is one parsed command. Args is a pointer to the type that the
// command's name stands for (*Login, *Fetch ...), nil for commands without
// arguments.
type Command struct {
	Tag  string
	Name string // upper case; for "UID FETCH" the name is "FETCH" and Args.UID is set
	UID  bool   // the command came as UID ...
	Args any
}

// Login is LOGIN.
type Login struct{ User, Password string }

// Authenticate is AUTHENTICATE. Initial is the decoded initial response
// (RFC 4959), nil when there was none and empty for "=".
type Authenticate struct {
	Mechanism string
	Initial   []byte
}

// Enable is ENABLE; names in upper case.
type Enable struct{ Names []string }

// ID is ID (RFC 2971); nil Fields for NIL.
type ID struct{ Fields map[string]string }

// Mailbox is a command with one mailbox name: DELETE, SUBSCRIBE, UNSUBSCRIBE, GETQUOTAROOT.
type Mailbox struct{ Name string }

// Create is CREATE; Use is the special use asked for (RFC 6154 section 3), "" for none.
type Create struct {
	Name string
	Use  string
}

// Rename is RENAME.
type Rename struct{ From, To string }

// Quota is GETQUOTA: a quota root.
type Quota struct{ Root string }

// Status is STATUS; items in upper case and known to the parser.
type Status struct {
	Name  string
	Items []string
}

// Select is SELECT or EXAMINE.
type Select struct {
	Name      string
	ReadOnly  bool
	CondStore bool
	QResync   *QResync
}

// QResync is the parameter of RFC 7162 section 3.2.5.
type QResync struct {
	UIDValidity uint32
	ModSeq      uint64
	Known       *NumSet // known UIDs; nil: all
	MatchSeq    *NumSet // message sequence match data; nil: none
	MatchUID    *NumSet
}

// Copy is COPY or MOVE.
type Copy struct {
	UID  bool
	Set  NumSet
	Dest string
}

// Expunge is EXPUNGE, or UID EXPUNGE with a set.
type Expunge struct {
	UID bool
	Set NumSet
}

// StoreMode says what STORE does with the flags.
type StoreMode uint8

// The modes of STORE.
const (
	StoreReplace StoreMode = iota
	StoreAdd
	StoreRemove
)

// Store is STORE or UID STORE.
type Store struct {
	UID            bool
	Set            NumSet
	Mode           StoreMode
	Silent         bool
	Flags          Flags
	UnchangedSince *uint64 // RFC 7162 section 3.1.3
}

// Append is APPEND up to its message literal. Date is zero when not given.
// UTF8 means the form UTF8 (~{n}...) of RFC 6855 section 4.
type Append struct {
	Name  string
	Flags Flags
	Date  time.Time
	UTF8  bool
}

type parseFunc func(p *Parser, uid bool) (any, error)

func none(p *Parser, _ bool) (any, error) { return nil, p.End() }

// parsers maps a name to its parser. APPEND has its own way (ParseAppend).
var parsers = map[string]parseFunc{
	"CAPABILITY": none, "NOOP": none, "LOGOUT": none, "STARTTLS": none, "CHECK": none, "CLOSE": none,
	"UNSELECT": none, "IDLE": none, "NAMESPACE": none,
	"LOGIN": parseLogin, "AUTHENTICATE": parseAuthenticate, "ENABLE": parseEnable, "ID": parseID,
	"SELECT":  func(p *Parser, _ bool) (any, error) { return parseSelect(p, false) },
	"EXAMINE": func(p *Parser, _ bool) (any, error) { return parseSelect(p, true) },
	"CREATE":  parseCreate, "DELETE": parseMailbox, "RENAME": parseRename,
	"SUBSCRIBE": parseMailbox, "UNSUBSCRIBE": parseMailbox, "GETQUOTAROOT": parseMailbox,
	"GETQUOTA": parseQuota, "STATUS": parseStatus, "LIST": parseList,
	"LSUB": parseLsub,
	"COPY": parseCopy, "MOVE": parseCopy, "FETCH": parseFetch, "STORE": parseStore,
	"SEARCH": parseSearch, "EXPUNGE": parseExpunge,
}

// uidCommands are those that may follow UID.
var uidCommands = map[string]bool{"COPY": true, "MOVE": true, "FETCH": true, "STORE": true, "SEARCH": true, "EXPUNGE": true}

// ParseCommand reads a whole command without its final CRLF. On error the
// command still carries the tag, when there was one, so that it can be
// answered with BAD. For APPEND it stops before the message literal.
func ParseCommand(p *Parser) (Command, error) {
	var c Command
	var err error
	if c.Tag, err = p.Tag(); err != nil {
		return c, err
	}
	if err = p.SP(); err != nil {
		return c, err
	}
	name, err := p.Atom()
	if err != nil {
		return c, p.fail("command name expected")
	}
	c.Name = strings.ToUpper(name)
	if c.Name == "UID" {
		c.UID = true
		if err = p.SP(); err != nil {
			return c, err
		}
		name, _ = p.Atom()
		c.Name = strings.ToUpper(name)
		if !uidCommands[c.Name] {
			return c, p.fail("unknown UID command")
		}
	}
	if c.Name == "APPEND" {
		c.Args, err = parseAppend(p)
		return c, err
	}
	parse, ok := parsers[c.Name]
	if !ok {
		return c, p.fail("unknown command")
	}
	// Clients exist that end a line with a space.
	for len(p.b) > p.pos && p.b[len(p.b)-1] == ' ' && !p.endsInLiteral() {
		p.b = p.b[:len(p.b)-1]
	}
	c.Args, err = parse(p, c.UID)
	return c, err
}

// endsInLiteral says whether the command may end inside a literal, whose
// trailing spaces are content.
func (p *Parser) endsInLiteral() bool {
	for _, ch := range p.b {
		if ch == '\n' {
			return true
		}
	}
	return false
}

func parseLogin(p *Parser, _ bool) (any, error) {
	var l Login
	var err error
	if err = p.SP(); err != nil {
		return nil, err
	}
	if l.User, err = p.AString(); err != nil {
		return nil, err
	}
	if err = p.SP(); err != nil {
		return nil, err
	}
	if l.Password, err = p.AString(); err != nil {
		return nil, err
	}
	return &l, p.End()
}

func parseAuthenticate(p *Parser, _ bool) (any, error) {
	var a Authenticate
	var err error
	if err = p.SP(); err != nil {
		return nil, err
	}
	if a.Mechanism, err = p.Atom(); err != nil {
		return nil, err
	}
	a.Mechanism = strings.ToUpper(a.Mechanism)
	if p.AtEnd() {
		return &a, nil
	}
	if err = p.SP(); err != nil {
		return nil, err
	}
	rest := string(p.b[p.pos:])
	p.pos = len(p.b)
	if rest == "=" {
		a.Initial = []byte{}
		return &a, nil
	}
	if a.Initial, err = base64.StdEncoding.DecodeString(rest); err != nil {
		return nil, p.fail("base64 expected")
	}
	return &a, nil
}

func parseEnable(p *Parser, _ bool) (any, error) {
	var e Enable
	for !p.AtEnd() {
		if err := p.SP(); err != nil {
			return nil, err
		}
		a, err := p.Atom()
		if err != nil {
			return nil, err
		}
		if len(e.Names) >= MaxCapNames {
			return nil, p.fail("too many capabilities")
		}
		e.Names = append(e.Names, strings.ToUpper(a))
	}
	if len(e.Names) == 0 {
		return nil, p.fail("capability expected")
	}
	return &e, nil
}

func parseID(p *Parser, _ bool) (any, error) {
	if err := p.SP(); err != nil {
		return nil, err
	}
	if p.word("NIL") {
		return &ID{}, p.End()
	}
	id := &ID{Fields: map[string]string{}}
	key, haveKey, count := "", false, 0
	err := p.list(func() error {
		if !haveKey {
			k, err := p.String()
			key, haveKey = strings.ToLower(k), true
			return err
		}
		v, ok, err := p.NString()
		if count++; count > MaxIDFields {
			return p.fail("too many ID fields")
		}
		if ok {
			id.Fields[key] = v
		}
		haveKey = false
		return err
	})
	if err == nil && haveKey {
		err = p.fail("ID value expected")
	}
	if err != nil {
		return nil, err
	}
	return id, p.End()
}
