package sample

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/wire/addr"
	"github.com/mohar-mail/mohar/wire/dsn"
	"github.com/mohar-mail/mohar/wire/mime"
)

// arrival is the time between a letter's Date and its delivery.
const arrival = 7 * time.Second

// maxReferences is how many ids a References field names at most; the first one
// stays (RFC 5322 section 3.6.4 sets no bound, lines do).
const maxReferences = 15

// name gives 12 hexadecimal digits that belong to the letter.
func (l *letter) name(what string) string {
	sum := sha256.Sum256([]byte(what + " " + l.Key))
	return hex.EncodeToString(sum[:6])
}

// messageID is the letter's, with its brackets. It does not depend on the time
// of seeding, so that threads form over an interrupted run too.
func (l *letter) messageID() string {
	host := hostname
	if l.Report == nil && l.sender == nil {
		host = "mail." + addrASCII(l.fromAddr.Domain)
	}
	return "<" + l.name("id") + "." + l.name("no") + "@" + host + ">"
}

func addrASCII(domain string) string {
	d, err := addr.ParseDomain(domain)
	if err != nil {
		return domain
	}
	return d.ASCII
}

// references are the ids of the letters before it, oldest first.
func (l *letter) references() []string {
	var ids []string
	for p := l.parent; p != nil; p = p.parent {
		ids = append(ids, p.messageID())
	}
	slices.Reverse(ids)
	if len(ids) > maxReferences {
		ids = append(ids[:1:1], ids[len(ids)-maxReferences+1:]...)
	}
	return ids
}

// compose writes the message once; the result is kept.
func (l *letter) compose() ([]byte, error) {
	if l.content != nil {
		return l.content, nil
	}
	var err error
	if l.Report != nil {
		l.content, err = l.composeReport()
	} else {
		l.content, err = l.composeLetter()
	}
	return l.content, err
}

func (l *letter) composeLetter() ([]byte, error) {
	// Boundaries follow from the key: the same letter is the same octets.
	b := &mime.Builder{UTF8: l.needsUTF8(), Rand: rand.NewChaCha8(sha256.Sum256([]byte(l.Key)))}
	b.Date("Date", l.at)
	b.Addresses("From", []addr.Address{l.fromAddr})
	b.Addresses("To", l.to)
	b.Addresses("Cc", l.cc)
	b.Text("Subject", l.Subject)
	b.IDs("Message-ID", l.messageID())
	if l.parent != nil {
		b.IDs("In-Reply-To", l.parent.messageID())
		b.IDs("References", l.references()...)
	}
	if l.Label != "" {
		b.Field("Mohar-Label", l.Label)
	}
	if l.Urgent {
		b.Field("Importance", "high")
		b.Field("X-Priority", "1")
	}
	if l.ListID != "" {
		b.Field("List-Id", l.ListID)
		b.Field("List-Unsubscribe", "<mailto:"+l.fromAddr.Spec()+"?subject=unsubscribe>")
		b.Field("Precedence", "bulk")
	}
	b.Field("Content-Language", l.lang)
	root, err := l.body()
	if err != nil {
		return nil, err
	}
	b.Body(root)
	return b.Bytes()
}

// needsUTF8 says whether an address can only stand in a UTF-8 header.
func (l *letter) needsUTF8() bool {
	for _, a := range slices.Concat([]addr.Address{l.fromAddr}, l.to, l.cc) {
		if m, err := a.Mailbox(); err != nil || m.NeedsUTF8() {
			return true
		}
	}
	return false
}

// body is text, or text and HTML; with a picture inside the HTML; with files.
func (l *letter) body() (*mime.Node, error) {
	root := mime.Text("plain", l.words())
	var inline, files []*mime.Node
	for i := range l.Attach {
		n, err := l.Attach[i].node()
		if err != nil {
			return nil, err
		}
		if n.ID != "" {
			inline = append(inline, n)
		} else {
			files = append(files, n)
		}
	}
	if l.HTML != "" {
		html := mime.Text("html", l.HTML)
		if len(inline) > 0 {
			html = mime.Multipart("related", append([]*mime.Node{html}, inline...)...)
		}
		root = mime.Multipart("alternative", root, html)
	}
	if len(files) > 0 {
		root = mime.Multipart("mixed", append([]*mime.Node{root}, files...)...)
	}
	return root, nil
}

