package mime

import (
	"bytes"
	"encoding/hex"
	"io"
	stdmime "mime"
	"mime/multipart"
	"net/mail"
	"os"
	"strings"
	"testing"
)

// TestCorpusAgreesWithPeer reads the well-formed messages of the corpus with
// the standard library too.
func TestCorpusAgreesWithPeer(t *testing.T) {
	t.Parallel()
	_, _, content := corpus(t)
	var words stdmime.WordDecoder
	for _, name := range []string{"simple", "hindi-b", "file-names", "nested", "message-root", "encrypted"} {
		m := Parse(content[name])
		if m.Defects != 0 {
			t.Errorf("%s: defects %s", name, m.Defects)
		}
		peer, err := mail.ReadMessage(bytes.NewReader(content[name]))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		subject, err := words.DecodeHeader(peer.Header.Get("Subject"))
		if got := DecodeText(m.Envelope().Subject); err != nil || got != subject {
			t.Errorf("%s: subject %q, peer %q %v", name, got, subject, err)
		}
		body, _ := io.ReadAll(peer.Body)
		if !bytes.Equal(body, m.Body(m.Root)) {
			t.Errorf("%s: the bodies differ", name)
		}
		if m.Root.IsMultipart() {
			samePartsAsPeer(t, name, m, m.Root, body)
		}
	}
}

func samePartsAsPeer(t *testing.T, name string, m *Message, p *Part, body []byte) {
	t.Helper()
	r := multipart.NewReader(bytes.NewReader(body), p.Param("boundary"))
	for i, c := range p.Children {
		part, err := r.NextRawPart()
		if err != nil {
			t.Errorf("%s: part %d: %v", name, i, err)
			return
		}
		b, err := io.ReadAll(part)
		if err != nil || !bytes.Equal(b, m.Body(c)) {
			t.Errorf("%s: part %d is %q, peer %q %v", name, i, m.Body(c), b, err)
		}
		if c.IsMultipart() {
			samePartsAsPeer(t, name, m, c, b)
		}
	}
	if _, err := r.NextRawPart(); err != io.EOF {
		t.Errorf("%s: the peer sees more parts: %v", name, err)
	}
}

// TestStoredForm keeps indexes readable that were stored by another build: a
// change of these octets needs another version.
func TestStoredForm(t *testing.T) {
	t.Parallel()
	_, _, content := corpus(t)
	const file = "testdata/index-v1.txt"
	var out strings.Builder
	for _, name := range []string{"simple", "file-names", "nested", "digest"} {
		b, _ := Parse(content[name]).AppendBinary(nil)
		out.WriteString(name + " " + hex.EncodeToString(b) + "\n")
	}
	if *update {
		if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || string(want) != out.String() {
		t.Errorf("the stored form has changed: %v\n%s", err, out.String())
	}
	for i, w := range knownWords {
		if len(w) < minWord || len(w) > maxKnownWord {
			t.Errorf("known word %q is of a length that is never looked up", w)
		}
		if knownWord(w) != i {
			t.Errorf("known word %q stands twice", w)
		}
	}
}
