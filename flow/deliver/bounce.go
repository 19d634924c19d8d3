package deliver

import (
	"context"
	"fmt"
	"strings"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/queue"
	"github.com/mohar-mail/mohar/store/body"
	"github.com/mohar-mail/mohar/store/kv"
	"github.com/mohar-mail/mohar/wire/addr"
	"github.com/mohar-mail/mohar/wire/dsn"
	"github.com/mohar-mail/mohar/wire/mime"
)

// Home says how mail to a sender is delivered: the recipient of a report.
type Home interface {
	Recipient(ctx context.Context, address string) (queue.Recipient, error)
}

// bounce is a failure report that is ready to enter the queue.
type bounce struct {
	item   *queue.Item
	to     queue.Recipient
	staged *body.Staged
}

// report writes the failure report for recipients of one item; nil where nobody
// is to be told: a null reverse-path (RFC 5321 section 6.1), NOTIFY without
// FAILURE (RFC 3461 section 4.1), or a sender who cannot be reached.
func (d *Deliver) report(ctx context.Context, it *queue.Item, failed []*queue.Recipient) (*bounce, error) {
	if it.From == "" {
		return nil, nil
	}
	now := d.cfg.Clock.Now()
	id := queue.InLane(d.cfg.Queue.NewID(), it.ID)
	r := &dsn.Report{ReportingMTA: d.cfg.Hostname, Arrival: it.Created, To: it.From, Date: now,
		From:      addr.Address{Name: "Mail delivery", Local: "postmaster", Domain: d.cfg.Hostname},
		MessageID: fmt.Sprintf("<%s@%s>", id, d.cfg.Hostname), ReturnFull: it.Ret == "FULL"}
	if env, err := dsn.DecodeXText(it.EnvID); err == nil {
		r.EnvelopeID = env
	}
	for _, rc := range failed {
		if rc.Notify != "" && !strings.Contains(strings.ToUpper(rc.Notify), "FAILURE") {
			continue
		}
		out := dsn.Recipient{Final: rc.Address, Action: dsn.Failed, Status: "5.0.0", LastAttempt: now, Explanation: mohar.Text{
			En: "The letter was not delivered. Check the address, or write to the person another way. " + rc.Last,
			Hi: "पत्र नहीं पहुँचाया जा सका। पता जाँचें, या किसी और तरीके से संपर्क करें। " + rc.Last}}
		if o, err := dsn.ParseORCPT(rc.ORcpt); err == nil {
			out.Original = o
		}
		r.Recipients = append(r.Recipients, out)
	}
	if len(r.Recipients) == 0 {
		return nil, nil
	}
	to, err := d.cfg.Home.Recipient(ctx, it.From)
	if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Invalid) || fault.Is(err, fault.Denied) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if r.Original, err = d.cfg.Bodies.Read(ctx, it.Body); err != nil {
		return nil, err
	}
	return d.stage(ctx, id, r, to)
}

func (d *Deliver) stage(ctx context.Context, id queue.ItemID, r *dsn.Report, to queue.Recipient) (*bounce, error) {
	content, err := dsn.Build(r)
	if err != nil {
		return nil, err
	}
	index, err := mime.Parse(content).AppendBinary(nil)
	if err != nil {
		return nil, err
	}
	w := d.cfg.Bodies.Writer(ctx)
	if _, err := w.Write(content); err != nil {
		w.Abort()
		return nil, err
	}
	st, err := w.Finish()
	if err != nil {
		return nil, err
	}
	return &bounce{item: &queue.Item{ID: id, Created: r.Date, Door: mohar.DoorSystem, Index: index}, to: to, staged: st}, nil
}

// bounces prepares the reports for what failed for good, and gives the part of
// Finish that adds them; nil without any.
func (d *Deliver) bounces(ctx context.Context, items map[queue.ItemID]*queue.Item, failed map[queue.ItemID][]*queue.Recipient) (func(*kv.Tx, []queue.Result) error, []*bounce, error) {
	var list []*bounce
	for id, rcpts := range failed {
		b, err := d.report(ctx, items[id], rcpts)
		if err != nil {
			return nil, list, err
		}
		if b != nil {
			list = append(list, b)
		}
	}
	if len(list) == 0 {
		return nil, nil, nil
	}
	return func(tx *kv.Tx, _ []queue.Result) error {
		for _, b := range list {
			if err := d.cfg.Queue.Add(tx, b.item, []queue.Recipient{b.to}, b.staged); err != nil {
				return err
			}
		}
		return nil
	}, list, nil
}
