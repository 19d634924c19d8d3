package mailbox

import (
	"slices"

	"github.com/mohar-mail/mohar/base/fault"
)

// FlagOp says how flags are changed.
type FlagOp uint8

// The operations of STORE, RFC 9051 section 6.4.6.
const (
	AddFlags FlagOp = iota
	RemoveFlags
	ReplaceFlags
)

// FlagChange is a change of flags and keywords.
type FlagChange struct {
	Op       FlagOp
	Flags    Flags
	Keywords []string
	// UnchangedSince, when Conditional, leaves alone entries whose modseq is
	// higher, RFC 7162 section 3.1.3.
	Conditional    bool
	UnchangedSince uint64
}

// apply gives the flags and keywords after the change.
func (c *FlagChange) apply(flags Flags, keywords []string) (Flags, []string) {
	switch c.Op {
	case AddFlags:
		out := append(slices.Clone(keywords), c.Keywords...)
		slices.Sort(out)
		return flags | c.Flags, slices.Compact(out)
	case RemoveFlags:
		out := slices.DeleteFunc(slices.Clone(keywords), func(k string) bool { return slices.Contains(c.Keywords, k) })
		return flags &^ c.Flags, out
	}
	return c.Flags, c.Keywords
}

// SetFlags changes the flags of entries of one mailbox, and with them those of
// the same emails elsewhere (but for \Deleted). It returns the entries as they
// are now, and the UIDs that a conditional change left alone. UIDs that are not
// there are passed over.
func (w *Writer) SetFlags(m ID, uids []uint32, c FlagChange) (now []Entry, modified []uint32, err error) {
	if c.Keywords, err = CleanKeywords(c.Keywords); err != nil {
		return nil, nil, err
	}
	for _, uid := range uids {
		e, err := w.Entry(m, uid)
		if fault.Is(err, fault.NotFound) {
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		if c.Conditional && e.ModSeq > c.UnchangedSince {
			modified = append(modified, uid)
			continue
		}
		flags, keywords := c.apply(e.Flags, e.Keywords)
		if len(keywords) > MaxKeywords {
			return nil, nil, fault.New(fault.TooMany, "mailbox.SetFlags", "The message has too many keywords.")
		}
		if flags != e.Flags || !slices.Equal(keywords, e.Keywords) {
			if err := w.reflag(m, e, flags, keywords); err != nil {
				return nil, nil, err
			}
		}
		now = append(now, *e)
	}
	return now, modified, nil
}

// reflag gives an entry, and its email's other entries, new flags.
func (w *Writer) reflag(m ID, e *Entry, flags Flags, keywords []string) error {
	shared := (flags^e.Flags)&^Deleted != 0 || !slices.Equal(keywords, e.Keywords)
	if err := w.writeFlags(m, e, flags, keywords); err != nil {
		return err
	}
	if !shared {
		return nil
	}
	w.log(Change{Kind: EmailUpdated, Email: e.Email, Thread: e.Thread})
	email, err := w.Email(e.Email)
	if err != nil {
		return err
	}
	for _, p := range email.Places {
		if p.Mailbox == m {
			continue
		}
		o, err := w.Entry(p.Mailbox, p.UID)
		if err != nil {
			return err
		}
		if err := w.writeFlags(p.Mailbox, o, flags&^Deleted|o.Flags&Deleted, keywords); err != nil {
			return err
		}
	}
	return nil
}

func (w *Writer) writeFlags(id ID, e *Entry, flags Flags, keywords []string) error {
	m, err := w.Mailbox(id)
	if err != nil {
		return err
	}
	m.add(e, -1)
	e.Flags, e.Keywords, e.ModSeq = flags, keywords, w.modseq
	m.add(e, 1)
	w.tx.PutOwned(keyEntry(id, e.UID), encodeEntry(e))
	w.counted(m)
	w.log(Change{Kind: EntryFlagged, Mailbox: id, UID: e.UID, Email: e.Email, Thread: e.Thread})
	return nil
}

// SetKeywords changes the flags and keywords that an email has in all its
// mailboxes; \Deleted, which belongs to an entry, is left as it is.
func (w *Writer) SetKeywords(id EmailID, c FlagChange) error {
	keywords, err := CleanKeywords(c.Keywords)
	if err != nil {
		return err
	}
	c.Keywords = keywords
	email, err := w.Email(id)
	if err != nil {
		return err
	}
	p := email.Places[0]
	e, err := w.Entry(p.Mailbox, p.UID)
	if err != nil {
		return err
	}
	flags, keywords := c.apply(e.Flags&^Deleted, e.Keywords)
	if len(keywords) > MaxKeywords {
		return fault.New(fault.TooMany, "mailbox.SetKeywords", "The message has too many keywords.")
	}
	flags = flags&^Deleted | e.Flags&Deleted
	if flags == e.Flags && slices.Equal(keywords, e.Keywords) {
		return nil
	}
	return w.reflag(p.Mailbox, e, flags, keywords)
}
