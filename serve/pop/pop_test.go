package pop_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/textproto"
	"strings"
	"testing"
	"time"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/base/clock"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/mailbox"
	"github.com/mohar-mail/mohar/serve/pop"
	"github.com/mohar-mail/mohar/store/blob/memblob"
	"github.com/mohar-mail/mohar/store/body"
	"github.com/mohar-mail/mohar/store/kv"
	"github.com/mohar-mail/mohar/store/kv/memkv"
	"github.com/mohar-mail/mohar/wire/pop/popserver"
)

const account = mohar.AccountID("a1")

// world is the door over a store in memory.
type world struct {
	testing.TB
	boxes  *mailbox.Store
	bodies *body.Bodies
	addr   string
}

func (w *world) Changed(mohar.AccountID, uint64) {}

// SignIn takes "secret" alone, and tells by the sentence what it was asked.
func (w *world) SignIn(_ context.Context, door mohar.Door, user, password string, remote netip.Addr, tls bool) (mohar.AccountID, error) {
	switch {
	case password == "tell":
		return "", fault.New(fault.Unavailable, "test", fmt.Sprintf("%s %s %s %v", door, user, remote, tls))
	case password != "secret":
		return "", fault.New(fault.Auth, "test", "Wrong.")
	}
	return account, nil
}

func newWorld(t testing.TB, limit int) *world {
	t.Helper()
	w := &world{TB: t}
	db := kv.NewStore(memkv.New())
	w.bodies = body.New(db, memblob.New(), body.Config{})
	w.boxes = mailbox.New(mailbox.Config{KV: db, Bodies: w.bodies, Notify: w, Clock: clock.System{}})
	door := pop.New(pop.Config{Mail: w.boxes, Signin: w})
	srv := popserver.New(popserver.Config{Login: door.Login, AllowInsecureAuth: true, Name: "test", MaxMessages: limit})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.addr = ln.Addr().String()
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(context.Background(), ln) }()
	t.Cleanup(func() {
		srv.Close()
		<-done
		db.Close()
	})
	return w
}

// add puts a message into mailboxes by their roles.
func (w *world) add(content string, flags mailbox.Flags, roles ...mailbox.Role) mailbox.EmailID {
	w.Helper()
	ctx := context.Background()
	out := w.bodies.Writer(ctx)
	if _, err := io.WriteString(out, content); err != nil {
		w.Fatal(err)
	}
	staged, err := out.Finish()
	if err != nil {
		w.Fatal(err)
	}
	parsed, err := mailbox.Parse([]byte(content))
	if err != nil {
		w.Fatal(err)
	}
	if err := w.boxes.Ensure(ctx, account); err != nil {
		w.Fatal(err)
	}
	add := mailbox.Addition{Flags: flags, Received: time.Unix(1e9, 0), Size: int64(len(content)), Content: parsed, Staged: staged}
	for _, role := range roles {
		add.Mailboxes = append(add.Mailboxes, w.box(role).ID)
	}
	added, err := w.boxes.Add(ctx, account, add)
	if err != nil {
		w.Fatal(err)
	}
	return added.Email
}

func (w *world) box(role mailbox.Role) (m *mailbox.Mailbox) {
	w.Helper()
	err := w.boxes.View(context.Background(), account, func(r *mailbox.Reader) (err error) {
		m, err = r.ByRole(role)
		return err
	})
	if err != nil {
		w.Fatal(err)
	}
	return m
}

// entries lists a mailbox as "uid flags".
func (w *world) entries(role mailbox.Role) string {
	w.Helper()
	var out []string
	id := w.box(role).ID
	err := w.boxes.View(context.Background(), account, func(r *mailbox.Reader) error {
		return r.Entries(id, 1, 1<<32-1, func(e *mailbox.Entry) bool {
			out = append(out, fmt.Sprintf("%d %d", e.UID, e.Flags))
			return true
		})
	})
	if err != nil {
		w.Fatal(err)
	}
	return strings.Join(out, ", ")
}

