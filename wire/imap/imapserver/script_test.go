package imapserver

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"

	"github.com/mohar-mail/mohar/base/clock"
	"github.com/mohar-mail/mohar/wire/imap"
)

var update = flag.Bool("update", false, "rewrite the transcripts in testdata")

// TestScripts runs the transcripts in testdata: lines that begin with "1> " are
// sent by connection 1, what the server says stands below as "1< ". A line that
// begins with "#" is a comment; "! " is a directive of runDirective. \r\n is put
// after every line; "~" at the end of a sent line takes that away.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no transcripts", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txtar"), func(t *testing.T) {
			t.Parallel()
			ar, err := txtar.ParseFile(f)
			if err != nil {
				t.Fatal(err)
			}
			changed := false
			for i := range ar.Files {
				if !strings.HasPrefix(ar.Files[i].Name, "script") {
					continue
				}
				got := runScript(t, string(ar.Files[i].Data), ar)
				if got != string(ar.Files[i].Data) {
					changed = true
					if !*update {
						t.Errorf("%s differs; got:\n%s", ar.Files[i].Name, got)
					}
					ar.Files[i].Data = []byte(got)
				}
			}
			if changed && *update {
				if err := os.WriteFile(f, txtar.Format(ar), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

type script struct {
	t     *testing.T
	acc   *memAccount
	srv   *Server
	ln    net.Listener
	clock *clock.Fake
	conns map[string]*peer
	ar    *txtar.Archive
	out   strings.Builder
}

type peer struct {
	nc      net.Conn
	br      *bufio.Reader
	literal bool // the last line announced a literal
}

func runScript(t *testing.T, text string, ar *txtar.Archive) string {
	t.Helper()
	acc := newMemAccount()
	ck := clock.NewFake(acc.now)
	cfg := Config{Login: memLogin(acc), AllowInsecureAuth: true, Name: "test", Version: "1", Clock: ck, MaxMessage: 1 << 20}
	if strings.Contains(text, "! secure") {
		cfg.AllowInsecureAuth, cfg.TLS = false, serverTLS(t)
	}
	srv := New(cfg)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(context.Background(), ln) }()
	defer func() { srv.Close(); <-done }()
	s := &script{t: t, acc: acc, srv: srv, ln: ln, clock: ck, conns: map[string]*peer{}, ar: ar}
	for _, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		switch {
		case len(line) > 2 && line[1:3] == "< ", len(line) == 2 && line[1] == '<':
			continue // written anew
		case strings.HasPrefix(line, "! "):
			fmt.Fprintln(&s.out, line)
			s.directive(strings.Fields(line[2:]))
		case len(line) > 2 && line[1:3] == "> ":
			fmt.Fprintln(&s.out, line)
			s.send(line[:1], line[3:])
		default:
			fmt.Fprintln(&s.out, line)
		}
	}
	for _, p := range s.conns {
		p.nc.Close()
	}
	return s.out.String()
}

func (s *script) peer(id string) *peer {
	p := s.conns[id]
	if p == nil {
		nc, err := net.Dial("tcp", s.ln.Addr().String())
		if err != nil {
			s.t.Fatal(err)
		}
		_ = nc.SetDeadline(time.Now().Add(5 * time.Second))
		p = &peer{nc: nc, br: bufio.NewReader(nc)}
		s.conns[id] = p
		s.line(id, p)
	}
	return p
}

