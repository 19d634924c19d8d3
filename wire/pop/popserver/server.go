package popserver

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Server serves POP3 on the listeners that it is given.
type Server struct {
	cfg      Config
	draining atomic.Bool
	ctx      context.Context // of every connection; ended by Close
	cancel   context.CancelFunc
	bodies   sync.Pool // *[]byte of bodyBuffer

	mu        sync.Mutex
	closed    bool
	listeners map[net.Listener]struct{}
	conns     map[*conn]struct{}
	remotes   map[string]int // connections not signed in, by address
	accounts  map[string]map[*conn]struct{}
	wg        sync.WaitGroup
	idle      chan struct{} // closed and replaced when a connection goes
}

const (
	acceptBackoff    = 5 * time.Millisecond
	maxAcceptBackoff = time.Second
	lastWrite        = time.Second // for a close_notify or a refusal
)

// errServerClosed is given by Serve after Drain or Close.
var errServerClosed = errors.New("popserver: server closed")

// ErrServerClosed says whether err is Serve's answer to Drain or Close.
func ErrServerClosed(err error) bool { return errors.Is(err, errServerClosed) }

// New makes a Server.
func New(cfg Config) *Server {
	ctx, cancel := context.WithCancel(context.Background())
	s := &Server{cfg: cfg.withDefaults(), ctx: ctx, cancel: cancel, idle: make(chan struct{}),
		listeners: map[net.Listener]struct{}{}, conns: map[*conn]struct{}{},
		remotes: map[string]int{}, accounts: map[string]map[*conn]struct{}{}}
	s.bodies.New = func() any { b := make([]byte, bodyBuffer); return &b }
	return s
}

// Serve accepts connections on ln until ctx ends, or Drain or Close is called;
// then it closes ln. It does not wait for the connections.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	s.mu.Lock()
	if s.closed || s.draining.Load() {
		s.mu.Unlock()
		ln.Close()
		return errServerClosed
	}
	s.listeners[ln] = struct{}{}
	s.mu.Unlock()
	stop := context.AfterFunc(ctx, func() { ln.Close() })
	defer stop()
	defer func() {
		ln.Close()
		s.mu.Lock()
		delete(s.listeners, ln)
		s.mu.Unlock()
	}()
	backoff := acceptBackoff
	for {
		nc, err := ln.Accept()
		if err == nil {
			backoff = acceptBackoff
			s.start(nc)
			continue
		}
		if ctx.Err() != nil || s.draining.Load() || s.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
			return errServerClosed
		}
		// Out of descriptors, mostly: wait, do not spin and do not give up.
		s.cfg.Log.Warn("pop accept", "err", err)
		select {
		case <-s.cfg.Clock.After(backoff):
		case <-ctx.Done():
		}
		backoff = min(backoff*2, maxAcceptBackoff)
	}
}

// start takes a connection in, or refuses it at once.
func (s *Server) start(nc net.Conn) {
	c := newConn(s, nc)
	host := remoteHost(nc.RemoteAddr())
	s.mu.Lock()
	switch {
	case s.closed || s.draining.Load():
		s.mu.Unlock()
		nc.Close()
		return
	case len(s.conns) >= s.cfg.MaxConns || s.remotes[host] >= s.cfg.MaxPerRemote:
		s.mu.Unlock()
		s.turnAway(nc)
		return
	}
	s.conns[c] = struct{}{}
	s.remotes[host]++
	c.remoteKey = host
	s.wg.Add(1)
	s.mu.Unlock()
	go func() {
		defer s.wg.Done()
		c.run()
	}()
}

// turnAway says why without waiting: the write fits the socket's buffer.
func (s *Server) turnAway(nc net.Conn) {
	if !s.cfg.Implicit {
		_ = nc.SetWriteDeadline(time.Now().Add(lastWrite))
		_, _ = nc.Write([]byte("-ERR [SYS/TEMP] Too many connections\r\n"))
	}
	nc.Close()
}

func remoteHost(a net.Addr) string {
	if a == nil {
		return ""
	}
	h, _, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String()
	}
	return h
}

// signedIn moves a connection from its address's count to its account's. A
// client whose network flapped leaves dead connections behind; so that they do
// not lock it out, the account's longest silent one makes room.
func (s *Server) signedIn(c *conn, account string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropRemote(c)
	set := s.accounts[account]
	if set == nil {
		set = map[*conn]struct{}{}
		s.accounts[account] = set
	}
	if len(set) >= s.cfg.MaxPerAccount {
		var oldest *conn
		for o := range set {
			if oldest == nil || o.lastActive.Load() < oldest.lastActive.Load() {
				oldest = o
			}
		}
		delete(set, oldest)
		oldest.evict()
	}
	set[c] = struct{}{}
	c.account = account
}

// Disconnect ends all connections of an account, those in a command at its end,
// for a person whose right to sign in has ended. What they have marked as
// deleted stays. It gives their number.
func (s *Server) Disconnect(account string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for c := range s.accounts[account] {
		c.evict()
		n++
	}
	return n
}

func (s *Server) dropRemote(c *conn) {
	if c.remoteKey == "" {
		return
	}
	if s.remotes[c.remoteKey]--; s.remotes[c.remoteKey] <= 0 {
		delete(s.remotes, c.remoteKey)
	}
	c.remoteKey = ""
}

// forget takes a connection out of all counts.
func (s *Server) forget(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	s.dropRemote(c)
	if c.account != "" {
		delete(s.accounts[c.account], c)
		if len(s.accounts[c.account]) == 0 {
			delete(s.accounts, c.account)
		}
	}
	close(s.idle)
	s.idle = make(chan struct{})
}

// Drain stops accepting, lets commands that run finish, closes every connection
// without a word (RFC 1939 section 3: as an autologout, nothing is deleted), and
// waits for them or for ctx.
func (s *Server) Drain(ctx context.Context) error {
	s.draining.Store(true)
	s.mu.Lock()
	for ln := range s.listeners {
		ln.Close()
	}
	for c := range s.conns {
		c.wake()
	}
	s.mu.Unlock()
	for {
		s.mu.Lock()
		n, gone := len(s.conns), s.idle
		s.mu.Unlock()
		if n == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-gone:
		}
	}
}

// Close ends all connections at once and waits for every goroutine.
func (s *Server) Close() error {
	s.draining.Store(true)
	s.cancel()
	s.mu.Lock()
	s.closed = true
	for ln := range s.listeners {
		ln.Close()
	}
	for c := range s.conns {
		c.raw.Close() // nc belongs to the connection's goroutine
	}
	s.mu.Unlock()
	s.wg.Wait()
	return nil
}
