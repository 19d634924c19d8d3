package admin

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mohar-mail/mohar/audit"
	"github.com/mohar-mail/mohar/base/clock"
	"github.com/mohar-mail/mohar/directory"
	"github.com/mohar-mail/mohar/directory/credential"
	"github.com/mohar-mail/mohar/flow/change"
	"github.com/mohar-mail/mohar/policy"
	"github.com/mohar-mail/mohar/queue"
	"github.com/mohar-mail/mohar/store/blob/memblob"
	"github.com/mohar-mail/mohar/store/body"
	"github.com/mohar-mail/mohar/store/kv"
	"github.com/mohar-mail/mohar/store/kv/memkv"
	"github.com/mohar-mail/mohar/wire/tlog"
)

// desk is a door over an installation in memory.
type desk struct {
	t      *testing.T
	cfg    Config
	queue  *queue.Queue
	seq    *audit.Sequencer
	bodies *body.Bodies
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	fake := clock.NewFake(time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC))
	store := kv.NewStore(memkv.New())
	bodies := body.New(store, memblob.New(), body.Config{})
	hasher, err := credential.New(credential.Config{Params: credential.Default(), Clock: fake})
	must(t, err)
	private, public, err := tlog.GenerateKey(rand.Reader, "mail.rajya.example")
	must(t, err)
	d := &desk{t: t, bodies: bodies, queue: queue.New(queue.Config{KV: store, Bodies: bodies, Clock: fake, Lanes: 1})}
	d.seq, err = audit.NewSequencer(audit.Config{Store: store, Private: private, Clock: fake, Sources: []kv.Shard{directory.Shard, queue.Lane(0)}})
	must(t, err)
	dir := directory.New(directory.Config{Store: store})
	d.cfg = Config{Directory: dir, Queue: d.queue, Log: audit.NewLog(store, audit.DefaultLog), Public: public,
		Change:    change.New(change.Config{Directory: dir, Hasher: hasher, Queue: d.queue, Clock: fake, Staged: d.seq.Nudge}),
		Rulebooks: func() []*policy.Rulebook { return nil },
		Explain:   func(context.Context, Question) (*policy.Explanation, error) { return nil, errors.New("defect") },
		Check: func(_ context.Context, progress func(int)) ([]string, error) {
			progress(1)
			return []string{"account x: bad"}, nil
		},
		Records: func(context.Context, string) ([]string, error) { return []string{"a", "b"}, nil }}
	must(t, d.cfg.Change.AddDomain(t.Context(), change.By{}, directory.Domain{Name: "rajya.example", State: directory.Live}))
	return d
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// want sends a request and compares the answer's status and text.
func (d *desk) want(status int, says, method, path, body string) string {
	d.t.Helper()
	w := httptest.NewRecorder()
	New(d.cfg).ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
	if w.Code != status || !strings.Contains(w.Body.String(), says) {
		d.t.Errorf("%s %s: %d %s\nwanted %d %q", method, path, w.Code, w.Body, status, says)
	}
	return w.Body.String()
}

