package crash

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/mohar-mail/mohar/conform/proc"
)

var (
	// synced is the end of a sync of the engine's log, also of one that strace
	// shows in two lines.
	synced = regexp.MustCompile(`fdatasync(\(.*\.log>\)| resumed>\)?.*) += 0`)
	logged = regexp.MustCompile(`write\(\d+<[^>]*\.log>`)
	asked  = regexp.MustCompile(`"354 `)
	taken  = regexp.MustCompile(`"250 2\.0\.0 queued`)
)

// TestSyncBefore250 watches the system calls of single deliveries: after the
// content, the log is written and synced, and only then is 250 sent.
func TestSyncBefore250(t *testing.T) {
	d := proc.Start(t, t.TempDir(), proc.FreeBase(t))
	out := filepath.Join(t.TempDir(), "trace")
	trace := exec.Command("strace", "-f", "-yy", "-s", "40", "-e", "trace=fdatasync,fsync,write,writev,pwrite64", "-p", fmt.Sprint(d.PID()), "-o", out)
	errs, err := trace.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := trace.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(errs).ReadString('\n'); err != nil || !strings.Contains(line, "attached") {
		t.Fatalf("strace: %q %v", line, err)
	}
	const letters = 5
	for n := range letters {
		deliver(t, d.Addr(25), n)
	}
	if err := trace.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = trace.Wait() // ended by the signal
	data, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	wrote, safe, open := false, false, false
	for line := range strings.SplitSeq(string(data), "\n") {
		switch {
		case asked.MatchString(line):
			wrote, safe, open = false, false, true
		case logged.MatchString(line):
			wrote = true
		case wrote && synced.MatchString(line):
			safe = true
		case open && taken.MatchString(line):
			if !safe {
				t.Errorf("250 was sent before the log was synced:\n%s", data)
			}
			seen, open = seen+1, false
		}
	}
	if seen != letters {
		t.Fatalf("saw %d of %d deliveries:\n%s", seen, letters, data)
	}
}

// deliver hands one letter to the MX and waits for its 250.
func deliver(t *testing.T, addr string, n int) {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	r := bufio.NewReader(conn)
	for _, say := range []string{"", "EHLO strace.example.org", "MAIL FROM:<a@example.org>", fmt.Sprintf("RCPT TO:<u%d@example.test>", n+1), "DATA",
		"From: <a@example.org>\r\nSubject: strace\r\n\r\nnamaste\r\n."} {
		if say != "" {
			fmt.Fprintf(conn, "%s\r\n", say)
		}
		for {
			line, err := r.ReadString('\n')
			if err != nil || line[0] != '2' && line[0] != '3' {
				t.Fatalf("%s: %q %v", say, line, err)
			}
			if line[3] == ' ' {
				break
			}
		}
	}
}
