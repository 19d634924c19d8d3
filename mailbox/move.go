package mailbox

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/mohar-mail/mohar/base/fault"
)

// Copied is one message of a COPY or MOVE: where it was and where it is now.
type Copied struct {
	Email    EmailID
	From, To uint32 // UIDs
}

// Copy copies messages of one mailbox into another. Each copy is an email of
// its own that shares the content, as IMAP clients expect of flags. UIDs that
// are not there are passed over.
func (w *Writer) Copy(from ID, uids []uint32, to ID) ([]Copied, error) {
	if err := w.there([]ID{to}); err != nil {
		return nil, err
	}
	var out []Copied
	for _, uid := range uids {
		en, err := w.Entry(from, uid)
		if fault.Is(err, fault.NotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		e, err := w.Email(en.Email)
		if err != nil {
			return nil, err
		}
		if w.meta.Quota != NoQuota && w.meta.Used+e.Size > w.meta.Quota {
			return nil, fault.New(fault.OverQuota, "mailbox.Copy", "The mailbox is full.")
		}
		n, err := sharedBy(w.tx, e.Body)
		if err != nil {
			return nil, err
		}
		w.setShared(e.Body, n+1)
		w.meta.LastEmail++
		w.meta.Used += e.Size
		w.meta.Count++
		c := *e
		c.ID, c.Places = EmailID(w.meta.LastEmail), nil
		w.tx.Put(keyThread(c.Thread, c.ID), nil)
		if err := w.enter(&c, []ID{to}, en.Flags&^Deleted, en.Keywords); err != nil {
			return nil, err
		}
		if id := messageIDOf(e.Index); id != "" {
			w.tx.Put(keyMessageID(hashMessageID(id), c.ID), nil)
		}
		w.log(Change{Kind: EmailCreated, Email: c.ID, Thread: c.Thread})
		out = append(out, Copied{Email: c.ID, From: uid, To: c.Places[0].UID})
	}
	return out, nil
}

// Move moves messages of one mailbox into another, RFC 6851. An email that lies
// in the target already only leaves the source.
func (w *Writer) Move(from ID, uids []uint32, to ID) ([]Copied, error) {
	var out []Copied
	for _, uid := range uids {
		en, err := w.Entry(from, uid)
		if fault.Is(err, fault.NotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		e, err := w.Email(en.Email)
		if err != nil {
			return nil, err
		}
		if from == to {
			err = w.renumber(e, en, from)
		} else {
			err = w.SetPlaces(en.Email, append(slices.DeleteFunc(places(e), func(m ID) bool { return m == from }), to))
		}
		if err != nil {
			return nil, err
		}
		if e, err = w.Email(en.Email); err != nil {
			return nil, err
		}
		out = append(out, Copied{Email: e.ID, From: uid, To: e.In(to)})
	}
	return out, nil
}

// renumber gives an email a new UID in the mailbox where it lies: a MOVE into
// the same mailbox, RFC 6851 section 3.3.
func (w *Writer) renumber(e *Email, en *Entry, m ID) error {
	if err := w.leave(e, m); err != nil {
		return err
	}
	if err := w.place(e, m, en.Flags&^Deleted, en.Keywords); err != nil {
		return err
	}
	slices.SortFunc(e.Places, func(a, b Place) int { return cmp.Compare(a.Mailbox, b.Mailbox) })
	w.tx.PutOwned(keyEmail(e.ID), encodeEmail(e))
	return nil
}

func places(e *Email) []ID {
	out := make([]ID, len(e.Places))
	for i, p := range e.Places {
		out[i] = p.Mailbox
	}
	return out
}

// SetPlaces makes an email lie in exactly these mailboxes.
func (w *Writer) SetPlaces(id EmailID, into []ID) error {
	e, err := w.Email(id)
	if err != nil {
		return err
	}
	if err := w.there(into); err != nil {
		return err
	}
	var flags Flags
	var keywords []string
	if len(e.Places) > 0 {
		en, err := w.Entry(e.Places[0].Mailbox, e.Places[0].UID)
		if err != nil {
			return err
		}
		flags, keywords = en.Flags&^Deleted, en.Keywords
	}
	changed := false
	for _, m := range into {
		if e.In(m) != 0 {
			continue
		}
		changed = true
		if err := w.place(e, m, flags, keywords); err != nil {
			return err
		}
	}
	for _, m := range places(e) {
		if !slices.Contains(into, m) {
			changed = true
			if err := w.leave(e, m); err != nil {
				return err
			}
		}
	}
	if !changed {
		return nil
	}
	slices.SortFunc(e.Places, func(a, b Place) int { return cmp.Compare(a.Mailbox, b.Mailbox) })
	w.tx.PutOwned(keyEmail(e.ID), encodeEmail(e))
	w.log(Change{Kind: EmailUpdated, Email: e.ID, Thread: e.Thread})
	return nil
}

// leave takes an email's entry out of one mailbox; the caller writes the email.
func (w *Writer) leave(e *Email, id ID) error {
	uid := e.In(id)
	en, err := w.Entry(id, uid)
	if err != nil {
		return err
	}
	m, err := w.Mailbox(id)
	if err != nil {
		return err
	}
	m.add(en, -1)
	w.counted(m)
	w.tx.Delete(keyEntry(id, uid))
	w.tx.Delete(keyReceived(id, en.Received, e.ID))
	e.Places = slices.DeleteFunc(e.Places, func(p Place) bool { return p.Mailbox == id })
	w.tx.PutOwned(keyEmail(e.ID), encodeEmail(e))
	w.log(Change{Kind: EntryRemoved, Mailbox: id, UID: uid, Email: e.ID, Thread: e.Thread})
	return nil
}

// Expunge takes messages out of one mailbox. An email that lies nowhere else is
// destroyed. It returns the UIDs that went.
func (w *Writer) Expunge(m ID, uids []uint32) ([]uint32, error) {
	var gone []uint32
	for _, uid := range uids {
		en, err := w.Entry(m, uid)
		if fault.Is(err, fault.NotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		e, err := w.Email(en.Email)
		if err != nil {
			return nil, err
		}
		if len(e.Places) == 1 {
			err = w.Destroy(e.ID)
		} else if err = w.leave(e, m); err == nil {
			w.log(Change{Kind: EmailUpdated, Email: e.ID, Thread: e.Thread})
		}
		if err != nil {
			return nil, err
		}
		gone = append(gone, uid)
	}
	return gone, nil
}

// DeletedUIDs lists the entries of a mailbox that carry \Deleted.
func (r *Reader) DeletedUIDs(m ID) ([]uint32, error) {
	var out []uint32
	err := r.Entries(m, 1, 1<<32-1, func(e *Entry) bool {
		if e.Flags&Deleted != 0 {
			out = append(out, e.UID)
		}
		return true
	})
	return out, err
}

// Destroy takes an email out of all its mailboxes and frees its content.
func (w *Writer) Destroy(id EmailID) error {
	e, err := w.Email(id)
	if err != nil {
		return err
	}
	for _, m := range places(e) {
		if err := w.leave(e, m); err != nil {
			return err
		}
	}
	w.tx.Delete(keyEmail(id))
	w.tx.Delete(keyThread(e.Thread, id))
	if mid := messageIDOf(e.Index); mid != "" {
		w.tx.Delete(keyMessageID(hashMessageID(mid), id))
	}
	w.meta.Used -= e.Size
	w.meta.Count--
	w.log(Change{Kind: EmailDestroyed, Email: id, Thread: e.Thread})
	if err := w.threadLeft(e); err != nil {
		return err
	}
	return w.release(e.Body)
}

// threadLeft forgets a thread whose last email has gone.
func (w *Writer) threadLeft(e *Email) error {
	left, err := w.Thread(e.Thread)
	if err != nil || len(left) > 0 {
		return err
	}
	w.log(Change{Kind: ThreadDestroyed, Thread: e.Thread})
	for _, h := range threadHashes(e.Index) {
		k := keyThreadHash(h)
		v, err := w.tx.Get(k)
		if err == nil && len(v) == 8 && ThreadID(binary.BigEndian.Uint64(v)) == e.Thread {
			w.tx.Delete(k)
		}
	}
	return nil
}
