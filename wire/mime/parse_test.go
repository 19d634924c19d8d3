package mime

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/mohar-mail/mohar/base/fault"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const corpusFile = "testdata/messages.txtar"

// corpus gives the messages of the golden file by name.
func corpus(t testing.TB) (a *txtar.Archive, names []string, content map[string][]byte) {
	t.Helper()
	a, err := txtar.ParseFile(corpusFile)
	if err != nil {
		t.Fatal(err)
	}
	content = map[string][]byte{}
	for _, f := range a.Files {
		name, ext, _ := strings.Cut(f.Name, ".")
		switch ext {
		case "eml":
			content[name] = bytes.ReplaceAll(f.Data, []byte("\n"), []byte("\r\n"))
		case "lf":
			content[name] = f.Data
		default:
			continue
		}
		names = append(names, name)
	}
	return a, names, content
}

func TestCorpus(t *testing.T) {
	t.Parallel()
	a, names, content := corpus(t)
	want := map[string]string{}
	for _, f := range a.Files {
		if name, ok := strings.CutSuffix(f.Name, ".want"); ok {
			want[name] = string(f.Data)
		}
	}
	out := &txtar.Archive{Comment: a.Comment}
	for _, name := range names {
		m := Parse(content[name])
		check(t, m)
		got := dump(m)
		if got != want[name] && !*update {
			t.Errorf("%s:\ngot\n%s\nwant\n%s", name, got, want[name])
		}
		for _, f := range a.Files {
			if f.Name == name+".eml" || f.Name == name+".lf" {
				out.Files = append(out.Files, f, txtar.File{Name: name + ".want", Data: []byte(got)})
			}
		}
	}
	if *update {
		if err := os.WriteFile(corpusFile, txtar.Format(out), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// check holds for every message whatever.
func check(t *testing.T, m *Message) {
	t.Helper()
	parts, bad := 0, false
	fail := func(p *Part, what string) {
		bad = true
		t.Errorf("%s: %+v", what, p)
	}
	var walk func(p *Part, from, to int64, depth int)
	walk = func(p *Part, from, to int64, depth int) {
		parts++
		if bad {
			return
		}
		if p.HeaderStart < from || p.BodyStart < p.HeaderStart || p.BodyEnd < p.BodyStart || p.BodyEnd > to {
			fail(p, fmt.Sprintf("not within [%d,%d)", from, to))
			return
		}
		if depth > MaxDepth {
			fail(p, "too deep")
		}
		if p.IsMultipart() != (len(p.Children) > 0 && !p.IsMessage()) {
			fail(p, "a multipart without children, or children of none")
		}
		body := m.Body(p)
		if n := int64(bytes.Count(body, []byte("\n"))); n != p.Lines {
			fail(p, fmt.Sprintf("lines should be %d", n))
		}
		if len(p.Children) == 0 {
			if n, _ := io.Copy(io.Discard, DecodeTransfer(p.Encoding, body)); n != p.DecodedSize {
				fail(p, fmt.Sprintf("decoded size should be %d", n))
			}
		}
		from = p.BodyStart
		for _, c := range p.Children {
			walk(c, from, p.BodyEnd, depth+1)
			from = c.BodyEnd
		}
	}
	walk(m.Root, 0, int64(len(m.Content)), 0)
	if parts > MaxParts+1 {
		t.Errorf("%d parts", parts)
	}
	b, err := m.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	x, err := DecodeIndex(b)
	if err != nil {
		t.Fatalf("DecodeIndex: %v", err)
	}
	want := dump(m)
	if got := dump(&Message{m.Content, *x}); got != want {
		t.Errorf("stored index differs:\n%s\nfrom\n%s", got, want)
	}
	s, err := DecodeSummary(b)
	if err != nil || s.Preview != m.Preview || s.Flags != m.Flags {
		t.Errorf("summary: %+v, %v", s, err)
	}
	e, err := DecodeEnvelope(b)
	if err != nil || e.Subject != m.Envelope().Subject || len(e.To) != len(m.Envelope().To) || e.MessageID != m.Envelope().MessageID {
		t.Errorf("envelope: %+v, %v", e, err)
	}
	if strings.ContainsAny(m.Preview, "\r\n\x00") || len([]rune(m.Preview)) > PreviewRunes {
		t.Errorf("preview %q", m.Preview)
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	_, _, content := corpus(t)
	for _, c := range []struct {
		name string
		path []int
		want string
	}{
		{"simple", nil, "text/plain"}, {"simple", []int{1}, "text/plain"}, {"simple", []int{1, 1}, ""}, {"simple", []int{2}, ""},
		{"nested", []int{1, 1}, "text/plain"}, {"nested", []int{1, 2, 2}, "image/gif"}, {"nested", []int{2}, "message/rfc822"},
		{"nested", []int{2, 1}, "text/plain"}, {"nested", []int{2, 2}, "text/calendar"}, {"nested", []int{2, 3}, ""}, {"nested", []int{0}, ""},
		{"nested", []int{1, 1, 1}, ""},
		{"message-root", []int{1}, "message/rfc822"}, {"message-root", []int{1, 1}, "text/plain"}, {"message-root", []int{1, 1, 1}, ""},
		{"digest", []int{1, 1}, "text/plain"}, {"digest", []int{2}, "text/plain"},
	} {
		p := Parse(content[c.name]).Root.Find(c.path)
		got := ""
		if p != nil {
			got = p.MediaType()
		}
		if got != c.want {
			t.Errorf("%s %v: %q, want %q", c.name, c.path, got, c.want)
		}
	}
}

// TestHostile has what breaks parsers. Time is not measured: a parser that is
// worse than linear would not come to the end of these within the test's limit.
func TestHostile(t *testing.T) {
	t.Parallel()
	nest := func(depth int, closed bool) string {
		var b strings.Builder
		for i := range depth {
			fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
		}
		b.WriteString("\r\ndeep\r\n")
		for i := depth - 1; i >= 0 && closed; i-- {
			fmt.Fprintf(&b, "--b%d--\r\n", i)
		}
		return b.String()
	}
	many := "Content-Type: multipart/mixed; boundary=x\r\n\r\n"
	messages := strings.Repeat("Content-Type: message/rfc822\r\n\r\n", 10_000) + "\r\nx"
	for _, c := range []struct {
		name, in string
		defects  Defect
	}{
		{"empty", "", 0},
		{"one line end", "\r\n", 0},
		{"only LF", "\n", DefectBareLF},
		{"only CR", "\r", 0},
		{"NUL", "Sub\x00ject: x\r\nSubject: a\x00b\r\n\r\nc\x00d", DefectNUL | DefectGarbageField},
		{"bare LF", "Subject: x\nTo: y@z\n\nbody\n", DefectBareLF},
		{"bare CR in field", "Subject: x\rBcc: y@z\r\n\r\n", 0},
		{"22 unclosed", nest(22, false), DefectUnclosed},
		{"10,000 unclosed", nest(10_000, false), DefectDepth | DefectUnclosed},
		{"10,000 closed", nest(10_000, true), DefectDepth},
		{"10,000 messages", messages, DefectDepth},
		{"100,000 parts", many + strings.Repeat("--x\r\n\r\na\r\n", 100_000) + "--x--\r\n", DefectParts | DefectUnclosed},
		{"100,000 empty parts", many + strings.Repeat("--x\r\n", 100_000), DefectParts | DefectUnclosed | DefectNoBlankLine},
		{"10 MB field", "Subject: " + strings.Repeat("a", 10<<20) + "\r\n\r\nbody", DefectHeaderSize},
		{"10 MB of fields", strings.Repeat("a:\r\n", 10<<18) + "\r\nbody", DefectHeaderSize},
		{"10 MB of folds", "To: a@b\r\n" + strings.Repeat(" ,\r\n", 10<<18) + "\r\nbody", DefectHeaderSize},
		{"10 MB rubbish", "a: b\r\n" + strings.Repeat("zz\r\n", 10<<18) + "\r\nbody", DefectHeaderSize | DefectGarbageField},
		{"10 MB near delimiters", many + "--x\r\n\r\n" + strings.Repeat("--y\r\n", 1<<21) + "--x--", 0},
		{"10 MB delimiter line", many + "--" + strings.Repeat("x", 10<<20) + "\r\n", DefectEmptyMulti | DefectUnclosed},
		{"10 MB padding", many + "--x\r\n\r\na\r\n--x" + strings.Repeat(" ", 10<<20) + "\r\n", DefectUnclosed},
		{"parameters", "Content-Type: text/plain" + strings.Repeat("; a*1=x", 20_000) + "\r\n\r\n", DefectParams},
		{"same parameter", "Content-Type: text/plain; charset=a; charset=b\r\n\r\n", DefectParams},
		{"references", "References: " + strings.Repeat("<a@b>", 10_000) + "\r\n\r\n", DefectTooManyValues},
		{"recipients", "To: " + strings.Repeat("a@b,", 10_000) + "\r\n\r\n", DefectTooManyValues},
		{"long boundary", "Content-Type: multipart/mixed; boundary=" + strings.Repeat("b", 80) + "\r\n\r\n--" + strings.Repeat("b", 80) + "--", DefectLongBoundary | DefectEmptyMulti},
		{"longer boundary", "Content-Type: multipart/mixed; boundary=" + strings.Repeat("b", 300) + "\r\n\r\n", DefectNoBoundary},
		{"html", "Content-Type: text/html\r\n\r\n" + strings.Repeat("</style <", 1<<18) + strings.Repeat("<style>", 1<<16), 0},
		{"encoded words", "Subject: " + strings.Repeat("=?a?b?", 10_000) + "\r\n\r\n", 0},
	} {
		m := Parse([]byte(c.in))
		if m.Defects != c.defects {
			t.Errorf("%s: defects %q, want %q", c.name, m.Defects, c.defects)
		}
		check(t, m)
	}
}

// TestWork counts what Parse allocates: it may grow with the parts, never with
// their octets. It runs alone, because the count is of the whole process.
func TestWork(t *testing.T) {
	body := strings.Repeat(strings.Repeat("A", 76)+"\r\n", 50_000)
	for _, in := range []string{
		"Content-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n" + body,
		"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\n" + body + "--x--\r\n",
		"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: text/html\r\n\r\n" + strings.Repeat("--x y\r\n<p>", 400_000) + "--x--\r\n",
	} {
		content := []byte(in)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		Parse(content)
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 256<<10 {
			t.Errorf("%d octets allocated for %d of content", n, len(content))
		}
	}
}

func TestDecodeIndexDamaged(t *testing.T) {
	t.Parallel()
	_, names, content := corpus(t)
	for _, name := range names {
		b, _ := Parse(content[name]).AppendBinary(nil)
		for i := range b {
			if _, err := DecodeIndex(b[:i]); err == nil {
				t.Fatalf("%s: cut at %d of %d is accepted", name, i, len(b))
			}
		}
	}
	if _, err := DecodeIndex([]byte{indexVersion + 1}); !fault.Is(err, fault.Unsupported) {
		t.Errorf("other version: %v", err)
	}
	if _, err := DecodeEnvelope(nil); !fault.Is(err, fault.Corrupt) {
		t.Errorf("empty: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	_, names, content := corpus(f)
	for _, n := range names {
		f.Add(content[n])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		check(t, Parse(b))
		if !bytes.Equal(before, b) {
			t.Fatal("content was changed")
		}
	})
}

func FuzzDecodeIndex(f *testing.F) {
	_, names, content := corpus(f)
	for _, n := range names {
		b, _ := Parse(content[n]).AppendBinary(nil)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := DecodeIndex(b)
		if err != nil {
			return
		}
		again, _ := x.AppendBinary(nil)
		y, err := DecodeIndex(again)
		if err != nil || dump(&Message{nil, *x}) != dump(&Message{nil, *y}) {
			t.Fatalf("not stable: %v\n%s\n%s", err, dump(&Message{nil, *x}), dump(&Message{nil, *y}))
		}
	})
}
