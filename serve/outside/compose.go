package outside

import (
	"bytes"
	"crypto/rand"
	"fmt"
	gomime "mime"
	"mime/quotedprintable"
	"net/mail"
	"strings"
	"time"
)

// compose writes a citizen's plain letter as RFC 5322 content.
func compose(l Letter, now time.Time) []byte {
	var b bytes.Buffer
	from := l.From
	if l.Forge != "" {
		from = l.Forge
	}
	_, domain, _ := strings.Cut(l.From, "@")
	fmt.Fprintf(&b, "From: %s\r\nTo: <%s>\r\n", formatFrom(from), l.To)
	fmt.Fprintf(&b, "Subject: %s\r\n", gomime.QEncoding.Encode("utf-8", l.Subject))
	fmt.Fprintf(&b, "Date: %s\r\nMessage-ID: <%s@%s>\r\n", now.Format(time.RFC1123Z), rand.Text(), domain)
	if l.ReplyTo != nil {
		if id, refs := threadOf(l.ReplyTo.Content); id != "" {
			fmt.Fprintf(&b, "In-Reply-To: %s\r\nReferences: %s\r\n", id, strings.TrimSpace(refs+" "+id))
		}
	}
	b.WriteString("MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n")
	text := strings.ReplaceAll(strings.ReplaceAll(l.Text, "\r\n", "\n"), "\n", "\r\n")
	q := quotedprintable.NewWriter(&b)
	_, _ = q.Write([]byte(text + "\r\n")) // a bytes.Buffer does not fail
	_ = q.Close()
	return b.Bytes()
}

func formatFrom(s string) string {
	if a, err := mail.ParseAddress(s); err == nil {
		return a.String()
	}
	return "<" + s + ">"
}

// threadOf gives Message-ID and References of a message, unfolded.
func threadOf(content []byte) (id, references string) {
	m, err := mail.ReadMessage(bytes.NewReader(content))
	if err != nil {
		return "", ""
	}
	one := func(name string) string { return strings.Join(strings.Fields(m.Header.Get(name)), " ") }
	return one("Message-ID"), one("References")
}
