package submission_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/base/clock"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/flow/submit"
	"github.com/mohar-mail/mohar/policy"
	"github.com/mohar-mail/mohar/queue"
	"github.com/mohar-mail/mohar/serve/submission"
	"github.com/mohar-mail/mohar/store/blob/memblob"
	"github.com/mohar-mail/mohar/store/body"
	"github.com/mohar-mail/mohar/store/kv"
	"github.com/mohar-mail/mohar/store/kv/memkv"
	"github.com/mohar-mail/mohar/wire/smtp/smtpserver"
)

// holding is a rulebook whose only rule holds confidential mail.
const holding = `{"name":"holding","version":1,"markings":false,"clearance":{"*":"top-secret"},"signin":[],"rules":[
 {"id":"TWO-PERSONS","known":"confidential","verdict":"hold",
  "what":{"en":"A second person looks at confidential mail.","hi":"गोपनीय मेल दूसरा व्यक्ति देखता है।"},
  "advice":{"en":"Wait.","hi":"प्रतीक्षा करें।"}}]}`

// world is a door with its flow. The comment of a transcript sets it up in words:
// holding (another rulebook), full (no room in memory).
type world struct {
	*testing.T
	config  smtpserver.Config
	backend *submission.Backend
	q       *queue.Queue
	bodies  *body.Bodies
}

func newWorld(t *testing.T, words string) *world {
	t.Helper()
	w := &world{T: t, config: smtpserver.Config{Hostname: "mx.rajya.example", Mode: smtpserver.Submission, AllowInsecureAuth: true}}
	now := clock.NewFake(time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC))
	store := kv.NewStore(memkv.New())
	t.Cleanup(func() { store.Close() })
	w.bodies = body.New(store, memblob.New(), body.Config{})
	book, err := policy.Builtin(policy.State)
	if err != nil {
		t.Fatal(err)
	}
	room := int64(0)
	for word := range strings.FieldsSeq(words) {
		switch word {
		case "holding":
			if book, err = policy.Parse([]byte(holding)); err != nil {
				t.Fatal(err)
			}
		case "full":
			room = 1
		}
	}
	w.q = queue.New(queue.Config{KV: store, Bodies: w.bodies, Clock: now, Lanes: 1, Room: room})
	w.backend = &submission.Backend{MaxBytes: 1000, Signin: signin{}, Submit: submit.New(submit.Config{Hostname: "mx.rajya.example",
		Queue: w.q, Bodies: w.bodies, Clock: now, Log: slog.New(slog.DiscardHandler), Target: target, Network: policy.Internet,
		Rulebook: func(string) *policy.Rulebook { return book }})}
	return w
}

type signin struct{}

// SignIn knows ravi, who reads Hindi.
func (signin) SignIn(_ context.Context, _ mohar.Door, user, password string, _ netip.Addr, _ bool) (submit.Sender, error) {
	if user != "ravi" || password != "secret" {
		return submit.Sender{}, fault.New(fault.Auth, "test", "Wrong name or password.")
	}
	return submit.Sender{Account: "ravi", Addresses: []string{"ravi@rajya.example"}, Category: mohar.Employee, Lang: "hi"}, nil
}

func target(_ context.Context, address string) (submit.Target, error) {
	local, domain, _ := strings.Cut(address, "@")
	switch domain {
	case "rajya.example":
		if local == "nobody" {
			return submit.Target{}, fault.New(fault.NotFound, "test", "There is no such address: <"+address+">.")
		}
		return submit.Target{Account: mohar.AccountID(local), Domain: domain, Class: mohar.ClassOwn}, nil
	case "gmail.com":
		return submit.Target{Domain: domain, Class: mohar.ClassForeignWebmail}, nil
	case "away.example":
		return submit.Target{Domain: domain, Class: mohar.ClassUnknown}, nil
	}
	return submit.Target{Domain: domain, Class: mohar.ClassOther}, nil
}

func (w *world) dump() string {
	var all []string
	err := w.q.List(w.Context(), func(m *queue.Message) bool {
		var out strings.Builder
		fmt.Fprintf(&out, "from <%s> label %q smtputf8 %v\n", m.Item.From, m.Item.Label, m.Item.SMTPUTF8)
		for _, r := range m.Recipients {
			fmt.Fprintf(&out, "to %s class %c notify %q orcpt %q reason %q\n", r.Address, r.Class, r.Notify, r.ORcpt, r.Reason)
		}
		b, err := w.bodies.Read(w.Context(), m.Item.Body)
		if err != nil {
			w.Error(err)
		}
		out.WriteString(strings.ReplaceAll(string(b), "\r\n", "\n"))
		all = append(all, ids.ReplaceAllString(out.String(), "ID"))
		return true
	})
	if err != nil {
		w.Error(err)
	}
	slices.Sort(all) // ids of one instant are in no order
	return strings.Join(all, "")
}
