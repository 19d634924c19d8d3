package smtpclient_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	gosasl "github.com/emersion/go-sasl"
	gosmtp "github.com/emersion/go-smtp"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/wire/sasl"
	"github.com/mohar-mail/mohar/wire/smtp/smtpclient"
	"github.com/mohar-mail/mohar/wire/smtp/smtpserver"
)

// store is a backend of both servers that keeps what it takes; nobody@ does
// not exist.
type store struct {
	mu   sync.Mutex
	envs []*mohar.Envelope
	body []string
	with []string
}

func (s *store) add(e *mohar.Envelope, body, with string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.envs, s.body, s.with = append(s.envs, e), append(s.body, body), append(s.with, with)
}

func (s *store) NewSession(_ context.Context, c *smtpserver.Conn) (smtpserver.Session, error) {
	return &session{s, c}, nil
}

type session struct {
	s *store
	c *smtpserver.Conn
}

func (x *session) Mail(context.Context, string, *smtpserver.MailOptions) error { return nil }
func (x *session) Rcpt(_ context.Context, to mohar.Recipient) error {
	if strings.HasPrefix(to.Address, "nobody@") {
		return fault.New(fault.NotFound, "test", "No such mailbox.")
	}
	return nil
}
func (x *session) Data(_ context.Context, env *mohar.Envelope, r io.Reader) (smtpserver.Accepted, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return smtpserver.Accepted{}, err
	}
	x.s.add(env, string(b), x.c.Protocol(env.SMTPUTF8))
	return smtpserver.Accepted{Text: "queued"}, nil
}
func (x *session) Reset()               {}
func (x *session) Logout()              {}
func (x *session) Mechanisms() []string { return []string{sasl.Plain, sasl.Login} }
func (x *session) Auth(_ context.Context, mech string) (sasl.Server, error) {
	v := func(_ context.Context, _, user, password string) error {
		if user != "u1" || password != "secret" {
			return fault.New(fault.Auth, "test", "Wrong name or password.")
		}
		return nil
	}
	if mech == sasl.Login {
		return sasl.NewLoginServer(v), nil
	}
	return sasl.NewPlainServer(v), nil
}

var certs = sync.OnceValues(func() (*tls.Config, *tls.Config) {
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"mx.example"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true, NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, pub, key)
	if err != nil {
		panic(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}},
		&tls.Config{RootCAs: pool, ServerName: "mx.example"}
})

func serve(t *testing.T, cfg smtpserver.Config) (*store, string) {
	t.Helper()
	st := &store{}
	cfg.Hostname = "mx.example"
	srv, err := smtpserver.New(cfg, st)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(context.Background(), ln) }()
	t.Cleanup(func() { srv.Close(); <-done })
	return st, ln.Addr().String()
}

func bodies() []string {
	return []string{
		"Subject: x\r\n\r\n.\r\n..\r\n.x\r\n",
		strings.Repeat(".\r\n", 70000), // dots at every border of blocks and buffers
		strings.Repeat(strings.Repeat("ा", 100)+"\r\n", 1000),
	}
}

// Our client against our server, with each TLS policy, by DATA and BDAT, in
// SMTP and LMTP, several messages over one connection.
func TestClientServer(t *testing.T) {
	t.Parallel()
	sTLS, cTLS := certs()
	for _, c := range []struct {
		name string
		srv  smtpserver.Config
		cl   smtpclient.Config
		with string
	}{
		{"plain", smtpserver.Config{}, smtpclient.Config{}, "ESMTP"},
		{"starttls", smtpserver.Config{TLS: sTLS}, smtpclient.Config{Policy: smtpclient.Required, TLS: cTLS}, "ESMTPS"},
		{"opportunistic", smtpserver.Config{TLS: sTLS}, smtpclient.Config{NoChunking: true}, "ESMTPS"},
		{"implicit", smtpserver.Config{TLS: sTLS, Implicit: true}, smtpclient.Config{Policy: smtpclient.Implicit, TLS: cTLS, NoChunking: true}, "ESMTPS"},
		{"data", smtpserver.Config{}, smtpclient.Config{NoChunking: true}, "ESMTP"},
		{"lmtp", smtpserver.Config{Mode: smtpserver.LMTP}, smtpclient.Config{LMTP: true}, "LMTP"},
		{"lmtp data", smtpserver.Config{Mode: smtpserver.LMTP}, smtpclient.Config{LMTP: true, NoChunking: true}, "LMTP"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.srv.Limits.RefusedRcpts = 10000
			st, addr := serve(t, c.srv)
			cl, err := smtpclient.Dial(t.Context(), addr, c.cl)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = cl.Quit(t.Context()) }()
			for i, body := range bodies() {
				env := &mohar.Envelope{From: "a@b.example", EnvID: "id"}
				for range 120 { // more than one window of RCPT
					env.To = append(env.To, mohar.Recipient{Address: "c@d.example", Notify: "NEVER"}, mohar.Recipient{Address: "nobody@d.example"})
				}
				res, err := cl.Send(t.Context(), env, int64(len(body)), strings.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				for k, to := range res.Recipients {
					if to.Accepted != (k%2 == 0) || to.Reply == nil || !to.Accepted && to.Reply.Code != 550 {
						t.Fatalf("%d: %+v", k, to)
					}
				}
				if len(st.body) != i+1 || st.body[i] != body || st.with[i] != c.with || len(st.envs[i].To) != 120 || st.envs[i].EnvID != "id" {
					t.Fatalf("%d: differs: %d octets of %d by %s", i, len(st.body[i]), len(body), st.with[i])
				}
				none := &mohar.Envelope{To: []mohar.Recipient{{Address: "nobody@d.example"}}}
				if res, err := cl.Send(t.Context(), none, 0, strings.NewReader("x\r\n")); err != nil || res.AllAccepted() {
					t.Fatal(err)
				}
			}
			if (cl.TLS() != nil) != strings.HasSuffix(c.with, "S") {
				t.Error("TLS state")
			}
		})
	}
}

