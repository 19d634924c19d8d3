package sample

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/text/unicode/norm"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/base/clock"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/directory"
	"github.com/mohar-mail/mohar/directory/credential"
	"github.com/mohar-mail/mohar/flow/change"
	"github.com/mohar-mail/mohar/mailbox"
	"github.com/mohar-mail/mohar/store/blob/memblob"
	"github.com/mohar-mail/mohar/store/body"
	"github.com/mohar-mail/mohar/store/kv"
	"github.com/mohar-mail/mohar/store/kv/memkv"
	"github.com/mohar-mail/mohar/store/kv/pebblekv"
	"github.com/mohar-mail/mohar/wire/dsn"
	"github.com/mohar-mail/mohar/wire/mime"
)

// now is a Monday morning in India.
var now = time.Date(2026, 11, 23, 4, 30, 0, 0, time.UTC)

var errKilled = errors.New("killed")

// mortal is a database that takes a number of commits and then none.
type mortal struct {
	kv.DB
	left    int // negative: no end
	commits int
}

func (m *mortal) Commit(ctx context.Context, b *kv.Batch) (kv.Ticket, error) {
	if m.left == 0 {
		return nil, errKilled
	}
	m.left--
	m.commits++
	return m.DB.Commit(ctx, b)
}

type world struct {
	*testing.T
	db    *mortal
	store *kv.Store
	keys  []string
	Stores
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, db: &mortal{DB: memkv.New(), left: -1}}
	w.store = kv.NewStore(w.db)
	t.Cleanup(func() { w.store.Close() })
	c := clock.NewFake(now)
	h, err := credential.New(credential.Config{Params: credential.Quick(), Clock: c})
	if err != nil {
		t.Fatal(err)
	}
	d := directory.New(directory.Config{Store: w.store})
	w.Stores = Stores{Directory: d, Hasher: h, Clock: c,
		Change: change.New(change.Config{Directory: d, Hasher: h, Clock: c,
			Keys: func(domain string) error { w.keys = append(w.keys, domain); return nil }}),
		Mailboxes: mailbox.New(mailbox.Config{KV: w.store, Bodies: body.New(w.store, memblob.New(), body.Config{}), Clock: c})}
	return w
}

func (w *world) seed(cfg Config) *Report {
	w.Helper()
	r, err := Seed(w.Context(), w.Stores, cfg)
	if err != nil {
		w.Fatal(err)
	}
	return r
}

// held is one copy as the store has it.
type held struct {
	role   mailbox.Role
	flags  mailbox.Flags
	thread mailbox.ThreadID
	at     time.Time
	m      *mime.Message
	raw    []byte
}

// box reads an account's mail and checks its store.
func (w *world) box(address string) []held {
	w.Helper()
	a, _, err := w.Directory.ByAddress(w.Context(), address)
	if err != nil {
		w.Fatal(address, err)
	}
	var out []held
	err = w.Mailboxes.View(w.Context(), a.ID, func(r *mailbox.Reader) error {
		all, err := r.Mailboxes()
		if err != nil {
			return err
		}
		for _, m := range all {
			var inner error
			err := r.Entries(m.ID, 1, 1<<32-1, func(e *mailbox.Entry) bool {
				var em *mailbox.Email
				if em, inner = r.Email(e.Email); inner != nil {
					return false
				}
				var raw []byte
				raw, inner = w.Mailboxes.Bodies().Read(w.Context(), em.Body)
				out = append(out, held{m.Role, e.Flags, e.Thread, em.Received, mime.Parse(raw), raw})
				return inner == nil
			})
			if err := errors.Join(err, inner); err != nil {
				return err
			}
		}
		return nil
	})
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	if err != nil {
		w.Fatal(address, err)
	}
	problems, err := w.Mailboxes.Check(w.Context(), a.ID)
	if err != nil || len(problems) > 0 {
		w.Fatal(address, problems, err)
	}
	return out
}

// everything writes down what the seed brought about, to compare two stores.
func (w *world) everything(r *Report) string {
	var b strings.Builder
	for _, p := range r.People {
		fmt.Fprintf(&b, "%+v\n", p)
		for _, h := range w.box(p.Address) {
			fmt.Fprintf(&b, "  %s %d %s %x\n", h.role, h.flags, h.at, mime.Parse(h.raw).Envelope().MessageID)
		}
	}
	return b.String()
}

