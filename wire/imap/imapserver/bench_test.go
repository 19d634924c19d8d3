package imapserver

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/mohar-mail/mohar/wire/imap"
)

const benchMessages = 20_000

func benchAccount() *memAccount {
	acc := newMemAccount()
	acc.mu.Lock()
	defer acc.mu.Unlock()
	b, _ := acc.byName("INBOX")
	for i := range benchMessages {
		acc.insert(b, fmt.Appendf(nil, peerMessage+strings.Repeat("text of the message\r\n", 100), i, i, i), imap.Flags{System: imap.Seen, Keywords: []string{"$work"}}, acc.now)
	}
	return acc
}

func benchClient(b *testing.B) (net.Conn, *bufio.Reader) {
	_, addr := serve(b, Config{Login: memLogin(benchAccount()), AllowInsecureAuth: true})
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { nc.Close() })
	br := bufio.NewReaderSize(nc, 1<<20)
	ask(b, nc, br, "a LOGIN u secret")
	ask(b, nc, br, "a SELECT INBOX")
	return nc, br
}

// ask sends a command and reads to its tagged line.
func ask(b *testing.B, nc net.Conn, br *bufio.Reader, cmd string) {
	if _, err := io.WriteString(nc, cmd+"\r\n"); err != nil {
		b.Fatal(err)
	}
	for {
		l, err := br.ReadSlice('\n')
		if err != nil {
			b.Fatal(err)
		}
		if l[0] == 'a' && l[1] == ' ' {
			return
		}
	}
}

func benchFetch(b *testing.B, items string) {
	nc, br := benchClient(b)
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		ask(b, nc, br, "a FETCH 1:* "+items)
	}
	b.ReportMetric(float64(benchMessages)*float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
}

func BenchmarkFetchFlags(b *testing.B)     { benchFetch(b, "(UID FLAGS)") }
func BenchmarkFetchEnvelope(b *testing.B)  { benchFetch(b, "(UID ENVELOPE)") }
func BenchmarkFetchStructure(b *testing.B) { benchFetch(b, "(UID BODYSTRUCTURE)") }

func BenchmarkFetchRandomBody(b *testing.B) {
	nc, br := benchClient(b)
	b.ResetTimer()
	for range b.N {
		ask(b, nc, br, fmt.Sprintf("a UID FETCH %d BODY.PEEK[]", 1+rand.IntN(benchMessages)))
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
}

// BenchmarkIdleSession measures what an idling session costs the whole process:
// client and server end, but for what is in the kernel.
func BenchmarkIdleSession(b *testing.B) {
	const sessions = 2000
	acc := newMemAccount()
	acc.add("INBOX", "Subject: x\r\n\r\n", imap.Flags{})
	srv, _ := serve(b, Config{Login: memLogin(acc), AllowInsecureAuth: true, MaxPerAccount: sessions + 1})
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	conns := make([]net.Conn, 0, sessions)
	for range sessions {
		here, there := net.Pipe()
		srv.start(there)
		go func() { _, _ = io.WriteString(here, "a LOGIN u secret\r\nb SELECT INBOX\r\nc IDLE\r\n") }()
		buf := make([]byte, 4096)
		for !strings.Contains(string(buf), "+ idling") {
			n, err := here.Read(buf[:cap(buf)])
			if err != nil {
				b.Fatal(err)
			}
			buf = buf[:n]
		}
		conns = append(conns, here)
	}
	for {
		if _, idle := srv.Sessions(); idle == sessions {
			break
		}
		time.Sleep(time.Millisecond)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.HeapInuse+after.StackInuse-before.HeapInuse-before.StackInuse)/sessions, "B/session")
	for range b.N { // what is measured is memory
		acc.hint()
		if b.N > 1 {
			break
		}
	}
	for _, c := range conns {
		c.Close()
	}
}
