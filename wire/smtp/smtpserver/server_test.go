package smtpserver

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/mohar-mail/mohar/base/fault"
)

func TestTimeouts(t *testing.T) {
	t.Parallel()
	open := "EHLO c\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n"
	for _, c := range []struct {
		name string
		run  func(r *rig)
	}{
		{"no command", func(r *rig) { r.read(); r.clk.Advance(DefaultCommand) }},
		{"slow command", func(r *rig) { // octets come, but the line does not end
			r.read()
			for range 4 {
				r.say("N")
				r.clk.Advance(DefaultCommand / 4)
			}
		}},
		{"no content", func(r *rig) { r.say(open); r.clk.Advance(DefaultDataBlock) }},
		{"slow content", func(r *rig) { // each block in time, the whole too slow
			r.say(open)
			for range 6 {
				r.say("x")
				r.clk.Advance(DefaultDataGrace / 6)
			}
		}},
	} {
		r := newRig(t, Config{}, &memBackend{})
		r.read()
		c.run(r)
		<-r.done
		if got := r.read(); got != "421 4.4.2 Timeout, closing\r\n" {
			t.Errorf("%s: %q", c.name, got)
		}
	}
}

// Content that comes at the least rate is not cut, however long it takes.
func TestMinRateHeld(t *testing.T) {
	t.Parallel()
	b := &memBackend{}
	r := newRig(t, Config{}, b)
	r.say("EHLO c\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n")
	block := strings.Repeat(strings.Repeat("x", 62)+"\r\n", 2*60*DefaultMinRate/64)
	for range 12 {
		r.say(block)
		r.clk.Advance(2 * time.Minute)
	}
	if got := r.say(".\r\n"); got != "250 2.0.0 queued\r\n" {
		t.Errorf("%q", got)
	}
}

func TestGreetDelay(t *testing.T) {
	t.Parallel()
	early := newRig(t, Config{GreetDelay: time.Second}, &memBackend{})
	if got := early.say("EHLO bot\r\n"); !strings.HasPrefix(got, "554 ") || !early.hungUp() {
		t.Errorf("%q", got)
	}
	patient := newRig(t, Config{GreetDelay: time.Second}, &memBackend{})
	if got := patient.read(); got != "" {
		t.Errorf("greeted at once: %q", got)
	}
	patient.clk.Advance(time.Second)
	for got := ""; !strings.HasPrefix(got, "220 "); got += patient.read() {
		if patient.hungUp() {
			t.Fatal("hung up")
		}
	}
}

func TestTurnedAway(t *testing.T) {
	t.Parallel()
	for kind, want := range map[fault.Kind]string{fault.Denied: "554 Go away.\r\n", fault.Unavailable: "421 Go away.\r\n"} {
		r := newRig(t, Config{}, &memBackend{refuse: fault.New(kind, "test", "Go away.")})
		if got := r.read(); got != want {
			t.Errorf("%v: %q", kind, got)
		}
	}
}

func TestLineTooLong(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{}, &memBackend{})
	r.read()
	if got := r.say("NOOP " + strings.Repeat("a", 4089) + "\r\n"); got != "250 2.0.0 OK\r\n" {
		t.Errorf("%q", got)
	}
	if got := r.say("NOOP " + strings.Repeat("a", 4090) + "\r\nNOOP\r\n"); got != "500 5.5.2 Line too long\r\n250 2.0.0 OK\r\n" {
		t.Errorf("%q", got)
	}
	if got := r.say("NOOP " + strings.Repeat("a", 20000) + "\r\nNOOP\r\n"); got != "500 5.5.2 Line too long\r\n250 2.0.0 OK\r\n" {
		t.Errorf("%q", got)
	}
	got := ""
	for range 20 {
		got += r.say(strings.Repeat("a", 8000))
	}
	if got != "500 5.5.2 Line too long\r\n421 4.7.0 Too many errors, closing\r\n" || !r.hungUp() {
		t.Errorf("%q", got)
	}
}

func TestCounter(t *testing.T) {
	t.Parallel()
	c := counter{by: map[netip.Prefix]int{}}
	l := &Limits{Connections: 5, PerNetwork: 2}
	take := func(s string) bool { ok, _ := c.take(netip.MustParseAddr(s), l); return ok }
	for i, s := range []struct {
		addr string
		ok   bool
	}{
		{"192.0.2.1", true}, {"192.0.2.200", true}, {"192.0.2.3", false}, {"192.0.3.1", true},
		{"2001:db8::1", true}, {"2001:db8:0:ffff::1", true}, {"2001:db8:1::1", false}, // five in all
	} {
		if take(s.addr) != s.ok {
			t.Errorf("%d %s", i, s.addr)
		}
	}
	c.give(netip.MustParseAddr("192.0.2.99"))
	if !take("192.0.2.77") {
		t.Error("a place given back is not to be had")
	}
	if len(c.by) != 3 {
		t.Errorf("%v", c.by)
	}
}

