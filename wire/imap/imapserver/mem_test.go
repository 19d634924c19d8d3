package imapserver

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/wire/imap"
	"github.com/mohar-mail/mohar/wire/mime"
)

// memAccount is an account in memory, shared by its sessions.
type memAccount struct {
	mu       sync.Mutex
	now      time.Time
	modseq   uint64
	lastID   int
	validity uint32
	boxes    []*memBox
	limit    int64
	watch    map[int]func()
	nextW    int
	refuse   string // content that policy refuses
}

type memBox struct {
	Mailbox
	msgs []*memMsg
	gone []memGone
}

type memGone struct {
	uid    uint32
	modseq uint64
}

type memMsg struct {
	Message
	content []byte
}

func newMemAccount() *memAccount {
	a := &memAccount{now: time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC), modseq: 1, validity: 1000, watch: map[int]func(){}}
	for _, n := range [][2]string{{"INBOX", ""}, {"Drafts", `\Drafts`}, {"Sent", `\Sent`}, {"Trash", `\Trash`}} {
		a.make(n[0], n[1])
	}
	return a
}

func (a *memAccount) make(name, use string) *memBox {
	a.lastID++
	a.validity++
	b := &memBox{Mailbox: Mailbox{ID: fmt.Sprintf("F%d", a.lastID), Name: name, Use: use, Subscribed: true, UIDValidity: a.validity, UIDNext: 1, HighestModSeq: a.modseq}}
	a.boxes = append(a.boxes, b)
	slices.SortFunc(a.boxes, func(x, y *memBox) int {
		if (x.Name == "INBOX") != (y.Name == "INBOX") {
			if x.Name == "INBOX" {
				return -1
			}
			return 1
		}
		return cmp.Compare(x.Name, y.Name)
	})
	return b
}

func (a *memAccount) byName(name string) (*memBox, error) {
	for _, b := range a.boxes {
		if b.Name == name {
			return b, nil
		}
	}
	return nil, fault.New(fault.NotFound, "mem", "There is no such mailbox.")
}

func (a *memAccount) byID(id string) (*memBox, error) {
	for _, b := range a.boxes {
		if b.ID == id {
			return b, nil
		}
	}
	return nil, fault.New(fault.NotFound, "mem", "There is no such mailbox.")
}

func (a *memAccount) bump(b *memBox) uint64 {
	a.modseq++
	b.HighestModSeq = a.modseq
	return a.modseq
}

func (a *memAccount) hint() {
	a.mu.Lock()
	fns := make([]func(), 0, len(a.watch))
	for _, f := range a.watch {
		fns = append(fns, f)
	}
	a.mu.Unlock()
	for _, f := range fns {
		f()
	}
}

// add puts a message in, as a delivery would.
func (a *memAccount) add(name, content string, flags imap.Flags) uint32 {
	a.mu.Lock()
	b, err := a.byName(name)
	if err != nil {
		a.mu.Unlock()
		panic(err)
	}
	uid := a.insert(b, []byte(content), flags, a.now)
	a.mu.Unlock()
	a.hint()
	return uid
}

func (a *memAccount) insert(b *memBox, content []byte, flags imap.Flags, at time.Time) uint32 {
	a.lastID++
	m := mime.Parse(content)
	msg := &memMsg{content: content}
	msg.Message = Message{UID: b.UIDNext, ModSeq: a.bump(b), Flags: flags, Size: int64(len(content)), Received: at,
		EmailID: fmt.Sprintf("E%d", a.lastID), ThreadID: fmt.Sprintf("T%d", a.lastID), Index: &m.Index, Envelope: m.Index.Envelope()}
	b.UIDNext++
	b.msgs = append(b.msgs, msg)
	return msg.UID
}

func (b *memBox) row() Mailbox {
	m := b.Mailbox
	m.Messages, m.Unseen, m.Deleted, m.Size = uint32(len(b.msgs)), 0, 0, 0
	for _, x := range b.msgs {
		if x.Flags.System&imap.Seen == 0 {
			m.Unseen++
		}
		if x.Flags.System&imap.Deleted != 0 {
			m.Deleted++
		}
		m.Size += x.Size
	}
	return m
}

type memSession struct {
	*memAccount
	user string
}

func (s memSession) Account() string { return s.user }
func (s memSession) Close()          {}

func (s memSession) Watch(f func()) func() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nextW++
	n := s.nextW
	s.watch[n] = f
	return func() { s.mu.Lock(); delete(s.watch, n); s.mu.Unlock() }
}

