package imapserver

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	goimap "github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/mohar-mail/mohar/wire/imap"
)

// serve starts a server on loopback and gives its address.
func serve(t testing.TB, cfg Config) (*Server, string) {
	t.Helper()
	srv := New(cfg)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(context.Background(), ln) }()
	t.Cleanup(func() { srv.Close(); <-done })
	return srv, ln.Addr().String()
}

const peerMessage = "From: a@x.example\r\nSubject: peer %d\r\nMessage-ID: <%d@x.example>\r\nDate: Mon, 23 Nov 2026 09:30:00 +0530\r\n\r\nbody %d\r\n"

// TestClientLibrary drives the engine by another project's client, in clear
// text, by STARTTLS and by TLS.
func TestClientLibrary(t *testing.T) {
	t.Parallel()
	for _, way := range []string{"clear", "starttls", "tls"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			acc := newMemAccount()
			cfg := Config{Login: memLogin(acc), AllowInsecureAuth: way == "clear", Implicit: way == "tls"}
			if way != "clear" {
				cfg.TLS = serverTLS(t)
			}
			_, addr := serve(t, cfg)
			opt := &imapclient.Options{TLSConfig: &tls.Config{InsecureSkipVerify: true}}
			var c *imapclient.Client
			var err error
			switch way {
			case "clear":
				c, err = imapclient.DialInsecure(addr, opt)
			case "starttls":
				c, err = imapclient.DialStartTLS(addr, opt)
			default:
				c, err = imapclient.DialTLS(addr, opt)
			}
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			driveClient(t, c)
		})
	}
}

func driveClient(t *testing.T, c *imapclient.Client) {
	t.Helper()
	must := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	must("login", c.Login("u1", "secret").Wait())
	must("create", c.Create("नया", nil).Wait())
	for i := range 5 {
		msg := fmt.Sprintf(peerMessage, i, i, i)
		w := c.Append("INBOX", int64(len(msg)), &goimap.AppendOptions{Flags: []goimap.Flag{goimap.FlagFlagged}})
		_, err := io.WriteString(w, msg)
		must("append write", err)
		must("append close", w.Close())
		d, err := w.Wait()
		must("append", err)
		if d.UID != goimap.UID(i+1) {
			t.Fatalf("APPENDUID %d, want %d", d.UID, i+1)
		}
	}
	sel, err := c.Select("INBOX", nil).Wait()
	must("select", err)
	if sel.NumMessages != 5 || sel.UIDNext != 6 {
		t.Fatalf("select: %+v", sel)
	}
	msgs, err := c.Fetch(goimap.SeqSetNum(2, 4), &goimap.FetchOptions{Envelope: true, UID: true, BodyStructure: &goimap.FetchItemBodyStructure{Extended: true},
		BodySection: []*goimap.FetchItemBodySection{{Peek: true}}}).Collect()
	must("fetch", err)
	if len(msgs) != 2 || msgs[1].Envelope.Subject != "peer 3" || !bytes.HasSuffix(msgs[1].BodySection[0].Bytes, []byte("body 3\r\n")) {
		t.Fatalf("fetch: %+v", msgs)
	}
	found, err := c.UIDSearch(&goimap.SearchCriteria{Body: []string{"body 2"}}, nil).Wait()
	must("search", err)
	if got := found.AllUIDs(); len(got) != 1 || got[0] != 3 {
		t.Fatalf("search: %v", got)
	}
	mv, err := c.Move(goimap.UIDSetNum(2), "नया").Wait()
	must("move", err)
	if mv.DestUIDs.String() != "1" {
		t.Fatalf("move: %+v", mv)
	}
	must("store", c.Store(goimap.UIDSetNum(1), &goimap.StoreFlags{Op: goimap.StoreFlagsAdd, Flags: []goimap.Flag{goimap.FlagDeleted}}, nil).Close())
	gone, err := c.Expunge().Collect()
	must("expunge", err)
	if len(gone) != 1 || gone[0] != 1 {
		t.Fatalf("expunge: %v", gone)
	}
	boxes, err := c.List("", "*", &goimap.ListOptions{ReturnStatus: &goimap.StatusOptions{NumMessages: true}}).Collect()
	must("list", err)
	if len(boxes) != 5 || *boxes[0].Status.NumMessages != 3 {
		t.Fatalf("list: %+v", boxes)
	}
	must("logout", c.Logout().Wait())
}

// program finds a peer of TestCurl and TestMbsync. Only -short does without it: a
// missing program must not look like a test that passed.
func program(t *testing.T, name string) string {
	t.Helper()
	if testing.Short() {
		t.Skip("-short runs no peers")
	}
	p, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is not installed: make deps", name)
	}
	return p
}

