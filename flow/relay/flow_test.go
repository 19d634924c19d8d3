package relay_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/base/clock"
	"github.com/mohar-mail/mohar/flow/relay"
	"github.com/mohar-mail/mohar/queue"
	"github.com/mohar-mail/mohar/store/kv"
	"github.com/mohar-mail/mohar/wire/dsn"
	"github.com/mohar-mail/mohar/wire/smtp"
)

// clockOf gives the machine's clock, which inside a synctest bubble is fake.
func clockOf() clock.Clock { return clock.System{} }

// in runs a test in a bubble whose time jumps when everyone waits.
func in(t *testing.T, change func(*relay.Config), f func(b *bed)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, change)
		f(b)
		b.stop()
	})
}

func TestDelivered(t *testing.T) {
	in(t, nil, func(b *bed) {
		h := b.net.host("192.0.2.1", &host{info: relay.PeerInfo{DSN: true}})
		p := b.net.host("192.0.2.3", &host{})
		b.send(letter{from: "a@rajya.example", to: []string{"x@city.example SUCCESS", "y@city.example", "z@plain.example"}, envid: "e1", ret: "HDRS"})
		synctest.Wait()
		if n := len(b.left()); n != 0 {
			t.Errorf("%d recipients are left", n)
		}
		if len(h.got) != 1 || len(h.got[0].To) != 2 || h.got[0].To[0].Notify != "SUCCESS" || h.got[0].EnvID != "e1" || h.got[0].Ret != "HDRS" {
			t.Errorf("city: %+v", h.got)
		}
		if len(p.got) != 1 || p.got[0].EnvID != "" || p.got[0].To[0].Notify != "" {
			t.Errorf("plain: %+v", p.got)
		}
		got := strings.Split(b.kinds(), "; ")
		slices.Sort(got)
		if want := "delivered x@city.example 2.0.0|delivered y@city.example 2.0.0|delivered z@plain.example 2.0.0"; strings.Join(got, "|") != want {
			t.Errorf("events %q", got)
		}
		if n := len(b.reports()); n != 0 {
			t.Errorf("%d reports", n)
		}
	})
}

func TestHostsInOrder(t *testing.T) {
	tests := []struct {
		name   string
		hosts  map[string]*host
		want   string // who took it
		first  string // who was dialled before
		closed bool
	}{
		{"first refuses the connection", map[string]*host{"192.0.2.1": {refuse: errRefused}, "192.0.2.2": {}}, "192.0.2.2", "192.0.2.1", false},
		{"first greets with 554", map[string]*host{"192.0.2.1": {refuse: reply(554, "no")}, "192.0.2.2": {}}, "192.0.2.2", "192.0.2.1", false},
		{"first breaks before the content", map[string]*host{"192.0.2.1": {answer: func(int, *relay.Transaction) ([]*smtp.Reply, error) {
			return nil, errors.New("reset by peer")
		}}, "192.0.2.2": {}}, "192.0.2.2", "192.0.2.1", true},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			in(t, nil, func(b *bed) {
				for a, h := range tc.hosts {
					b.net.host(a, h)
				}
				b.send(letter{from: "a@rajya.example", to: []string{"x@city.example"}})
				synctest.Wait()
				if tc.hosts[tc.first].dials != 1 || len(tc.hosts[tc.want].got) != 1 || len(b.left()) != 0 {
					t.Errorf("%+v, left %v", tc.hosts, b.left())
				}
				if tc.closed != (tc.hosts[tc.first].closed == 1) {
					t.Errorf("closed %d", tc.hosts[tc.first].closed)
				}
			})
		})
	}
}

