package jmapserver

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mohar-mail/mohar/base/clock"
	"github.com/mohar-mail/mohar/wire/jmap"
)

func post(body string) *http.Request {
	r := httptest.NewRequest("POST", PathAPI, strings.NewReader(body))
	r.SetBasicAuth("u", "secret")
	r.Header.Set("Content-Type", "application/json")
	return r
}

func problemOf(t *testing.T, w *httptest.ResponseRecorder) jmap.RequestError {
	t.Helper()
	var e jmap.RequestError
	if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil {
		t.Fatalf("%v in %s", err, w.Body)
	}
	return e
}

func TestRequestTooLarge(t *testing.T) {
	t.Parallel()
	s, _ := newTestServer()
	w := httptest.NewRecorder()
	s.ServeHTTP(w, post(`{"using":[],"methodCalls":[],"x":"`+strings.Repeat("x", 2000)+`"}`))
	if e := problemOf(t, w); w.Code != 400 || e.Type != jmap.ErrLimit || e.Limit != "maxSizeRequest" {
		t.Errorf("%d %+v", w.Code, e)
	}
}

func TestConcurrentRequests(t *testing.T) {
	t.Parallel()
	s, m := newTestServer()
	body := `{"using":["urn:example:note"],"methodCalls":[["Note/block",{},"0"]]}`
	done := make(chan int, 2)
	for range 2 {
		go func() {
			w := httptest.NewRecorder()
			s.ServeHTTP(w, post(body))
			done <- w.Code
		}()
	}
	<-m.inside
	<-m.inside
	w := httptest.NewRecorder()
	s.ServeHTTP(w, post(body))
	if e := problemOf(t, w); w.Code != 429 || e.Limit != "maxConcurrentRequests" {
		t.Errorf("%d %+v", w.Code, e)
	}
	close(m.blocked)
	for range 2 {
		if c := <-done; c != 200 {
			t.Errorf("answered %d", c)
		}
	}
	w = httptest.NewRecorder()
	s.ServeHTTP(w, post(body))
	if w.Code != 200 {
		t.Errorf("a slot was not given back: %d", w.Code)
	}
	if len(s.busy) != 0 {
		t.Errorf("counters left: %v", s.busy)
	}
}

func TestLanguage(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ header, def, want string }{
		{"", "", "en"}, {"", "hi", "hi"}, {"hi", "", "hi"}, {"hi-IN,en;q=0.5", "", "hi"}, {"en;q=0.5, hi;q=0.9", "", "hi"},
		{"en,hi", "hi", "en"}, {"fr,de", "hi", "hi"}, {"hi;q=x,en;q=0.1", "", "en"}, {"hi;q=0", "", "en"},
	} {
		if got := language(c.header, c.def); got != c.want {
			t.Errorf("language(%q, %q) = %q", c.header, c.def, got)
		}
	}
}

// events opens an event source over a pipe inside a synctest bubble, where time
// is a fake that moves when all wait.
func events(t *testing.T, s *Server, query, last string) (*bufio.Reader, context.CancelFunc, <-chan struct{}) {
	ctx, cancel := context.WithCancel(t.Context())
	r := httptest.NewRequest("GET", PathEventSource+query, nil).WithContext(ctx)
	r.SetBasicAuth("u", "secret")
	if last != "" {
		r.Header.Set("Last-Event-ID", last)
	}
	w := newPipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.ServeHTTP(w, r)
		w.close()
	}()
	return bufio.NewReader(w), cancel, done
}

func event(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	var b strings.Builder
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return "end"
		}
		if line == "\n" {
			return b.String()
		}
		b.WriteString(line)
	}
}

func TestEventSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, m := newTestServerAt(clock.System{})
		r, cancel, done := events(t, s, "?types=Note&closeafter=no&ping=60", "")
		if e := event(t, r); e != ": open\n" {
			t.Fatalf("opened with %q", e)
		}
		m.change()
		first := event(t, r)
		if !strings.Contains(first, "event: state\n") || !strings.Contains(first, `data: {"@type":"StateChange","changed":{"a1":{"Note":"1"}}}`) {
			t.Errorf("got %q", first)
		}
		began := time.Now()
		if e := event(t, r); e != "event: ping\ndata: {\"interval\":60}\n" || time.Since(began) != time.Minute {
			t.Errorf("got %q after %v", e, time.Since(began))
		}
		cancel()
		<-done
		if e := event(t, r); e != "end" {
			t.Errorf("still open: %q", e)
		}
		if len(m.watch) != 0 || len(s.busy) != 0 {
			t.Error("the stream left something behind")
		}

		// Who comes back hears at once what was missed, and nothing where nothing was.
		id := strings.TrimPrefix(strings.SplitN(first, "\n", 2)[0], "id: ")
		m.change()
		r, cancel, done = events(t, s, "?types=*&closeafter=state&ping=0", id)
		event(t, r)
		if e := event(t, r); !strings.Contains(e, `{"a1":{"Note":"2"}}`) {
			t.Errorf("after a gap: %q", e)
		}
		if e := event(t, r); e != "end" {
			t.Errorf("closeafter=state left it open: %q", e)
		}
		<-done
		cancel()
	})
}

func TestEventSourceTypesAndClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, m := newTestServerAt(clock.System{})
		r, cancel, done := events(t, s, "?types=Other&closeafter=no&ping=1", "")
		defer cancel()
		event(t, r)
		m.change() // of Note, which was not asked for
		if e := event(t, r); e != "event: ping\ndata: {\"interval\":5}\n" {
			t.Errorf("got %q, want a ping at the lowest interval", e)
		}
		s.Close()
		s.Close()
		<-done
	})
}

// TestEventSourceEndsWithTheSession sees that a stream does not outlive the
// credentials that opened it by more than reauthAfter.
func TestEventSourceEndsWithTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, m := newTestServerAt(clock.System{})
		r, cancel, done := events(t, s, "?types=*&closeafter=no&ping=0", "")
		defer cancel()
		event(t, r)
		time.Sleep(2*reauthAfter + time.Second)
		m.change()
		if e := event(t, r); !strings.Contains(e, "event: state") {
			t.Errorf("ended while the credentials held: %q", e)
		}
		m.revoked.Store(true)
		began := time.Now()
		<-done
		if d := time.Since(began); d > reauthAfter {
			t.Errorf("lived on for %v", d)
		}
	})
}

func TestEventSourceBadArguments(t *testing.T) {
	t.Parallel()
	s, _ := newTestServer()
	for _, q := range []string{"", "?types=*&closeafter=no", "?types=&closeafter=no&ping=0", "?types=*&closeafter=x&ping=0",
		"?types=*&closeafter=no&ping=-1", "?types=" + strings.Repeat("a,", 100) + "&closeafter=no&ping=0"} {
		r := httptest.NewRequest("GET", PathEventSource+q, nil)
		r.SetBasicAuth("u", "secret")
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code != 400 {
			t.Errorf("%s: %d", q, w.Code)
		}
	}
}

func TestEventSourcesAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newTestServerAt(clock.System{})
		for range 2 {
			r, _, _ := events(t, s, "?types=*&closeafter=no&ping=0", "")
			event(t, r)
		}
		req := httptest.NewRequest("GET", PathEventSource+"?types=*&closeafter=no&ping=0", nil)
		req.SetBasicAuth("u", "secret")
		w := httptest.NewRecorder()
		s.ServeHTTP(w, req)
		if w.Code != 429 {
			t.Errorf("a third stream: %d", w.Code)
		}
		s.Close()
		synctest.Wait()
	})
}

func FuzzEventID(f *testing.F) {
	f.Add(encodeEventID(states{"a": {"Email": "1"}}))
	f.Add("e30")
	f.Fuzz(func(t *testing.T, id string) {
		s := decodeEventID(id)
		now := states{"a": {"Email": "2"}}
		if d := diff(s, now, nil); s["a"]["Email"] != "2" && len(d) != 1 {
			t.Fatalf("%v", d)
		}
	})
}
