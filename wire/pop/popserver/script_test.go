package popserver

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "rewrite the transcripts in testdata")

// modes are the ways by which each transcript is played.
const (
	modePlain = "plain" // passwords in clear text are allowed
	modeSTLS  = "stls"  // every connection begins with STLS
	modeTLS   = "tls"   // TLS from the first octet
)

// TestScripts plays the transcripts in testdata: lines that begin with "1> " are
// sent by connection 1, what the server says stands below as "1< ". Files named
// "mail..." are the maildrop. "! " is a directive, "# " a comment; a sent line
// that begins with "..." does not wait for an answer. A script is played in
// all modes, unless it names one with "! mode"; the answers must be the same.
func TestScripts(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no transcripts", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txtar"), func(t *testing.T) {
			t.Parallel()
			playFile(t, f)
		})
	}
}

func playFile(t *testing.T, f string) {
	ar, err := txtar.ParseFile(f)
	if err != nil {
		t.Fatal(err)
	}
	changed := false
	for i := range ar.Files {
		if !strings.HasPrefix(ar.Files[i].Name, "script") {
			continue
		}
		modes := []string{modePlain, modeSTLS, modeTLS}
		if _, rest, ok := strings.Cut(string(ar.Files[i].Data), "! mode "); ok {
			modes = strings.Fields(rest)[:1]
		}
		for _, mode := range modes {
			got := play(t, string(ar.Files[i].Data), mode, ar)
			if got == string(ar.Files[i].Data) {
				continue
			}
			if !*update || mode != modes[0] {
				t.Errorf("%s in mode %s differs; got:\n%s", ar.Files[i].Name, mode, got)
				continue
			}
			changed, ar.Files[i].Data = true, []byte(got)
		}
	}
	if changed {
		if err := os.WriteFile(f, txtar.Format(ar), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

type script struct {
	t     *testing.T
	mode  string
	drop  *memDrop
	addr  string
	conns map[string]*peer
	out   strings.Builder
}

type peer struct {
	nc net.Conn
	br *bufio.Reader
}

func play(t *testing.T, text, mode string, ar *txtar.Archive) string {
	t.Helper()
	s := &script{t: t, mode: mode, drop: newMemDrop(), conns: map[string]*peer{}}
	for _, f := range ar.Files {
		if strings.HasPrefix(f.Name, "mail") {
			s.drop.add(strings.ReplaceAll(string(f.Data), "\n", "\r\n"))
		}
	}
	cfg := Config{Login: s.drop.login, Name: "test", TLS: serverTLS(t), Implicit: mode == modeTLS, AllowInsecureAuth: mode == modePlain}
	if strings.Contains(text, "! clear-text only") {
		cfg.TLS = nil
	}
	_, s.addr = serve(t, cfg)
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case len(line) > 1 && line[1] == '<':
			continue // written anew
		case len(line) > 2 && line[1:3] == "> ":
			s.peer(line[:1]) // the greeting stands above the first command
			fmt.Fprintln(&s.out, line)
			s.send(line[:1], line[3:])
		default:
			fmt.Fprintln(&s.out, line)
			if d, ok := strings.CutPrefix(line, "! "); ok {
				s.directive(strings.Fields(d))
			}
		}
	}
	for _, p := range s.conns {
		p.nc.Close()
	}
	return s.out.String()
}

// peer gives a connection, made and brought to TLS on first use.
func (s *script) peer(id string) *peer {
	if p := s.conns[id]; p != nil {
		return p
	}
	nc, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	_ = nc.SetDeadline(time.Now().Add(10 * time.Second))
	p := &peer{nc: nc, br: bufio.NewReader(nc)}
	s.conns[id] = p
	if s.mode == modeTLS {
		p.secure()
	}
	greeting := p.line()
	if s.mode == modeSTLS {
		_, _ = io.WriteString(p.nc, "STLS\r\n")
		if l := p.line(); !strings.HasPrefix(l, "+OK") {
			s.t.Fatalf("STLS: %q", l)
		}
		p.secure()
	}
	fmt.Fprintf(&s.out, "%s< %s\n", id, greeting)
	return p
}

func (p *peer) secure() {
	p.nc = tls.Client(p.nc, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // the test's own certificate
	p.br = bufio.NewReader(p.nc)
}

func (p *peer) line() string {
	l, err := p.br.ReadString('\n')
	if err != nil {
		return "(closed)"
	}
	return strings.TrimSuffix(l, "\r\n")
}

func (s *script) record(id, line string) { fmt.Fprintf(&s.out, "%s< %s\n", id, line) }

// send sends a line and reads its answer, of many lines where the command has
// such.
func (s *script) send(id, text string) {
	p := s.peer(id)
	cmd, wait := strings.CutPrefix(text, "...")
	if _, err := io.WriteString(p.nc, cmd+"\r\n"); err != nil {
		s.record(id, "(closed)")
		return
	}
	if !wait {
		s.answer(id, p, cmd)
	}
}

func (s *script) answer(id string, p *peer, cmd string) {
	l := p.line()
	s.record(id, l)
	f := strings.Fields(strings.ToUpper(cmd))
	if !strings.HasPrefix(l, "+OK") || len(f) == 0 {
		return
	}
	switch f[0] {
	case "CAPA", "RETR", "TOP":
	case "LIST", "UIDL", "AUTH":
		if len(f) > 1 {
			return
		}
	default:
		return
	}
	for l != "." && l != "(closed)" {
		l = p.line()
		s.record(id, l)
	}
}

// directive does what happens outside the connection.
func (s *script) directive(f []string) {
	switch f[0] {
	case "mode", "clear-text":
	case "expect": // expect CONN [COMMAND]: the answer to a command sent without waiting
		s.answer(f[1], s.peer(f[1]), strings.Join(f[2:], " "))
	case "deliver":
		s.drop.add("Subject: new\r\n\r\n")
	case "fail": // fail WHAT HOW; "none" ends it
		s.drop.mu.Lock()
		s.drop.fail[f[1]] = failures[f[2]]
		s.drop.mu.Unlock()
	case "left": // left N: so many messages remain
		if n := s.drop.left(); fmt.Sprint(n) != f[1] {
			s.t.Errorf("%d messages remain, want %s", n, f[1])
		}
	case "drop": // drop CONN: the client is gone without QUIT
		s.conns[f[1]].nc.Close()
		delete(s.conns, f[1])
	default:
		s.t.Fatalf("unknown directive %q", f[0])
	}
}

// serve starts a Server for the length of a test.
func serve(t testing.TB, cfg Config) (*Server, string) {
	t.Helper()
	srv := New(cfg)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(context.Background(), ln) }()
	t.Cleanup(func() { srv.Close(); <-done })
	return srv, ln.Addr().String()
}

// commandsOf gives what a transcript sends, for seeds.
func commandsOf(data []byte) []byte {
	var b bytes.Buffer
	for _, f := range txtar.Parse(data).Files {
		for line := range bytes.Lines(f.Data) {
			if len(line) > 3 && string(line[1:3]) == "> " {
				b.Write(bytes.TrimSuffix(bytes.TrimPrefix(line[3:], []byte("...")), []byte("\n")))
				b.WriteString("\r\n")
			}
		}
	}
	return b.Bytes()
}