func TestNoWayThere(t *testing.T) {
	tests := []struct{ to, status string }{
		{"x@null.example", "5.1.10"},
		{"x@missing.example", "5.1.2"},
		{"x@bare.example", "5.4.4"},
		{"x@ghost.example", "5.4.4"},
		{"x@loop.example", "5.4.6"},
		{"x@selfaddr.example", "5.4.6"},
	}
	for _, tc := range tests {
		in(t, nil, func(b *bed) {
			b.send(letter{from: "a@rajya.example", to: []string{tc.to}})
			synctest.Wait()
			reps := b.reports()
			if len(b.left()) != 0 || len(reps) != 1 || reps[0].Recipients[0].Status != tc.status || reps[0].Recipients[0].Action != dsn.Failed {
				t.Errorf("%s: %v, events %s", tc.to, reps, b.kinds())
			}
		})
	}
}

func TestLessPreferredThanUsIsNotTried(t *testing.T) {
	in(t, nil, func(b *bed) {
		h := b.net.host("192.0.2.1", &host{})
		b.send(letter{from: "a@rajya.example", to: []string{"x@near.example"}})
		synctest.Wait()
		if len(h.got) != 1 || len(b.left()) != 0 {
			t.Errorf("%d, %v", len(h.got), b.left())
		}
	})
}

func TestBothFamilies(t *testing.T) {
	in(t, nil, func(b *bed) {
		six := b.net.host("2001:db8::4", &host{refuse: errRefused})
		four := b.net.host("192.0.2.4", &host{})
		b.send(letter{from: "a@rajya.example", to: []string{"x@dual.example"}})
		synctest.Wait()
		if six.dials != 1 || len(four.got) != 1 {
			t.Errorf("IPv6 %d, IPv4 %d", six.dials, len(four.got))
		}
	})
}

func TestEachRecipientHasItsOwnFate(t *testing.T) {
	in(t, nil, func(b *bed) {
		h := b.net.host("192.0.2.1", &host{})
		h.answer = func(n int, t *relay.Transaction) ([]*smtp.Reply, error) {
			out := all(t, 250, "ok")
			for i, to := range t.To {
				switch {
				case strings.HasPrefix(to.Address, "later") && n == 1:
					out[i] = reply(451, "4.7.1 greylisted")
				case strings.HasPrefix(to.Address, "never"):
					out[i] = reply(550, "5.1.1 no such user")
				}
			}
			return out, nil
		}
		b.send(letter{from: "a@rajya.example", to: []string{"now@city.example", "later@city.example", "never@city.example"}, ret: "FULL", envid: "Q+2B1"})
		synctest.Wait()
		left := b.left()
		if len(left) != 1 || left[0].Address != "later@city.example" || waits(left[0]) != time.Minute || !strings.Contains(left[0].Last, "greylisted") {
			t.Fatalf("left %+v", left)
		}
		reps := b.reports()
		if len(reps) != 1 || len(reps[0].Recipients) != 1 {
			t.Fatalf("reports %+v", reps)
		}
		r := reps[0]
		rc := r.Recipients[0]
		if rc.Final != "never@city.example" || rc.Status != "5.1.1" || rc.RemoteMTA != "mx1.city.example" ||
			!strings.Contains(rc.Diagnostic, "no such user") || r.EnvelopeID != "Q+1" || !strings.Contains(string(r.Original), "Hello.") {
			t.Errorf("report %+v", r)
		}
		time.Sleep(time.Minute + time.Second)
		synctest.Wait()
		if len(b.left()) != 0 || len(h.got) != 2 || len(h.got[1].To) != 1 {
			t.Errorf("after the retry: %v", b.left())
		}
	})
}

