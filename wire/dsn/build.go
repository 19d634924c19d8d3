package dsn

import (
	"bytes"
	"strings"
	"time"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/wire/addr"
	"github.com/mohar-mail/mohar/wire/mime"
)

// Build writes the report. It goes out with the null reverse-path and is never
// built for a message that had one (RFC 3461 section 6.1 (a)): an empty To is an
// error of kind fault.Invalid, as are a To that cannot be written and a report
// without recipients. A content returned whole keeps its 8-bit octets.
func Build(r *Report) ([]byte, error) {
	if len(r.Recipients) == 0 {
		return nil, fault.New(fault.Invalid, "dsn.Build", "a report needs recipients")
	}
	if r.To == "" {
		return nil, fault.New(fault.Invalid, "dsn.Build", "there is no report about a message with the null path")
	}
	to, err := addr.ParseMailbox(r.To)
	if err != nil {
		return nil, err
	}
	original := mime.Parse(r.Original[:min(len(r.Original), MaxReturned)])
	b := &mime.Builder{UTF8: r.UTF8}
	b.Date("Date", r.Date)
	b.Addresses("From", []addr.Address{r.From})
	b.Addresses("To", []addr.Address{{Local: to.Local, Domain: to.Domain.ASCII}})
	b.Text("Subject", r.subject())
	b.IDs("Message-ID", r.MessageID)
	if ids := mime.MsgIDs(original.Envelope().MessageID, 1); len(ids) == 1 && isASCII(ids[0]) && len(ids[0]) < 500 {
		b.IDs("In-Reply-To", ids[0])
		b.IDs("References", ids[0])
	}
	// RFC 3834 section 5: other programs must not answer a report.
	b.Field("Auto-Submitted", "auto-replied")
	status := "message/delivery-status"
	if r.UTF8 && r.needsUTF8() {
		status = "message/global-delivery-status"
	}
	report := mime.Multipart("report",
		&mime.Node{Type: "text/plain", Language: "hi, en", Body: []byte(r.human())},
		&mime.Node{Type: status, Body: r.fields(status != "message/delivery-status")})
	report.Params = []mime.Param{{Name: "report-type", Value: "delivery-status"}}
	if n := r.returned(original); n != nil {
		report.Children = append(report.Children, n)
	}
	b.Body(report)
	return b.Bytes()
}

// worst is the action that the subject and the first line speak of.
func (r *Report) worst() Action {
	w := Delivered
	for i := range r.Recipients {
		switch a := r.Recipients[i].Action; {
		case a == Failed:
			return Failed
		case a == Delayed:
			w = Delayed
		case a == Relayed && w == Delivered:
			w = Relayed
		}
	}
	return w
}

// heads are the subject and the first sentence of each kind of report.
func heads(a Action) (subject, first mohar.Text) {
	switch a {
	case Failed:
		return mohar.Text{En: "Mail not delivered", Hi: "मेल नहीं पहुँची"},
			mohar.Text{En: "Your message could not be delivered to the recipients below. It will not be tried again.",
				Hi: "आपका संदेश नीचे लिखे प्राप्तकर्ताओं तक नहीं पहुँच सका। दोबारा प्रयास नहीं होगा।"}
	case Delayed:
		return mohar.Text{En: "Mail delayed", Hi: "मेल में विलम्ब"},
			mohar.Text{En: "Your message has not been delivered yet. It is still being tried; you need not send it again.",
				Hi: "आपका संदेश अभी तक नहीं पहुँचा है। प्रयास जारी है; दोबारा भेजने की आवश्यकता नहीं।"}
	case Relayed:
		return mohar.Text{En: "Mail passed on", Hi: "मेल आगे भेजी गई"},
			mohar.Text{En: "Your message was passed to a mail system that does not report delivery.",
				Hi: "आपका संदेश ऐसी मेल व्यवस्था को दिया गया है जो पहुँचने की सूचना नहीं देती।"}
	}
	return mohar.Text{En: "Mail delivered", Hi: "मेल पहुँच गई"},
		mohar.Text{En: "Your message was delivered to the recipients below.", Hi: "आपका संदेश नीचे लिखे प्राप्तकर्ताओं तक पहुँच गया है।"}
}

func (r *Report) subject() string {
	s, _ := heads(r.worst())
	return s.Hi + " / " + s.En
}

// human writes the part for people: Hindi, then English.
func (r *Report) human() string {
	_, first := heads(r.worst())
	var b strings.Builder
	for _, lang := range []string{"hi", "en"} {
		b.WriteString(first.In(lang) + "\n\n")
		for i := range r.recipients() {
			p := &r.Recipients[i]
			b.WriteString("    <" + clean(p.Final, maxDiagnostic) + ">\n")
			if e := p.Explanation.In(lang); e != "" {
				b.WriteString("        " + clean(e, maxDiagnostic) + "\n")
			}
			if p.Diagnostic != "" {
				label := mohar.Text{En: "The other system said: ", Hi: "दूसरी व्यवस्था का उत्तर: "}.In(lang)
				if p.RemoteMTA == "" {
					label = mohar.Text{En: "Reply: ", Hi: "उत्तर: "}.In(lang)
				}
				b.WriteString("        " + label + clean(p.Diagnostic, maxDiagnostic) + "\n")
			}
			if !p.RetryUntil.IsZero() {
				label := mohar.Text{En: "Tried until ", Hi: "प्रयास की अन्तिम सीमा "}.In(lang)
				b.WriteString("        " + label + p.RetryUntil.Format("2006-01-02 15:04 -0700") + "\n")
			}
		}
		b.WriteString("\n")
	}
	b.WriteString("-- \n" + clean(r.ReportingMTA, 255) + "\n")
	return b.String()
}

