package submit_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/base/clock"
	"github.com/mohar-mail/mohar/directory"
	"github.com/mohar-mail/mohar/flow/submit"
	"github.com/mohar-mail/mohar/policy"
	"github.com/mohar-mail/mohar/queue"
	"github.com/mohar-mail/mohar/store/blob/memblob"
	"github.com/mohar-mail/mohar/store/body"
	"github.com/mohar-mail/mohar/store/kv"
	"github.com/mohar-mail/mohar/store/kv/memkv"
	"github.com/mohar-mail/mohar/wire/dns"
)

// holding is a rulebook whose only rule holds confidential mail.
const holding = `{"name":"holding","version":1,"markings":false,"clearance":{"*":"top-secret"},"signin":[],"rules":[
 {"id":"TWO-PERSONS","known":"confidential","verdict":"VERDICT",
  "what":{"en":"A second person looks at confidential mail.","hi":"गोपनीय मेल दूसरा व्यक्ति देखता है।"},
  "advice":{"en":"Wait.","hi":"प्रतीक्षा करें।"}}]}`

type world struct {
	*testing.T
	s      *submit.Submit
	q      *queue.Queue
	dir    *directory.Directory
	store  *kv.Store
	bodies *body.Bodies
	book   *policy.Rulebook
	clock  *clock.Fake
	staged []kv.Shard
	woken  []queue.Class
	signed []string          // domains
	asked  [][]string        // message ids that were looked up
	got    map[string]string // letters in the mailbox: message id to author
	mx     map[string]string // exchangers; "?" does not answer
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) LookupMX(_ context.Context, domain string) (dns.Answer[dns.MX], error) {
	switch h := w.mx[domain]; h {
	case "":
		return dns.Answer[dns.MX]{}, nil
	case "?":
		return dns.Answer[dns.MX]{}, errors.New("no answer")
	default:
		return dns.Answer[dns.MX]{Records: []dns.MX{{Host: h}}}, nil
	}
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, clock: clock.NewFake(time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)), store: kv.NewStore(memkv.New()),
		got: map[string]string{}, mx: map[string]string{"away.example": "?"}}
	t.Cleanup(func() { w.store.Close() })
	w.bodies = body.New(w.store, memblob.New(), body.Config{})
	w.dir = directory.New(directory.Config{Store: w.store})
	w.q = queue.New(queue.Config{KV: w.store, Bodies: w.bodies, Clock: w.clock, Lanes: 1,
		Wake: func(_ int, c queue.Class) { w.woken = append(w.woken, c) }})
	w.must(w.dir.Update(t.Context(), func(tx *kv.Tx) error {
		err := errors.Join(
			w.dir.AddDomain(tx, &directory.Domain{Name: "rajya.example", State: directory.Live}),
			w.dir.AddDomain(tx, &directory.Domain{Name: "राज्य.example", State: directory.Live, AliasOf: "rajya.example"}),
			w.dir.AddDomain(tx, &directory.Domain{Name: "later.example", State: directory.Requested}))
		for _, local := range []string{"ravi", "sita", "gopal"} {
			err = errors.Join(err, w.dir.AddAccount(tx, &directory.Account{ID: mohar.AccountID(local), Category: mohar.Employee,
				Addresses: []string{local + "@rajya.example"}, Disabled: local == "gopal"}))
		}
		return err
	}))
	lists, err := policy.BuiltinLists()
	w.must(err)
	classifier, err := policy.NewClassifier(lists)
	w.must(err)
	w.book, err = policy.Builtin(policy.State)
	w.must(err)
	targets := &submit.Targets{Directory: w.dir, Resolver: w, Classifier: classifier}
	w.s = submit.New(submit.Config{Hostname: "mx.rajya.example", Queue: w.q, Bodies: w.bodies, Clock: w.clock,
		Log: slog.New(slog.DiscardHandler), Target: targets.Find, Network: policy.Internet,
		Rulebook: func(string) *policy.Rulebook { return w.book },
		Answers: func(_ context.Context, _ mohar.AccountID, ids []string, from string) (bool, error) {
			w.asked = append(w.asked, ids)
			for _, id := range ids {
				if w.got[id] == from {
					return true, nil
				}
			}
			return false, nil
		},
		Sign: func(_ context.Context, domain string, content []byte) ([]byte, error) {
			w.signed = append(w.signed, domain)
			return []byte("DKIM-Signature: d=" + domain + "\r\n"), nil
		},
		Staged: func(s kv.Shard) { w.staged = append(w.staged, s) }})
	return w
}

func ravi() submit.Sender {
	return submit.Sender{Account: "ravi", Addresses: []string{"ravi@rajya.example", "ravi@राज्य.example"}, Category: mohar.Employee, Lang: "hi"}
}

func letter(fields string) string {
	return "From: Ravi <ravi@rajya.example>\r\n" + fields + "Subject: x\r\nMessage-ID: <1@rajya.example>\r\nDate: Mon, 2 Mar 2026 09:00:00 +0000\r\n\r\nnamaste\r\n"
}

func (w *world) submission(content string, to ...string) *submit.Submission {
	sub := &submit.Submission{Sender: ravi(), Door: mohar.DoorSubmission, Remote: netip.MustParseAddr("10.0.0.7"), Protocol: "ESMTPSA",
		Content: []byte(content), Envelope: mohar.Envelope{From: "ravi@rajya.example"}}
	for _, x := range to {
		sub.Envelope.To = append(sub.Envelope.To, mohar.Recipient{Address: x})
	}
	return sub
}

func (w *world) send(content string, to ...string) (submit.Accepted, error) {
	w.Helper()
	return w.s.Accept(w.Context(), w.submission(content, to...))
}

func (w *world) get(id queue.ItemID) (*queue.Message, string) {
	w.Helper()
	m, err := w.q.Get(w.Context(), id)
	w.must(err)
	b, err := w.bodies.Read(w.Context(), m.Item.Body)
	w.must(err)
	return m, string(b)
}

func (w *world) audit() (out []map[string]any) {
	w.Helper()
	w.must(w.store.View(w.Context(), queue.Lane(0), func(r kv.Reader) error {
		return r.Scan(kv.PrefixRange([]byte("o/")), func(_, v []byte) bool {
			var m map[string]any
			if err := json.Unmarshal(v, &m); err != nil {
				w.Error(err)
			}
			out = append(out, m)
			return true
		})
	}))
	return out
}

func (w *world) empty() {
	w.Helper()
	if st, err := w.q.Stats(w.Context()); err != nil || st != (queue.Stats{}) || len(w.woken) > 0 {
		w.Errorf("the queue holds %+v, woken %v, %v", st, w.woken, err)
	}
}

func rules(d *mohar.Decision) string {
	if d == nil {
		return ""
	}
	var ids []string
	for _, r := range d.Reasons {
		ids = append(ids, r.Rule)
	}
	return strings.Join(ids, " ")
}
