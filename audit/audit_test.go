package audit

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"
	"unicode/utf8"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/base/clock"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/store/kv"
	"github.com/mohar-mail/mohar/store/kv/memkv"
	"github.com/mohar-mail/mohar/wire/tlog"
)

var start = time.Date(2026, 11, 23, 9, 30, 0, 0, time.UTC)

func keys(t testing.TB) (private, public string) {
	t.Helper()
	private, public, err := tlog.GenerateKey(rand.Reader, "log.rajya.example")
	if err != nil {
		t.Fatal(err)
	}
	return private, public
}

func stage(t testing.TB, s *kv.Store, shard kv.Shard, rs ...Record) {
	t.Helper()
	err := s.Update(context.Background(), shard, func(tx *kv.Tx) error {
		for _, r := range rs {
			if err := Stage(tx, r); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func rec(i int) Record { return Record{Time: start, Kind: "test", Object: fmt.Sprint(i)} }

func sequencer(t testing.TB, s *kv.Store, private string, c clock.Clock) *Sequencer {
	t.Helper()
	q, err := NewSequencer(Config{Store: s, Private: private, Clock: c, Failed: func(err error) { t.Error(err) }})
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func TestLeafBytes(t *testing.T) {
	t.Parallel()
	s := kv.NewStore(memkv.New())
	private, _ := keys(t)
	full := Record{
		Time: start.Add(1234567), Kind: "submit", Actor: "a1", OnBehalf: "a2", Door: mohar.DoorJMAP, Remote: "192.0.2.1",
		Object: "अजय@राज्य.example", Decision: &mohar.Decision{Verdict: mohar.Refuse, RulebookHash: "h", Reasons: []mohar.Reason{{Rule: "R1"}, {Rule: "R2"}}},
		Detail: map[string]string{"b": "<2>", "a": "1\n"},
	}
	stage(t, s, "q/0", full, Record{Time: start, Kind: "x"})
	if err := sequencer(t, s, private, clock.System{}).Drain(context.Background(), "q/0"); err != nil {
		t.Fatal(err)
	}
	es, err := NewLog(s, "").Entries(context.Background(), 0, 0)
	if err != nil || len(es) != 2 {
		t.Fatal(es, err)
	}
	want := `{"src":"q/0","n":1,"time":"2026-11-23T09:30:00.001234Z","kind":"submit","actor":"a1","behalf":"a2","door":"jmap","remote":"192.0.2.1",` +
		`"object":"अजय@राज्य.example","decision":{"verdict":"refuse","rules":["R1","R2"],"rulebook":"h"},"detail":{"a":"1\n","b":"<2>"}}`
	if string(es[0].Leaf) != want {
		t.Errorf("leaf\n%s\nwant\n%s", es[0].Leaf, want)
	}
	r := es[0].Record
	if r.Kind != "submit" || r.Actor != "a1" || r.Decision.Verdict != mohar.Refuse || len(r.Decision.Reasons) != 2 || r.Detail["a"] != "1\n" || es[0].N != 1 {
		t.Errorf("read back: %+v", es[0])
	}
	if got := string(es[1].Leaf); got != `{"src":"q/0","n":2,"time":"2026-11-23T09:30:00.000000Z","kind":"x"}` {
		t.Error(got)
	}
}

// TestHostileLength shows that no length or byte of a field prevents a record.
func TestHostileLength(t *testing.T) {
	t.Parallel()
	many := map[string]string{}
	for i := range 200 {
		many[fmt.Sprintf("%03d%s", i, strings.Repeat("\x01", 600))] = strings.Repeat("\x02", 600)
	}
	for name, r := range map[string]Record{
		"long":     {Time: start, Kind: "x", Object: strings.Repeat("क", 100000)},
		"escapes":  {Time: start, Kind: "x", Detail: many, Object: strings.Repeat("\x00", 600)},
		"not utf8": {Time: start, Kind: "x", Object: "\xff\xfe", Detail: map[string]string{"\xff": "\n\r"}},
	} {
		leaf, err := encode("s", 1, &r)
		if err != nil || len(leaf) > tlog.MaxLeaf || bytes.ContainsAny(leaf, "\n\r") || !utf8.Valid(leaf) {
			t.Errorf("%s: %d bytes, %v", name, len(leaf), err)
		}
		if e, err := Decode(0, leaf); err != nil || e.Record.Kind != "x" {
			t.Errorf("%s: %v", name, err)
		}
	}
	err := kv.NewStore(memkv.New()).Update(context.Background(), "s", func(tx *kv.Tx) error { return Stage(tx, Record{Kind: "x"}) })
	if !fault.Is(err, fault.Invalid) {
		t.Errorf("a record without a time: %v", err)
	}
}

// memory collects an export.
type memory struct{ fstest.MapFS }

type file struct {
	bytes.Buffer
	m    memory
	name string
}

func (f *file) Close() error {
	f.m.MapFS[f.name] = &fstest.MapFile{Data: f.Bytes()}
	return nil
}

func (m memory) create(name string) (io.WriteCloser, error) { return &file{m: m, name: name}, nil }

// proved exports the log of s, verifies it offline and gives its objects.
func proved(t testing.TB, s *kv.Store, public string) []string {
	t.Helper()
	m := memory{fstest.MapFS{}}
	if _, err := NewLog(s, "").Export(context.Background(), Export{Create: m.create, Public: public}); err != nil {
		t.Fatal(err)
	}
	r, err := tlog.Verify(context.Background(), m, tlog.Verification{Public: public})
	if err != nil || !r.OK() {
		t.Fatalf("%+v %v", r, err)
	}
	var out []string
	for _, l := range strings.Split(strings.TrimSuffix(string(m.MapFS[tlog.EntriesFile].Data), "\n"), "\n") {
		e, err := Decode(0, []byte(l))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, string(e.Source)+" "+e.Record.Object)
	}
	return out
}

// dying is a database that stops in the middle: the commit number at fails,
// applied or not, and everything after it.
type dying struct {
	kv.DB
	mu      sync.Mutex
	at      int
	applied bool
	dead    bool
}

var errKilled = errors.New("killed")

func (d *dying) Commit(ctx context.Context, b *kv.Batch) (kv.Ticket, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dead {
		return nil, errKilled
	}
	if d.at--; d.at < 0 {
		d.dead = true
		if d.applied {
			if _, err := d.DB.Commit(ctx, b); err != nil {
				return nil, err
			}
		}
		return nil, errKilled
	}
	return d.DB.Commit(ctx, b)
}

// TestKilledAnywhere stops the sequencer before and after each of its commits,
// stages more, goes on, and expects each record once and in order.
func TestKilledAnywhere(t *testing.T) {
	t.Parallel()
	private, public := keys(t)
	ctx := context.Background()
	stops := 0
	for kill := 0; ; kill++ {
		survived := false
		for _, applied := range []bool{false, true} {
			db := memkv.New()
			good := kv.NewStore(db)
			var want []string
			for i := range 9 {
				shard := kv.Shard(fmt.Sprintf("s/%d", i/3))
				stage(t, good, shard, rec(i))
				want = append(want, fmt.Sprintf("%s %d", shard, i))
			}
			d := &dying{DB: db, at: kill, applied: applied}
			err := sequencer(t, kv.NewStore(d), private, clock.System{}).Drain(ctx, "s/0", "s/1", "s/2")
			survived = err == nil
			if err != nil {
				stops++
			}
			after := kv.NewStore(db)
			stage(t, after, "s/1", rec(100))
			q := sequencer(t, after, private, clock.System{})
			if err := q.Everything(ctx); err != nil {
				t.Fatal(err)
			}
			if got := proved(t, after, public); strings.Join(got, ",") != strings.Join(append(want, "s/1 100"), ",") &&
				// Killed before the log's commit, s/1 goes in as a whole.
				strings.Join(got, ",") != strings.Join(append(want[:6:6], append([]string{"s/1 100"}, want[6:]...)...), ",") {
				t.Errorf("kill %d applied %v: %v", kill, applied, got)
			}
			for _, shard := range []kv.Shard{"s/0", "s/1", "s/2"} {
				if n := outboxed(t, after, shard); n != 0 {
					t.Errorf("kill %d: %d rows left in %s", kill, n, shard)
				}
			}
		}
		if survived {
			break
		}
	}
	if stops < 8 {
		t.Errorf("only %d stops were tried", stops)
	}
}

func outboxed(t testing.TB, s *kv.Store, shard kv.Shard) int {
	t.Helper()
	n := 0
	err := s.View(context.Background(), shard, func(r kv.Reader) error {
		return r.Scan(kv.PrefixRange([]byte(outboxPrefix)), func(_, _ []byte) bool { n++; return true })
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestSeveralSequencers lets three of them, and writers, work at once.
func TestSeveralSequencers(t *testing.T) {
	t.Parallel()
	private, public := keys(t)
	s := kv.NewStore(memkv.New())
	ctx, cancel := context.WithCancel(context.Background())
	var run, write sync.WaitGroup
	c := clock.NewFake(start)
	qs := make([]*Sequencer, 3)
	for i := range qs {
		q, err := NewSequencer(Config{Store: s, Private: private, Clock: clock.System{}, Gather: 1, Sources: []kv.Shard{"s/0", "s/1", "s/2", "s/3"}, Sweep: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		qs[i] = q
		run.Go(func() { q.Run(ctx) })
	}
	const each = 50
	for w := range 4 {
		write.Go(func() {
			shard := kv.Shard(fmt.Sprintf("s/%d", w))
			for i := range each {
				stage(t, s, shard, Record{Time: c.Now(), Kind: "x", Object: fmt.Sprint(i)})
				qs[i%3].Nudge(shard)
			}
		})
	}
	write.Wait()
	cancel()
	run.Wait()
	// Verification proves order and absence of gaps and repetitions per source.
	if got := proved(t, s, public); len(got) != 4*each {
		t.Errorf("%d entries, want %d", len(got), 4*each)
	}
}

// TestLargeBacklog needs several commits for one drain.
func TestLargeBacklog(t *testing.T) {
	t.Parallel()
	private, public := keys(t)
	s := kv.NewStore(memkv.New())
	const n = batchEntries + 700
	rs := make([]Record, n)
	for i := range rs {
		rs[i] = rec(i)
	}
	stage(t, s, "s/0", rs[:n/2]...)
	stage(t, s, "s/1", rs[n/2:]...)
	q := sequencer(t, s, private, clock.System{})
	if err := q.Drain(context.Background(), "s/1", "s/0"); err != nil {
		t.Fatal(err)
	}
	if got := proved(t, s, public); len(got) != n {
		t.Errorf("%d entries, want %d", len(got), n)
	}
}

func TestProofs(t *testing.T) {
	t.Parallel()
	private, public := keys(t)
	s := kv.NewStore(memkv.New())
	ctx := context.Background()
	q, l := sequencer(t, s, private, clock.System{}), NewLog(s, "")
	if _, c, err := l.Checkpoint(ctx); err != nil || c.Size != 0 {
		t.Fatal(c, err)
	}
	for i := range 300 {
		stage(t, s, "s/0", rec(i))
	}
	if err := q.Drain(ctx, "s/0"); err != nil {
		t.Fatal(err)
	}
	_, old, err := l.Checkpoint(ctx)
	if err != nil {
		t.Fatal(err)
	}
	stage(t, s, "s/0", rec(300), rec(301))
	if err := q.Drain(ctx, "s/0"); err != nil {
		t.Fatal(err)
	}
	for _, i := range []int64{0, 255, 256, 301} {
		p, err := l.Prove(ctx, i)
		if err != nil {
			t.Fatal(err)
		}
		if c, err := p.Check(public); err != nil || c.Size != 302 {
			t.Errorf("entry %d: %v", i, err)
		}
		p.Leaf += " "
		if _, err := p.Check(public); err == nil {
			t.Errorf("entry %d: a changed leaf is proved", i)
		}
	}
	hashes, signed, err := l.Consistency(ctx, old.Size)
	if err != nil {
		t.Fatal(err)
	}
	c, err := tlog.Open(signed, public)
	if err != nil {
		t.Fatal(err)
	}
	if err := tlog.CheckConsistency(hashes, c.Size, c.Root, old.Size, old.Root); err != nil {
		t.Error(err)
	}
	if _, err := l.Prove(ctx, 302); !fault.Is(err, fault.NotFound) {
		t.Errorf("entry past the end: %v", err)
	}
	es, next, err := l.Tail(ctx, 5)
	if err != nil || next != 302 || len(es) != 5 || es[4].Record.Object != "301" {
		t.Error(es, next, err)
	}
	other, _, err := tlog.GenerateKey(rand.Reader, "other.example")
	if err != nil {
		t.Fatal(err)
	}
	stage(t, s, "s/0", rec(302))
	q2, err := NewSequencer(Config{Store: s, Private: other, Clock: clock.System{}})
	if err != nil {
		t.Fatal(err)
	}
	if err := q2.Drain(ctx, "s/0"); !fault.Is(err, fault.Conflict) {
		t.Errorf("a key of another origin signs: %v", err)
	}
}

// TestCheck spoils the stored log in every way once.
func TestCheck(t *testing.T) {
	t.Parallel()
	private, public := keys(t)
	_, stranger := keys(t)
	ctx := context.Background()
	for _, c := range []struct {
		name  string
		spoil func(tx *kv.Tx)
		key   string
		want  string
	}{
		{"in order", func(*kv.Tx) {}, public, ""},
		{"another key", func(*kv.Tx) {}, stranger, "signature"},
		{"an entry changed", func(tx *kv.Tx) {
			tx.Put(entryKey(7), []byte(`{"src":"s/0","n":8,"time":"2026-11-23T09:30:00Z","kind":"y"}`))
		}, public, "Tile 0/0"},
		{"an entry gone", func(tx *kv.Tx) { tx.Delete(entryKey(299)) }, public, "Entry 299"},
		{"a tile gone", func(tx *kv.Tx) { tx.Delete(tileKey(tlog.Tile{Level: 0, N: 1})) }, public, "Tile 0/1"},
		{"a cursor moved", func(tx *kv.Tx) { tx.Put(cursorKey("s/0"), make([]byte, 8)) }, public, "place in"},
		{"a cursor gone", func(tx *kv.Tx) { tx.Delete(cursorKey("s/1")) }, public, "knows 1 sources"},
	} {
		s := kv.NewStore(memkv.New())
		for i := range 300 {
			stage(t, s, kv.Shard(fmt.Sprintf("s/%d", i/200)), rec(i))
		}
		if err := sequencer(t, s, private, clock.System{}).Drain(ctx, "s/0", "s/1"); err != nil {
			t.Fatal(err)
		}
		if err := s.Update(ctx, DefaultLog, func(tx *kv.Tx) error { c.spoil(tx); return nil }); err != nil {
			t.Fatal(err)
		}
		wrong, err := NewLog(s, "").Check(ctx, c.key, nil)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if got := strings.Join(wrong, "\n"); (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %s", c.name, got)
		}
	}
}

// TestMissingRow shows that a hole in an outbox is told, that nothing behind it
// enters the log or is removed, and that the other sources go on.
func TestMissingRow(t *testing.T) {
	t.Parallel()
	private, public := keys(t)
	s := kv.NewStore(memkv.New())
	for _, shard := range []kv.Shard{"s/0", "s/1", "s/2"} {
		stage(t, s, shard, rec(0), rec(1), rec(2))
	}
	if err := s.Update(context.Background(), "s/1", func(tx *kv.Tx) error { tx.Delete(outboxKey(2)); return nil }); err != nil {
		t.Fatal(err)
	}
	q := sequencer(t, s, private, clock.System{})
	for range 2 {
		err := q.Drain(context.Background(), "s/0", "s/1", "s/2")
		if !fault.Is(err, fault.Corrupt) || !strings.Contains(err.Error(), `2 to 2 of "s/1"`) {
			t.Error(err)
		}
	}
	if got := strings.Join(proved(t, s, public), ","); got != "s/0 0,s/0 1,s/0 2,s/1 0,s/2 0,s/2 1,s/2 2" {
		t.Error(got)
	}
	if a, b := outboxed(t, s, "s/1"), outboxed(t, s, "s/2"); a != 2 || b != 0 {
		t.Errorf("%d and %d rows are left", a, b)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"src":"s","n":1,"time":"2026-11-23T09:30:00Z","kind":"x","decision":{"verdict":"hold"}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := Decode(0, b)
		if err != nil {
			return
		}
		if e.Record.Kind != "" {
			if _, err := encode(e.Source, e.N, &e.Record); err != nil {
				t.Error(err)
			}
		}
	})
}

func BenchmarkDrain(b *testing.B) {
	private, _ := keys(b)
	s := kv.NewStore(memkv.New())
	q := sequencer(b, s, private, clock.System{})
	rs := make([]Record, 1000)
	for i := range rs {
		rs[i] = rec(i)
	}
	for b.Loop() {
		stage(b, s, "s/0", rs...)
		if err := q.Drain(context.Background(), "s/0"); err != nil {
			b.Fatal(err)
		}
	}
}
