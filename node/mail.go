package node

import (
	"bytes"
	"context"
	"strings"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/audit"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/directory"
	"github.com/mohar-mail/mohar/flow/inbound"
	"github.com/mohar-mail/mohar/flow/relay"
	"github.com/mohar-mail/mohar/mailauth"
	"github.com/mohar-mail/mohar/mailauth/dmarc"
	"github.com/mohar-mail/mohar/mailbox"
	"github.com/mohar-mail/mohar/policy"
	"github.com/mohar-mail/mohar/queue"
	"github.com/mohar-mail/mohar/store/kv"
	"github.com/mohar-mail/mohar/wire/addr"
	"github.com/mohar-mail/mohar/wire/dsn"
	"github.com/mohar-mail/mohar/wire/mime"
)

// recipient finds the account behind an address of ours, for mail from outside.
func (n *Node) recipient(ctx context.Context, address string) (inbound.Target, error) {
	res, err := n.directory.Resolve(ctx, address)
	if err != nil {
		return inbound.Target{}, err
	}
	switch {
	case res.Domain == nil:
		return inbound.Target{}, fault.New(fault.Denied, "node.recipient", "We do not relay for this domain.")
	case res.Domain.State != directory.Live:
		return inbound.Target{}, fault.New(fault.Denied, "node.recipient", "This domain has no go-ahead to receive mail.")
	case res.Account == nil:
		return inbound.Target{}, fault.New(fault.NotFound, "node.recipient", "There is no such address here.")
	case res.Account.Disabled:
		// GOV LIF-05: mail to a closed account is told so and goes nowhere else.
		return inbound.Target{}, fault.New(fault.NotFound, "node.recipient", "This account is closed.")
	}
	return inbound.Target{Account: res.Account.ID, Address: address}, nil
}

// verify gives the checks of mail authentication in the form that flow/inbound
// asks for.
func verify(v *mailauth.Verifier, hostname string) func(context.Context, string, *inbound.Arrival, []byte) (inbound.Checks, error) {
	return func(ctx context.Context, from string, a *inbound.Arrival, content []byte) (inbound.Checks, error) {
		if a.Door == mohar.DoorLMTP {
			return inbound.Checks{}, nil // our own relay has verified it
		}
		res, err := v.Verify(ctx, mailauth.Input{Remote: a.Remote, HELO: a.Helo, MailFrom: from,
			Content: bytes.NewReader(content), Size: int64(len(content))})
		if err != nil {
			return inbound.Checks{}, err
		}
		c := inbound.Checks{Field: res.Field(hostname), Junk: res.DMARC.Do == dmarc.PolicyQuarantine,
			Detail: map[string]string{"spf": string(res.SPF.Status), "dmarc": string(res.DMARC.Status)}}
		if res.Rejects() {
			c.Reject = "The message is not authenticated as the policy of the sender's domain demands (DMARC)."
		}
		return c, nil
	}
}

// rulebook gives the rules that hold for a domain of ours.
func (n *Node) rulebook(domain string) *policy.Rulebook {
	d, err := n.directory.Domain(context.Background(), domain)
	if err == nil {
		if b := n.rulebooks[d.Rulebook]; b != nil {
			return b
		}
	}
	return n.rulebooks[policy.State]
}

// signFor signs for the domain of a sender; an alias domain signs as itself.
func (n *Node) signFor(ctx context.Context, domain string, content []byte) ([]byte, error) {
	d, err := addr.ParseDomain(domain)
	if err != nil {
		return nil, err
	}
	return n.keys.sign(ctx, d.ASCII, content)
}

// answers says whether one of the message ids is that of a letter which the
// account got from an address.
func (n *Node) answers(ctx context.Context, a mohar.AccountID, messageIDs []string, from string) (bool, error) {
	want, err := addr.ParseMailbox(from)
	if err != nil {
		return false, nil
	}
	found := false
	err = n.boxes.View(ctx, a, func(r *mailbox.Reader) error {
		for _, id := range messageIDs {
			ids, err := r.ByMessageID(id)
			if err != nil {
				return err
			}
			emails, err := r.Emails(ids)
			if err != nil {
				return err
			}
			for _, e := range emails {
				found = found || e != nil && sentBy(e.Index, want)
			}
		}
		return nil
	})
	if fault.Is(err, fault.NotFound) {
		return false, nil
	}
	return found, err
}

func sentBy(index []byte, who addr.Mailbox) bool {
	env, err := mime.DecodeEnvelope(index)
	if err != nil {
		return false
	}
	for a := range addr.Singles(env.From) {
		if m, err := a.Mailbox(); err == nil && m.Key() == who.Key() {
			return true
		}
	}
	return false
}

// home says how a report to a sender is delivered.
type home struct{ n *Node }

