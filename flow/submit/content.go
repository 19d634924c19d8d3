package submit

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/queue"
	"github.com/mohar-mail/mohar/wire/addr"
	"github.com/mohar-mail/mohar/wire/mime"
)

// finish gives the content as it is sent: the sender's octets, below a Received
// field, the fields that RFC 6409 section 8 lets us add, and our signature. The
// signature is of the author's domain, for that is the one which DMARC compares.
func (s *Submit) finish(ctx context.Context, l *letter, id queue.ItemID, now time.Time) ([]byte, error) {
	header := l.message.Header(l.message.Root)
	domain := l.from.Domain.ASCII
	var own bytes.Buffer
	fmt.Fprintf(&own, "Received: by %s with %s id %s;\r\n\t%s\r\n", s.cfg.Hostname, l.Protocol, id, now.Format(time.RFC1123Z))
	if _, ok := header.Get("Message-ID"); !ok {
		fmt.Fprintf(&own, "Message-ID: <%s@%s>\r\n", rand.Text(), domain)
	}
	if _, ok := header.Get("Date"); !ok {
		fmt.Fprintf(&own, "Date: %s\r\n", mime.FormatDate(now))
	}
	full := mime.Prepend(asSent(l), own.Bytes())
	var signature []byte
	if s.cfg.Sign != nil {
		var err error
		if signature, err = s.cfg.Sign(ctx, domain, full); err != nil {
			return nil, err
		}
	}
	if path := l.returnPath(); len(path)+len(signature) > 0 {
		full = mime.Prepend(full, path, signature)
	}
	return full, nil
}

// returnPath gives the Return-Path field, and the sender's standing, where our
// mailboxes are the only ones that get the message: elsewhere the last host writes
// it, RFC 5321 section 4.4.
func (l *letter) returnPath() []byte {
	for _, t := range l.targets {
		if t.Account == "" {
			return nil
		}
	}
	return []byte("Return-Path: <" + l.Envelope.From + ">\r\nMohar-Standing: own\r\n")
}

// asSent gives the content without the fields that must not leave: blind copies
// where the door asks for it, and what only a receiving host may say of a message
// (RFC 5321 section 4.4, RFC 8601 section 5). Every other octet stays.
func asSent(l *letter) []byte {
	content := l.message.Content
	var out []byte
	kept := 0
	for f := range l.message.Header(l.message.Root).Fields() {
		switch strings.ToLower(f.Name) {
		case "bcc", "resent-bcc":
			if !l.StripBcc {
				continue
			}
		case "return-path", "authentication-results", "mohar-standing":
		default:
			continue
		}
		out = append(out, content[kept:f.Off]...)
		kept = f.Off + len(f.Raw)
	}
	if kept == 0 {
		return content
	}
	return append(out, content[kept:]...)
}

// needsUTF8 says that an address of the envelope has no form without SMTPUTF8,
// RFC 6531 section 3.3.
func needsUTF8(env *mohar.Envelope) bool {
	if m, err := addr.ParseMailbox(env.From); err == nil && m.NeedsUTF8() {
		return true
	}
	for _, r := range env.To {
		if m, err := addr.ParseMailbox(r.Address); err == nil && m.NeedsUTF8() {
			return true
		}
	}
	return false
}

func has8Bit(b []byte) bool {
	for _, c := range b {
		if c >= 0x80 {
			return true
		}
	}
	return false
}
