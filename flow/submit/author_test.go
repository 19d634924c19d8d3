package submit

import (
	"net/mail"
	"strings"
	"testing"

	"github.com/mohar-mail/mohar/wire/mime"
)

// FuzzAuthor: what another reader of mail takes for the author of a message that
// was let pass is the sender; and what is sent holds no blind copy.
func FuzzAuthor(f *testing.F) {
	for _, s := range []string{
		"From: a@x.example\r\n\r\n", "From: \"b@x.example\" <a@x.example>\r\nBcc: b@x.example\r\n y\r\n\r\n", "From: G: a@x.example;\r\n\r\n",
		"From: a@x.example\r\nSender: b@x.example\r\n\r\n", "From : a@x.example\r\nFROM: b@x.example\r\n\r\n", "From: a@x.example (b@x.example)\r\n\r\n",
		"From: <@b.example:a@x.example>\r\n\r\n", "From: =?utf-8?q?b=40x.example?= <a@x.example>, <a@x.example>\r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	who := &Sender{Account: "a", Addresses: []string{"a@x.example"}}
	f.Fuzz(func(t *testing.T, content []byte) {
		m := mime.Parse(content)
		from, err := mayFrom(who, m)
		if err != nil {
			return
		}
		if from.Key() != "a@x.example" {
			t.Fatalf("author %q", from)
		}
		out := asSent(&letter{Submission: &Submission{StripBcc: true}, message: m, from: from})
		for f := range mime.Header(out).Fields() {
			if f.Is("Bcc") || f.Is("Resent-Bcc") || f.Is("Return-Path") {
				t.Fatalf("sent %q", out)
			}
		}
		msg, err := mail.ReadMessage(strings.NewReader(string(out)))
		if err != nil {
			return
		}
		for _, name := range []string{"From", "Sender"} {
			list, err := msg.Header.AddressList(name)
			if err != nil {
				continue
			}
			for _, a := range list {
				if !owns(who, a.Address) {
					t.Fatalf("%s is %q for another reader", name, a.Address)
				}
			}
		}
	})
}