func serveTCP(t *testing.T, cfg Config, b Backend) (*Server, string, chan error) {
	t.Helper()
	cfg.Hostname = "mx.example"
	srv, err := New(cfg, b)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ret := make(chan error, 1)
	go func() { ret <- srv.Serve(context.Background(), ln) }()
	t.Cleanup(srv.Close)
	return srv, ln.Addr().String(), ret
}

func dialRead(t *testing.T, addr string) (net.Conn, string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c, readSome(t, c)
}

func readSome(t *testing.T, c net.Conn) string {
	t.Helper()
	buf := make([]byte, 4096)
	n, err := c.Read(buf)
	if n == 0 {
		return err.Error()
	}
	return string(buf[:n])
}

func TestConnectionLimit(t *testing.T) {
	t.Parallel()
	_, addr, _ := serveTCP(t, Config{Limits: Limits{PerNetwork: 1}}, &memBackend{})
	if _, got := dialRead(t, addr); !strings.HasPrefix(got, "220 ") {
		t.Fatal(got)
	}
	if _, got := dialRead(t, addr); !strings.HasPrefix(got, "421 4.7.0 Too many connections") {
		t.Fatal(got)
	}
}

// Drain tells an idle client at once, lets a transaction end, and then returns.
func TestDrain(t *testing.T) {
	t.Parallel()
	b := &memBackend{}
	srv, addr, ret := serveTCP(t, Config{}, b)
	idle, _ := dialRead(t, addr)
	busy, _ := dialRead(t, addr)
	for _, s := range []string{"EHLO c\r\n", "MAIL FROM:<a@b>\r\n"} {
		_, _ = busy.Write([]byte(s))
		readSome(t, busy)
	}
	drained := make(chan error, 1)
	go func() { drained <- srv.Drain(context.Background()) }()
	if got := readSome(t, idle); got != "421 4.3.2 Shutting down, try again later\r\n" {
		t.Errorf("idle: %q", got)
	}
	for _, s := range []struct{ say, want string }{
		{"RCPT TO:<c@d>\r\n", "250 2.1.5 Recipient OK\r\n"},
		{"DATA\r\n", "354 Start mail input; end with <CRLF>.<CRLF>\r\n"},
		{"x\r\n.\r\n", "250 2.0.0 queued\r\n421 4.3.2 Shutting down, try again later\r\n"},
	} {
		_, _ = busy.Write([]byte(s.say))
		if got := readSome(t, busy); got != s.want {
			t.Errorf("busy: %q, want %q", got, s.want)
		}
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
	if err := <-ret; err != nil {
		t.Error(err)
	}
	if len(b.got) != 1 || b.logouts != 2 {
		t.Errorf("%d messages, %d logouts", len(b.got), b.logouts)
	}
}

// A drain whose time is over cuts those who still hold a transaction.
func TestDrainCut(t *testing.T) {
	t.Parallel()
	srv, addr, _ := serveTCP(t, Config{}, &memBackend{})
	busy, _ := dialRead(t, addr)
	_, _ = busy.Write([]byte("EHLO c\r\nMAIL FROM:<a@b>\r\n"))
	for got := ""; !strings.Contains(got, "2.1.0"); {
		got += readSome(t, busy)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := srv.Drain(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestServeEndsWithContext(t *testing.T) {
	t.Parallel()
	srv, err := New(Config{Hostname: "mx.example"}, &memBackend{})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ret := make(chan error, 1)
	go func() { ret <- srv.Serve(ctx, ln) }()
	c, _ := dialRead(t, ln.Addr().String())
	cancel()
	if err := <-ret; err != nil {
		t.Error(err)
	}
	if got := readSome(t, c); strings.HasPrefix(got, "250") {
		t.Error(got)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []Config{{}, {Hostname: "x", Implicit: true}} {
		if _, err := New(c, &memBackend{}); !fault.Is(err, fault.Invalid) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// The last word reaches a client that has sent more than was read.
func TestLastWordArrives(t *testing.T) {
	t.Parallel()
	_, addr, _ := serveTCP(t, Config{Limits: Limits{Errors: 1}}, &memBackend{})
	c, _ := dialRead(t, addr)
	if _, err := c.Write([]byte(strings.Repeat("FROB\r\n", 20000))); err != nil {
		t.Fatal(err)
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(c)
	if err != nil || string(got) != "500 5.5.1 Command not recognized\r\n421 4.7.0 Too many errors, closing\r\n" {
		t.Errorf("%q %v", got, err)
	}
}
