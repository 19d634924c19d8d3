package relay_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/flow/relay"
)

// server is a mail exchanger on loopback that follows a script.
type server struct {
	addr     netip.AddrPort
	greeting string
	ext      []string
	cert     *tls.Certificate // nil: no STARTTLS
	breakTLS bool             // hangs up in the handshake
	atDot    string           // reply to the content; "" hangs up instead
	atRcpt   string

	mu   sync.Mutex
	cmds []string
	mail []string
}

func (s *server) start(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = netip.MustParseAddrPort(l.Addr().String())
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { defer func() { _ = c.Close() }(); s.serve(c) })
		}
	})
	t.Cleanup(func() { _ = l.Close(); wg.Wait() })
}

func (s *server) serve(c net.Conn) {
	say := func(lines ...string) { _, _ = io.WriteString(c, strings.Join(lines, "\r\n")+"\r\n") }
	say(s.greeting)
	r := bufio.NewReader(c)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		s.mu.Lock()
		s.cmds = append(s.cmds, line)
		s.mu.Unlock()
		switch verb := strings.ToUpper(strings.Fields(line + " x")[0]); verb {
		case "EHLO":
			_, secure := c.(*tls.Conn)
			offer := append([]string{"250-mx"}, s.ext...)
			if s.cert != nil && !secure {
				offer = append(offer, "250-STARTTLS")
			}
			say(append(offer, "250 HELP")...)
		case "STARTTLS":
			say("220 go on")
			if s.breakTLS {
				return
			}
			c = tls.Server(c, &tls.Config{Certificates: []tls.Certificate{*s.cert}})
			r = bufio.NewReader(c)
		case "RCPT":
			say(s.atRcpt)
		case "DATA":
			say("354 go on")
			var b bytes.Buffer
			for !bytes.HasSuffix(append([]byte("\r\n"), b.Bytes()...), []byte("\r\n.\r\n")) {
				l, err := r.ReadString('\n')
				if err != nil {
					return
				}
				b.WriteString(l)
			}
			s.mu.Lock()
			s.mail = append(s.mail, b.String())
			s.mu.Unlock()
			if s.atDot == "" {
				return
			}
			say(s.atDot)
		case "QUIT":
			say("221 bye")
			return
		default:
			say("250 ok")
		}
	}
}

func newCert(t *testing.T, name string) (*tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

func newServer() *server {
	return &server{greeting: "220 mx", ext: []string{"250-PIPELINING", "250-8BITMIME", "250-DSN"}, atDot: "250 2.0.0 taken", atRcpt: "250 2.1.5 ok"}
}

func oneLetter() *relay.Transaction {
	return &relay.Transaction{From: "a@rajya.example", To: []mohar.Recipient{{Address: "x@city.example", Notify: "NEVER"}},
		Content: strings.NewReader(content), Size: int64(len(content))}
}

func TestDialerSendsOverTLS(t *testing.T) {
	t.Parallel()
	cert, roots := newCert(t, "mx.city.example")
	_, strangers := newCert(t, "other.example")
	tests := []struct {
		name               string
		mode               relay.TLSMode
		host               string
		roots              *x509.CertPool
		cert               *tls.Certificate
		breakTLS, plain    bool
		wantTLS, want, bad bool // encrypted, verified, ErrTLS
	}{
		{"opportunistic, name proved", relay.TLSOpportunistic, "mx.city.example", roots, cert, false, false, true, true, false},
		{"opportunistic, stranger", relay.TLSOpportunistic, "mx.city.example", strangers, cert, false, false, true, false, false},
		{"opportunistic, none offered", relay.TLSOpportunistic, "mx.city.example", roots, nil, false, false, false, false, false},
		{"opportunistic, broken", relay.TLSOpportunistic, "mx.city.example", roots, cert, true, false, false, false, true},
		{"plain after it broke", relay.TLSOpportunistic, "mx.city.example", roots, cert, true, true, false, false, false},
		{"required, stranger", relay.TLSRequired, "mx.city.example", strangers, cert, false, false, true, false, false},
		{"required, none offered", relay.TLSRequired, "mx.city.example", roots, nil, false, false, false, false, true},
		{"verified", relay.TLSVerified, "mx.city.example", roots, cert, false, false, true, true, false},
		{"verified, another name", relay.TLSVerified, "mx2.city.example", roots, cert, false, false, false, false, true},
		{"verified, stranger", relay.TLSVerified, "mx.city.example", strangers, cert, false, false, false, false, true},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			s := newServer()
			s.cert, s.breakTLS = tc.cert, tc.breakTLS
			s.start(t)
			d := &relay.SMTPDialer{Hostname: "mx.rajya.example", Roots: tc.roots}
			p, err := d.Dial(context.Background(), relay.Target{Host: tc.host, Addr: s.addr, TLS: tc.mode, Plain: tc.plain})
			if errors.Is(err, relay.ErrTLS) != tc.bad || (err != nil) != tc.bad {
				t.Fatalf("dial: %v", err)
			}
			if err != nil {
				return
			}
			defer p.Close()
			info := p.Info()
			if (info.TLS != nil) != tc.wantTLS || info.Verified != tc.want || !info.DSN || info.SMTPUTF8 || info.RequireTLS {
				t.Errorf("info %+v", info)
			}
			for range 2 {
				replies, err := p.Send(context.Background(), oneLetter())
				if err != nil || len(replies) != 1 || replies[0].Code != 250 {
					t.Fatalf("%v, %v", replies, err)
				}
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			if len(s.mail) != 2 || s.mail[0] != content+".\r\n" || !strings.Contains(strings.Join(s.cmds, "\n"), "RCPT TO:<x@city.example> NOTIFY=NEVER") {
				t.Errorf("%q\n%q", s.mail, s.cmds)
			}
		})
	}
}

