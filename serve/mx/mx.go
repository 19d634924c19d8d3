// Package mx is the door for mail from other hosts, over SMTP, and from our own
// relays, over LMTP.
//
// Owns:      nothing; flow/inbound does the work.
// Trusts:    nobody.
// May touch: its flow.
// Standards: RFC 5321, RFC 2033.
package mx

import (
	"context"
	"io"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/flow/inbound"
	"github.com/mohar-mail/mohar/wire/smtp/smtpserver"
)

// Backend makes the sessions of the door. Door is mohar.DoorMX or
// mohar.DoorLMTP.
type Backend struct {
	Inbound *inbound.Inbound
	Door    mohar.Door
}

// NewSession takes every connection; the engine bounds them.
func (b *Backend) NewSession(_ context.Context, c *smtpserver.Conn) (smtpserver.Session, error) {
	return &session{b: b, conn: c}, nil
}

type session struct {
	b       *Backend
	conn    *smtpserver.Conn
	targets []inbound.Target
}

func (s *session) Mail(context.Context, string, *smtpserver.MailOptions) error {
	s.targets = nil
	return nil
}

func (s *session) Rcpt(ctx context.Context, to mohar.Recipient) error {
	t, err := s.b.Inbound.Recipient(ctx, to.Address)
	if err != nil {
		return err
	}
	s.targets = append(s.targets, t)
	return nil
}

func (s *session) Data(ctx context.Context, env *mohar.Envelope, r io.Reader) (smtpserver.Accepted, error) {
	a := &inbound.Arrival{Door: s.b.Door, Remote: s.conn.RemoteIP(), Helo: s.conn.Helo,
		Protocol: s.conn.Protocol(env.SMTPUTF8), TLS: s.conn.TLSDescription()}
	id, err := s.b.Inbound.Accept(ctx, a, env, s.targets, r)
	if err != nil {
		return smtpserver.Accepted{}, err
	}
	return smtpserver.Accepted{Text: "queued as " + id.String()}, nil
}

func (s *session) Reset()  { s.targets = nil }
func (s *session) Logout() {}

var _ smtpserver.Backend = (*Backend)(nil)
