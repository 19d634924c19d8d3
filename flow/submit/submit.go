// Package submit takes mail from our own people: it checks who may send as whom,
// asks the policy, signs, and promises the message to the queue.
//
// Owns:      nothing; it writes queue and audit in one transaction.
// Trusts:    the door for who the sender is; nobody for envelope or content.
// May touch: directory, mailbox, policy, queue, audit.
// Standards: RFC 6409; RFC 5321 section 4.4; RFC 8621 section 7.5.
package submit

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"strconv"
	"strings"
	"time"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/audit"
	"github.com/mohar-mail/mohar/base/clock"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/policy"
	"github.com/mohar-mail/mohar/queue"
	"github.com/mohar-mail/mohar/store/body"
	"github.com/mohar-mail/mohar/store/kv"
	"github.com/mohar-mail/mohar/wire/addr"
	"github.com/mohar-mail/mohar/wire/mime"
)

// Sender is who submits.
type Sender struct {
	Account   mohar.AccountID
	Addresses []string // that the account may send as; the first is its own
	Category  mohar.Category
	Clearance mohar.Label
	Lang      string
}

// Submission is one message as a door hands it over.
type Submission struct {
	Sender   Sender
	Door     mohar.Door
	Remote   netip.Addr
	Helo     string
	Protocol string // the "with" of Received: ESMTPSA, JMAP ...
	Envelope mohar.Envelope
	Content  []byte
	// StripBcc removes the Bcc field before the message is sent, RFC 8621 section
	// 7.5; mail programs that speak SMTP do it themselves.
	StripBcc bool
	// Forward says that no person wrote this: a rule sends it on.
	Forward bool
}

// Target is where a recipient's mail goes.
type Target struct {
	Account mohar.AccountID // of ours; "" for another host
	Domain  string          // A-label
	Class   mohar.DomainClass
}

// Config is what a Submit needs.
type Config struct {
	Hostname string
	Queue    *queue.Queue
	Bodies   *body.Bodies
	Clock    clock.Clock
	Log      *slog.Logger
	// Target finds where an address leads and what its domain is to the state.
	// fault.NotFound: a domain of ours without this address.
	Target func(ctx context.Context, address string) (Target, error)
	// Answers says whether a message id is that of a letter which the account got
	// from the address.
	Answers func(ctx context.Context, a mohar.AccountID, messageIDs []string, from string) (bool, error)
	Network policy.Network
	// Rulebook gives the rules that hold for a sender's domain.
	Rulebook func(domain string) *policy.Rulebook
	// Sign gives the DKIM-Signature fields, with line ends, for a domain of ours;
	// nothing where there is no key.
	Sign func(ctx context.Context, domain string, content []byte) ([]byte, error)
	// Staged tells that audit records wait in a shard.
	Staged func(kv.Shard)
}

// Submit is the flow.
type Submit struct{ cfg Config }

// New makes a Submit.
func New(cfg Config) *Submit { return &Submit{cfg: cfg} }

// MayMail says whether the sender may use a reverse-path.
func (s *Submit) MayMail(who *Sender, from string) error {
	if owns(who, from) {
		return nil
	}
	return fault.New(fault.Denied, "submit.MayMail", "You may not send as <"+from+">.")
}

// MayRcpt says whether a recipient can be sent to at all, before the content is
// known.
func (s *Submit) MayRcpt(ctx context.Context, address string) error {
	_, err := s.cfg.Target(ctx, address)
	return err
}

// Explain decides on a message that is still being written: nothing is sent and
// nothing recorded. Recipients that cannot be reached have class unknown.
func (s *Submit) Explain(ctx context.Context, who *Sender, to []string, label mohar.Label, answers []string) (mohar.Decision, []Target, error) {
	facts := s.facts(who, mohar.DoorJMAP, label, false)
	targets := make([]Target, len(to))
	for i, address := range to {
		t, err := s.cfg.Target(ctx, address)
		if err != nil {
			t = Target{Class: mohar.ClassUnknown}
			if fault.Is(err, fault.NotFound) {
				t.Class = mohar.ClassOwn
			}
		}
		targets[i] = t
		if err := s.addRecipient(ctx, facts, who, address, t, answers); err != nil {
			return mohar.Decision{}, nil, err
		}
	}
	return policy.Decide(s.rulebook(who), facts), targets, nil
}

