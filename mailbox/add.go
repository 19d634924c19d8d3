package mailbox

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"time"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/store/body"
	"github.com/mohar-mail/mohar/store/kv"
	"github.com/mohar-mail/mohar/wire/mime"
)

// Content is what the store keeps of a message's structure. Parse makes it.
type Content struct {
	Index      []byte // of wire/mime
	MessageID  string
	References []string // In-Reply-To and References, oldest first
	Subject    string   // decoded
}

// Addition is a message to be added.
type Addition struct {
	Mailboxes []ID // at least one
	Flags     Flags
	Keywords  []string
	Received  time.Time
	Size      int64
	Content   Content
	// Staged is a body that enters the store with this transaction; Body one that
	// is in the store already and whose reference the account takes over. One of
	// the two is set.
	Staged *body.Staged
	Body   body.Ref
	// Item is the queue item that is being delivered; zero for others. A message
	// of an item that was delivered before is not added again.
	Item [16]byte
}

// Added says what became of an Addition.
type Added struct {
	Email  EmailID
	Thread ThreadID
	Places []Place
	Again  bool // the queue item had been delivered before; nothing was added
}

// Add adds one message in a transaction of its own.
func (s *Store) Add(ctx context.Context, a mohar.AccountID, add Addition) (Added, error) {
	var out Added
	err := s.Update(ctx, a, func(w *Writer) (err error) { out, err = w.Add(add); return err })
	return out, err
}

// Add adds a message. fault.OverQuota when the account is full.
func (w *Writer) Add(add Addition) (Added, error) {
	if add.Item != ([16]byte{}) {
		again, err := w.Delivered(add.Item)
		if err != nil || again != 0 {
			return Added{Email: again, Again: true}, err
		}
	}
	if w.meta.Quota != NoQuota && w.meta.Used+add.Size > w.meta.Quota {
		return Added{}, fault.New(fault.OverQuota, "mailbox.Add", "The mailbox is full.")
	}
	keywords, err := CleanKeywords(add.Keywords)
	if err != nil {
		return Added{}, err
	}
	if err := w.there(add.Mailboxes); err != nil {
		return Added{}, err
	}
	w.meta.LastEmail++
	id := EmailID(w.meta.LastEmail)
	thread, err := w.thread(id, add.Content)
	if err != nil {
		return Added{}, err
	}
	ref := add.Body
	if add.Staged != nil {
		ref = w.s.bodies.Add(w.tx, add.Staged, 1)
	}
	e := &Email{ID: id, Thread: thread, Body: ref, Size: add.Size, Index: add.Content.Index,
		Received: time.Unix(add.Received.Unix(), 0).UTC()}
	if err := w.enter(e, add.Mailboxes, add.Flags, keywords); err != nil {
		return Added{}, err
	}
	w.meta.Used += add.Size
	w.meta.Count++
	if add.Content.MessageID != "" {
		w.tx.Put(keyMessageID(hashMessageID(add.Content.MessageID), id), nil)
	}
	if add.Item != ([16]byte{}) {
		v := binary.BigEndian.AppendUint64(nil, uint64(id))
		w.tx.PutOwned(keyDelivered(add.Item), binary.BigEndian.AppendUint64(v, uint64(w.s.clock.Now().Unix())))
	}
	w.log(Change{Kind: EmailCreated, Email: id, Thread: thread})
	return Added{Email: id, Thread: thread, Places: e.Places}, nil
}

// there makes sure that an email can lie in these mailboxes. It is asked before
// anything is written, so that a caller who goes on after the error commits
// nothing of what failed.
func (w *Writer) there(into []ID) error {
	if len(into) == 0 {
		return fault.New(fault.Invalid, "mailbox.there", "A message lies in at least one mailbox.")
	}
	for _, id := range into {
		if _, err := w.Mailbox(id); err != nil {
			return err
		}
	}
	return nil
}

// enter gives an email an entry in each of the mailboxes and writes its row.
func (w *Writer) enter(e *Email, into []ID, flags Flags, keywords []string) error {
	into = slices.Clone(into)
	slices.Sort(into)
	for _, id := range slices.Compact(into) {
		if err := w.place(e, id, flags, keywords); err != nil {
			return err
		}
	}
	slices.SortFunc(e.Places, func(a, b Place) int { return cmp.Compare(a.Mailbox, b.Mailbox) })
	w.tx.PutOwned(keyEmail(e.ID), encodeEmail(e))
	return nil
}

