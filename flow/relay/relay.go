// Package relay carries mail from the queue to other hosts.
//
// Owns:      its workers, the pool of connections, what it knows of hosts that
// are down. Everything durable is the queue's.
// Trusts:    the queue. Of a peer only its replies, and of the DNS only what
// they say about where to go.
// May touch: queue, the network through its Dialer, wire/dns.
// Standards: RFC 5321 sections 4.5.4 and 5; RFC 7505 (null MX); RFC 3207 and
// RFC 7435 (opportunistic TLS); RFC 3461 (reports); RFC 6531 (SMTPUTF8);
// RFC 8689 (REQUIRETLS).
//
// A recipient leaves the queue only when the peer's reply has been recorded. A
// kill between that reply and the record sends the message again: RFC 5321
// section 4.5.4.1 prefers a duplicate to a loss.
package relay

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"github.com/mohar-mail/mohar/base/clock"
	"github.com/mohar-mail/mohar/queue"
	"github.com/mohar-mail/mohar/store/body"
	"github.com/mohar-mail/mohar/store/kv"
	"github.com/mohar-mail/mohar/wire/dns"
)

// Limits and times.
const (
	batch       = 64              // recipients leased at once by a lane
	idlePoll    = 5 * time.Second // how long a lost wake-up can matter
	failurePoll = 5 * time.Second // after the queue could not be read

	// maxOutstanding bounds the jobs in memory, waiting and running.
	maxOutstanding = 1024
	// maxWaiting bounds the jobs that wait for one destination, so that a slow
	// one cannot fill maxOutstanding. What is beyond stays in the queue.
	maxWaiting = 128
	// waitForRoom is how long a lane waits for a full destination before it lets
	// its leases go; they are due again when they end.
	waitForRoom = 2 * time.Second
	// leaseMargin is how much of a lease must be left for an attempt to begin: a
	// lease that ends under way would be a duplicate.
	leaseMargin = 6 * time.Minute
	// attemptTime bounds one attempt, below leaseMargin.
	attemptTime = 5 * time.Minute

	// DefaultPerDestination is how many connections a destination gets.
	DefaultPerDestination = 20
	// DefaultPerConnection is how many messages a connection carries.
	DefaultPerConnection = 100
	// DefaultIdle is how long an unused connection is kept: below the 5 minutes
	// after which a server may drop it (RFC 5321 section 4.5.3.2.7).
	DefaultIdle = 30 * time.Second
	// maxRecipients is the size of one transaction: what every server must take
	// (RFC 5321 section 4.5.3.1.8).
	maxRecipients = 100
)

// Resolver is what the relay asks of the DNS. *dns.Resolver is one.
type Resolver interface {
	LookupMX(ctx context.Context, domain string) (dns.Answer[dns.MX], error)
	LookupIP(ctx context.Context, host string) (dns.Answer[netip.Addr], error)
}

// Home says how mail to a sender is delivered: the recipient of a report, local
// or remote, with Account or Domain and Class set.
type Home interface {
	Recipient(ctx context.Context, address string) (queue.Recipient, error)
}

// Config is what a Relay needs.
type Config struct {
	Queue    *queue.Queue
	Bodies   *body.Bodies
	Resolver Resolver
	Dialer   Dialer
	Home     Home
	// Record stages an audit record inside the transaction that ends a
	// recipient; nil records nothing.
	Record func(tx *kv.Tx, ev Event) error
	Clock  clock.Clock  // the machine's when nil
	Log    *slog.Logger // silent when nil

	Hostname string // our name, for reports and to see loops
	// Self lists our own addresses as mail exchanger; a route that leads to one of
	// them is a loop.
	Self []netip.Addr
	// Relay, as "host:port", takes all mail instead of the domains' own hosts.
	Relay string
	// Routes fixes "host:port" for a domain (A-label); it goes before Relay.
	Routes map[string]string
	// TLS gives the policy for a domain (A-label); opportunistic when nil.
	TLS func(domain string) TLSMode

	PerDestination int           // connections; DefaultPerDestination when 0
	PerConnection  int           // messages; DefaultPerConnection when 0
	Idle           time.Duration // DefaultIdle when 0
	// Dice gives a number in [0,1) for jitter and for the order of equal MX;
	// random when nil.
	Dice func() float64
}

