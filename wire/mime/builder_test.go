package mime

import (
	"bytes"
	"io"
	"mime/multipart"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	stdmime "mime"

	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/wire/addr"
)

// counting gives octets 0, 1, 2 ... in the place of randomness.
type counting byte

func (c *counting) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(*c)
		*c++
	}
	return len(p), nil
}

func sample(utf8ok bool) *Builder {
	b := &Builder{UTF8: utf8ok, Rand: new(counting)}
	b.Date("Date", time.Date(2026, 11, 23, 10, 0, 0, 0, time.FixedZone("", 19800)))
	b.Addresses("From", []addr.Address{{Name: "अजय कुमार", Local: "ajay", Domain: "राज्य.example"}})
	b.Addresses("To", []addr.Address{
		{Name: "Kumar, Vijay", Local: "vijay", Domain: "rajya.example"},
		{Kind: addr.GroupStart, Name: "Team"}, {Local: "a b", Domain: "c.example"}, {Local: "d", Domain: "e.example"}, {Kind: addr.GroupEnd},
	})
	b.Addresses("Cc", nil)
	b.Text("Subject", "बजट अनुमान २०२६-२७ के सम्बन्ध में विभागों से प्राप्त टिप्पणियाँ")
	b.IDs("Message-ID", "<1@rajya.example>")
	b.IDs("References", "<a@rajya.example>", "<"+strings.Repeat("b", 70)+"@rajya.example>")
	long := Text("plain", "From here\n.dot\n"+strings.Repeat("word ", 300)+"\nend ")
	b.Body(Multipart("mixed",
		Multipart("alternative", Text("plain", "नमस्ते\nदुनिया\n"), Multipart("related",
			Text("html", "<p>नमस्ते</p>"),
			&Node{Type: "image/png", ID: "<i@x>", Disposition: "inline", Filename: "चित्र.png", Body: []byte{0, 1, 2}, Description: "मुहर", Language: "hi"})),
		long,
		Attachment("बजट अनुमान २०२६-२७ अन्तिम प्रति.pdf", "application/pdf", bytes.Repeat([]byte("PDF"), 100)),
		&Node{Type: "message/rfc822", Body: []byte("Subject: inner\r\n\r\nbody\r\n")},
	))
	return b
}