// client is a client of the standard library's line protocol.
type client struct {
	testing.TB
	*textproto.Conn
}

func (w *world) dial() client {
	w.Helper()
	nc, err := net.Dial("tcp", w.addr)
	if err != nil {
		w.Fatal(err)
	}
	_ = nc.SetDeadline(time.Now().Add(30 * time.Second))
	c := client{w.TB, textproto.NewConn(nc)}
	w.Cleanup(func() { c.Close() })
	if l, err := c.ReadLine(); err != nil || !strings.HasPrefix(l, "+OK") {
		w.Fatalf("greeting %q %v", l, err)
	}
	return c
}

func (w *world) login() client {
	w.Helper()
	c := w.dial()
	c.do("USER u1@x.example")
	if got := c.do("PASS secret"); !strings.HasPrefix(got, "+OK") {
		w.Fatal(got)
	}
	return c
}

func (c client) do(command string) string {
	c.Helper()
	if err := c.PrintfLine("%s", command); err != nil {
		c.Fatal(err)
	}
	l, err := c.ReadLine()
	if err != nil {
		c.Fatal(command, err)
	}
	return l
}

// lines runs a command with an answer of many lines.
func (c client) lines(command string) string {
	c.Helper()
	if l := c.do(command); !strings.HasPrefix(l, "+OK") {
		c.Fatalf("%s: %s", command, l)
	}
	out, err := c.ReadDotLines()
	if err != nil {
		c.Fatal(command, err)
	}
	return strings.Join(out, ", ")
}

// content is a message with its own line ends put back.
func (c client) content(number int) []byte {
	c.Helper()
	if l := c.do(fmt.Sprintf("RETR %d", number)); !strings.HasPrefix(l, "+OK") {
		c.Fatal(l)
	}
	b, err := c.ReadDotBytes()
	if err != nil {
		c.Fatal(err)
	}
	return bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n"))
}

func letter(n int) string {
	return fmt.Sprintf("From: a%d@x.example\r\nSubject: letter %d\r\n\r\nnamaste\r\n.\r\n..%d\r\n", n, n, n)
}

func TestSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0)
	w.add(letter(1), 0, mailbox.RoleInbox)
	w.add(letter(2), mailbox.Deleted, mailbox.RoleInbox)
	w.add(letter(3), mailbox.Flagged, mailbox.RoleInbox, mailbox.RoleArchive)
	w.add(letter(4), 0, mailbox.RoleJunk)
	v := w.box(mailbox.RoleInbox).UIDValidity
	c := w.login()
	if got, want := c.do("STAT"), fmt.Sprintf("+OK 2 %d", 2*len(letter(1))); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := c.lines("UIDL"), fmt.Sprintf("1 %d.1, 2 %d.3", v, v); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	for i, n := range []int{1, 3} {
		if got := c.content(i + 1); string(got) != letter(n) {
			t.Errorf("message %d: %q", i+1, got)
		}
	}
	if got := w.entries(mailbox.RoleInbox); got != fmt.Sprintf("1 0, 2 %d, 3 %d", mailbox.Deleted, mailbox.Flagged) {
		t.Errorf("reading has changed flags: %s", got)
	}
	c.do("DELE 2")
	if got := w.entries(mailbox.RoleInbox); strings.Count(got, ",") != 2 {
		t.Errorf("deleted before QUIT: %s", got)
	}
	if got := c.do("QUIT"); got != "+OK Goodbye, 1 message deleted" {
		t.Error(got)
	}
	if got := w.entries(mailbox.RoleInbox); got != fmt.Sprintf("1 0, 2 %d", mailbox.Deleted) {
		t.Errorf("after QUIT: %s", got)
	}
	if got := w.entries(mailbox.RoleArchive); got != fmt.Sprintf("1 %d", mailbox.Flagged) {
		t.Errorf("the message is gone from another mailbox: %q", got)
	}
	w.add(letter(5), 0, mailbox.RoleInbox)
	if got, want := w.login().lines("UIDL"), fmt.Sprintf("1 %d.1, 2 %d.4", v, v); got != want {
		t.Errorf("another session: %q, want %q", got, want)
	}
	problems, err := w.boxes.Check(context.Background(), account)
	if err != nil || len(problems) > 0 {
		t.Errorf("check: %v %v", problems, err)
	}
}

