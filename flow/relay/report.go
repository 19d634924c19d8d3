package relay

import (
	"context"
	"io"
	"strings"
	"time"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/mailauth/field"
	"github.com/mohar-mail/mohar/queue"
	"github.com/mohar-mail/mohar/store/body"
	"github.com/mohar-mail/mohar/store/kv"
	"github.com/mohar-mail/mohar/wire/addr"
	"github.com/mohar-mail/mohar/wire/dsn"
	"github.com/mohar-mail/mohar/wire/mime"
	"github.com/mohar-mail/mohar/wire/smtp"
)

// maxReturn is the largest message that a report gives back whole; of larger
// ones, and where RET does not ask, it gives the header (RFC 3461 section 4.3
// leaves the default to us).
const maxReturn = 64 << 10

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
	queue    *queue.Queue
	bodies   *body.Bodies
	hostname string
	ctx      context.Context
	item     *queue.Item
	to       queue.Recipient
	header   []byte
	full     []byte // nil when the whole message is not to be returned
}

// prepare reads what the reports of these endings need; nil when there are none.
func (r *Relay) prepare(ctx context.Context, it *queue.Item, ends []ending) (*reporter, error) {
	wanted, failed := false, false
	for _, e := range ends {
		wanted = wanted || e.report != ""
		failed = failed || e.report == dsn.Failed
	}
	if !wanted {
		return nil, nil
	}
	to, err := r.cfg.Home.Recipient(ctx, it.From)
	if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Invalid) || fault.Is(err, fault.Denied) {
		r.cfg.Log.Warn("relay: no way back to the sender", "item", it.ID.String(), "from", it.From)
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	to.Notify, to.ORcpt = "NEVER", "" // nobody asks for a report about a report
	rep := &reporter{queue: r.cfg.Queue, bodies: r.cfg.Bodies, hostname: r.cfg.Hostname, ctx: ctx, item: it, to: to}
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
		if _, err := c.ReadAt(rep.full, 0); err != nil && err != io.EOF {
			return nil, err
		}
	}
	return rep, nil
}

// Bounce adds a report of failure for recipients of ours to the queue, inside tx
// on the item's lane: for local delivery, which has no reports of its own. It
// gives the lane to wake, -1 where the sender hears nothing.
func (r *Relay) Bounce(ctx context.Context, tx *kv.Tx, it *queue.Item, failed []*queue.Recipient, status smtp.EnhancedCode, why mohar.Text) (lane int, err error) {
	now := r.cfg.Clock.Now()
	var ends []ending
	for _, rc := range failed {
		if it.From != "" && parseNotify(rc.Notify).failure {
			ends = append(ends, ending{rcpt: rc, report: dsn.Failed,
				outcome: outcome{state: statePermanent, status: status, text: why.En}})
		}
	}
	rep, err := r.prepare(ctx, it, ends)
	if err != nil || rep == nil {
		return -1, err
	}
	if _, err := rep.add(tx, ends, now); err != nil {
		return -1, err
	}
	return int(it.ID[laneByte]), nil
}

