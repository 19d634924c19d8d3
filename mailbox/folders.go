package mailbox

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/mohar-mail/mohar/base/fault"
)

// CleanName gives a mailbox name of one level in NFC, or fault.Invalid. Control
// characters and the separator '/' are refused, since IMAP clients cannot carry
// them.
func CleanName(name string) (string, error) {
	name = norm.NFC.String(name)
	bad := name == "" || len(name) > MaxNameOctets || strings.ContainsRune(name, '/') ||
		strings.ContainsFunc(name, func(r rune) bool { return unicode.IsControl(r) || r == unicode.ReplacementChar })
	if bad {
		return "", fault.New(fault.Invalid, "mailbox.CleanName", "This mailbox name is not valid.")
	}
	return name, nil
}

// Create makes a mailbox. Name, Parent, Role, SortOrder and Subscribed of the
// template are taken; the rest is given.
func (w *Writer) Create(template Mailbox) (*Mailbox, error) {
	name, err := CleanName(template.Name)
	if err != nil {
		return nil, err
	}
	template.Name = name
	all, err := w.Mailboxes()
	if err != nil {
		return nil, err
	}
	if len(all) >= MaxMailboxes {
		return nil, fault.New(fault.TooMany, "mailbox.Create", fmt.Sprintf("An account holds at most %d mailboxes.", MaxMailboxes))
	}
	if err := vacant(all, 0, template.Parent, name, template.Role); err != nil {
		return nil, err
	}
	return w.create(template)
}

// vacant makes sure that a mailbox other than self may have this place, name and
// role.
func vacant(all []*Mailbox, self, parent ID, name string, role Role) error {
	if parent != 0 {
		i := slices.IndexFunc(all, func(m *Mailbox) bool { return m.ID == parent })
		if i < 0 {
			return fault.New(fault.NotFound, "mailbox.Create", "There is no such parent mailbox.")
		}
		if len(Path(all, parent)) >= MaxDepth {
			return fault.New(fault.Invalid, "mailbox.Create", fmt.Sprintf("Mailboxes nest at most %d deep.", MaxDepth))
		}
	}
	for _, m := range all {
		if m.ID == self {
			continue
		}
		if m.Parent == parent && sameName(parent, m.Name, name) {
			return fault.New(fault.Exists, "mailbox.Create", "There is a mailbox of this name.")
		}
		if role != RoleNone && m.Role == role {
			return fault.New(fault.Exists, "mailbox.Create", "There is a mailbox with this role.")
		}
	}
	return nil
}

// height counts the levels of a mailbox and what lies inside it.
func height(all []*Mailbox, id ID) int {
	inside := map[ID][]ID{}
	for _, m := range all {
		inside[m.Parent] = append(inside[m.Parent], m.ID)
	}
	levels := 0
	for row := []ID{id}; len(row) > 0 && levels <= MaxDepth; levels++ {
		var next []ID
		for _, p := range row {
			next = append(next, inside[p]...)
		}
		row = next
	}
	return levels
}

func (w *Writer) create(m Mailbox) (*Mailbox, error) {
	w.meta.LastMailbox++
	// UIDVALIDITY rises for ever within the account, so that a name that is deleted
	// and made again never looks like the old one, RFC 9051 section 2.3.1.1.
	w.meta.UIDValidity = max(w.meta.UIDValidity+1, uint32(w.s.clock.Now().Unix()))
	m.ID, m.UIDValidity, m.UIDNext, m.HighestModSeq = w.meta.LastMailbox, w.meta.UIDValidity, 1, w.modseq
	m.Total, m.Unseen, m.Size, m.Deleted = 0, 0, 0, 0
	w.boxes[m.ID] = &m
	w.dirty[m.ID] = MailboxCreated
	return &m, nil
}

// Settings are what a person may change about a mailbox; nil leaves as it is.
type Settings struct {
	Name       *string
	Parent     *ID
	Role       *Role
	Subscribed *bool
	SortOrder  *uint32
}

// Change changes a mailbox's settings. The inbox keeps its name, place and role.
func (w *Writer) Change(id ID, c Settings) error {
	m, err := w.Mailbox(id)
	if err != nil {
		return err
	}
	all, err := w.Mailboxes()
	if err != nil {
		return err
	}
	next := *m
	if c.Name != nil {
		if next.Name, err = CleanName(*c.Name); err != nil {
			return err
		}
	}
	if c.Parent != nil {
		next.Parent = *c.Parent
	}
	if c.Role != nil {
		next.Role = *c.Role
	}
	if c.Subscribed != nil {
		next.Subscribed = *c.Subscribed
	}
	if c.SortOrder != nil {
		next.SortOrder = *c.SortOrder
	}
	if m.Role == RoleInbox && (next.Name != m.Name || next.Parent != m.Parent || next.Role != m.Role) {
		return fault.New(fault.Denied, "mailbox.Change", "The inbox keeps its name and place.")
	}
	for p := next.Parent; p != 0; {
		if p == id {
			return fault.New(fault.Invalid, "mailbox.Change", "A mailbox cannot lie inside itself.")
		}
		i := slices.IndexFunc(all, func(o *Mailbox) bool { return o.ID == p })
		if i < 0 {
			break
		}
		p = all[i].Parent
	}
	if err := vacant(all, id, next.Parent, next.Name, next.Role); err != nil {
		return err
	}
	if next.Parent != 0 && next.Parent != m.Parent && len(Path(all, next.Parent))+height(all, id) > MaxDepth {
		return fault.New(fault.Invalid, "mailbox.Change", fmt.Sprintf("Mailboxes nest at most %d deep.", MaxDepth))
	}
	*m = next
	m.HighestModSeq = w.modseq
	if w.dirty[id] != MailboxCreated {
		w.dirty[id] = MailboxUpdated
	}
	return nil
}

// Remove removes a mailbox and takes the messages out of it; emails that lie
// nowhere else are destroyed. A mailbox with children, and the inbox, cannot be
// removed. At most MaxBatch messages go in one call: more is true while some are
// left and the mailbox stands.
func (w *Writer) Remove(id ID) (more bool, err error) {
	m, err := w.Mailbox(id)
	if err != nil {
		return false, err
	}
	if m.Role == RoleInbox {
		return false, fault.New(fault.Denied, "mailbox.Remove", "The inbox cannot be removed.")
	}
	all, err := w.Mailboxes()
	if err != nil {
		return false, err
	}
	if slices.ContainsFunc(all, func(o *Mailbox) bool { return o.Parent == id }) {
		return false, fault.New(fault.Denied, "mailbox.Remove", "Remove the mailboxes inside it first.")
	}
	var uids []uint32
	err = w.Entries(id, 1, 1<<32-1, func(e *Entry) bool {
		uids = append(uids, e.UID)
		return len(uids) <= MaxBatch
	})
	if err != nil {
		return false, err
	}
	if more = len(uids) > MaxBatch; more {
		uids = uids[:MaxBatch]
	}
	if _, err := w.Expunge(id, uids); err != nil || more {
		return more, err
	}
	w.boxes[id] = nil
	w.dirty[id] = MailboxDestroyed
	return false, nil
}
