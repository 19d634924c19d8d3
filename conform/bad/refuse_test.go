package bad

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/mohar-mail/mohar/conform/peers"
	"github.com/mohar-mail/mohar/conform/proc"
)

// TestRefuse gives a running server what it must refuse.
func TestRefuse(t *testing.T) {
	d := proc.Start(t, t.TempDir(), portBase(t))
	t.Run("unknown recipient", func(t *testing.T) {
		c := dial(t, d, doorMX)
		c.expect("", "220")
		c.expect("EHLO bad.peer.example", "250")
		c.expect("MAIL FROM:<ravi@peer.example>", "250")
		c.expect("RCPT TO:<nobody@example.test>", "550 5.1.1")
		c.expect("RCPT TO:<someone@elsewhere.example>", "55")
		c.expect("DATA", "5")
	})
	t.Run("too large by SIZE", func(t *testing.T) { tooLargeDeclared(t, d) })
	t.Run("too large in DATA", func(t *testing.T) { tooLargeSent(t, d) })
	t.Run("wrong password", func(t *testing.T) { wrongPassword(t, d) })
	t.Run("second server", func(t *testing.T) {
		out, status := peers.Run(proc.Binary(t, "mohar"), "demo", "--data", d.Data, "--port-base", fmt.Sprint(portBase(t)))
		if status != 1 || strings.Contains(out, "panic") || strings.TrimSpace(out) == "" {
			t.Errorf("a second server on the same data: %d\n%s", status, out)
		}
		t.Logf("a second server says: %s", strings.TrimSpace(out))
	})
	deliver(t, d, "u1", "after", plain("after"))
}

// sizeLimit reads the limit that the server announces (RFC 1870).
func sizeLimit(t *testing.T, c *client) int {
	t.Helper()
	c.expect("", "220")
	_, rest, ok := strings.Cut(c.expect("EHLO bad.peer.example", "250"), "SIZE ")
	var n int
	if _, err := fmt.Sscan(rest, &n); !ok || err != nil || n == 0 {
		t.Fatalf("no SIZE: %v", err)
	}
	return n
}

func tooLargeDeclared(t *testing.T, d *proc.Demo) {
	t.Helper()
	c := dial(t, d, doorMX)
	limit := sizeLimit(t, c)
	c.expect(fmt.Sprintf("MAIL FROM:<ravi@peer.example> SIZE=%d", limit+1), "552 5.3.4")
	c.expect(fmt.Sprintf("MAIL FROM:<ravi@peer.example> SIZE=%d", limit), "250")
}

func tooLargeSent(t *testing.T, d *proc.Demo) {
	t.Helper()
	before := peakKiB(t, d)
	c := dial(t, d, doorMX)
	limit := sizeLimit(t, c)
	c.expect("MAIL FROM:<ravi@peer.example>", "250")
	c.expect("RCPT TO:<u1@example.test>", "250")
	line := strings.Repeat("x", 76) + "\r\n"
	message := header("large") + "\r\n" + strings.Repeat(line, limit/len(line)+1)
	if got := c.data([]byte(message)); !strings.HasPrefix(got, "552 5.3.4") {
		t.Errorf("reply %q", got)
	}
	if uids := box(d, "u1").Find(t, "INBOX", "Message-ID", "large@test"); len(uids) > 0 {
		t.Errorf("refused and delivered: %q", uids)
	}
	if grown := peakKiB(t, d) - before; grown > growthLimit {
		t.Errorf("the server has grown by %d KiB, limit %d", grown, growthLimit)
	}
}

func wrongPassword(t *testing.T, d *proc.Demo) {
	t.Helper()
	c := dial(t, d, doorSubmission)
	c.expect("", "220")
	c.expect("EHLO client.peer.example", "250")
	for _, p := range []string{"wrong", "", "secret\xff", strings.Repeat("p", 5000)} {
		creds := base64.StdEncoding.EncodeToString([]byte("\x00u1@example.test\x00" + p))
		got := func() string { fmt.Fprintf(c.conn, "AUTH PLAIN %s\r\n", creds); return c.reply() }()
		if !strings.HasPrefix(got, "5") && !strings.HasPrefix(got, "421") {
			t.Errorf("password of %d octets: %s", len(p), got)
		}
		if strings.HasPrefix(got, "421") || strings.HasPrefix(got, "500") {
			c = dial(t, d, doorSubmission)
			c.expect("", "220")
			c.expect("EHLO client.peer.example", "250")
		}
	}
	b := box(d, "u1")
	b.Password = "wrong"
	if _, status := b.Do(t, "INBOX", "NOOP"); status != 67 { // curl: login denied
		t.Errorf("IMAP: curl ends with %d", status)
	}
	for _, pass := range []string{"wrong", ""} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+d.Addr(doorOps)+"/.well-known/jmap", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth("u1@example.test", pass)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusUnauthorized {
			t.Errorf("HTTP: %s", res.Status)
		}
	}
}

