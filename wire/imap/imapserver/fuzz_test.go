package imapserver

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"

	"github.com/mohar-mail/mohar/wire/imap"
)

// FuzzSession sends whatever it likes after a sign-in. The server must answer
// in lines that a client can cut apart, and end when the client does.
func FuzzSession(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.txtar")
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		var b strings.Builder
		for _, l := range strings.Split(string(txtar.Parse(data).Files[0].Data), "\n") {
			if len(l) > 3 && l[1:3] == "> " {
				b.WriteString(strings.TrimPrefix(l[3:], "...") + "\r\n")
			}
		}
		f.Add([]byte(b.String()))
	}
	login := func(context.Context, ConnInfo, string, string, string) (Session, error) {
		acc := newMemAccount()
		acc.add("INBOX", "Subject: a\r\n\r\nb\r\n", imap.Flags{})
		acc.add("INBOX", "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\na\r\n--x--\r\n", imap.Flags{Keywords: []string{"k"}})
		return memSession{acc, "u"}, nil
	}
	srv := New(Config{Login: login, AllowInsecureAuth: true, MaxMessage: 4096, MaxCommand: 4096, CommandTimeout: 100 * time.Millisecond, IdleTimeout: 100 * time.Millisecond})
	f.Cleanup(func() { srv.Close() })
	f.Fuzz(func(t *testing.T, in []byte) {
		here, there := net.Pipe()
		srv.start(there)
		go func() {
			_, _ = io.WriteString(here, "a LOGIN u p\r\nb SELECT INBOX\r\n")
			_, _ = here.Write(in)
			_, _ = io.WriteString(here, "\r\nDONE\r\nz LOGOUT\r\n")
			// The input may have left the server inside a literal: end it anyway.
			_ = here.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
		}()
		out, _ := io.ReadAll(here)
		here.Close()
		checkAnswers(t, in, out)
	})
}

// checkAnswers cuts the output as a client would.
func checkAnswers(t *testing.T, in, out []byte) {
	br := bufio.NewReader(bytes.NewReader(out))
	untagged := false
	for start := true; ; {
		line, err := br.ReadString('\n')
		if err != nil {
			return // cut off by our deadline
		}
		if !strings.HasSuffix(line, "\r\n") {
			t.Fatalf("bare LF in %q after %q", line, in)
		}
		word, _, _ := strings.Cut(line, " ")
		if start && (word == "" || strings.ContainsAny(word, "(){%\"\\")) {
			t.Fatalf("answer %q after %q", line, in)
		}
		if start {
			untagged = word == "*"
		}
		start = true
		if i := strings.LastIndexByte(line, '{'); i >= 0 && strings.HasSuffix(line, "}\r\n") {
			if n, err := strconv.ParseInt(line[i+1:len(line)-3], 10, 64); err == nil && untagged {
				if _, err := io.CopyN(io.Discard, br, n); err != nil {
					return
				}
				start = false
			}
		}
	}
}
