package imap_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestMbsync moves mail between the store and a Maildir by isync, both ways.
// Only -short does without the program.
func TestMbsync(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short runs no peers")
	}
	mbsync, err := exec.LookPath("mbsync")
	if err != nil {
		t.Fatal("mbsync is not installed: make deps")
	}
	version, err := exec.Command(mbsync, "--version").CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	tlsWord := "TLSType" // its name since 1.5
	if strings.Contains(string(version), " 1.4") {
		tlsWord = "SSLType"
	}
	w := newWorld(t)
	p := w.dial()
	for i := range 30 {
		p.append("INBOX", "", letter(i))
	}
	_, port, _ := net.SplitHostPort(w.addr)
	dir := t.TempDir()
	rc := filepath.Join(dir, "rc")
	conf := fmt.Sprintf("IMAPAccount a\nHost 127.0.0.1\nPort %s\nUser u1\nPass secret\n%s None\nAuthMechs *\n\nIMAPStore far\nAccount a\n\n"+
		"MaildirStore near\nPath %[3]s/mail/\nInbox %[3]s/mail/INBOX\nSubFolders Verbatim\n\n"+
		"Channel c\nFar :far:\nNear :near:\nPatterns *\nCreate Both\nRemove Both\nExpunge Both\nSync All\nSyncState *\n", port, tlsWord, dir)
	if err := os.WriteFile(rc, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "mail"), 0o700); err != nil {
		t.Fatal(err)
	}
	sync := func() {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		out, err := exec.CommandContext(ctx, mbsync, "-V", "-c", rc, "c").CombinedOutput()
		if err != nil || bytes.Contains(out, []byte("Error")) || bytes.Contains(out, []byte("Warning")) {
			t.Fatalf("mbsync: %v\n%s", err, out)
		}
	}
	count := func(box string) int {
		files, _ := filepath.Glob(filepath.Join(dir, "mail", box, "[cn]*/*"))
		return len(files)
	}
	sync()
	if n := count("INBOX"); n != 30 {
		t.Fatalf("%d files, want 30", n)
	}
	// What was stored comes out octet for octet.
	files, _ := filepath.Glob(filepath.Join(dir, "mail/INBOX/[cn]*/*"))
	one, err := os.ReadFile(files[0])
	if err != nil || !strings.Contains(string(one), "namaste") {
		t.Fatalf("%q %v", one, err)
	}
	// Near: a folder with a message, and a flag. Far: a move and an expunge.
	for _, d := range []string{"cur", "new", "tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, "mail/Works", d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "mail/Works/new/1.x"), []byte(strings.ReplaceAll(letter(99), "\r\n", "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	p.ok("SELECT INBOX")
	p.ok("UID MOVE 1:3 Archive")
	p.ok(`UID STORE 4 +FLAGS (\Deleted)`)
	p.ok("EXPUNGE")
	sync()
	if in, ar := count("INBOX"), count("Archive"); in != 26 || ar != 3 {
		t.Errorf("INBOX %d, Archive %d; want 26 and 3", in, ar)
	}
	p.want("STATUS Works (MESSAGES)", "* STATUS Works (MESSAGES 1)", "OK Done")
	before := p.ok("STATUS INBOX (HIGHESTMODSEQ)")[0]
	sync()
	if after := p.ok("STATUS INBOX (HIGHESTMODSEQ)")[0]; after != before {
		t.Errorf("a run without news changed %s to %s", before, after)
	}
}
