package smtpserver

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/netip"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/wire/sasl"
)

// Backend makes a Session for each connection.
type Backend interface {
	// NewSession is called before the greeting. An error turns the client away
	// with 421 or 554. The Conn is read by the session inside its own methods
	// only; the engine changes it between them.
	NewSession(ctx context.Context, c *Conn) (Session, error)
}

// Session is one connection's mail transactions. The engine calls its methods
// one after the other, never at once, and only in an order that RFC 5321
// section 4.1.4 allows. Errors become replies by the table in replies.go; a
// *smtp.Reply is sent as it is.
type Session interface {
	// Mail opens a transaction; from is "" for the null reverse-path.
	Mail(ctx context.Context, from string, o *MailOptions) error
	// Rcpt adds a recipient, or refuses it.
	Rcpt(ctx context.Context, to mohar.Recipient) error
	// Data takes the content: the exact octets, dot-unstuffed, lines ended by
	// CRLF. The envelope holds the recipients accepted and belongs to the
	// session from now on. Read gives an error instead of io.EOF when the
	// content is cut short or refused by the engine; the session must then
	// give up and return an error. An Accepted without an error promises the
	// message; it must have read to io.EOF. The reader has an efficient WriteTo.
	Data(ctx context.Context, env *mohar.Envelope, r io.Reader) (Accepted, error)
	// Reset drops the transaction. It follows RSET, EHLO, STARTTLS, a refused
	// MAIL and every Data that did not accept, and does no harm without one.
	Reset()
	// Logout is the last call, however the connection ended.
	Logout()
}

// Authenticator is what a Session has beside, if it offers AUTH.
type Authenticator interface {
	// Mechanisms lists what to offer now, in order of preference.
	Mechanisms() []string
	// Auth starts an exchange of one of them. The session learns from its own
	// sasl.Server who it is that signed in.
	Auth(ctx context.Context, mechanism string) (sasl.Server, error)
}

// MailOptions are the parameters of MAIL.
type MailOptions struct {
	Size     int64  // as announced, octets; 0 when not
	EightBit bool   // BODY=8BITMIME
	SMTPUTF8 bool   // RFC 6531
	Ret      string // "FULL", "HDRS" or ""
	EnvID    string // xtext as given
	Auth     string // RFC 4954 section 5, decoded, "" when absent; a claim, for those who trust the client
}

// Accepted is the good outcome of Data.
type Accepted struct {
	// Text follows "250 2.0.0", for example "queued as 7f3a"; "" says OK.
	Text string
	// Recipients holds in LMTP one entry for each accepted RCPT in order, nil
	// where the message was delivered. A nil slice means all were. Others
	// than LMTP leave it nil.
	Recipients []error
}

// Conn tells a session what is known of its connection.
type Conn struct {
	RemoteAddr    net.Addr
	LocalAddr     net.Addr
	TLS           *tls.ConnectionState // nil without TLS
	Helo          string               // the name that the client gave last, "" before
	Extended      bool                 // it came by EHLO or LHLO
	Authenticated bool                 // AUTH succeeded
	lmtp          bool
}

// RemoteIP gives the client's address without port, unmapped; the zero Addr
// where there is none.
func (c *Conn) RemoteIP() netip.Addr { return ipOf(c.RemoteAddr) }

func ipOf(a net.Addr) netip.Addr {
	switch a := a.(type) {
	case *net.TCPAddr:
		return a.AddrPort().Addr().Unmap()
	case nil:
		return netip.Addr{}
	default:
		ap, _ := netip.ParseAddrPort(a.String())
		return ap.Addr().Unmap()
	}
}

// Protocol gives the word for "with" in the Received field: RFC 3848, and RFC
// 6531 section 4.3 for a transaction with SMTPUTF8.
func (c *Conn) Protocol(smtputf8 bool) string {
	p := "SMTP"
	switch {
	case c.lmtp && smtputf8:
		p = "UTF8LMTP"
	case c.lmtp:
		p = "LMTP"
	case smtputf8:
		p = "UTF8SMTP"
	case c.Extended:
		p = "ESMTP"
	default:
		return p // SMTP has neither STARTTLS nor AUTH in the registry
	}
	if c.TLS != nil {
		p += "S"
	}
	if c.Authenticated {
		p += "A"
	}
	return p
}

// TLSDescription gives version and cipher suite for the Received field, for
// example "TLS 1.3 TLS_AES_128_GCM_SHA256", or "".
func (c *Conn) TLSDescription() string {
	if c.TLS == nil {
		return ""
	}
	return tls.VersionName(c.TLS.Version) + " " + tls.CipherSuiteName(c.TLS.CipherSuite)
}