func (s *Submit) rulebook(who *Sender) *policy.Rulebook {
	domain := ""
	if len(who.Addresses) > 0 {
		if m, err := addr.ParseMailbox(who.Addresses[0]); err == nil {
			domain = m.Domain.ASCII
		}
	}
	return s.cfg.Rulebook(domain)
}

// Send checks and promises a message; when it returns an id the message is
// durable. A refusal by policy is fault.Refused with its decision.
func (s *Submit) Send(ctx context.Context, sub *Submission) (queue.ItemID, error) {
	m := mime.Parse(sub.Content)
	if err := s.mayFrom(&sub.Sender, m); err != nil {
		return queue.ItemID{}, err
	}
	if err := s.MayMail(&sub.Sender, sub.Envelope.From); err != nil {
		return queue.ItemID{}, err
	}
	if len(sub.Envelope.To) == 0 {
		return queue.ItemID{}, fault.New(fault.Invalid, "submit.Send", "The message has no recipient.")
	}
	label, err := labelOf(m)
	if err != nil {
		return queue.ItemID{}, err
	}
	decision, targets, err := s.decide(ctx, sub, m, label)
	if err != nil {
		return queue.ItemID{}, err
	}
	switch decision.Verdict {
	case mohar.Allow:
		return s.promise(ctx, sub, m, label, targets, &decision)
	default:
		return queue.ItemID{}, s.refused(ctx, sub, label, &decision)
	}
}

// mayFrom makes sure that the From and Sender fields are the sender's own: what
// colleagues see must be what the server knows.
func (s *Submit) mayFrom(who *Sender, m *mime.Message) error {
	e := m.Envelope()
	if len(e.From) == 0 {
		return fault.New(fault.Invalid, "submit.Send", "The message has no From field.")
	}
	for a := range addr.Singles(append(append([]addr.Address{}, e.From...), e.Sender...)) {
		if spec := a.Spec(); !owns(who, spec) {
			return fault.New(fault.Denied, "submit.Send", "You may not send as <"+spec+">.")
		}
	}
	return nil
}

// labelOf reads the label that the sender gave, NoLabel where there is none. Two
// that differ are refused: nobody could say which one holds.
func labelOf(m *mime.Message) (mohar.Label, error) {
	label := mohar.NoLabel
	for f := range m.Header(m.Root).Fields() {
		if !f.Is("Mohar-Label") {
			continue
		}
		l, err := mohar.ParseLabel(strings.ToLower(strings.TrimSpace(f.Text())))
		if err != nil || label != mohar.NoLabel && l != label {
			return label, fault.New(fault.Invalid, "submit.Send", "The label of the message is not one of open, official, restricted, confidential, secret, top-secret.")
		}
		label = l
	}
	return label, nil
}

func (s *Submit) decide(ctx context.Context, sub *Submission, m *mime.Message, label mohar.Label) (mohar.Decision, []Target, error) {
	facts := s.facts(&sub.Sender, sub.Door, label, sub.Forward)
	s.addContent(facts, m)
	refs := append(mime.MsgIDs(m.Envelope().InReplyTo, mime.MaxReferences), m.References...)
	targets := make([]Target, len(sub.Envelope.To))
	for i, r := range sub.Envelope.To {
		t, err := s.cfg.Target(ctx, r.Address)
		if err != nil {
			return mohar.Decision{}, nil, err
		}
		targets[i] = t
		if err := s.addRecipient(ctx, facts, &sub.Sender, r.Address, t, refs); err != nil {
			return mohar.Decision{}, nil, err
		}
	}
	return policy.Decide(s.rulebook(&sub.Sender), facts), targets, nil
}

// refused records the refusal and gives it to the door.
func (s *Submit) refused(ctx context.Context, sub *Submission, label mohar.Label, d *mohar.Decision) error {
	lane := queue.LaneOf(s.cfg.Queue.NewID())
	rec := s.record(sub, label, "", d)
	if err := s.cfg.Queue.Record(ctx, lane, func(tx *kv.Tx) error { return audit.Stage(tx, rec) }); err != nil {
		return err
	}
	s.staged(lane)
	return fault.Refusal("submit.Send", d)
}

func (s *Submit) staged(shard kv.Shard) {
	if s.cfg.Staged != nil {
		s.cfg.Staged(shard)
	}
}

