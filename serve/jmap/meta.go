package jmap

import (
	"strings"

	"github.com/mohar-mail/mohar/mailbox"
	wire "github.com/mohar-mail/mohar/wire/jmap"
)

// showMeta fills o with what the store knows of an email.
func showMeta(props []string, o map[string]any, e *mailbox.Email, en *mailbox.Entry) {
	for _, p := range props {
		switch p {
		case "blobId":
			o[p] = messageBlob(e.ID)
		case "threadId":
			o[p] = e.Thread.String()
		case "mailboxIds":
			ids := map[string]bool{}
			for _, pl := range e.Places {
				ids[pl.Mailbox.String()] = true
			}
			o[p] = ids
		case "keywords":
			set := map[string]bool{}
			if en != nil {
				for _, k := range keywordsOf(en) {
					set[k] = true
				}
			}
			o[p] = set
		case "size":
			o[p] = e.Size
		case "receivedAt":
			o[p] = wire.UTCDate(e.Received)
		}
	}
}

// systemKeywords pairs the flags with their keywords (RFC 8621 section 4.1.1).
// \Deleted has none: it belongs to IMAP alone.
func systemKeywords() []struct {
	flag mailbox.Flags
	name string
} {
	return []struct {
		flag mailbox.Flags
		name string
	}{{mailbox.Draft, "$draft"}, {mailbox.Seen, "$seen"}, {mailbox.Flagged, "$flagged"}, {mailbox.Answered, "$answered"}}
}

// keywordsOf lists the keywords of an entry, the system's first.
func keywordsOf(e *mailbox.Entry) []string {
	var out []string
	for _, s := range systemKeywords() {
		if e.Flags&s.flag != 0 {
			out = append(out, s.name)
		}
	}
	return append(out, e.Keywords...)
}

// splitKeywords turns keywords into flags and the rest.
func splitKeywords(words []string) (flags mailbox.Flags, rest []string) {
next:
	for _, w := range words {
		w = strings.ToLower(w)
		for _, s := range systemKeywords() {
			if s.name == w {
				flags |= s.flag
				continue next
			}
		}
		rest = append(rest, w)
	}
	return flags, rest
}
