package popserver

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/wire/pop"
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
	r := &raw{t, nc, bufio.NewReader(nc)}
	r.want("+OK")
	return r
}

func (r *raw) send(s string) {
	r.Helper()
	if _, err := io.WriteString(r.nc, s); err != nil {
		r.Fatal(err)
	}
}

func (r *raw) want(prefix string) string {
	r.Helper()
	l, err := r.br.ReadString('\n')
	if err != nil || !strings.HasPrefix(l, prefix) {
		r.Fatalf("%q %v, want %q", l, err, prefix)
	}
	return strings.TrimRight(l, "\r\n")
}

// closed reads to the end of the connection and gives what came.
func (r *raw) closed() string {
	r.Helper()
	rest, err := io.ReadAll(r.br)
	if err != nil && isTimeout(err) {
		r.Fatalf("still open after %q", rest)
	}
	return string(rest)
}

func isTimeout(err error) bool {
	ne, ok := err.(net.Error) //nolint:errorlint // straight from the connection
	return ok && ne.Timeout()
}

func (r *raw) login() {
	r.Helper()
	r.send("USER asha\r\nPASS s p\r\n")
	r.want("+OK")
	r.want("+OK")
}

// TestSTLSInjection: commands that came in clear text behind STLS, and a name
// from before it, are not obeyed after it.
func TestSTLSInjection(t *testing.T) {
	t.Parallel()
	d := newMemDrop("a: b\r\n\r\n")
	_, addr := serve(t, Config{Login: d.login, TLS: serverTLS(t), AllowInsecureAuth: true})
	r := dial(t, addr)
	r.send("USER asha\r\n")
	r.want("+OK")
	r.send("STLS\r\nUSER asha\r\nPASS s p\r\n")
	r.want("+OK")
	tc := tls.Client(r.nc, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // the test's own certificate
	if err := tc.Handshake(); err == nil {
		s := &raw{t, tc, bufio.NewReader(tc)}
		s.send("PASS s p\r\nNOOP\r\n")
		s.want("-ERR USER comes first")
		s.want("-ERR Sign in first")
	}
	if len(d.logins) > 0 {
		t.Errorf("signed in by what was injected: %q", d.logins)
	}
}

// TestSTLSForgetsUser: RFC 2595 section 4, what the client said before TLS is
// forgotten.
func TestSTLSForgetsUser(t *testing.T) {
	t.Parallel()
	d := newMemDrop()
	_, addr := serve(t, Config{Login: d.login, TLS: serverTLS(t), AllowInsecureAuth: true})
	r := dial(t, addr)
	r.send("USER asha\r\n")
	r.want("+OK")
	r.send("STLS\r\n")
	r.want("+OK")
	tc := tls.Client(r.nc, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // the test's own certificate
	s := &raw{t, tc, bufio.NewReader(tc)}
	s.send("PASS s p\r\n")
	s.want("-ERR USER comes first")
	s.login()
	if fmt.Sprint(d.logins) != "[asha tls]" {
		t.Errorf("sign-ins: %q", d.logins)
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	d := newMemDrop()
	_, addr := serve(t, Config{Login: d.login, AllowInsecureAuth: true})
	t.Run("failures", func(t *testing.T) {
		r := dial(t, addr)
		for range maxAuthFailures {
			r.send("USER asha\r\nPASS wrong\r\n")
			r.want("+OK")
			r.want("-ERR [AUTH]")
		}
		if rest := r.closed(); rest != "" {
			t.Errorf("after the last failure: %q", rest)
		}
	})
	t.Run("bad commands", func(t *testing.T) {
		r := dial(t, addr)
		r.send(strings.Repeat("GET / HTTP/1.1\r\n", maxBadBeforeLogin+5))
		if n := strings.Count(r.closed(), "-ERR"); n != maxBadBeforeLogin {
			t.Errorf("%d answers, want %d", n, maxBadBeforeLogin)
		}
	})
	t.Run("bad commands after login", func(t *testing.T) {
		r := dial(t, addr)
		r.login()
		r.send(strings.Repeat("X\r\n", maxBadCommands-1) + "NOOP\r\n" + strings.Repeat("X\r\n", maxBadCommands+5))
		if n := strings.Count(r.closed(), "-ERR"); n != 2*maxBadCommands-1 {
			t.Errorf("%d refusals, want %d", n, 2*maxBadCommands-1)
		}
	})
	t.Run("long line", func(t *testing.T) {
		r := dial(t, addr)
		r.send("USER " + strings.Repeat("x", 20<<10) + "\r\nCAPA\r\n")
		r.want("-ERR The line is too long")
		r.want("+OK")
	})
	t.Run("endless line", func(t *testing.T) {
		r := dial(t, addr)
		r.send(strings.Repeat("x", pop.MaxDiscard+3*readBuffer))
		if rest := r.closed(); rest != "" {
			t.Errorf("%q", rest)
		}
	})
	t.Run("a long response", func(t *testing.T) {
		r := dial(t, addr)
		r.send("AUTH PLAIN\r\n")
		r.want("+ ")
		r.send(strings.Repeat("A", maxResponse+1) + "\r\nCAPA\r\n")
		r.want("-ERR")
		r.want("+OK")
	})
}

// TestSilence: whoever says nothing is closed without a word, and nothing that
// was marked is deleted (RFC 1939 section 3).
func TestSilence(t *testing.T) {
	t.Parallel()
	d := newMemDrop("a: b\r\n\r\n")
	const short = 50 * time.Millisecond
	_, addr := serve(t, Config{Login: d.login, AllowInsecureAuth: true, IdleTimeout: short, LoginTimeout: time.Minute})
	r := dial(t, addr)
	r.login()
	r.send("DELE 1\r\n")
	r.want("+OK")
	if rest := r.closed(); rest != "" {
		t.Errorf("at the end: %q", rest)
	}
	if d.left() != 1 {
		t.Error("a silent session has deleted mail")
	}
	_, addr = serve(t, Config{Login: d.login, AllowInsecureAuth: true, LoginTimeout: short})
	r = dial(t, addr)
	for { // busy, but never signed in
		_, err := io.WriteString(r.nc, "CAPA\r\n")
		if err == nil {
			_, err = r.br.ReadString('\n')
		}
		if err != nil {
			if isTimeout(err) {
				t.Error("a client may stay without signing in")
			}
			break
		}
	}
}

func TestConnections(t *testing.T) {
	t.Parallel()
	d := newMemDrop("a: b\r\n\r\n")
	srv, addr := serve(t, Config{Login: d.login, AllowInsecureAuth: true, MaxPerAccount: 2, MaxPerRemote: 2})
	first := dial(t, addr)
	first.login()
	first.send("DELE 1\r\n")
	first.want("+OK")
	srv.mu.Lock()
	for c := range srv.conns {
		c.lastActive.Store(1) // the longest silent one, whatever the clock says
	}
	srv.mu.Unlock()
	second, third := dial(t, addr), dial(t, addr)
	second.login()
	third.login()
	if rest := first.closed(); rest != "" || d.left() != 1 {
		t.Errorf("the oldest session ends with %q, %d messages remain", rest, d.left())
	}
	second.send("NOOP\r\n")
	second.want("+OK")
	if n := srv.Disconnect("asha"); n != 2 {
		t.Errorf("%d sessions ended, want 2", n)
	}
	second.closed()
	third.closed()

	dial(t, addr)
	dial(t, addr)
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if got, _ := io.ReadAll(nc); string(got) != "-ERR [SYS/TEMP] Too many connections\r\n" {
		t.Errorf("one too many from one address: %q", got)
	}
}

// gate is a body that stops in the middle until it is let go.
type gate struct {
	memSession
	begun, goOn chan struct{}
}

func (g *gate) Body(context.Context, uint32) (io.Reader, error) {
	close(g.begun)
	<-g.goOn
	return strings.NewReader("a: b\r\n\r\nwhole\r\n"), nil
}

func TestDrain(t *testing.T) {
	t.Parallel()
	d := newMemDrop("a: b\r\n\r\nwhole\r\n")
	g := &gate{memSession{d}, make(chan struct{}), make(chan struct{})}
	first := true
	var mu sync.Mutex
	srv, addr := serve(t, Config{AllowInsecureAuth: true, Login: func(ctx context.Context, c ConnInfo, z, u, p string) (Session, error) {
		mu.Lock()
		defer mu.Unlock()
		if first {
			first = false
			d.open++
			return g, nil
		}
		return d.login(ctx, c, z, u, p)
	}})
	busy := dial(t, addr)
	busy.login()
	idle := dial(t, addr)
	idle.login()
	busy.send("DELE 1\r\nRSET\r\nRETR 1\r\nQUIT\r\n")
	<-g.begun
	done := make(chan error)
	go func() { done <- srv.Drain(context.Background()) }()
	if rest := idle.closed(); rest != "" {
		t.Errorf("an idle session ends with %q", rest)
	}
	if nc, err := net.Dial("tcp", addr); err == nil {
		if got, _ := io.ReadAll(nc); len(got) > 0 {
			t.Errorf("a new connection is greeted: %q", got)
		}
		nc.Close()
	}
	close(g.goOn)
	if err := <-done; err != nil {
		t.Errorf("drain: %v", err)
	}
	if got := busy.closed(); !strings.HasSuffix(got, "a: b\r\n\r\nwhole\r\n.\r\n") {
		t.Errorf("a command under way ends with %q", got)
	}
	if d.open != 0 {
		t.Errorf("%d sessions are open", d.open)
	}
	if err := srv.Serve(context.Background(), &net.TCPListener{}); !ErrServerClosed(err) {
		t.Errorf("serving after drain: %v", err)
	}
}

// endless is a message of a length, made as it is read.
type endless struct{ left int64 }

func (e *endless) Read(p []byte) (int, error) {
	if e.left == 0 {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), e.left))
	for i := range p[:n] {
		p[i] = 'x'
		if i%80 == 79 {
			p[i] = '\n'
		}
	}
	e.left -= int64(n)
	return n, nil
}

type largeSession struct {
	memSession
	fail error
}

const largeSize = 64 << 20

func (s *largeSession) Maildrop(context.Context, int) (Maildrop, error) {
	return Maildrop{Messages: []Message{{UID: 1, Size: largeSize}}}, nil
}

func (s *largeSession) Body(context.Context, uint32) (io.Reader, error) {
	body := io.Reader(&endless{largeSize})
	if s.fail != nil {
		body = io.MultiReader(io.LimitReader(body, 1<<20), failing{s.fail})
	}
	return body, nil
}

// TestLarge: a large message is sent in memory of a fixed size, and one that
// cannot be read to its end is cut off, never ended.
func TestLarge(t *testing.T) {
	d := newMemDrop()
	var fail error
	_, addr := serve(t, Config{AllowInsecureAuth: true, Login: func(context.Context, ConnInfo, string, string, string) (Session, error) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.open++
		return &largeSession{memSession{d}, fail}, nil
	}})
	r := dial(t, addr)
	_ = r.nc.SetDeadline(time.Now().Add(time.Minute))
	r.login()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r.send("RETR 1\r\n")
	r.want("+OK")
	lines := 0
	for {
		l, err := r.br.ReadSlice('\n')
		if err != nil {
			t.Fatal(err)
		}
		if string(l) == ".\r\n" {
			break
		}
		lines++
	}
	runtime.ReadMemStats(&after)
	if lines < largeSize/82 {
		t.Errorf("%d lines", lines)
	}
	if n := after.TotalAlloc - before.TotalAlloc; n > largeSize/8 {
		t.Errorf("%d octets were allocated for a message of %d", n, largeSize)
	}
	r.send("QUIT\r\n")
	r.want("+OK")

	d.mu.Lock()
	fail = fault.New(fault.Corrupt, "mem", "The message is damaged.")
	d.mu.Unlock()
	r = dial(t, addr)
	r.login()
	r.send("RETR 1\r\nNOOP\r\n")
	r.want("+OK")
	if rest := r.closed(); strings.Contains(rest, "\r\n.\r\n") || strings.Contains(rest, "+OK") {
		t.Error("a damaged message was called whole")
	}
}

// TestStalledReader: a client that does not read what it asked for holds its
// connection no longer than the write timeout.
func TestStalledReader(t *testing.T) {
	t.Parallel()
	d := newMemDrop()
	srv, addr := serve(t, Config{AllowInsecureAuth: true, WriteTimeout: 50 * time.Millisecond, Login: func(context.Context, ConnInfo, string, string, string) (Session, error) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.open++
		return &largeSession{memSession{d}, nil}, nil
	}})
	r := dial(t, addr)
	r.login()
	r.send("RETR 1\r\n")
	r.want("+OK")
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := srv.Drain(ctx); err != nil {
		t.Errorf("the connection is still held: %v", err)
	}
}

func TestNewestMessages(t *testing.T) {
	t.Parallel()
	d := newMemDrop("a: 1\r\n\r\n", "a: 2\r\n\r\n", "a: 3\r\n\r\n")
	_, addr := serve(t, Config{Login: d.login, AllowInsecureAuth: true, MaxMessages: 2})
	r := dial(t, addr)
	r.login()
	r.send("UIDL\r\n")
	for _, want := range []string{"+OK 2 messages", "1 7.2", "2 7.3", "."} {
		r.want(want)
	}
}
