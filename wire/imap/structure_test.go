package imap

import (
	"strings"
	"testing"

	"github.com/mohar-mail/mohar/wire/mime"
)

// TestRaw8Bit: 8-bit octets of a header reach only clients that enabled UTF-8;
// others get RFC 2047 words and RFC 2231 values.
func TestRaw8Bit(t *testing.T) {
	t.Parallel()
	m := mime.Parse([]byte("From: \"नमस्ते\" <a@x.example>\r\nSubject: नमस्ते\r\nContent-Type: text/plain; name=\"नया.txt\"\r\nContent-Disposition: attachment; filename=\"नया.txt\"\r\n\r\nx\r\n"))
	root := m.Index.Root
	for _, c := range []struct {
		utf8       bool
		have, lack string
	}{
		{false, `"=?utf-8?b?4KSo4KSu4KS44KWN4KSk4KWH?="`, "नमस्ते"},
		{true, `"नमस्ते"`, "=?utf-8"},
	} {
		if got := string(AppendEnvelope(nil, root.Envelope, c.utf8)); !strings.Contains(got, c.have) || strings.Contains(got, c.lack) {
			t.Errorf("utf8 %v: %s", c.utf8, got)
		}
	}
	for _, c := range []struct {
		utf8 bool
		have string
	}{
		{false, `("filename*" "utf-8''%E0%A4%A8%E0%A4%AF%E0%A4%BE.txt")`},
		{true, `("filename" "नया.txt")`},
	} {
		if got := string(AppendStructure(nil, root, true, c.utf8)); !strings.Contains(got, c.have) {
			t.Errorf("utf8 %v: %s", c.utf8, got)
		}
	}
}

// TestStructureShapes: whatever the message, the structure is a balanced list
// that a client can parse, and an empty multipart is not written as one.
func TestStructureShapes(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"": `("text" "plain" `,
		"Content-Type: multipart/mixed; boundary=x\r\n\r\nno parts": "(",
		"Content-Type: message/rfc822\r\n\r\nSubject: a\r\n\r\nb":   `("message" "rfc822" NIL NIL NIL "7bit" `,
		"Content-Type: image/png\r\n\r\n":                           `("image" "png" NIL NIL NIL "7bit" 0 NIL NIL NIL NIL)`,
	} {
		m := mime.Parse([]byte(in))
		got := string(AppendStructure(nil, m.Index.Root, true, false))
		if !strings.HasPrefix(got, want) || strings.Count(got, "(") != strings.Count(got, ")") || strings.HasPrefix(got, "( ") {
			t.Errorf("%q: %s", in, got)
		}
	}
}

func FuzzStructure(f *testing.F) {
	f.Add([]byte("From: a b <c@d>, g: e@f;\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: message/rfc822\r\n\r\n\r\n--x--"))
	f.Fuzz(func(t *testing.T, in []byte) {
		m := mime.Parse(in)
		for _, u := range []bool{false, true} {
			for _, out := range [][]byte{AppendStructure(nil, m.Index.Root, true, u), AppendStructure(nil, m.Index.Root, false, u), AppendEnvelope(nil, m.Index.Envelope(), u)} {
				p := NewParser(out)
				if err := skipList(p, 0); err != nil || !p.AtEnd() {
					t.Fatalf("%q gives %q: %v at %d", in, out, err, p.pos)
				}
			}
		}
	})
}

// skipList reads a parenthesized list of strings, numbers, NIL and lists.
func skipList(p *Parser, depth int) error {
	if err := p.expect('('); err != nil {
		return err
	}
	for !p.take(')') {
		p.take(' ')
		var err error
		switch c := p.peek(); {
		case c == '(':
			err = skipList(p, depth+1)
		case c >= '0' && c <= '9':
			_, err = p.Number64()
		default:
			_, _, err = p.NString()
		}
		if err != nil {
			return err
		}
	}
	return nil
}
