package mailbox

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"strings"

	"github.com/fxamacker/cbor/v2"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/store/kv"
	"github.com/mohar-mail/mohar/store/table"
)

var mailboxes = table.New(table.Config[Mailbox]{
	Name: "mailbox.mailboxes", Prefix: "F", Codec: table.CBOR[Mailbox](),
	Key: func(m *Mailbox) []byte { return keyMailbox(m.ID)[1:] },
})

// inboxID is the id of the inbox, the first mailbox of every account.
const inboxID ID = 1

// Reader reads one account at one instant. It is valid inside the function that
// was given it.
type Reader struct {
	r    kv.Reader
	meta *Meta
}

// View calls fn with a Reader over the account. An account without a store yet
// is fault.NotFound.
func (s *Store) View(ctx context.Context, a mohar.AccountID, fn func(*Reader) error) error {
	return s.kv.View(ctx, Shard(a), func(r kv.Reader) error {
		rd, err := newReader(r)
		if err != nil {
			return err
		}
		return fn(rd)
	})
}

func newReader(r kv.Reader) (*Reader, error) {
	data, err := r.Get(keyMeta())
	if errors.Is(err, kv.ErrNotFound) {
		return nil, fault.Wrap(err, fault.NotFound, "mailbox.View", "There is no such account.")
	}
	if err != nil {
		return nil, err
	}
	m := new(Meta)
	if err := cbor.Unmarshal(data, m); err != nil {
		return nil, corrupt(err, "meta")
	}
	return &Reader{r: r, meta: m}, nil
}

// Meta gives the account's own row.
func (r *Reader) Meta() Meta { return *r.meta }

// State is the newest modseq of the account.
func (r *Reader) State() uint64 { return r.meta.ModSeq }

// KV gives the reader below, for rows of other rooms in the same shard.
func (r *Reader) KV() kv.Reader { return r.r }

// Mailboxes lists all mailboxes by id.
func (r *Reader) Mailboxes() ([]*Mailbox, error) {
	var all []*Mailbox
	err := mailboxes.Scan(r.r, kv.Range{}, func(m *Mailbox) bool { all = append(all, m); return true })
	return all, err
}

// Mailbox gives one mailbox, or fault.NotFound.
func (r *Reader) Mailbox(id ID) (*Mailbox, error) {
	m, err := mailboxes.Get(r.r, keyMailbox(id)[1:])
	if fault.Is(err, fault.NotFound) {
		return nil, fault.Wrap(err, fault.NotFound, "mailbox.Mailbox", "There is no such mailbox.")
	}
	return m, err
}

// ByRole gives the mailbox with a role, or fault.NotFound.
func (r *Reader) ByRole(role Role) (*Mailbox, error) {
	if role == RoleInbox { // asked for each delivery; it never changes its id
		if m, err := r.Mailbox(inboxID); err == nil && m.Role == role {
			return m, nil
		}
	}
	all, err := r.Mailboxes()
	if err != nil {
		return nil, err
	}
	for _, m := range all {
		if m.Role == role {
			return m, nil
		}
	}
	return nil, fault.New(fault.NotFound, "mailbox.ByRole", "There is no such mailbox.")
}

// Child gives the mailbox with a name below parent (0: top level), or
// fault.NotFound. INBOX at the top is found in any case, RFC 9051 section 5.1.
func (r *Reader) Child(parent ID, name string) (*Mailbox, error) {
	all, err := r.Mailboxes()
	if err != nil {
		return nil, err
	}
	for _, m := range all {
		if m.Parent == parent && sameName(parent, m.Name, name) {
			return m, nil
		}
	}
	return nil, fault.New(fault.NotFound, "mailbox.Child", "There is no such mailbox.")
}

func sameName(parent ID, a, b string) bool {
	return a == b || parent == 0 && strings.EqualFold(a, "INBOX") && strings.EqualFold(b, "INBOX")
}

// Entries calls fn for the entries with from <= UID <= to in rising order until
// it returns false. The Entry is reused between calls.
func (r *Reader) Entries(m ID, from, to uint32, fn func(*Entry) bool) error {
	var bad error
	var e Entry
	err := r.r.Scan(entryRange(m, from, to), func(k, v []byte) bool {
		if bad = decodeEntry(k, v, &e); bad != nil {
			return false
		}
		return fn(&e)
	})
	return errors.Join(err, bad)
}

// Entry gives one entry, or fault.NotFound.
func (r *Reader) Entry(m ID, uid uint32) (*Entry, error) {
	k := keyEntry(m, uid)
	v, err := r.r.Get(k)
	if errors.Is(err, kv.ErrNotFound) {
		return nil, fault.Wrap(err, fault.NotFound, "mailbox.Entry", "There is no such message.")
	}
	if err != nil {
		return nil, err
	}
	e := new(Entry)
	return e, decodeEntry(k, v, e)
}

// Email gives one email, or fault.NotFound.
func (r *Reader) Email(id EmailID) (*Email, error) {
	v, err := r.r.Get(keyEmail(id))
	if errors.Is(err, kv.ErrNotFound) {
		return nil, fault.Wrap(err, fault.NotFound, "mailbox.Email", "There is no such message.")
	}
	if err != nil {
		return nil, err
	}
	return decodeEmail(id, v)
}