func (r *Report) recipients() []Recipient {
	return r.Recipients[:min(len(r.Recipients), MaxRecipients)]
}

func (r *Report) needsUTF8() bool {
	for _, p := range r.recipients() {
		if !isASCII(p.Final) || !isASCII(p.Original.Addr) || p.Explanation.Hi != "" || !isASCII(p.Diagnostic) {
			return true
		}
	}
	return false
}

// fields writes the part for programs (RFC 3464 section 2; with global RFC 6533
// section 4.1).
func (r *Report) fields(global bool) []byte {
	w := statusWriter{global: global}
	if r.EnvelopeID != "" {
		w.field("Original-Envelope-Id", r.EnvelopeID)
	}
	w.field("Reporting-MTA", "dns; "+r.ReportingMTA)
	w.date("Arrival-Date", r.Arrival)
	for i := range r.recipients() {
		p := &r.Recipients[i]
		w.b = append(w.b, "\r\n"...)
		if p.Original.Addr != "" {
			w.address("Original-Recipient", p.Original)
		}
		typ := "rfc822"
		if !isASCII(p.Final) {
			typ = "utf-8"
		}
		w.address("Final-Recipient", Address{typ, p.Final})
		w.field("Action", string(p.Action))
		w.field("Status", p.Status)
		if p.RemoteMTA != "" {
			w.field("Remote-MTA", "dns; "+p.RemoteMTA)
		}
		if p.Diagnostic != "" {
			w.field("Diagnostic-Code", "smtp; "+p.Diagnostic)
		}
		if global && p.Explanation.Hi != "" {
			w.field("Localized-Diagnostic", "hi; "+p.Explanation.Hi)
		}
		w.date("Last-Attempt-Date", p.LastAttempt)
		if p.LogID != "" {
			w.field("Final-Log-ID", p.LogID)
		}
		w.date("Will-Retry-Until", p.RetryUntil)
	}
	return w.b
}

// statusWriter writes fields that hold text from outside.
type statusWriter struct {
	b      []byte
	global bool
}

func (w *statusWriter) field(name, value string) {
	value = clean(value, maxDiagnostic)
	if !w.global {
		value = ascii(value)
	}
	out, err := mime.AppendField(w.b, name, value)
	if err != nil {
		// A word too long for a line: it would break the report for all.
		out, _ = mime.AppendField(w.b, name, value[:min(len(value), 500)])
	}
	w.b = out
}

func (w *statusWriter) date(name string, t time.Time) {
	if !t.IsZero() {
		w.field(name, mime.FormatDate(t))
	}
}

// address writes a typed address. RFC 6533 section 3: in message/delivery-status
// a UTF-8 address takes its ASCII form.
func (w *statusWriter) address(name string, a Address) {
	v := a.Addr
	if a.Type == "utf-8" && !w.global {
		v = encodeUnitext(v, false)
	}
	w.field(name, a.Type+"; "+v)
}

// clean makes one line of at most max octets of valid UTF-8 of what came from
// outside: an ORCPT can hold an encoded CR LF, a reply anything.
func clean(s string, max int) string {
	s = strings.ToValidUTF8(s[:min(len(s), max)], "?")
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, s)
}

func ascii(s string) string {
	return strings.Map(func(r rune) rune {
		if r > '~' {
			return '?'
		}
		return r
	}, s)
}

// sendable says that content may stand in a message as it is: message/rfc822
// knows no encoding that would carry NUL or a line beyond RFC 5322 section
// 2.1.1.
func sendable(content []byte) bool {
	if bytes.IndexByte(content, 0) >= 0 {
		return false
	}
	for line := range bytes.Lines(content) {
		if len(line) > 1000 {
			return false
		}
	}
	return true
}

// returned makes the third part: all of the content, or its header (RFC 3464
// section 1, RFC 6533 sections 4.2 and 4.3); nil where there is no content.
func (r *Report) returned(m *mime.Message) *mime.Node {
	if len(r.Original) == 0 {
		return nil
	}
	header := m.Header(m.Root)
	global := !isASCII(string(header))
	if r.ReturnFull && len(r.Original) <= MaxReturned && (!global || r.UTF8) && sendable(r.Original) {
		if global {
			return &mime.Node{Type: "message/global", Body: r.Original}
		}
		return &mime.Node{Type: "message/rfc822", Body: r.Original}
	}
	if len(header) > MaxHeader {
		header = header[:MaxHeader]
		header = header[:bytes.LastIndexByte(header, '\n')+1]
	}
	if global {
		return &mime.Node{Type: "message/global-headers", Body: header}
	}
	return &mime.Node{Type: "text/rfc822-headers", Body: header}
}
