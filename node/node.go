// Package node wires the rooms of the house into one running server.
//
// Owns:      the data folder; the life of everything that runs.
// Trusts:    the machine and its operator.
// May touch: everything.
// Standards: none.
package node

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/audit"
	"github.com/mohar-mail/mohar/base/clock"
	"github.com/mohar-mail/mohar/directory"
	"github.com/mohar-mail/mohar/directory/credential"
	"github.com/mohar-mail/mohar/flow/change"
	"github.com/mohar-mail/mohar/flow/deliver"
	"github.com/mohar-mail/mohar/flow/inbound"
	"github.com/mohar-mail/mohar/flow/reclaim"
	"github.com/mohar-mail/mohar/flow/relay"
	"github.com/mohar-mail/mohar/flow/signin"
	"github.com/mohar-mail/mohar/flow/submit"
	"github.com/mohar-mail/mohar/mailauth"
	"github.com/mohar-mail/mohar/mailbox"
	"github.com/mohar-mail/mohar/policy"
	"github.com/mohar-mail/mohar/queue"
	"github.com/mohar-mail/mohar/store/kv"
	"github.com/mohar-mail/mohar/wire/dns"
)

// directoryShard and queueLane name the shards that stage audit records.
const directoryShard = directory.Shard

func queueLane(n int) kv.Shard { return queue.Lane(n) }

// Options are what differs between a real installation, the demo and tests.
type Options struct {
	Clock clock.Clock  // the machine's when nil
	Log   *slog.Logger // silent when nil
	// DNS answers look-ups; the resolvers of the configuration when nil.
	DNS dns.Upstream
	// Routes fixes "host:port" for domains (A-label), before their MX.
	Routes map[string]string
	// Relay takes all other mail, as "host:port"; it goes before the
	// configuration's.
	Relay string
	// Loopback says that the server is a demo on loopback: passwords without TLS
	// are taken, and limits by network address are lifted, since all clients share
	// one address.
	Loopback bool
}

// Node is an installation that has been opened. Start serves it.
type Node struct {
	dir    string
	cfg    Config
	opt    Options
	clock  clock.Clock
	log    *slog.Logger
	eng    *engines
	public string // key of the audit log

	directory *directory.Directory
	hasher    *credential.Hasher
	boxes     *mailbox.Store
	queue     *queue.Queue
	sequencer *audit.Sequencer
	auditLog  *audit.Log
	keys      *signers
	resolver  *dns.Resolver
	rulebooks map[string]*policy.Rulebook
	targets   *submit.Targets

	signin  *signin.Signin
	inbound *inbound.Inbound
	submit  *submit.Submit
	deliver *deliver.Deliver
	relay   *relay.Relay
	change  *change.Change
	reclaim *reclaim.Reclaim

	meters    *meters
	draining  atomic.Bool
	closeOnce sync.Once
	closed    error // of closing

	open     sessions       // of mail programs, for ending those of one account
	work     sync.WaitGroup // of the flows' workers
	stopWork context.CancelFunc
}

// Open opens the data in dir, made where it is missing. One server at a time
// holds it.
func Open(dir string, cfg Config, opt Options) (n *Node, err error) {
	n = &Node{dir: dir, cfg: cfg, opt: opt, clock: opt.Clock, log: opt.Log}
	if n.clock == nil {
		n.clock = clock.System{}
	}
	if n.log == nil {
		n.log = slog.New(slog.DiscardHandler)
	}
	if n.eng, err = openEngines(dir, &cfg, n.log); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.eng.close())
		}
	}()
	if err = n.eng.upgrade(context.Background()); err != nil {
		return nil, err
	}
	if err = n.nouns(); err != nil {
		return nil, err
	}
	return n, n.flows()
}

// nouns builds what owns data.
func (n *Node) nouns() (err error) {
	private, public, err := auditKey(n.dir, n.cfg.Hostname)
	if err != nil {
		return err
	}
	n.public = public
	n.directory = directory.New(directory.Config{Store: n.eng.kv})
	params := credential.Default()
	if n.hasher, err = credential.New(credential.Config{Params: params, Clock: n.clock}); err != nil {
		return err
	}
	n.boxes = mailbox.New(mailbox.Config{KV: n.eng.kv, Bodies: n.eng.bodies, Notify: n.eng, Clock: n.clock,
		Quota: int64(n.cfg.Mail.QuotaMB) << 20, Released: func(a mohar.AccountID) { n.reclaim.Nudge(a) }})
	n.queue = queue.New(queue.Config{KV: n.eng.kv, Bodies: n.eng.bodies, Clock: n.clock, Lanes: n.cfg.Storage.Lanes, Wake: n.wake,
		Delivered: n.delivered})
	n.reclaim = reclaim.New(reclaim.Config{KV: n.eng.kv, Bodies: n.eng.bodies, Mailboxes: n.boxes, Queue: n.queue, Clock: n.clock, Log: n.log})
	n.auditLog = audit.NewLog(n.eng.kv, audit.DefaultLog)
	n.keys = newSigners(n.dir)
	n.rulebooks = map[string]*policy.Rulebook{}
	for _, name := range []string{policy.State, policy.Base} {
		if n.rulebooks[name], err = policy.Builtin(name); err != nil {
			return err
		}
	}
	n.meters = newMeters(n.rulebooks)
	if err := n.meters.registry.Register(newDepth(n.queue)); err != nil {
		return err
	}
	n.signinFlow()
	n.sequencer, err = audit.NewSequencer(audit.Config{Store: n.eng.kv, Sources: n.auditSources(), Private: private, Clock: n.clock,
		Failed: func(err error) { n.log.Error("audit log", "err", err) }})
	return err
}

