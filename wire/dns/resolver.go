package dns

import (
	"context"
	"errors"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/miekg/dns"

	"github.com/mohar-mail/mohar/base/clock"
)

// Bounds of the cache and of a look-up.
const (
	// DefaultCacheEntries bounds the cache by count.
	DefaultCacheEntries = 20_000
	// DefaultTimeout is what one question may take, all attempts together.
	DefaultTimeout = 8 * time.Second
	// DefaultMinTTL keeps an answer at least so long: a TTL of 0 must not make
	// every message of a burst ask again.
	DefaultMinTTL = 5 * time.Second
	// DefaultMaxTTL keeps an answer at most so long, whatever its TTL.
	DefaultMaxTTL = time.Hour
	// DefaultNegativeTTL keeps "there is none" at most so long (RFC 2308
	// section 5 allows up to 3 hours; people mend their zones sooner).
	DefaultNegativeTTL = 5 * time.Minute
	// DefaultFailureTTL keeps a temporary failure (RFC 2308 section 7.1 allows
	// 5 minutes).
	DefaultFailureTTL = 3 * time.Second

	// maxEntryBytes keeps one hostile answer from filling the cache: a larger
	// answer is given to who asked, but not kept.
	maxEntryBytes  = 8 << 10
	recordOverhead = 96
	// maxRecords bounds what one answer may make its reader do.
	maxRecords = 100
)

// Config is what a Resolver needs; the zero value of every field but Upstream
// means the default.
type Config struct {
	Upstream     Upstream // required: *Servers or *Fake
	Clock        clock.Clock
	CacheEntries int
	Timeout      time.Duration
	MinTTL       time.Duration
	MaxTTL       time.Duration
	NegativeTTL  time.Duration
	FailureTTL   time.Duration
}

// Resolver answers from its cache or asks its Upstream; the same question asked
// at the same time goes out once. It is safe for concurrent use.
type Resolver struct {
	cfg   Config
	cache *cache

	mu      sync.Mutex
	flights map[Question]*flight
	closed  bool
	running sync.WaitGroup
	base    context.Context
	stop    context.CancelFunc
}

// flight is one question on its way, shared by all who asked it.
type flight struct {
	done chan struct{}
	e    *entry
}

// errClosed answers questions after Close.
var errClosed = errors.New("the resolver is closed")

// New makes a Resolver. Close ends its questions.
func New(cfg Config) *Resolver {
	if cfg.Clock == nil {
		cfg.Clock = clock.System{}
	}
	orDefault(&cfg.Timeout, DefaultTimeout)
	orDefault(&cfg.MinTTL, DefaultMinTTL)
	orDefault(&cfg.MaxTTL, DefaultMaxTTL)
	orDefault(&cfg.NegativeTTL, DefaultNegativeTTL)
	orDefault(&cfg.FailureTTL, DefaultFailureTTL)
	if cfg.CacheEntries <= 0 {
		cfg.CacheEntries = DefaultCacheEntries
	}
	base, stop := context.WithCancel(context.Background())
	return &Resolver{cfg: cfg, cache: newCache(cfg.CacheEntries), flights: make(map[Question]*flight), base: base, stop: stop}
}

func orDefault(d *time.Duration, v time.Duration) {
	if *d <= 0 {
		*d = v
	}
}

// Close ends all questions in flight and waits for them.
func (r *Resolver) Close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.stop()
	r.running.Wait()
}

// LookupMX gives the mail exchangers of a domain as the zone lists them, not
// sorted. A null MX (RFC 7505) is one record with an empty Host.
func (r *Resolver) LookupMX(ctx context.Context, domain string) (Answer[MX], error) {
	return lookup(ctx, r, domain, dns.TypeMX, func(rec *Record) MX { return rec.MX })
}

// LookupTXT gives the TXT records of a name, the strings of each joined.
func (r *Resolver) LookupTXT(ctx context.Context, name string) (Answer[string], error) {
	return lookup(ctx, r, name, dns.TypeTXT, recordText)
}

// LookupCNAME gives the alias that stands at the name itself, if any.
func (r *Resolver) LookupCNAME(ctx context.Context, name string) (Answer[string], error) {
	return lookup(ctx, r, name, dns.TypeCNAME, recordText)
}

// LookupPTR gives the names of an address (RFC 1035 section 3.5, RFC 3596).
func (r *Resolver) LookupPTR(ctx context.Context, addr netip.Addr) (Answer[string], error) {
	name, err := dns.ReverseAddr(addr.Unmap().WithZone("").String())
	if err != nil {
		return Answer[string]{}, &Error{Name: addr.String(), Type: "PTR", Kind: Invalid, Cause: err}
	}
	return lookup(ctx, r, name, dns.TypePTR, recordText)
}

