package imap_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/base/clock"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/mailbox"
	"github.com/mohar-mail/mohar/serve/imap"
	"github.com/mohar-mail/mohar/store/blob/memblob"
	"github.com/mohar-mail/mohar/store/body"
	"github.com/mohar-mail/mohar/store/hub"
	"github.com/mohar-mail/mohar/store/hub/localhub"
	"github.com/mohar-mail/mohar/store/kv"
	"github.com/mohar-mail/mohar/store/kv/memkv"
	"github.com/mohar-mail/mohar/wire/imap/imapserver"
)

const account = mohar.AccountID("a1")

// world is the door over a store in memory.
type world struct {
	testing.TB
	boxes *mailbox.Store
	hub   hub.Hub
	addr  string
	srv   *imapserver.Server
}

func (w *world) Changed(a mohar.AccountID, modseq uint64) {
	w.hub.Publish(hub.Event{Topic: hub.Account(a), State: modseq})
}

func (w *world) SignIn(_ context.Context, _ mohar.Door, user, password string, _ netip.Addr, _ bool) (imap.Principal, error) {
	if password != "secret" {
		return imap.Principal{}, fault.New(fault.Auth, "test", "Wrong.")
	}
	return imap.Principal{Account: account, Address: user}, nil
}

func judge(_ context.Context, _ imap.Principal, _ string, content []byte) error {
	if strings.Contains(string(content), "Mohar-Label: secret") {
		return fault.Refusal("test", &mohar.Decision{Verdict: mohar.Refuse, Reasons: []mohar.Reason{{Rule: "LBL-3", What: mohar.Text{En: "Secret mail is not kept here."}}}})
	}
	return nil
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{TB: t, hub: localhub.New()}
	db := kv.NewStore(memkv.New())
	bodies := body.New(db, memblob.New(), body.Config{})
	w.boxes = mailbox.New(mailbox.Config{KV: db, Bodies: bodies, Notify: w, Clock: clock.System{}})
	door := imap.New(imap.Config{Mail: w.boxes, Signin: w, Hints: w.hub, Judge: judge})
	w.srv = imapserver.New(imapserver.Config{Login: door.Login, AllowInsecureAuth: true})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.addr = ln.Addr().String()
	done := make(chan struct{})
	go func() { defer close(done); _ = w.srv.Serve(context.Background(), ln) }()
	t.Cleanup(func() {
		w.srv.Close()
		<-done
		door.Close()
		w.hub.Close()
		db.Close()
	})
	return w
}

// peer is a client that speaks the protocol as it stands.
type peer struct {
	testing.TB
	nc net.Conn
	br *bufio.Reader
	n  int
}

func (w *world) dial() *peer {
	w.Helper()
	nc, err := net.Dial("tcp", w.addr)
	if err != nil {
		w.Fatal(err)
	}
	_ = nc.SetDeadline(time.Now().Add(60 * time.Second))
	p := &peer{TB: w.TB, nc: nc, br: bufio.NewReaderSize(nc, 1<<20)}
	w.Cleanup(func() { nc.Close() })
	p.line()
	p.ok("LOGIN u1 secret")
	return p
}

func (p *peer) line() string {
	p.Helper()
	l, err := p.br.ReadString('\n')
	if err != nil {
		p.Fatal(err)
	}
	return strings.TrimRight(l, "\r\n")
}

// do sends a command and gives everything up to its tagged line.
func (p *peer) do(command string) (out []string, tagged string) {
	p.Helper()
	p.n++
	tag := fmt.Sprintf("t%d", p.n)
	if _, err := io.WriteString(p.nc, tag+" "+command+"\r\n"); err != nil {
		p.Fatal(err)
	}
	for {
		l := p.line()
		if t, found := strings.CutPrefix(l, tag+" "); found {
			return out, t
		}
		out = append(out, l)
	}
}

func (p *peer) ok(command string) []string {
	p.Helper()
	out, t := p.do(command)
	if !strings.HasPrefix(t, "OK") {
		p.Fatalf("%s: %s", command, t)
	}
	return out
}

