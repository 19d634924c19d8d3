package imap

import "strings"

func (p *Parser) spMailbox() (string, error) {
	if err := p.SP(); err != nil {
		return "", err
	}
	return p.Mailbox()
}

func parseMailbox(p *Parser, _ bool) (any, error) {
	n, err := p.spMailbox()
	if err != nil {
		return nil, err
	}
	return &Mailbox{Name: n}, p.End()
}

func parseRename(p *Parser, _ bool) (any, error) {
	var r Rename
	var err error
	if r.From, err = p.spMailbox(); err != nil {
		return nil, err
	}
	if r.To, err = p.spMailbox(); err != nil {
		return nil, err
	}
	return &r, p.End()
}

// parseCreate reads CREATE name [(USE (\Role))] (RFC 6154 section 3).
func parseCreate(p *Parser, _ bool) (any, error) {
	var c Create
	var err error
	if c.Name, err = p.spMailbox(); err != nil {
		return nil, err
	}
	if p.AtEnd() {
		return &c, nil
	}
	if err = p.SP(); err != nil {
		return nil, err
	}
	err = p.list(func() error {
		if !p.word("USE") {
			return p.fail("unknown CREATE parameter")
		}
		if err := p.SP(); err != nil {
			return err
		}
		return p.list(func() error {
			if c.Use != "" {
				return p.fail("one special use at most")
			}
			if err := p.expect('\\'); err != nil {
				return err
			}
			a, err := p.Atom()
			c.Use = `\` + a
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return &c, p.End()
}

func parseQuota(p *Parser, _ bool) (any, error) {
	if err := p.SP(); err != nil {
		return nil, err
	}
	r, err := p.AString()
	if err != nil {
		return nil, err
	}
	return &Quota{Root: r}, p.End()
}

var statusItems = map[string]bool{
	"MESSAGES": true, "RECENT": true, "UIDNEXT": true, "UIDVALIDITY": true, "UNSEEN": true, "DELETED": true,
	"SIZE": true, "HIGHESTMODSEQ": true, "MAILBOXID": true, "APPENDLIMIT": true,
}

func (p *Parser) statusList() ([]string, error) {
	var items []string
	err := p.list(func() error {
		a, err := p.Atom()
		if err != nil {
			return err
		}
		a = strings.ToUpper(a)
		if !statusItems[a] {
			return p.fail("unknown STATUS item")
		}
		for _, have := range items {
			if have == a {
				return nil
			}
		}
		items = append(items, a)
		return nil
	})
	if err == nil && len(items) == 0 {
		err = p.fail("STATUS item expected")
	}
	return items, err
}

func parseStatus(p *Parser, _ bool) (any, error) {
	var s Status
	var err error
	if s.Name, err = p.spMailbox(); err != nil {
		return nil, err
	}
	if err = p.SP(); err != nil {
		return nil, err
	}
	if s.Items, err = p.statusList(); err != nil {
		return nil, err
	}
	return &s, p.End()
}

func parseSelect(p *Parser, readOnly bool) (any, error) {
	s := &Select{ReadOnly: readOnly}
	var err error
	if s.Name, err = p.spMailbox(); err != nil {
		return nil, err
	}
	if p.AtEnd() {
		return s, nil
	}
	if err = p.SP(); err != nil {
		return nil, err
	}
	err = p.list(func() error {
		switch {
		case p.word("CONDSTORE"):
			s.CondStore = true
			return nil
		case p.word("QRESYNC") && s.QResync == nil:
			q, err := p.qresync()
			s.QResync = q
			return err
		}
		return p.fail("unknown SELECT parameter")
	})
	if err != nil {
		return nil, err
	}
	return s, p.End()
}

// qresync reads SP "(" uidvalidity SP modseq [SP known-uids] [SP "(" seqs SP uids ")"] ")".
func (p *Parser) qresync() (*QResync, error) {
	q := &QResync{}
	var err error
	if err = p.SP(); err != nil {
		return nil, err
	}
	if err = p.expect('('); err != nil {
		return nil, err
	}
	if q.UIDValidity, err = p.NzNumber(); err != nil {
		return nil, err
	}
	if err = p.SP(); err != nil {
		return nil, err
	}
	// Zero is outside the grammar, but clients that never saw a HIGHESTMODSEQ send it.
	if q.ModSeq, err = p.Number64(); err != nil {
		return nil, err
	}
	for !p.take(')') {
		if err = p.SP(); err != nil {
			return nil, err
		}
		switch {
		case p.peek() == '(' && q.MatchSeq == nil:
			err = p.matchData(q)
		case q.Known == nil && q.MatchSeq == nil:
			q.Known, err = p.fixedSet()
		default:
			err = p.fail("')' expected")
		}
		if err != nil {
			return nil, err
		}
	}
	return q, nil
}

func (p *Parser) matchData(q *QResync) (err error) {
	if err = p.expect('('); err != nil {
		return err
	}
	if q.MatchSeq, err = p.fixedSet(); err != nil {
		return err
	}
	if err = p.SP(); err != nil {
		return err
	}
	if q.MatchUID, err = p.fixedSet(); err != nil {
		return err
	}
	return p.expect(')')
}

// fixedSet is a sequence set in which "*" and "$" are not allowed (RFC 7162 section 7, known-uids).
func (p *Parser) fixedSet() (*NumSet, error) {
	n, err := p.NumSet()
	if err == nil && (n.Saved || n.HasStar()) {
		err = p.fail("a set without * expected")
	}
	return &n, err
}
