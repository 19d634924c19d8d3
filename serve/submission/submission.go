// Package submission is the door by which mail programs send.
//
// Owns:      nothing; flow/submit does the work.
// Trusts:    its Signin for who somebody is; nobody for envelope or content.
// May touch: its flow.
// Standards: RFC 6409, RFC 4954, RFC 8314.
package submission

import (
	"context"
	"io"
	"net/netip"
	"slices"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/flow/submit"
	"github.com/mohar-mail/mohar/policy"
	"github.com/mohar-mail/mohar/wire/sasl"
	"github.com/mohar-mail/mohar/wire/smtp"
	"github.com/mohar-mail/mohar/wire/smtp/smtpserver"
)

// Signin says who somebody is. The errors are fault.Auth, fault.Denied and
// fault.TooMany.
type Signin interface {
	SignIn(ctx context.Context, door mohar.Door, user, password string, remote netip.Addr, tls bool) (submit.Sender, error)
}

// Backend makes the sessions of the door.
type Backend struct {
	Submit   *submit.Submit
	Signin   Signin
	MaxBytes int64 // octets of content
}

// NewSession takes every connection; the engine bounds them.
func (b *Backend) NewSession(_ context.Context, c *smtpserver.Conn) (smtpserver.Session, error) {
	return &session{b: b, conn: c}, nil
}

type session struct {
	b    *Backend
	conn *smtpserver.Conn
	who  submit.Sender
}

// Mechanisms lists what the door offers; the engine offers it over TLS only.
func (s *session) Mechanisms() []string { return []string{sasl.Plain, sasl.Login} }

// Auth begins an exchange.
func (s *session) Auth(_ context.Context, mechanism string) (sasl.Server, error) {
	if mechanism == sasl.Login {
		return sasl.NewLoginServer(s.verify), nil
	}
	return sasl.NewPlainServer(s.verify), nil
}

// verify refuses to act for another: delegation goes by the directory, not by
// what a client asks for.
func (s *session) verify(ctx context.Context, authzid, authcid, password string) error {
	if authzid != "" && authzid != authcid {
		return fault.New(fault.Auth, "submission.Auth", "You may not act for another.")
	}
	who, err := s.b.Signin.SignIn(ctx, mohar.DoorSubmission, authcid, password, s.conn.RemoteIP(), s.conn.TLS != nil)
	if err == nil {
		s.who = who
	}
	return err
}

func (s *session) Mail(_ context.Context, from string, _ *smtpserver.MailOptions) error {
	return s.b.Submit.MayMail(&s.who, from)
}

func (s *session) Rcpt(ctx context.Context, to mohar.Recipient) error {
	return s.b.Submit.MayRcpt(ctx, to.Address)
}

func (s *session) Data(ctx context.Context, env *mohar.Envelope, r io.Reader) (smtpserver.Accepted, error) {
	content, free, err := s.b.Submit.Read(ctx, r, s.b.MaxBytes)
	defer free()
	if err != nil {
		return smtpserver.Accepted{}, err
	}
	out, err := s.b.Submit.Accept(ctx, &submit.Submission{Sender: s.who, Door: mohar.DoorSubmission, Remote: s.conn.RemoteIP(),
		Helo: s.conn.Helo, Protocol: s.conn.Protocol(env.SMTPUTF8), Envelope: *env, Content: content, StripBcc: true})
	if err != nil {
		return smtpserver.Accepted{}, forNow(s.inTheirLanguage(env, err))
	}
	if out.Held != nil {
		return smtpserver.Accepted{Text: s.held(env, out)}, nil
	}
	return smtpserver.Accepted{Text: "queued as " + out.ID.String()}, nil
}

// held tells the sender that the message is taken and waits for a person.
func (s *session) held(env *mohar.Envelope, out submit.Accepted) string {
	text := "accepted and held as " + out.ID.String() + " until it is released"
	for i, r := range out.Held.Reasons {
		if i == heldReasons {
			break
		}
		what := r.What.En
		if env.SMTPUTF8 {
			what = r.What.In(s.who.Lang)
		}
		text += "; " + r.Rule + " " + what
	}
	return text
}

// heldReasons bounds the reasons that the reply to a held message repeats: it is
// one line.
const heldReasons = 1

// forNow answers a refusal that may pass by itself with 451 4.7.1, so that the
// mail program tries again; 550 would give the message back.
func forNow(err error) error {
	d := fault.DecisionOf(err)
	if d == nil || !slices.Contains(d.Obligations, policy.Defer) {
		return err
	}
	reply := &smtp.Reply{Code: 451, Enhanced: smtp.EnhancedCode{4, 7, 1}}
	for _, r := range d.Reasons {
		reply.Lines = append(reply.Lines, r.Rule+" "+r.What.En, r.Advice.En)
	}
	return fault.Wrap(reply, fault.Unavailable, "submission.Data", fault.Public(err))
}

// inTheirLanguage gives a refusal by policy the words of the sender's language.
// A reply may hold other than ASCII only in a transaction with SMTPUTF8, RFC 6531
// section 3.7.4.
func (s *session) inTheirLanguage(env *mohar.Envelope, err error) error {
	d := fault.DecisionOf(err)
	if d == nil || !env.SMTPUTF8 || s.who.Lang == "" {
		return err
	}
	own := *d
	own.Reasons = slices.Clone(d.Reasons)
	for i := range own.Reasons {
		r := &own.Reasons[i]
		r.What.En, r.Advice.En = r.What.In(s.who.Lang), r.Advice.In(s.who.Lang)
	}
	return fault.Refusal("submission.Data", &own)
}

func (s *session) Reset()  {}
func (s *session) Logout() {}

var (
	_ smtpserver.Backend       = (*Backend)(nil)
	_ smtpserver.Authenticator = (*session)(nil)
)
