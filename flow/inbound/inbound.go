// Package inbound takes mail from other hosts: it checks it, decides on it and
// promises it to the queue.
//
// Owns:      nothing; it writes queue and audit in one transaction.
// Trusts:    nobody for envelope or content.
// May touch: directory, queue, audit; mail authentication through Verify.
// Standards: RFC 5321 sections 3.6, 4.4 and 6.3; RFC 8601.
package inbound

import (
	"context"
	"io"
	"log/slog"
	"maps"
	"net/netip"
	"strconv"
	"time"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/audit"
	"github.com/mohar-mail/mohar/base/clock"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/queue"
	"github.com/mohar-mail/mohar/store/body"
	"github.com/mohar-mail/mohar/store/kv"
	"github.com/mohar-mail/mohar/wire/addr"
	"github.com/mohar-mail/mohar/wire/mime"
	"github.com/mohar-mail/mohar/wire/smtp"
)

// Limits.
const (
	// MaxReceived is the number of Received fields at which a message is taken to
	// go in a circle, RFC 5321 section 6.3.
	MaxReceived = 100
	// auditedRecipients is how many recipients a record names; the count is always
	// there.
	auditedRecipients = 10
)

// Arrival is what the door knows about where a message comes from.
type Arrival struct {
	Door     mohar.Door
	Remote   netip.Addr
	Helo     string
	Protocol string // the "with" of Received: ESMTP, ESMTPS, LMTP ...
	TLS      string // version and cipher, "" without TLS
}

// Target is a recipient that is ours.
type Target struct {
	Account mohar.AccountID
	Address string // as given
}

// Checks are the verdicts of mail authentication.
type Checks struct {
	Field  []byte // Authentication-Results with its line end
	Reject string // why the sender's own policy wants the message refused, or ""
	Junk   bool   // the sender's own policy wants it kept apart
	// Standing is what the sender is to the state: "outside", "government", or
	// "failed" for one who is not who the message says.
	Standing string
	Detail   map[string]string
}

// Config is what an Inbound needs.
type Config struct {
	Hostname string
	Queue    *queue.Queue
	Bodies   *body.Bodies
	Clock    clock.Clock
	Log      *slog.Logger
	MaxSize  int64 // octets of content
	// Recipient finds the account behind an address of ours. fault.NotFound: the
	// domain is ours and the address unknown; fault.Denied: not our domain, or one
	// that may not receive.
	Recipient func(ctx context.Context, address string) (Target, error)
	// Verify authenticates a message; nil does without.
	Verify func(ctx context.Context, from string, a *Arrival, content []byte) (Checks, error)
	// Staged tells that audit records wait in a shard.
	Staged func(kv.Shard)
}

// Inbound is the flow.
type Inbound struct{ cfg Config }

// New makes an Inbound.
func New(cfg Config) *Inbound { return &Inbound{cfg: cfg} }

// Recipient says whether mail for an address is taken.
func (in *Inbound) Recipient(ctx context.Context, address string) (Target, error) {
	return in.cfg.Recipient(ctx, address)
}

// Accept reads the content and promises the message; when it returns an id the
// message is durable. env.To and targets are in the same order. A recipient that
// is named twice is delivered to once.
func (in *Inbound) Accept(ctx context.Context, a *Arrival, env *mohar.Envelope, targets []Target, r io.Reader) (queue.ItemID, error) {
	if len(targets) != len(env.To) {
		return queue.ItemID{}, fault.New(fault.Internal, "inbound.Accept", "")
	}
	content, free, err := in.cfg.Queue.Read(ctx, r, in.cfg.MaxSize)
	defer free()
	if err != nil {
		return queue.ItemID{}, err
	}
	if hops(content) > MaxReceived {
		loop := smtp.NewReply(554, smtp.EnhancedCode{5, 4, 6}, "The message goes in a circle: too many Received fields.")
		return queue.ItemID{}, fault.Wrap(loop, fault.Invalid, "inbound.Accept", "The message goes in a circle: too many Received fields.")
	}
	checks := Checks{}
	if in.cfg.Verify != nil {
		if checks, err = in.cfg.Verify(ctx, env.From, a, content); err != nil {
			return queue.ItemID{}, err
		}
	}
	if checks.Reject != "" {
		return queue.ItemID{}, in.rejected(ctx, a, env, &checks)
	}
	if a.Door != mohar.DoorLMTP { // what our own relays have written stays
		content = withoutForged(content, in.cfg.Hostname)
	}
	return in.promise(ctx, a, env, targets, content, &checks)
}

