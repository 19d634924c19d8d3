package bad

import (
	"bufio"
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mohar-mail/mohar/conform/peers"
	"github.com/mohar-mail/mohar/conform/proc"
)

// The doors of the demo, from its port base.
const (
	doorMX         = 25
	doorOps        = 80
	doorIMAP       = 143
	doorSubmission = 587
)

const (
	password = "secret"
	// patience bounds what one bad input may cost in time. It is far above what
	// is needed and far below what a quadratic parser takes.
	patience = 30 * time.Second
	// growthLimit bounds what all of them together may add to the server's
	// largest resident size, in KiB: some copies of the largest message.
	growthLimit = 400 << 10
)

// portBase finds a --port-base whose doors are free.
func portBase(t *testing.T) int {
	t.Helper()
	for range 100 {
		base := 22000 + 10*rand.IntN(600)
		free := true
		for _, door := range []int{24, 25, 80, 110, 143, 443, 465, 587, 993, 995, 4190} {
			free = free && !peers.Accepts(base+door)
		}
		if free {
			return base
		}
	}
	t.Fatal("no free ports")
	return 0
}

// box reads a user's mail.
func box(d *proc.Demo, user string) peers.Curl {
	return peers.Curl{Port: d.Base + doorIMAP, User: user + "@example.test", Password: password}
}

// peakKiB gives the largest resident size that a server has had.
func peakKiB(t *testing.T, d *proc.Demo) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.PID()))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "VmHWM:" {
			n, err := strconv.Atoi(f[1])
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatal("no VmHWM")
	return 0
}

// client is one SMTP connection that sends whatever it is told to.
type client struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

func dial(t *testing.T, d *proc.Demo, door int) *client {
	t.Helper()
	conn, err := net.DialTimeout("tcp", d.Addr(door), patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return &client{t: t, conn: conn, in: bufio.NewReader(conn)}
}

// reply reads one reply, all its lines.
func (c *client) reply() string {
	c.t.Helper()
	var all strings.Builder
	for {
		line, err := c.in.ReadString('\n')
		all.WriteString(line)
		if err != nil {
			c.t.Fatalf("no reply: %v, after %q", err, all.String())
		}
		if len(line) < 4 || line[3] != '-' {
			return all.String()
		}
	}
}

// expect sends a line, unless it is empty, and wants a reply with that start.
func (c *client) expect(line, want string) string {
	c.t.Helper()
	if line != "" {
		if _, err := fmt.Fprintf(c.conn, "%s\r\n", line); err != nil {
			c.t.Fatalf("%q: %v", line, err)
		}
	}
	got := c.reply()
	if !strings.HasPrefix(got, want) {
		c.t.Fatalf("%q gets %q, want %q", line, got, want)
	}
	return got
}

// open greets and opens a transaction with u-numbered recipients.
func (c *client) open(user string) {
	c.t.Helper()
	c.expect("", "220")
	c.expect("EHLO bad.peer.example", "250")
	c.expect("MAIL FROM:<ravi@peer.example>", "250")
	c.expect("RCPT TO:<"+user+"@example.test>", "250")
}

// data sends a message with DATA and gives the reply. The message is sent as it
// stands but for the dots of RFC 5321 section 4.5.2; a server may answer before
// it has read all.
func (c *client) data(message []byte) string {
	c.t.Helper()
	c.expect("DATA", "354")
	stuffed := bytes.ReplaceAll(message, []byte("\r\n."), []byte("\r\n.."))
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		// An error here shows as a missing reply.
		_, _ = c.conn.Write(append(stuffed, "\r\n.\r\n"...))
	}()
	got := c.reply()
	_ = c.conn.SetWriteDeadline(time.Now()) // it has answered; what is left is not wanted
	<-sent
	return got
}

// plain makes a small good message.
func plain(id string) []byte {
	return fmt.Appendf(nil, "From: ravi@peer.example\r\nTo: u1@example.test\r\nSubject: %s\r\nMessage-ID: <%s@test>\r\n\r\nAll is well.", id, id)
}

// deliver sends a message to a user and waits until it stands in the inbox, each
// octet as sent.
func deliver(t *testing.T, d *proc.Demo, user, id string, message []byte) {
	t.Helper()
	c := dial(t, d, doorMX)
	c.open(user)
	if got := c.data(message); !strings.HasPrefix(got, "250") {
		t.Fatalf("%s is not accepted: %s", id, got)
	}
	arrived(t, d, user, id, message)
}

func arrived(t *testing.T, d *proc.Demo, user, id string, message []byte) {
	t.Helper()
	got := box(d, user).Await(t, "INBOX", "Message-ID", id+"@test", d.Output)
	want := append(bytes.Clone(message), "\r\n"...)
	if !bytes.HasSuffix(got, want) {
		t.Errorf("%s has changed: got %d octets, sent %d", id, len(got), len(want))
	}
}
