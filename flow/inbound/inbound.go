// Package inbound takes mail from other hosts: it checks it, decides on it and
// promises it to the queue.
//
// Owns:      nothing; it writes queue and audit in one transaction.
// Trusts:    nobody for envelope or content.
// May touch: directory, queue, audit; mail authentication through Verify.
// Standards: RFC 5321 sections 3.6, 4.4 and 6.3; RFC 8601.
package inbound

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/semaphore"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/audit"
	"github.com/mohar-mail/mohar/base/clock"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/queue"
	"github.com/mohar-mail/mohar/store/body"
	"github.com/mohar-mail/mohar/store/kv"
	"github.com/mohar-mail/mohar/wire/mime"
)

// Limits.
const (
	// MaxReceived is the number of Received fields at which a message is taken to
	// go in a circle, RFC 5321 section 6.3.
	MaxReceived = 100
	// DefaultMemory bounds the content of all messages that are being received, in
	// octets. A message that finds no room is asked to come again.
	DefaultMemory = 1 << 30
	// slab is the step in which room is taken, in octets.
	slab = 256 << 10
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
	Detail map[string]string
}

// Config is what an Inbound needs.
type Config struct {
	Hostname string
	Queue    *queue.Queue
	Bodies   *body.Bodies
	Clock    clock.Clock
	Log      *slog.Logger
	Memory   int64 // DefaultMemory when 0
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
type Inbound struct {
	cfg  Config
	room *semaphore.Weighted
}

// New makes an Inbound.
func New(cfg Config) *Inbound {
	if cfg.Memory <= 0 {
		cfg.Memory = DefaultMemory
	}
	return &Inbound{cfg: cfg, room: semaphore.NewWeighted(cfg.Memory)}
}

// Recipient says whether mail for an address is taken.
func (in *Inbound) Recipient(ctx context.Context, address string) (Target, error) {
	return in.cfg.Recipient(ctx, address)
}

// Accept reads the content and promises the message; when it returns an id the
// message is durable. env.To and targets are in the same order.
func (in *Inbound) Accept(ctx context.Context, a *Arrival, env *mohar.Envelope, targets []Target, r io.Reader) (queue.ItemID, error) {
	content, free, err := in.read(ctx, r)
	defer free()
	if err != nil {
		return queue.ItemID{}, err
	}
	if hops(content) > MaxReceived {
		return queue.ItemID{}, fault.New(fault.Invalid, "inbound.Accept", "The message goes in a circle: too many Received fields.")
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
	return in.promise(ctx, a, env, targets, content, &checks)
}

// read takes the whole content into memory, within the room that all messages
// share. free gives the room back.
func (in *Inbound) read(ctx context.Context, r io.Reader) (content []byte, free func(), err error) {
	var taken int64
	free = func() { in.room.Release(taken) }
	b := bytes.NewBuffer(make([]byte, 0, 16<<10))
	limited := &roomReader{r: io.LimitReader(r, in.cfg.MaxSize+1), need: func(n int64) error {
		for taken < n {
			if !in.room.TryAcquire(slab) {
				return fault.New(fault.Unavailable, "inbound.read", "The server is busy. Try again later.")
			}
			taken += slab
		}
		return ctx.Err()
	}}
	if _, err := b.ReadFrom(limited); err != nil {
		return nil, free, err
	}
	if int64(b.Len()) > in.cfg.MaxSize {
		return nil, free, fault.New(fault.TooLarge, "inbound.read", fmt.Sprintf("Messages are limited to %d octets.", in.cfg.MaxSize))
	}
	return b.Bytes(), free, nil
}

// roomReader asks for room before it hands on what it read.
type roomReader struct {
	r    io.Reader
	seen int64
	need func(total int64) error
}

func (l *roomReader) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	l.seen += int64(n)
	if e := l.need(l.seen); e != nil {
		return n, e
	}
	return n, err
}

// hops counts the Received fields of the header.
func hops(content []byte) int {
	head := content
	if i := bytes.Index(content, []byte("\r\n\r\n")); i >= 0 {
		head = content[:i+2]
	}
	n := 0
	for len(head) > 0 && n <= MaxReceived {
		if len(head) >= 9 && strings.EqualFold(string(head[:9]), "received:") {
			n++
		}
		i := bytes.IndexByte(head, '\n')
		if i < 0 {
			break
		}
		head = head[i+1:]
	}
	return n
}

func (in *Inbound) promise(ctx context.Context, a *Arrival, env *mohar.Envelope, targets []Target, content []byte, c *Checks) (queue.ItemID, error) {
	id := in.cfg.Queue.NewID()
	now := in.cfg.Clock.Now()
	full := append(in.trace(a, env, id, now), c.Field...)
	full = append(full, content...)
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
	rcpts := make([]queue.Recipient, len(targets))
	for i, t := range targets {
		rcpts[i] = queue.Recipient{Address: t.Address, Account: t.Account, Class: queue.Local,
			Notify: env.To[i].Notify, ORcpt: env.To[i].ORcpt}
	}
	err = in.cfg.Queue.Promise(ctx, it, rcpts, st, func(tx *kv.Tx) error {
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
	for k, v := range c.Detail {
		detail[k] = v
	}
	return audit.Record{Time: now, Kind: kind, Door: a.Door, Remote: a.Remote.String(), Object: id.String(),
		Decision: &mohar.Decision{Verdict: mohar.Allow}, Detail: detail}
}

// trace writes Return-Path and Received, RFC 5321 section 4.4. The recipient is
// named only where it is the only one, so that nobody learns of blind copies.
func (in *Inbound) trace(a *Arrival, env *mohar.Envelope, id queue.ItemID, now time.Time) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "Return-Path: <%s>\r\n", env.From)
	remote := a.Remote.String()
	if a.Remote.Is6() {
		remote = "IPv6:" + remote
	}
	helo := a.Helo
	if helo == "" {
		helo = "[" + remote + "]"
	}
	fmt.Fprintf(&b, "Received: from %s ([%s])\r\n\tby %s with %s id %s", helo, remote, in.cfg.Hostname, a.Protocol, id)
	if len(env.To) == 1 {
		fmt.Fprintf(&b, "\r\n\tfor <%s>", env.To[0].Address)
	}
	if a.TLS != "" {
		fmt.Fprintf(&b, "\r\n\t(%s)", a.TLS)
	}
	fmt.Fprintf(&b, ";\r\n\t%s\r\n", now.Format(time.RFC1123Z))
	return b.Bytes()
}
