package imap

func (p *Parser) spNumSet() (NumSet, error) {
	if err := p.SP(); err != nil {
		return NumSet{}, err
	}
	return p.NumSet()
}

func parseCopy(p *Parser, uid bool) (any, error) {
	c := &Copy{UID: uid}
	var err error
	if c.Set, err = p.spNumSet(); err != nil {
		return nil, err
	}
	if c.Dest, err = p.spMailbox(); err != nil {
		return nil, err
	}
	return c, p.End()
}

func parseExpunge(p *Parser, uid bool) (any, error) {
	e := &Expunge{UID: uid}
	if uid {
		var err error
		if e.Set, err = p.spNumSet(); err != nil {
			return nil, err
		}
	}
	return e, p.End()
}

func parseStore(p *Parser, uid bool) (any, error) {
	s := &Store{UID: uid}
	var err error
	if s.Set, err = p.spNumSet(); err != nil {
		return nil, err
	}
	if err = p.SP(); err != nil {
		return nil, err
	}
	if p.peek() == '(' {
		if err = p.list(func() error { return p.storeModifier(s) }); err != nil {
			return nil, err
		}
		if err = p.SP(); err != nil {
			return nil, err
		}
	}
	switch {
	case p.take('+'):
		s.Mode = StoreAdd
	case p.take('-'):
		s.Mode = StoreRemove
	}
	switch {
	case p.word("FLAGS.SILENT"):
		s.Silent = true
	case p.word("FLAGS"):
	default:
		return nil, p.fail("FLAGS expected")
	}
	if err = p.SP(); err != nil {
		return nil, err
	}
	if p.peek() == '(' {
		s.Flags, err = p.FlagList()
	} else {
		for {
			if err = p.flag(&s.Flags); err != nil || p.AtEnd() {
				break
			}
			if err = p.SP(); err != nil {
				break
			}
		}
	}
	if err != nil {
		return nil, err
	}
	return s, p.End()
}

func (p *Parser) storeModifier(s *Store) error {
	if !p.word("UNCHANGEDSINCE") {
		return p.fail("unknown STORE modifier")
	}
	if err := p.SP(); err != nil {
		return err
	}
	n, err := p.Number64() // zero is valid here: RFC 7162 section 7, mod-sequence-valzer
	s.UnchangedSince = &n
	return err
}

// parseAppend reads APPEND up to where its message literal starts; the literal
// itself never is in the parser's memory.
func parseAppend(p *Parser) (any, error) {
	a := &Append{}
	var err error
	if a.Name, err = p.spMailbox(); err != nil {
		return nil, err
	}
	if err = p.SP(); err != nil {
		return nil, err
	}
	if p.peek() == '(' {
		if a.Flags, err = p.FlagList(); err != nil {
			return nil, err
		}
		if err = p.SP(); err != nil {
			return nil, err
		}
	}
	if p.peek() == '"' {
		if a.Date, err = p.DateTime(); err != nil {
			return nil, err
		}
		if err = p.SP(); err != nil {
			return nil, err
		}
	}
	if p.word("UTF8") {
		a.UTF8 = true
		if err = p.SP(); err != nil {
			return nil, err
		}
		if err = p.expect('('); err != nil {
			return nil, err
		}
	}
	return a, p.End()
}
