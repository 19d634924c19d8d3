package relay

import (
	"context"
	"strings"
	"time"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/mailauth/field"
	"github.com/mohar-mail/mohar/queue"
	"github.com/mohar-mail/mohar/store/kv"
	"github.com/mohar-mail/mohar/wire/mime"
	"github.com/mohar-mail/mohar/wire/smtp"
)

// maxReturn is the largest message that a report gives back whole; of larger
// ones, and where RET does not ask, it gives the header (RFC 3461 section 4.3
// leaves the default to us).
const maxReturn = 64 << 10

// Action is the Action field of a report (RFC 3464 section 2.3.3).
type Action string

// The actions.
const (
	ActionFailed  Action = "failed"
	ActionDelayed Action = "delayed"
	ActionRelayed Action = "relayed"
)

// Report is what a delivery status notification says.
type Report struct {
	Action    Action
	ID        string // for Message-ID, without the part after "@"
	Time      time.Time
	Host      string // Reporting-MTA, and the domain of our address
	To        string // the original sender
	Lang      string // of the sender, BCP 47; "" when unknown
	EnvID     string // xtext as given, "" when absent
	Arrival   time.Time
	UTF8      bool // an address is internationalised (RFC 6533)
	Returned  []byte
	Full      bool // Returned is the whole message rather than its header
	Recipient []ReportRecipient
}

// ReportRecipient is one recipient of a report.
type ReportRecipient struct {
	Address    string
	ORcpt      string // "type;xtext" as given, "" when absent
	Status     string // enhanced code, "5.1.1"
	Reply      string // what the peer said, "" when we say it
	Text       string // for people: the reply or our own words
	Host       string // Remote-MTA
	Attempt    time.Time
	RetryUntil time.Time // for ActionDelayed
}

// notify is the NOTIFY parameter (RFC 3461 section 4.1).
type notify struct{ success, failure, delay bool }

// parseNotify reads NOTIFY. Without it failures and delays are reported
// (section 5.2.1 allows the latter).
func parseNotify(s string) notify {
	if s == "" {
		return notify{failure: true, delay: true}
	}
	var n notify
	for w := range strings.SplitSeq(s, ",") {
		switch strings.ToUpper(strings.TrimSpace(w)) {
		case "SUCCESS":
			n.success = true
		case "FAILURE":
			n.failure = true
		case "DELAY":
			n.delay = true
		}
	}
	return n
}

// added is an item that add put into the queue.
type added struct {
	id    queue.ItemID
	rcpts []queue.Recipient
}

// reporter makes the reports of one item.
type reporter struct {
	r      *Relay
	ctx    context.Context
	item   *queue.Item
	to     queue.Recipient
	header []byte
	full   []byte // nil when the whole message is not to be returned
}

// prepare reads what the reports of these endings need; nil when there are none.
func (r *Relay) prepare(ctx context.Context, it *queue.Item, ends []ending) (*reporter, error) {
	wanted, failed := false, false
	for _, e := range ends {
		wanted = wanted || e.report != ""
		failed = failed || e.report == ActionFailed
	}
	if !wanted || r.cfg.Reports == nil {
		return nil, nil
	}
	to, err := r.cfg.Home.Recipient(ctx, it.From)
	if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Invalid) {
		r.cfg.Log.Warn("relay: no way back to the sender", "item", it.ID.String(), "from", it.From)
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	// A report about the report would go to the null path; nobody asks for it.
	to.Notify, to.ORcpt = "NEVER", ""
	rep := &reporter{r: r, ctx: ctx, item: it, to: to}
	c, err := r.cfg.Bodies.Open(ctx, it.Body)
	if err != nil {
		return nil, err
	}
	if rep.header, _, err = field.Read(c, c.Size()); err != nil {
		return nil, err
	}
	// RET is about reports of failure only (RFC 3461 section 4.3).
	if failed && strings.EqualFold(it.Ret, "FULL") && c.Size() <= maxReturn {
		rep.full = make([]byte, c.Size())
		if _, err := c.ReadAt(rep.full, 0); err != nil {
			return nil, err
		}
	}
	return rep, nil
}

// add puts one report for each action that occurs into the queue, in tx.
func (rep *reporter) add(tx *kv.Tx, ends []ending, now time.Time) ([]added, error) {
	var out []added
	for _, action := range []Action{ActionFailed, ActionDelayed, ActionRelayed} {
		var list []ReportRecipient
		utf8 := !smtp.IsASCII(rep.item.From)
		for i := range ends {
			if ends[i].report == action {
				list = append(list, recipientOf(&ends[i], now))
				utf8 = utf8 || !smtp.IsASCII(ends[i].rcpt.Address)
			}
		}
		if len(list) == 0 {
			continue
		}
		a, err := rep.one(tx, action, list, utf8, now)
		if err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	return out, nil
}

func (rep *reporter) one(tx *kv.Tx, action Action, list []ReportRecipient, utf8 bool, now time.Time) (added, error) {
	q := rep.r.cfg.Queue
	id := queue.NewID(now, 1)
	id[laneByte] = rep.item.ID[laneByte] // the same lane, so that one transaction holds both
	r := &Report{Action: action, ID: id.String(), Time: now, Host: rep.r.cfg.Hostname, To: rep.item.From, Lang: rep.item.Lang,
		EnvID: rep.item.EnvID, Arrival: rep.item.Created, UTF8: utf8, Returned: rep.header, Recipient: list}
	if action == ActionFailed && rep.full != nil {
		r.Returned, r.Full = rep.full, true
	}
	content, err := rep.r.cfg.Reports.Build(r)
	if err != nil {
		return added{}, err
	}
	w := rep.r.cfg.Bodies.Writer(rep.ctx)
	defer w.Abort()
	if _, err := w.Write(content); err != nil {
		return added{}, err
	}
	st, err := w.Finish()
	if err != nil {
		return added{}, err
	}
	// The report quotes the header, so it is as confidential as the message.
	index, err := mime.Parse(content).AppendBinary(nil)
	if err != nil {
		return added{}, err
	}
	it := &queue.Item{ID: id, Index: index, Created: now, Door: mohar.DoorSystem, Label: rep.item.Label, Lang: rep.item.Lang,
		SMTPUTF8: utf8, EightBit: utf8, RequireTLS: rep.item.RequireTLS}
	rcpts := []queue.Recipient{rep.to}
	if err := q.Add(tx, it, rcpts, st); err != nil {
		return added{}, err
	}
	return added{id: id, rcpts: rcpts}, nil
}

// laneByte is the byte of an ItemID that names its lane.
const laneByte = 6

func recipientOf(e *ending, now time.Time) ReportRecipient {
	rr := ReportRecipient{Address: e.rcpt.Address, ORcpt: e.rcpt.ORcpt, Status: e.outcome.status.String(),
		Text: e.outcome.text, Host: e.outcome.host, Attempt: now}
	if e.outcome.reply != nil {
		rr.Reply = e.outcome.reply.Error()
	}
	if e.report == ActionDelayed {
		rr.RetryUntil = e.rcpt.Expires
	}
	return rr
}
