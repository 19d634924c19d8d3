package inbound_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/base/clock"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/flow/inbound"
	"github.com/mohar-mail/mohar/queue"
	"github.com/mohar-mail/mohar/store/blob/memblob"
	"github.com/mohar-mail/mohar/store/body"
	"github.com/mohar-mail/mohar/store/kv"
	"github.com/mohar-mail/mohar/store/kv/memkv"
	"github.com/mohar-mail/mohar/wire/mime"
	"github.com/mohar-mail/mohar/wire/smtp"
)

var errDisk = errors.New("no space left on device")

// failing is a backend whose commits, or their tickets, fail.
type failing struct {
	kv.DB
	commit, ticket bool
}

func (f *failing) Commit(ctx context.Context, b *kv.Batch) (kv.Ticket, error) {
	if f.commit {
		return nil, errDisk
	}
	t, err := f.DB.Commit(ctx, b)
	if f.ticket {
		return failedTicket{}, err
	}
	return t, err
}

type failedTicket struct{}

func (failedTicket) Wait() error { return errDisk }

type world struct {
	*testing.T
	in     *inbound.Inbound
	q      *queue.Queue
	store  *kv.Store
	bodies *body.Bodies
	db     *failing
	staged []kv.Shard
	woken  int
	checks inbound.Checks
	clock  *clock.Fake
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, db: &failing{DB: memkv.New()}, clock: clock.NewFake(time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC))}
	w.store = kv.NewStore(w.db)
	t.Cleanup(func() { w.store.Close() })
	w.bodies = body.New(w.store, memblob.New(), body.Config{})
	w.q = queue.New(queue.Config{KV: w.store, Bodies: w.bodies, Clock: w.clock, Lanes: 1, Room: 1 << 20,
		Wake: func(int, queue.Class) { w.woken++ }})
	w.in = inbound.New(inbound.Config{Hostname: "mx.rajya.example", Queue: w.q, Bodies: w.bodies, Clock: w.clock,
		Log: slog.New(slog.DiscardHandler), MaxSize: 100_000,
		Recipient: func(context.Context, string) (inbound.Target, error) { return inbound.Target{}, nil },
		Verify: func(context.Context, string, *inbound.Arrival, []byte) (inbound.Checks, error) {
			return w.checks, nil
		},
		Staged: func(s kv.Shard) { w.staged = append(w.staged, s) }})
	return w
}

func arrival() *inbound.Arrival {
	return &inbound.Arrival{Door: mohar.DoorMX, Remote: netip.MustParseAddr("192.0.2.7"), Helo: "mail.city.example",
		Protocol: "ESMTPS", TLS: "TLS 1.3 TLS_AES_128_GCM_SHA256"}
}

func (w *world) accept(a *inbound.Arrival, from, content string, to ...string) (queue.ItemID, error) {
	w.Helper()
	env := &mohar.Envelope{From: from}
	var targets []inbound.Target
	for _, x := range to {
		env.To = append(env.To, mohar.Recipient{Address: x, Notify: "FAILURE", ORcpt: "rfc822;" + x})
		targets = append(targets, inbound.Target{Account: mohar.AccountID("acc-" + x[:4]), Address: x})
	}
	return w.in.Accept(w.Context(), a, env, targets, strings.NewReader(content))
}

func (w *world) get(id queue.ItemID) (*queue.Message, string) {
	w.Helper()
	m, err := w.q.Get(w.Context(), id)
	if err != nil {
		w.Fatal(err)
	}
	b, err := w.bodies.Read(w.Context(), m.Item.Body)
	if err != nil {
		w.Fatal(err)
	}
	return m, string(b)
}

// audit gives the records that wait in the lane.
func (w *world) audit() (out []map[string]any) {
	w.Helper()
	err := w.store.View(w.Context(), queue.Lane(0), func(r kv.Reader) error {
		return r.Scan(kv.PrefixRange([]byte("o/")), func(_, v []byte) bool {
			var m map[string]any
			if err := json.Unmarshal(v, &m); err != nil {
				w.Error(err)
			}
			out = append(out, m)
			return true
		})
	})
	if err != nil {
		w.Fatal(err)
	}
	return out
}

func (w *world) empty() {
	w.Helper()
	st, err := w.q.Stats(w.Context())
	if err != nil || st != (queue.Stats{}) {
		w.Errorf("the queue holds %+v, %v", st, err)
	}
	if w.woken != 0 {
		w.Errorf("workers were woken %d times for nothing", w.woken)
	}
}

