package smtpserver

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"

	mohar "github.com/mohar-mail/mohar"
)

type nullBackend struct{}

func (nullBackend) NewSession(context.Context, *Conn) (Session, error) { return nullSession{}, nil }

type nullSession struct{}

func (nullSession) Mail(context.Context, string, *MailOptions) error { return nil }
func (nullSession) Rcpt(context.Context, mohar.Recipient) error      { return nil }
func (nullSession) Data(_ context.Context, _ *mohar.Envelope, r io.Reader) (Accepted, error) {
	_, err := io.Copy(onlyWriter{}, r)
	return Accepted{}, err
}
func (nullSession) Reset()  {}
func (nullSession) Logout() {}

type onlyWriter struct{}

func (onlyWriter) Write(p []byte) (int, error) { return len(p), nil }

// BenchmarkServer sends messages of 10 KB over 64 connections on loopback; an
// operation is one message. "steps" waits for each reply, "pipelined" sends
// the envelope at once, "bdat" all at once.
func BenchmarkServer(b *testing.B) {
	body := strings.Repeat(strings.Repeat("x", 76)+"\r\n", 10240/78)
	env := "MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n"
	for _, way := range []struct {
		name  string
		sends []string
		lines []int // replies after each
	}{
		{"steps", []string{"MAIL FROM:<a@b.example>\r\n", "RCPT TO:<c@d.example>\r\n", "DATA\r\n", body + ".\r\n"}, []int{1, 1, 1, 1}},
		{"pipelined", []string{env + "DATA\r\n", body + ".\r\n"}, []int{3, 1}},
		{"bdat", []string{env + fmt.Sprintf("BDAT %d LAST\r\n", len(body)) + body}, []int{3}},
	} {
		b.Run(way.name, func(b *testing.B) { benchWay(b, way.sends, way.lines) })
	}
}

func benchWay(b *testing.B, sends []string, lines []int) {
	const conns = 64
	srv, err := New(Config{Hostname: "mx.example", Limits: Limits{PerNetwork: -1}}, nullBackend{})
	if err != nil {
		b.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	go func() { _ = srv.Serve(context.Background(), ln) }()
	defer srv.Close()
	var cs [conns]net.Conn
	var rs [conns]*bufio.Reader
	for i := range cs {
		if cs[i], err = net.Dial("tcp", ln.Addr().String()); err != nil {
			b.Fatal(err)
		}
		defer func() { _ = cs[i].Close() }()
		rs[i] = bufio.NewReader(cs[i])
		_, _ = rs[i].ReadSlice('\n')
		_, _ = io.WriteString(cs[i], "HELO c\r\n")
		_, _ = rs[i].ReadSlice('\n')
	}
	b.ReportAllocs()
	b.ResetTimer()
	var wg sync.WaitGroup
	for i := range cs {
		n := b.N / conns
		if i < b.N%conns {
			n++
		}
		wg.Go(func() {
			for range n {
				for k, s := range sends {
					_, _ = io.WriteString(cs[i], s)
					for range lines[k] {
						l, err := rs[i].ReadSlice('\n')
						if err != nil || l[0] != '2' && l[0] != '3' {
							b.Errorf("%q %v", l, err)
							return
						}
					}
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
}

// BenchmarkContent measures the scan of DATA alone.
func BenchmarkContent(b *testing.B) {
	body := strings.Repeat(strings.Repeat("x", 76)+"\r\n", 10240/78) + ".\r\n"
	srv, err := New(Config{Hostname: "x"}, nullBackend{})
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	near, far := net.Pipe()
	defer func() { _, _ = near.Close(), far.Close() }()
	c := newConn(srv, near, nil)
	c.buf = make([]byte, len(body))
	for b.Loop() {
		c.r, c.w = 0, copy(c.buf, body)
		k := c.newContent(&dotSource{pace: pace{c: c}})
		if _, err := k.WriteTo(onlyWriter{}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkIdle reports the memory of one connection that has said EHLO, sent a
// message and now waits. The client's end is in the figure.
func BenchmarkIdle(b *testing.B) {
	const conns = 1000
	srv, err := New(Config{Hostname: "mx.example", Limits: Limits{PerNetwork: -1}}, nullBackend{})
	if err != nil {
		b.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	go func() { _ = srv.Serve(context.Background(), ln) }()
	defer srv.Close()
	memory := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapInuse + m.StackInuse
	}
	cs := make([]net.Conn, 0, conns)
	defer func() {
		for _, c := range cs {
			_ = c.Close()
		}
	}()
	msg := []byte("EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n" + strings.Repeat("x\r\n", 1000) + ".\r\n")
	buf := make([]byte, 4096)
	before := memory()
	for range conns {
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		cs = append(cs, c)
		_, _ = c.Write(msg)
		for seen := ""; !strings.Contains(seen, "354 ") || !strings.HasSuffix(seen, "250 2.0.0 OK\r\n"); {
			n, err := c.Read(buf)
			if err != nil {
				b.Fatal(err)
			}
			seen += string(buf[:n])
		}
	}
	after := memory()
	for b.Loop() {
		runtime.KeepAlive(cs)
	}
	b.ReportMetric(float64(after-before)/conns, "B/conn")
}
