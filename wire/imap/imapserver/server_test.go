package imapserver

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/mohar-mail/mohar/wire/imap"
)

// raw is a client that speaks the protocol as it stands.
type raw struct {
	*testing.T
	nc net.Conn
	br *bufio.Reader
}

func dial(t *testing.T, addr string) *raw {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(10 * time.Second))
	return &raw{t, nc, bufio.NewReader(nc)}
}

func (r *raw) send(s string) {
	r.Helper()
	if _, err := io.WriteString(r.nc, s); err != nil {
		r.Fatal(err)
	}
}

// until reads up to the line with the prefix.
func (r *raw) until(prefix string) string {
	r.Helper()
	for {
		l, err := r.br.ReadString('\n')
		if err != nil {
			r.Fatalf("waiting for %q: %v", prefix, err)
		}
		if strings.HasPrefix(l, prefix) {
			return strings.TrimRight(l, "\r\n")
		}
	}
}

// TestStartTLSInjection: a command that came in clear text with STARTTLS is not
// obeyed after it.
func TestStartTLSInjection(t *testing.T) {
	t.Parallel()
	_, addr := serve(t, Config{Login: memLogin(newMemAccount()), TLS: serverTLS(t)})
	r := dial(t, addr)
	r.until("* OK")
	r.send("a STARTTLS\r\nb LOGIN u1 secret\r\n")
	r.until("a OK")
	tc := tls.Client(r.nc, &tls.Config{InsecureSkipVerify: true})
	s := &raw{t, tc, bufio.NewReader(tc)}
	s.send("c CAPABILITY\r\n")
	if l, err := s.br.ReadString('\n'); err != nil || !strings.HasPrefix(l, "* CAPABILITY") || !strings.Contains(l, "AUTH=PLAIN") {
		t.Fatalf("%q %v", l, err)
	}
	s.until("c OK")
	s.send("d SELECT INBOX\r\n")
	s.until("d BAD Sign in first")
	// A tidy LOGOUT ends in close_notify: io.EOF and not an unexpected one (trap 29).
	s.send("e LOGOUT\r\n")
	s.until("e OK")
	if _, err := s.br.ReadByte(); err != io.EOF {
		t.Errorf("after LOGOUT: %v", err)
	}
}

// TestRoom: a client whose dead connections fill the account's share is let in;
// the longest silent one goes (trap 21).
func TestRoom(t *testing.T) {
	t.Parallel()
	srv, addr := serve(t, Config{Login: memLogin(newMemAccount()), AllowInsecureAuth: true, MaxPerAccount: 2})
	var all []*raw
	for range 3 {
		r := dial(t, addr)
		r.send("a LOGIN u1 secret\r\n")
		r.until("a OK")
		all = append(all, r)
		// Activity is counted in seconds: make the first the oldest beyond doubt.
		srv.mu.Lock()
		for c := range srv.conns {
			c.lastActive.Add(-10)
		}
		srv.mu.Unlock()
	}
	all[0].until("* BYE [UNAVAILABLE] Another connection")
	all[1].send("b NOOP\r\n")
	all[1].until("b OK")
	if n := srv.Disconnect("u1"); n != 2 {
		t.Errorf("%d disconnected, want 2", n)
	}
	all[1].until("* BYE")
	all[2].until("* BYE")
}

func TestTooManyConnections(t *testing.T) {
	t.Parallel()
	_, addr := serve(t, Config{Login: memLogin(newMemAccount()), MaxPerRemote: 1})
	dial(t, addr).until("* OK")
	dial(t, addr).until("* BYE [UNAVAILABLE]")
}

func TestTimeouts(t *testing.T) {
	t.Parallel()
	cfg := Config{Login: memLogin(newMemAccount()), AllowInsecureAuth: true, IdleTimeout: 50 * time.Millisecond, CommandTimeout: 50 * time.Millisecond}
	_, addr := serve(t, cfg)
	r := dial(t, addr)
	r.send("a LOGIN u1 secret\r\nb IDLE\r\n")
	r.until("+ idling")
	r.until("* BYE Autologout")
	// A command that is begun and not ended.
	r = dial(t, addr)
	r.send("a LOGIN {10}\r\nabc")
	r.until("* BYE Autologout")
	cfg.LoginTimeout = 50 * time.Millisecond
	_, addr = serve(t, cfg)
	r = dial(t, addr)
	r.until("* OK")
	r.until("* BYE Autologout")
}

// TestDrain: a command in progress ends as it should, then the client is told.
func TestDrain(t *testing.T) {
	t.Parallel()
	acc := newMemAccount()
	srv, addr := serve(t, Config{Login: memLogin(acc), AllowInsecureAuth: true})
	r := dial(t, addr)
	r.send("a LOGIN u1 secret\r\n")
	r.until("a OK")
	r.send("b APPEND INBOX {5}\r\n")
	r.until("+")
	done := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		done <- srv.Drain(ctx)
	}()
	for !srv.draining.Load() {
		time.Sleep(time.Millisecond)
	}
	r.send("hello\r\n")
	r.until("b OK [APPENDUID")
	r.until("* BYE [UNAVAILABLE]")
	if err := <-done; err != nil {
		t.Error(err)
	}
	if m, _ := (memSession{acc, ""}).Status(t.Context(), "INBOX"); m.Messages != 1 {
		t.Error("the message was lost")
	}
}

func TestViewNumbers(t *testing.T) {
	t.Parallel()
	v := newView(imap.SetOf(1, 2, 3, 7, 9, 10))
	v.add(11)
	v.add(20)
	if v.len() != 8 || v.last() != 20 || v.seq(7) != 4 || v.seq(8) != 0 || v.uid(5) != 9 || v.uid(9) != 0 {
		t.Errorf("%+v", v)
	}
	if got := v.toUIDs(imap.SetOf(3, 4, 5, 8)).String(); got != "3,7,9,20" {
		t.Error(got)
	}
	if got := v.toSeqs(imap.SetOf(2, 3, 4, 10, 11, 12, 20)).String(); got != "2:3,6:8" {
		t.Error(got)
	}
	v.remove(imap.SetOf(2, 9, 20))
	if v.len() != 5 || v.seq(10) != 4 || v.uid(2) != 3 {
		t.Errorf("%+v", v)
	}
}
