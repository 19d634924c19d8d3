package peers

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/mohar-mail/mohar/conform/proc"
)

// The doors of the demo, from its port base.
const (
	doorLMTP        = 24
	doorMX          = 25
	doorIMAP        = 143
	doorSubmissions = 465
	doorSubmission  = 587
	doorIMAPS       = 993
)

// password is that of the demo's users of example.test.
const password = "secret"

// samplePassword is that of the people of the sample government.
const samplePassword = "Mohar-Demo-2026"

// rig is a demo with the peers around it: the demo relays all foreign mail to
// Postfix; Postfix asks OpenDKIM about the signatures, delivers peer.example to
// Dovecot and everything for the demo's domains to the demo.
type rig struct {
	demo *proc.Demo
	fix  *Postfix
	dove *Dovecot
	keys map[string]string
}

func newRig(t *testing.T) *rig {
	t.Helper()
	port, base := FreePort(t), portBase(t)
	r := &rig{demo: proc.Start(t, t.TempDir(), base, "--relay", fmt.Sprintf("127.0.0.1:%d", port)), dove: StartDovecot(t)}
	r.keys = dkimKeys(t, r.demo, "example.test")
	mx := fmt.Sprintf("smtp:[127.0.0.1]:%d", base+doorMX)
	r.fix = StartPostfix(t, PostfixConfig{
		Host: "mx.peer.example", Port: port,
		Domains: []string{"peer.example", "example.test", "rajya.example", "राज्य.example"},
		Known:   []string{"ravi@peer.example", "mina@peer.example", "@example.test", "@rajya.example", "@राज्य.example"},
		Milter:  StartOpenDKIM(t, "mx.peer.example", r.keys),
		// An idle session ends soon: its end is where Postfix logs what was said in
		// it, and our relay must bear it.
		Settings: map[string]string{"smtpd_timeout": "3s"},
		Transport: map[string]string{
			"peer.example":        fmt.Sprintf("lmtp:inet:127.0.0.1:%d", r.dove.LMTP),
			"example.test":        mx,
			"rajya.example":       mx,
			"राज्य.example":       mx,
			"u3@example.test":     fmt.Sprintf("plain:[127.0.0.1]:%d", base+doorMX),
			"u4@example.test":     fmt.Sprintf("lmtp:inet:127.0.0.1:%d", base+doorLMTP),
			"nolmtp@example.test": fmt.Sprintf("lmtp:inet:127.0.0.1:%d", base+doorLMTP),
		},
	})
	return r
}

// portBase finds a --port-base whose doors are free. It starts anywhere, so that
// tests of several packages at once do not all try the same.
func portBase(t *testing.T) int {
	t.Helper()
	for range 100 {
		base := 11000 + 10*rand.IntN(1000)
		free := true
		for _, door := range []int{24, 25, 80, 110, 143, 443, 465, 587, 993, 995, 4190} {
			free = free && !Accepts(base+door)
		}
		if free {
			return base
		}
	}
	t.Fatal("no free ports")
	return 0
}

// dkimKeys reads the DKIM records out of the zone lines that the server tells
// its operator to publish.
func dkimKeys(t *testing.T, d *proc.Demo, domain string) map[string]string {
	t.Helper()
	zone, err := d.Run(t, "domain", "dns", domain)
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]string{}
	for line := range strings.Lines(zone) {
		name, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if !strings.Contains(name, "._domainkey.") {
			continue
		}
		parts := strings.Split(rest, `"`)
		value := ""
		for i := 1; i < len(parts); i += 2 {
			value += parts[i]
		}
		keys[strings.TrimSuffix(name, ".")] = value
	}
	if len(keys) != 2 {
		t.Fatalf("the zone has %d DKIM keys, want an RSA and an Ed25519 one:\n%s", len(keys), zone)
	}
	return keys
}

func (r *rig) logs() string {
	return "--- postfix\n" + r.fix.Logs() + "--- dovecot\n" + r.dove.Logs() + "--- mohar\n" + r.demo.Output()
}

// ours reads a user's mail from the demo; theirs one of Dovecot's.
func (r *rig) ours(user string) Curl {
	return Curl{Port: r.demo.Base + doorIMAP, User: user, Password: password}
}

func (r *rig) theirs(user string) Curl {
	return Curl{Port: r.dove.IMAP, User: user, Password: r.dove.Password}
}

// submit hands a message to the demo as a mail program does, and must succeed.
func (r *rig) submit(t *testing.T, from string, to []string, message []byte) {
	t.Helper()
	out, status := Swaks(t, r.demo.Base+doorSubmission, from, to, message, "--tls", "--auth", "PLAIN",
		"--auth-user", from, "--auth-password", password)
	if status != 0 {
		t.Fatalf("swaks: %d\n%s\n%s", status, out, r.demo.Output())
	}
}

// TestPeers exchanges mail with the peers, both ways, over one rig.
func TestPeers(t *testing.T) {
	r := newRig(t)
	for _, c := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"submit to Dovecot", r.outbound},
		{"submit without CHUNKING and PIPELINING", r.outboundBare},
		{"signatures", r.signatures},
		{"bounce of ours", r.ourBounce},
		{"Postfix delivers", r.inbound},
		{"Postfix delivers without extensions", r.inboundBare},
		{"Postfix delivers by LMTP", r.inboundLMTP},
		{"large attachment both ways", r.large},
		{"bounce of theirs", r.theirBounce},
		{"SMTPUTF8", r.utf8},
		{"sign in", r.signIn},
		{"mbsync", r.mbsync},
	} {
		t.Run(c.name, c.run)
	}
}

// field gives the values of a header field, unfolded.
func field(message []byte, name string) []string {
	header, _, _ := bytes.Cut(bytes.ReplaceAll(message, []byte("\r\n"), []byte("\n")), []byte("\n\n"))
	text := strings.NewReplacer("\n ", " ", "\n\t", " ").Replace(string(header))
	var values []string
	for line := range strings.Lines(text) {
		if n, v, ok := strings.Cut(line, ":"); ok && strings.EqualFold(n, name) {
			values = append(values, strings.TrimSpace(v))
		}
	}
	return values
}
