package smtpserver

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mohar-mail/mohar/base/fault"
)

// Server serves one Mode on any number of listeners. Its methods are safe for
// concurrent use.
type Server struct {
	cfg     Config
	backend Backend
	count   counter
	pool    sync.Pool // of *[]byte, bigBuffer long

	mu        sync.Mutex
	listeners map[net.Listener]struct{}
	conns     map[*conn]struct{}
	closed    bool
	draining  atomic.Bool
	wg        sync.WaitGroup // one for each connection
}

// acceptPause is the wait after an accept that failed for want of resources.
const acceptPause = 50 * time.Millisecond

// New makes a server. A missing Backend or Hostname, or Implicit without TLS,
// is fault.Invalid.
func New(cfg Config, b Backend) (*Server, error) {
	if b == nil || cfg.Hostname == "" || cfg.Implicit && cfg.TLS == nil {
		return nil, fault.New(fault.Invalid, "smtpserver.New", "An SMTP server needs a host name, a backend, and TLS where it is implicit.")
	}
	cfg.fill()
	s := &Server{
		cfg: cfg, backend: b, count: counter{by: map[netip.Prefix]int{}},
		listeners: map[net.Listener]struct{}{}, conns: map[*conn]struct{}{},
	}
	s.pool.New = func() any { b := make([]byte, bigBuffer); return &b }
	return s, nil
}

// Serve accepts from ln until ctx ends, Drain or Close is called, or accepting
// fails for good, which it returns. When ctx ends the connections of this
// listener are cut. It returns after the last of them is over.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	s.mu.Lock()
	if s.draining.Load() || s.closed {
		s.mu.Unlock()
		return errors.Join(net.ErrClosed, ln.Close())
	}
	s.listeners[ln] = struct{}{}
	s.mu.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(ctx, func() { _ = ln.Close() })
	var own sync.WaitGroup
	err := s.accept(ctx, ln, &own)
	if err != nil || !s.draining.Load() {
		cancel()
	}
	own.Wait()
	stop()
	cancel()
	_ = ln.Close()
	s.mu.Lock()
	delete(s.listeners, ln)
	s.mu.Unlock()
	return err
}

func (s *Server) accept(ctx context.Context, ln net.Listener, own *sync.WaitGroup) error {
	for {
		nc, err := ln.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) || ctx.Err() != nil {
				return nil
			}
			var ne net.Error
			if !errors.As(err, &ne) {
				return fault.Wrap(err, fault.Unavailable, "smtpserver.Serve", "The listener failed.")
			}
			s.cfg.Log.Warn("accept", "error", err)
			select { // out of descriptors: turning at full speed would not free one
			case <-s.cfg.Clock.After(acceptPause):
			case <-ctx.Done():
				return nil
			}
			continue
		}
		own.Go(func() { s.ServeConn(ctx, nc) })
	}
}

// ServeConn serves one connection and closes it. Serve calls it; it is for
// connections that come by another way than a listener.
func (s *Server) ServeConn(ctx context.Context, nc net.Conn) {
	ip := ipOf(nc.RemoteAddr())
	ok, network := s.count.take(ip, &s.cfg.Limits)
	if !ok {
		s.turnAway(nc, network)
		return
	}
	defer s.count.give(ip)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c := newConn(s, nc, cancel)
	s.mu.Lock()
	if s.draining.Load() || s.closed {
		s.mu.Unlock()
		_ = nc.Close()
		return
	}
	s.conns[c] = struct{}{}
	s.wg.Add(1)
	s.mu.Unlock()
	stop := context.AfterFunc(ctx, func() { _ = nc.Close() })
	defer func() {
		stop()
		_ = nc.Close()
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
		s.wg.Done()
	}()
	c.serve(ctx)
}

// turnAway tells a client over a limit to come back later. The octets fit in
// any socket's buffer, so the deadline only guards against the absurd.
func (s *Server) turnAway(nc net.Conn, network bool) {
	s.cfg.Log.Info("connection limit", "remote", nc.RemoteAddr(), "network", network)
	if !s.cfg.Implicit {
		_ = nc.SetWriteDeadline(s.cfg.Clock.Now().Add(time.Second))
		_, _ = nc.Write(replyTooManyConns.Append(nil))
	}
	_ = nc.Close()
}

// Drain stops accepting, tells idle clients 421 now and busy ones after their
// transaction, and waits for all. When ctx ends first the rest is cut, and the
// error is that of ctx.
func (s *Server) Drain(ctx context.Context) error {
	s.mu.Lock()
	s.draining.Store(true)
	for ln := range s.listeners {
		_ = ln.Close()
	}
	for c := range s.conns {
		c.wakeIfIdle()
	}
	s.mu.Unlock()
	done := make(chan struct{})
	go func() { s.wg.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		s.Close()
		<-done
		return ctx.Err()
	}
}

// Close cuts every connection and waits until their sessions have ended. A
// Session that ignores its context delays it.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	for ln := range s.listeners {
		_ = ln.Close()
	}
	for c := range s.conns {
		c.cancel()
	}
	s.mu.Unlock()
	s.wg.Wait()
}