// want runs a command and compares its whole answer.
func (p *peer) want(command string, lines ...string) {
	p.Helper()
	out, t := p.do(command)
	got := strings.Join(append(out, t), "\n")
	if want := strings.Join(lines, "\n"); got != want {
		p.Errorf("%s\ngot:  %q\nwant: %q", command, got, want)
	}
}

func letter(n int) string {
	return fmt.Sprintf("From: a%d@x.example\r\nTo: u1@x.example\r\nSubject: letter %d\r\nMessage-ID: <%d@x.example>\r\nDate: Mon, 23 Nov 2026 09:30:00 +0530\r\n\r\nnamaste %d\r\n", n, n, n, n)
}

func (p *peer) append(box, flags, msg string) string {
	p.Helper()
	_, t := p.do(fmt.Sprintf("APPEND %s (%s) {%d+}\r\n%s", box, flags, len(msg), msg))
	return t
}

// status gives one number of STATUS.
func (p *peer) status(box, item string) (n int) {
	p.Helper()
	l := p.ok("STATUS " + box + " (" + item + ")")[0]
	if _, err := fmt.Sscanf(l, "* STATUS "+box+" ("+item+" %d)", &n); err != nil {
		p.Fatalf("%s: %v", l, err)
	}
	return n
}

func TestDoor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.dial()
	p.want(`LIST "" *`, `* LIST (\HasNoChildren) "/" INBOX`, `* LIST (\HasNoChildren \Archive) "/" Archive`, `* LIST (\HasNoChildren \Drafts) "/" Drafts`,
		`* LIST (\HasNoChildren \Junk) "/" Junk`, `* LIST (\HasNoChildren \Sent) "/" Sent`, `* LIST (\HasNoChildren \Trash) "/" Trash`, "OK Done")
	for i := range 4 {
		if got := p.append("INBOX", `\Seen $Work`, letter(i)); !strings.Contains(got, "APPENDUID") || !strings.Contains(got, fmt.Sprintf(" %d]", i+1)) {
			t.Fatalf("append: %s", got)
		}
	}
	if got := p.append("INBOX", "", "Mohar-Label: secret\r\n\r\nx"); got != "NO [NOPERM] <LBL-3> Secret mail is not kept here." {
		t.Errorf("policy: %s", got)
	}
	p.ok("SELECT inbox")
	p.want("FETCH 2 (UID FLAGS RFC822.SIZE EMAILID)", fmt.Sprintf(`* 2 FETCH (UID 2 FLAGS (\Seen $work) RFC822.SIZE %d EMAILID (E2))`, len(letter(1))), "OK Fetched")
	p.want("FETCH 3 BODY.PEEK[TEXT]", "* 3 FETCH (BODY[TEXT] {11}", "namaste 2", ")", "OK Fetched")
	p.want("FETCH 1 ENVELOPE", `* 1 FETCH (ENVELOPE ("Mon, 23 Nov 2026 09:30:00 +0530" "letter 0" ((NIL NIL "a0" "x.example")) ((NIL NIL "a0" "x.example")) ((NIL NIL "a0" "x.example")) ((NIL NIL "u1" "x.example")) NIL NIL NIL "<0@x.example>"))`, "OK Fetched")
	p.want("SEARCH BODY \"NAMASTE 3\"", "* SEARCH 4", "OK Searched")
	p.want("SEARCH HEADER Message-ID 1@x", "* SEARCH 2", "OK Searched")
	p.want(`STORE 1 -FLAGS (\Seen $work)`, `* 1 FETCH (UID 1 FLAGS ())`, "OK Stored")
	p.want("FETCH 1 BODY[TEXT]", "* 1 FETCH (BODY[TEXT] {11}", "namaste 0", ")", `* 1 FETCH (UID 1 FLAGS (\Seen))`, "OK Fetched")
	out, tagged := p.do("COPY 1:2 Archive")
	if len(out) != 0 || !strings.HasSuffix(tagged, " 1:2 1:2] Copied") {
		t.Errorf("copy: %v %s", out, tagged)
	}
	p.want("COPY 1 Nothing", "NO [TRYCREATE] There is no such mailbox")
	out, tagged = p.do("MOVE 3 Trash")
	if len(out) != 2 || !strings.HasSuffix(out[0], " 3 1] Moved") || out[1] != "* 3 EXPUNGE" || tagged != "OK Moved" {
		t.Errorf("move: %v %s", out, tagged)
	}
	p.ok(`STORE 1 +FLAGS.SILENT \Deleted`)
	p.want("UID EXPUNGE 2:9", "OK Expunged")
	p.want("EXPUNGE", "* 1 EXPUNGE", "OK Expunged")
	p.ok(`CREATE "Works/2026/मार्ग"`)
	p.ok("RENAME Works Roads")
	p.want(`LIST "" Roads*`, `* LIST (\HasChildren) "/" Roads`, `* LIST (\HasChildren) "/" Roads/2026`, `* LIST (\HasNoChildren) "/" Roads/2026/&CS4JPgkwCU0JFw-`, "OK Done")
	p.want("DELETE Roads", "NO [NOPERM] Remove the mailboxes inside it first.")
	p.ok("DELETE Roads/2026/&CS4JPgkwCU0JFw-")
	p.want("STATUS Nowhere (MESSAGES)", "NO [NONEXISTENT] There is no such mailbox.")
	p.want("RENAME INBOX Old", "* 2 EXPUNGE", "* 1 EXPUNGE", "OK Mailbox is renamed")
	p.want("STATUS INBOX (MESSAGES)", "* STATUS INBOX (MESSAGES 0)", "OK Done")
	p.want("STATUS Old (MESSAGES UNSEEN)", "* STATUS Old (MESSAGES 2 UNSEEN 0)", "OK Done")
}

