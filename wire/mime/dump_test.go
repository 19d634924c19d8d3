package mime

import (
	"fmt"
	"strings"
	"time"

	"github.com/mohar-mail/mohar/wire/addr"
)

// dump writes all that an index holds, for golden files and comparison.
func dump(m *Message) string {
	var b strings.Builder
	fmt.Fprintf(&b, "size %d\n", m.Size)
	if m.Defects != 0 {
		fmt.Fprintf(&b, "defects %s\n", m.Defects)
	}
	names := []string{"attachment", "tnef", "calendar", "signed", "encrypted", "report", "8bit"}
	for i, n := range names {
		if m.Flags&(1<<i) != 0 {
			fmt.Fprintf(&b, "flag %s\n", n)
		}
	}
	if len(m.References) > 0 {
		fmt.Fprintf(&b, "references %q\n", m.References)
	}
	fmt.Fprintf(&b, "preview %q\n", m.Preview)
	dumpPart(&b, m.Root, "")
	return b.String()
}

func dumpPart(b *strings.Builder, p *Part, in string) {
	fmt.Fprintf(b, "%spart %s/%s header %d body %d-%d lines %d decoded %d cte %q\n", in, p.Type, p.Subtype,
		p.HeaderStart, p.BodyStart, p.BodyEnd, p.Lines, p.DecodedSize, p.Encoding)
	in += "  "
	for _, v := range p.Params {
		fmt.Fprintf(b, "%sparam %s=%q\n", in, v.Name, v.Value)
	}
	if p.Disposition != "" {
		fmt.Fprintf(b, "%sdisposition %q\n", in, p.Disposition)
	}
	for _, v := range p.DispParams {
		fmt.Fprintf(b, "%sdisposition %s=%q\n", in, v.Name, v.Value)
	}
	if s := strings.Join([]string{p.ID, p.Description, strings.Join(p.Language, ","), p.Location, p.MD5}, "|"); s != "||||" {
		fmt.Fprintf(b, "%sid|description|language|location|md5 %q\n", in, s)
	}
	if e := p.Envelope; e != nil {
		fmt.Fprintf(b, "%senvelope date %q sent %s\n", in, e.Date, e.Sent.Format(time.RFC3339))
		fmt.Fprintf(b, "%s  subject %q = %q\n", in, e.Subject, DecodeText(e.Subject))
		for _, l := range []struct {
			name string
			list []addr.Address
		}{{"from", e.From}, {"sender", e.Sender}, {"reply-to", e.ReplyTo}, {"to", e.To}, {"cc", e.Cc}, {"bcc", e.Bcc}} {
			for _, a := range l.list {
				fmt.Fprintf(b, "%s  %s %d %q %q @ %q\n", in, l.name, a.Kind, DecodeText(a.Name), a.Local, a.Domain)
			}
		}
		fmt.Fprintf(b, "%s  in-reply-to %q message-id %q\n", in, e.InReplyTo, e.MessageID)
	}
	for _, c := range p.Children {
		dumpPart(b, c, in)
	}
}
