// Package submit takes mail from our own people: it checks who may send as whom,
// asks the policy, signs, and promises the message to the queue.
//
// Owns:      nothing; it writes queue and audit in one transaction.
// Trusts:    the door for who the sender is; nobody for envelope or content.
// May touch: directory, mailbox, policy, queue, audit.
// Standards: RFC 6409; RFC 5321 section 4.4; RFC 8621 section 7.5.
package submit

import (
	"context"
	"io"
	"log/slog"
	"net/netip"
	"strconv"
	"strings"

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

// Read takes a content of at most limit octets into memory, within the room that
// all doors share. free gives the room back and must be called.
func (s *Submit) Read(ctx context.Context, r io.Reader, limit int64) (content []byte, free func(), err error) {
	return s.cfg.Queue.Read(ctx, r, limit)
}

// Accepted is what became of a message that was taken.
type Accepted struct {
	ID queue.ItemID
	// Held is the decision that keeps the message in the queue until a person
	// releases it; nil where it is on its way.
	Held *mohar.Decision
}

// Send is Accept for doors that cannot tell a sender more than the id.
func (s *Submit) Send(ctx context.Context, sub *Submission) (queue.ItemID, error) {
	out, err := s.Accept(ctx, sub)
	return out.ID, err
}

// Accept checks and promises a message; when it returns an id the message is
// durable. A refusal by policy is fault.Refused with its decision; one that asks
// for a reason is refused as well, since no reason comes with a submission.
func (s *Submit) Accept(ctx context.Context, sub *Submission) (Accepted, error) {
	m := mime.Parse(sub.Content)
	from, err := mayFrom(&sub.Sender, m)
	if err != nil {
		return Accepted{}, err
	}
	if err := s.MayMail(&sub.Sender, sub.Envelope.From); err != nil {
		return Accepted{}, err
	}
	if err := s.stillTheirs(ctx, &sub.Sender, from); err != nil {
		return Accepted{}, err
	}
	if len(sub.Envelope.To) == 0 {
		return Accepted{}, fault.New(fault.Invalid, "submit.Accept", "The message has no recipient.")
	}
	label, err := labelOf(m)
	if err != nil {
		return Accepted{}, err
	}
	l := &letter{Submission: sub, message: m, from: from, label: label}
	decision, err := s.decide(ctx, l)
	if err != nil {
		return Accepted{}, err
	}
	switch decision.Verdict {
	case mohar.Allow:
		id, err := s.promise(ctx, l, &decision)
		return Accepted{ID: id}, err
	case mohar.Hold, mohar.Quarantine:
		l.held = true
		id, err := s.promise(ctx, l, &decision)
		return Accepted{ID: id, Held: &decision}, err
	}
	return Accepted{}, s.refused(ctx, l, &decision)
}

// letter is a submission whose sender was found to be in the right.
type letter struct {
	*Submission
	message *mime.Message
	from    addr.Mailbox // author of the From field
	label   mohar.Label
	targets []Target // of the envelope's recipients, in their order
	held    bool
}

func (s *Submit) decide(ctx context.Context, l *letter) (mohar.Decision, error) {
	facts := s.facts(&l.Sender, l.Door, l.label, l.Forward)
	s.addContent(facts, l.message)
	answers := answersOf(l.message)
	l.targets = make([]Target, len(l.Envelope.To))
	for i, r := range l.Envelope.To {
		t, err := s.cfg.Target(ctx, r.Address)
		if err != nil {
			return mohar.Decision{}, err
		}
		l.targets[i] = t
		if err := s.addRecipient(ctx, facts, &l.Sender, r.Address, t, answers); err != nil {
			return mohar.Decision{}, err
		}
	}
	return policy.Decide(s.rulebook(&l.Sender), facts), nil
}

// refused records the refusal and gives it to the door.
func (s *Submit) refused(ctx context.Context, l *letter, d *mohar.Decision) error {
	lane := queue.LaneOf(s.cfg.Queue.NewID())
	rec := s.record(l, "", d)
	if err := s.cfg.Queue.Record(ctx, lane, func(tx *kv.Tx) error { return audit.Stage(tx, rec) }); err != nil {
		return err
	}
	s.staged(lane)
	return fault.Refusal("submit.Accept", d)
}

func (s *Submit) staged(shard kv.Shard) {
	if s.cfg.Staged != nil {
		s.cfg.Staged(shard)
	}
}

// auditedRecipients is how many recipients a record names; the count is always
// there.
const auditedRecipients = 10

func (s *Submit) record(l *letter, id string, d *mohar.Decision) audit.Record {
	env := &l.Envelope
	detail := map[string]string{"from": env.From, "author": l.from.String(), "label": l.label.String(), "recipients": strconv.Itoa(len(env.To))}
	for i, r := range env.To {
		if i == auditedRecipients {
			break
		}
		detail["to"+strconv.Itoa(i+1)] = r.Address
	}
	rec := audit.Record{Time: s.cfg.Clock.Now(), Kind: "submit", Actor: l.Sender.Account, Door: l.Door, Object: id, Decision: d, Detail: detail}
	if l.Remote.IsValid() {
		rec.Remote = l.Remote.String()
	}
	return rec
}

func (s *Submit) promise(ctx context.Context, l *letter, d *mohar.Decision) (queue.ItemID, error) {
	id := s.cfg.Queue.NewID()
	now := s.cfg.Clock.Now()
	full, err := s.finish(ctx, l, id, now)
	if err != nil {
		return id, err
	}
	st, err := s.stage(ctx, full)
	if err != nil {
		return id, err
	}
	index, err := mime.Parse(full).AppendBinary(nil)
	if err != nil {
		return id, err
	}
	env := &l.Envelope
	it := &queue.Item{ID: id, From: env.From, Created: now, Door: l.Door, Account: l.Sender.Account, Label: l.label,
		EnvID: env.EnvID, Ret: env.Ret, EightBit: env.EightBit || has8Bit(full), SMTPUTF8: env.SMTPUTF8 || needsUTF8(env), RequireTLS: env.RequireTLS,
		Lang: l.Sender.Lang, Index: index}
	err = s.cfg.Queue.Promise(ctx, it, recipients(l, d), st, func(tx *kv.Tx) error {
		return audit.Stage(tx, s.record(l, id.String(), d))
	})
	if err != nil {
		st.Discard(ctx)
		return id, err
	}
	s.staged(queue.LaneOf(id))
	return id, nil
}

func (s *Submit) stage(ctx context.Context, full []byte) (*body.Staged, error) {
	w := s.cfg.Bodies.Writer(ctx)
	if _, err := w.Write(full); err != nil {
		w.Abort()
		return nil, err
	}
	return w.Finish()
}

// recipients gives those of the queue, on hold where a person has to look first.
// Whoever is named twice in the envelope gets one copy.
func recipients(l *letter, d *mohar.Decision) []queue.Recipient {
	out := make([]queue.Recipient, 0, len(l.targets))
	seen := make(map[string]bool, len(l.targets))
	for i, t := range l.targets {
		to := &l.Envelope.To[i]
		r := queue.Recipient{Address: to.Address, Notify: to.Notify, ORcpt: to.ORcpt, Class: queue.Remote, Domain: t.Domain}
		key := to.Address
		if m, err := addr.ParseMailbox(to.Address); err == nil {
			key = m.Wire()
			if t.Account != "" {
				key = m.Key()
			}
		}
		if t.Account != "" {
			r.Account, r.Class = t.Account, queue.Local
		}
		if seen[key] {
			continue
		}
		seen[key] = true
		if l.held {
			r.Before, r.Class, r.Reason = r.Class, queue.Held, holdReason(d)
		}
		out = append(out, r)
	}
	return out
}

// holdReason says to the person who releases why a message is held.
func holdReason(d *mohar.Decision) string {
	var all []string
	for _, r := range d.Reasons {
		if len(all) == maxHoldReasons {
			break
		}
		all = append(all, r.Rule+": "+r.What.En)
	}
	return strings.Join(all, " ")
}

// maxHoldReasons bounds the reasons that each recipient of a held message keeps.
const maxHoldReasons = 4
