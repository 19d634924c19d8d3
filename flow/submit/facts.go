package submit

import (
	"bytes"
	"context"
	"html"
	"io"
	"regexp"
	"slices"
	"strings"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/policy"
	"github.com/mohar-mail/mohar/policy/detect"
	"github.com/mohar-mail/mohar/wire/mime"
)

// Bounds of the text that is looked at for markings, in octets. Markings stand at
// the top and at the bottom of a text.
const (
	maxScanned    = 256 << 10 // of one part
	maxScannedAll = 1 << 20   // of a message
)

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

// maxAnswers is how many message ids are looked up to find what a message
// answers: each costs a look into the store for each recipient outside.
const maxAnswers = 20

// answersOf gives the message ids that a message says it answers: In-Reply-To,
// then the newest of References.
func answersOf(m *mime.Message) []string {
	ids := mime.MsgIDs(m.Envelope().InReplyTo, maxAnswers)
	for _, id := range slices.Backward(m.References) {
		if len(ids) == maxAnswers {
			break
		}
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// addContent looks for classification markings in subjects, texts and file names,
// of the message and of those that are attached to it. The label of an attached
// message counts as a marking: to send it on under a lower one would take it off.
func (s *Submit) addContent(f *policy.Facts, m *mime.Message) {
	found := map[detect.Place]mohar.Label{}
	scan := func(in detect.Input) {
		for _, k := range detect.Scan(in) {
			found[k.Place] = max(found[k.Place], k.Label)
		}
	}
	var files []string
	left := int64(maxScannedAll)
	walk(m.Root, func(p *mime.Part) {
		if name := p.Filename(); name != "" {
			files = append(files, name)
		}
		if p.Envelope != nil {
			scan(detect.Input{Subject: mime.DecodeText(p.Envelope.Subject)})
		}
		if p.Envelope != nil && p != m.Root {
			found[detect.Top] = max(found[detect.Top], attachedLabel(m.Header(p)))
		}
		if p.Type == "text" && left > 0 {
			text := textOf(m, p, min(left, maxScanned))
			left -= int64(len(text))
			scan(detect.Input{Text: text})
		}
	})
	scan(detect.Input{Files: files})
	for _, place := range []detect.Place{detect.Subject, detect.Top, detect.Bottom, detect.FileName} {
		if l := found[place]; l != mohar.NoLabel {
			f.Markings = append(f.Markings, detect.Marking{Label: l, Place: place})
		}
	}
}

// attachedLabel gives the highest label in a header of an attached message.
func attachedLabel(h mime.Header) mohar.Label {
	high := mohar.NoLabel
	for f := range h.Fields() {
		if f.Is(labelField) {
			if l, err := mohar.ParseLabel(strings.ToLower(f.Text())); err == nil {
				high = max(high, l)
			}
		}
	}
	return high
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

func textOf(m *mime.Message, p *mime.Part, limit int64) []byte {
	r := mime.NewUTF8Reader(p.Charset(), mime.DecodeTransfer(p.Encoding, m.Body(p)), limit)
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
		answers = answersOf(m)
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
