package imap

import (
	"context"
	"time"

	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/mailbox"
	"github.com/mohar-mail/mohar/store/body"
	"github.com/mohar-mail/mohar/wire/imap"
	"github.com/mohar-mail/mohar/wire/imap/imapserver"
	"github.com/mohar-mail/mohar/wire/mime"
)

const (
	// readBatch is how many messages are read in one view of the store. The view
	// ends before the engine writes them to a client that may be slow.
	readBatch = 1000
	// indexBatch is readBatch for messages with their structure, which is large.
	indexBatch = 100
	maxUID     = 1<<32 - 1
)

// Select implements imapserver.Session.
func (s *session) Select(ctx context.Context, name string) (imapserver.Opened, error) {
	var out imapserver.Opened
	err := s.view(ctx, func(r *mailbox.Reader) error {
		m, err := byName(r, name)
		if err != nil {
			return err
		}
		out = imapserver.Opened{Mailbox: row(m, name), State: r.State()}
		return r.Entries(m.ID, 1, maxUID, func(e *mailbox.Entry) bool {
			out.UIDs.Add(e.UID)
			return true
		})
	})
	return out, err
}

// Changes implements imapserver.Session.
func (s *session) Changes(ctx context.Context, id string, since uint64, known imap.Set) (imapserver.Changes, error) {
	var out imapserver.Changes
	box, err := mailbox.ParseID(id)
	if err != nil {
		return out, err
	}
	err = s.view(ctx, func(r *mailbox.Reader) error {
		m, err := r.Mailbox(box)
		if err != nil {
			return err
		}
		out = imapserver.Changes{State: r.State(), HighestModSeq: m.HighestModSeq, UIDNext: m.UIDNext}
		if m.HighestModSeq <= since {
			return nil
		}
		var changed, gone imap.Set
		err = r.Changes(since, func(c mailbox.Change) bool {
			if c.Mailbox != box {
				return true
			}
			switch c.Kind {
			case mailbox.EntryAdded, mailbox.EntryFlagged:
				changed = append(changed, imap.Range{Start: c.UID, Stop: c.UID})
			case mailbox.EntryRemoved:
				gone = append(gone, imap.Range{Start: c.UID, Stop: c.UID})
			}
			return true
		})
		if fault.Is(err, fault.Conflict) {
			// The log no longer reaches back: compare everything.
			return compareAll(r, box, since, known, &out)
		}
		if err != nil {
			return err
		}
		vanished := normal(gone)
		out.Vanished = vanished.Intersect(known)
		return eachEntry(r, box, normal(changed).Subtract(vanished), func(e *mailbox.Entry) {
			if wanted(e.UID, known) {
				out.Changed = append(out.Changed, message(e))
			}
		})
	})
	return out, err
}

func normal(s imap.Set) imap.Set { return imap.NumSet{Ranges: s}.Resolve(0) }

// wanted: messages that the client knows, and those above them all.
func wanted(uid uint32, known imap.Set) bool {
	return len(known) == 0 || uid > known[len(known)-1].Stop || known.Contains(uid)
}

func compareAll(r *mailbox.Reader, box mailbox.ID, since uint64, known imap.Set, out *imapserver.Changes) error {
	var present imap.Set
	err := r.Entries(box, 1, maxUID, func(e *mailbox.Entry) bool {
		present.Add(e.UID)
		if e.ModSeq > since && wanted(e.UID, known) {
			out.Changed = append(out.Changed, message(e))
		}
		return true
	})
	out.Vanished = known.Subtract(present)
	return err
}

// eachEntry reads the entries of a set, range by range.
func eachEntry(r *mailbox.Reader, box mailbox.ID, set imap.Set, fn func(*mailbox.Entry)) error {
	for _, rg := range set {
		err := r.Entries(box, rg.Start, rg.Stop, func(e *mailbox.Entry) bool { fn(e); return true })
		if err != nil {
			return err
		}
	}
	return nil
}

