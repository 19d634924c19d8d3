package bad

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/mohar-mail/mohar/conform/proc"
)

// content is a message that means ill.
type content struct {
	id   string
	make func(id string) []byte
	want string // start of the reply; with "250" the message must arrive unchanged
}

func header(id string) string {
	return "From: ravi@peer.example\r\nTo: u1@example.test\r\nSubject: bad\r\nMessage-ID: <" + id + "@test>\r\nMIME-Version: 1.0\r\n"
}

func contents() []content {
	raw := func(rest string) func(string) []byte {
		return func(id string) []byte { return []byte(header(id) + rest) }
	}
	return []content{
		{"unclosed", func(id string) []byte { return nested(id, 3) }, "250"},
		{"deep", func(id string) []byte { return nested(id, 5000) }, "250"},
		{"many-parts", func(id string) []byte {
			return []byte(header(id) + "Content-Type: multipart/mixed; boundary=b\r\n\r\n" + strings.Repeat("--b\r\n\r\nx\r\n", 100_000) + "--b--")
		}, "250"},
		{"header-10MB", func(id string) []byte {
			return []byte(header(id) + strings.Repeat("X-Filler: "+strings.Repeat("f", 900)+"\r\n", 11_500) + "\r\nbody")
		}, "250"},
		{"one-field-10MB", func(id string) []byte {
			return []byte(header(id) + "X-Filler: a" + strings.Repeat("\r\n "+strings.Repeat("f", 900), 11_500) + "\r\n\r\nbody")
		}, "250"},
		{"invalid-utf8", raw("Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\xff\xfe\xc3\x28 \xed\xa0\x80 \xf8\x88"), "250"},
		{"invalid-utf8-header", raw("X-Name: \xff\xfe\xc3\x28\r\nContent-Type: text/plain; charset=\xff\r\n\r\nx"), "250"},
		{"no-header", func(id string) []byte {
			return []byte("Message-ID: <" + id + "@test>\r\nnot a field at all\r\n\r\nbody")
		}, "250"},
		{"lying-base64", raw("Content-Type: text/html; charset=no-such\r\nContent-Transfer-Encoding: base64\r\n\r\n!!!!====!!!!"), "250"},
		{"message-in-message", func(id string) []byte {
			return []byte(header(id) + strings.Repeat("Content-Type: message/rfc822\r\n\r\n", 5000) + "x")
		}, "250"},
		{"long-line", func(id string) []byte { return []byte(header(id) + "\r\n" + strings.Repeat("z", 2<<20)) }, "5"},
		{"nul", raw("\r\nbe\x00fore"), "550 5.6.0"},
		{"bare-lf", raw("\r\none\ntwo"), "550 5.6.0"},
		{"bare-cr", raw("\r\none\rtwo"), "550 5.6.0"},
		{"smuggling", raw("\r\none\n.\nMAIL FROM:<x@peer.example>\r\n"), "550 5.6.0"},
	}
}

// nested makes multiparts within multiparts, none of which is closed.
func nested(id string, depth int) []byte {
	var b bytes.Buffer
	b.WriteString(header(id))
	for i := range depth {
		fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
	}
	b.WriteString("\r\nthe inmost text")
	return b.Bytes()
}

// TestContent sends each bad content to a running server.
func TestContent(t *testing.T) {
	d := proc.Start(t, t.TempDir(), portBase(t))
	deliver(t, d, "u1", "before", plain("before"))
	before := peakKiB(t, d)
	for _, c := range contents() {
		t.Run(c.id, func(t *testing.T) {
			message := c.make(c.id)
			s := dial(t, d, doorMX)
			s.open("u1")
			got := s.data(message)
			if !strings.HasPrefix(got, c.want) {
				t.Fatalf("reply %q, want %q", got, c.want)
			}
			if strings.HasPrefix(got, "250") {
				arrived(t, d, "u1", c.id, message)
				readable(t, d, c.id)
			} else if uids := box(d, "u1").Find(t, "INBOX", "Message-ID", c.id+"@test"); len(uids) > 0 {
				t.Errorf("refused and delivered: %q", uids)
			}
		})
	}
	deliver(t, d, "u1", "after", plain("after"))
	grown := peakKiB(t, d) - before
	t.Logf("the largest resident size has grown by %d KiB", grown)
	if grown > growthLimit {
		t.Errorf("the server has grown by %d KiB, limit %d", grown, growthLimit)
	}
}

// readable asks for all that a client shows of a message; the server must answer
// in time whatever it makes of it.
func readable(t *testing.T, d *proc.Demo, id string) {
	t.Helper()
	b := box(d, "u1")
	for _, uid := range b.Find(t, "INBOX", "Message-ID", id+"@test") {
		if _, status := b.Do(t, "INBOX", "UID FETCH "+uid+" (ENVELOPE BODYSTRUCTURE RFC822.SIZE FLAGS)"); status != 0 {
			t.Errorf("no structure of %s: %d", id, status)
		}
	}
	if out, status := b.Do(t, "INBOX", `UID SEARCH TEXT "inmost"`); status != 0 {
		t.Errorf("no search with %s: %d %s", id, status, out)
	}
}
