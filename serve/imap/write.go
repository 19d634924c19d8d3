package imap

import (
	"context"
	"io"
	"time"

	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/mailbox"
	"github.com/mohar-mail/mohar/store/body"
	"github.com/mohar-mail/mohar/wire/imap"
	"github.com/mohar-mail/mohar/wire/imap/imapserver"
)

// inBatches calls fn for the numbers of a set, mailbox.MaxBatch at a time. The
// set has been cut to the client's view of the mailbox.
func inBatches(uids imap.Set, fn func([]uint32) error) error {
	batch := make([]uint32, 0, min(mailbox.MaxBatch, uids.Len()))
	var err error
	uids.Each(func(n uint32) bool {
		if batch = append(batch, n); len(batch) == mailbox.MaxBatch {
			err = fn(batch)
			batch = batch[:0]
		}
		return err == nil
	})
	if err == nil && len(batch) > 0 {
		err = fn(batch)
	}
	return err
}

// storeOps are the modes of STORE in the noun's words.
var storeOps = map[imap.StoreMode]mailbox.FlagOp{
	imap.StoreReplace: mailbox.ReplaceFlags, imap.StoreAdd: mailbox.AddFlags, imap.StoreRemove: mailbox.RemoveFlags,
}

// Store implements imapserver.Session.
func (s *session) Store(ctx context.Context, id string, r imapserver.StoreRequest) (imapserver.StoreResult, error) {
	var out imapserver.StoreResult
	box, err := mailbox.ParseID(id)
	if err != nil {
		return out, err
	}
	change := mailbox.FlagChange{Op: storeOps[r.Mode], Flags: toNoun(r.Flags.System), Keywords: r.Flags.Keywords}
	if r.UnchangedSince != nil {
		change.Conditional, change.UnchangedSince = true, *r.UnchangedSince
	}
	err = inBatches(r.UIDs, func(uids []uint32) error {
		var now []mailbox.Entry
		var modified []uint32
		err := s.update(ctx, func(w *mailbox.Writer) (err error) {
			now, modified, err = w.SetFlags(box, uids, change)
			return err
		})
		for i := range now {
			out.Now = append(out.Now, message(&now[i]))
		}
		for _, uid := range modified {
			out.Modified.Add(uid)
		}
		return err
	})
	return out, err
}

// Expunge implements imapserver.Session.
func (s *session) Expunge(ctx context.Context, id string, uids imap.Set) error {
	box, err := mailbox.ParseID(id)
	if err != nil {
		return err
	}
	var marked imap.Set
	err = s.view(ctx, func(r *mailbox.Reader) error {
		m, err := r.Mailbox(box)
		if err != nil || m.Deleted == 0 {
			return err
		}
		list, err := r.DeletedUIDs(box)
		for _, uid := range list {
			marked.Add(uid)
		}
		return err
	})
	if err != nil {
		return err
	}
	return inBatches(marked.Intersect(uids), func(batch []uint32) error {
		return s.update(ctx, func(w *mailbox.Writer) error {
			// Asked again inside the transaction: the flag may have been taken away.
			still := make([]uint32, 0, len(batch))
			for _, uid := range batch {
				e, err := w.Entry(box, uid)
				if fault.Is(err, fault.NotFound) {
					continue
				}
				if err != nil {
					return err
				}
				if e.Flags&mailbox.Deleted != 0 {
					still = append(still, uid)
				}
			}
			_, err := w.Expunge(box, still)
			return err
		})
	})
}

// Copy implements imapserver.Session.
func (s *session) Copy(ctx context.Context, id string, uids imap.Set, dest string, move bool) (imapserver.CopyResult, error) {
	var out imapserver.CopyResult
	from, err := mailbox.ParseID(id)
	if err != nil {
		return out, err
	}
	var to mailbox.ID
	err = s.view(ctx, func(r *mailbox.Reader) error {
		m, err := byName(r, dest)
		if err == nil {
			to, out.UIDValidity = m.ID, m.UIDValidity
		}
		return err
	})
	if err != nil {
		return out, err
	}
	err = inBatches(uids, func(batch []uint32) error {
		var done []mailbox.Copied
		err := s.update(ctx, func(w *mailbox.Writer) (err error) {
			if move {
				done, err = w.Move(from, batch, to)
			} else {
				done, err = w.Copy(from, batch, to)
			}
			return err
		})
		if err != nil {
			return err
		}
		for _, c := range done {
			out.From = append(out.From, c.From)
			out.To = append(out.To, c.To)
		}
		return nil
	})
	if err != nil && !move {
		// A COPY that fails leaves nothing behind (RFC 9051 section 6.4.7).
		s.undoCopy(ctx, to, out.To)
	}
	return out, err
}