// place gives an email an entry in one mailbox; the caller writes the email.
func (w *Writer) place(e *Email, id ID, flags Flags, keywords []string) error {
	m, err := w.Mailbox(id)
	if err != nil {
		return err
	}
	if m.UIDNext == 1<<32-1 {
		return fault.New(fault.TooMany, "mailbox.Add", "The mailbox has no numbers left.")
	}
	uid := m.UIDNext
	m.UIDNext++
	e.Places = append(e.Places, Place{Mailbox: id, UID: uid})
	en := &Entry{UID: uid, Email: e.ID, Thread: e.Thread, ModSeq: w.modseq, Flags: flags, Keywords: keywords,
		Size: uint32(min(e.Size, 1<<32-1)), Received: e.Received.Unix()}
	w.tx.PutOwned(keyEntry(id, uid), encodeEntry(en))
	w.tx.Put(keyReceived(id, en.Received, e.ID), binary.BigEndian.AppendUint64(nil, uint64(e.Thread)))
	m.add(en, 1)
	w.counted(m)
	w.log(Change{Kind: EntryAdded, Mailbox: id, UID: uid, Email: e.ID, Thread: e.Thread})
	return nil
}

// add changes a mailbox's counts by an entry that comes (+1) or goes (-1).
func (m *Mailbox) add(e *Entry, sign int) {
	m.Total = uint32(int64(m.Total) + int64(sign))
	m.Size += int64(sign) * int64(e.Size)
	if e.Flags&Seen == 0 {
		m.Unseen = uint32(int64(m.Unseen) + int64(sign))
	}
	if e.Flags&Deleted != 0 {
		m.Deleted = uint32(int64(m.Deleted) + int64(sign))
	}
}

// thread finds the thread of a new email: that of an email which shares a
// message id (its own, or one it refers to) and the base subject, RFC 8621
// section 3. Threads never merge, because the thread of an email never changes.
func (w *Writer) thread(id EmailID, c Content) (ThreadID, error) {
	var keys [][]byte
	for _, m := range c.threadIDs() {
		keys = append(keys, keyThreadHash(hashThread(m, c.Subject)))
	}
	found, err := w.tx.GetMany(keys)
	if err != nil {
		return 0, err
	}
	thread := ThreadID(0)
	for _, v := range found {
		if len(v) == 8 {
			t := ThreadID(binary.BigEndian.Uint64(v))
			if thread != 0 && t >= thread {
				continue
			}
			// A thread that was reported as destroyed does not come back.
			alive, err := w.alive(t)
			if err != nil {
				return 0, err
			}
			if alive {
				thread = t
			}
		}
	}
	fresh := thread == 0 // whatever was found belongs to threads that are gone
	if fresh {
		thread = ThreadID(id)
	}
	v := binary.BigEndian.AppendUint64(nil, uint64(thread))
	for i, k := range keys {
		if found[i] == nil || fresh {
			w.tx.Put(k, v)
		}
	}
	w.tx.Put(keyThread(thread, id), nil)
	return thread, nil
}

// alive says whether a thread has an email.
func (w *Writer) alive(t ThreadID) (bool, error) {
	found := false
	rg := kv.PrefixRange(binary.BigEndian.AppendUint64([]byte("T"), uint64(t)))
	err := w.tx.Scan(rg, func(_, _ []byte) bool { found = true; return false })
	return found, err
}

func hashMessageID(id string) (h [12]byte) {
	sum := sha256.Sum256([]byte(strings.Trim(strings.TrimSpace(id), "<>")))
	copy(h[:], sum[:])
	return h
}

func hashThread(messageID, subject string) (h [12]byte) {
	id := strings.Trim(strings.TrimSpace(messageID), "<>")
	sum := sha256.Sum256([]byte(id + "\x00" + mime.BaseSubject(subject)))
	copy(h[:], sum[:])
	return h
}

// sharedBy reads how many emails of the account share a body.
func sharedBy(r kv.Reader, ref body.Ref) (uint64, error) {
	v, err := r.Get(keyShared(ref))
	if errors.Is(err, kv.ErrNotFound) {
		return 1, nil
	}
	if err != nil || len(v) != 8 {
		return 1, err
	}
	return binary.BigEndian.Uint64(v), nil
}

func (w *Writer) setShared(ref body.Ref, n uint64) {
	if n <= 1 {
		w.tx.Delete(keyShared(ref))
		return
	}
	w.tx.PutOwned(keyShared(ref), binary.BigEndian.AppendUint64(nil, n))
}

// release lets go of one email's hold on a body. The last one frees it: at once
// where the body lives in this shard, through a row that is applied in the
// body's own shard where it does not.
func (w *Writer) release(ref body.Ref) error {
	n, err := sharedBy(w.tx, ref)
	if err != nil {
		return err
	}
	if n > 1 {
		w.setShared(ref, n-1)
		return nil
	}
	if ref.Home == w.tx.Shard() {
		loc, err := w.s.bodies.Release(w.tx, ref, 1)
		if loc != "" {
			w.freed = append(w.freed, loc)
		}
		return err
	}
	w.meta.Release++
	w.touched = true
	w.tx.Put(keyRelease(w.meta.Release), []byte(ref.String()))
	return nil
}