func (s memSession) List(context.Context) ([]Mailbox, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Mailbox
	for _, b := range s.boxes {
		out = append(out, b.row())
	}
	return out, nil
}

func (s memSession) Status(_ context.Context, name string) (Mailbox, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.byName(name)
	if err != nil {
		return Mailbox{}, err
	}
	return b.row(), nil
}

func (s memSession) Create(_ context.Context, name, use string) (Mailbox, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.byName(name); err == nil {
		return Mailbox{}, fault.New(fault.Exists, "mem", "There is a mailbox of this name.")
	}
	for i := range name {
		if name[i] == '/' {
			if _, err := s.byName(name[:i]); err != nil {
				s.make(name[:i], "")
			}
		}
	}
	return s.make(name, use).Mailbox, nil
}

func (s memSession) Delete(_ context.Context, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.byName(name)
	if err != nil {
		return err
	}
	for _, o := range s.boxes {
		if strings.HasPrefix(o.Name, name+"/") {
			return fault.New(fault.Denied, "mem", "Remove the mailboxes inside it first.")
		}
	}
	s.boxes = slices.DeleteFunc(s.boxes, func(o *memBox) bool { return o == b })
	return nil
}

func (s memSession) Rename(_ context.Context, from, to string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.byName(from); err != nil {
		return err
	}
	if _, err := s.byName(to); err == nil {
		return fault.New(fault.Exists, "mem", "There is a mailbox of this name.")
	}
	for _, b := range s.boxes {
		if b.Name == from || strings.HasPrefix(b.Name, from+"/") {
			b.Name = to + b.Name[len(from):]
		}
	}
	return nil
}

func (s memSession) Subscribe(_ context.Context, name string, on bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.byName(name)
	if err == nil {
		b.Subscribed = on
	}
	return err
}

func (s memSession) Select(_ context.Context, name string) (Opened, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.byName(name)
	if err != nil {
		return Opened{}, err
	}
	o := Opened{Mailbox: b.row(), State: s.modseq}
	for _, m := range b.msgs {
		o.UIDs.Add(m.UID)
	}
	return o, nil
}

func (s memSession) Changes(_ context.Context, id string, since uint64, known imap.Set) (Changes, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.byID(id)
	if err != nil {
		return Changes{}, err
	}
	ch := Changes{State: s.modseq, HighestModSeq: b.HighestModSeq, UIDNext: b.UIDNext}
	top := uint32(0)
	if len(known) > 0 {
		top = known[len(known)-1].Stop
	}
	for _, g := range b.gone {
		if g.modseq > since && known.Contains(g.uid) {
			ch.Vanished.Add(g.uid)
		}
	}
	for _, m := range b.msgs {
		if m.ModSeq > since && (m.UID > top || known.Contains(m.UID)) {
			ch.Changed = append(ch.Changed, m.copy())
		}
	}
	return ch, nil
}

func (m *memMsg) copy() Message {
	c := m.Message
	c.Flags.Keywords = slices.Clone(c.Flags.Keywords)
	return c
}

func (s memSession) Messages(_ context.Context, id string, uids imap.Set, _ Need, fn func(*Message) error) error {
	s.mu.Lock()
	b, err := s.byID(id)
	if err != nil {
		s.mu.Unlock()
		return err
	}
	var list []Message
	for _, m := range b.msgs {
		if uids.Contains(m.UID) {
			list = append(list, m.copy())
		}
	}
	s.mu.Unlock()
	for i := range list {
		if err := fn(&list[i]); err != nil {
			return err
		}
	}
	return nil
}

type memBody struct{ *bytes.Reader }

func (memBody) Close() error { return nil }

func (s memSession) Body(_ context.Context, id string, uid uint32) (Body, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.byID(id)
	if err != nil {
		return nil, err
	}
	for _, m := range b.msgs {
		if m.UID == uid {
			return memBody{bytes.NewReader(m.content)}, nil
		}
	}
	return nil, fault.New(fault.NotFound, "mem", "There is no such message.")
}

func (s memSession) Store(_ context.Context, id string, r StoreRequest) (StoreResult, error) {
	s.mu.Lock()
	b, err := s.byID(id)
	if err != nil {
		s.mu.Unlock()
		return StoreResult{}, err
	}
	var out StoreResult
	for _, m := range b.msgs {
		if !r.UIDs.Contains(m.UID) {
			continue
		}
		if r.UnchangedSince != nil && m.ModSeq > *r.UnchangedSince {
			out.Modified.Add(m.UID)
			continue
		}
		next := apply(m.Flags, r)
		if next.System != m.Flags.System || !slices.Equal(next.Keywords, m.Flags.Keywords) {
			m.Flags = next
			m.ModSeq = s.bump(b)
		}
		out.Now = append(out.Now, m.copy())
	}
	s.mu.Unlock()
	s.hint()
	return out, nil
}

