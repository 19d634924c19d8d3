package smtpserver

import (
	"fmt"
	"strings"
	"testing"
)

// The ends of data that one MTA or another took for <CRLF>.<CRLF> in 2023. What
// follows each of them must stay content of the first message, which must be
// refused.
var fakeEnds = []string{
	"\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r.\r\n", "\r\n.\r", "\r.\n", "\n.\r",
	"\r\n\x00.\r\n", "\r\n.\x00\r\n", "\x00\r\n.\n", "\r\r\n.\r\r\n", "\r\n.\r\r\n", "\n\n.\n\n",
	"\n\r.\n\r", "\r\n.\r\x00\n", "\r.\r\r\n", "\n.\r\r\n",
}

const smuggled = "MAIL FROM:<evil@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\nforged\r\n"

func TestSmugglingDATA(t *testing.T) {
	t.Parallel()
	for _, fake := range fakeEnds {
		for _, cut := range []int{0, 1, 2, 3} { // where the octets are split over two reads
			b := &memBackend{}
			r := newRig(t, Config{}, b)
			r.say("EHLO c\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n")
			at := min(cut, len(fake))
			if got := r.say("first" + fake[:at]); got != "" {
				t.Errorf("%q: early %q", fake, got)
			}
			if got := r.say(fake[at:] + smuggled); got != "" {
				t.Errorf("%q: taken for the end: %q", fake, got)
			}
			got := r.say("\r\n.\r\nNOOP\r\n")
			if !strings.HasPrefix(got, "550 5.6.0 ") || strings.Count(got, "\r\n") != 2 || !strings.HasSuffix(got, "250 2.0.0 OK\r\n") {
				t.Errorf("%q: %q", fake, got)
			}
			if len(b.got) != 0 || b.partial != 1 {
				t.Errorf("%q: %d messages taken, %d broken off", fake, len(b.got), b.partial)
			}
		}
	}
}

func TestSmugglingBDAT(t *testing.T) {
	t.Parallel()
	for _, fake := range fakeEnds {
		body := "first" + fake + smuggled
		for _, cut := range []int{0, 5, 6, 7, 8} {
			b := &memBackend{}
			r := newRig(t, Config{}, b)
			r.say("EHLO c\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n")
			got := r.say(fmt.Sprintf("BDAT %d\r\n%sBDAT %d LAST\r\n%s", cut, body[:cut], len(body)-cut, body[cut:]))
			rest, _ := strings.CutPrefix(got, "250 2.0.0 OK\r\n") // the first chunk may end before the defect
			if !strings.HasPrefix(rest, "550 5.6.0 ") || strings.Contains(rest, "250") || strings.Count(got, "\r\n") != 2 {
				t.Errorf("%q: %q", fake, got)
			}
			if len(b.got) != 0 {
				t.Errorf("%q: taken", fake)
			}
		}
	}
}

// Whatever the pieces in which a message comes, the session gets the same
// octets, and the true end is found.
func TestDATAPieces(t *testing.T) {
	t.Parallel()
	content := "a\r\n\r\n..\r\n...\r\n.x\r\n" + strings.Repeat("y", 600) + "\r\n.z\r\n"
	want := "a\r\n\r\n.\r\n..\r\nx\r\n" + strings.Repeat("y", 600) + "\r\nz\r\n"
	for _, size := range []int{1, 2, 3, 5, 7, 64, 511, 512, 513, 4096} {
		b := &memBackend{}
		r := newRig(t, Config{}, b)
		r.say("EHLO c\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n")
		all := content + ".\r\nNOOP\r\n"
		got := ""
		for len(all) > 0 {
			n := min(size, len(all))
			got += r.say(all[:n])
			all = all[n:]
		}
		if got != "250 2.0.0 queued\r\n250 2.0.0 OK\r\n" {
			t.Errorf("pieces of %d: %q", size, got)
		}
		if len(b.got) != 1 || b.got[0].body != want {
			t.Errorf("pieces of %d: %+v", size, b.got)
		}
	}
}

func TestContentBounds(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, body, want string
	}{
		{"998", strings.Repeat("a", 998) + "\r\n", "250 "},
		{"at the bound", strings.Repeat("a", 2000) + "\r\n", "250 "},
		{"over the bound", strings.Repeat("a", 2001) + "\r\n", "550 5.6.0 Message holds a line"},
		{"size at the limit", strings.Repeat(strings.Repeat("a", 98)+"\r\n", 50), "250 "},
		{"size over the limit", strings.Repeat(strings.Repeat("a", 98)+"\r\n", 50) + "x\r\n", "552 5.3.4"},
		{"NUL", "a\x00b\r\n", "550 5.6.0 Message holds a NUL"},
		{"8-bit", "नमस्ते \xff\r\n", "250 "},
	} {
		for _, bdat := range []bool{false, true} {
			b := &memBackend{}
			r := newRig(t, Config{Limits: Limits{MessageSize: 5000, LineLength: 2000}}, b)
			r.say("EHLO c\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n")
			var got string
			if bdat {
				got = r.say(fmt.Sprintf("BDAT %d LAST\r\n%s", len(c.body), c.body))
			} else {
				r.say("DATA\r\n")
				got = r.say(c.body + ".\r\n")
			}
			if !strings.HasPrefix(got, c.want) || strings.Count(got, "\r\n") != 1 {
				t.Errorf("%s: %q", c.name, got)
			}
			if got := r.say("NOOP\r\n"); got != "250 2.0.0 OK\r\n" {
				t.Errorf("%s: then %q", c.name, got)
			}
			if ok := strings.HasPrefix(c.want, "250"); ok != (len(b.got) == 1) || ok && b.got[0].body != c.body {
				t.Errorf("%s: %d taken", c.name, len(b.got))
			}
		}
	}
}

// A refused message is read on only so far.
func TestDrainBound(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{Limits: Limits{MessageSize: 1000, DrainBytes: 5000}}, &memBackend{})
	r.say("EHLO c\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n")
	got := ""
	for range 10 {
		got += r.say(strings.Repeat("aaaaaaaa\r\n", 100))
	}
	if got != "421 4.7.0 Too much refused data, closing\r\n" || !r.hungUp() {
		t.Errorf("%q", got)
	}
}

// A connection that breaks inside the content never yields a message.
func TestBrokenOff(t *testing.T) {
	t.Parallel()
	for _, tail := range []string{"DATA\r\nabc\r\n", "DATA\r\nabc\r\n.", "DATA\r\nabc\r\n.\r", "BDAT 10\r\nabc\r\n", "BDAT 5\r\nabc\r\n", "BDAT 5\r\nabc\r\nBDAT 5 LAST", "BDAT 6 LAST\r\nabc\r\n"} {
		b := &memBackend{}
		r := newRig(t, Config{}, b)
		r.say("EHLO c\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n" + tail)
		_ = r.raw.Close()
		<-r.done
		if len(b.got) != 0 || b.partial != 1 || b.logouts != 1 {
			t.Errorf("%q: %d taken, %d broken off, %d logouts", tail, len(b.got), b.partial, b.logouts)
		}
	}
}
