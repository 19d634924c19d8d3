package mx_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/base/clock"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/flow/inbound"
	"github.com/mohar-mail/mohar/queue"
	"github.com/mohar-mail/mohar/serve/mx"
	"github.com/mohar-mail/mohar/store/blob/memblob"
	"github.com/mohar-mail/mohar/store/body"
	"github.com/mohar-mail/mohar/store/kv"
	"github.com/mohar-mail/mohar/store/kv/memkv"
	"github.com/mohar-mail/mohar/wire/smtp/smtpserver"
)

// world is a door with its flow. The comment of a transcript sets it up in words:
// lmtp, full (no room in memory), dmarc (the sender's policy refuses all).
type world struct {
	*testing.T
	config  smtpserver.Config
	backend *mx.Backend
	q       *queue.Queue
	bodies  *body.Bodies
}

func newWorld(t *testing.T, words string) *world {
	t.Helper()
	w := &world{T: t, config: smtpserver.Config{Hostname: "mx.rajya.example", ExplainURL: "https://mx.rajya.example/rule/"}}
	now := clock.NewFake(time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC))
	store := kv.NewStore(memkv.New())
	t.Cleanup(func() { store.Close() })
	w.bodies = body.New(store, memblob.New(), body.Config{})
	door, room, checks := mohar.DoorMX, int64(0), inbound.Checks{Field: []byte("Authentication-Results: mx.rajya.example; none\r\n")}
	for word := range strings.FieldsSeq(words) {
		switch word {
		case "lmtp":
			door, w.config.Mode, checks = mohar.DoorLMTP, smtpserver.LMTP, inbound.Checks{}
		case "full":
			room = 1
		case "dmarc":
			checks = inbound.Checks{Reject: "The message is not authenticated."}
		}
	}
	w.q = queue.New(queue.Config{KV: store, Bodies: w.bodies, Clock: now, Lanes: 1, Room: room})
	w.backend = &mx.Backend{Door: door, Inbound: inbound.New(inbound.Config{Hostname: "mx.rajya.example", Queue: w.q, Bodies: w.bodies,
		Clock: now, Log: slog.New(slog.DiscardHandler), MaxSize: 1000, Recipient: recipient,
		Verify: func(context.Context, string, *inbound.Arrival, []byte) (inbound.Checks, error) { return checks, nil }})}
	return w
}

func recipient(_ context.Context, address string) (inbound.Target, error) {
	local, domain, _ := strings.Cut(address, "@")
	switch {
	case domain == "suspended.example":
		return inbound.Target{}, fault.New(fault.Denied, "test", "This domain has no go-ahead to receive mail.")
	case domain != "rajya.example":
		return inbound.Target{}, fault.New(fault.Denied, "test", "We do not relay for this domain.")
	case local == "nobody", strings.Contains(local, "%"):
		return inbound.Target{}, fault.New(fault.NotFound, "test", "There is no such address here.")
	case local == "down":
		return inbound.Target{}, fault.New(fault.Unavailable, "test", "The directory is away.")
	}
	return inbound.Target{Account: mohar.AccountID(local), Address: address}, nil
}

func (w *world) dump() string {
	var all []string
	err := w.q.List(w.Context(), func(m *queue.Message) bool {
		var out strings.Builder
		fmt.Fprintf(&out, "from <%s> smtputf8 %v\n", m.Item.From, m.Item.SMTPUTF8)
		for _, r := range m.Recipients {
			fmt.Fprintf(&out, "to %s %s notify %q orcpt %q\n", r.Address, r.Account, r.Notify, r.ORcpt)
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