// LookupTLSA gives the certificate associations of a port of a host, asked as
// _port._tcp.host (RFC 6698 section 3). They bind only when Authentic.
func (r *Resolver) LookupTLSA(ctx context.Context, host string, port uint16) (Answer[TLSA], error) {
	return lookup(ctx, r, "_"+strconv.Itoa(int(port))+"._tcp."+host, dns.TypeTLSA, func(rec *Record) TLSA { return rec.TLSA })
}

// LookupIP gives the addresses of a host: those of IPv6 first, then those of
// IPv4. It fails only when neither family could be had; Authentic wants both.
func (r *Resolver) LookupIP(ctx context.Context, host string) (Answer[netip.Addr], error) {
	value := func(rec *Record) netip.Addr { return rec.Addr }
	name, err := Canonical(host)
	if err != nil {
		return Answer[netip.Addr]{}, err
	}
	r.start(Question{Name: name, Type: dns.TypeA}) // both questions travel together
	six, err6 := lookup(ctx, r, host, dns.TypeAAAA, value)
	four, err4 := lookup(ctx, r, host, dns.TypeA, value)
	all := Answer[netip.Addr]{Records: append(six.Records[:len(six.Records):len(six.Records)], four.Records...)}
	if len(all.Records) > 0 {
		all.Authentic = (err6 == nil && six.Authentic) && (err4 == nil && four.Authentic)
		return all, nil
	}
	// One family temporarily unknown and the other empty is not "no address".
	if IsTemporary(err6) {
		return all, err6
	}
	if err4 != nil {
		return all, err4
	}
	all.Authentic = six.Authentic && four.Authentic
	return all, nil
}

func recordText(rec *Record) string { return rec.Text }

func lookup[T any](ctx context.Context, r *Resolver, name string, qtype uint16, value func(*Record) T) (Answer[T], error) {
	name, err := Canonical(name)
	if err != nil {
		var e *Error
		if errors.As(err, &e) {
			e.Type = dns.TypeToString[qtype]
		}
		return Answer[T]{}, err
	}
	q := Question{Name: name, Type: qtype}
	e, err := r.ask(ctx, q)
	if err == nil {
		err = e.failed
	}
	if err != nil {
		return Answer[T]{}, &Error{Name: name, Type: dns.TypeToString[qtype], Kind: Temporary, Cause: err}
	}
	if e.reply.NXDomain {
		return Answer[T]{Authentic: e.reply.Authentic}, &Error{Name: name, Type: dns.TypeToString[qtype], Kind: NXDomain}
	}
	a := Answer[T]{Authentic: e.reply.Authentic}
	for i := range e.reply.Records {
		a.Records = append(a.Records, value(&e.reply.Records[i]))
	}
	return a, nil
}

// ask gives the entry for q from the cache or from the flight that fetches it.
// A caller whose context ends leaves; the flight goes on for the others.
func (r *Resolver) ask(ctx context.Context, q Question) (*entry, error) {
	e, f := r.start(q)
	if e != nil {
		return e, nil
	}
	if f == nil {
		return nil, errClosed
	}
	select {
	case <-f.done:
		return f.e, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// start gives the cached entry for q, or else the flight that fetches it; both
// nil when the resolver is closed.
func (r *Resolver) start(q Question) (*entry, *flight) {
	if e, ok := r.cache.get(q, r.cfg.Clock.Now()); ok {
		return e, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if f, ok := r.flights[q]; ok {
		return nil, f
	}
	if r.closed {
		return nil, nil
	}
	f := &flight{done: make(chan struct{})}
	r.flights[q] = f
	r.running.Add(1)
	go r.fly(q, f)
	return nil, f
}

func (r *Resolver) fly(q Question, f *flight) {
	defer r.running.Done()
	ctx, cancel := context.WithTimeout(r.base, r.cfg.Timeout)
	defer cancel()
	reply, err := r.cfg.Upstream.Exchange(ctx, q)
	f.e = &entry{q: q, reply: reply, failed: err, until: r.cfg.Clock.Now().Add(r.keep(reply, err))}
	if len(f.e.reply.Records) > maxRecords {
		f.e.reply.Records = f.e.reply.Records[:maxRecords]
	}
	r.cache.put(f.e)
	r.mu.Lock()
	delete(r.flights, q)
	r.mu.Unlock()
	close(f.done)
}

func (r *Resolver) keep(reply Reply, err error) time.Duration {
	limit := r.cfg.MaxTTL
	switch {
	case err != nil:
		return r.cfg.FailureTTL
	case reply.NXDomain || len(reply.Records) == 0:
		limit = r.cfg.NegativeTTL
	}
	return min(max(reply.TTL, r.cfg.MinTTL), limit)
}