// message copies an entry, whose memory is reused by the reader.
func message(e *mailbox.Entry) imapserver.Message {
	m := imapserver.Message{UID: e.UID, ModSeq: e.ModSeq, Size: int64(e.Size), Received: time.Unix(e.Received, 0).UTC(),
		EmailID: e.Email.String(), ThreadID: e.Thread.String(), Flags: imap.Flags{System: toWire(e.Flags)}}
	if len(e.Keywords) > 0 {
		m.Flags.Keywords = append([]string(nil), e.Keywords...)
	}
	return m
}

// Messages implements imapserver.Session.
func (s *session) Messages(ctx context.Context, id string, uids imap.Set, need imapserver.Need, fn func(*imapserver.Message) error) error {
	box, err := mailbox.ParseID(id)
	if err != nil {
		return err
	}
	defer func() { s.batch = nil }()
	limit := readBatch
	if need != 0 {
		limit = indexBatch
	}
	list := make([]imapserver.Message, 0, min(limit, uids.Len()))
	for len(uids) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		list = list[:0]
		err := s.view(ctx, func(r *mailbox.Reader) error {
			list, uids, err = s.readBatch(r, box, uids, limit, need, list)
			return err
		})
		if err != nil {
			return err
		}
		for i := range list {
			if err := fn(&list[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// readBatch reads up to limit messages of the set and gives what is left of it.
func (s *session) readBatch(r *mailbox.Reader, box mailbox.ID, uids imap.Set, limit int, need imapserver.Need, list []imapserver.Message) ([]imapserver.Message, imap.Set, error) {
	var ids []mailbox.EmailID
	for len(uids) > 0 && len(list) < limit {
		rg := uids[0]
		uids = uids[1:]
		err := r.Entries(box, rg.Start, rg.Stop, func(e *mailbox.Entry) bool {
			list = append(list, message(e))
			if need != 0 {
				ids = append(ids, e.Email)
			}
			if len(list) == limit && e.UID < rg.Stop {
				// What remains of this range comes first in the next batch. The set is
				// the engine's: it is not written to.
				uids = append(imap.Set{{Start: e.UID + 1, Stop: rg.Stop}}, uids...)
			}
			return len(list) < limit
		})
		if err != nil {
			return list, nil, err
		}
	}
	if need == 0 {
		return list, uids, nil
	}
	emails, err := r.Emails(ids)
	if err != nil {
		return list, nil, err
	}
	s.batch, s.batchOf = make(map[uint32]*mailbox.Email, len(emails)), box
	for i, e := range emails {
		if e == nil {
			continue
		}
		s.batch[list[i].UID] = e
		describe(&list[i], e, need)
	}
	return list, uids, nil
}

// describe decodes what the engine needs of an email's index. An index that
// cannot be read leaves the message without: its octets can still be fetched.
func describe(m *imapserver.Message, e *mailbox.Email, need imapserver.Need) {
	if need&imapserver.NeedIndex == 0 {
		m.Envelope, _ = mime.DecodeEnvelope(e.Index)
		return
	}
	if x, err := mime.DecodeIndex(e.Index); err == nil {
		m.Index, m.Envelope = x, x.Envelope()
	}
}

// Body implements imapserver.Session.
func (s *session) Body(ctx context.Context, id string, uid uint32) (imapserver.Body, error) {
	box, err := mailbox.ParseID(id)
	if err != nil {
		return nil, err
	}
	var e *mailbox.Email
	if s.batchOf == box {
		e = s.batch[uid]
	}
	if e == nil {
		err := s.view(ctx, func(r *mailbox.Reader) error {
			en, err := r.Entry(box, uid)
			if err != nil {
				return err
			}
			e, err = r.Email(en.Email)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	c, err := s.d.cfg.Mail.Bodies().Open(ctx, e.Body)
	if err != nil {
		return nil, err
	}
	return content{c}, nil
}

// content is a body that needs no closing.
type content struct{ *body.Content }

// Close implements io.Closer.
func (content) Close() error { return nil }
