package mailbox

import (
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/wire/mime"
)

// Parse reads the structure of a message's content.
func Parse(content []byte) (Content, error) {
	m := mime.Parse(content)
	index, err := m.Index.AppendBinary(nil)
	if err != nil {
		return Content{}, fault.Wrap(err, fault.Invalid, "mailbox.Parse", "The structure of the message cannot be kept.")
	}
	return describe(&m.Index, index), nil
}

// ContentOf reads an index that was made before.
func ContentOf(index []byte) (Content, error) {
	x, err := mime.DecodeSummary(index)
	if err != nil {
		return Content{}, fault.Wrap(err, fault.Corrupt, "mailbox.ContentOf", "A stored record cannot be read.")
	}
	return describe(x, index), nil
}

func describe(x *mime.Index, index []byte) Content {
	c := Content{Index: index}
	e := x.Envelope()
	if e == nil {
		return c
	}
	c.MessageID = e.MessageID
	c.Subject = mime.DecodeText(e.Subject)
	c.References = append(c.References, mime.MsgIDs(e.InReplyTo, MaxReferences)...)
	c.References = append(c.References, x.References...)
	return c
}

// messageIDOf gives the message id that an index holds, or "".
func messageIDOf(index []byte) string {
	c, err := ContentOf(index)
	if err != nil {
		return ""
	}
	return c.MessageID
}

// threadHashes gives the keys under which an email was entered for threading.
func threadHashes(index []byte) [][12]byte {
	c, err := ContentOf(index)
	if err != nil {
		return nil
	}
	var out [][12]byte
	for _, id := range c.threadIDs() {
		out = append(out, hashThread(id, c.Subject))
	}
	return out
}

// threadIDs are the message ids by which an email looks for its thread: its own
// and the first it refers to, then the newest ones.
func (c *Content) threadIDs() []string {
	ids := make([]string, 0, 1+len(c.References))
	for _, id := range append([]string{c.MessageID}, c.References...) {
		if id != "" {
			ids = append(ids, id)
		}
	}
	if len(ids) > MaxReferences {
		ids = append(ids[:2:2], ids[len(ids)-(MaxReferences-2):]...)
	}
	return ids
}
