package smtpserver

import (
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/mohar-mail/mohar/base/clock"
)

// feed is a connection whose input comes in pieces of a given length and ends.
type feed struct {
	net.Conn
	in    []byte
	piece int
	out   bytes.Buffer
}

func (f *feed) Read(p []byte) (int, error) {
	if len(f.in) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), f.piece)], f.in)
	f.in = f.in[n:]
	return n, nil
}
func (f *feed) Write(p []byte) (int, error)      { return f.out.Write(p) }
func (f *feed) Close() error                     { return nil }
func (f *feed) LocalAddr() net.Addr              { return nil }
func (f *feed) RemoteAddr() net.Addr             { return nil }
func (f *feed) SetDeadline(time.Time) error      { return nil }
func (f *feed) SetReadDeadline(time.Time) error  { return nil }
func (f *feed) SetWriteDeadline(time.Time) error { return nil }

func feedServer(t testing.TB, mode Mode) (*Server, *memBackend) {
	b := &memBackend{auth: true}
	srv, err := New(Config{Hostname: "mx.example", Mode: mode, AllowInsecureAuth: true, AllowUnauthenticated: true, Clock: clock.System{},
		Limits: Limits{MessageSize: 4000, DrainBytes: 8000}}, b)
	if err != nil {
		t.Fatal(err)
	}
	return srv, b
}

// model is the plain reading of RFC 5321 section 4.5.2, octet by octet: where
// the data ends, what it holds, and whether it is clean.
func model(in []byte) (content []byte, rest []byte, clean, ended bool) {
	i := bytes.Index(append([]byte("\r\n"), in...), []byte("\r\n.\r\n"))
	if i < 0 {
		return nil, nil, false, false
	}
	data := in[:i]
	for k := range data {
		if data[k] == '.' && (k == 0 || k >= 2 && data[k-1] == '\n' && data[k-2] == '\r') {
			continue
		}
		content = append(content, data[k])
	}
	pairs := bytes.Count(data, []byte("\r\n"))
	clean = bytes.Count(data, []byte("\r")) == pairs && bytes.Count(data, []byte("\n")) == pairs && bytes.IndexByte(data, 0) < 0
	return content, in[i+3:], clean, true
}

// FuzzData compares the scanner of DATA with the model, whatever the pieces.
func FuzzData(f *testing.F) {
	for _, fake := range fakeEnds {
		f.Add([]byte("a"+fake+"b\r\n.\r\nQUIT\r\n"), uint8(3))
	}
	f.Add([]byte(".\r\n"), uint8(1))
	f.Add([]byte("..\r\n.a\r\n...\r\n.\r\n.\r\n"), uint8(2))
	f.Fuzz(func(t *testing.T, in []byte, piece uint8) {
		srv, _ := feedServer(t, MX)
		nc := &feed{in: in, piece: int(piece) + 1}
		c := newConn(srv, nc, nil)
		defer c.release()
		k := &content{src: &dotSource{pace: c.newPace()}, check: check{maxLine: 1 << 20, maxSize: 1 << 30}}
		got, err := io.ReadAll(k)
		if e := k.drain(1 << 30); e != nil && k.ended {
			t.Fatal("drained and not:", e)
		}
		want, rest, clean, ended := model(in)
		if ended != k.ended {
			t.Fatalf("end found %v, want %v", k.ended, ended)
		}
		if !ended {
			if err == nil {
				t.Fatal("content cut short was given as whole")
			}
			return
		}
		if clean != (err == nil) || clean && !bytes.Equal(got, want) {
			t.Fatalf("clean %v, error %v, content %q, want %q", clean, err, got, want)
		}
		if left := append(append([]byte(nil), c.buf[c.r:c.w]...), nc.in...); !bytes.Equal(left, rest) {
			t.Fatalf("after the end %q, want %q", left, rest)
		}
	})
}

// FuzzSession talks anything to the server: it ends, every line of its answers
// is a reply, and what it took is clean.
func FuzzSession(f *testing.F) {
	hello := "EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n"
	f.Add([]byte(hello+"DATA\r\nx\r\n.\r\nQUIT\r\n"), uint8(0), uint8(255))
	f.Add([]byte(hello+"BDAT 3\r\na\r\nNOOP\r\nBDAT 2 LAST\r\n\r\n"), uint8(1), uint8(1))
	f.Add([]byte("LHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<lmtp-full@d>\r\nBDAT 0 LAST\r\n"), uint8(2), uint8(7))
	f.Add([]byte("EHLO c\r\nAUTH PLAIN\r\nAHUxAHNlY3JldA==\r\nAUTH LOGIN dTE=\r\n*\r\n"), uint8(1), uint8(5))
	f.Add([]byte("STARTTLS\r\nVRFY\r\nHELP\r\nEXPN\r\n\nx\r\n"), uint8(0), uint8(9))
	f.Fuzz(func(t *testing.T, in []byte, mode, piece uint8) {
		srv, b := feedServer(t, Mode(mode%3))
		nc := &feed{in: in, piece: int(piece) + 1}
		srv.ServeConn(context.Background(), nc)
		for l := range strings.Lines(nc.out.String()) {
			if len(l) < 6 || l[0] < '2' || l[0] > '5' || l[3] != ' ' && l[3] != '-' || !strings.HasSuffix(l, "\r\n") || len(l) > 512 {
				t.Fatalf("line %q", l)
			}
		}
		for _, m := range b.got {
			pairs := strings.Count(m.body, "\r\n")
			if strings.Count(m.body, "\r") != pairs || strings.Count(m.body, "\n") != pairs || strings.Contains(m.body, "\x00") || len(m.env.To) == 0 {
				t.Fatalf("took %q", m.body)
			}
		}
		if b.logouts != 1 {
			t.Fatalf("%d logouts", b.logouts)
		}
	})
}