func TestLadderToTheEnd(t *testing.T) {
	in(t, nil, func(b *bed) {
		var at []time.Duration
		start := time.Now()
		h := b.net.host("192.0.2.3", &host{})
		h.answer = func(_ int, t *relay.Transaction) ([]*smtp.Reply, error) {
			at = append(at, time.Since(start).Round(time.Minute))
			return all(t, 450, "4.2.1 busy"), nil
		}
		b.send(letter{from: "a@rajya.example", to: []string{"x@plain.example"}})
		time.Sleep(6 * 24 * time.Hour)
		synctest.Wait()
		want := []time.Duration{0, time.Minute, 6 * time.Minute, 21 * time.Minute, 51 * time.Minute, 111 * time.Minute, 231 * time.Minute, 471 * time.Minute}
		if len(at) < len(want) || !slices.Equal(at[:len(want)], want) {
			t.Fatalf("attempts at %v", at)
		}
		for i := len(want); i < len(at); i++ {
			if d := at[i] - at[i-1]; d < 4*time.Hour || d > 4*time.Hour+time.Minute {
				t.Errorf("step %d is %v", i, d)
			}
		}
		if last := at[len(at)-1]; last > queue.Lifetime || last < queue.Lifetime-4*time.Hour-time.Minute {
			t.Errorf("last attempt after %v", last)
		}
		if len(b.left()) != 0 {
			t.Errorf("left %v", b.left())
		}
		reps := b.reports()
		if len(reps) != 2 {
			t.Fatalf("%d reports; %s", len(reps), b.kinds())
		}
		slices.SortFunc(reps, func(a, b *dsn.Report) int { return a.Date.Compare(b.Date) })
		if d := reps[0].Recipients[0]; d.Action != dsn.Delayed || d.RetryUntil.IsZero() || reps[0].Date.Sub(start) < relay.DelayAfter {
			t.Errorf("delay report %+v", reps[0])
		}
		if d := reps[1].Recipients[0]; d.Action != dsn.Failed || d.Status != "5.4.7" {
			t.Errorf("failure report %+v", d)
		}
		if b.kinds() != "delayed x@plain.example 4.2.1; failed x@plain.example 5.4.7" {
			t.Errorf("events %s", b.kinds())
		}
	})
}

func TestNotify(t *testing.T) {
	tests := []struct {
		from, notify string
		code         int
		dsnPeer      bool
		want         dsn.Action
	}{
		{"a@rajya.example", "", 550, false, dsn.Failed},
		{"a@rajya.example", "NEVER", 550, false, ""},
		{"a@rajya.example", "SUCCESS", 550, false, ""},
		{"a@rajya.example", "delay,failure", 550, false, dsn.Failed},
		{"a@rajya.example", "SUCCESS,FAILURE", 250, false, dsn.Relayed},
		{"a@rajya.example", "SUCCESS", 250, true, ""},
		{"a@rajya.example", "", 250, false, ""},
		{"", "", 550, false, ""},
		{"", "SUCCESS,FAILURE", 550, false, ""},
		{"", "SUCCESS", 250, false, ""},
		{"x@gone.example", "", 550, false, ""},
	}
	for _, tc := range tests {
		in(t, nil, func(b *bed) {
			b.net.host("192.0.2.3", &host{info: relay.PeerInfo{DSN: tc.dsnPeer}, answer: func(_ int, t *relay.Transaction) ([]*smtp.Reply, error) {
				return all(t, tc.code, "words"), nil
			}})
			b.send(letter{from: tc.from, to: []string{"x@plain.example " + tc.notify}})
			synctest.Wait()
			reps := b.reports()
			if len(b.left()) != 0 || len(reps) > 1 || (len(reps) == 1) != (tc.want != "") || (tc.want != "" && reps[0].Recipients[0].Action != tc.want) {
				t.Errorf("%+v: %d reports, left %v", tc, len(reps), b.left())
			}
		})
	}
}

func TestReportToARemoteSender(t *testing.T) {
	in(t, nil, func(b *bed) {
		b.net.host("192.0.2.3", &host{answer: func(_ int, t *relay.Transaction) ([]*smtp.Reply, error) { return all(t, 550, "no"), nil }})
		h := b.net.host("192.0.2.1", &host{})
		b.send(letter{from: "citizen@city.example", to: []string{"x@plain.example"}})
		synctest.Wait()
		if len(h.got) != 1 || h.got[0].From != "" || h.got[0].To[0].Address != "citizen@city.example" || len(b.left()) != 0 {
			t.Errorf("%+v, left %v", h.got, b.left())
		}
	})
}

