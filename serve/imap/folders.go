package imap

import (
	"context"
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"

	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/mailbox"
	"github.com/mohar-mail/mohar/wire/imap"
	"github.com/mohar-mail/mohar/wire/imap/imapserver"
)

const delimiter = string(rune(imap.Delimiter))

// rolePairs are the special uses in the two vocabularies. The inbox has none in
// IMAP: its name says it.
var rolePairs = [...]struct {
	use  string
	role mailbox.Role
}{
	{`\Archive`, mailbox.RoleArchive}, {`\Drafts`, mailbox.RoleDrafts}, {`\Junk`, mailbox.RoleJunk},
	{`\Sent`, mailbox.RoleSent}, {`\Trash`, mailbox.RoleTrash},
}

func useOf(r mailbox.Role) string {
	for _, p := range rolePairs {
		if p.role == r {
			return p.use
		}
	}
	return ""
}

func roleOf(use string) mailbox.Role {
	for _, p := range rolePairs {
		if p.use == use {
			return p.role
		}
	}
	return mailbox.RoleNone
}

func row(m *mailbox.Mailbox, name string) imapserver.Mailbox {
	return imapserver.Mailbox{ID: m.ID.String(), Name: name, Use: useOf(m.Role), Subscribed: m.Subscribed,
		UIDValidity: m.UIDValidity, UIDNext: m.UIDNext, HighestModSeq: max(m.HighestModSeq, 1),
		Messages: m.Total, Unseen: m.Unseen, Deleted: m.Deleted, Size: m.Size}
}

func noMailbox(op string) error {
	return fault.New(fault.NotFound, op, "There is no such mailbox.")
}

// find gives the mailbox at a path, or nil, and how many levels of it exist.
func find(all []*mailbox.Mailbox, path []string) (m *mailbox.Mailbox, depth int) {
	var parent mailbox.ID
	for _, level := range path {
		var next *mailbox.Mailbox
		for _, x := range all {
			// INBOX has no case, and only at the top (RFC 9051 section 5.1).
			if x.Parent == parent && (x.Name == level || parent == 0 && strings.EqualFold(x.Name, "INBOX") && strings.EqualFold(level, "INBOX")) {
				next = x
				break
			}
		}
		if next == nil {
			return nil, depth
		}
		m, parent = next, next.ID
		depth++
	}
	return m, depth
}

func split(name string) []string { return strings.Split(norm.NFC.String(name), delimiter) }

// lister is what both a Reader and a Writer can do.
type lister interface {
	Mailboxes() ([]*mailbox.Mailbox, error)
}

func byName(r lister, name string) (*mailbox.Mailbox, error) {
	all, err := r.Mailboxes()
	if err != nil {
		return nil, err
	}
	m, _ := find(all, split(name))
	if m == nil {
		return nil, noMailbox("imap.byName")
	}
	return m, nil
}

// List implements imapserver.Session.
func (s *session) List(ctx context.Context) ([]imapserver.Mailbox, error) {
	var out []imapserver.Mailbox
	err := s.view(ctx, func(r *mailbox.Reader) error {
		all, err := r.Mailboxes()
		if err != nil {
			return err
		}
		out = make([]imapserver.Mailbox, 0, len(all))
		names := paths(all)
		for _, m := range all {
			out = append(out, row(m, names[m.ID]))
		}
		return nil
	})
	slices.SortFunc(out, func(a, b imapserver.Mailbox) int {
		if (a.Name == "INBOX") != (b.Name == "INBOX") {
			if a.Name == "INBOX" {
				return -1
			}
			return 1
		}
		// By level, so that children follow their parent.
		return strings.Compare(strings.ReplaceAll(a.Name, delimiter, "\x00"), strings.ReplaceAll(b.Name, delimiter, "\x00"))
	})
	return out, err
}

// paths gives the full name of every mailbox in time linear in their number.
func paths(all []*mailbox.Mailbox) map[mailbox.ID]string {
	byID := make(map[mailbox.ID]*mailbox.Mailbox, len(all))
	for _, m := range all {
		byID[m.ID] = m
	}
	names := make(map[mailbox.ID]string, len(all))
	for _, m := range all {
		name := m.Name
		p := byID[m.Parent]
		for depth := 1; p != nil && depth < mailbox.MaxDepth; depth++ {
			name = p.Name + delimiter + name
			p = byID[p.Parent]
		}
		names[m.ID] = name
	}
	return names
}