const letter = "From: a@city.example\r\nSubject: x\r\n\r\nnamaste\r\n"

func TestTraceFields(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.checks = inbound.Checks{Field: []byte("Authentication-Results: mx.rajya.example; spf=pass\r\n"), Detail: map[string]string{"spf": "pass"}}
	id, err := w.accept(arrival(), "a@city.example", letter, "ravi@rajya.example")
	if err != nil {
		t.Fatal(err)
	}
	m, got := w.get(id)
	want := "Return-Path: <a@city.example>\r\n" +
		"Received: from mail.city.example ([192.0.2.7])\r\n\tby mx.rajya.example with ESMTPS id " + id.String() +
		"\r\n\tfor <ravi@rajya.example>\r\n\t(TLS 1.3 TLS_AES_128_GCM_SHA256);\r\n\tMon, 02 Mar 2026 09:00:00 +0000\r\n" +
		"Authentication-Results: mx.rajya.example; spf=pass\r\n" + letter
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	r := m.Recipients[0]
	if r.Notify != "FAILURE" || r.ORcpt != "rfc822;ravi@rajya.example" || r.Account != "acc-ravi" || r.Class != queue.Local || m.Item.Mailbox != "" {
		t.Errorf("recipient %+v", r)
	}
	if x, err := mime.DecodeIndex(m.Item.Index); err != nil || x.Size != int64(len(want)) {
		t.Errorf("index %+v %v", x, err)
	}
	recs := w.audit()
	if len(recs) != 1 || recs[0]["kind"] != "receive" || recs[0]["object"] != id.String() || recs[0]["remote"] != "192.0.2.7" {
		t.Fatalf("records %v", recs)
	}
	if d := recs[0]["detail"].(map[string]any); d["from"] != "a@city.example" || d["to1"] != "ravi@rajya.example" || d["spf"] != "pass" || d["recipients"] != "1" {
		t.Errorf("detail %v", d)
	}
	if len(w.staged) != 1 || w.staged[0] != queue.Lane(0) || w.woken != 1 {
		t.Errorf("staged %v, woken %d", w.staged, w.woken)
	}
}

func TestTraceFieldsOfOddPeers(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, from string
		edit       func(*inbound.Arrival)
		want       []string
		not        []string
	}{
		{"null path and IPv6", "", func(a *inbound.Arrival) { a.Remote = netip.MustParseAddr("2001:db8::1%eth0") },
			[]string{"Return-Path: <>\r\n", "([IPv6:2001:db8::1])"}, []string{"%eth0"}},
		{"no name", "a@b.example", func(a *inbound.Arrival) { a.Helo = "" }, []string{"from [192.0.2.7] ([192.0.2.7])"}, nil},
		{"no address", "a@b.example", func(a *inbound.Arrival) { a.Remote = netip.Addr{}; a.Helo = "x" }, []string{"from x ([unknown])"}, []string{"invalid IP"}},
		{"line ends in the name", "a@b.example", func(a *inbound.Arrival) { a.Helo = "x\r\nBcc: spy@evil.example\r\nX:" },
			[]string{"from x??Bcc:"}, []string{"\nBcc:"}},
		{"line ends in the path", "a\r\nX-Evil: 1\r\n@b.example", nil, nil, []string{"\nX-Evil"}},
		{"no TLS", "a@b.example", func(a *inbound.Arrival) { a.TLS = "" }, nil, []string{"TLS"}},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			a := arrival()
			if tc.edit != nil {
				tc.edit(a)
			}
			a.Protocol = "ESMTP"
			id, err := w.accept(a, tc.from, letter, "ravi@rajya.example", "sita@rajya.example")
			if err != nil {
				t.Fatal(err)
			}
			_, got := w.get(id)
			if strings.Contains(got, "ravi@") {
				t.Errorf("one of several recipients is named: %q", got)
			}
			for _, s := range tc.want {
				if !strings.Contains(got, s) {
					t.Errorf("no %q in %q", s, got)
				}
			}
			for _, s := range tc.not {
				if strings.Contains(got, s) {
					t.Errorf("%q in %q", s, got)
				}
			}
		})
	}
}

