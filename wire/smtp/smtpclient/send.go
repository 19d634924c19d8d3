package smtpclient

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/wire/smtp"
)

// Recipient is what became of one recipient.
type Recipient struct {
	Address  string
	Accepted bool        // the peer took the responsibility
	Stage    Stage       // where Reply was given: StageMail, StageRcpt, StageData or StageDataEnd
	Reply    *smtp.Reply // the reply that decided; nil only when the connection broke before
}

// Result is what became of one message.
type Result struct {
	Host       string // the peer's name
	RemoteAddr net.Addr
	TLS        *tls.ConnectionState // nil without TLS
	Recipients []Recipient          // in the order of the envelope
	// DSN says that the peer offers DSN, so that reports are now its duty;
	// else a NOTIFY=SUCCESS is answered by a "relayed" report of ours (RFC
	// 3461 section 5.2.2).
	DSN bool
}

// AllAccepted says that every recipient was.
func (r *Result) AllAccepted() bool {
	for i := range r.Recipients {
		if !r.Recipients[i].Accepted {
			return false
		}
	}
	return true
}

// rcptWindow bounds the RCPTs sent before their replies are read: both ends
// writing into full buffers would wait for each other (RFC 2920 section 3.1).
const rcptWindow = 50

// Send carries one message. Size is the content's length in octets, for SIZE; 0
// when unknown. The content is read once to its end and goes out as it is; one
// that does not end with CRLF gets one in DATA, which has no other form.
//
// The error is a *MessageError when the message cannot go to this peer, and a
// *ConnError when the connection failed; a refusal by the peer is no error but
// stands in the Result. The Result is never nil: after an error its recipients
// without a Reply are undecided.
func (c *Client) Send(ctx context.Context, env *mohar.Envelope, size int64, content io.Reader) (*Result, error) {
	defer c.guard(ctx)()
	_, dsn := c.ext["DSN"]
	res := &Result{Host: c.host, RemoteAddr: c.raw.RemoteAddr(), TLS: c.tls, DSN: dsn}
	for _, to := range env.To {
		res.Recipients = append(res.Recipients, Recipient{Address: to.Address})
	}
	if err := c.canCarry(env, size); err != nil || len(env.To) == 0 {
		return res, err
	}
	s := &sending{c: c, env: env, res: res, size: size, body: c.newBody(content, size)}
	s.body.sevenBit = !c.has("8BITMIME")
	if err := s.body.next(); err != nil { // before anything is said, so that the connection stays good
		return res, err
	}
	if c.dirty {
		if err := c.reset(); err != nil {
			return res, err
		}
	}
	err := s.run()
	if errors.Is(err, errClosing) {
		err = nil
	}
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = &ConnError{s.stage, c.host, errors.Join(cause, err)}
	}
	return res, err
}

func (c *Client) has(ext string) bool { _, ok := c.ext[ext]; return ok }

// canCarry finds what the peer cannot take, before it is asked.
func (c *Client) canCarry(env *mohar.Envelope, size int64) error {
	utf := env.SMTPUTF8
	for i := -1; i < len(env.To); i++ {
		a := env.From
		if i >= 0 {
			a = env.To[i].Address
			if !safeWord(env.To[i].Notify) || !safeWord(env.To[i].ORcpt) {
				return ErrAddress
			}
		}
		utf = utf || !smtp.IsASCII(a)
		if i < 0 && a == "" || i >= 0 && strings.EqualFold(a, "postmaster") {
			continue
		}
		if smtp.CheckMailbox([]byte(a)) != nil {
			return ErrAddress
		}
	}
	limit := c.sizeLimit()
	switch {
	case !safeWord(env.EnvID) || !safeWord(env.Ret):
		return ErrAddress
	case utf && !c.has("SMTPUTF8"):
		return ErrUTF8
	case env.RequireTLS && (c.tls == nil || !c.has("REQUIRETLS")):
		return ErrRequireTLS
	case env.EightBit && !c.has("8BITMIME"):
		return ErrEightBit
	case limit > 0 && size > limit:
		return ErrTooLarge
	}
	return nil
}

// safeWord keeps a parameter's value from forging another parameter or line.
func safeWord(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] == 0x7f {
			return false
		}
	}
	return true
}

// errClosing ends a message whose fate a 421 has decided.
var errClosing = errors.New("the peer is closing")

// sending is one message on its way.
type sending struct {
	c     *Client
	env   *mohar.Envelope
	res   *Result
	size  int64
	body  *body
	stage Stage
	good  []int // recipients accepted by RCPT
}

func (s *sending) run() error {
	c := s.c
	c.dirty = true
	pipe := c.has("PIPELINING")
	chunk := c.has("CHUNKING") && !c.cfg.NoChunking
	s.queueMail()
	mail, pendingMail := (*smtp.Reply)(nil), true
	readMail := func() error {
		s.stage, pendingMail = StageMail, false
		c.deadline(c.cfg.Timeouts.Command)
		r, err := c.reply(StageMail)
		mail = r
		if err == nil && c.limited { // what was pipelined behind will have no replies
			s.decideAll(StageMail, r)
			return errClosing
		}
		return err
	}
	if !pipe {
		if err := readMail(); err != nil {
			return err
		}
		if !mail.Positive() {
			s.decideAll(StageMail, mail)
			return nil
		}
	}
	window := 1
	if pipe {
		window = rcptWindow
	}
	for at := 0; at < len(s.env.To); at += window {
		batch := s.env.To[at:min(at+window, len(s.env.To))]
		for i := range batch {
			s.queueRcpt(&batch[i])
		}
		last := at+window >= len(s.env.To)
		if last && pipe && !chunk {
			c.line("DATA")
		}
		if pendingMail {
			if err := readMail(); err != nil {
				return err
			}
		}
		if err := s.readRcpts(at, len(batch), mail); err != nil {
			return err
		}
		if !mail.Positive() && !last {
			return nil
		}
	}
	return s.content(pipe, chunk, mail)
}