func (h home) Recipient(ctx context.Context, address string) (queue.Recipient, error) {
	t, err := h.n.targets.Find(ctx, address)
	if err != nil {
		return queue.Recipient{}, err
	}
	r := queue.Recipient{Address: address, Class: queue.Remote, Domain: t.Domain}
	if t.Account != "" {
		r.Account, r.Class, r.Domain = t.Account, queue.Local, ""
	}
	return r, nil
}

// reports writes delivery reports with wire/dsn.
type reports struct{}

func (reports) Build(r *relay.Report) ([]byte, error) {
	out := &dsn.Report{ReportingMTA: r.Host, Arrival: r.Arrival, From: addr.Address{Name: "Mail delivery", Local: "postmaster", Domain: r.Host},
		To: r.To, Date: r.Time, MessageID: "<" + r.ID + "@" + r.Host + ">", Original: r.Returned, ReturnFull: r.Full}
	if id, err := dsn.DecodeXText(r.EnvID); err == nil {
		out.EnvelopeID = id
	}
	for _, x := range r.Recipient {
		rc := dsn.Recipient{Final: x.Address, Action: dsn.Action(r.Action), Status: x.Status, RemoteMTA: x.Host, Diagnostic: x.Reply,
			Explanation: explain(r.Action, x), LastAttempt: x.Attempt, RetryUntil: x.RetryUntil}
		if o, err := dsn.ParseORCPT(x.ORcpt); err == nil {
			rc.Original = o
		}
		out.Recipients = append(out.Recipients, rc)
	}
	return dsn.Build(out)
}

// explain tells the sender in words what happened and what to do.
func explain(action relay.Action, x relay.ReportRecipient) mohar.Text {
	if action == relay.ActionDelayed {
		return mohar.Text{En: "The letter could not be delivered yet; we keep trying. " + x.Text,
			Hi: "पत्र अभी नहीं पहुँचाया जा सका; हम कोशिश जारी रखे हुए हैं। " + x.Text}
	}
	if action != relay.ActionFailed {
		return mohar.Text{En: x.Text, Hi: x.Text}
	}
	return mohar.Text{En: "The letter was not delivered. Check the address, or write to the person another way. " + x.Text,
		Hi: "पत्र नहीं पहुँचाया जा सका। पता जाँचें, या किसी और तरीके से संपर्क करें। " + x.Text}
}

// recordRelay stages what became of mail to other hosts.
func recordRelay(tx *kv.Tx, ev relay.Event) error {
	return audit.Stage(tx, audit.Record{Time: ev.Time, Kind: ev.Kind, Door: mohar.DoorSystem, Object: ev.Item.String(),
		Detail: map[string]string{"to": ev.To, "host": ev.Host, "tls": ev.TLS, "status": ev.Status}})
}

// bounce adds a failure report for local recipients to the queue.
func (n *Node) bounce(tx *kv.Tx, it *queue.Item, failed []*queue.Recipient) error {
	if it.From == "" {
		return nil // never a report about a report, RFC 5321 section 6.1
	}
	ctx := context.Background()
	var told []relay.ReportRecipient
	for _, r := range failed {
		if r.Notify == "" || strings.Contains(strings.ToUpper(r.Notify), "FAILURE") {
			told = append(told, relay.ReportRecipient{Address: r.Address, ORcpt: r.ORcpt, Status: "5.0.0", Text: r.Last, Attempt: n.clock.Now()})
		}
	}
	if len(told) == 0 {
		return nil
	}
	to, err := home{n}.Recipient(ctx, it.From)
	if err != nil {
		return nil // nobody to tell
	}
	original, err := n.eng.bodies.Read(ctx, it.Body)
	if err != nil {
		return err
	}
	id := n.sameLane(it.ID)
	content, err := reports{}.Build(&relay.Report{Action: relay.ActionFailed, ID: id.String(), Time: n.clock.Now(), Host: n.cfg.Hostname,
		To: it.From, Lang: it.Lang, EnvID: it.EnvID, Arrival: it.Created, Returned: original, Full: it.Ret == "FULL", Recipient: told})
	if err != nil {
		return err
	}
	w := n.eng.bodies.Writer(ctx)
	if _, err := w.Write(content); err != nil {
		w.Abort()
		return err
	}
	st, err := w.Finish()
	if err != nil {
		return err
	}
	index, err := mime.Parse(content).AppendBinary(nil)
	if err != nil {
		return err
	}
	report := &queue.Item{ID: id, Created: n.clock.Now(), Door: mohar.DoorSystem, Index: index}
	return n.queue.Add(tx, report, []queue.Recipient{to}, st)
}

// sameLane makes the id of a new item in the lane of another.
func (n *Node) sameLane(of queue.ItemID) queue.ItemID {
	id := queue.NewID(n.clock.Now(), n.queue.Lanes())
	id[6] = of[6]
	return id
}