// TestElsewhere: what another client does to the inbox does not move numbers.
func TestElsewhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0)
	for n := range 3 {
		w.add(letter(n), 0, mailbox.RoleInbox)
	}
	c := w.login()
	err := w.boxes.Update(context.Background(), account, func(wr *mailbox.Writer) error {
		_, err := wr.Expunge(w.box(mailbox.RoleInbox).ID, []uint32{1})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	w.add(letter(3), 0, mailbox.RoleInbox)
	if got := c.do("RETR 1"); !strings.HasPrefix(got, "-ERR This message is gone") {
		t.Error(got)
	}
	if got := c.content(2); string(got) != letter(1) {
		t.Errorf("message 2: %q", got)
	}
	if got := c.do("RETR 4"); !strings.HasPrefix(got, "-ERR") {
		t.Errorf("a message that came later has a number: %s", got)
	}
	c.do("DELE 1")
	c.do("DELE 3")
	if got := c.do("QUIT"); !strings.HasPrefix(got, "+OK") {
		t.Error(got)
	}
	if got := w.entries(mailbox.RoleInbox); got != "2 0, 4 0" {
		t.Errorf("remaining: %s", got)
	}
}

func TestManyDeletions(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0)
	const n = mailbox.MaxBatch + 5
	for i := range n {
		w.add(letter(i), 0, mailbox.RoleInbox)
	}
	c := w.login()
	for i := range n - 1 {
		c.do(fmt.Sprintf("DELE %d", i+1))
	}
	if got := c.do("QUIT"); !strings.HasPrefix(got, "+OK") {
		t.Error(got)
	}
	if got := w.entries(mailbox.RoleInbox); got != fmt.Sprintf("%d 0", n) {
		t.Errorf("remaining: %.100s", got)
	}
}

// TestLarge: a content of the blob store comes octet for octet.
func TestLarge(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0)
	large := "Subject: large\r\n\r\n" + strings.Repeat(strings.Repeat(".kilo", 15)+"\r\n", 3<<20/77)
	w.add(large, 0, mailbox.RoleInbox)
	c := w.login()
	if got := c.content(1); string(got) != large {
		t.Errorf("%d octets, want %d", len(got), len(large))
	}
	if got := c.lines("TOP 1 0"); got != "Subject: large, " {
		t.Errorf("%q", got)
	}
}

func TestNewest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	for n := range 4 {
		w.add(letter(n), 0, mailbox.RoleInbox)
	}
	c := w.login()
	if got := c.content(1); string(got) != letter(2) {
		t.Errorf("message 1: %q", got)
	}
	if got := c.do("STAT"); !strings.HasPrefix(got, "+OK 2 ") {
		t.Error(got)
	}
}

func TestLogin(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0)
	c := w.dial()
	c.do("USER u1@x.example")
	if got := c.do("PASS tell"); got != "-ERR [SYS/TEMP] pop u1@x.example 127.0.0.1 false" {
		t.Error(got)
	}
	c.do("USER u1@x.example")
	if got := c.do("PASS wrong"); got != "-ERR [AUTH] Name or password is wrong" {
		t.Error(got)
	}
	// ravi NUL u1 NUL secret
	if got := c.do("AUTH PLAIN cmF2aQB1MQBzZWNyZXQ="); !strings.HasPrefix(got, "-ERR [AUTH] Acting for somebody else") {
		t.Error(got)
	}
	if got := w.login().do("STAT"); got != "+OK 0 0" {
		t.Errorf("a new account: %s", got)
	}
}