// content sends the message's text, after the envelope's replies were read; by
// DATA with pipelining the command is sent already.
func (s *sending) content(pipe, chunk bool, mail *smtp.Reply) error {
	c := s.c
	ok := mail.Positive() && len(s.good) > 0
	if chunk {
		if !ok {
			return nil
		}
		return s.sendBDAT()
	}
	if !pipe {
		if !ok {
			return nil
		}
		c.line("DATA")
	}
	s.stage = StageData
	c.deadline(c.cfg.Timeouts.DataInit)
	r, err := c.reply(StageData)
	if err != nil {
		return err
	}
	if r.Code != 354 {
		s.decideGood(StageData, r)
		return nil
	}
	if !ok { // RFC 2920 section 3.1: a single dot, and nobody gets anything
		c.line(".")
		s.stage = StageDataEnd
		c.deadline(c.cfg.Timeouts.DataEnd)
		_, err := c.reply(StageDataEnd)
		return err
	}
	return s.sendDATA()
}

func (s *sending) queueMail() {
	c := s.c
	c.out = append(c.out, "MAIL FROM:<"...)
	c.out = append(append(c.out, s.env.From...), '>')
	if s.size > 0 && c.has("SIZE") {
		c.out = strconv.AppendInt(append(c.out, " SIZE="...), s.size, 10)
	}
	if c.has("8BITMIME") && (s.env.EightBit || s.body.eightBit || s.env.SMTPUTF8) {
		c.out = append(c.out, " BODY=8BITMIME"...)
	}
	if s.needsUTF8() {
		c.out = append(c.out, " SMTPUTF8"...)
	}
	if s.env.RequireTLS {
		c.out = append(c.out, " REQUIRETLS"...)
	}
	if s.res.DSN && s.env.Ret != "" {
		c.out = append(append(c.out, " RET="...), s.env.Ret...)
	}
	if s.res.DSN && s.env.EnvID != "" {
		c.out = append(append(c.out, " ENVID="...), s.env.EnvID...)
	}
	c.line()
}

func (s *sending) needsUTF8() bool {
	if s.env.SMTPUTF8 || !smtp.IsASCII(s.env.From) {
		return true
	}
	for i := range s.env.To {
		if !smtp.IsASCII(s.env.To[i].Address) {
			return true
		}
	}
	return false
}

func (s *sending) queueRcpt(to *mohar.Recipient) {
	c := s.c
	c.out = append(c.out, "RCPT TO:<"...)
	c.out = append(append(c.out, to.Address...), '>')
	if s.res.DSN && to.Notify != "" {
		c.out = append(append(c.out, " NOTIFY="...), to.Notify...)
	}
	if s.res.DSN && to.ORcpt != "" {
		c.out = append(append(c.out, " ORCPT="...), to.ORcpt...)
	}
	c.line()
}

// readRcpts reads n replies for the recipients from at. When MAIL was refused
// theirs say nothing, and MAIL's stands for all.
func (s *sending) readRcpts(at, n int, mail *smtp.Reply) error {
	s.stage = StageRcpt
	for i := at; i < at+n; i++ {
		s.c.deadline(s.c.cfg.Timeouts.Command)
		r, err := s.c.reply(StageRcpt)
		if err != nil {
			return err
		}
		switch {
		case s.c.limited:
			s.decideGood(StageRcpt, r)
			for k := i; k < len(s.res.Recipients); k++ {
				s.decide(k, StageRcpt, r)
			}
			return errClosing
		case !mail.Positive():
		case r.Positive():
			s.good = append(s.good, i)
		default:
			s.res.Recipients[i].Stage, s.res.Recipients[i].Reply = StageRcpt, r
		}
	}
	if !mail.Positive() {
		s.decideAll(StageMail, mail)
	}
	return nil
}

func (s *sending) decideAll(st Stage, r *smtp.Reply) {
	for i := range s.res.Recipients {
		s.res.Recipients[i].Stage, s.res.Recipients[i].Reply = st, r
	}
}

// decideGood gives the outcome to those whose RCPT was accepted.
func (s *sending) decideGood(st Stage, r *smtp.Reply) {
	for _, i := range s.good {
		s.decide(i, st, r)
	}
}

func (s *sending) decide(i int, st Stage, r *smtp.Reply) {
	to := &s.res.Recipients[i]
	to.Stage, to.Reply, to.Accepted = st, r, r.Positive()
}

// finish reads what the peer says to the whole content.
func (s *sending) finish() error {
	c := s.c
	s.stage = StageDataEnd
	if err := c.flush(); err != nil {
		return c.fail(StageDataEnd, err)
	}
	c.deadline(c.cfg.Timeouts.DataEnd)
	if c.cfg.LMTP { // RFC 2033 section 4.2: one reply for each
		for _, i := range s.good {
			r, err := c.reply(StageDataEnd)
			if err != nil {
				return err
			}
			s.decide(i, StageDataEnd, r)
		}
		c.dirty = false
		return nil
	}
	r, err := c.reply(StageDataEnd)
	if err != nil {
		return err
	}
	s.decideGood(StageDataEnd, r)
	c.dirty = false
	return nil
}
