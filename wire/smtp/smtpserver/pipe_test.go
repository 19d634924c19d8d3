package smtpserver

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/base/clock"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/wire/sasl"
	"github.com/mohar-mail/mohar/wire/smtp"
)

// half is one direction of an in-memory connection. It knows when its reader
// waits on nothing, so a test can tell "all was said" without a clock.
type half struct {
	mu       sync.Mutex
	clk      clock.Clock
	buf      []byte
	closed   bool
	nonblock bool
	waiting  bool
	deadline time.Time
	change   chan struct{}
}

func newHalf(clk clock.Clock) *half { return &half{clk: clk, change: make(chan struct{})} }

// signal wakes everyone; the lock is held.
func (h *half) signal() { close(h.change); h.change = make(chan struct{}) }

func (h *half) Read(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		now := h.clk.Now()
		switch {
		case len(h.buf) > 0:
			n := copy(p, h.buf)
			h.buf = h.buf[n:]
			return n, nil
		case h.closed:
			return 0, io.EOF
		case h.nonblock, !h.deadline.IsZero() && !now.Before(h.deadline):
			return 0, os.ErrDeadlineExceeded
		}
		var timer <-chan time.Time
		if !h.deadline.IsZero() {
			timer = h.clk.After(h.deadline.Sub(now))
		}
		h.waiting = true
		h.signal()
		ch := h.change
		h.mu.Unlock()
		select {
		case <-ch:
		case <-timer:
		}
		h.mu.Lock()
		h.waiting = false
	}
}

func (h *half) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return 0, io.ErrClosedPipe
	}
	h.buf = append(h.buf, p...)
	h.waiting = false
	h.signal()
	return len(p), nil
}

func (h *half) set(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f()
	h.waiting = false
	h.signal()
}

// settle waits until the reader has taken everything and waits for more, or is
// gone.
func (h *half) settle() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for !(h.waiting && len(h.buf) == 0) && !h.closed {
		ch := h.change
		h.mu.Unlock()
		<-ch
		h.mu.Lock()
	}
}

type end struct {
	in, out *half
	addr    net.Addr
}

func (e *end) Read(p []byte) (int, error)  { return e.in.Read(p) }
func (e *end) Write(p []byte) (int, error) { return e.out.Write(p) }
func (e *end) Close() error {
	e.in.set(func() { e.in.closed = true })
	e.out.set(func() { e.out.closed = true })
	return nil
}
func (e *end) LocalAddr() net.Addr               { return e.addr }
func (e *end) RemoteAddr() net.Addr              { return e.addr }
func (e *end) SetDeadline(t time.Time) error     { return e.SetReadDeadline(t) }
func (e *end) SetWriteDeadline(time.Time) error  { return nil }
func (e *end) SetReadDeadline(t time.Time) error { e.in.set(func() { e.in.deadline = t }); return nil }

func pipe(clk clock.Clock) (client, server *end) {
	a, b := newHalf(clk), newHalf(clk)
	addr := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 4025}
	return &end{a, b, addr}, &end{b, a, addr}
}

// message is what the memory backend took.
type message struct {
	env  *mohar.Envelope
	body string
	with string
}

// memBackend is a backend whose answers are told by the addresses:
// nobody@ does not exist, full@ is over quota, policy@ is refused by a rule,
// broken@ fails inside, panic@ panics, skip@ is accepted without being read,
// early@ is refused without being read.
type memBackend struct {
	mu      sync.Mutex
	got     []message
	partial int // messages whose reader failed
	resets  int
	logouts int
	refuse  error // of NewSession
	auth    bool
}

func (b *memBackend) NewSession(_ context.Context, c *Conn) (Session, error) {
	if b.refuse != nil {
		return nil, b.refuse
	}
	s := &memSession{b: b, c: c}
	if b.auth {
		return &authSession{s}, nil
	}
	return s, nil
}

type memSession struct {
	b *memBackend
	c *Conn
}

func judge(addr string) error {
	local, _, _ := strings.Cut(addr, "@")
	switch local {
	case "nobody":
		return fault.New(fault.NotFound, "test", "No such mailbox.")
	case "full":
		return fault.New(fault.OverQuota, "test", "The mailbox is full.")
	case "broken":
		return io.ErrNoProgress
	case "greylist":
		return smtp.NewReply(450, smtp.EnhancedCode{4, 7, 1}, "Come back later")
	case "policy":
		return fault.Refusal("test", &mohar.Decision{Verdict: mohar.Refuse, Reasons: []mohar.Reason{{
			Rule: "DLP-1", What: mohar.Text{En: "Official papers do not go to foreign webmail.", Hi: "नहीं"}, Advice: mohar.Text{En: "Use a state address."}}}})
	}
	return nil
}

