package peers

import (
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// folder is "निविदाएँ" in IMAP's modified UTF-7 (RFC 3501 section 5.1.3), made by
// Python's codecs. This mbsync keeps names as they stand on the wire.
const folder = "&CSgJPwk1CT8JJgk+CQ8JAQ-"

// mbsync: a Maildir of many folders and our server are brought to the same
// state, whichever side has changed, and stay there.
func (r *rig) mbsync(t *testing.T) {
	const user = "u11@example.test"
	box := r.ours(user)
	m := newMaildirs(t, r.demo.Base+doorIMAPS, user)

	// Folder and message made here appear there.
	m.put(t, folder, "new", "1.local", letter(user, user, "sync-1", 100))
	m.put(t, folder, "cur", "2.local:2,FS", letter(user, user, "sync-2", 100))
	m.sync(t)
	if out, _ := box.Do(t, "", `LIST "" *`); !strings.Contains(string(out), folder) {
		t.Fatalf("no folder %s after the synchronisation:\n%s", folder, out)
	}
	below(t, untagged(box.Await(t, folder, "Message-ID", "sync-1@test", m.logs)), letter(user, user, "sync-1", 100))
	flags, _ := box.Do(t, folder, "FETCH 1:* (FLAGS)")
	if !strings.Contains(string(flags), `\Flagged`) || !strings.Contains(string(flags), `\Seen`) {
		t.Errorf("flags set here are not there: %s", flags)
	}
	m.sync(t) // reading it there has marked it as seen
	if file := m.find(t, folder, "sync-1@test"); !strings.Contains(suffix(file), "S") {
		t.Errorf("what has been read there is not seen here: %s", file)
	}
	m.unchanged(t, box)

	// Mail that arrives there appears here; so do flags.
	sent := letter("ravi@peer.example", user, "sync-3", 3000)
	if out, status := Swaks(t, r.fix.Port, "ravi@peer.example", []string{user}, sent); status != 0 {
		t.Fatalf("swaks: %d\n%s", status, out)
	}
	box.Await(t, "INBOX", "Message-ID", "sync-3@test", r.logs)
	uid := box.Find(t, folder, "Message-ID", "sync-1@test")
	if len(uid) != 1 {
		t.Fatalf("sync-1 has UIDs %q", uid)
	}
	if out, status := box.Do(t, folder, "UID STORE "+uid[0]+` +FLAGS (\Answered)`); status != 0 {
		t.Fatalf("STORE: %s", out)
	}
	m.sync(t)
	if file := m.find(t, "INBOX", "sync-3@test"); file == "" {
		t.Error("mail that has arrived is not here")
	} else if got, err := os.ReadFile(file); err != nil {
		t.Error(err)
	} else {
		below(t, untagged(got), sent)
	}
	if file := m.find(t, folder, "sync-1@test"); !strings.Contains(suffix(file), "R") {
		t.Errorf("a flag set there is not here: %s", file)
	}
	m.unchanged(t, box)

	// What is thrown away on either side goes on both.
	file := m.find(t, folder, "sync-2@test")
	if err := os.Rename(file, file+"T"); err != nil {
		t.Fatal(err)
	}
	if out, status := box.Do(t, folder, "UID STORE "+uid[0]+` +FLAGS (\Deleted)`); status != 0 {
		t.Fatalf("STORE: %s", out)
	}
	m.sync(t)
	if left := m.find(t, folder, "sync-"); left != "" {
		t.Errorf("still here: %s", left)
	}
	if out, _ := box.Do(t, "", "STATUS "+folder+" (MESSAGES)"); !strings.Contains(string(out), "MESSAGES 0") {
		t.Errorf("still there: %s", out)
	}
	m.unchanged(t, box)
}

// maildirs is the local side of mbsync.
type maildirs struct {
	dir, conf, last string
}

func newMaildirs(t *testing.T, port int, user string) *maildirs {
	t.Helper()
	m := &maildirs{dir: t.TempDir()}
	m.conf = filepath.Join(m.dir, "mbsyncrc")
	cert := filepath.Join(m.dir, "server.pem")
	write(t, cert, peerCertificate(t, port))
	write(t, filepath.Join(m.dir, "state", ".keep"), "")
	write(t, m.conf, fmt.Sprintf(`IMAPStore far
Host localhost
Port %d
User %s
Pass %s
SSLType IMAPS
SystemCertificates no
CertificateFile %s
Timeout 60

MaildirStore near
Path %[5]s/mail/
Inbox %[5]s/mail/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Expunge Both
Sync All
SyncState %[5]s/state/
`, port, user, password, cert, m.dir))
	return m
}

// peerCertificate gives the certificate of a TLS server as PEM, to be trusted
// from then on.
func peerCertificate(t *testing.T, port int) string {
	t.Helper()
	c, err := tls.Dial("tcp", fmt.Sprintf("localhost:%d", port), &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // it is being learnt
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	var b strings.Builder
	for _, cert := range c.ConnectionState().PeerCertificates {
		_ = pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
	}
	return b.String()
}

func (m *maildirs) logs() string { return m.last }

// sync runs mbsync, which must find nothing to complain about.
func (m *maildirs) sync(t *testing.T) {
	t.Helper()
	out, status := Run(Tool(t, "mbsync", "isync"), "-c", m.conf, "-a", "-V")
	m.last = out
	if status != 0 || strings.Contains(out, "Error") || strings.Contains(out, "Warning") {
		t.Fatalf("mbsync: %d\n%s", status, out)
	}
}

// unchanged runs mbsync once more and fails when that changes either side.
func (m *maildirs) unchanged(t *testing.T, box Curl) {
	t.Helper()
	state := func() string {
		files := m.files(t)
		there := ""
		for _, name := range []string{"INBOX", folder} {
			out, status := box.Do(t, "", "STATUS "+name+" (MESSAGES UIDNEXT UNSEEN HIGHESTMODSEQ)")
			if status != 0 {
				t.Fatalf("STATUS %s: %d", name, status)
			}
			there += string(out)
		}
		return strings.Join(files, "\n") + "\n" + there
	}
	before := state()
	m.sync(t)
	if after := state(); after != before {
		t.Errorf("a second run changes:\n%s\ninto\n%s\n%s", before, after, m.last)
	}
}

// put makes a message in a folder's Maildir.
func (m *maildirs) put(t *testing.T, box, sub, name string, message []byte) {
	t.Helper()
	for _, d := range []string{"cur", "new", "tmp"} {
		if err := os.MkdirAll(filepath.Join(m.dir, "mail", box, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(m.dir, "mail", box, sub, name), strings.ReplaceAll(string(message), "\r\n", "\n"))
}

// files gives every message file of the Maildirs, sorted.
func (m *maildirs) files(t *testing.T) []string {
	t.Helper()
	// find rather than a walk of our own: names are compared, not interpreted.
	out, err := exec.Command("find", filepath.Join(m.dir, "mail"), "-type", "f", "-not", "-name", ".*").Output()
	if err != nil {
		t.Fatal(err)
	}
	files := strings.Split(strings.TrimSpace(string(out)), "\n")
	slices.Sort(files)
	return files
}

// find gives the file of a folder whose message has an id that holds a text.
func (m *maildirs) find(t *testing.T, box, id string) string {
	t.Helper()
	for _, f := range m.files(t) {
		if !strings.HasPrefix(f, filepath.Join(m.dir, "mail", box)+"/") {
			continue
		}
		if b, err := os.ReadFile(f); err == nil && strings.Contains(string(b), "Message-ID: <"+id) {
			return f
		}
	}
	return ""
}

// suffix gives the flags of a Maildir file's name.
func suffix(file string) string {
	_, flags, _ := strings.Cut(filepath.Base(file), ":2,")
	return flags
}

// untagged takes out the field by which mbsync finds what it has uploaded.
func untagged(message []byte) []byte {
	return regexp.MustCompile(`(?m)^X-TUID: .*\r?\n`).ReplaceAll(message, nil)
}