func (in *Inbound) promise(ctx context.Context, a *Arrival, env *mohar.Envelope, targets []Target, content []byte, c *Checks) (queue.ItemID, error) {
	id := in.cfg.Queue.NewID()
	now := in.cfg.Clock.Now()
	standing := []byte(nil)
	if c.Standing != "" {
		standing = []byte(standingField + ": " + c.Standing + "\r\n")
	}
	full := mime.Prepend(content, in.trace(a, env, id, now), c.Field, standing)
	st, err := in.stage(ctx, full)
	if err != nil {
		return id, err
	}
	index, err := mime.Parse(full).AppendBinary(nil)
	if err != nil {
		return id, err
	}
	it := &queue.Item{ID: id, From: env.From, Created: now, Door: a.Door, EnvID: env.EnvID, Ret: env.Ret,
		EightBit: env.EightBit, SMTPUTF8: env.SMTPUTF8, RequireTLS: env.RequireTLS, Index: index}
	if c.Junk {
		it.Mailbox = "junk"
	}
	err = in.cfg.Queue.Promise(ctx, it, recipients(env, targets), st, func(tx *kv.Tx) error {
		return audit.Stage(tx, in.record(now, "receive", a, env, id, c))
	})
	if err != nil {
		st.Discard(ctx)
		return id, err
	}
	if in.cfg.Staged != nil {
		in.cfg.Staged(queue.LaneOf(id))
	}
	return id, nil
}

// recipients gives those of the queue. Whoever is named twice in the envelope
// gets one copy; two addresses of one account are two letters.
func recipients(env *mohar.Envelope, targets []Target) []queue.Recipient {
	out := make([]queue.Recipient, 0, len(targets))
	seen := make(map[string]bool, len(targets))
	for i, t := range targets {
		key := t.Address
		if m, err := addr.ParseMailbox(t.Address); err == nil {
			key = m.Key()
		}
		if seen[key] {
			continue
		}
		seen[key] = true
		out = append(out, queue.Recipient{Address: t.Address, Account: t.Account, Class: queue.Local,
			Notify: env.To[i].Notify, ORcpt: env.To[i].ORcpt})
	}
	return out
}

func (in *Inbound) stage(ctx context.Context, full []byte) (*body.Staged, error) {
	w := in.cfg.Bodies.Writer(ctx)
	if _, err := w.Write(full); err != nil {
		w.Abort()
		return nil, err
	}
	return w.Finish()
}

// rejected records a refusal that the sender's own domain asks for.
func (in *Inbound) rejected(ctx context.Context, a *Arrival, env *mohar.Envelope, c *Checks) error {
	d := &mohar.Decision{Verdict: mohar.Refuse, Reasons: []mohar.Reason{{
		Rule: "NET-04",
		What: mohar.Text{En: c.Reject, Hi: "प्रेषक के डोमेन की नीति के अनुसार यह पत्र प्रमाणित नहीं है और स्वीकार नहीं किया गया।"},
		Advice: mohar.Text{En: "Send it through a server that your domain allows.",
			Hi: "इसे अपने डोमेन द्वारा अनुमत सर्वर से भेजें।"},
	}}}
	rec := in.record(in.cfg.Clock.Now(), "receive", a, env, queue.ItemID{}, c)
	rec.Decision, rec.Object = d, ""
	lane := queue.LaneOf(in.cfg.Queue.NewID())
	if err := in.cfg.Queue.Record(ctx, lane, func(tx *kv.Tx) error { return audit.Stage(tx, rec) }); err != nil {
		return err
	}
	if in.cfg.Staged != nil {
		in.cfg.Staged(lane)
	}
	return fault.Refusal("inbound.Accept", d)
}

func (in *Inbound) record(now time.Time, kind string, a *Arrival, env *mohar.Envelope, id queue.ItemID, c *Checks) audit.Record {
	detail := map[string]string{"from": env.From, "recipients": strconv.Itoa(len(env.To))}
	for i, r := range env.To {
		if i == auditedRecipients {
			break
		}
		detail["to"+strconv.Itoa(i+1)] = r.Address
	}
	maps.Copy(detail, c.Detail)
	rec := audit.Record{Time: now, Kind: kind, Door: a.Door, Object: id.String(),
		Decision: &mohar.Decision{Verdict: mohar.Allow}, Detail: detail}
	if a.Remote.IsValid() {
		rec.Remote = a.Remote.String()
	}
	return rec
}
