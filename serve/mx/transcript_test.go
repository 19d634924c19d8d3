package mx_test

import (
	"bufio"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/mohar-mail/mohar/wire/smtp/smtpserver"
)

var update = flag.Bool("update", false, "rewrite the S: lines and the queue of the transcripts")

// TestTranscripts runs testdata/*.txtar. In "session" C: is a line that is
// answered, D: one that is not (content), S: the answer; "queue" is what the queue
// holds in the end. Ids stand as ID.
func TestTranscripts(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no transcripts", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txtar"), func(t *testing.T) {
			t.Parallel()
			ar, err := txtar.ParseFile(f)
			if err != nil || len(ar.Files) != 2 {
				t.Fatal("not a transcript", err)
			}
			w := newWorld(t, string(ar.Comment))
			got := []string{w.session(string(ar.Files[0].Data)), w.dump()}
			for i := range got {
				got[i] = ids.ReplaceAllString(got[i], "ID")
				if *update {
					ar.Files[i].Data = []byte(got[i])
				} else if want := string(ar.Files[i].Data); got[i] != want {
					t.Errorf("%s differs; got:\n%s\nwant:\n%s", ar.Files[i].Name, got[i], want)
				}
			}
			if *update {
				if err := os.WriteFile(f, txtar.Format(ar), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

var ids = regexp.MustCompile(`\b[0-9a-hjkmnp-tv-z]{26}\b`)

// session says the client's lines and notes the answers.
func (w *world) session(script string) string {
	w.Helper()
	srv, err := smtpserver.New(w.config, w.backend)
	if err != nil {
		w.Fatal(err)
	}
	client, server := net.Pipe()
	done := make(chan struct{})
	go func() { defer close(done); srv.ServeConn(w.Context(), remote{server}) }()
	defer func() { client.Close(); <-done }()
	in := bufio.NewReader(client)
	var out strings.Builder
	answer := func() {
		for {
			l, err := in.ReadString('\n')
			if err != nil {
				out.WriteString("# closed\n")
				return
			}
			out.WriteString("S: " + strings.TrimSuffix(l, "\r\n") + "\n")
			if len(l) < 4 || l[3] != '-' {
				return
			}
		}
	}
	answer()
	for l := range strings.Lines(script) {
		l = strings.TrimSuffix(l, "\n")
		text, said := strings.CutPrefix(l, "C:")
		if !said {
			text, said = strings.CutPrefix(l, "D:")
		}
		if !said {
			if !strings.HasPrefix(l, "S:") && !strings.HasPrefix(l, "# closed") {
				out.WriteString(l + "\n")
			}
			continue
		}
		out.WriteString(l + "\n")
		if _, err := fmt.Fprintf(client, "%s\r\n", strings.TrimPrefix(text, " ")); err != nil {
			out.WriteString("# closed\n")
			return out.String()
		}
		if l[0] == 'C' {
			answer()
		}
	}
	return out.String()
}

// remote is a connection that comes from an address.
type remote struct{ net.Conn }

func (remote) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 4025} }
