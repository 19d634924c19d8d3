package mime

import (
	"strings"
	"testing"
)

// TestBodies has the example of RFC 8621 section 4.1.4; Content-ID names the
// parts as they are named there.
func TestBodies(t *testing.T) {
	t.Parallel()
	leaf := func(id, typ, disposition string) string {
		s := "Content-Type: " + typ + "\r\nContent-ID: " + id + "\r\n"
		if disposition != "" {
			s += "Content-Disposition: " + disposition + "\r\n"
		}
		return s + "\r\nSubject: x\r\n\r\n" + id
	}
	multi := func(sub, b string, parts ...string) string {
		s := "Content-Type: multipart/" + sub + "; boundary=" + b + "\r\n\r\n"
		for _, p := range parts {
			s += "--" + b + "\r\n" + p + "\r\n"
		}
		return s + "--" + b + "--\r\n"
	}
	for _, c := range []struct{ name, in, text, html, attachments string }{
		{"RFC 8621", multi("mixed", "m1",
			leaf("A", "text/plain", "inline"),
			multi("mixed", "m2",
				multi("alternative", "m3",
					multi("mixed", "m4", leaf("B", "text/plain", "inline"), leaf("C", "image/jpeg", "inline"), leaf("D", "text/plain", "inline")),
					multi("related", "m5", leaf("E", "text/html", ""), leaf("F", "image/jpeg", ""))),
				leaf("G", "image/jpeg", "attachment"), leaf("H", "application/x-excel", ""), leaf("J", "message/rfc822", "")),
			leaf("K", "text/plain", "inline")), "A B C D K", "A E K", "C F G H J"},
		{"plain only", leaf("A", "text/plain", ""), "A", "A", ""},
		{"HTML alone in an alternative", multi("alternative", "a", leaf("A", "text/html", "")), "A", "A", ""},
		{"calendar in an alternative", multi("alternative", "a", leaf("A", "text/plain", ""), leaf("B", "text/calendar", "")), "A", "A", "B"},
		{"named text after text", multi("mixed", "a", leaf("A", "text/plain", ""), leaf("B", "text/plain; name=b.txt", "")), "A", "A", "B"},
		{"file alone", leaf("A", "application/pdf", ""), "", "", "A"},
	} {
		m := Parse([]byte(c.in))
		b := m.Bodies()
		ids := func(list []*Part) string {
			var s []string
			for _, p := range list {
				s = append(s, p.ID)
			}
			return strings.Join(s, " ")
		}
		if ids(b.Text) != c.text || ids(b.HTML) != c.html || ids(b.Attachments) != c.attachments {
			t.Errorf("%s: text %q, html %q, attachments %q", c.name, ids(b.Text), ids(b.HTML), ids(b.Attachments))
		}
		if has := m.Flags&HasAttachment != 0; has != (c.attachments != "") {
			t.Errorf("%s: attachment flag %v", c.name, has)
		}
	}
}
