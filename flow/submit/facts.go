package submit

import (
	"bytes"
	"context"
	"html"
	"io"
	"regexp"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/policy"
	"github.com/mohar-mail/mohar/policy/detect"
	"github.com/mohar-mail/mohar/wire/addr"
	"github.com/mohar-mail/mohar/wire/mime"
)

// maxScanned bounds the text of one part that is looked at for markings, in
// octets. Markings stand at the top, at the bottom and in the subject.
const maxScanned = 256 << 10

func (s *Submit) facts(who *Sender, door mohar.Door, label mohar.Label, forward bool) *policy.Facts {
	purpose := policy.Submit
	if forward {
		purpose = policy.AutoForward
	}
	f := &policy.Facts{Time: s.cfg.Clock.Now(), Network: s.cfg.Network, Door: door, Purpose: purpose, Label: label,
		Sender: policy.Sender{Category: who.Category, Clearance: who.Clearance}}
	if len(who.Addresses) > 0 {
		f.Sender.Address = who.Addresses[0]
	}
	return f
}

// addRecipient notes a recipient, and whether the message answers a letter that
// came from it: what the store knows counts, not what the message claims.
func (s *Submit) addRecipient(ctx context.Context, f *policy.Facts, who *Sender, address string, t Target, answers []string) error {
	r := policy.Recipient{Address: address, Class: t.Class}
	if len(answers) > 0 && t.Class != mohar.ClassOwn && t.Class != mohar.ClassGovernment && s.cfg.Answers != nil {
		var err error
		if r.Reply, err = s.cfg.Answers(ctx, who.Account, answers, address); err != nil {
			return err
		}
	}
	f.Recipients = append(f.Recipients, r)
	return nil
}

// addContent looks for classification markings in subject, text and file names.
func (s *Submit) addContent(f *policy.Facts, m *mime.Message) {
	in := detect.Input{Subject: mime.DecodeText(m.Envelope().Subject)}
	walk(m.Root, func(p *mime.Part) {
		if name := p.Filename(); name != "" {
			in.Files = append(in.Files, name)
		}
		if len(in.Text) == 0 && p.Type == "text" && p.Disposition != "attachment" {
			in.Text = textOf(m, p)
		}
	})
	f.Markings = detect.Scan(in)
}

func walk(p *mime.Part, fn func(*mime.Part)) {
	fn(p)
	for _, c := range p.Children {
		walk(c, fn)
	}
}

var (
	breaks = regexp.MustCompile(`(?i)<(br|/p|/div|/tr|/li|/h[1-6])[^>]*>`)
	tags   = regexp.MustCompile(`<[^>]*>`)
)

func textOf(m *mime.Message, p *mime.Part) []byte {
	r := mime.NewUTF8Reader(p.Charset(), mime.DecodeTransfer(p.Encoding, m.Body(p)), maxScanned)
	text, err := io.ReadAll(r)
	if err != nil && len(text) == 0 {
		return nil
	}
	if p.Subtype == "html" {
		text = breaks.ReplaceAll(text, []byte("\n"))
		text = []byte(html.UnescapeString(string(tags.ReplaceAll(text, nil))))
	}
	return bytes.TrimSpace(text)
}

// owns says whether an address is one of the sender's.
func owns(who *Sender, address string) bool {
	m, err := addr.ParseMailbox(address)
	if err != nil {
		return false
	}
	for _, a := range who.Addresses {
		if own, err := addr.ParseMailbox(a); err == nil && own.Key() == m.Key() {
			return true
		}
	}
	return false
}

// ExplainSteps says what the rules make of a message, rule by rule. content may
// be empty.
func (s *Submit) ExplainSteps(ctx context.Context, who *Sender, to []string, label mohar.Label, content []byte) (*policy.Explanation, error) {
	f := s.facts(who, mohar.DoorAdmin, label, false)
	var answers []string
	if len(content) > 0 {
		m := mime.Parse(content)
		if label == mohar.NoLabel {
			var err error
			if f.Label, err = labelOf(m); err != nil {
				return nil, err
			}
		}
		s.addContent(f, m)
		answers = append(mime.MsgIDs(m.Envelope().InReplyTo, mime.MaxReferences), m.References...)
	}
	for _, address := range to {
		t, err := s.cfg.Target(ctx, address)
		if err != nil {
			return nil, err
		}
		if err := s.addRecipient(ctx, f, who, address, t, answers); err != nil {
			return nil, err
		}
	}
	x := policy.Explain(s.rulebook(who), f)
	return &x, nil
}