// words is the plain text with the writer's signature and what is quoted.
func (l *letter) words() string {
	var b strings.Builder
	b.WriteString(strings.TrimSpace(l.Text) + "\n")
	if p := l.sender; p != nil && p.Category != mohar.Application.String() {
		fmt.Fprintf(&b, "\n-- \n%s\n%s\n", text(p.Name).In(l.lang), text(p.Post).In(l.lang))
	}
	if l.Quote && l.parent != nil {
		who := l.parent.fromAddr.Name
		when := l.parent.at.Format("02.01.2006 15:04")
		if l.lang == "hi" {
			fmt.Fprintf(&b, "\n%s को %s ने लिखा:\n", when, who)
		} else {
			fmt.Fprintf(&b, "\nOn %s, %s wrote:\n", when, who)
		}
		for line := range strings.Lines(strings.TrimSpace(l.parent.Text)) {
			b.WriteString(strings.TrimRight("> "+strings.TrimRight(line, "\n"), " ") + "\n")
		}
	}
	return b.String()
}

func (l *letter) composeReport() ([]byte, error) {
	r := l.Report
	original, err := r.about.compose()
	if err != nil {
		return nil, err
	}
	return dsn.Build(&dsn.Report{
		ReportingMTA: hostname, Arrival: r.about.at,
		Recipients: []dsn.Recipient{{Final: r.Final, Action: dsn.Failed, Status: r.Status, RemoteMTA: r.Remote, Diagnostic: r.Diagnostic,
			Explanation: mohar.Text{En: r.En, Hi: r.Hi}, LastAttempt: l.at}},
		From: addr.Address{Name: "Mohar", Local: "postmaster", Domain: stateDomain}, To: r.about.fromAddr.Spec(),
		Date: l.at, MessageID: l.messageID(), Original: original, UTF8: true,
	})
}

// delivered gives the letter as it lies in a recipient's mailbox: below the
// fields that the receiving host adds (RFC 5321 section 4.4, RFC 8601).
func (l *letter) delivered(to *person) ([]byte, error) {
	content, err := l.compose()
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	from, domain := l.fromAddr.Spec(), addrASCII(l.fromAddr.Domain)
	stamp := l.at.Add(arrival).Format(time.RFC1123Z)
	fmt.Fprintf(&b, "Return-Path: <%s>\r\n", from)
	if l.sender != nil {
		fmt.Fprintf(&b, "Received: by %s with ESMTPSA id %s\r\n\tfor <%s>;\r\n\t%s\r\n", hostname, l.name("queue"), to.address(), stamp)
	} else {
		// Hosts of the outside have addresses of RFC 5737.
		host, ip := "mx."+domain, fmt.Sprintf("203.0.113.%d", 10+l.at.Minute())
		fmt.Fprintf(&b, "Received: from %s ([%s])\r\n\tby %s with ESMTPS id %s\r\n\tfor <%s>;\r\n\t%s\r\n", host, ip, hostname, l.name("queue"), to.address(), stamp)
	}
	fmt.Fprintf(&b, "Authentication-Results: %s;\r\n\t%s\r\n", hostname, l.checks(domain, from))
	b.Write(content)
	return b.Bytes(), nil
}

// checks is what the receiving host found out about the sender. Mail of our own
// was written by somebody who had signed in.
func (l *letter) checks(domain, from string) string {
	switch {
	case l.sender != nil:
		return "auth=pass smtp.auth=" + l.sender.address()
	case l.Junk:
		return "spf=fail smtp.mailfrom=" + domain + ";\r\n\tdkim=none;\r\n\tdmarc=fail header.from=" + domain
	}
	return "spf=pass smtp.mailfrom=" + from + ";\r\n\tdkim=pass header.d=" + domain + ";\r\n\tdmarc=pass header.from=" + domain
}
