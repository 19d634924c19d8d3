// Package crash kills the server at random moments and looks for mail that it
// promised.
package crash

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mohar-mail/mohar/conform/proc"
)

const (
	users   = 20 // u1 to u20 of the demo
	writers = 8
	// defaultRounds keeps the test short; MOHAR_CRASH_ROUNDS sets another number.
	defaultRounds = 4
)

// ledger is what the senders know.
type ledger struct {
	next  atomic.Int64
	mu    sync.Mutex
	acked map[int64]bool
}

// TestKillUnderLoad kills the server again and again while mail arrives, and
// then demands every message that was answered 250 exactly once, and every other
// one at most once.
func TestKillUnderLoad(t *testing.T) {
	rounds := defaultRounds
	if s := os.Getenv("MOHAR_CRASH_ROUNDS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		rounds = n
	}
	data, base := t.TempDir(), proc.FreeBase(t)
	l := &ledger{acked: map[int64]bool{}}
	for round := range rounds {
		d := proc.Start(t, data, base)
		var wg sync.WaitGroup
		for range writers {
			wg.Go(func() { l.write(d.Addr(25)) })
		}
		// The moment is random on purpose: anything from the first connection to
		// a second of full load.
		timer := time.NewTimer(time.Duration(rand.IntN(1000)) * time.Millisecond)
		<-timer.C
		d.Kill()
		wg.Wait()
		if round%20 == 19 {
			t.Logf("round %d: %d messages answered 250", round+1, len(l.acked))
		}
	}
	d := proc.Start(t, data, base)
	waitDelivered(t, d)
	l.compare(t, d)
	d.Stop(t)
	if out, err := d.Run(t, "check"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	verifyAudit(t, d)
	t.Logf("%d kills, %d messages answered 250, %d tried", rounds, len(l.acked), l.next.Load())
}

// write sends messages on one connection until it breaks.
func (l *ledger) write(addr string) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer conn.Close()
	r := bufio.NewReader(conn)
	say := func(want, format string, args ...any) bool {
		if format != "" {
			if _, err := fmt.Fprintf(conn, format+"\r\n", args...); err != nil {
				return false
			}
		}
		for {
			line, err := r.ReadString('\n')
			if err != nil || len(line) < 4 {
				return false
			}
			if line[3] == ' ' {
				return strings.HasPrefix(line, want)
			}
		}
	}
	if !say("220", "") || !say("250", "EHLO crash.example.org") {
		return
	}
	for {
		n := l.next.Add(1)
		ok := say("250", "MAIL FROM:<sender@example.org>") &&
			say("250", "RCPT TO:<u%d@example.test>", 1+n%users) &&
			say("354", "DATA") &&
			say("250", "From: <sender@example.org>\r\nSubject: crash-%d-\r\n\r\n%s\r\n.", n, strings.Repeat("namaste ", 100))
		if !ok {
			return
		}
		l.mu.Lock()
		l.acked[n] = true
		l.mu.Unlock()
	}
}

// waitDelivered waits until the queue holds no local mail.
func waitDelivered(t *testing.T, d *proc.Demo) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for {
		out, err := d.Run(t, "queue", "list", "--json")
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(out, `"id"`) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the queue does not empty:\n%.2000s", out)
		}
	}
}

var subject = regexp.MustCompile(`Subject: crash-(\d+)-`)

// compare reads all mailboxes over IMAP and holds them against the ledger.
func (l *ledger) compare(t *testing.T, d *proc.Demo) {
	t.Helper()
	found := map[int64]int{}
	for u := 1; u <= users; u++ {
		for _, m := range subject.FindAllStringSubmatch(subjects(t, d, u), -1) {
			n, err := strconv.ParseInt(m[1], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			found[n]++
		}
	}
	for n := range l.acked {
		if found[n] != 1 {
			t.Errorf("message %d was answered 250 and is there %d times", n, found[n])
		}
	}
	for n, times := range found {
		if times > 1 {
			t.Errorf("message %d is there %d times", n, times)
		}
	}
}

// subjects gives the Subject fields of a user's inbox as IMAP prints them.
func subjects(t *testing.T, d *proc.Demo, user int) string {
	t.Helper()
	conn, err := d.Dial(t.Context(), 143)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var all strings.Builder
	r := bufio.NewReader(conn)
	for i, command := range []string{fmt.Sprintf("LOGIN u%d@example.test secret", user), "EXAMINE INBOX",
		"UID FETCH 1:* (BODY.PEEK[HEADER.FIELDS (SUBJECT)])", "LOGOUT"} {
		fmt.Fprintf(conn, "a%d %s\r\n", i, command)
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				t.Fatalf("%s: %v", command, err)
			}
			all.WriteString(line)
			if strings.HasPrefix(line, fmt.Sprintf("a%d ", i)) {
				if !strings.HasPrefix(line, fmt.Sprintf("a%d OK", i)) {
					t.Fatalf("%s: %s", command, line)
				}
				break
			}
		}
	}
	return all.String()
}

func verifyAudit(t *testing.T, d *proc.Demo) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "log")
	if out, err := d.Run(t, "audit", "export", dir); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := exec.Command(proc.Binary(t, "mohar-audit"), "verify", dir).CombinedOutput()
	if err != nil {
		t.Fatalf("mohar-audit verify: %v\n%s", err, out)
	}
	t.Logf("%s", out)
}