func (s *session) undoCopy(ctx context.Context, to mailbox.ID, uids []uint32) {
	for len(uids) > 0 {
		n := min(len(uids), mailbox.MaxBatch)
		batch := uids[:n]
		uids = uids[n:]
		// The COPY has failed already; what this leaves behind are copies of the
		// person's own mail, which the person can delete.
		_ = s.update(ctx, func(w *mailbox.Writer) error { _, err := w.Expunge(to, batch); return err })
	}
}

// Append implements imapserver.Session.
func (s *session) Append(ctx context.Context, name string, size int64) (imapserver.Appender, error) {
	var box mailbox.ID
	err := s.view(ctx, func(r *mailbox.Reader) error {
		m, err := byName(r, name)
		if err != nil {
			return err
		}
		box = m.ID
		// Said before the content is sent; the noun asks again when it is there.
		if meta := r.Meta(); meta.Quota != mailbox.NoQuota && meta.Used+size > meta.Quota {
			return fault.New(fault.OverQuota, "imap.Append", "The mailbox is full.")
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &appender{s: s, name: name, box: box, w: s.d.cfg.Mail.Bodies().Writer(ctx)}, nil
}

// appender takes one message.
type appender struct {
	s    *session
	name string
	box  mailbox.ID
	w    *body.Writer
	size int64
}

// Write implements io.Writer.
func (a *appender) Write(p []byte) (int, error) {
	n, err := a.w.Write(p)
	a.size += int64(n)
	return n, err
}

// Abort implements imapserver.Appender.
func (a *appender) Abort() { a.w.Abort() }

// Commit implements imapserver.Appender.
func (a *appender) Commit(ctx context.Context, o imapserver.AppendOptions) (validity, uid uint32, err error) {
	staged, err := a.w.Finish()
	if err != nil {
		return 0, 0, err
	}
	add, err := a.addition(ctx, staged, o)
	if err != nil {
		staged.Discard(ctx)
		return 0, 0, err
	}
	// From here on the transaction may have committed even if it fails, so the
	// content is not discarded; the check finds orphans.
	err = a.s.update(ctx, func(w *mailbox.Writer) error {
		m, err := w.Mailbox(a.box)
		if err != nil {
			return err
		}
		validity = m.UIDValidity
		done, err := w.Add(add)
		for _, p := range done.Places {
			if p.Mailbox == a.box {
				uid = p.UID
			}
		}
		return err
	})
	return validity, uid, err
}

// addition judges the content and describes it for the noun.
func (a *appender) addition(ctx context.Context, staged *body.Staged, o imapserver.AppendOptions) (mailbox.Addition, error) {
	raw := staged.Bytes()
	if raw == nil {
		var err error
		if raw, err = io.ReadAll(staged.Open(ctx)); err != nil {
			return mailbox.Addition{}, err
		}
	}
	if judge := a.s.d.cfg.Judge; judge != nil {
		if err := judge(ctx, a.s.who, a.name, raw); err != nil {
			return mailbox.Addition{}, err
		}
	}
	keywords, err := mailbox.CleanKeywords(o.Flags.Keywords)
	if err != nil {
		return mailbox.Addition{}, err
	}
	described, err := mailbox.Parse(raw)
	if err != nil {
		return mailbox.Addition{}, err
	}
	received := o.Received
	if received.IsZero() {
		received = a.s.d.now()
	}
	return mailbox.Addition{Mailboxes: []mailbox.ID{a.box}, Flags: toNoun(o.Flags.System), Keywords: keywords,
		Received: received.Truncate(time.Second), Size: a.size, Content: described, Staged: staged}, nil
}
