package relay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/mailauth/field"
	"github.com/mohar-mail/mohar/wire/dns"
	"github.com/mohar-mail/mohar/wire/smtp"
)

// ErrUncertain is in the chain of a Peer's error when the session broke between
// the end of the content and the reply to it: the peer may have taken the
// message (RFC 1047), so it is not offered to the next host at once.
var ErrUncertain = errors.New("the connection broke before the answer to the content")

// codeClosing is the reply of a peer that ends the session, RFC 5321 section
// 4.2.3.
const codeClosing = 421

// maxStale is how many idle sessions of a host may turn out dead before a new
// one is opened.
const maxStale = 3

// try is one attempt under way.
type try struct {
	r        *Relay
	j        *job
	mode     TLSMode
	utf8     bool // the peer must have SMTPUTF8
	content  io.ReaderAt
	outcomes []outcome
	pending  []int // recipients without an outcome yet
	last     outcome
	reached  bool // some host let us in
	refused  bool // the last host could not give this message the TLS it asks for
}

// attempt offers a message to the hosts of its destination, one after the other
// until one has answered for every recipient.
func (r *Relay) attempt(ctx context.Context, j *job) []outcome {
	hosts, bad := r.hosts(ctx, j)
	if bad != nil {
		return allOf(j, *bad)
	}
	content, err := r.cfg.Bodies.Open(ctx, j.item.Body)
	if err != nil {
		r.cfg.Log.Error("relay: content", "item", j.item.ID.String(), "err", err)
		return allOf(j, *temporary("", smtp.EnhancedCode{4, 3, 0}, "the message could not be read"))
	}
	t := &try{r: r, j: j, mode: r.cfg.TLS(j.domain), content: content, outcomes: make([]outcome, len(j.rcpts))}
	if j.item.RequireTLS {
		t.mode = TLSVerified
	}
	if t.utf8, err = needsUTF8(j, content); err != nil {
		return allOf(j, *temporary("", smtp.EnhancedCode{4, 3, 0}, "the message could not be read"))
	}
	for i := range j.rcpts {
		t.pending = append(t.pending, i)
	}
	none := 0 // hosts that can never be reached
	t.last = *temporary("", smtp.EnhancedCode{4, 4, 1}, "no host could be tried")
	for _, h := range hosts {
		if len(t.pending) == 0 || ctx.Err() != nil {
			break
		}
		if t.atHost(ctx, h) {
			none++
		}
	}
	// A host without an address is final only when it is so for all of them.
	if none < len(hosts) && t.last.state == statePermanent && !t.refused {
		t.last.state, t.last.status[0] = stateTemporary, 4
	}
	t.last.unreachable = !t.reached && !t.refused
	for _, i := range t.pending {
		t.outcomes[i] = t.last
	}
	return t.outcomes
}

// atHost offers what is pending to one host, over an idle session or a new one
// to any of its addresses. It is true when the host can never be reached.
func (t *try) atHost(ctx context.Context, h host) (never bool) {
	key := h.name + " " + strconv.Itoa(int(h.port)) + " " + strconv.Itoa(int(t.mode))
	for range maxStale {
		s := t.r.pool.take(key)
		if s == nil {
			break
		}
		t.reached = true
		if t.over(ctx, s) {
			return false
		}
	}
	addrs, bad := t.r.addresses(ctx, h)
	if bad != nil {
		t.last = *bad
		return bad.state == statePermanent
	}
	for _, a := range addrs {
		if ctx.Err() != nil {
			break
		}
		peer, err := t.dial(ctx, Target{Host: h.name, Addr: a, TLS: t.mode})
		if err != nil {
			t.last = t.dialFailed(h, a.String(), err)
			continue
		}
		t.reached = true
		if t.over(ctx, &session{peer: peer, key: key}) {
			return false
		}
	}
	return false
}

// dial opens a session; where TLS breaks and may be done without, in plain.
func (t *try) dial(ctx context.Context, target Target) (Peer, error) {
	peer, err := t.r.cfg.Dialer.Dial(ctx, target)
	if err != nil && errors.Is(err, ErrTLS) && t.mode == TLSOpportunistic && ctx.Err() == nil {
		t.r.cfg.Log.Info("relay: TLS broke, going on in plain", "host", target.Host, "err", err)
		target.Plain = true
		return t.r.cfg.Dialer.Dial(ctx, target)
	}
	return peer, err
}

func (t *try) dialFailed(h host, addr string, err error) outcome {
	t.refused = errors.Is(err, ErrTLS) && t.j.item.RequireTLS
	o := *temporary(h.name, smtp.EnhancedCode{4, 4, 1}, fmt.Sprintf("%s (%s) could not be reached: %v", h.name, addr, err))
	var rep *smtp.Reply
	switch {
	case errors.Is(err, ErrTLS):
		o.status = smtp.EnhancedCode{4, 7, 10} // encryption needed
		if t.refused {
			o.state, o.status = statePermanent, smtp.EnhancedCode{5, 7, 10} // RFC 8689 section 4.2.1
		}
	case errors.As(err, &rep):
		// A 5xx greeting is about this host at this time, not about the recipient.
		o.reply, o.status = rep, smtp.EnhancedCode{4, 3, 2}
	}
	return o
}