func TestDialerTellsFatesApart(t *testing.T) {
	t.Parallel()
	dial := func(t *testing.T, change func(*server)) (relay.Peer, error) {
		t.Helper()
		s := newServer()
		change(s)
		s.start(t)
		return (&relay.SMTPDialer{Hostname: "mx.rajya.example"}).Dial(context.Background(), relay.Target{Host: "mx", Addr: s.addr})
	}
	t.Run("hangs up after the dot", func(t *testing.T) {
		p, err := dial(t, func(s *server) { s.atDot = "" })
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		if replies, err := p.Send(context.Background(), oneLetter()); !errors.Is(err, relay.ErrUncertain) || replies[0] != nil {
			t.Errorf("%v, %v", replies, err)
		}
	})
	t.Run("hangs up at the recipient", func(t *testing.T) {
		p, err := dial(t, func(s *server) { s.atRcpt = "999 nonsense" })
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		if replies, err := p.Send(context.Background(), oneLetter()); err == nil || errors.Is(err, relay.ErrUncertain) || replies[0] != nil {
			t.Errorf("%v, %v", replies, err)
		}
	})
	t.Run("refuses the recipient", func(t *testing.T) {
		p, err := dial(t, func(s *server) { s.atRcpt = "550 5.1.1 nobody" })
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		if replies, err := p.Send(context.Background(), oneLetter()); err != nil || replies[0].Code != 550 {
			t.Errorf("%v, %v", replies, err)
		}
	})
	t.Run("closes with 421", func(t *testing.T) {
		p, err := dial(t, func(s *server) { s.atDot = "421 4.3.2 later" })
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		if replies, err := p.Send(context.Background(), oneLetter()); !errors.Is(err, relay.ErrClosing) || replies[0].Code != 421 {
			t.Errorf("%v, %v", replies, err)
		}
	})
	t.Run("cannot take eight bits", func(t *testing.T) {
		p, err := dial(t, func(s *server) { s.ext = nil })
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		l := oneLetter()
		l.EightBit = true
		var never *relay.Unsendable
		if _, err := p.Send(context.Background(), l); !errors.As(err, &never) || never.Status.String() != "5.6.3" {
			t.Errorf("%v", err)
		}
		if replies, err := p.Send(context.Background(), oneLetter()); err != nil || replies[0].Code != 250 {
			t.Errorf("the session is lost: %v, %v", replies, err)
		}
	})
	t.Run("greets with 554", func(t *testing.T) {
		if p, err := dial(t, func(s *server) { s.greeting = "554 no service" }); err == nil || errors.Is(err, relay.ErrTLS) {
			t.Errorf("%v, %v", p, err)
		}
	})
	t.Run("nobody listens", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addr := netip.MustParseAddrPort(l.Addr().String())
		_ = l.Close()
		if p, err := (&relay.SMTPDialer{Hostname: "x"}).Dial(context.Background(), relay.Target{Host: "mx", Addr: addr}); err == nil {
			t.Errorf("%v", p)
		}
	})
}

// The whole way over the real network of this machine: queue, route, dialer,
// TLS that breaks, plain, record.
func TestRelayOverLoopback(t *testing.T) {
	t.Parallel()
	cert, _ := newCert(t, "x.example")
	s := newServer()
	s.cert, s.breakTLS = cert, true
	s.start(t)
	recorded := make(chan struct{}, 10)
	b := newBed(t, func(c *relay.Config) {
		c.Relay = s.addr.String()
		c.Dialer = &relay.SMTPDialer{Hostname: "mx.rajya.example"}
	})
	b.told = recorded
	for range 5 {
		b.send(letter{from: "a@rajya.example", to: []string{"x@city.example"}})
	}
	for range 5 {
		select {
		case <-recorded:
		case <-time.After(20 * time.Second):
			t.Fatalf("not delivered: %+v", b.left())
		}
	}
	b.stop()
	if len(b.left()) != 0 || len(s.mail) != 5 {
		t.Errorf("%d left, %d taken", len(b.left()), len(s.mail))
	}
	for _, ev := range b.events {
		if ev.TLS != "none" || ev.Kind != relay.EventRelayed {
			t.Errorf("event %+v", ev)
		}
	}
}
