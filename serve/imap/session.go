package imap

import (
	"context"

	"github.com/mohar-mail/mohar/mailbox"
	"github.com/mohar-mail/mohar/wire/imap"
	"github.com/mohar-mail/mohar/wire/imap/imapserver"
)

// session is one signed-in client.
type session struct {
	d   *Door
	who Principal
	// batch holds the emails of the messages that the engine is being given, so
	// that Body need not look them up again.
	batch   map[uint32]*mailbox.Email
	batchOf mailbox.ID
}

var _ imapserver.Session = (*session)(nil)

// Account implements imapserver.Session.
func (s *session) Account() string { return string(s.who.Account) }

// Close implements imapserver.Session.
func (s *session) Close() { s.batch = nil }

// Watch implements imapserver.Session.
func (s *session) Watch(notify func()) func() { return s.d.watch.add(s.who.Account, notify) }

func (s *session) view(ctx context.Context, fn func(*mailbox.Reader) error) error {
	return s.d.cfg.Mail.View(ctx, s.who.Account, fn)
}

func (s *session) update(ctx context.Context, fn func(*mailbox.Writer) error) error {
	return s.d.cfg.Mail.Update(ctx, s.who.Account, fn)
}

// flagPairs are the system flags in the two vocabularies.
var flagPairs = [...]struct {
	wire imap.SystemFlags
	noun mailbox.Flags
}{
	{imap.Answered, mailbox.Answered}, {imap.Flagged, mailbox.Flagged}, {imap.Deleted, mailbox.Deleted},
	{imap.Seen, mailbox.Seen}, {imap.Draft, mailbox.Draft},
}

func toWire(f mailbox.Flags) imap.SystemFlags {
	var out imap.SystemFlags
	for _, p := range flagPairs {
		if f&p.noun != 0 {
			out |= p.wire
		}
	}
	return out
}

func toNoun(f imap.SystemFlags) mailbox.Flags {
	var out mailbox.Flags
	for _, p := range flagPairs {
		if f&p.wire != 0 {
			out |= p.noun
		}
	}
	return out
}
