package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/smtp"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mohar-mail/mohar/node"
	"github.com/mohar-mail/mohar/node/sample"
)

// browserLimit ends a browser that waits for what never comes.
const browserLimit = 90 * time.Second

// TestPolicyInBrowser runs the webmail in Chromium: it breaks none of the
// policies that the server sends.
func TestPolicyInBrowser(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("a browser takes long")
	}
	chromium := os.Getenv("CHROMIUM")
	if chromium == "" {
		chromium = "/usr/bin/chromium"
	}
	for _, need := range []string{chromium, "../../web/node_modules/playwright-core", "../../web/dist/index.html"} {
		if _, err := os.Stat(need); err != nil {
			t.Fatalf("not installed: %v; run make deps web", err)
		}
	}
	base := freeBase(t)
	d, err := node.OpenDemo(t.Context(), node.DemoConfig{Dir: filepath.Join(shortDir(t), "d"), PortBase: base})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	report, err := sample.Seed(t.Context(), d.Stores(), sample.Config{Users: 1})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() { done <- d.Serve(ctx, func() { close(ready) }) }()
	select {
	case <-ready:
	case err := <-done:
		t.Fatal(err)
	}
	sendHTML(t, fmt.Sprintf("127.0.0.1:%d", base+25), report.People[0].Address)
	limited, stop := context.WithTimeout(t.Context(), browserLimit)
	defer stop()
	out, err := exec.CommandContext(limited, "node", "testdata/policy.mjs", fmt.Sprintf("https://127.0.0.1:%d", base+443),
		report.People[0].Address, report.Password).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "ok") {
		t.Errorf("%v\n%s", err, out)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// sendHTML sends a letter in HTML as a stranger does.
func sendHTML(t *testing.T, addr, to string) {
	t.Helper()
	c, err := smtp.Dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := errors.Join(c.Hello("mx.outside.example"), c.Mail("citizen@gmail.com"), c.Rcpt(to)); err != nil {
		t.Fatal(err)
	}
	w, err := c.Data()
	if err != nil {
		t.Fatal(err)
	}
	_, err = fmt.Fprintf(w, "From: citizen@gmail.com\r\nTo: %s\r\nSubject: policy-in-browser\r\nMIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"+
		"<p style=\"color: red\" onclick=\"alert(1)\">styled words</p><script>alert(2)</script><img src=\"data:image/gif;base64,R0lGODlhAQABAAAAACw=\">\r\n", to)
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
}

// freeBase finds a port base whose doors are free.
func freeBase(t *testing.T) int {
	t.Helper()
	for base := 21000 + os.Getpid()%40*200; base < 32000; base += 17 {
		free := true
		for _, door := range []int{24, 25, 80, 143, 443, 465, 587, 993} {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", base+door))
			if err != nil {
				free = false
				break
			}
			_ = l.Close() // only looked at
		}
		if free {
			return base
		}
	}
	t.Fatal("no free ports")
	return 0
}
