package dns

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"

	"github.com/miekg/dns"
)

func unhex(s string) ([]byte, bool) {
	b, err := hex.DecodeString(s)
	return b, err == nil
}

// Fake is an Upstream without a network: a zone in memory. It serves tests, and
// the demonstration, which must work on a machine without the internet. Names
// that it does not know do not exist, unless Default says otherwise.
// It is safe for concurrent use.
type Fake struct {
	// Default is asked about names that no record was added for. It gives
	// records in presentation form (as Add takes them; the owner name may be
	// "@" for the name asked) and whether the name exists. Set it before use.
	Default func(name, qtype string) (records []string, exists bool)
	// Authentic makes every answer count as validated. Set it before use.
	Authentic bool

	mu    sync.Mutex
	rows  map[string][]dns.RR // by lower-case FQDN
	fails map[string]error
	asked map[string]int
}

// NewFake makes a Fake of records in the presentation form of RFC 1035
// section 5, one a line: `example.test. 300 IN MX 10 mx.example.test.`
func NewFake(records ...string) (*Fake, error) {
	f := &Fake{rows: make(map[string][]dns.RR), fails: make(map[string]error), asked: make(map[string]int)}
	return f, f.Add(records...)
}

// Add adds records in presentation form. A string may hold several lines.
func (f *Fake) Add(records ...string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, text := range records {
		z := dns.NewZoneParser(strings.NewReader(text), ".", "")
		z.SetDefaultTTL(300)
		for rr, ok := z.Next(); ok; rr, ok = z.Next() {
			k := strings.ToLower(rr.Header().Name)
			f.rows[k] = append(f.rows[k], rr)
		}
		if err := z.Err(); err != nil {
			return fmt.Errorf("dns: record %q: %w", text, err)
		}
	}
	return nil
}

// Remove takes all records of a name away.
func (f *Fake) Remove(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.rows, strings.ToLower(dns.Fqdn(name)))
}

// Fail makes every question about name a temporary failure; a nil err ends it.
func (f *Fake) Fail(name string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil {
		delete(f.fails, strings.ToLower(dns.Fqdn(name)))
		return
	}
	f.fails[strings.ToLower(dns.Fqdn(name))] = err
}

// Asked counts the questions about a name and type ("TXT") that came this far.
func (f *Fake) Asked(name, qtype string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked[qtype+" "+strings.ToLower(dns.Fqdn(name))]
}

// Exchange answers from the zone, following CNAMEs inside it.
func (f *Fake) Exchange(ctx context.Context, q Question) (Reply, error) {
	if err := ctx.Err(); err != nil {
		return Reply{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	owner := strings.ToLower(dns.Fqdn(q.Name))
	f.asked[dns.TypeToString[q.Type]+" "+owner]++
	msg := new(dns.Msg)
	for range maxChain {
		if err := f.fails[owner]; err != nil {
			return Reply{}, err
		}
		rrs, exists := f.lookup(owner, q.Type)
		if !exists {
			msg.Rcode = dns.RcodeNameError
			break
		}
		msg.Answer = append(msg.Answer, rrs...)
		c := aliasIn(rrs)
		if c == "" || q.Type == dns.TypeCNAME {
			break
		}
		owner = c
	}
	reply := interpret(msg, q)
	reply.Authentic = f.Authentic
	return reply, nil
}

func aliasIn(rrs []dns.RR) string {
	for _, rr := range rrs {
		if c, ok := rr.(*dns.CNAME); ok {
			return strings.ToLower(c.Target)
		}
	}
	return ""
}

// lookup gives the records at owner and whether the name exists: a name also
// exists when something stands below it (RFC 8020 section 2).
func (f *Fake) lookup(owner string, qtype uint16) ([]dns.RR, bool) {
	if rrs, ok := f.rows[owner]; ok {
		return rrs, true
	}
	if f.Default != nil {
		if texts, ok := f.Default(strings.TrimSuffix(owner, "."), dns.TypeToString[qtype]); ok {
			return parseAt(owner, texts), true
		}
	}
	for name := range f.rows {
		if strings.HasSuffix(name, "."+owner) {
			return nil, true
		}
	}
	return nil, false
}

// parseAt reads records whose owner "@" is the name asked; a record that does
// not parse is left out, since the caller made it.
func parseAt(owner string, texts []string) []dns.RR {
	var out []dns.RR
	for _, t := range texts {
		z := dns.NewZoneParser(strings.NewReader(t), owner, "")
		z.SetDefaultTTL(300)
		for rr, ok := z.Next(); ok; rr, ok = z.Next() {
			out = append(out, rr)
		}
	}
	return out
}