// Emails gives emails in the order of ids, nil where there is none.
func (r *Reader) Emails(ids []EmailID) ([]*Email, error) {
	keys := make([][]byte, len(ids))
	for i, id := range ids {
		keys[i] = keyEmail(id)
	}
	data, err := r.r.GetMany(keys)
	if err != nil {
		return nil, err
	}
	out := make([]*Email, len(ids))
	for i, d := range data {
		if d == nil {
			continue
		}
		if out[i], err = decodeEmail(ids[i], d); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// FirstEntries gives for each email the entry in its first place: the carrier of
// the keywords that all its entries share. nil where there is no such email.
func (r *Reader) FirstEntries(emails []*Email) ([]*Entry, error) {
	keys := make([][]byte, 0, len(emails))
	at := make([]int, 0, len(emails))
	for i, e := range emails {
		if e != nil && len(e.Places) > 0 {
			keys = append(keys, keyEntry(e.Places[0].Mailbox, e.Places[0].UID))
			at = append(at, i)
		}
	}
	data, err := r.r.GetMany(keys)
	if err != nil {
		return nil, err
	}
	out := make([]*Entry, len(emails))
	for i, d := range data {
		if d == nil {
			continue
		}
		e := new(Entry)
		if err := decodeEntry(keys[i], d, e); err != nil {
			return nil, err
		}
		out[at[i]] = e
	}
	return out, nil
}

// EachEmail calls fn for the emails with id >= from in rising order until it
// returns false.
func (r *Reader) EachEmail(from EmailID, fn func(*Email) bool) error {
	var bad error
	err := r.r.Scan(kv.Range{From: keyEmail(from), To: kv.PrefixEnd([]byte("E"))}, func(k, v []byte) bool {
		if len(k) != 9 {
			bad = corrupt(errShort, "email key")
			return false
		}
		var e *Email
		if e, bad = decodeEmail(EmailID(binary.BigEndian.Uint64(k[1:])), v); bad != nil {
			return false
		}
		return fn(e)
	})
	return errors.Join(err, bad)
}

// Received calls fn for the emails of a mailbox in order of receipt, newest
// first if newest is set, until it returns false. It reads 30 octets an email.
func (r *Reader) Received(m ID, newest bool, fn func(at int64, e EmailID, t ThreadID) bool) error {
	rg := kv.PrefixRange(binary.BigEndian.AppendUint32([]byte("R"), uint32(m)))
	rg.Reverse = newest
	return r.r.Scan(rg, func(k, v []byte) bool {
		if len(k) != 21 || len(v) != 8 {
			return true
		}
		at := int64(binary.BigEndian.Uint64(k[5:]) ^ (1 << 63))
		return fn(at, EmailID(binary.BigEndian.Uint64(k[13:])), ThreadID(binary.BigEndian.Uint64(v)))
	})
}

// Thread lists the emails of a thread, oldest id first; empty where there is
// none.
func (r *Reader) Thread(t ThreadID) ([]EmailID, error) {
	var out []EmailID
	rg := kv.PrefixRange(binary.BigEndian.AppendUint64([]byte("T"), uint64(t)))
	err := r.r.Scan(rg, func(k, _ []byte) bool {
		out = append(out, EmailID(binary.BigEndian.Uint64(k[9:])))
		return true
	})
	return out, err
}

// ByMessageID lists the emails that carry a message id (with or without angle
// brackets). Message ids are not unique.
func (r *Reader) ByMessageID(id string) ([]EmailID, error) {
	var out []EmailID
	h := hashMessageID(id)
	err := r.r.Scan(kv.PrefixRange(append([]byte("I"), h[:]...)), func(k, _ []byte) bool {
		out = append(out, EmailID(binary.BigEndian.Uint64(k[13:])))
		return true
	})
	return out, err
}

// Delivered says which email a queue item became here, or 0.
func (r *Reader) Delivered(item [16]byte) (EmailID, error) {
	v, err := r.r.Get(keyDelivered(item))
	if errors.Is(err, kv.ErrNotFound) {
		return 0, nil
	}
	if err != nil || len(v) < 8 {
		return 0, err
	}
	return EmailID(binary.BigEndian.Uint64(v)), nil
}

// Changes calls fn for the changes after the modseq since, in order, until it
// returns false. Where the log no longer reaches back so far the error is
// fault.Conflict: the caller must read everything afresh.
func (r *Reader) Changes(since uint64, fn func(Change) bool) error {
	if since > r.meta.ModSeq || since+1 < r.meta.LogFrom {
		return fault.New(fault.Conflict, "mailbox.Changes", "The state is unknown. Read everything again.")
	}
	var bad error
	rg := kv.Range{From: keyLog(since + 1), To: kv.PrefixEnd([]byte("L"))}
	err := r.r.Scan(rg, func(k, v []byte) bool {
		var list []Change
		if err := cbor.Unmarshal(v, &list); err != nil {
			bad = corrupt(err, "log")
			return false
		}
		at := binary.BigEndian.Uint64(k[1:])
		for _, c := range list {
			c.ModSeq = at
			if !fn(c) {
				return false
			}
		}
		return true
	})
	return errors.Join(err, bad)
}

// Path gives the names from the top level down to a mailbox.
func Path(all []*Mailbox, id ID) []string {
	var path []string
	for range MaxDepth {
		i := slices.IndexFunc(all, func(m *Mailbox) bool { return m.ID == id })
		if i < 0 {
			break
		}
		path = append(path, all[i].Name)
		if id = all[i].Parent; id == 0 {
			break
		}
	}
	slices.Reverse(path)
	return path
}
