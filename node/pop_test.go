package node

import (
	"context"
	"crypto/tls"
	"net"
	"net/textproto"
	"strings"
	"testing"
	"time"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/directory"
	"github.com/mohar-mail/mohar/flow/change"
)

// TestPOP: the POP3 doors are shut unless they are configured; then both take
// people by TLS alone, and an account that may not use POP3 is told the rule.
func TestPOP(t *testing.T) {
	t.Parallel()
	if l := Defaults().Listen; l.POP != "" || l.POPS != "" {
		t.Errorf("POP3 is open by default: %q %q", l.POP, l.POPS)
	}
	cfg := quiet()
	cfg.Listen.POP, cfg.Listen.POPS = freeAddr(t), freeAddr(t)
	n, err := Open(shortDir(t), cfg, Options{})
	must(t, err)
	_, err = n.SetUp(t.Context(), "rajya.example", "chief@rajya.example", testPassword)
	must(t, err)
	_, err = n.change.AddAccount(t.Context(), change.By{Reason: "a test"},
		directory.Account{Category: mohar.Employee, Name: mohar.Text{En: "Binu"}, Addresses: []string{"binu@rajya.example"}, Doors: []mohar.Door{mohar.DoorIMAP}}, testPassword)
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() { done <- n.Serve(ctx, Doors{}, func() { close(ready) }) }()
	<-ready

	inClear, err := net.Dial("tcp", cfg.Listen.POP)
	must(t, err)
	plain := popTalk(t, inClear)
	plain("")
	if got := plain("USER chief@rajya.example"); !strings.HasPrefix(got, "-ERR Use STLS first") {
		t.Errorf("in clear text: %s", got)
	}
	if got := plain("STLS"); !strings.HasPrefix(got, "+OK") {
		t.Fatal(got)
	}
	insecure := &tls.Config{InsecureSkipVerify: true} //nolint:gosec // the server's own certificate
	direct, err := tls.Dial("tcp", cfg.Listen.POPS, insecure)
	must(t, err)
	implicit := popTalk(t, direct)
	implicit("")
	for name, talk := range map[string]func(string) string{"STLS": popTalk(t, tls.Client(inClear, insecure)), "TLS": implicit} {
		for _, c := range [][2]string{
			{"USER binu@rajya.example", "+OK"},
			{"PASS " + testPassword, "-ERR [AUTH] <SIGNIN-DOOR>"},
			{"USER chief@rajya.example", "+OK"},
			{"PASS wrong", "-ERR [AUTH] Name or password is wrong"},
			{"USER chief@rajya.example", "+OK"},
			{"PASS " + testPassword, "+OK Maildrop has 0 messages"},
			{"QUIT", "+OK"},
		} {
			if got := talk(c[0]); !strings.HasPrefix(got, c[1]) {
				t.Errorf("%s, %s: %q, want %q", name, c[0], got, c[1])
			}
		}
	}
	cancel()
	must(t, <-done)
	must(t, n.Close())
}

// popTalk gives a function that sends a command, or none for the greeting, and
// gives the line that answers it.
func popTalk(t *testing.T, nc net.Conn) func(command string) string {
	t.Helper()
	must(t, nc.SetDeadline(time.Now().Add(30*time.Second)))
	c := textproto.NewConn(nc)
	return func(command string) string {
		t.Helper()
		if command != "" {
			must(t, c.PrintfLine("%s", command))
		}
		line, err := c.ReadLine()
		must(t, err)
		return line
	}
}
