package pop

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/mohar-mail/mohar/base/fault"
)

func TestParseCommand(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		line string
		want Command
		kind fault.Kind // Internal: none
	}{
		{"STAT", Command{Name: "STAT"}, 0},
		{"quit ", Command{Name: "QUIT"}, 0},
		{"STAT 1", Command{Name: "STAT"}, fault.Invalid},
		{"list", Command{Name: "LIST"}, 0},
		{"LIST 12", Command{Name: "LIST", Message: 12}, 0},
		{"LIST 0", Command{}, fault.Invalid},
		{"LIST -1", Command{}, fault.Invalid},
		{"LIST +1", Command{}, fault.Invalid},
		{"LIST 1 2", Command{}, fault.Invalid},
		{"RETR", Command{}, fault.Invalid},
		{"RETR 99999999999999999999", Command{}, fault.Invalid},
		{"RETR 9999999999", Command{Name: "RETR", Message: 9999999999}, 0},
		{"TOP 1 0", Command{Name: "TOP", Message: 1}, 0},
		{"TOP 1 20", Command{Name: "TOP", Message: 1, Lines: 20}, 0},
		{"TOP 1", Command{}, fault.Invalid},
		{"USER asha.verma@rajya.example", Command{Name: "USER", Text: "asha.verma@rajya.example"}, 0},
		{"USER", Command{}, fault.Invalid},
		{"USER ", Command{}, fault.Invalid},
		{"PASS  two spaces ", Command{Name: "PASS", Text: " two spaces "}, 0},
		{"PASS नमस्ते", Command{Name: "PASS", Text: "नमस्ते"}, 0},
		{"PASS a\xff", Command{}, fault.Invalid},
		{"PASS a\tb", Command{}, fault.Invalid},
		{"PASS a\rb", Command{}, fault.Invalid},
		{"AUTH", Command{Name: "AUTH"}, 0},
		{"AUTH plain", Command{Name: "AUTH", Mechanism: "PLAIN"}, 0},
		{"AUTH PLAIN AHUAcA==", Command{Name: "AUTH", Mechanism: "PLAIN", Initial: []byte("\x00u\x00p")}, 0},
		{"AUTH PLAIN =", Command{Name: "AUTH", Mechanism: "PLAIN", Initial: []byte{}}, 0},
		{"AUTH PLAIN !", Command{}, fault.Invalid},
		{"AUTH PLAIN a b", Command{}, fault.Invalid},
		{"APOP a b", Command{}, fault.Unsupported},
		{"", Command{}, fault.Unsupported},
		{"STAT\x00", Command{}, fault.Unsupported},
	} {
		got, err := ParseCommand([]byte(c.line))
		switch {
		case c.kind != fault.Internal:
			if !fault.Is(err, c.kind) {
				t.Errorf("%q: %v, want %v", c.line, err, c.kind)
			}
		case err != nil:
			t.Errorf("%q: %v", c.line, err)
		case fmt.Sprintf("%#v", got) != fmt.Sprintf("%#v", c.want):
			t.Errorf("%q: %#v, want %#v", c.line, got, c.want)
		}
	}
}