func (s *Submit) record(sub *Submission, label mohar.Label, id string, d *mohar.Decision) audit.Record {
	detail := map[string]string{"from": sub.Envelope.From, "label": label.String(), "recipients": strconv.Itoa(len(sub.Envelope.To))}
	for i, r := range sub.Envelope.To {
		if i == auditedRecipients {
			break
		}
		detail["to"+strconv.Itoa(i+1)] = r.Address
	}
	return audit.Record{Time: s.cfg.Clock.Now(), Kind: "submit", Actor: sub.Sender.Account, Door: sub.Door,
		Remote: sub.Remote.String(), Object: id, Decision: d, Detail: detail}
}

// auditedRecipients is how many recipients a record names; the count is always
// there.
const auditedRecipients = 10

func (s *Submit) promise(ctx context.Context, sub *Submission, m *mime.Message, label mohar.Label, targets []Target, d *mohar.Decision) (queue.ItemID, error) {
	id := s.cfg.Queue.NewID()
	now := s.cfg.Clock.Now()
	full, err := s.finish(ctx, sub, m, id, now)
	if err != nil {
		return id, err
	}
	w := s.cfg.Bodies.Writer(ctx)
	if _, err := io.Copy(w, bytes.NewReader(full)); err != nil {
		w.Abort()
		return id, err
	}
	st, err := w.Finish()
	if err != nil {
		return id, err
	}
	env := &sub.Envelope
	index, err := mime.Parse(full).AppendBinary(nil)
	if err != nil {
		return id, err
	}
	it := &queue.Item{ID: id, From: env.From, Created: now, Door: sub.Door, Account: sub.Sender.Account, Label: label,
		EnvID: env.EnvID, Ret: env.Ret, EightBit: env.EightBit || has8Bit(full), SMTPUTF8: env.SMTPUTF8, RequireTLS: env.RequireTLS,
		Lang: sub.Sender.Lang, Index: index}
	rcpts := make([]queue.Recipient, len(targets))
	for i, t := range targets {
		r := queue.Recipient{Address: env.To[i].Address, Notify: env.To[i].Notify, ORcpt: env.To[i].ORcpt, Class: queue.Remote, Domain: t.Domain}
		if t.Account != "" {
			r.Account, r.Class = t.Account, queue.Local
		}
		rcpts[i] = r
	}
	err = s.cfg.Queue.Promise(ctx, it, rcpts, st, func(tx *kv.Tx) error {
		return audit.Stage(tx, s.record(sub, label, id.String(), d))
	})
	if err != nil {
		st.Discard(ctx)
		return id, err
	}
	s.staged(queue.LaneOf(id))
	return id, nil
}

// finish gives the content as it is sent: the sender's octets, below a Received
// field, fields that RFC 6409 section 8 lets us add, and our signature.
func (s *Submit) finish(ctx context.Context, sub *Submission, m *mime.Message, id queue.ItemID, now time.Time) ([]byte, error) {
	content := sub.Content
	if sub.StripBcc {
		content = withoutBcc(m)
	}
	_, domain, _ := strings.Cut(sub.Envelope.From, "@")
	var own bytes.Buffer
	fmt.Fprintf(&own, "Received: by %s with %s id %s;\r\n\t%s\r\n", s.cfg.Hostname, sub.Protocol, id, now.Format(time.RFC1123Z))
	if m.Envelope().MessageID == "" {
		fmt.Fprintf(&own, "Message-ID: <%s@%s>\r\n", rand.Text(), domain)
	}
	if m.Envelope().Date == "" {
		fmt.Fprintf(&own, "Date: %s\r\n", now.Format(time.RFC1123Z))
	}
	full := append(own.Bytes(), content...)
	if s.cfg.Sign == nil {
		return full, nil
	}
	signature, err := s.cfg.Sign(ctx, domain, full)
	if err != nil {
		return nil, err
	}
	return append(signature, full...), nil
}

// withoutBcc gives the content without its Bcc fields; every other octet stays.
func withoutBcc(m *mime.Message) []byte {
	head := m.Header(m.Root)
	out := make([]byte, 0, len(m.Content))
	rest := []byte(head)
	skipping := false
	for len(rest) > 0 {
		end := bytes.IndexByte(rest, '\n') + 1
		if end == 0 {
			end = len(rest)
		}
		line := rest[:end]
		rest = rest[end:]
		if line[0] != ' ' && line[0] != '\t' {
			skipping = len(line) >= 4 && strings.EqualFold(string(line[:4]), "bcc:")
		}
		if !skipping {
			out = append(out, line...)
		}
	}
	return append(out, m.Content[m.Root.BodyStart:]...)
}

func has8Bit(b []byte) bool {
	for _, c := range b {
		if c >= 0x80 {
			return true
		}
	}
	return false
}
