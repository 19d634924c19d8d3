package smtpclient

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/wire/sasl"
)

// peer plays a script against a client: "S: x" says a line, "C: x" expects one,
// "END" hangs up. It gives the first difference.
func peer(t *testing.T, script string) (net.Conn, func() error) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	result := make(chan error, 1)
	go func() {
		nc, err := ln.Accept()
		if err == nil {
			err = play(nc, script)
			_ = nc.Close()
		}
		result <- err
	}()
	nc, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close(); _ = ln.Close() })
	return nc, func() error { return <-result }
}

func play(nc net.Conn, script string) error {
	br := bufio.NewReader(nc)
	for l := range strings.SplitSeq(strings.TrimSpace(script), "\n") {
		l = strings.TrimSpace(l)
		switch {
		case strings.HasPrefix(l, "S: "):
			if _, err := io.WriteString(nc, l[3:]+"\r\n"); err != nil {
				return err
			}
		case strings.HasPrefix(l, "C:"):
			want := strings.TrimPrefix(l[2:], " ") + "\r\n"
			got, err := br.ReadString('\n')
			if err != nil {
				return fmt.Errorf("want %q: %w", want, err)
			}
			if got != want {
				return fmt.Errorf("client said %q, want %q", got, want)
			}
		case l == "END":
			return nil
		}
	}
	if b, err := br.ReadByte(); err == nil {
		rest, _ := br.Peek(br.Buffered())
		return fmt.Errorf("client went on: %q", append([]byte{b}, rest...))
	}
	return nil
}

const hello = "S: 220 peer\nC: EHLO me.example\n"

func envelope(to ...string) *mohar.Envelope {
	e := &mohar.Envelope{From: "a@b.example"}
	for _, t := range to {
		e.To = append(e.To, mohar.Recipient{Address: t})
	}
	return e
}

func outcomes(r *Result) string {
	var s []string
	for _, to := range r.Recipients {
		code := "-"
		if to.Reply != nil {
			code = to.Reply.Error()
		}
		s = append(s, fmt.Sprintf("%s %v %s %s", to.Address, to.Accepted, to.Stage, code))
	}
	return strings.Join(s, "\n")
}

// Whatever the block's borders, no bare CR or LF leaves, and the peer never
// sees an end of data behind a defect.
func TestSmugglingOut(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r.\r\n", "\r\n.\r", "\r.\n", "\r\r\n.\r\r\n", "\x00", "\n", "\r"} {
		for _, pad := range []int{0, blockSize - 2, blockSize - 1, blockSize, blockSize + 1} {
			line := strings.Repeat("a", pad)
			for _, tail := range []string{"", "MAIL FROM:<evil@x>\r\n"} {
				sink := &recorder{}
				c := &Client{raw: sink, nc: sink}
				c.cfg.fill()
				s := &sending{c: c, body: c.newBody(strings.NewReader(line+bad+tail), 0), res: &Result{}}
				err := s.body.next()
				if err == nil {
					err = s.sendDATA()
				}
				if !errors.Is(err, ErrBareNewline) {
					t.Fatalf("%q after %d: %v", bad, pad, err)
				}
				if sink.Len() > 0 && !sink.closed {
					t.Errorf("%q after %d: half a message left the connection open", bad, pad)
				}
				if out := strings.ReplaceAll(sink.String(), "\r\n", ""); strings.ContainsAny(out, "\n\x00") || strings.Contains(out, "evil") {
					t.Errorf("%q after %d: %q left", bad, pad, out[max(0, len(out)-40):])
				}
			}
		}
	}
}

// recorder is a connection that remembers what was written.
type recorder struct {
	net.Conn

	bytes.Buffer
	closed bool
}

func (r *recorder) Write(p []byte) (int, error) { return r.Buffer.Write(p) }
func (r *recorder) Read(p []byte) (int, error)  { return 0, io.EOF }
func (r *recorder) Close() error                { r.closed = true; return nil }
func (r *recorder) SetDeadline(time.Time) error { return nil }

func TestDotStuffing(t *testing.T) {
	t.Parallel()
	in := ".\r\n..\r\n.a.\r\nb.c\r\n\r\n.\r\n"
	want := "..\r\n...\r\n..a.\r\nb.c\r\n\r\n..\r\n"
	for size := 1; size <= len(in); size++ {
		var out []byte
		start := true
		for rest := []byte(in); len(rest) > 0; {
			n := min(size, len(rest))
			out, start = appendStuffed(out, rest[:n], start)
			rest = rest[n:]
		}
		if string(out) != want {
			t.Errorf("blocks of %d: %q", size, out)
		}
	}
}