func TestSessionsAreReused(t *testing.T) {
	in(t, func(c *relay.Config) { c.PerDestination, c.PerConnection = 1, 4 }, func(b *bed) {
		h := b.net.host("192.0.2.3", &host{})
		for range 10 {
			b.send(letter{from: "a@rajya.example", to: []string{"x@plain.example"}})
			synctest.Wait()
		}
		if dials, got, closed := b.net.counts(h); dials != 3 || got != 10 || closed != 2 {
			t.Errorf("%d dials, %d messages, %d closed", dials, got, closed)
		}
		time.Sleep(2 * relay.DefaultIdle)
		synctest.Wait()
		if _, _, closed := b.net.counts(h); closed != 3 {
			t.Errorf("the idle session was not closed")
		}
		b.send(letter{from: "a@rajya.example", to: []string{"x@plain.example"}})
		synctest.Wait()
		if dials, _, _ := b.net.counts(h); dials != 4 || len(b.left()) != 0 {
			t.Errorf("%d dials", dials)
		}
	})
}

func TestStaleSessionIsReplaced(t *testing.T) {
	stale := []struct {
		name string
		code int // of the reply that waits on the session; 0 for none
		err  error
	}{
		{"closed", 0, errors.New("EOF")},
		// What a server says when it tires of an idle client, before it closes.
		{"told to close", 421, relay.ErrClosing},
		{"told to close and closed", 421, errors.New("EOF")},
	}
	for _, tc := range stale {
		in(t, nil, func(b *bed) {
			h := b.net.host("192.0.2.3", &host{})
			h.answer = func(n int, t *relay.Transaction) ([]*smtp.Reply, error) {
				switch {
				case n != 2:
					return all(t, 250, "ok"), nil
				case tc.code == 0:
					return nil, tc.err
				}
				return all(t, tc.code, "4.4.2 timeout"), tc.err
			}
			for range 2 {
				b.send(letter{from: "a@rajya.example", to: []string{"x@plain.example"}})
				synctest.Wait()
			}
			if h.dials != 2 || len(h.got) != 3 || len(b.left()) != 0 {
				t.Errorf("%s: %d dials, %d transactions, left %v", tc.name, h.dials, len(h.got), b.left())
			}
		})
	}
}

// A peer that closes a fresh session has answered: it is not asked again at once.
func TestClosingOnAFreshSessionIsAnAnswer(t *testing.T) {
	in(t, nil, func(b *bed) {
		h := b.net.host("192.0.2.3", &host{})
		h.answer = func(_ int, t *relay.Transaction) ([]*smtp.Reply, error) {
			return all(t, 421, "4.3.2 closing down"), relay.ErrClosing
		}
		b.send(letter{from: "a@rajya.example", to: []string{"x@plain.example"}})
		synctest.Wait()
		if left := b.left(); h.dials != 1 || len(left) != 1 || waits(left[0]) != time.Minute {
			t.Errorf("%d dials, left %+v", h.dials, left)
		}
	})
}

func TestUncertainIsNotOfferedElsewhere(t *testing.T) {
	in(t, nil, func(b *bed) {
		b.net.host("192.0.2.1", &host{answer: func(int, *relay.Transaction) ([]*smtp.Reply, error) {
			return nil, fmt.Errorf("%w: EOF", relay.ErrUncertain)
		}})
		h2 := b.net.host("192.0.2.2", &host{})
		b.send(letter{from: "a@rajya.example", to: []string{"x@city.example"}})
		synctest.Wait()
		if left := b.left(); h2.dials != 0 || len(left) != 1 || waits(left[0]) != time.Minute {
			t.Errorf("%d dials of the second, left %+v", h2.dials, left)
		}
	})
}

func TestManyRecipientsTravelInChunks(t *testing.T) {
	in(t, nil, func(b *bed) {
		h := b.net.host("192.0.2.3", &host{})
		l := letter{from: "a@rajya.example"}
		for i := range 130 {
			l.to = append(l.to, fmt.Sprintf("u%d@plain.example", i))
		}
		b.send(l)
		synctest.Wait()
		n := 0
		for _, g := range h.got {
			if len(g.To) > 100 {
				t.Errorf("%d recipients in one transaction", len(g.To))
			}
			n += len(g.To)
		}
		if n != 130 || len(b.left()) != 0 {
			t.Errorf("%d sent, %d left", n, len(b.left()))
		}
	})
}

