package peers

import (
	"bytes"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/mohar-mail/mohar/conform/proc"
)

// The POP3 doors of the demo, from its port base.
const (
	doorPOP  = 110
	doorPOPS = 995
)

// popCurl runs one POP3 request with curl, by one of three ways to TLS.
func popCurl(t *testing.T, base int, way, user, password, path, command string) ([]byte, int) {
	t.Helper()
	args := []string{"--silent", "--show-error", "--insecure", "--max-time", "60", "--user", user + ":" + password}
	url := fmt.Sprintf("pop3://127.0.0.1:%d/%s", base+doorPOP, path)
	switch way {
	case "STLS":
		args = append(args, "--ssl-reqd")
	case "TLS":
		url = fmt.Sprintf("pop3s://127.0.0.1:%d/%s", base+doorPOPS, path)
	}
	if command != "" {
		args = append(args, "--request", command, "--list-only") // the answer is one line
	}
	cmd := exec.Command(Tool(t, "curl", "curl"), append(args, url)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		if cmd.ProcessState == nil {
			t.Fatal(err)
		}
		t.Logf("curl %s %s %s: %s", way, path, command, errs.String())
	}
	return out.Bytes(), cmd.ProcessState.ExitCode()
}

// TestPOP fetches mail from the demo with curl: in clear text, by STLS and by
// TLS; the octets are those that were sent, and what is deleted is gone.
func TestPOP(t *testing.T) {
	t.Parallel()
	base := portBase(t)
	demo := proc.Start(t, t.TempDir(), base)
	const user = "u12@example.test"
	sent := letter("ravi@peer.example", user, "pop-1", 400_000) // beyond what is kept with its metadata
	for _, m := range [][]byte{sent, letter("ravi@peer.example", user, "pop-2", 100)} {
		if out, status := Swaks(t, base+doorLMTP, "ravi@peer.example", []string{user}, m, "--protocol", "LMTP"); status != 0 {
			t.Fatalf("swaks: %d\n%s\n%s", status, out, demo.Output())
		}
	}
	inbox := Curl{Port: base + doorIMAP, User: user, Password: password}
	inbox.Await(t, "INBOX", "Message-ID", "pop-1@test", demo.Output)
	inbox.Await(t, "INBOX", "Message-ID", "pop-2@test", demo.Output)

	if out, status := popCurl(t, base, "TLS", user, "wrong", "", ""); status == 0 {
		t.Errorf("a wrong password is taken: %s", out)
	}
	for _, way := range []string{"clear text", "STLS", "TLS"} {
		out, status := popCurl(t, base, way, user, password, "", "")
		if n := len(regexp.MustCompile(`(?m)^\d+ \d+\r?$`).FindAll(out, -1)); status != 0 || n != 2 {
			t.Fatalf("%s: LIST gives %d, %q", way, status, out)
		}
		number := popFind(t, base, way, user, "pop-1@test")
		got, status := popCurl(t, base, way, user, password, number, "")
		if status != 0 {
			t.Fatalf("%s: RETR %s: %d", way, number, status)
		}
		below(t, got, sent)
	}
	if out, status := popCurl(t, base, "TLS", user, password, popFind(t, base, "TLS", user, "pop-1@test"), "DELE"); status != 0 {
		t.Errorf("DELE: %d %s", status, out)
	}
	if uids := inbox.Find(t, "INBOX", "Message-ID", "pop-1@test"); len(uids) > 0 {
		t.Errorf("still there by IMAP: %q", uids)
	}
	if uids := inbox.Find(t, "INBOX", "Message-ID", "pop-2@test"); len(uids) != 1 {
		t.Errorf("the other message is there %d times", len(uids))
	}
}

// popFind gives the number of the message with a message id.
func popFind(t *testing.T, base int, way, user, id string) string {
	t.Helper()
	for _, number := range []string{"1", "2"} {
		out, status := popCurl(t, base, way, user, password, number, "")
		if status == 0 && strings.Contains(string(out), "Message-ID: <"+id+">") {
			return number
		}
	}
	t.Fatalf("no message %s", id)
	return ""
}