// line reads one answer line, with the literals in it, and records it.
func (s *script) line(id string, p *peer) string {
	var full strings.Builder
	for {
		l, err := p.br.ReadString('\n')
		full.WriteString(l)
		if err != nil {
			if isTimeout(err) {
				s.t.Errorf("connection %s: no answer in time", id)
			}
			fmt.Fprintf(&s.out, "%s< (closed)\n", id)
			return ""
		}
		l = strings.TrimSuffix(l, "\r\n")
		i := strings.LastIndexByte(l, '{')
		if !strings.HasSuffix(l, "}") || i < 0 {
			break
		}
		n, err := strconv.Atoi(l[i+1 : len(l)-1])
		if err != nil {
			break
		}
		lit := make([]byte, n)
		if _, err := io.ReadFull(p.br, lit); err != nil {
			s.t.Fatal(err)
		}
		full.Write(lit)
	}
	text := strings.TrimSuffix(full.String(), "\r\n")
	for _, l := range strings.Split(text, "\n") {
		fmt.Fprintf(&s.out, "%s< %s\n", id, strings.TrimSuffix(l, "\r"))
	}
	return text
}

// send sends a line and reads until a tagged answer or a continuation. A line
// that begins with "..." is sent without waiting (pipelining, literals).
func (s *script) send(id, text string) {
	p := s.peer(id)
	wait := true
	if t, ok := strings.CutPrefix(text, "..."); ok {
		text, wait = t, false
	}
	raw := strings.ReplaceAll(text, `\x00`, "\x00") + "\r\n"
	if t, ok := strings.CutSuffix(text, "~"); ok {
		raw = t
	}
	if _, err := io.WriteString(p.nc, raw); err != nil {
		fmt.Fprintf(&s.out, "%s< (closed)\n", id)
		return
	}
	inLiteral := p.literal
	p.literal = strings.HasSuffix(text, "}")
	if !wait || strings.HasSuffix(text, "+}") {
		return
	}
	// A plain command ends with its own tag; literals and SASL with any line that
	// is not untagged.
	tag, rest, _ := strings.Cut(text, " ")
	first, _, _ := strings.Cut(rest, " ")
	if inLiteral || first == "" || first != strings.ToUpper(first) || first == "IDLE" || first == "AUTHENTICATE" || strings.HasSuffix(text, "}") {
		tag = ""
	}
	s.until(id, p, tag)
}

func (s *script) until(id string, p *peer, tag string) {
	for {
		l := s.line(id, p)
		if l == "" || strings.HasPrefix(l, tag+" ") || (tag == "" && !strings.HasPrefix(l, "* ")) {
			return
		}
	}
}

// directive does what happens outside the connection.
func (s *script) directive(f []string) {
	switch f[0] {
	case "secure":
	case "deliver": // deliver MAILBOX FILE [flag...]
		name, file, flags := f[1], f[2], f[3:]
		fl, err := imap.NewParser([]byte("(" + strings.Join(flags, " ") + ")")).FlagList()
		if err != nil {
			s.t.Fatal(err)
		}
		s.acc.add(name, s.file(file), fl)
	case "expect": // expect CONN TAG: read until that tagged line
		s.until(f[1], s.peer(f[1]), f[2])
	case "line": // line CONN: read one line
		s.line(f[1], s.peer(f[1]))
	case "idle": // idle CONN: until the server waits in IDLE
		for {
			if _, n := s.srv.Sessions(); n > 0 {
				return
			}
			time.Sleep(time.Millisecond)
		}
	case "keepalive": // keepalive CONN: move the server's clock until it says something
		stop := make(chan struct{})
		go func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(time.Millisecond):
					s.clock.Advance(time.Minute)
				}
			}
		}()
		s.line(f[1], s.peer(f[1]))
		close(stop)
	case "refuse":
		s.acc.refuse = f[1]
	case "limit":
		n, _ := strconv.ParseInt(f[1], 10, 64)
		s.acc.limit = n
	case "drain":
		go func() { _ = s.srv.Drain(context.Background()) }()
	default:
		s.t.Fatalf("unknown directive %q", f[0])
	}
}

func (s *script) file(name string) string {
	for _, f := range s.ar.Files {
		if f.Name == name {
			return string(bytes.ReplaceAll(f.Data, []byte("\n"), []byte("\r\n")))
		}
	}
	s.t.Fatalf("no file %q", name)
	return ""
}