// TestDiskFull lets a server's disk run full. What it has accepted is there
// afterwards, what it has no room for is refused for the time being, and once
// there is room again it works.
func TestDiskFull(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("a tmpfs is mounted by root")
	}
	data := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	const (
		size = 1 << 30
		room = 16 << 20 // a message of try has 5 MB
	)
	if err := syscall.Mount("mohar-test", data, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = exec.Command("umount", "-l", data).Run() })
	base := portBase(t)
	d := proc.Start(t, data, base)
	deliver(t, d, "u1", "before", plain("before"))

	reserve := filepath.Join(data, "reserve")
	fill(t, reserve)
	// Room for some messages more, so that it ends while mail is being taken.
	if st, err := os.Stat(reserve); err != nil {
		t.Fatal(err)
	} else if err := os.Truncate(reserve, st.Size()-room); err != nil {
		t.Fatal(err)
	}
	accepted := []string{"before"}
	refused := 0
	for i := 0; i < size/(5<<20) && refused < 5; i++ {
		id := fmt.Sprintf("full-%d", i)
		switch got, err := try(t, d, id); {
		case err != nil:
			t.Fatalf("the server hangs up: %v\n%s", err, d.Output())
		case strings.HasPrefix(got, "250"):
			accepted = append(accepted, id)
		case strings.HasPrefix(got, "4"):
			refused++
			t.Logf("%s: %s", id, strings.TrimSpace(got))
		default:
			t.Fatalf("a full disk gets %q", got)
		}
	}
	if refused == 0 || len(accepted) == 1 {
		t.Fatalf("%d accepted, %d refused: the disk did not run full under way", len(accepted)-1, refused)
	}
	if uids := box(d, "u1").Find(t, "INBOX", "Message-ID", "before@test"); len(uids) != 1 {
		t.Errorf("while the disk is full, mail cannot be read: %q", uids)
	}
	if err := os.Remove(reserve); err != nil {
		t.Fatal(err)
	}
	d.Stop(t)
	d = proc.Start(t, data, base)
	for _, id := range accepted {
		if n := copies(t, d, id); n != 1 {
			t.Errorf("accepted message %s is there %d times", id, n)
		}
	}
	deliver(t, d, "u1", "again", plain("again"))
	d.Stop(t)
	if out, err := d.Run(t, "check"); err != nil {
		t.Errorf("the data after a full disk: %v\n%s", err, out)
	}
}

// copies waits until a message is there and says how often.
func copies(t *testing.T, d *proc.Demo, id string) int {
	t.Helper()
	n := 0
	peers.Eventually(t, patience, id+" is there", func() bool {
		n = len(box(d, "u1").Find(t, "INBOX", "Message-ID", id+"@test"))
		return n > 0
	}, d.Output)
	return n
}

// fill writes a file until the disk has no room.
func fill(t *testing.T, file string) {
	t.Helper()
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	block := make([]byte, 64<<10)
	for size := len(block); size > 0; {
		if _, err := f.Write(block[:size]); err != nil {
			size /= 2 // ends with the last octet
		}
	}
}

// try sends a message of five megabytes and gives whatever reply ends it.
func try(t *testing.T, d *proc.Demo, id string) (string, error) {
	t.Helper()
	c := dial(t, d, doorMX)
	ask := func(line string) (string, error) {
		if line != "" {
			if _, err := fmt.Fprintf(c.conn, "%s\r\n", line); err != nil {
				return "", err
			}
		}
		var reply string
		for {
			l, err := c.in.ReadString('\n')
			if reply += l; err != nil || len(l) < 4 || l[3] != '-' {
				return reply, err
			}
		}
	}
	// What is stored may be compressed: this cannot be.
	noise := make([]byte, 54*70_000)
	_, _ = rand.NewChaCha8([32]byte([]byte(fmt.Sprintf("%-32s", id)))).Read(noise)
	var body strings.Builder
	for line := range slices.Chunk(noise, 54) {
		body.WriteString(base64.StdEncoding.EncodeToString(line) + "\r\n")
	}
	for _, line := range []string{"", "EHLO bad.peer.example", "MAIL FROM:<ravi@peer.example>", "RCPT TO:<u1@example.test>", "DATA"} {
		if got, err := ask(line); err != nil || got[0] > '3' {
			return got, err
		}
	}
	return ask(string(plain(id)) + "\r\n" + body.String() + ".")
}