// Status implements imapserver.Session.
func (s *session) Status(ctx context.Context, name string) (imapserver.Mailbox, error) {
	var out imapserver.Mailbox
	err := s.view(ctx, func(r *mailbox.Reader) error {
		m, err := byName(r, name)
		if err == nil {
			out = row(m, name)
		}
		return err
	})
	return out, err
}

// Create implements imapserver.Session.
func (s *session) Create(ctx context.Context, name, use string) (imapserver.Mailbox, error) {
	var out imapserver.Mailbox
	err := s.update(ctx, func(w *mailbox.Writer) error {
		path := split(name)
		parent, err := makeParents(w, path)
		if err != nil {
			return err
		}
		// Subscribed from the start: programs that show only subscribed mailboxes
		// do not all subscribe to what another program has made.
		m, err := w.Create(mailbox.Mailbox{Parent: parent, Name: path[len(path)-1], Role: roleOf(use), Subscribed: true})
		if err == nil {
			out = row(m, name)
		}
		return err
	})
	return out, err
}

// makeParents makes the levels above the last that are missing (RFC 9051
// section 6.3.4) and gives the parent of the last.
func makeParents(w *mailbox.Writer, path []string) (mailbox.ID, error) {
	var parent mailbox.ID
	for i := range path[:len(path)-1] {
		all, err := w.Mailboxes()
		if err != nil {
			return 0, err
		}
		m, _ := find(all, path[:i+1])
		if m == nil {
			if m, err = w.Create(mailbox.Mailbox{Parent: parent, Name: path[i], Subscribed: true}); err != nil {
				return 0, err
			}
		}
		parent = m.ID
	}
	return parent, nil
}

// Delete implements imapserver.Session.
func (s *session) Delete(ctx context.Context, name string) error {
	for {
		more := false
		err := s.update(ctx, func(w *mailbox.Writer) error {
			m, err := byName(w, name)
			if err != nil {
				return err
			}
			more, err = w.Remove(m.ID)
			return err
		})
		if err != nil || !more {
			return err
		}
	}
}

// Rename implements imapserver.Session.
func (s *session) Rename(ctx context.Context, from, to string) error {
	if from == "INBOX" {
		return s.emptyInbox(ctx, to)
	}
	return s.update(ctx, func(w *mailbox.Writer) error {
		m, err := byName(w, from)
		if err != nil {
			return err
		}
		path := split(to)
		parent, err := makeParents(w, path)
		if err != nil {
			return err
		}
		return w.Change(m.ID, mailbox.Settings{Name: &path[len(path)-1], Parent: &parent})
	})
}

// emptyInbox is RENAME of INBOX: its messages move into a new mailbox, and it
// stays (RFC 9051 section 6.3.6).
func (s *session) emptyInbox(ctx context.Context, to string) error {
	if _, err := s.Create(ctx, to, ""); err != nil {
		return err
	}
	for more := true; more; {
		err := s.update(ctx, func(w *mailbox.Writer) error {
			dest, err := byName(w, to)
			if err != nil {
				return err
			}
			inbox, err := w.ByRole(mailbox.RoleInbox)
			if err != nil {
				return err
			}
			var uids []uint32
			err = w.Entries(inbox.ID, 1, 1<<32-1, func(e *mailbox.Entry) bool {
				uids = append(uids, e.UID)
				return len(uids) < mailbox.MaxBatch
			})
			if err != nil {
				return err
			}
			more = len(uids) == mailbox.MaxBatch
			_, err = w.Move(inbox.ID, uids, dest.ID)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Subscribe implements imapserver.Session.
func (s *session) Subscribe(ctx context.Context, name string, on bool) error {
	return s.update(ctx, func(w *mailbox.Writer) error {
		m, err := byName(w, name)
		if err != nil || m.Subscribed == on {
			return err
		}
		return w.Change(m.ID, mailbox.Settings{Subscribed: &on})
	})
}

// Quota implements imapserver.Session.
func (s *session) Quota(ctx context.Context) (q imapserver.Quota, err error) {
	err = s.view(ctx, func(r *mailbox.Reader) error {
		m := r.Meta()
		q = imapserver.Quota{Used: m.Used, Limit: m.Quota}
		return nil
	})
	return q, err
}