func TestStartFailures(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, script string
		policy       TLSPolicy
		stage        Stage
		err          error
	}{
		{"greeting refused", "S: 554 no", Opportunistic, StageGreeting, nil},
		{"garbage", "S: SSH-2.0-x", Opportunistic, StageGreeting, nil},
		{"endless greeting", strings.Repeat("S: 220-x\n", 200), Opportunistic, StageGreeting, nil},
		{"long line", "S: 220 " + strings.Repeat("x", 5000), Opportunistic, StageGreeting, nil},
		{"hung up", "END", Opportunistic, StageGreeting, io.ErrUnexpectedEOF},
		{"no STARTTLS", hello + "S: 250 peer", Required, StageTLS, ErrNoTLS},
		{"STARTTLS refused", hello + "S: 250-peer\nS: 250 STARTTLS\nC: STARTTLS\nS: 454 no", Required, StageTLS, nil},
		{"no EHLO under Required", hello + "S: 502 what", Required, StageHello, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			nc, _ := peer(t, c.script)
			_, err := New(t.Context(), nc, "peer.example", Config{LocalName: "me.example", Policy: c.policy})
			var ce *ConnError
			if !errors.As(err, &ce) || ce.Stage != c.stage || c.err != nil && !errors.Is(err, c.err) {
				t.Errorf("%v", err)
			}
		})
	}
}

// Octets in clear behind the reply to STARTTLS are an attack (response injection).
func TestResponseInjection(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	go func() {
		nc, err := ln.Accept()
		if err != nil {
			return
		}
		br := bufio.NewReader(nc)
		_, _ = io.WriteString(nc, "220 peer\r\n")
		_, _ = br.ReadString('\n')
		_, _ = io.WriteString(nc, "250-peer\r\n250 STARTTLS\r\n")
		_, _ = br.ReadString('\n')
		_, _ = io.WriteString(nc, "220 go\r\n250 injected\r\n")
		_, _ = br.ReadString('\n')
	}()
	_, err = Dial(t.Context(), ln.Addr().String(), Config{})
	if !errors.Is(err, ErrInjected) {
		t.Error(err)
	}
}

func TestContextCuts(t *testing.T) {
	t.Parallel()
	nc, _ := peer(t, "S: 220 peer\nC: EHLO localhost\nS: 250 peer\nC: MAIL FROM:<a@b.example>\nC: never")
	cl, err := New(t.Context(), nc, "peer.example", Config{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r := &cancelReader{cancel: cancel}
	_, err = cl.Send(ctx, envelope("c@d.example"), 0, r)
	if !errors.Is(err, context.Canceled) || cl.Usable() {
		t.Error(err)
	}
}

// cancelReader ends the context while the message is on its way.
type cancelReader struct{ cancel context.CancelFunc }

func (r *cancelReader) Read([]byte) (int, error) { r.cancel(); return 0, io.EOF }

func TestAuth(t *testing.T) {
	t.Parallel()
	nc, wait := peer(t, hello+"S: 250-peer\nS: 250 AUTH PLAIN LOGIN\nC: AUTH PLAIN AHUAcA==\nS: 535 5.7.8 no\nC: AUTH LOGIN\nS: 334 VXNlcm5hbWU6\nC: dQ==\nS: 334 UGFzc3dvcmQ6\nC: cA==\nS: 235 2.7.0 ok\nC: QUIT\nS: 221 bye\nEND")
	cl, err := New(t.Context(), nc, "peer.example", Config{LocalName: "me.example"})
	if err != nil {
		t.Fatal(err)
	}
	if err := cl.Auth(t.Context(), sasl.NewPlainClient("", "u", "p")); err == nil || err.Error() != "535 5.7.8 no" {
		t.Error(err)
	}
	if err := cl.Auth(t.Context(), sasl.NewLoginClient("u", "p")); err != nil {
		t.Error(err)
	}
	_ = cl.Quit(t.Context())
	if err := wait(); err != nil {
		t.Error(err)
	}
}

func TestMessageErrorKind(t *testing.T) {
	t.Parallel()
	if k := fault.KindOf(fmt.Errorf("x: %w", ErrUTF8)); k != fault.Unsupported {
		t.Error(k)
	}
}

// dying is a connection that takes no more, but whose last reply can be read.
type dying struct {
	recorder
	say io.Reader
}

func (d *dying) Read(p []byte) (int, error) { return d.say.Read(p) }
func (d *dying) Write([]byte) (int, error)  { return 0, io.ErrClosedPipe }

func TestLastWords(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		say  string
		code int
	}{{"552 5.3.4 too big\r\n", 552}, {"", 0}, {"250 ok\r\n", 0}} {
		nc := &dying{say: strings.NewReader(c.say)}
		cl := &Client{raw: nc, nc: nc, br: bufio.NewReader(nc)}
		cl.cfg.fill()
		s := &sending{c: cl, body: cl.newBody(strings.NewReader(strings.Repeat("a", 3*blockSize)), 0), good: []int{0}, res: &Result{Recipients: make([]Recipient, 1)}}
		if err := s.body.next(); err != nil {
			t.Fatal(err)
		}
		err := s.sendDATA()
		if (c.code != 0) != (err == nil) || c.code != 0 && s.res.Recipients[0].Reply.Code != c.code || cl.Usable() || s.res.Recipients[0].Accepted {
			t.Errorf("%q: %v %+v", c.say, err, s.res.Recipients[0])
		}
	}
}