func TestRequiredVerifies(t *testing.T) {
	t.Parallel()
	sTLS, cTLS := certs()
	_, addr := serve(t, smtpserver.Config{TLS: sTLS})
	wrong := cTLS.Clone()
	wrong.ServerName = "other.example"
	_, err := smtpclient.Dial(t.Context(), addr, smtpclient.Config{Policy: smtpclient.Required, TLS: wrong})
	var ce *smtpclient.ConnError
	if !errors.As(err, &ce) || ce.Stage != smtpclient.StageTLS {
		t.Error(err)
	}
}

// Another client against our server.
func TestGoSMTPClient(t *testing.T) {
	t.Parallel()
	sTLS, cTLS := certs()
	st, addr := serve(t, smtpserver.Config{Mode: smtpserver.Submission, TLS: sTLS})
	cl, err := gosmtp.DialStartTLS(addr, cTLS)
	if err != nil {
		t.Fatal(err)
	}
	if err := cl.Auth(gosasl.NewPlainClient("", "u1", "wrong")); err == nil {
		t.Error("wrong password taken")
	}
	if err := cl.Auth(gosasl.NewLoginClient("u1", "secret")); err != nil {
		t.Fatal(err)
	}
	for i, body := range bodies() {
		if err := cl.Mail("a@b.example", &gosmtp.MailOptions{UTF8: true, Body: gosmtp.Body8BitMIME, EnvelopeID: "q=1", Return: gosmtp.DSNReturnHeaders}); err != nil {
			t.Fatal(err)
		}
		if err := cl.Rcpt("nobody@d.example", nil); err == nil {
			t.Error("nobody taken")
		}
		if err := cl.Rcpt("c@d.example", &gosmtp.RcptOptions{Notify: []gosmtp.DSNNotify{gosmtp.DSNNotifySuccess}}); err != nil {
			t.Fatal(err)
		}
		w, err := cl.Data()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, body); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		e := st.envs[i]
		if st.body[i] != body || st.with[i] != "UTF8SMTPSA" || e.EnvID != "q+3D1" || e.Ret != "HDRS" || !e.EightBit || e.To[0].Notify != "SUCCESS" {
			t.Errorf("%d: %+v %s", i, e, st.with[i])
		}
	}
	if err := cl.Quit(); err != nil {
		t.Error(err)
	}
}

// Our client against another server.
func TestGoSMTPServer(t *testing.T) {
	t.Parallel()
	sTLS, cTLS := certs()
	st := &store{}
	srv := gosmtp.NewServer(goBackend{st})
	srv.Domain, srv.TLSConfig, srv.EnableSMTPUTF8, srv.EnableDSN, srv.MaxLineLength = "mx.example", sTLS, true, true, 4096
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(ln) }()
	t.Cleanup(func() { _ = srv.Close(); <-done })
	for _, noChunk := range []bool{true, false} {
		cl, err := smtpclient.Dial(t.Context(), ln.Addr().String(), smtpclient.Config{Policy: smtpclient.Required, TLS: cTLS, NoChunking: noChunk})
		if err != nil {
			t.Fatal(err)
		}
		for _, body := range bodies() {
			env := &mohar.Envelope{From: "क@राज्य.example", SMTPUTF8: true, Ret: "FULL", EnvID: "q+2B1",
				To: []mohar.Recipient{{Address: "nobody@d.example"}, {Address: "c@d.example", Notify: "SUCCESS,DELAY", ORcpt: "rfc822;c@d.example"}}}
			res, err := cl.Send(t.Context(), env, int64(len(body)), strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			if res.Recipients[0].Accepted || res.Recipients[0].Reply.Code != 550 || !res.Recipients[1].Accepted || !res.DSN {
				t.Errorf("%+v", res.Recipients)
			}
			if got := st.body[len(st.body)-1]; got != body {
				t.Errorf("content differs: %d octets of %d", len(got), len(body))
			}
		}
		if err := cl.Quit(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if len(st.body) != 2*len(bodies()) {
		t.Error(len(st.body))
	}
}

type goBackend struct{ st *store }

func (b goBackend) NewSession(*gosmtp.Conn) (gosmtp.Session, error) { return &goSession{st: b.st}, nil }

type goSession struct{ st *store }

func (s *goSession) Mail(string, *gosmtp.MailOptions) error { return nil }
func (s *goSession) Rcpt(to string, _ *gosmtp.RcptOptions) error {
	if strings.HasPrefix(to, "nobody@") {
		return &gosmtp.SMTPError{Code: 550, EnhancedCode: gosmtp.EnhancedCode{5, 1, 1}, Message: "no"}
	}
	return nil
}
func (s *goSession) Data(r io.Reader) error {
	var b bytes.Buffer
	if _, err := io.Copy(&b, r); err != nil {
		return err
	}
	s.st.add(nil, b.String(), "")
	return nil
}
func (s *goSession) Reset()        {}
func (s *goSession) Logout() error { return nil }