// add puts one report for each action that occurs into the queue, in tx.
func (rep *reporter) add(tx *kv.Tx, ends []ending, now time.Time) ([]added, error) {
	var out []added
	for _, action := range []dsn.Action{dsn.Failed, dsn.Delayed, dsn.Relayed} {
		var list []dsn.Recipient
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

func (rep *reporter) one(tx *kv.Tx, action dsn.Action, list []dsn.Recipient, utf8 bool, now time.Time) (added, error) {
	id := queue.NewID(now, 1)
	id[laneByte] = rep.item.ID[laneByte] // the same lane, so that one transaction holds both
	content, err := dsn.Build(rep.report(id, action, list, utf8, now))
	if err != nil {
		return added{}, err
	}
	if rep.to.Class == queue.Local {
		// For a sender of ours this is the final delivery (RFC 5321 section 4.4).
		content = append([]byte("Return-Path: <>\r\n"), content...)
	}
	index, err := mime.Parse(content).AppendBinary(nil)
	if err != nil {
		return added{}, err
	}
	w := rep.bodies.Writer(rep.ctx)
	defer w.Abort()
	if _, err := w.Write(content); err != nil {
		return added{}, err
	}
	st, err := w.Finish()
	if err != nil {
		return added{}, err
	}
	// The report quotes the header, so it is as confidential as the message.
	it := &queue.Item{ID: id, Index: index, Created: now, Door: mohar.DoorSystem, Label: rep.item.Label, Lang: rep.item.Lang,
		SMTPUTF8: utf8, EightBit: utf8, RequireTLS: rep.item.RequireTLS}
	rcpts := []queue.Recipient{rep.to}
	if err := rep.queue.Add(tx, it, rcpts, st); err != nil {
		return added{}, err
	}
	return added{id: id, rcpts: rcpts}, nil
}

func (rep *reporter) report(id queue.ItemID, action dsn.Action, list []dsn.Recipient, utf8 bool, now time.Time) *dsn.Report {
	envid, err := smtp.DecodeXtext(rep.item.EnvID)
	if err != nil {
		envid = "" // it was taken as given; a report must not fail for it
	}
	r := &dsn.Report{
		ReportingMTA: rep.hostname, EnvelopeID: envid, Arrival: rep.item.Created, Recipients: list,
		From: addr.Address{Local: "postmaster", Domain: rep.hostname}, To: rep.item.From,
		Date: now, MessageID: "<" + id.String() + "@" + rep.hostname + ">",
		Original: append(rep.header[:len(rep.header):len(rep.header)], "\r\n"...), UTF8: utf8,
	}
	if action == dsn.Failed && rep.full != nil {
		r.Original, r.ReturnFull = rep.full, true
	}
	return r
}

// laneByte is the byte of an ItemID that names its lane.
const laneByte = 6

func recipientOf(e *ending, now time.Time) dsn.Recipient {
	rr := dsn.Recipient{Final: e.rcpt.Address, Action: e.report, Status: e.outcome.status.String(),
		RemoteMTA: e.outcome.host, Explanation: explain(e), LastAttempt: now, LogID: e.rcpt.Item.String()}
	if orig, err := dsn.ParseORCPT(e.rcpt.ORcpt); err == nil {
		rr.Original = orig
	}
	if e.outcome.reply != nil {
		rr.Diagnostic = e.outcome.reply.Error()
	} else if e.outcome.text != "" { // our own words are no SMTP reply
		rr.Explanation.En += " (" + e.outcome.text + ")"
		rr.Explanation.Hi += " (" + e.outcome.text + ")"
	}
	if e.report == dsn.Delayed {
		rr.RetryUntil = e.rcpt.Expires
	}
	return rr
}

// explain tells the sender what happened and what can be done.
func explain(e *ending) mohar.Text {
	switch {
	case e.report == dsn.Delayed:
		return mohar.Text{En: "The receiving server has not taken the message yet. We keep trying; you need not send it again.",
			Hi: "प्राप्तकर्ता के सर्वर ने संदेश अभी तक नहीं लिया है। प्रयास जारी है; दोबारा भेजने की आवश्यकता नहीं है।"}
	case e.report == dsn.Relayed:
		return mohar.Text{En: "The message was handed to the next server, which does not confirm delivery.",
			Hi: "संदेश अगले सर्वर को सौंप दिया गया है, जो पहुँचने की पुष्टि नहीं करता।"}
	}
	switch e.outcome.status {
	case smtp.EnhancedCode{5, 4, 7}:
		return mohar.Text{En: "The message could not be delivered in the time allowed. Please reach the recipient in another way, or send it again later.",
			Hi: "निर्धारित समय में संदेश नहीं पहुँच सका। कृपया प्राप्तकर्ता से किसी अन्य माध्यम से संपर्क करें या बाद में दोबारा भेजें।"}
	case smtp.EnhancedCode{5, 1, 2}, smtp.EnhancedCode{5, 1, 10}, smtp.EnhancedCode{5, 4, 4}:
		return mohar.Text{En: "The domain after the @ does not exist or takes no mail. Please check the address.",
			Hi: "@ के बाद का डोमेन मौजूद नहीं है या ईमेल नहीं लेता। कृपया पता जाँच लें।"}
	case smtp.EnhancedCode{5, 6, 7}:
		return mohar.Text{En: "The receiving server does not take addresses in Indian scripts. Please use the recipient's address in Latin letters.",
			Hi: "प्राप्तकर्ता का सर्वर भारतीय लिपियों के पते नहीं लेता। कृपया प्राप्तकर्ता का रोमन लिपि वाला पता उपयोग करें।"}
	case smtp.EnhancedCode{5, 7, 10}, smtp.EnhancedCode{5, 7, 30}:
		return mohar.Text{En: "The message may travel only encrypted, and the receiving server cannot do that.",
			Hi: "यह संदेश केवल कूटबद्ध (एन्क्रिप्टेड) रूप में जा सकता है, और प्राप्तकर्ता का सर्वर इसमें सक्षम नहीं है।"}
	}
	return mohar.Text{En: "The receiving server refused the message.",
		Hi: "प्राप्तकर्ता के सर्वर ने संदेश अस्वीकार कर दिया।"}
}