func TestAccounts(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.want(200, "[]\n", "GET", "/accounts", "")
	d.want(200, `"address":"asha@rajya.example"`, "POST", "/accounts", `{"address":"asha@rajya.example","category":"employee","password":"a long and quiet river"}`)
	d.want(200, "", "POST", "/accounts", `{"address":"ravi@rajya.example","category":"consultant","sponsor":"asha@rajya.example","until":"2027-03-31"}`)
	d.want(200, `"until":"2027-03-31"`, "GET", "/accounts?address=ravi@rajya.example", "")
	for body, says := range map[string]string{
		`{`: "cannot be read",
		`{"address":"x@rajya.example","category":"king"}`:                                        "invalid",
		`{"address":"x@rajya.example","category":"employee","until":"soon"}`:                     "2027-03-31",
		`{"address":"x@rajya.example","category":"consultant","sponsor":"nobody@rajya.example"}`: "sponsor",
		`{"address":"x@rajya.example","category":"employee","password":"short"}`:                 "",
		`{"address":"` + strings.Repeat("x", 400) + `@rajya.example","category":"employee"}`:     "invalid",
	} {
		d.want(400, says, "POST", "/accounts", body)
	}
	d.want(409, "exists", "POST", "/accounts", `{"address":"asha@rajya.example","category":"employee"}`)
	d.want(200, "true", "POST", "/accounts/state", `{"address":"asha@rajya.example","disabled":true}`)
	d.want(200, `"disabled":true`, "GET", "/accounts?address=asha@rajya.example", "")
	d.want(200, "true", "POST", "/accounts/password", `{"address":"asha@rajya.example","password":"another quiet river"}`)
	d.want(404, "not found", "POST", "/accounts/state", `{"address":"nobody@rajya.example"}`)
	d.want(200, `"state":"live"`, "GET", "/domains", "")
	d.want(200, `["a","b"]`, "GET", "/domains/rajya.example/dns", "")
}

func TestQueue(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.want(200, "[]\n", "GET", "/queue", "")
	w := d.bodies.Writer(t.Context())
	_, err := w.Write([]byte("Subject: x\r\n\r\ny\r\n"))
	must(t, err)
	st, err := w.Finish()
	must(t, err)
	it := &queue.Item{ID: d.queue.NewID(), From: "asha@rajya.example"}
	must(t, d.queue.Promise(t.Context(), it, []queue.Recipient{{Address: "x@gmail.com", Domain: "gmail.com", Class: queue.Remote}}, st, nil))
	path := "/queue/" + it.ID.String()
	d.want(200, `"state":"remote"`, "GET", "/queue", "")
	d.want(200, "true", "POST", path+"/hold", `{"reason":"asked"}`)
	d.want(200, `"state":"held"`, "GET", path, "")
	d.want(200, "true", "POST", path+"/release", "")
	d.want(200, "true", "POST", path+"/retry", "{}")
	d.want(400, "no such act", "POST", path+"/burn", "{}")
	d.want(400, "", "GET", "/queue/x", "")
	d.want(200, "true", "POST", path+"/drop", "{}")
	d.want(404, "not found", "GET", path, "")
	d.want(200, "[]\n", "GET", "/queue", "")
}

func TestLog(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.want(200, `{"entries":[],"size":0}`, "GET", "/audit", "")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); d.seq.Run(ctx) }()
	for size := int64(0); size == 0; {
		_, n, err := d.cfg.Log.Tail(t.Context(), 1)
		must(t, err)
		size = n
	}
	cancel()
	<-done
	d.want(200, "domain.add", "GET", "/audit?n=1", "")
	d.want(200, "checkpoint", "GET", "/audit/0/proof", "")
	d.want(400, "", "GET", "/audit/first/proof", "")
	dir := t.TempDir()
	d.want(400, "whole path", "POST", "/audit/export", `{"dir":"log"}`)
	d.want(200, `"entries":1`, "POST", "/audit/export", `{"dir":"`+filepath.Join(dir, "log")+`"}`)
	d.want(409, "not empty", "POST", "/audit/export", `{"dir":"`+filepath.Join(dir, "log")+`"}`)
	must(t, os.WriteFile(filepath.Join(dir, "mine.txt"), nil, 0o600))
	d.want(409, "not empty", "POST", "/audit/export", `{"dir":"`+dir+`"}`)
}

func TestOthers(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.want(500, "defect", "POST", "/policy/explain", `{}`)
	body := d.want(200, `"done":1`, "POST", "/check", "")
	if lines := strings.Split(strings.TrimSpace(body), "\n"); len(lines) != 2 || !strings.Contains(lines[1], `"finished":true`) || !strings.Contains(lines[1], "account x: bad") {
		t.Errorf("%q", body)
	}
	d.want(404, "", "GET", "/nothing", "")
	d.want(405, "", "DELETE", "/queue", "")
}
