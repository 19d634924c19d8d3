package mailbox

import (
	"context"
	"errors"
	"slices"

	"github.com/fxamacker/cbor/v2"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/base/clock"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/store/blob"
	"github.com/mohar-mail/mohar/store/body"
	"github.com/mohar-mail/mohar/store/kv"
)

// Notifier is told of every change after it is durable. What it carries is a
// hint: whoever missed it finds everything by the modseq.
type Notifier interface {
	Changed(account mohar.AccountID, modseq uint64)
}

// Config is what a Store needs.
type Config struct {
	KV     *kv.Store
	Bodies *body.Bodies
	Notify Notifier
	Clock  clock.Clock
	// Released is told, after the commit, that an account has let go of bodies of
	// other shards, which wait as Releases; nil for nobody. It must not block.
	Released func(mohar.AccountID)
	// Quota in octets for accounts that are given none; NoQuota for no limit.
	Quota int64
}

// Store is the message store of all accounts.
type Store struct {
	kv       *kv.Store
	bodies   *body.Bodies
	notify   Notifier
	released func(mohar.AccountID)
	clock    clock.Clock
	quota    int64
}

// New makes a Store.
func New(cfg Config) *Store {
	return &Store{kv: cfg.KV, bodies: cfg.Bodies, notify: cfg.Notify, released: cfg.Released, clock: cfg.Clock, quota: cfg.Quota}
}

// Bodies gives the content store, for reading bodies by their reference.
func (s *Store) Bodies() *body.Bodies { return s.bodies }

// Shard is the shard of an account.
func Shard(a mohar.AccountID) kv.Shard { return kv.Shard("a/" + string(a)) }

// standard are the mailboxes of a new account, RFC 6154. Their names are in
// English because mail programs know these; the web shows them translated.
func standard() []Mailbox {
	return []Mailbox{
		{Name: "INBOX", Role: RoleInbox}, {Name: "Drafts", Role: RoleDrafts}, {Name: "Sent", Role: RoleSent},
		{Name: "Archive", Role: RoleArchive}, {Name: "Junk", Role: RoleJunk}, {Name: "Trash", Role: RoleTrash},
	}
}

// Ensure makes the store of an account with its standard mailboxes. An account
// that has one is left as it is.
func (s *Store) Ensure(ctx context.Context, a mohar.AccountID) error {
	return s.kv.Update(ctx, Shard(a), s.ensure)
}

// ensure is Ensure inside a transaction.
func (s *Store) ensure(tx *kv.Tx) error {
	if _, err := tx.Get(keyMeta()); !errors.Is(err, kv.ErrNotFound) {
		return err
	}
	w := s.newWriter(tx, &Meta{Quota: s.quota})
	for i, m := range standard() {
		m.SortOrder = uint32(i + 1)
		m.Subscribed = true
		if _, err := w.create(m); err != nil {
			return err
		}
	}
	return w.flush()
}

// SetQuota sets an account's quota in octets; NoQuota for none.
func (s *Store) SetQuota(ctx context.Context, a mohar.AccountID, octets int64) error {
	return s.Update(ctx, a, func(w *Writer) error { w.meta.Quota = octets; w.touched = true; return nil })
}

// Update runs fn with a Writer on the account and commits what it did as one
// change of the account. fn may run more than once. An account without a store
// is given one.
func (s *Store) Update(ctx context.Context, a mohar.AccountID, fn func(*Writer) error) error {
	var done *Writer
	err := s.kv.Update(ctx, Shard(a), func(tx *kv.Tx) error {
		done = nil
		if err := s.ensure(tx); err != nil {
			return err
		}
		r, err := newReader(tx)
		if err != nil {
			return err
		}
		w := s.newWriter(tx, r.meta)
		if err := fn(w); err != nil {
			return err
		}
		done = w
		return w.flush()
	})
	if err != nil || done == nil {
		return err
	}
	s.finish(ctx, a, done)
	return nil
}

// finish does what may only follow a durable commit.
func (s *Store) finish(ctx context.Context, a mohar.AccountID, w *Writer) {
	for _, loc := range w.freed {
		// A blob that stays behind is found by the check; the change itself is done.
		_ = s.bodies.Free(ctx, loc)
	}
	if s.released != nil && w.meta.Release > w.before {
		s.released(a)
	}
	if s.notify != nil && len(w.changes) > 0 {
		s.notify.Changed(a, w.modseq)
	}
}

// Writer changes one account inside one transaction. It reads its own changes.
type Writer struct {
	Reader
	s       *Store
	tx      *kv.Tx
	modseq  uint64
	boxes   map[ID]*Mailbox // loaded; dirty ones are in touchedBoxes
	dirty   map[ID]ChangeKind
	changes []Change
	touched bool   // meta must be written
	before  uint64 // last release when the transaction began
	freed   []blob.Location
}

