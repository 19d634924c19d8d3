// Package e2e follows a letter through the whole platform with the programs that
// people use.
package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/mohar-mail/mohar/conform/proc"
)

const (
	clerk     = "asha.verma@rajya.example"
	colleague = "ravi.shekhawat@rajya.example"
)

var sharedPassword = regexp.MustCompile(`People \(password ([^)]+)\)`)

// TestFirstLetter is the first letter: written in a browser to a colleague and
// to a citizen, answered by the citizen, read by curl and mbsync, and refused
// where it must not leave, on the web and by SMTP.
func TestFirstLetter(t *testing.T) {
	d := proc.Start(t, t.TempDir(), proc.FreeBase(t))
	m := sharedPassword.FindStringSubmatch(d.Output())
	if m == nil {
		t.Fatalf("the demo prints no password:\n%s", d.Output())
	}
	password := m[1]
	mark := browser(t, d, password)

	inbox := run(t, "curl", "-sS", "--url", "imap://"+d.Addr(143)+"/INBOX", "-u", colleague+":"+password, "-X", "UID SEARCH SUBJECT "+mark)
	uid := regexp.MustCompile(`SEARCH (\d+)`).FindStringSubmatch(inbox)
	if uid == nil {
		t.Fatalf("curl does not find the letter: %q", inbox)
	}
	letter := run(t, "curl", "-sS", "imap://"+d.Addr(143)+"/INBOX;UID="+uid[1], "-u", colleague+":"+password)
	if !strings.Contains(letter, "Mohar-Label: official") || !strings.Contains(letter, "From: ") {
		t.Errorf("the colleague's letter:\n%s", letter)
	}
	if !bytes.Contains(synced(t, d, clerk, password), []byte("Re: ")) {
		t.Error("mbsync did not fetch the citizen's answer")
	}
	refusedBySMTP(t, d, password)
	if out, err := d.Run(t, "check"); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// browser runs the steps in Chromium and gives the mark that its letters carry.
func browser(t *testing.T, d *proc.Demo, password string) string {
	t.Helper()
	shots := os.Getenv("MOHAR_SHOTS")
	if shots == "" {
		shots = t.TempDir()
	}
	cmd := exec.Command("node", "letter.mjs", "https://"+d.Addr(443), "http://"+d.Addr(80), clerk, password, colleague, shots)
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`mark (\S+)`).FindSubmatch(out)
	if m == nil {
		t.Fatal("no mark")
	}
	return string(m[1])
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// synced fetches an inbox with mbsync and gives all its messages.
func synced(t *testing.T, d *proc.Demo, user, password string) []byte {
	t.Helper()
	dir := t.TempDir()
	config := fmt.Sprintf(`
IMAPAccount mohar
Host 127.0.0.1
Port %d
User %s
Pass %s
SSLType None
AuthMechs PLAIN LOGIN

IMAPStore far
Account mohar

MaildirStore near
Path %s/mail/
Inbox %s/mail/INBOX
SubFolders Verbatim

Channel mohar
Far :far:
Near :near:
Patterns INBOX
Create Near
SyncState *
`, d.Base+143, user, password, dir, dir)
	rc := filepath.Join(dir, "mbsyncrc")
	if err := os.WriteFile(rc, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "mail"), 0o700); err != nil {
		t.Fatal(err)
	}
	run(t, "mbsync", "-c", rc, "mohar")
	var all []byte
	err := filepath.Walk(filepath.Join(dir, "mail"), func(p string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() {
			return err
		}
		data, err := os.ReadFile(p)
		all = append(all, data...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// refusedBySMTP sends an official message to a foreign provider with swaks.
func refusedBySMTP(t *testing.T, d *proc.Demo, password string) {
	t.Helper()
	cmd := exec.Command("swaks", "--server", d.Addr(587), "-tls", "--auth", "PLAIN", "--auth-user", clerk, "--auth-password", password,
		"--from", clerk, "--to", "someone@gmail.com", "--header", "Mohar-Label: official", "--body", "not for outside")
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Fatalf("swaks was not refused:\n%s", out)
	}
	if !regexp.MustCompile(`550 5\.7\.1 .*DLP-FOREIGN-OFFICIAL`).Match(out) {
		t.Errorf("the refusal:\n%s", out)
	}
}