func TestDomainsAndPeople(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.seed(Config{})
	if !r.Fresh || r.Users != DefaultUsers || len(r.People) < 16 || len(r.People) > 25 || len(w.keys) != 5 {
		t.Fatalf("%+v, keys for %v", r, w.keys)
	}
	ctx := t.Context()
	categories := map[mohar.Category]int{}
	for _, p := range r.People {
		a, d, err := w.Directory.ByAddress(ctx, p.Address)
		if err != nil {
			t.Fatal(p.Address, err)
		}
		b, _, err := w.Directory.ByAddress(ctx, p.Hindi)
		if err != nil || a.ID != b.ID || p.Hindi == p.Address || !norm.NFC.IsNormalString(p.Hindi) || strings.ContainsAny(p.Hindi, "\u200c\u200d") {
			t.Errorf("%s: twin %q, %v", p.Address, p.Hindi, err)
		}
		if d.State != directory.Live || p.Name.En == "" || p.Name.Hi == "" || p.Post.En == "" || p.Post.Hi == "" || p.Note.En == "" || p.Note.Hi == "" {
			t.Errorf("%+v in %+v", p, d)
		}
		if ok, _, err := w.Hasher.Verify(ctx, string(a.ID), a.Hash, Password); !ok || err != nil {
			t.Errorf("%s: the password does not fit: %v", p.Address, err)
		}
		if err := credential.Acceptable(Password, credential.DefaultMin, a.Addresses...); err != nil {
			t.Errorf("%s: %v", p.Address, err)
		}
		// GOV-03, LIF-07: whoever is not of the government is seen to be so, and ends.
		outside := a.Category >= mohar.Contractual && a.Category <= mohar.ThirdParty
		if outside != (d.Name == externalDomain) || outside != !a.Until.IsZero() || a.Until.After(now.AddDate(1, 0, 0)) || outside && a.Sponsor == "" {
			t.Errorf("%s: %s in %s until %s", p.Address, a.Category, d.Name, a.Until)
		}
		categories[a.Category]++
	}
	for c := mohar.Employee; c <= mohar.Application; c++ {
		if categories[c] == 0 {
			t.Errorf("nobody is %s", c)
		}
	}
	if a, _, err := w.Directory.ByAddress(ctx, "abuse@"+stateTwin); err != nil || a.Address() != "helpdesk@rajya.example" {
		t.Errorf("abuse: %+v, %v", a, err)
	}
	a, d, err := w.Directory.ByAddress(ctx, "u20@example.test")
	if err != nil || d.Rulebook != "base" {
		t.Fatal(a, d, err)
	}
	if ok, _, _ := w.Hasher.Verify(ctx, string(a.ID), a.Hash, LoadPassword); !ok {
		t.Error("u20 cannot sign in")
	}
}

func TestLetters(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.seed(Config{Users: 1})
	labels := map[string]int{}
	for _, p := range r.People {
		for _, h := range w.box(p.Address) {
			subject := mime.DecodeText(h.m.Envelope().Subject)
			if h.m.Defects != 0 {
				t.Errorf("%s, %q: defects %s", p.Address, subject, h.m.Defects)
			}
			if h.m.Envelope().MessageID == "" || subject == "" {
				t.Errorf("%s: a letter without Message-ID or subject", p.Address)
			}
			if h.at.After(now) || h.at.Before(now.AddDate(0, 0, -22)) {
				t.Errorf("%s, %q: received %s", p.Address, subject, h.at)
			}
			sent, ok := mime.ParseDate(h.m.Envelope().Date)
			if !ok || h.at.Sub(sent) < 0 || h.at.Sub(sent) > time.Minute {
				t.Errorf("%s, %q: Date %s, received %s", p.Address, subject, sent, h.at)
			}
			report := strings.Contains(string(h.raw), "report-type=delivery-status")
			if delivered := h.role != mailbox.RoleSent && h.role != mailbox.RoleDrafts; delivered && !report != strings.HasPrefix(string(h.raw), "Return-Path: <") {
				t.Errorf("%s, %q: in %s with the wrong trace", p.Address, subject, h.role)
			}
			if v, ok := h.m.Header(h.m.Root).Get("Mohar-Label"); ok {
				labels[strings.TrimSpace(v.Text())]++
			}
		}
	}
	for l := mohar.Open; l <= mohar.TopSecret; l++ {
		// Nothing above confidential travels on an instance of the internet.
		if (labels[l.String()] > 0) != (l <= mohar.Confidential) {
			t.Errorf("%d letters are labelled %s", labels[l.String()], l)
		}
	}
}

func TestClerksDesk(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.seed(Config{Users: 1})
	in := map[mailbox.Role]int{}
	flags := map[mailbox.Flags]int{}
	threads := map[mailbox.ThreadID]int{}
	reports := 0
	for _, h := range w.box("asha.verma@rajya.example") {
		in[h.role]++
		threads[h.thread]++
		for f := mailbox.Seen; f <= mailbox.Draft; f <<= 1 {
			if h.flags&f != 0 {
				flags[f]++
			}
		}
		if h.flags&mailbox.Seen == 0 && h.role == mailbox.RoleInbox {
			flags[0]++
		}
		if rep, ok := dsn.Parse(h.m); ok {
			reports++
			if len(rep.Recipients) != 1 || rep.Recipients[0].Action != dsn.Failed {
				t.Errorf("report %+v", rep)
			}
		}
	}
	longest := slices.Max(slices.Collect(func(yield func(int) bool) {
		for _, n := range threads {
			if !yield(n) {
				return
			}
		}
	}))
	if len(threads) < 35 || len(threads) > 50 || longest != 9 || reports < 2 {
		t.Errorf("%d conversations, the longest of %d, %d reports", len(threads), longest, reports)
	}
	for _, role := range []mailbox.Role{mailbox.RoleInbox, mailbox.RoleDrafts, mailbox.RoleSent, mailbox.RoleArchive, mailbox.RoleJunk, mailbox.RoleTrash} {
		if in[role] == 0 {
			t.Errorf("nothing in %s", role)
		}
	}
	for _, f := range []mailbox.Flags{0, mailbox.Seen, mailbox.Answered, mailbox.Flagged, mailbox.Draft} {
		if flags[f] == 0 {
			t.Errorf("nothing is marked %d", f)
		}
	}
	t.Log(in, flags, len(threads))
}

func TestSecondRunChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.seed(Config{})
	before, commits := w.everything(first), w.db.commits
	var last [2]int
	second := w.seed(Config{Progress: func(done, total int) { last = [2]int{done, total} }})
	if w.db.commits != commits || second.Fresh {
		t.Errorf("%d commits, fresh %v", w.db.commits-commits, second.Fresh)
	}
	if w.everything(second) != before {
		t.Error("something changed")
	}
	if last[0] != last[1] || last[0] == 0 {
		t.Errorf("progress ends at %v", last)
	}
	more := w.seed(Config{Users: 33})
	if !more.Fresh || more.Users != 33 || w.everything(more) != before {
		t.Error("more users changed more than users")
	}
	if _, _, err := w.Directory.ByAddress(t.Context(), "u33@example.test"); err != nil {
		t.Error(err)
	}
}

// A letter that its reader has thrown away does not come back.
func TestDeletedStaysDeleted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.seed(Config{})
	a, _, err := w.Directory.ByAddress(t.Context(), "asha.verma@rajya.example")
	if err != nil {
		t.Fatal(err)
	}
	before := len(w.box("asha.verma@rajya.example"))
	err = w.Mailboxes.Update(t.Context(), a.ID, func(u *mailbox.Writer) error {
		m, err := u.ByRole(mailbox.RoleInbox)
		if err != nil {
			return err
		}
		_, err = u.Expunge(m.ID, []uint32{1})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	r := w.seed(Config{})
	if n := len(w.box("asha.verma@rajya.example")); n != before-1 || r.Fresh {
		t.Errorf("%d letters of %d, fresh %v", n, before, r.Fresh)
	}
}

// A run that is killed after any commit is carried on by the next: here each
// run is allowed one commit only, so that together they stop at every point.
func TestKilledAnywhere(t *testing.T) {
	t.Parallel()
	whole := newWorld(t)
	want := whole.everything(whole.seed(Config{}))
	w := newWorld(t)
	for killed := 0; ; killed++ {
		w.db.left = 1
		r, err := Seed(t.Context(), w.Stores, Config{})
		if err == nil {
			w.db.left = -1
			if killed < whole.db.commits-1 || w.db.commits != whole.db.commits || w.everything(r) != want {
				t.Fatalf("%d runs made %d commits and brought something else than one run with %d", killed+1, w.db.commits, whole.db.commits)
			}
			return
		}
		if !errors.Is(err, errKilled) || killed > whole.db.commits {
			t.Fatalf("run %d: %v", killed, err)
		}
	}
}

// However old the files get, every date lies in the three weeks before now.
func TestDatesOnAnyDay(t *testing.T) {
	t.Parallel()
	c, err := loadCast()
	if err != nil {
		t.Fatal(err)
	}
	for day := range 14 {
		for _, hour := range []int{0, 1, 9, 18, 19, 23} {
			at := time.Date(2027, 2, 20+day, hour, 30, 0, 0, time.UTC)
			all, err := loadLetters(c, at)
			if err != nil {
				t.Fatal(at, err)
			}
			for _, l := range all.list {
				if l.at.After(at.Add(-arrival)) || l.at.Before(at.AddDate(0, 0, -22)) {
					t.Fatalf("at %s the letter %s is of %s", at, l.Key, l.at)
				}
			}
		}
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, n := range []int{-1, MaxUsers + 1} {
		if _, err := Seed(t.Context(), w.Stores, Config{Users: n}); !fault.Is(err, fault.Invalid) {
			t.Errorf("%d users: %v", n, err)
		}
	}
}

// BenchmarkUsers seeds 100,000 users on disk, then looks for them again.
func BenchmarkUsers(b *testing.B) {
	const users = 100_000
	for b.Loop() {
		db, err := pebblekv.Open(b.TempDir(), pebblekv.Config{})
		if err != nil {
			b.Fatal(err)
		}
		store := kv.NewStore(db)
		h, err := credential.New(credential.Config{})
		if err != nil {
			b.Fatal(err)
		}
		d := directory.New(directory.Config{Store: store})
		s := Stores{Directory: d, Hasher: h, Clock: clock.System{}, Change: change.New(change.Config{Directory: d, Hasher: h, Clock: clock.System{}}),
			Mailboxes: mailbox.New(mailbox.Config{KV: store, Bodies: body.New(store, memblob.New(), body.Config{}), Clock: clock.System{}})}
		for _, what := range []string{"first-s/op", "again-s/op"} {
			start := time.Now()
			if _, err := Seed(b.Context(), s, Config{Users: users}); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(time.Since(start).Seconds(), what)
		}
		if err := store.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