func TestBuilder(t *testing.T) {
	t.Parallel()
	for name, utf8ok := range map[string]bool{"built-ascii.eml": false, "built-utf8.eml": true} {
		out, err := sample(utf8ok).Bytes()
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(file, out, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if want, err := os.ReadFile(file); err != nil || !bytes.Equal(out, want) {
			t.Errorf("%s differs:\n%s", name, out)
		}
		if utf8ok == isASCIIBytes(out) {
			t.Errorf("%s: ASCII %v", name, !utf8ok)
		}
		for _, line := range strings.SplitAfter(string(out), "\r\n") {
			if len(line) > maxLine+2 || strings.Contains(strings.TrimSuffix(line, "\r\n"), "\n") || !utf8ok && len(line) > 100 {
				t.Errorf("line %q", line)
			}
		}
		m := Parse(out)
		check(t, m)
		if m.Defects != 0 || m.Flags&HasAttachment == 0 || m.Preview != "नमस्ते दुनिया" {
			t.Errorf("%s reads as %s", name, dump(m))
		}
		e := m.Envelope()
		if DecodeText(e.Subject) != "बजट अनुमान २०२६-२७ के सम्बन्ध में विभागों से प्राप्त टिप्पणियाँ" || DecodeText(e.From[0].Name) != "अजय कुमार" || len(e.To) != 5 || len(m.References) != 2 {
			t.Errorf("%s: envelope %+v", name, e)
		}
		if p := m.Root.Find([]int{3}); p == nil || p.Filename() != "बजट अनुमान २०२६-२७ अन्तिम प्रति.pdf" || p.DecodedSize != 300 {
			t.Errorf("%s: attachment %+v", name, p)
		}
		if p := m.Root.Find([]int{2}); p != nil {
			got, _ := io.ReadAll(DecodeTransfer(p.Encoding, m.Body(p)))
			if string(got) != "From here\r\n.dot\r\n"+strings.Repeat("word ", 300)+"\r\nend " {
				t.Errorf("%s: long text %q", name, got)
			}
		}
		if p := m.Root.Find([]int{4}); p == nil || string(m.Body(p)) != "Subject: inner\r\n\r\nbody\r\n" {
			t.Errorf("%s: message part %+v", name, p)
		}
		peerReads(t, out)
	}
}

// peerReads walks the message with the standard library.
func peerReads(t *testing.T, out []byte) {
	t.Helper()
	pm, err := mail.ReadMessage(bytes.NewReader(out))
	if err != nil {
		t.Fatal(err)
	}
	list, err := pm.Header.AddressList("To")
	if err != nil || len(list) != 3 || list[0].Name != "Kumar, Vijay" {
		t.Errorf("the peer reads To as %v, %v", list, err)
	}
	_, params, err := stdmime.ParseMediaType(pm.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for r := multipart.NewReader(pm.Body, params["boundary"]); ; n++ {
		if _, err := r.NextPart(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if n != 4 {
		t.Errorf("the peer sees %d parts", n)
	}
}

func TestBuilderRefuses(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]func(*Builder){
		"line end in a field":   func(b *Builder) { b.Field("Subject", "a\r\nBcc: x@y.example") },
		"bad name":              func(b *Builder) { b.Field("Sub ject", "a") },
		"colon in name":         func(b *Builder) { b.Field("Bcc: x@y.example\nSubject", "a") },
		"UTF-8 in ASCII field":  func(b *Builder) { b.Field("X", "अ") },
		"UTF-8 local part":      func(b *Builder) { b.Addresses("To", []addr.Address{{Local: "अजय", Domain: "b.example"}}) },
		"line end in address":   func(b *Builder) { b.Addresses("To", []addr.Address{{Local: "a\r\nb", Domain: "b.example"}}) },
		"bad domain":            func(b *Builder) { b.Addresses("To", []addr.Address{{Local: "a", Domain: "b>,c"}}) },
		"bad media type":        func(b *Builder) { b.Body(&Node{Type: "text"}) },
		"line end in parameter": func(b *Builder) { b.Body(&Node{Type: "text/plain\r\nX: y"}) },
		"line end in id":        func(b *Builder) { b.Body(&Node{ID: "<a>\r\nX: y"}) },
		"very long word":        func(b *Builder) { b.Field("X", strings.Repeat("a", 1200)) },
	} {
		b := &Builder{}
		f(b)
		if out, err := b.Bytes(); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %q, %v", name, out, err)
		}
	}
	b := &Builder{}
	b.Text("Subject", "a\r\nBcc: x@y.example")
	b.Addresses("To", []addr.Address{{Name: "a\r\nBcc: x@y.example", Local: "a", Domain: "b.example"}})
	b.Body(Attachment("a\r\nX: y", "a/b", nil))
	out, err := b.Bytes()
	m := Parse(out)
	if err != nil || len(m.Envelope().Bcc) != 0 || m.Envelope().Subject != "a  Bcc: x@y.example" {
		t.Errorf("%v: %s", err, out)
	}
}

func TestAppendFieldAndPrepend(t *testing.T) {
	t.Parallel()
	for _, v := range []string{"", "a", strings.Repeat("word ", 40) + "end", "a  two  spaces " + strings.Repeat("x ", 60) + "y", strings.Repeat("a", 200) + " b"} {
		f, err := AppendField(nil, "X-Test", v)
		if err != nil {
			t.Fatal(err)
		}
		content := []byte("Subject: x\nDKIM-Signature:  odd   spacing \n\nbody")
		all := Prepend(content, f, []byte("Return-Path: <>\r\n"))
		if !bytes.HasSuffix(all, content) {
			t.Error("the content was changed")
		}
		got, ok := Header(all).Get("x-test")
		if !ok || got.Text() != v {
			t.Errorf("%q reads as %q", v, got.Text())
		}
		if rp, ok := Header(all).Get("Return-Path"); !ok || rp.Text() != "<>" || string(all[rp.Off:rp.Off+len(rp.Raw)]) != "Return-Path: <>\r\n" {
			t.Errorf("%+v", rp)
		}
	}
}