// TestQResync: another session's changes reach a client that comes back, and
// one that idles.
func TestQResync(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.dial(), w.dial()
	for i := range 5 {
		a.append("INBOX", "", letter(i))
	}
	b.ok("ENABLE QRESYNC")
	sel := strings.Join(b.ok("SELECT INBOX"), "\n")
	var validity, modseq int
	for _, l := range strings.Split(sel, "\n") {
		_, _ = fmt.Sscanf(l, "* OK [UIDVALIDITY %d]", &validity)
		_, _ = fmt.Sscanf(l, "* OK [HIGHESTMODSEQ %d]", &modseq)
	}
	if validity == 0 || modseq < 1 {
		t.Fatal(sel)
	}
	b.ok("UNSELECT")
	a.ok("SELECT INBOX")
	a.ok(`STORE 2,4 +FLAGS (\Deleted)`)
	a.ok("EXPUNGE")
	a.ok(`STORE 1 +FLAGS (\Flagged)`)
	got := strings.Join(b.ok(fmt.Sprintf("SELECT INBOX (QRESYNC (%d %d))", validity, modseq)), "\n")
	for _, want := range []string{"* VANISHED (EARLIER) 2,4", `* 1 FETCH (UID 1 FLAGS (\Flagged) MODSEQ (`} {
		if !strings.Contains(got, want) {
			t.Errorf("resync lacks %q:\n%s", want, got)
		}
	}
	if strings.Contains(got, "UID 3") {
		t.Errorf("resync tells of a message that has not changed:\n%s", got)
	}
	// IDLE: told at once, by the hub's hint.
	if _, err := io.WriteString(b.nc, "i IDLE\r\n"); err != nil {
		t.Fatal(err)
	}
	if l := b.line(); !strings.HasPrefix(l, "+") {
		t.Fatal(l)
	}
	a.append("INBOX", "", letter(9))
	if l := b.line(); l != "* 4 EXISTS" {
		t.Error(l)
	}
	a.ok(`UID STORE 5 +FLAGS.SILENT \Seen`)
	if l := b.line(); !strings.HasPrefix(l, `* 3 FETCH (UID 5 FLAGS (\Seen) MODSEQ (`) {
		t.Error(l)
	}
	a.ok(`UID MOVE 5 Trash`)
	if l := b.line(); l != "* VANISHED 5" {
		t.Error(l)
	}
	if _, err := io.WriteString(b.nc, "DONE\r\n"); err != nil {
		t.Fatal(err)
	}
	if l := b.line(); !strings.HasPrefix(l, "i OK") {
		t.Error(l)
	}
	// A mailbox deleted under its reader ends the reader's connection with a word.
	a.ok("CREATE Gone")
	b.ok("SELECT Gone")
	a.ok("DELETE Gone")
	if _, err := io.WriteString(b.nc, "z NOOP\r\n"); err != nil {
		t.Fatal(err)
	}
	if l := b.line(); !strings.HasPrefix(l, "* BYE") {
		t.Error(l)
	}
}