func (s *memSession) Mail(_ context.Context, from string, _ *MailOptions) error { return judge(from) }
func (s *memSession) Rcpt(_ context.Context, to mohar.Recipient) error {
	if strings.HasPrefix(to.Address, "lmtp-") {
		return nil
	}
	return judge(to.Address)
}

func (s *memSession) Data(_ context.Context, env *mohar.Envelope, r io.Reader) (Accepted, error) {
	first, _, _ := strings.Cut(env.To[0].Address, "@")
	switch first {
	case "panic":
		panic("planted")
	case "skip":
		return Accepted{}, nil
	case "early":
		return Accepted{}, fault.New(fault.Denied, "test", "Not wanted.")
	}
	body, err := io.ReadAll(r)
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	if err != nil {
		s.b.partial++
		return Accepted{}, err
	}
	s.b.got = append(s.b.got, message{env, string(body), s.c.Protocol(env.SMTPUTF8)})
	acc := Accepted{Text: "queued"}
	for _, to := range env.To {
		acc.Recipients = append(acc.Recipients, judge(strings.TrimPrefix(to.Address, "lmtp-")))
	}
	return acc, nil
}
func (s *memSession) Reset()  { s.b.mu.Lock(); s.b.resets++; s.b.mu.Unlock() }
func (s *memSession) Logout() { s.b.mu.Lock(); s.b.logouts++; s.b.mu.Unlock() }

type authSession struct{ *memSession }

func (s *authSession) Mechanisms() []string { return []string{sasl.Plain, sasl.Login} }
func (s *authSession) Auth(_ context.Context, mech string) (sasl.Server, error) {
	v := func(_ context.Context, _, user, password string) error {
		if user == "down" {
			return fault.New(fault.Unavailable, "test", "The directory is away.")
		}
		if user != "u1" || password != "secret" {
			return fault.New(fault.Auth, "test", "Wrong name or password.")
		}
		return nil
	}
	if mech == sasl.Login {
		return sasl.NewLoginServer(v), nil
	}
	return sasl.NewPlainServer(v), nil
}

var testTLS = sync.OnceValue(func() *tls.Config {
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mx.example"},
		DNSNames: []string{"mx.example"}, NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, pub, key)
	if err != nil {
		panic(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
})

// rig is a server with one in-memory client.
type rig struct {
	t    *testing.T
	b    *memBackend
	clk  *clock.Fake
	srv  *Server
	raw  *end
	cl   net.Conn
	peer *end
	done chan struct{}
}

func newRig(t *testing.T, cfg Config, b *memBackend) *rig {
	t.Helper()
	r := &rig{t: t, b: b, clk: clock.NewFake(time.Now()), done: make(chan struct{})}
	if cfg.Hostname == "" {
		cfg.Hostname = "mx.example"
	}
	cfg.Clock = r.clk
	srv, err := New(cfg, b)
	if err != nil {
		t.Fatal(err)
	}
	r.srv = srv
	r.raw, r.peer = pipe(r.clk)
	r.cl = r.raw
	go func() { defer close(r.done); srv.ServeConn(context.Background(), r.peer) }()
	t.Cleanup(func() { _ = r.raw.Close(); <-r.done })
	return r
}

func (r *rig) startTLS() {
	r.t.Helper()
	c := tls.Client(r.raw, &tls.Config{InsecureSkipVerify: true})
	if err := c.HandshakeContext(context.Background()); err != nil {
		r.t.Fatal(err)
	}
	r.cl = c
}

// read gives all that the server says until it waits again or hangs up.
func (r *rig) read() string {
	r.t.Helper()
	r.peer.in.settle()
	r.raw.in.set(func() { r.raw.in.nonblock = true })
	defer r.raw.in.set(func() { r.raw.in.nonblock = false })
	var out []byte
	buf := make([]byte, 4096)
	for {
		n, err := r.cl.Read(buf)
		out = append(out, buf[:n]...)
		if err != nil {
			return string(out)
		}
	}
}

// say sends octets and gives the answer.
func (r *rig) say(s string) string {
	r.t.Helper()
	if _, err := r.cl.Write([]byte(s)); err != nil {
		return ""
	}
	return r.read()
}

func (r *rig) hungUp() bool {
	select {
	case <-r.done:
		return true
	default:
	}
	r.peer.in.mu.Lock()
	defer r.peer.in.mu.Unlock()
	return r.peer.in.closed
}
