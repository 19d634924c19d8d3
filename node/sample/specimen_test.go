package sample

import (
	"bytes"
	"fmt"
	"image/png"
	"io"
	"strconv"
	"strings"
	"testing"

	"github.com/mohar-mail/mohar/mailbox"
	"github.com/mohar-mail/mohar/wire/mime"
)

// What the sample is to show lies in the clerk's mailbox.
func TestSpecimens(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.seed(Config{Users: 1})
	seen := map[string]int{}
	for _, h := range w.box("asha.verma@rajya.example") {
		raw := string(h.raw)
		note := func(what string, ok bool) {
			if ok {
				seen[what]++
			}
		}
		label, _ := h.m.Header(h.m.Root).Get("Mohar-Label")
		note("label "+label.Text(), h.role == mailbox.RoleInbox)
		note("urgent", strings.Contains(raw, "\r\nImportance: high\r\n"))
		note("junk fails", h.role == mailbox.RoleJunk && strings.Contains(raw, "dmarc=fail"))
		if h.role == mailbox.RoleInbox && strings.Contains(raw, "dmarc=fail") {
			t.Errorf("failed the checks and is in the inbox: %s", h.m.Preview)
		}
		note("list", strings.Contains(raw, "\r\nList-Id: "))
		note("flagged and unread", h.flags&(mailbox.Flagged|mailbox.Seen) == mailbox.Flagged)
		note("address in Devanagari", strings.Contains(raw, "आशा.वर्मा@राज्य.example"))
		walk(h.m.Root, func(p *mime.Part) {
			body, err := io.ReadAll(mime.DecodeTransfer(p.Encoding, h.m.Body(p)))
			if err != nil {
				t.Errorf("%s: %v", p.Type, err)
			}
			name := mime.DecodeText(p.Filename())
			note("Hindi file name", strings.Contains(name, "प्रतिवेदन"))
			switch p.MediaType() {
			case "text/html":
				note("remote picture", bytes.Contains(body, []byte(`src="https://`)))
				note("table", bytes.Contains(body, []byte("<table")))
				note("picture inside", bytes.Contains(body, []byte(`src="cid:`)))
			case "image/png":
				_, err := png.Decode(bytes.NewReader(body))
				note("picture", err == nil)
			case "application/pdf":
				checkPDF(t, body)
				note("pdf", true)
			}
		})
	}
	for _, what := range []string{"label open", "label official", "label restricted", "label confidential", "urgent", "junk fails", "list",
		"flagged and unread", "address in Devanagari", "Hindi file name", "remote picture", "table", "picture inside", "picture", "pdf"} {
		if seen[what] == 0 {
			t.Errorf("nothing shows: %s", what)
		}
	}
}

func walk(p *mime.Part, fn func(*mime.Part)) {
	fn(p)
	for _, c := range p.Children {
		walk(c, fn)
	}
}

// checkPDF follows the cross references (ISO 32000-1 section 7.5.4).
func checkPDF(t *testing.T, b []byte) {
	t.Helper()
	_, tail, _ := bytes.Cut(b, []byte("startxref\n"))
	at, err := strconv.Atoi(strings.TrimSuffix(string(tail), "\n%%EOF\n"))
	if err != nil || !bytes.HasPrefix(b, []byte("%PDF-1.")) || !bytes.HasPrefix(b[at:], []byte("xref\n0 6\n")) {
		t.Fatalf("the table is not at %d: %v", at, err)
	}
	rows := b[at+len("xref\n0 6\n"):]
	for i := 1; i <= 5; i++ {
		off, err := strconv.Atoi(string(rows[i*20 : i*20+10]))
		if err != nil || !bytes.HasPrefix(b[off:], fmt.Appendf(nil, "%d 0 obj\n", i)) {
			t.Fatalf("object %d is not at %d: %v", i, off, err)
		}
	}
}

// A picture or a letter written twice is the same octets.
func TestComposeIsRepeatable(t *testing.T) {
	t.Parallel()
	c, err := loadCast()
	if err != nil {
		t.Fatal(err)
	}
	a, err := loadLetters(c, now)
	if err != nil {
		t.Fatal(err)
	}
	b, err := loadLetters(c, now)
	if err != nil {
		t.Fatal(err)
	}
	for i, l := range a.list {
		one, err := l.compose()
		if err != nil {
			t.Fatal(l.Key, err)
		}
		two, err := b.list[i].compose()
		if err != nil {
			t.Fatal(l.Key, err)
		}
		if l.Report == nil && !bytes.Equal(one, two) {
			t.Errorf("%s differs", l.Key)
		}
	}
	if len(a.list) < 60 || len(a.list) > 120 {
		t.Errorf("%d letters", len(a.list))
	}
}
