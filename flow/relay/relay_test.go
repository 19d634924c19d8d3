package relay_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/flow/relay"
	"github.com/mohar-mail/mohar/queue"
	"github.com/mohar-mail/mohar/store/blob/memblob"
	"github.com/mohar-mail/mohar/store/body"
	"github.com/mohar-mail/mohar/store/kv"
	"github.com/mohar-mail/mohar/store/kv/memkv"
	"github.com/mohar-mail/mohar/wire/dns"
	"github.com/mohar-mail/mohar/wire/dsn"
	"github.com/mohar-mail/mohar/wire/mime"
	"github.com/mohar-mail/mohar/wire/smtp"
)

const zone = `
city.example. IN MX 10 mx1.city.example.
city.example. IN MX 20 mx2.city.example.
mx1.city.example. IN A 192.0.2.1
mx2.city.example. IN A 192.0.2.2
plain.example. IN A 192.0.2.3
null.example. IN MX 0 .
bare.example. IN TXT "nothing here"
loop.example. IN MX 10 mx.rajya.example.
loop.example. IN MX 20 mx2.city.example.
near.example. IN MX 10 mx1.city.example.
near.example. IN MX 20 mx.rajya.example.
selfaddr.example. IN MX 10 alias.example.
alias.example. IN A 203.0.113.1
ghost.example. IN MX 10 nowhere.example.
dual.example. IN MX 10 dual.example.
dual.example. IN A 192.0.2.4
dual.example. IN AAAA 2001:db8::4
`

// bed is a relay with a queue in memory and peers that do as they are told.
type bed struct {
	t      *testing.T
	kv     *kv.Store
	bodies *body.Bodies
	queue  *queue.Queue
	relay  *relay.Relay
	net    *network
	dns    *dns.Fake

	mu     sync.Mutex
	events []relay.Event
	fail   error // what Record answers
	stop   func()
	told   chan struct{} // sent on for each event; may be nil
}

const lanes = 2

func newBed(t *testing.T, change func(*relay.Config)) *bed {
	t.Helper()
	b := &bed{t: t, net: &network{hosts: make(map[string]*host)}}
	b.kv = kv.NewStore(memkv.New())
	b.bodies = body.New(b.kv, memblob.New(), body.Config{})
	var r *relay.Relay
	b.queue = queue.New(queue.Config{KV: b.kv, Bodies: b.bodies, Clock: clockOf(), Lanes: lanes, Wake: func(lane int, c queue.Class) {
		if c == queue.Remote {
			r.Wake(lane)
		}
	}})
	fake, err := dns.NewFake(zone)
	if err != nil {
		t.Fatal(err)
	}
	b.dns = fake
	res := dns.New(dns.Config{Upstream: fake})
	cfg := relay.Config{Queue: b.queue, Bodies: b.bodies, Resolver: res, Dialer: b.net, Home: home{}, Hostname: "mx.rajya.example",
		Self: []netip.Addr{netip.MustParseAddr("203.0.113.1")}, Dice: func() float64 { return 0.5 }, Record: b.record}
	if change != nil {
		change(&cfg)
	}
	r = relay.New(cfg)
	b.relay = r
	b.start()
	t.Cleanup(func() { b.stop(); res.Close() })
	return b
}

func (b *bed) start() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); b.relay.Run(ctx) }()
	b.stop = sync.OnceFunc(func() { cancel(); <-done })
}

func (b *bed) record(_ *kv.Tx, ev relay.Event) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fail != nil {
		return b.fail
	}
	b.events = append(b.events, ev)
	if b.told != nil {
		b.told <- struct{}{}
	}
	return nil
}

func (b *bed) kinds() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []string
	for _, e := range b.events {
		out = append(out, strings.TrimPrefix(e.Kind, "relay.")+" "+e.To+" "+e.Status)
	}
	return strings.Join(out, "; ")
}

type home struct{}

func (home) Recipient(_ context.Context, address string) (queue.Recipient, error) {
	_, domain, _ := strings.Cut(address, "@")
	switch domain {
	case "rajya.example":
		return queue.Recipient{Address: address, Account: "acc", Class: queue.Local}, nil
	case "gone.example":
		return queue.Recipient{}, fault.New(fault.NotFound, "home", "")
	}
	return queue.Recipient{Address: address, Domain: domain, Class: queue.Remote}, nil
}

const content = "From: a@rajya.example\r\nSubject: x\r\n\r\nHello.\r\n"

// letter is a message to promise; To holds addresses, or "address NOTIFY".
type letter struct {
	from, content, ret, envid string
	utf8, requireTLS          bool
	to                        []string
}

