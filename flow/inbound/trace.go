package inbound

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/queue"
	"github.com/mohar-mail/mohar/wire/mime"
)

// trace writes Return-Path and Received, RFC 5321 section 4.4. The recipient is
// named only where it is the only one, so that nobody learns of blind copies.
func (in *Inbound) trace(a *Arrival, env *mohar.Envelope, id queue.ItemID, now time.Time) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "Return-Path: <%s>\r\n", oneLine(env.From))
	from := "unknown"
	if a.Remote.IsValid() {
		from = a.Remote.WithZone("").String()
		if a.Remote.Is6() {
			from = "IPv6:" + from
		}
	}
	literal := "[" + from + "]"
	helo := oneLine(a.Helo)
	if helo == "" {
		helo = literal
	}
	fmt.Fprintf(&b, "Received: from %s (%s)\r\n\tby %s with %s id %s", helo, literal, in.cfg.Hostname, a.Protocol, id)
	if len(env.To) == 1 {
		fmt.Fprintf(&b, "\r\n\tfor <%s>", oneLine(env.To[0].Address))
	}
	if a.TLS != "" {
		fmt.Fprintf(&b, "\r\n\t(%s)", oneLine(a.TLS))
	}
	fmt.Fprintf(&b, ";\r\n\t%s\r\n", now.Format(time.RFC1123Z))
	return b.Bytes()
}

// oneLine keeps what a stranger said within the line it is put into. The engine
// refuses control characters in commands; a field must not depend on it.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, s)
}

// hops counts the Received fields of the header.
func hops(content []byte) int {
	n := 0
	for f := range mime.Header(content).Fields() {
		if f.Is("Received") {
			if n++; n > MaxReceived {
				break
			}
		}
	}
	return n
}

// standingField tells our readers what a sender is to the state. Only we write it.
const standingField = "Mohar-Standing"

// withoutForged cuts out what only we may say of a message: our own
// Authentication-Results (RFC 8601 section 5) and the sender's standing. Whoever
// reads the mail would take a stranger's word for ours. Every other octet stays;
// without such a field it is content itself.
func withoutForged(content []byte, hostname string) []byte {
	var out []byte
	kept := 0
	for f := range mime.Header(content).Fields() {
		if f.Is(standingField) || f.Is("Authentication-Results") && strings.EqualFold(strings.TrimSuffix(authservID(f.Text()), "."), hostname) {
			out = append(out, content[kept:f.Off]...)
			kept = f.Off + len(f.Raw)
		}
	}
	if kept == 0 {
		return content
	}
	return append(out, content[kept:]...)
}

// authservID gives the first word of an Authentication-Results value, comments
// before it skipped (RFC 8601 section 2.2).
func authservID(v string) string {
	v = strings.TrimLeft(v, " \t")
	for strings.HasPrefix(v, "(") {
		depth, end := 0, len(v)
		for i := 0; i < len(v); i++ {
			switch v[i] {
			case '\\':
				i++
			case '(':
				depth++
			case ')':
				depth--
			}
			if depth == 0 {
				end = i + 1
				break
			}
		}
		v = strings.TrimLeft(v[min(end, len(v)):], " \t")
	}
	if q, ok := strings.CutPrefix(v, `"`); ok {
		word, _, _ := strings.Cut(q, `"`)
		return strings.ReplaceAll(word, `\`, "")
	}
	if i := strings.IndexAny(v, " \t;("); i >= 0 {
		v = v[:i]
	}
	return v
}
