package relay

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/wire/smtp"
	"github.com/mohar-mail/mohar/wire/smtp/smtpclient"
)

// Times towards a peer. RFC 5321 section 4.5.3.2 gives larger ones for a host
// that is slow; connecting and greeting are cut, because the next host waits.
const (
	connectTimeout  = 15 * time.Second
	greetingTimeout = time.Minute
)

// SMTPDialer is the Dialer of the real network.
type SMTPDialer struct {
	Hostname string         // ours, for EHLO
	Roots    *x509.CertPool // whom to trust for TLSVerified; the system's when nil
	// Timeouts are those of the client; the zero value means its defaults, with
	// shorter ones for connecting and greeting.
	Timeouts smtpclient.Timeouts
}

// Dial connects and goes through greeting, EHLO and STARTTLS.
func (d *SMTPDialer) Dial(ctx context.Context, t Target) (Peer, error) {
	cfg := smtpclient.Config{LocalName: d.Hostname, Timeouts: d.Timeouts}
	if cfg.Timeouts.Greeting == 0 {
		cfg.Timeouts.Greeting = greetingTimeout
	}
	if cfg.Timeouts.Connect == 0 {
		cfg.Timeouts.Connect = connectTimeout
	}
	switch {
	case t.Plain:
		cfg.Policy = smtpclient.Clear
	case t.TLS == TLSVerified:
		cfg.Policy = smtpclient.Required
		cfg.TLS = &tls.Config{ServerName: t.Host, RootCAs: d.Roots, MinVersion: tls.VersionTLS12}
	case t.TLS == TLSRequired:
		cfg.Policy = smtpclient.Required
		// Encrypted against listeners, to whomever answers: verification is
		// TLSVerified's.
		cfg.TLS = &tls.Config{ServerName: t.Host, InsecureSkipVerify: true, MinVersion: tls.VersionTLS12} //nolint:gosec
	}
	nd := net.Dialer{Timeout: cfg.Timeouts.Connect}
	nc, err := nd.DialContext(ctx, "tcp", t.Addr.String())
	if err != nil {
		return nil, err
	}
	c, err := smtpclient.New(ctx, nc, t.Host, cfg)
	if err != nil {
		var ce *smtpclient.ConnError
		if errors.As(err, &ce) && ce.Stage == smtpclient.StageTLS {
			return nil, fmt.Errorf("%w: %w", ErrTLS, err)
		}
		return nil, err
	}
	p := &smtpPeer{c: c, info: PeerInfo{Host: t.Host, TLS: c.TLS()}}
	_, p.info.DSN = c.Extension("DSN")
	_, p.info.SMTPUTF8 = c.Extension("SMTPUTF8")
	_, p.info.RequireTLS = c.Extension("REQUIRETLS")
	p.info.Verified = d.verified(c.TLS(), t.Host)
	return p, nil
}

// verified says whether the peer has proved its name, for the record.
func (d *SMTPDialer) verified(state *tls.ConnectionState, host string) bool {
	if state == nil || len(state.PeerCertificates) == 0 {
		return false
	}
	if len(state.VerifiedChains) > 0 {
		return true
	}
	between := x509.NewCertPool()
	for _, c := range state.PeerCertificates[1:] {
		between.AddCert(c)
	}
	_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{DNSName: host, Roots: d.Roots, Intermediates: between})
	return err == nil
}

// smtpPeer is a session of smtpclient.
type smtpPeer struct {
	c    *smtpclient.Client
	info PeerInfo
}

func (p *smtpPeer) Info() PeerInfo { return p.info }

func (p *smtpPeer) Send(ctx context.Context, t *Transaction) ([]*smtp.Reply, error) {
	env := &mohar.Envelope{From: t.From, To: t.To, EightBit: t.EightBit, SMTPUTF8: t.SMTPUTF8,
		RequireTLS: t.RequireTLS, EnvID: t.EnvID, Ret: t.Ret}
	res, err := p.c.Send(ctx, env, t.Size, io.NewSectionReader(t.Content, 0, t.Size))
	replies := make([]*smtp.Reply, len(t.To))
	for i := range res.Recipients {
		rc := &res.Recipients[i]
		replies[i] = rc.Reply
		if rc.Reply != nil && rc.Reply.Positive() && (!rc.Accepted || rc.Stage != smtpclient.StageDataEnd) {
			// A yes to anything but the content promises nothing.
			replies[i] = smtp.NewReply(450, smtp.EnhancedCode{4, 5, 0}, "unexpected reply "+rc.Reply.Error())
		}
	}
	var ce *smtpclient.ConnError
	var me *smtpclient.MessageError
	switch {
	case err == nil && !p.c.Usable():
		err = ErrClosing
	case errors.As(err, &ce) && ce.Stage == smtpclient.StageDataEnd:
		err = fmt.Errorf("%w: %w", ErrUncertain, err)
	case errors.As(err, &me):
		err = &Unsendable{Status: me.Enhanced, Text: me.Text}
	}
	return replies, err
}

// Close says QUIT and hangs up. It has its own short time, which does not wait
// for the delivery that has ended.
func (p *smtpPeer) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), smtpclient.DefaultQuit)
	defer cancel()
	_ = p.c.Quit(ctx)
}