// Relay is the flow.
type Relay struct {
	cfg  Config
	wake []chan struct{}
	pool *pool
	room chan struct{} // a token for each job in memory

	mu    sync.Mutex
	dests map[string]*destination
	jobs  sync.WaitGroup
}

// New makes a Relay; Run starts it.
func New(cfg Config) *Relay {
	if cfg.Clock == nil {
		cfg.Clock = clock.System{}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.PerDestination <= 0 {
		cfg.PerDestination = DefaultPerDestination
	}
	if cfg.PerConnection <= 0 {
		cfg.PerConnection = DefaultPerConnection
	}
	if cfg.Idle <= 0 {
		cfg.Idle = DefaultIdle
	}
	if cfg.Dice == nil {
		cfg.Dice = rand.Float64
	}
	if cfg.TLS == nil {
		cfg.TLS = func(string) TLSMode { return TLSOpportunistic }
	}
	r := &Relay{
		cfg:   cfg,
		wake:  make([]chan struct{}, cfg.Queue.Lanes()),
		pool:  newPool(cfg.Clock, cfg.Idle, cfg.PerDestination),
		room:  make(chan struct{}, maxOutstanding),
		dests: make(map[string]*destination),
	}
	for i := range r.wake {
		r.wake[i] = make(chan struct{}, 1)
	}
	return r
}

// Wake says that a lane has new work. It never blocks.
func (r *Relay) Wake(lane int) {
	if lane < 0 || lane >= len(r.wake) {
		return
	}
	select {
	case r.wake[lane] <- struct{}{}:
	default:
	}
}

// Run delivers until ctx ends, then waits for the attempts under way, which ctx
// ends too, and closes all connections.
func (r *Relay) Run(ctx context.Context) {
	var lanes sync.WaitGroup
	for n := range r.wake {
		lanes.Go(func() { r.lane(ctx, n) })
	}
	lanes.Go(func() { r.sweep(ctx) })
	lanes.Wait()
	r.jobs.Wait()
	r.pool.close()
}

// sweep closes connections that have been idle for too long.
func (r *Relay) sweep(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.cfg.Clock.After(r.cfg.Idle / 2):
			r.pool.expire()
			r.forget()
		}
	}
}

// lane leases what is due in one lane of the queue and hands it out.
func (r *Relay) lane(ctx context.Context, n int) {
	for ctx.Err() == nil {
		leases, next, err := r.cfg.Queue.Lease(ctx, n, queue.Remote, batch)
		pause := idlePoll
		switch {
		case err != nil:
			if ctx.Err() == nil {
				r.cfg.Log.Error("relay: queue", "lane", n, "err", err)
			}
			pause = failurePoll
		case len(leases) > 0:
			if err := r.handOut(ctx, leases); err != nil && ctx.Err() == nil {
				r.cfg.Log.Error("relay: queue", "lane", n, "err", err)
			}
			continue
		case !next.IsZero():
			pause = min(pause, max(next.Sub(r.cfg.Clock.Now()), time.Millisecond))
		}
		select {
		case <-ctx.Done():
		case <-r.wake[n]:
		case <-r.cfg.Clock.After(pause):
		}
	}
}

// handOut groups leases into jobs: the recipients of one message at one
// destination travel together.
func (r *Relay) handOut(ctx context.Context, leases []queue.Lease) error {
	items, rcpts, err := r.cfg.Queue.Load(ctx, leases)
	if err != nil {
		return err
	}
	type key struct {
		item queue.ItemID
		dest string
	}
	byKey := make(map[key]*job)
	var order []*job
	for _, rc := range rcpts {
		domain, fixed := r.routeOf(rc.Domain)
		k := key{rc.Item, destKey(domain, fixed)}
		j := byKey[k]
		if j == nil {
			j = &job{item: items[rc.Item], dest: k.dest, domain: domain, fixed: fixed}
			byKey[k], order = j, append(order, j)
		}
		j.rcpts = append(j.rcpts, rc)
		j.leases = append(j.leases, leaseOf(leases, rc))
	}
	full := make(map[string]bool)
	for _, j := range order {
		if full[j.dest] {
			continue
		}
		if !r.submit(ctx, j) {
			full[j.dest] = true
		}
	}
	return nil
}

func leaseOf(leases []queue.Lease, rc *queue.Recipient) queue.Lease {
	for _, l := range leases {
		if l.Item == rc.Item && l.N == rc.N {
			return l
		}
	}
	return queue.Lease{}
}