func TestReadLine(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 300)
	br := bufio.NewReaderSize(strings.NewReader("a\r\nb\n"+long+"\r\n"+strings.Repeat("y", 98)+"\r\n"+strings.Repeat("z", 99)+"\r\ncut"), 100)
	for i, want := range []string{"a", "b", "!", strings.Repeat("y", 98), "!"} {
		got, err := ReadLine(br, 100)
		if want == "!" {
			if !errors.Is(err, ErrTooLong) {
				t.Errorf("%d: %q %v, want ErrTooLong", i, got, err)
			}
		} else if err != nil || string(got) != want {
			t.Errorf("%d: %q %v, want %q", i, got, err, want)
		}
	}
	if got, err := ReadLine(br, 100); !errors.Is(err, io.EOF) {
		t.Errorf("a line without an end: %q %v", got, err)
	}
	br = bufio.NewReaderSize(io.LimitReader(zeros{}, 1<<30), 4096)
	if _, err := ReadLine(br, MaxLine); !errors.Is(err, ErrFlood) {
		t.Errorf("an endless line: %v", err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func TestReplies(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		code, text string
		utf8       bool
		want       string
	}{
		{"", "fine", false, "-ERR fine\r\n"},
		{"", "", false, "-ERR\r\n"},
		{CodeAuth, "wrong", false, "-ERR [AUTH] wrong\r\n"},
		{"", "[AUTH] forged", false, "-ERR (AUTH] forged\r\n"},
		{"", "a\r\n+OK b", false, "-ERR a  +OK b\r\n"},
		{"", "नहीं", false, "-ERR ????\r\n"},
		{"", "नहीं", true, "-ERR नहीं\r\n"},
		{"", "a\u2028b", true, "-ERR a b\r\n"},
	} {
		if got := string(AppendErr(nil, c.code, c.text, c.utf8)); got != c.want {
			t.Errorf("%q: %q, want %q", c.text, got, c.want)
		}
	}
	got := AppendOK(nil, strings.Repeat("न", 400), true)
	if len(got) > maxReply || len(got) < maxReply-3 || !utf8.Valid(got) || !bytes.HasSuffix(got, []byte("\r\n")) {
		t.Errorf("a long text: %d octets, %q", len(got), got)
	}
}

// stuffed sends content in pieces of n octets.
func stuffed(content string, lines, n int) string {
	s := NewStuffer(lines)
	var out []byte
	for done := false; len(content) > 0 && !done; {
		n := min(n, len(content))
		out, done = s.Append(out, []byte(content[:n]))
		content = content[n:]
	}
	return string(s.End(out))
}

func TestStuffer(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		content string
		lines   int
		want    string
	}{
		{"a: b\r\n\r\nc\r\n", Everything, "a: b\r\n\r\nc\r\n.\r\n"},
		{"", Everything, ".\r\n"},
		{".", Everything, "..\r\n.\r\n"},
		{".\r\n..\r\na.b\r\n", Everything, "..\r\n...\r\na.b\r\n.\r\n"},
		{"no end", Everything, "no end\r\n.\r\n"},
		{"half\r", Everything, "half\r\n.\r\n"},
		{"a\n.\nb\n", Everything, "a\r\n..\r\nb\r\n.\r\n"},
		{"a\n.\r\n+OK forged\r\n", Everything, "a\r\n..\r\n+OK forged\r\n.\r\n"},
		{"a\rb\r\r\n", Everything, "a\rb\r\r\n.\r\n"},
		{"h\r\n\r\n1\r\n2\r\n3\r\n", 0, "h\r\n\r\n.\r\n"},
		{"h\r\n\r\n1\r\n2\r\n3\r\n", 2, "h\r\n\r\n1\r\n2\r\n.\r\n"},
		{"h\r\n\r\n\r\n\r\n3\r\n", 2, "h\r\n\r\n\r\n\r\n.\r\n"},
		{"h\r\n\r\n1\r\n2", 9, "h\r\n\r\n1\r\n2\r\n.\r\n"},
		{"h\n\n.1\n2", 1, "h\r\n\r\n..1\r\n.\r\n"},
		{"only\r\nheader\r\n", 0, "only\r\nheader\r\n.\r\n"},
	} {
		for n := 1; n <= len(c.content)+1; n++ {
			if got := stuffed(c.content, c.lines, n); got != c.want {
				t.Errorf("%q TOP %d in pieces of %d: %q, want %q", c.content, c.lines, n, got, c.want)
			}
		}
	}
}

func TestNeedsUTF8(t *testing.T) {
	t.Parallel()
	for content, want := range map[string]bool{
		"Subject: a\r\n\r\nनमस्ते":                   false,
		"Subject: नमस्ते\r\n\r\na":                   true,
		"Subject: नमस्ते\n\na":                       true,
		"Subject: caf\xe9\r\n\r\na":                  false,
		"Subject: क caf\xe9\r\n\r\na":                false,
		"Subject: a\n\r\nनमस्ते":                     false,
		"\r\nनमस्ते":                                 false,
		"Subject: नमस्ते"[:len("Subject: नमस्ते")-1]: true,
		"": false,
	} {
		if got := NeedsUTF8([]byte(content)); got != want {
			t.Errorf("%q: %v", content, got)
		}
	}
}

func FuzzParseCommand(f *testing.F) {
	for _, s := range []string{"STAT", "LIST 1", "TOP 1 10", "PASS a b", "AUTH PLAIN AHUAcA==", "AUTH PLAIN =", "USER नमस्ते", "RETR 99999999999"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		c, err := ParseCommand(line)
		if err != nil {
			if k := fault.KindOf(err); k != fault.Invalid && k != fault.Unsupported {
				t.Fatalf("%q: %v", line, err)
			}
			return
		}
		if c.Message < 0 || c.Lines < 0 || !utf8.ValidString(c.Text) || strings.ContainsAny(c.Text, "\r\n\x00") {
			t.Fatalf("%q: %+v", line, c)
		}
	})
}

// FuzzStuffer undoes the stuffing as a client does: what comes out is the
// content with CRLF at its line ends, whatever pieces it was sent in.
func FuzzStuffer(f *testing.F) {
	f.Add([]byte("a: b\r\n\r\n.\r\nc"), 3)
	f.Add([]byte("a\n.\n\r\r\n..\n"), 1)
	f.Fuzz(func(t *testing.T, content []byte, n int) {
		if n < 1 || n > len(content)+1 {
			n = 1
		}
		sent := stuffed(string(content), Everything, n)
		body, ok := strings.CutSuffix(sent, ".\r\n")
		if !ok {
			t.Fatalf("%q: no end", sent)
		}
		var got strings.Builder
		for line := range strings.SplitAfterSeq(body, "\n") {
			if line == ".\r\n" || line != "" && !strings.HasSuffix(line, "\r\n") {
				t.Fatalf("%q: line %q", sent, line)
			}
			got.WriteString(strings.TrimPrefix(line, "."))
		}
		want := strings.ReplaceAll(strings.ReplaceAll(string(content), "\r\n", "\n"), "\n", "\r\n")
		if len(content) > 0 && !strings.HasSuffix(want, "\n") {
			want = strings.TrimSuffix(want, "\r") + "\r\n"
		}
		if got.String() != want {
			t.Fatalf("%q came as %q", content, got.String())
		}
	})
}