func apply(f imap.Flags, r StoreRequest) imap.Flags {
	switch r.Mode {
	case imap.StoreAdd:
		f.System |= r.Flags.System
		f.Keywords = slices.Clone(f.Keywords)
		for _, k := range r.Flags.Keywords {
			if !f.HasKeyword(k) {
				f.Keywords = append(f.Keywords, k)
			}
		}
	case imap.StoreRemove:
		f.System &^= r.Flags.System
		f.Keywords = slices.DeleteFunc(slices.Clone(f.Keywords), r.Flags.HasKeyword)
	default:
		f = r.Flags
	}
	return f
}

func (s memSession) Expunge(_ context.Context, id string, uids imap.Set) error {
	s.mu.Lock()
	b, err := s.byID(id)
	if err != nil {
		s.mu.Unlock()
		return err
	}
	s.drop(b, func(m *memMsg) bool { return m.Flags.System&imap.Deleted != 0 && uids.Contains(m.UID) })
	s.mu.Unlock()
	s.hint()
	return nil
}

func (a *memAccount) drop(b *memBox, which func(*memMsg) bool) {
	var seq uint64
	b.msgs = slices.DeleteFunc(b.msgs, func(m *memMsg) bool {
		if !which(m) {
			return false
		}
		if seq == 0 {
			seq = a.bump(b)
		}
		b.gone = append(b.gone, memGone{m.UID, seq})
		return true
	})
}

func (s memSession) Copy(_ context.Context, id string, uids imap.Set, dest string, move bool) (CopyResult, error) {
	s.mu.Lock()
	b, err := s.byID(id)
	if err != nil {
		s.mu.Unlock()
		return CopyResult{}, err
	}
	d, err := s.byName(dest)
	if err != nil {
		s.mu.Unlock()
		return CopyResult{}, err
	}
	r := CopyResult{UIDValidity: d.UIDValidity}
	for _, m := range slices.Clone(b.msgs) {
		if uids.Contains(m.UID) {
			f := m.copy().Flags
			if move {
				f.System &^= imap.Deleted
			}
			r.From = append(r.From, m.UID)
			r.To = append(r.To, s.insert(d, m.content, f, m.Received))
		}
	}
	if move {
		s.drop(b, func(m *memMsg) bool { return slices.Contains(r.From, m.UID) })
	}
	s.mu.Unlock()
	s.hint()
	return r, nil
}

type memAppender struct {
	bytes.Buffer
	s    memSession
	name string
}

func (s memSession) Append(_ context.Context, name string, size int64) (Appender, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.byName(name); err != nil {
		return nil, err
	}
	if s.limit > 0 && size > s.limit {
		return nil, fault.New(fault.OverQuota, "mem", "The mailbox is full.")
	}
	return &memAppender{s: s, name: name}, nil
}

func (w *memAppender) Abort() {}

func (w *memAppender) Commit(_ context.Context, o AppendOptions) (uint32, uint32, error) {
	w.s.mu.Lock()
	if r := w.s.refuse; r != "" && strings.Contains(w.String(), r) {
		w.s.mu.Unlock()
		return 0, 0, fault.Refusal("mem", &mohar.Decision{Verdict: mohar.Refuse, Reasons: []mohar.Reason{{
			Rule: "LABEL-SECRET", What: mohar.Text{En: "Secret mail is not kept here."}, Advice: mohar.Text{En: "Use the sealing desk."}}}})
	}
	b, err := w.s.byName(w.name)
	if err != nil {
		w.s.mu.Unlock()
		return 0, 0, err
	}
	at := o.Received
	if at.IsZero() {
		at = w.s.now
	}
	uid := w.s.insert(b, slices.Clone(w.Bytes()), o.Flags, at)
	v := b.UIDValidity
	w.s.mu.Unlock()
	w.s.hint()
	return v, uid, nil
}

func (s memSession) Quota(context.Context) (Quota, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := Quota{Limit: s.limit}
	for _, b := range s.boxes {
		q.Used += b.row().Size
	}
	return q, nil
}

// memLogin signs everyone in to one account with the password "secret".
func memLogin(a *memAccount) Login {
	return func(_ context.Context, _ ConnInfo, _, user, password string) (Session, error) {
		if password != "secret" {
			return nil, fault.New(fault.Auth, "mem", "Wrong.")
		}
		return memSession{a, user}, nil
	}
}