// over runs the transactions of what is pending in one session. It is true when
// nothing is left to do at other addresses.
func (t *try) over(ctx context.Context, s *session) (done bool) {
	info, rested := s.peer.Info(), !s.since.IsZero()
	if o := t.unfit(info); o != nil {
		t.all(*o)
		t.r.pool.put(s, t.r.cfg.PerConnection)
		return true
	}
	for len(t.pending) > 0 {
		chunk := t.pending[:min(len(t.pending), maxRecipients)]
		if s.used >= t.r.cfg.PerConnection {
			s.peer.Close()
			return false // the same host again, over a new session
		}
		s.used++
		replies, err := s.peer.Send(ctx, t.transaction(chunk, info))
		if rested && err != nil {
			replies = withoutClosing(replies)
		}
		var never *Unsendable
		if errors.As(err, &never) {
			o := permanent(info.Host, never.Status, never.Text)
			o.tls = describeTLS(info)
			t.all(*o)
			t.r.pool.put(s, t.r.cfg.PerConnection)
			return true
		}
		answered := 0
		for n, i := range chunk {
			if n < len(replies) && replies[n] != nil {
				t.outcomes[i] = fromReply(replies[n], info)
				answered++
			} else if errors.Is(err, ErrUncertain) {
				t.outcomes[i] = *temporary(info.Host, smtp.EnhancedCode{4, 4, 2}, "the connection to "+info.Host+" broke before its answer")
				t.outcomes[i].uncertain = true
				answered++
			}
		}
		t.keepUnanswered(chunk, replies, err)
		if err != nil {
			s.peer.Close()
			t.last = *temporary(info.Host, smtp.EnhancedCode{4, 4, 2}, fmt.Sprintf("the session with %s broke: %v", info.Host, err))
			return len(t.pending) == 0
		}
		if answered < len(chunk) { // a Peer that neither answers nor fails
			s.peer.Close()
			t.last = *temporary(info.Host, smtp.EnhancedCode{4, 5, 0}, info.Host+" did not answer for every recipient")
			return false
		}
	}
	t.r.pool.put(s, t.r.cfg.PerConnection)
	return true
}

// withoutClosing leaves out the replies by which a peer ends a session. On one
// that has rested they may have been sent before the message was offered, when the
// peer's patience ended (RFC 5321 section 4.5.3.2.7), and say nothing about it: the
// message is worth a new session at once.
func withoutClosing(replies []*smtp.Reply) []*smtp.Reply {
	out := slices.Clone(replies)
	for i, rep := range out {
		if rep != nil && rep.Code == codeClosing {
			out[i] = nil
		}
	}
	return out
}

// keepUnanswered takes those with an outcome out of pending.
func (t *try) keepUnanswered(chunk []int, replies []*smtp.Reply, err error) {
	rest := t.pending[len(chunk):]
	if errors.Is(err, ErrUncertain) {
		t.pending = rest
		return
	}
	var left []int
	for n, i := range chunk {
		if n >= len(replies) || replies[n] == nil {
			left = append(left, i)
		}
	}
	t.pending = append(left, rest...)
}

func (t *try) all(o outcome) {
	for _, i := range t.pending {
		t.outcomes[i] = o
	}
	t.pending = nil
}

// unfit says why a peer cannot take this message, whatever it answers.
func (t *try) unfit(info PeerInfo) *outcome {
	switch {
	case t.utf8 && !info.SMTPUTF8:
		// RFC 6531 section 3.2: bounce, never downgrade by guess.
		o := permanent(info.Host, smtp.EnhancedCode{5, 6, 7}, info.Host+" does not take internationalized mail (SMTPUTF8)")
		o.tls = describeTLS(info)
		return o
	case t.j.item.RequireTLS && !info.RequireTLS:
		o := permanent(info.Host, smtp.EnhancedCode{5, 7, 30}, info.Host+" does not support REQUIRETLS") // RFC 8689 section 4.2.1
		o.tls = describeTLS(info)
		return o
	}
	return nil
}

func (t *try) transaction(chunk []int, info PeerInfo) *Transaction {
	it := t.j.item
	tx := &Transaction{From: it.From, EightBit: it.EightBit, SMTPUTF8: t.utf8, RequireTLS: it.RequireTLS,
		Content: t.content, Size: it.Size, To: make([]mohar.Recipient, 0, len(chunk))}
	if !t.utf8 {
		tx.From = asciiPath(it.From)
	}
	if info.DSN {
		tx.EnvID, tx.Ret = it.EnvID, it.Ret
	}
	for _, i := range chunk {
		rc := t.j.rcpts[i]
		to := mohar.Recipient{Address: rc.Address}
		if !t.utf8 {
			to.Address = asciiPath(rc.Address)
		}
		if info.DSN {
			to.Notify, to.ORcpt = rc.Notify, rc.ORcpt
		}
		tx.To = append(tx.To, to)
	}
	return tx
}

// needsUTF8 says whether a message is internationalised in fact: a sender may
// declare SMTPUTF8 for one that is not (RFC 6531 section 3.6), and the peer need
// not know it then. A U-label in the domain alone is sent as A-label.
func needsUTF8(j *job, content io.ReaderAt) (bool, error) {
	if !asciiLocal(j.item.From) {
		return true, nil
	}
	for _, rc := range j.rcpts {
		if !asciiLocal(rc.Address) {
			return true, nil
		}
	}
	if !j.item.SMTPUTF8 {
		return false, nil
	}
	header, _, err := field.Read(content, j.item.Size)
	return !smtp.IsASCII(string(header)), err
}

func asciiLocal(address string) bool {
	at := strings.LastIndexByte(address, '@')
	return smtp.IsASCII(address[:max(at, 0)]) && (at >= 0 || smtp.IsASCII(address))
}

// asciiPath gives an address with its domain as A-label.
func asciiPath(address string) string {
	at := strings.LastIndexByte(address, '@')
	if at < 0 || smtp.IsASCII(address) {
		return address
	}
	d, err := dns.Canonical(address[at+1:])
	if err != nil {
		return address
	}
	return address[:at+1] + d
}
