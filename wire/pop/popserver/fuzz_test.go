package popserver

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// FuzzSession sends whatever it likes, before and after a sign-in. The server
// must answer in lines that a client can tell apart, and end when the client does.
func FuzzSession(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.txtar")
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(commandsOf(data), true)
		f.Add(commandsOf(data), false)
	}
	d := newMemDrop("Subject: a\r\n\r\n.b\r\n", "Subject: \xe0\xa4\x95\n\n..\n.")
	srv := New(Config{Login: d.login, AllowInsecureAuth: true, IdleTimeout: time.Second, LoginTimeout: time.Second})
	f.Cleanup(func() { srv.Close() })
	f.Fuzz(func(t *testing.T, in []byte, signIn bool) {
		if d.left() < 2 { // an earlier input has deleted something
			d.mu.Lock()
			d.mails = map[uint32]string{1: "Subject: a\r\n\r\n.b\r\n", 2: "Subject: \xe0\xa4\x95\n\n..\n."}
			d.mu.Unlock()
		}
		here, there := net.Pipe()
		srv.start(there)
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			if signIn {
				_, _ = io.WriteString(here, "USER asha\r\nPASS s p\r\n")
			}
			_, _ = here.Write(in)
			// The input may have left the server inside AUTH, which takes the first.
			_, _ = io.WriteString(here, "\r\nQUIT\r\nQUIT\r\n")
		}()
		_ = here.SetReadDeadline(time.Now().Add(5 * time.Second))
		out, err := io.ReadAll(here)
		if err != nil && isTimeout(err) {
			t.Fatalf("no end after %q: %q", in, out)
		}
		here.Close()
		<-sent
		checkAnswers(t, in, out)
	})
}

// checkAnswers reads the output as a client would: every line ends with CRLF,
// and outside of multi-line answers each is a status or a challenge.
func checkAnswers(t *testing.T, in, out []byte) {
	br := bufio.NewReader(bytes.NewReader(out))
	for {
		line, err := br.ReadString('\n')
		if err != nil {
			return
		}
		if !strings.HasSuffix(line, "\r\n") {
			t.Fatalf("bare LF in %q after %q", line, in)
		}
		if !strings.HasPrefix(line, "+OK") && !strings.HasPrefix(line, "-ERR") && !strings.HasPrefix(line, "+ ") {
			t.Fatalf("answer %q in %q after %q", line, out, in)
		}
		if !multiLine(line) {
			continue
		}
		for line != ".\r\n" {
			if line, err = br.ReadString('\n'); err != nil {
				t.Fatalf("no end of %q after %q", out, in)
			}
			if !strings.HasSuffix(line, "\r\n") {
				t.Fatalf("bare LF in %q after %q", line, in)
			}
		}
	}
}

// multiLine knows the answers of many lines by their first.
func multiLine(status string) bool {
	for _, text := range []string{"follow", " octets\r\n", " octets)\r\n"} {
		if strings.Contains(status, text) && !strings.Contains(status, "Maildrop has") {
			return true
		}
	}
	return false
}