func (s *Store) newWriter(tx *kv.Tx, meta *Meta) *Writer {
	return &Writer{Reader: Reader{r: tx, meta: meta}, s: s, tx: tx, modseq: meta.ModSeq + 1, before: meta.Release,
		boxes: map[ID]*Mailbox{}, dirty: map[ID]ChangeKind{}}
}

// ModSeq is the number that this transaction gives to what it changes.
func (w *Writer) ModSeq() uint64 { return w.modseq }

// Tx gives the transaction, so that rows of other rooms commit with this change.
func (w *Writer) Tx() *kv.Tx { return w.tx }

// Mailbox gives one mailbox as the transaction sees it. The result must not be
// modified by callers outside the package.
func (w *Writer) Mailbox(id ID) (*Mailbox, error) {
	if m, ok := w.boxes[id]; ok {
		if m == nil {
			return nil, fault.New(fault.NotFound, "mailbox.Mailbox", "There is no such mailbox.")
		}
		return m, nil
	}
	m, err := w.Reader.Mailbox(id)
	if err == nil {
		w.boxes[id] = m
	}
	return m, err
}

// Mailboxes lists all mailboxes as the transaction sees them.
func (w *Writer) Mailboxes() ([]*Mailbox, error) {
	all, err := w.Reader.Mailboxes()
	if err != nil {
		return nil, err
	}
	for i, m := range all {
		if own, ok := w.boxes[m.ID]; ok {
			all[i] = own
		} else {
			w.boxes[m.ID] = m
		}
	}
	for id, m := range w.boxes {
		if m != nil && !slices.ContainsFunc(all, func(o *Mailbox) bool { return o != nil && o.ID == id }) {
			all = append(all, m)
		}
	}
	all = slices.DeleteFunc(all, func(m *Mailbox) bool { return m == nil })
	slices.SortFunc(all, func(a, b *Mailbox) int { return int(int64(a.ID) - int64(b.ID)) })
	return all, nil
}

// ByRole gives the mailbox with a role as the transaction sees it, or
// fault.NotFound.
func (w *Writer) ByRole(role Role) (*Mailbox, error) {
	if role == RoleInbox { // asked for each delivery; it never changes its id
		if m, err := w.Mailbox(inboxID); err == nil && m.Role == role {
			return m, nil
		}
	}
	return w.find("mailbox.ByRole", func(m *Mailbox) bool { return m.Role == role })
}

// Child gives the mailbox with a name below parent as the transaction sees it, or
// fault.NotFound.
func (w *Writer) Child(parent ID, name string) (*Mailbox, error) {
	return w.find("mailbox.Child", func(m *Mailbox) bool { return m.Parent == parent && sameName(parent, m.Name, name) })
}

func (w *Writer) find(op string, is func(*Mailbox) bool) (*Mailbox, error) {
	all, err := w.Mailboxes()
	if err != nil {
		return nil, err
	}
	if i := slices.IndexFunc(all, is); i >= 0 {
		return all[i], nil
	}
	return nil, fault.New(fault.NotFound, op, "There is no such mailbox.")
}

// counted notes that a mailbox's counts or entries changed.
func (w *Writer) counted(m *Mailbox) {
	m.HighestModSeq = w.modseq
	if _, ok := w.dirty[m.ID]; !ok {
		w.dirty[m.ID] = MailboxCounted
	}
}

func (w *Writer) log(c Change) { w.changes = append(w.changes, c) }

// flush writes what the transaction has gathered: the mailboxes, the log row,
// the account's row.
func (w *Writer) flush() error {
	for id, kind := range w.dirty {
		w.log(Change{Kind: kind, Mailbox: id})
		m := w.boxes[id]
		if m == nil {
			if err := mailboxes.Delete(w.tx, keyMailbox(id)[1:]); err != nil {
				return err
			}
			continue
		}
		if err := mailboxes.Put(w.tx, m); err != nil {
			return err
		}
	}
	if len(w.changes) > 0 {
		slices.SortStableFunc(w.changes, func(a, b Change) int { return int(a.Kind) - int(b.Kind) })
		data, err := cbor.Marshal(w.changes)
		if err != nil {
			return err
		}
		w.tx.PutOwned(keyLog(w.modseq), data)
		w.meta.ModSeq = w.modseq
		w.touched = true
	}
	if !w.touched {
		return nil
	}
	data, err := cbor.Marshal(w.meta)
	if err != nil {
		return err
	}
	w.tx.PutOwned(keyMeta(), data)
	return nil
}
