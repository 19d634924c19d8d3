package outside

import (
	"context"
	"io"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/wire/smtp/smtpserver"
)

// Magic local parts of the outside world, so that every way of failing can be
// seen: mail to them is refused for now or for good.
const (
	unknownUser = "unknown" // 550 5.1.1
	busyUser    = "busy"    // 451 4.3.2
)

// NewSession makes the outside world a backend of an SMTP server: the mail
// exchanger of every foreign domain.
func (w *World) NewSession(_ context.Context, c *smtpserver.Conn) (smtpserver.Session, error) {
	return &session{world: w, conn: c}, nil
}

type session struct {
	world *World
	conn  *smtpserver.Conn
}

func (s *session) Mail(context.Context, string, *smtpserver.MailOptions) error { return nil }

func (s *session) Rcpt(_ context.Context, to mohar.Recipient) error {
	switch local(to.Address) {
	case unknownUser:
		return fault.New(fault.NotFound, "outside.Rcpt", "No such citizen here.")
	case busyUser:
		return fault.New(fault.Unavailable, "outside.Rcpt", "Busy. Try again later.")
	}
	return nil
}

func local(address string) string {
	for i := len(address) - 1; i >= 0; i-- {
		if address[i] == '@' {
			return address[:i]
		}
	}
	return address
}

func (s *session) Data(_ context.Context, env *mohar.Envelope, r io.Reader) (smtpserver.Accepted, error) {
	content, err := io.ReadAll(io.LimitReader(r, MaxMail))
	if err != nil {
		return smtpserver.Accepted{}, err
	}
	to := make([]string, len(env.To))
	for i, rcpt := range env.To {
		to[i] = rcpt.Address
	}
	s.world.Receive(env.From, to, s.conn.TLS != nil, content)
	return smtpserver.Accepted{Text: "delivered outside"}, nil
}

func (s *session) Reset()  {}
func (s *session) Logout() {}

var _ smtpserver.Backend = (*World)(nil)
