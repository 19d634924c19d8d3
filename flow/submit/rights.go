package submit

import (
	"context"
	"strings"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/wire/addr"
	"github.com/mohar-mail/mohar/wire/mime"
)

// labelField is the field in which a sender gives the label.
const labelField = "Mohar-Label"

// ambiguous are the defects of a header by which a recipient's program could show
// another author or label than the one that was checked here.
const ambiguous = mime.DefectHeaderSize | mime.DefectGarbageField | mime.DefectMboxFrom | mime.DefectDuplicate |
	mime.DefectNUL | mime.DefectBareLF

// MayMail says whether the sender may use a reverse-path. Everyone may use the
// null path: receipts must (RFC 8098 section 3), and who wrote a message is told
// by its From field, which is checked in any case.
func (s *Submit) MayMail(who *Sender, from string) error {
	if owns(who, from) || from == "" && who.Account != "" {
		return nil
	}
	return fault.New(fault.Denied, "submit.MayMail", "You may not send as <"+from+">.")
}

// mayFrom makes sure that the fields which name an author or a sender hold the
// sender's own addresses and nothing else, for what colleagues see must be what
// the server knows; and gives the first author.
func mayFrom(who *Sender, m *mime.Message) (addr.Mailbox, error) {
	var author addr.Mailbox
	header := m.Header(m.Root)
	// Of the header alone: what an attached message has wrong is its own matter.
	bad := mime.Parse(header).Defects & ambiguous
	if m.Root.HeaderStart != 0 {
		bad |= mime.DefectMboxFrom
	}
	if bad != 0 {
		return author, fault.New(fault.Invalid, "submit.mayFrom", "The header of the message can be read in more than one way: "+bad.String()+".")
	}
	seen := map[string]bool{}
	for f := range header.Fields() {
		name := strings.ToLower(f.Name)
		switch name {
		case "from", "sender", "resent-from", "resent-sender":
		default:
			continue
		}
		list := addr.ParseList(nil, f.Text(), addr.DefaultMaxAddresses)
		if len(list) >= addr.DefaultMaxAddresses {
			return author, fault.New(fault.Invalid, "submit.mayFrom", "The field "+f.Name+" holds too many addresses.")
		}
		named := false
		for a := range addr.Singles(list) {
			spec := a.Spec()
			if !owns(who, spec) {
				return author, fault.New(fault.Denied, "submit.mayFrom", "You may not send as <"+spec+">.")
			}
			if !named && name == "from" && !seen[name] {
				author, _ = a.Mailbox() // owns has read it
			}
			named = true
		}
		// A group without members shows a name and no address.
		if !named || seen[name] && !strings.HasPrefix(name, "resent-") {
			return author, fault.New(fault.Invalid, "submit.mayFrom", "The field "+f.Name+" must stand once and name an address.")
		}
		seen[name] = true
	}
	if !seen["from"] {
		return author, fault.New(fault.Invalid, "submit.mayFrom", "The message has no From field.")
	}
	return author, nil
}

// owns says whether an address is one of the sender's.
func owns(who *Sender, address string) bool {
	m, err := addr.ParseMailbox(address)
	if err != nil {
		return false
	}
	for _, a := range who.Addresses {
		if own, err := addr.ParseMailbox(a); err == nil && own.Key() == m.Key() {
			return true
		}
	}
	return false
}

// stillTheirs makes sure that the address leads to the sender now: a connection
// may live longer than the account, and longer than a post is one person's.
func (s *Submit) stillTheirs(ctx context.Context, who *Sender, from addr.Mailbox) error {
	t, err := s.cfg.Target(ctx, from.String())
	if err != nil && !fault.Is(err, fault.NotFound) && !fault.Is(err, fault.Denied) {
		return err
	}
	if err != nil || t.Account != who.Account {
		return fault.New(fault.Denied, "submit.stillTheirs", "You may not send as <"+from.String()+"> any more.")
	}
	return nil
}

// labelOf reads the label that the sender gave, NoLabel where there is none. Two
// that differ are refused: nobody could say which one holds.
func labelOf(m *mime.Message) (mohar.Label, error) {
	label := mohar.NoLabel
	for f := range m.Header(m.Root).Fields() {
		if !f.Is(labelField) {
			continue
		}
		l, err := mohar.ParseLabel(strings.ToLower(f.Text()))
		if err != nil || label != mohar.NoLabel && l != label {
			return label, fault.New(fault.Invalid, "submit.labelOf", "The label of the message is not one of open, official, restricted, confidential, secret, top-secret.")
		}
		label = l
	}
	return label, nil
}
