package mailauth

import (
	"strings"

	"github.com/mohar-mail/mohar/mailauth/dmarc"
	"github.com/mohar-mail/mohar/mailauth/field"
	"github.com/mohar-mail/mohar/wire/dns"
)

const (
	// fieldName is the field of RFC 8601.
	fieldName = "Authentication-Results"
	// maxValue bounds a value that came from the message or the client.
	maxValue = 256
	// maxComment bounds an explanation.
	maxComment = 120
)

// Field gives the whole Authentication-Results field with its final CRLF, to
// stand above the received bytes. authservID is our name, as A-label. What
// comes from outside is quoted or left out, so that nobody writes results of
// his own into it (RFC 8601 section 7.1).
func (r *Result) Field(authservID string) []byte {
	b := &fieldWriter{}
	b.text(fieldName + ": " + authservID)
	if r.Skipped {
		b.text("; none")
		return b.done()
	}
	b.result("spf", string(r.SPF.Status))
	b.comment(r.SPF.Reason)
	if r.SPF.HELO {
		b.property("smtp.helo", r.SPF.Domain)
	} else {
		b.property("smtp.mailfrom", mailbox(r.SPF.Sender, r.SPF.Domain))
	}
	if len(r.DKIM) == 0 {
		b.result("dkim", "none")
		b.comment("no signature")
	}
	for _, d := range r.DKIM {
		b.result("dkim", string(d.Status))
		b.comment(d.Reason)
		b.property("header.d", d.Domain)
		b.property("header.i", identifier(d.Identifier))
		b.property("header.s", d.Selector)
		b.property("header.a", d.Algorithm)
		b.property("header.b", d.Signature)
	}
	b.result("dmarc", string(r.DMARC.Status))
	if r.DMARC.Record != nil {
		b.comment("p=" + string(r.DMARC.Want) + " dis=" + string(r.DMARC.Do))
	}
	from := r.DMARC.From
	if from == "" && len(r.FromDomains) > 0 {
		from = r.FromDomains[0]
	}
	b.property("header.from", from)
	return b.done()
}

// Rejects says whether the owner of the From domain wants the message refused.
func (r *Result) Rejects() bool { return r.DMARC.Do == dmarc.PolicyReject }

// mailbox gives the reverse-path for the field: whole where it is ASCII, else
// its domain alone, since a field of a message that need not be
// internationalised must not be either (RFC 8616 section 5).
func mailbox(sender, domain string) string {
	at := strings.LastIndexByte(sender, '@')
	if at < 0 || domain == "" {
		return ""
	}
	local := sender[:at]
	for i := 0; i < len(local); i++ {
		if c := local[i]; c <= ' ' || c >= 0x7f || c == '"' || c == '\\' {
			return domain
		}
	}
	return local + "@" + domain
}

// identifier gives i= with its domain as A-label.
func identifier(s string) string {
	at := strings.LastIndexByte(s, '@')
	if at < 0 {
		return ""
	}
	d, err := dns.Canonical(s[at+1:])
	if err != nil {
		return ""
	}
	if m := mailbox(s, d); at > 0 && m != d {
		return m
	}
	return "@" + d
}

// fieldWriter writes the field, one result a line.
type fieldWriter struct{ b strings.Builder }

func (w *fieldWriter) text(s string) { w.b.WriteString(s) }

func (w *fieldWriter) result(method, status string) {
	w.b.WriteString(";\r\n\t" + method + "=" + status)
}

// comment writes an explanation in parentheses; only plain words survive.
func (w *fieldWriter) comment(s string) {
	if s == "" {
		return
	}
	clean := strings.Map(func(r rune) rune {
		switch {
		case r == '(' || r == ')' || r == '\\' || r < ' ' || r >= 0x7f:
			return ' '
		}
		return r
	}, s)
	w.b.WriteString("\r\n\t (" + clean[:min(len(clean), maxComment)] + ")")
}

// property writes name=value, the value quoted where it is no token of
// RFC 2045; a value with controls or beyond ASCII is left out.
func (w *fieldWriter) property(name, value string) {
	if value == "" || len(value) > maxValue {
		return
	}
	quote := false
	for i := 0; i < len(value); i++ {
		c := value[i]
		switch {
		case c < ' ' || c >= 0x7f:
			return
		case strings.IndexByte(` ()<>,;:\"/[]?=`, c) >= 0:
			quote = true
		}
	}
	if quote {
		value = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value) + `"`
	}
	w.b.WriteString("\r\n\t " + name + "=" + value)
}

func (w *fieldWriter) done() []byte {
	w.b.WriteString("\r\n")
	return []byte(w.b.String())
}

// FindForged gives the Authentication-Results fields of a received header that
// claim to be ours: those whose authserv-id is authservID, whatever its case or
// disguise in comments and quotes (RFC 8601 section 5).
func FindForged(header []byte, authservID string) []field.Field {
	var out []field.Field
	for f := range field.All(header) {
		if f.Is(fieldName) && claims(string(f.Value()), authservID) {
			out = append(out, f)
		}
	}
	return out
}

// claims reads the authserv-id, the first word of the value after comments and
// folding, quoted or not.
func claims(value, authservID string) bool {
	depth, quoted := 0, false
	var id strings.Builder
	for i := 0; i < len(value) && id.Len() <= len(authservID)+1; i++ {
		c := value[i]
		switch {
		case c == '\\' && (quoted || depth > 0):
			if i++; quoted && i < len(value) {
				id.WriteByte(value[i])
			}
		case quoted:
			if quoted = c != '"'; quoted {
				id.WriteByte(c)
			}
		case c == '(':
			depth++
		case depth > 0:
			if c == ')' {
				depth--
			}
		case c == '"':
			quoted = true
		case c == ';':
			i = len(value)
		case c == ' ' || c == '\t' || c == '\r' || c == '\n':
			if id.Len() > 0 {
				i = len(value) // the version may follow
			}
		default:
			id.WriteByte(c)
		}
	}
	got, err := dns.Canonical(id.String())
	if err != nil {
		return false
	}
	return got == strings.ToLower(strings.TrimSuffix(authservID, "."))
}
