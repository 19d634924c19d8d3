package peers

import (
	"bytes"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Run runs a program and gives what it prints on both streams and its exit
// status; -1 when it could not run.
func Run(name string, args ...string) (output string, status int) {
	cmd := exec.Command(name, args...)
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		return err.Error(), -1
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// Swaks sends a message (CRLF line ends) with swaks to a port of 127.0.0.1 and
// gives the transcript and swaks' exit status, 0 when all was accepted.
func Swaks(t testing.TB, port int, from string, to []string, message []byte, more ...string) (transcript string, status int) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "message")
	// swaks makes the line ends itself, that of the last line too.
	write(t, file, strings.TrimSuffix(strings.ReplaceAll(string(message), "\r\n", "\n"), "\n"))
	args := append([]string{"--server", "127.0.0.1", "--port", strconv.Itoa(port), "--helo", "client.peer.example",
		"--from", from, "--to", strings.Join(to, ","), "--data", "@" + file, "--suppress-data", "--timeout", "60"}, more...)
	return Run(Tool(t, "swaks", "swaks libnet-ssleay-perl"), args...)
}

// Curl reads mail over IMAP with curl.
type Curl struct {
	Port           int // on 127.0.0.1
	User, Password string
	TLS            bool // IMAPS instead of plain IMAP
}

// Do runs one request: path is what stands behind the host of the URL, command
// the IMAP command in place of the URL's own, if not empty. It gives curl's
// output and exit status.
func (c Curl) Do(t testing.TB, path, command string) ([]byte, int) {
	t.Helper()
	scheme := "imap"
	if c.TLS {
		scheme = "imaps"
	}
	args := []string{"--silent", "--show-error", "--insecure", "--max-time", "60", "--user", c.User + ":" + c.Password,
		"--url", fmt.Sprintf("%s://127.0.0.1:%d/%s", scheme, c.Port, path)}
	if command != "" {
		args = append(args, "--request", command)
	}
	cmd := exec.Command(Tool(t, "curl", "curl"), args...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	if errs.Len() > 0 {
		t.Logf("curl imap %s %s: %s", path, command, errs.String())
	}
	return out, cmd.ProcessState.ExitCode()
}

// Find gives the UIDs of the messages of a mailbox with a header field that
// holds a text.
func (c Curl) Find(t testing.TB, box, field, text string) []string {
	t.Helper()
	out, status := c.Do(t, box, fmt.Sprintf("UID SEARCH HEADER %s %q", field, text))
	if status != 0 {
		return nil
	}
	for line := range strings.Lines(string(out)) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), "* SEARCH"); ok {
			return strings.Fields(rest)
		}
	}
	return nil
}

// Fetch gives a whole message.
func (c Curl) Fetch(t testing.TB, box, uid string) []byte {
	t.Helper()
	out, status := c.Do(t, box+";UID="+uid, "")
	if status != 0 {
		t.Fatalf("curl cannot fetch %s of %s: exit %d", uid, box, status)
	}
	return out
}

// Await waits until a mailbox holds a message with a header field that holds a
// text, and gives its octets. logs tells what happened, should it not come.
func (c Curl) Await(t testing.TB, box, field, text string, logs func() string) []byte {
	t.Helper()
	var uids []string
	Eventually(t, startLimit, fmt.Sprintf("%s of %s gets the message with %s: %s", box, c.User, field, text), func() bool {
		uids = c.Find(t, box, field, text)
		return len(uids) > 0
	}, logs)
	if len(uids) != 1 {
		t.Errorf("%s has %d copies of the message with %s: %s", c.User, len(uids), field, text)
	}
	return c.Fetch(t, box, uids[0])
}