func (b *bed) send(l letter) queue.ItemID {
	b.t.Helper()
	if l.content == "" {
		l.content = content
	}
	w := b.bodies.Writer(context.Background())
	if _, err := io.WriteString(w, l.content); err != nil {
		b.t.Fatal(err)
	}
	st, err := w.Finish()
	if err != nil {
		b.t.Fatal(err)
	}
	it := &queue.Item{ID: b.queue.NewID(), From: l.from, Ret: l.ret, EnvID: l.envid, SMTPUTF8: l.utf8, RequireTLS: l.requireTLS, Label: mohar.Official}
	var rcpts []queue.Recipient
	for _, s := range l.to {
		address, notify, _ := strings.Cut(s, " ")
		domain, err := dns.Canonical(address[strings.LastIndexByte(address, '@')+1:])
		if err != nil {
			b.t.Fatal(err)
		}
		rcpts = append(rcpts, queue.Recipient{Address: address, Notify: notify, Domain: domain, Class: queue.Remote})
	}
	if err := b.queue.Promise(context.Background(), it, rcpts, st, nil); err != nil {
		b.t.Fatal(err)
	}
	return it.ID
}

// left gives the remote recipients that are still in the queue.
func (b *bed) left() []*queue.Recipient {
	b.t.Helper()
	var out []*queue.Recipient
	err := b.queue.List(context.Background(), func(m *queue.Message) bool {
		for _, rc := range m.Recipients {
			if rc.Class == queue.Remote {
				out = append(out, rc)
			}
		}
		return true
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return out
}

// reports gives the delivery reports that wait for their local recipient.
func (b *bed) reports() []*dsn.Report {
	b.t.Helper()
	var out []*dsn.Report
	err := b.queue.List(context.Background(), func(m *queue.Message) bool {
		if m.Item.From != "" || m.Recipients[0].Class != queue.Local {
			return true
		}
		c, err := b.bodies.Read(context.Background(), m.Item.Body)
		if err != nil {
			b.t.Fatal(err)
		}
		r, ok := dsn.Parse(mime.Parse(c))
		if !ok {
			b.t.Fatalf("not a report: %s", c)
		}
		if m.Item.Label != mohar.Official || m.Item.Door != mohar.DoorSystem || len(m.Item.Index) == 0 {
			b.t.Errorf("report %+v", m.Item)
		}
		out = append(out, r)
		return true
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return out
}

// network is a Dialer whose hosts are in memory.
type network struct {
	mu    sync.Mutex
	hosts map[string]*host // by address
}

// host is a peer by script.
type host struct {
	refuse    error // what dialling gives
	tlsBroken bool
	info      relay.PeerInfo
	// answer gives the replies to a transaction; 250 for all when nil.
	answer func(n int, t *relay.Transaction) ([]*smtp.Reply, error)

	dials, plain, closed int
	got                  []*relay.Transaction
}

func (n *network) host(addr string, h *host) *host {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hosts[addr] = h
	return h
}

// counts is for tests that look before everything has ended.
func (n *network) counts(h *host) (dials, got, closed int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return h.dials, len(h.got), h.closed
}

var errRefused = errors.New("connection refused")

func (n *network) Dial(_ context.Context, t relay.Target) (relay.Peer, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	h := n.hosts[t.Addr.Addr().String()]
	if h == nil {
		return nil, errRefused
	}
	h.dials++
	switch {
	case h.refuse != nil:
		return nil, h.refuse
	case h.tlsBroken && !t.Plain:
		return nil, fmt.Errorf("%w: handshake failure", relay.ErrTLS)
	case t.Plain:
		h.plain++
	}
	info := h.info
	info.Host = t.Host
	return &peer{n: n, h: h, info: info}, nil
}

type peer struct {
	n    *network
	h    *host
	info relay.PeerInfo
}

func (p *peer) Info() relay.PeerInfo { return p.info }

func (p *peer) Close() {
	p.n.mu.Lock()
	defer p.n.mu.Unlock()
	p.h.closed++
}

func (p *peer) Send(_ context.Context, t *relay.Transaction) ([]*smtp.Reply, error) {
	p.n.mu.Lock()
	defer p.n.mu.Unlock()
	if _, err := io.ReadAll(io.NewSectionReader(t.Content, 0, t.Size)); err != nil {
		return nil, err
	}
	p.h.got = append(p.h.got, t)
	if p.h.answer != nil {
		return p.h.answer(len(p.h.got), t)
	}
	return all(t, 250, "2.0.0 taken"), nil
}

// all gives every recipient the same reply.
func all(t *relay.Transaction, code int, text string) []*smtp.Reply {
	out := make([]*smtp.Reply, len(t.To))
	for i := range out {
		out[i] = reply(code, text)
	}
	return out
}

func reply(code int, text string) *smtp.Reply {
	e, rest := smtp.CutEnhanced(text, code/100)
	return smtp.NewReply(code, e, rest)
}

func waits(rc *queue.Recipient) time.Duration { return time.Until(rc.Due).Round(time.Second) }