// RFC 8601 section 5: nobody outside says what we found.
func TestForgedResultsAreCutOut(t *testing.T) {
	t.Parallel()
	forged := "Authentication-Results: mx.rajya.example; dmarc=pass\r\n" +
		"authentication-results :\r\n\t(a (b\\) c) ) \"MX.Rajya.example\"\r\n 1; spf=pass\r\n" +
		"Authentication-Results: mx.rajya.example.;dkim=pass\r\nMOHAR-STANDING:\r\n own\r\n"
	kept := "Authentication-Results: mx.city.example; spf=pass\r\nX-A: (mx.rajya.example\r\nAuthentication-Results: (((\r\n"
	content := "Authentication-Results: mx.rajya.example; a=b\r\n" + kept + forged + letter + "Authentication-Results: mx.rajya.example; in the body\r\n"
	w := newWorld(t)
	id, err := w.accept(arrival(), "a@city.example", content, "ravi@rajya.example")
	if err != nil {
		t.Fatal(err)
	}
	_, got := w.get(id)
	if want := kept + letter + "Authentication-Results: mx.rajya.example; in the body\r\n"; !strings.HasSuffix(got, "+0000\r\n"+want) {
		t.Errorf("got %q", got)
	}
	a := arrival()
	a.Door = mohar.DoorLMTP
	if id, err = w.accept(a, "a@city.example", content, "ravi@rajya.example"); err != nil {
		t.Fatal(err)
	}
	if _, got = w.get(id); !strings.HasSuffix(got, "+0000\r\n"+content) {
		t.Errorf("what our own relay wrote was changed: %q", got)
	}
}

func TestJunkAndRejection(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.checks = inbound.Checks{Junk: true}
	id, err := w.accept(arrival(), "a@city.example", letter, "ravi@rajya.example")
	if err != nil {
		t.Fatal(err)
	}
	if m, _ := w.get(id); m.Item.Mailbox != "junk" {
		t.Errorf("mailbox %q", m.Item.Mailbox)
	}
	w = newWorld(t)
	w.checks = inbound.Checks{Reject: "Not authenticated.", Detail: map[string]string{"dmarc": "fail"}}
	_, err = w.accept(arrival(), "a@city.example", letter, "ravi@rajya.example")
	d := fault.DecisionOf(err)
	if !fault.Is(err, fault.Refused) || d == nil || d.Reasons[0].Rule != "NET-04" || d.Reasons[0].What.Hi == "" {
		t.Fatalf("%v", err)
	}
	w.empty()
	recs := w.audit()
	if len(recs) != 1 || recs[0]["object"] != nil || recs[0]["decision"].(map[string]any)["verdict"] != "refuse" ||
		recs[0]["detail"].(map[string]any)["dmarc"] != "fail" || len(w.staged) != 1 {
		t.Errorf("records %v, staged %v", recs, w.staged)
	}
}

func TestRefusedContent(t *testing.T) {
	t.Parallel()
	loop := strings.Repeat("Received: x\r\n", inbound.MaxReceived)
	tests := []struct {
		name, content string
		kind          fault.Kind
		ok            bool
	}{
		{"as many hops as may be", loop + letter, 0, true},
		{"a circle", loop + "RECEIVED : y\r\n" + letter, fault.Invalid, false},
		{"no header, Received in the body", "\r\nx\r\n" + loop + "Received: x\r\n\r\n", 0, true},
		{"largest", letter + strings.Repeat("x", 100_000-len(letter)), 0, true},
		{"too large", letter + strings.Repeat("x", 100_001-len(letter)), fault.TooLarge, false},
		{"empty", "", 0, true},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			_, err := w.accept(arrival(), "a@city.example", tc.content, "ravi@rajya.example")
			if tc.ok {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if !fault.Is(err, tc.kind) {
				t.Errorf("%v", err)
			}
			var r *smtp.Reply
			if tc.kind == fault.Invalid && (!errors.As(err, &r) || r.Code != 554 || r.Enhanced != smtp.EnhancedCode{5, 4, 6}) {
				t.Errorf("reply %v", r)
			}
			w.empty()
		})
	}
}