func TestCurl(t *testing.T) {
	t.Parallel()
	curl := program(t, "curl")
	acc := newMemAccount()
	acc.add("INBOX", fmt.Sprintf(peerMessage, 1, 1, 1), imap.Flags{})
	_, addr := serve(t, Config{Login: memLogin(acc), TLS: serverTLS(t), Implicit: true})
	run := func(args ...string) string {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		out, err := exec.CommandContext(ctx, curl, append([]string{"-sSk", "--user", "u1:secret"}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("curl %v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	if out := run("imaps://" + addr + "/INBOX;UID=1"); !strings.Contains(out, "body 1") {
		t.Errorf("message: %q", out)
	}
	if out := run("imaps://" + addr + "/"); !strings.Contains(out, "INBOX") {
		t.Errorf("list: %q", out)
	}
	if out := run("imaps://"+addr+"/INBOX", "-X", "SEARCH SUBJECT peer"); !strings.Contains(out, "* SEARCH 1") {
		t.Errorf("search: %q", out)
	}
	f := filepath.Join(t.TempDir(), "m")
	if err := os.WriteFile(f, fmt.Appendf(nil, peerMessage, 2, 2, 2), 0o600); err != nil {
		t.Fatal(err)
	}
	run("imaps://"+addr+"/INBOX", "-T", f)
	if out := run("imaps://" + addr + "/INBOX;UID=2"); !strings.Contains(out, "body 2") {
		t.Errorf("uploaded message: %q", out)
	}
}

// TestMbsync syncs to a Maildir and back: new mail both ways, a flag, a
// deletion, a new folder; a second run finds nothing to do.
func TestMbsync(t *testing.T) {
	t.Parallel()
	mbsync := program(t, "mbsync")
	acc := newMemAccount()
	for i := range 20 {
		acc.add("INBOX", fmt.Sprintf(peerMessage, i, i, i), imap.Flags{})
	}
	_, addr := serve(t, Config{Login: memLogin(acc), AllowInsecureAuth: true})
	_, port, _ := net.SplitHostPort(addr)
	dir := t.TempDir()
	rc := filepath.Join(dir, "rc")
	conf := fmt.Sprintf(`IMAPAccount a
Host 127.0.0.1
Port %s
User u1
Pass secret
%s None
AuthMechs PLAIN LOGIN

IMAPStore far
Account a

MaildirStore near
Path %[3]s/mail/
Inbox %[3]s/mail/INBOX
SubFolders Verbatim

Channel c
Far :far:
Near :near:
Patterns *
Create Both
Expunge Both
Sync All
SyncState *
`, port, sslWord(t, mbsync), dir)
	if err := os.WriteFile(rc, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "mail"), 0o700); err != nil {
		t.Fatal(err)
	}
	sync := func() string {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		out, err := exec.CommandContext(ctx, mbsync, "-V", "-c", rc, "c").CombinedOutput()
		if err != nil || bytes.Contains(out, []byte("Error")) || bytes.Contains(out, []byte("Warning")) {
			t.Fatalf("mbsync: %v\n%s", err, out)
		}
		return string(out)
	}
	sync()
	files, _ := filepath.Glob(filepath.Join(dir, "mail/INBOX/*/*"))
	if len(files) != 20 {
		t.Fatalf("%d files after the first run, want 20", len(files))
	}
	// Near: a new message, a deletion. Far: a flag, a new message.
	if err := os.WriteFile(filepath.Join(dir, "mail/INBOX/new/1.new"), fmt.Appendf(nil, peerMessage, 77, 77, 77), 0o600); err != nil {
		t.Fatal(err)
	}
	gone := files[0]
	if err := os.Rename(gone, strings.Replace(gone, ":2,", ":2,T", 1)); err != nil {
		t.Fatal(err)
	}
	acc.add("INBOX", fmt.Sprintf(peerMessage, 88, 88, 88), imap.Flags{System: imap.Seen})
	sync()
	m, err := memSession{acc, "u1"}.Status(t.Context(), "INBOX")
	if err != nil || m.Messages != 21 {
		t.Fatalf("INBOX has %d messages, want 21 (%v)", m.Messages, err)
	}
	files, _ = filepath.Glob(filepath.Join(dir, "mail/INBOX/*/*"))
	if len(files) != 21 {
		t.Fatalf("%d files, want 21", len(files))
	}
	before := acc.modseq
	sync()
	if acc.modseq != before {
		t.Error("a run without news changed something")
	}
}

// sslWord is the name of mbsync's TLS setting, which changed with 1.5.
func sslWord(t *testing.T, mbsync string) string {
	out, err := exec.Command(mbsync, "--version").CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(out), " 1.4") || strings.Contains(string(out), " 1.3") {
		return "SSLType"
	}
	return "TLSType"
}