// TestTraps: what clients are known to stumble over; each case says what it is.
func TestTraps(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.dial()
	// UIDVALIDITY stands through a rename; a new mailbox of the old name has another.
	p.ok("CREATE One")
	old := p.status("One", "UIDVALIDITY")
	p.append("One", "", letter(1))
	p.ok("RENAME One Two")
	if v := p.status("Two", "UIDVALIDITY"); v != old {
		t.Errorf("UIDVALIDITY was %d, after RENAME %d", old, v)
	}
	p.ok("CREATE One")
	if v := p.status("One", "UIDVALIDITY"); v == old {
		t.Error("a new mailbox has the UIDVALIDITY of an old one")
	}
	// HIGHESTMODSEQ is never 0, not even where nothing has happened.
	if n := p.status("Junk", "HIGHESTMODSEQ"); n < 1 {
		t.Errorf("HIGHESTMODSEQ %d", n)
	}
	// The same mail twice, and the same Message-ID twice, is nothing special.
	p.ok("SELECT Two")
	p.ok("COPY 1 One")
	p.ok("COPY 1 One")
	p.ok("COPY 1 Two")
	if n := p.status("One", "MESSAGES"); n != 2 {
		t.Errorf("%d copies, want 2", n)
	}
	// UIDs are not used again after an expunge.
	p.ok(`STORE 1:* +FLAGS.SILENT (\Deleted)`)
	p.ok("EXPUNGE")
	if n := p.status("Two", "UIDNEXT"); n != 3 {
		t.Errorf("UIDNEXT %d, want 3", n)
	}
	if got := p.append("Two", "", letter(2)); !strings.Contains(got, " 3]") {
		t.Error(got)
	}
	// Quota refuses before the content is sent, and falls on expunge.
	size := int64(len(letter(1)))
	if err := w.boxes.SetQuota(t.Context(), account, 4*size); err != nil {
		t.Fatal(err)
	}
	p.append("Two", "", letter(3))
	if got := p.append("Two", "", letter(4)); got != "NO [OVERQUOTA] The mailbox is full." {
		t.Error(got)
	}
	p.ok(`STORE 1:* +FLAGS.SILENT (\Deleted)`)
	p.ok("CLOSE")
	if got := p.append("Two", "", letter(5)); !strings.HasPrefix(got, "OK") {
		t.Error(got)
	}
	// Content comes out as it went in: 8-bit, bare LF, no final line end.
	odd := "Subject: \xe0\xa4\xa8\r\nX: y\n\r\nbare\nlf\xff"
	p.append("Archive", "", odd)
	p.ok("SELECT Archive")
	out := strings.Join(p.ok("FETCH 1 BODY.PEEK[]"), "\r\n")
	if !strings.Contains(strings.ReplaceAll(out, "\r\n", "\n"), strings.ReplaceAll(odd, "\r\n", "\n")) || !strings.Contains(out, fmt.Sprintf("{%d}", len(odd))) {
		t.Errorf("%q", out)
	}
}

// TestManyMessages copies, marks and expunges more than one transaction takes.
func TestManyMessages(t *testing.T) {
	t.Parallel()
	p := newWorld(t).dial()
	for i := range 30 {
		p.append("Sent", "", letter(i))
	}
	p.ok("SELECT Sent")
	for range 6 {
		p.ok("COPY 1:* Sent")
	}
	if n := p.status("Sent", "MESSAGES"); n != 30*64 {
		t.Fatalf("%d messages", n)
	}
	p.ok("COPY 1:* Drafts")
	p.ok(`STORE 1:* +FLAGS.SILENT (\Seen \Deleted)`)
	p.ok("EXPUNGE")
	if s, d := p.status("Sent", "MESSAGES"), p.status("Drafts", "MESSAGES"); s != 0 || d != 30*64 {
		t.Errorf("Sent %d, Drafts %d", s, d)
	}
}