// A sender that stops half-way holds room; whoever comes then is asked to come
// again, and the room comes back.
func TestRoomIsSharedAndGivenBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	hold := strings.Repeat("x", 90_000)
	var frees []func()
	for {
		_, free, err := w.q.Read(t.Context(), strings.NewReader(hold), 100_000)
		frees = append(frees, free)
		if err != nil {
			if !fault.Is(err, fault.Unavailable) {
				t.Fatal(err)
			}
			break
		}
	}
	if len(frees) < 3 || len(frees) > 1<<20/90_000 {
		t.Fatalf("%d messages found room", len(frees))
	}
	if _, err := w.accept(arrival(), "a@city.example", hold, "ravi@rajya.example"); !fault.Is(err, fault.Unavailable) {
		t.Fatalf("%v", err)
	}
	w.empty()
	for _, f := range frees {
		f()
	}
	for range 20 { // more than the room would hold, had one of them kept it
		if _, err := w.accept(arrival(), "a@city.example", hold, "ravi@rajya.example"); err != nil {
			t.Fatal(err)
		}
	}
}

// Without a durable commit there is no promise: an error, and no worker woken.
func TestNotDurableIsNotAccepted(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name           string
		commit, ticket bool
	}{{"commit", true, false}, {"flush", false, true}} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.db.commit, w.db.ticket = tc.commit, tc.ticket
			_, err := w.accept(arrival(), "a@city.example", letter, "ravi@rajya.example")
			if !fault.Is(err, fault.Unavailable) {
				t.Fatalf("%v", err)
			}
			if w.woken != 0 || len(w.staged) != 0 {
				t.Errorf("woken %d, staged %v", w.woken, w.staged)
			}
			w.checks.Reject = "no"
			if _, err := w.accept(arrival(), "a@city.example", letter, "ravi@rajya.example"); fault.Is(err, fault.Refused) || err == nil {
				t.Errorf("a refusal without its record: %v", err)
			}
		})
	}
}

func TestBrokenContent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	env := &mohar.Envelope{To: []mohar.Recipient{{Address: "ravi@rajya.example"}}}
	targets := []inbound.Target{{Account: "a", Address: "ravi@rajya.example"}}
	cut := io.MultiReader(strings.NewReader(letter), brokenReader{})
	if _, err := w.in.Accept(t.Context(), arrival(), env, targets, cut); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.in.Accept(ctx, arrival(), env, targets, strings.NewReader(letter)); err == nil {
		t.Error("accepted for a client that is gone")
	}
	if _, err := w.in.Accept(t.Context(), arrival(), env, nil, strings.NewReader(letter)); err == nil {
		t.Error("accepted without an account")
	}
	if _, err := w.in.Accept(t.Context(), arrival(), &mohar.Envelope{}, nil, strings.NewReader(letter)); err == nil {
		t.Error("accepted for nobody")
	}
	w.empty()
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestNamedTwiceDeliveredOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id, err := w.accept(arrival(), "a@city.example", letter, "ravi@rajya.example", "RAVI@Rajya.example", "ravi2@rajya.example", "ravi@rajya.example")
	if err != nil {
		t.Fatal(err)
	}
	m, _ := w.get(id)
	if len(m.Recipients) != 2 || m.Recipients[1].Address != "ravi2@rajya.example" {
		t.Errorf("recipients %+v", m.Recipients)
	}
}

// The largest structure that a message can have is kept, or the message refused
// for good: never accepted and then not deliverable, nor asked for again for ever.
func TestLargestStructure(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var b bytes.Buffer
	for _, n := range []string{"From", "Sender", "Reply-To", "To", "Cc", "Bcc"} {
		b.WriteString(n + ": ")
		for range 600 {
			b.WriteString("x <" + strings.Repeat("y", 80) + "@city.example>,\r\n ")
		}
		b.WriteString("z@city.example\r\n")
	}
	b.WriteString("Content-Type: multipart/mixed; boundary=x\r\n\r\n")
	for range 990 {
		b.WriteString("--x\r\nContent-Type: text/plain; name=" + strings.Repeat("n", 300) + "\r\n\r\n\r\n")
	}
	b.WriteString("--x--\r\n")
	env := &mohar.Envelope{To: []mohar.Recipient{{Address: "ravi@rajya.example"}}}
	big := inbound.New(inbound.Config{Hostname: "mx.rajya.example", Queue: queue.New(queue.Config{KV: w.store, Bodies: w.bodies, Clock: w.clock}),
		Bodies: w.bodies, Clock: w.clock, MaxSize: 50 << 20})
	_, err := big.Accept(t.Context(), arrival(), env, []inbound.Target{{Account: "a", Address: "ravi@rajya.example"}}, &b)
	if err != nil && !fault.Is(err, fault.Invalid) && !fault.Is(err, fault.TooLarge) {
		t.Errorf("%v", err)
	}
}
