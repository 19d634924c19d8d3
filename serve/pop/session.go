package pop

import (
	"context"
	"io"
	"slices"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/mailbox"
	"github.com/mohar-mail/mohar/store/body"
	"github.com/mohar-mail/mohar/wire/pop/popserver"
)

const maxUID = 1<<32 - 1

// session is one signed-in client.
type session struct {
	mail    *mailbox.Store
	account mohar.AccountID
	inbox   mailbox.ID
}

var _ popserver.Session = (*session)(nil)

// Account implements popserver.Session.
func (s *session) Account() string { return string(s.account) }

// Close implements popserver.Session.
func (s *session) Close() {}

// Maildrop implements popserver.Session.
func (s *session) Maildrop(ctx context.Context, limit int) (popserver.Maildrop, error) {
	var drop popserver.Maildrop
	err := s.mail.View(ctx, s.account, func(r *mailbox.Reader) error {
		m, err := r.ByRole(mailbox.RoleInbox)
		if err != nil {
			return err
		}
		s.inbox = m.ID
		older := max(0, int(m.Total)-limit)
		drop = popserver.Maildrop{Validity: m.UIDValidity, Messages: make([]popserver.Message, 0, int(m.Total)-older)}
		return r.Entries(m.ID, 1, maxUID, func(e *mailbox.Entry) bool {
			switch {
			case older > 0:
				older--
			case e.Flags&mailbox.Deleted == 0:
				drop.Messages = append(drop.Messages, popserver.Message{UID: e.UID, Size: int64(e.Size)})
			}
			return true
		})
	})
	return drop, inside(err)
}

// inside keeps a missing inbox, which is a defect of ours, from being read as
// an account that does not exist.
func inside(err error) error {
	if fault.Is(err, fault.NotFound) {
		return fault.Wrap(err, fault.Corrupt, "pop.Maildrop", "The mailbox cannot be opened.")
	}
	return err
}

// Body implements popserver.Session.
func (s *session) Body(ctx context.Context, uid uint32) (io.Reader, error) {
	var ref body.Ref
	err := s.mail.View(ctx, s.account, func(r *mailbox.Reader) error {
		entry, err := r.Entry(s.inbox, uid)
		if err != nil {
			return err
		}
		email, err := r.Email(entry.Email)
		if err == nil {
			ref = email.Body
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return s.mail.Bodies().Open(ctx, ref)
}

// Delete implements popserver.Session.
func (s *session) Delete(ctx context.Context, uids []uint32) error {
	for batch := range slices.Chunk(uids, mailbox.MaxBatch) {
		err := s.mail.Update(ctx, s.account, func(w *mailbox.Writer) error {
			_, err := w.Expunge(s.inbox, batch)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
