package peers

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// PostfixConfig says what a Postfix is to do.
type PostfixConfig struct {
	Host      string            // myhostname
	Port      int               // SMTP on 127.0.0.1; 0 for a free one
	Domains   []string          // relay_domains: for whom it takes mail
	Known     []string          // addresses of Domains that exist, or "@domain" for all; others get 550 5.1.1
	Transport map[string]string // transport_maps: address or domain to "transport:nexthop"
	Milter    int               // port of a milter on 127.0.0.1; 0 for none
	Settings  map[string]string // further lines of main.cf
}

// Postfix is a private Postfix with its own configuration, queue and log. Its
// extra transport "plain" is an SMTP client that uses neither PIPELINING nor
// STARTTLS.
type Postfix struct {
	Port int // SMTP on 127.0.0.1
	Log  string
	etc  string
	proc *process
	// owner is the test at whose end Postfix ends, whichever of its parts has
	// started it anew.
	owner testing.TB
}

const masterCF = `127.0.0.1:%d inet n - n - - smtpd
postlog   unix-dgram n - n - 1 postlogd
pickup    unix  n - n 1 1 pickup
cleanup   unix  n - n - 0 cleanup
qmgr      unix  n - n 1 1 qmgr
tlsmgr    unix  - - n 1000? 1 tlsmgr
rewrite   unix  - - n - - trivial-rewrite
bounce    unix  - - n - 0 bounce
defer     unix  - - n - 0 bounce
trace     unix  - - n - 0 bounce
verify    unix  - - n - 1 verify
flush     unix  n - n 1000? 0 flush
proxymap  unix  - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp      unix  - - n - - smtp
plain     unix  - - n - - smtp
  -o smtp_discard_ehlo_keywords=pipelining,starttls
  -o smtp_tls_security_level=none
relay     unix  - - n - - smtp
showq     unix  n - n - - showq
error     unix  - - n - - error
retry     unix  - - n - - error
discard   unix  - - n - - discard
lmtp      unix  - - n - - lmtp
anvil     unix  - - n - 1 anvil
scache    unix  - - n - 1 scache
`

// StartPostfix runs a Postfix and waits until it accepts mail. It needs root,
// as Postfix does.
func StartPostfix(t testing.TB, c PostfixConfig) *Postfix {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("Postfix must be started by root")
	}
	dir := Folder(t)
	if c.Port == 0 {
		c.Port = FreePort(t)
	}
	p := &Postfix{owner: t, Port: c.Port, Log: filepath.Join(dir, "mail.log"), etc: filepath.Join(dir, "etc")}
	for _, d := range []string{"q", "data"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil { //nolint:gosec // entered by the postfix user
			t.Fatal(err)
		}
	}
	chownTo(t, "postfix", filepath.Join(dir, "data"))
	pem := filepath.Join(dir, "etc", "tls.pem")
	write(t, filepath.Join(p.etc, "master.cf"), fmt.Sprintf(masterCF, p.Port))
	certificate(t, pem, c.Host)
	known, transport := "", ""
	for _, a := range c.Known {
		known += a + " OK\n"
	}
	for k, v := range c.Transport {
		transport += k + " " + v + "\n"
	}
	write(t, filepath.Join(p.etc, "known"), known)
	write(t, filepath.Join(p.etc, "transport"), transport)
	write(t, filepath.Join(p.etc, "main.cf"), p.mainCF(dir, pem, c))
	p.start()
	return p
}

func (p *Postfix) mainCF(dir, pem string, c PostfixConfig) string {
	lines := []string{
		"compatibility_level = 3.6",
		"queue_directory = " + filepath.Join(dir, "q"),
		"data_directory = " + filepath.Join(dir, "data"),
		"maillog_file = " + p.Log,
		"maillog_file_prefixes = " + dir,
		"myhostname = " + c.Host,
		"mydestination =", "local_recipient_maps =", "alias_maps =", "alias_database =",
		"mynetworks = 127.0.0.0/8",
		"inet_interfaces = loopback-only", "inet_protocols = ipv4",
		"relay_domains = " + strings.Join(c.Domains, " "),
		"relay_recipient_maps = texthash:" + filepath.Join(p.etc, "known"),
		"transport_maps = texthash:" + filepath.Join(p.etc, "transport"),
		"default_transport = error:5.4.4 nobody is routed there",
		// Unknown recipients of any sender are refused, our own network's too.
		"smtpd_recipient_restrictions = reject_unauth_destination",
		"smtpd_relay_restrictions =",
		"smtputf8_enable = yes",
		"message_size_limit = 60000000", "mailbox_size_limit = 0",
		"minimal_backoff_time = 2s", "maximal_backoff_time = 4s", "queue_run_delay = 2s",
		"disable_dns_lookups = yes",
		"smtpd_tls_chain_files = " + pem, "smtpd_tls_security_level = may", "smtpd_tls_loglevel = 1",
		"smtp_tls_security_level = may", "smtp_tls_loglevel = 1",
	}
	if c.Milter != 0 {
		lines = append(lines, fmt.Sprintf("smtpd_milters = inet:127.0.0.1:%d", c.Milter), "milter_default_action = tempfail")
	}
	for k, v := range c.Settings {
		lines = append(lines, k+" = "+v)
	}
	return strings.Join(lines, "\n") + "\n"
}

// Set changes a line of main.cf and starts Postfix anew, so that no session
// that is open outlives the old line.
func (p *Postfix) Set(t testing.TB, key, value string) {
	t.Helper()
	if out, status := Run(Tool(t, "postconf", "postfix"), "-c", p.etc, "-e", key+"="+value); status != 0 {
		t.Fatalf("postconf: %d: %s", status, out)
	}
	p.end()
	p.start()
}

func (p *Postfix) start() {
	t := p.owner
	t.Helper()
	p.proc = spawn(t, Tool(t, "postfix", "postfix"), "-c", p.etc, "start-fg")
	// The master leads a session of its own, which no signal to our child ends.
	t.Cleanup(p.end)
	p.proc.await(t, "postfix", p.Logs, p.Port)
}

func (p *Postfix) end() {
	_ = exec.Command("postfix", "-c", p.etc, "abort").Run() // it may have ended
	<-p.proc.done
}

// Sendmail hands a message (LF line ends) to the local submission program of
// this Postfix.
func (p *Postfix) Sendmail(t testing.TB, from string, to []string, message []byte) {
	t.Helper()
	cmd := exec.Command(Tool(t, "sendmail", "postfix"), append([]string{"-C", p.etc, "-i", "-f", from, "--"}, to...)...)
	cmd.Stdin = strings.NewReader(string(message))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("sendmail: %v: %s\n%s", err, out, p.Logs())
	}
}

// Logs gives the end of the log, for a failure's report.
func (p *Postfix) Logs() string { return tail(p.Log) }

// Logged says whether a line of the log holds all the parts.
func (p *Postfix) Logged(parts ...string) bool {
	b, err := os.ReadFile(p.Log)
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(b)) {
		found := true
		for _, s := range parts {
			found = found && strings.Contains(line, s)
		}
		if found {
			return true
		}
	}
	return false
}
