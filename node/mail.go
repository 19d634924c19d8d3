package node

import (
	"bytes"
	"context"
	"strings"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/audit"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/directory"
	"github.com/mohar-mail/mohar/flow/deliver"
	"github.com/mohar-mail/mohar/flow/inbound"
	"github.com/mohar-mail/mohar/flow/relay"
	"github.com/mohar-mail/mohar/mailauth"
	"github.com/mohar-mail/mohar/mailauth/dmarc"
	"github.com/mohar-mail/mohar/mailbox"
	"github.com/mohar-mail/mohar/policy"
	"github.com/mohar-mail/mohar/queue"
	"github.com/mohar-mail/mohar/store/kv"
	"github.com/mohar-mail/mohar/wire/addr"
	"github.com/mohar-mail/mohar/wire/mime"
	"github.com/mohar-mail/mohar/wire/smtp"
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
func verify(v *mailauth.Verifier, classes *policy.Classifier, hostname string) func(context.Context, string, *inbound.Arrival, []byte) (inbound.Checks, error) {
	return func(ctx context.Context, from string, a *inbound.Arrival, content []byte) (inbound.Checks, error) {
		if a.Door == mohar.DoorLMTP {
			return inbound.Checks{}, nil // our own relay has verified it
		}
		res, err := v.Verify(ctx, mailauth.Input{Remote: a.Remote, HELO: a.Helo, MailFrom: from,
			Content: bytes.NewReader(content), Size: int64(len(content))})
		if err != nil {
			return inbound.Checks{}, err
		}
		c := inbound.Checks{Field: res.Field(hostname), Junk: res.DMARC.Do == dmarc.PolicyQuarantine, Standing: standing(&res, classes),
			Detail: map[string]string{"spf": string(res.SPF.Status), "dmarc": string(res.DMARC.Status)}}
		if res.Rejects() {
			c.Reject = "The message is not authenticated as the policy of the sender's domain demands (DMARC)."
		}
		return c, nil
	}
}

// standing says what the sender of a message from another host is to the state.
// A government's name counts only where DMARC proves it.
func standing(res *mailauth.Result, classes *policy.Classifier) string {
	switch {
	case res.DMARC.Status == dmarc.Fail || res.FromFields != 1 || len(res.FromDomains) != 1:
		return "failed"
	case res.DMARC.Status == dmarc.Pass && classes.Class(res.FromDomains[0], nil) == mohar.ClassGovernment:
		return "government"
	}
	return "outside"
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
				// A letter that the account put there itself, by APPEND or as a draft,
				// is no letter that it got: its content lives in its own shard.
				found = found || e != nil && e.Body.Home != mailbox.Shard(a) && sentBy(e.Index, want)
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

// recordRelay stages what became of mail to other hosts.
func (n *Node) recordRelay(tx *kv.Tx, ev relay.Event) error {
	n.meters.relayed.WithLabelValues(strings.TrimPrefix(ev.Kind, "relay.")).Inc()
	return audit.Stage(tx, audit.Record{Time: ev.Time, Kind: ev.Kind, Door: mohar.DoorSystem, Object: ev.Item.String(),
		Detail: map[string]string{"to": ev.To, "host": ev.Host, "tls": ev.TLS, "status": ev.Status}})
}

// bounce reports recipients whose mailbox will not take the message.
func (n *Node) bounce(ctx context.Context, tx *kv.Tx, it *queue.Item, failed []*queue.Recipient) (int, error) {
	return n.relay.Bounce(ctx, tx, it, failed, smtp.EnhancedCode{5, 2, 0}, mohar.Text{
		En: "The mailbox does not take the letter: it is closed or full. Please reach the person another way.",
		Hi: "मेलबॉक्स पत्र नहीं ले रहा: वह बंद है या भर गया है। कृपया किसी और तरीके से संपर्क करें।"})
}

// delivered says whether a local recipient's mailbox has a queued message.
func (n *Node) delivered(ctx context.Context, r *queue.Recipient) (bool, error) {
	var id mailbox.EmailID
	err := n.boxes.View(ctx, r.Account, func(rd *mailbox.Reader) (err error) {
		id, err = rd.Delivered(deliver.DeliveryID(r))
		return err
	})
	if fault.Is(err, fault.NotFound) {
		return false, nil
	}
	return id != 0, err
}

func (n *Node) dialer() relay.Dialer { return &relay.SMTPDialer{Hostname: n.cfg.Hostname} }
