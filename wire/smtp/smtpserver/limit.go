package smtpserver

import (
	"net/netip"
	"sync"
)

// The networks over which connections are counted together: what one customer
// of a provider usually holds.
const (
	networkBits4 = 24
	networkBits6 = 48
)

// counter counts connections in all and by network.
type counter struct {
	mu    sync.Mutex
	total int
	by    map[netip.Prefix]int
}

func networkOf(a netip.Addr) netip.Prefix {
	bits := networkBits6
	if a.Is4() {
		bits = networkBits4
	}
	p, _ := a.WithZone("").Prefix(bits) // the zero Addr gives the zero Prefix
	return p
}

// take counts a connection in, or says which limit forbids it.
func (c *counter) take(a netip.Addr, l *Limits) (ok, network bool) {
	p := networkOf(a)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.total >= l.Connections {
		return false, false
	}
	if l.PerNetwork > 0 && p.IsValid() && c.by[p] >= l.PerNetwork {
		return false, true
	}
	c.total++
	if p.IsValid() {
		c.by[p]++
	}
	return true, false
}

func (c *counter) give(a netip.Addr) {
	p := networkOf(a)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.total--
	if n := c.by[p]; n > 1 {
		c.by[p] = n - 1
	} else {
		delete(c.by, p)
	}
}