func TestDownDestinationIsLeftAlone(t *testing.T) {
	in(t, func(c *relay.Config) { c.PerDestination = 1 }, func(b *bed) {
		h := b.net.host("192.0.2.3", &host{refuse: errRefused})
		for range 20 {
			b.send(letter{from: "a@rajya.example", to: []string{"x@plain.example"}})
		}
		synctest.Wait()
		if left := b.left(); h.dials != 1 || len(left) != 20 || !strings.Contains(left[19].Last, "could not be reached") {
			t.Errorf("%d dials, %d left", h.dials, len(left))
		}
		b.net.mu.Lock()
		h.refuse = nil
		b.net.mu.Unlock()
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if len(b.left()) != 0 {
			t.Errorf("%d left after it came back", len(b.left()))
		}
	})
}

// A record that cannot be made after the peer's 250 must bring the message
// again: twice is allowed, never is not.
func TestKillBetweenReplyAndRecord(t *testing.T) {
	in(t, nil, func(b *bed) {
		h := b.net.host("192.0.2.3", &host{})
		b.fail = errors.New("killed")
		b.send(letter{from: "a@rajya.example", to: []string{"x@plain.example"}})
		synctest.Wait()
		if len(h.got) != 1 || len(b.left()) != 1 {
			t.Fatalf("%d sent, %d left", len(h.got), len(b.left()))
		}
		b.mu.Lock()
		b.fail = nil
		b.mu.Unlock()
		time.Sleep(queue.LeaseTime + 10*time.Second)
		synctest.Wait()
		if len(h.got) != 2 || len(b.left()) != 0 || b.kinds() != "delivered x@plain.example 2.0.0" {
			t.Errorf("%d sent, %d left, %s", len(h.got), len(b.left()), b.kinds())
		}
	})
}

func TestStopLosesNothing(t *testing.T) {
	in(t, nil, func(b *bed) {
		entered := make(chan struct{})
		release := make(chan struct{})
		h := b.net.host("192.0.2.3", &host{})
		h.answer = func(n int, t *relay.Transaction) ([]*smtp.Reply, error) {
			if n == 1 {
				close(entered)
				<-release
				return nil, context.Canceled
			}
			return all(t, 250, "ok"), nil
		}
		b.send(letter{from: "a@rajya.example", to: []string{"x@plain.example"}})
		<-entered
		go func() {
			synctest.Wait() // until the stop has been asked for and waits
			close(release)
		}()
		b.stop()
		if left := b.left(); len(left) != 1 || waits(left[0]) > 0 {
			t.Fatalf("left %+v", left)
		}
		b.relay = nil
	})
}

func TestBounceForLocalDelivery(t *testing.T) {
	in(t, nil, func(b *bed) {
		b.net.host("192.0.2.3", &host{refuse: errRefused})
		id := b.send(letter{from: "a@rajya.example", to: []string{"x@plain.example", "y@plain.example NEVER"}})
		synctest.Wait()
		m, err := b.queue.Get(context.Background(), id)
		if err != nil {
			t.Fatal(err)
		}
		lane := -1
		err = b.queue.Drop(context.Background(), id, func(tx *kv.Tx) error {
			var err error
			lane, err = b.relay.Bounce(context.Background(), tx, m.Item, m.Recipients, smtp.EnhancedCode{5, 2, 2}, mohar.Text{En: "full"})
			return err
		})
		if reps := b.reports(); err != nil || lane < 0 || len(reps) != 1 || len(reps[0].Recipients) != 1 || reps[0].Recipients[0].Status != "5.2.2" {
			t.Errorf("%v, lane %d, %+v", err, lane, reps)
		}
	})
}