// flows builds what changes data.
func (n *Node) flows() error {
	upstream := n.opt.DNS
	if upstream == nil {
		servers, err := dns.NewServers(n.cfg.Mail.Resolvers, false)
		if err != nil {
			return err
		}
		upstream = servers
	}
	n.resolver = dns.New(dns.Config{Upstream: upstream, Clock: n.clock})
	lists, err := policy.BuiltinLists()
	if err != nil {
		return err
	}
	classifier, err := policy.NewClassifier(lists)
	if err != nil {
		return err
	}
	n.targets = &submit.Targets{Directory: n.directory, Resolver: n.resolver, Classifier: classifier}
	verifier := mailauth.New(mailauth.Config{Resolver: n.resolver})
	n.inbound = inbound.New(inbound.Config{Hostname: n.cfg.Hostname, Queue: n.queue, Bodies: n.eng.bodies, Clock: n.clock, Log: n.log,
		MaxSize: int64(n.cfg.Mail.MaxMessageMB) << 20, Recipient: n.recipient, Verify: verify(verifier, classifier, n.cfg.Hostname), Staged: n.staged})
	n.submit = submit.New(submit.Config{Hostname: n.cfg.Hostname, Queue: n.queue, Bodies: n.eng.bodies, Clock: n.clock, Log: n.log,
		Target: n.targets.Find, Answers: n.answers, Network: policy.Internet, Rulebook: n.rulebook, Sign: n.signFor, Staged: n.staged})
	n.deliver = deliver.New(deliver.Config{Queue: n.queue, Mailboxes: n.boxes, Clock: n.clock, Log: n.log,
		Bounce: n.bounce, Woken: n.wakeAll})
	n.relay = n.relayFlow()
	n.change = change.New(change.Config{Directory: n.directory, Hasher: n.hasher, Queue: n.queue, Clock: n.clock, Staged: n.staged,
		Ended: n.endSessions, Keys: func(domain string) error { _, err := n.keys.get(domain, true); return err }})
	return nil
}

func (n *Node) relayFlow() *relay.Relay {
	via := n.opt.Relay
	if via == "" {
		via = n.cfg.Mail.Relay
	}
	var self []netip.Addr
	return relay.New(relay.Config{Queue: n.queue, Bodies: n.eng.bodies, Resolver: n.resolver, Dialer: n.dialer(), Home: home{n},
		Record: n.recordRelay, Clock: n.clock, Log: n.log, Hostname: n.cfg.Hostname, Self: self, Relay: via, Routes: n.opt.Routes})
}

// wake tells the worker of a lane that it has work.
func (n *Node) wake(lane int, c queue.Class) {
	switch {
	case c == queue.Local && n.deliver != nil:
		n.deliver.Wake(lane)
	case c == queue.Remote && n.relay != nil:
		n.relay.Wake(lane)
	}
}

// wakeAll tells both workers of a lane that it has work.
func (n *Node) wakeAll(lane int) {
	n.wake(lane, queue.Local)
	n.wake(lane, queue.Remote)
}

// staged tells the sequencer that audit records wait in a shard.
func (n *Node) staged(s kv.Shard) { n.sequencer.Nudge(s) }

// startWork starts the workers of the flows. The embedded engine is held by one
// process, so leases found in the queue are those of a dead one.
func (n *Node) startWork(ctx context.Context) error {
	if err := n.queue.Recover(ctx); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	n.stopWork = stop
	n.work.Go(func() { n.deliver.Run(ctx) })
	n.work.Go(func() { n.relay.Run(ctx) })
	n.work.Go(func() { n.sequencer.Run(ctx) })
	n.work.Go(func() { n.reclaim.Run(ctx) })
	return nil
}

// Close stops the workers, waits for them and lets go of the data. It may be
// called more than once.
func (n *Node) Close() error {
	n.closeOnce.Do(func() { n.closed = n.end() })
	return n.closed
}

func (n *Node) end() error {
	if n.stopWork != nil {
		n.stopWork()
		n.work.Wait()
	}
	if n.resolver != nil {
		n.resolver.Close()
	}
	return n.eng.close()
}
