package node

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/directory"
	"github.com/mohar-mail/mohar/flow/change"
	"github.com/mohar-mail/mohar/policy"
	"github.com/mohar-mail/mohar/serve/outside"
)

const testPassword = "a long and quiet river"

// quiet is a configuration whose doors are all shut.
func quiet() Config {
	c := Defaults()
	c.Hostname = "mail.rajya.example"
	c.Listen = Listen{}
	c.Storage.CacheMB, c.Storage.MemtableMB, c.Storage.Lanes = 8, 4, 2
	return c
}

// shortDir is a folder whose path is short enough for a socket.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "n")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // best effort
	return dir
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func modeOf(t *testing.T, file string) fs.FileMode {
	t.Helper()
	st, err := os.Stat(file)
	must(t, err)
	return st.Mode().Perm()
}

func TestOpenClose(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	must(t, os.Chmod(dir, 0o755)) // as a service manager would make it
	n, err := Open(dir, quiet(), Options{})
	must(t, err)
	if _, err := Open(dir, quiet(), Options{}); !fault.Is(err, fault.Unavailable) || !strings.Contains(fault.Public(err), "Another server") {
		t.Errorf("a second server: %v", err)
	}
	records, err := n.SetUp(t.Context(), "rajya.example", "chief@rajya.example", testPassword)
	must(t, err)
	for _, name := range []string{dirKeys, dirIndex, dirContent} {
		if m := modeOf(t, filepath.Join(dir, name)); m != 0o700 {
			t.Errorf("%s has mode %o", name, m)
		}
	}
	keys, err := os.ReadDir(filepath.Join(dir, dirKeys))
	must(t, err)
	if len(keys) != 3 {
		t.Errorf("%d keys", len(keys))
	}
	for _, k := range keys {
		if m := modeOf(t, filepath.Join(dir, dirKeys, k.Name())); m != 0o600 {
			t.Errorf("%s has mode %o", k.Name(), m)
		}
	}
	must(t, n.Close())
	must(t, n.Close())
	n, err = Open(dir, quiet(), Options{})
	must(t, err)
	again, err := n.dnsRecords(t.Context(), "rajya.example")
	must(t, err)
	if strings.Join(again, "\n") != strings.Join(records, "\n") {
		t.Errorf("other keys after a restart:\n%v\n%v", records, again)
	}
	must(t, n.Close())
}

func TestCertificate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, err := tlsConfig(dir, TLS{}, "mail.rajya.example")
	must(t, err)
	if m := modeOf(t, filepath.Join(dir, ownKey)); m != 0o600 {
		t.Errorf("the key has mode %o", m)
	}
	if first.MinVersion != tls.VersionTLS12 {
		t.Errorf("floor %x", first.MinVersion)
	}
	same, err := tlsConfig(dir, TLS{}, "mail.rajya.example")
	must(t, err)
	other, err := tlsConfig(dir, TLS{}, "mail.other.example")
	must(t, err)
	der := func(c *tls.Config) string { return string(c.Certificates[0].Certificate[0]) }
	if der(first) != der(same) || der(first) == der(other) {
		t.Error("the certificate is made again exactly when the name changes")
	}
	if _, err := tlsConfig(dir, TLS{Cert: "/none.pem", Key: "/none.key"}, "x"); !fault.Is(err, fault.Invalid) || !strings.Contains(fault.Public(err), "/none.pem") {
		t.Errorf("a missing certificate: %v", err)
	}
}

func TestSocket(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	file := filepath.Join(dir, socketName)
	l, err := listen(file)
	must(t, err)
	if m := modeOf(t, file); m != 0o600 {
		t.Errorf("mode %o", m)
	}
	conn, err := net.Dial("unix", file)
	must(t, err)
	must(t, conn.Close())
	left, err := os.ReadDir(dir)
	must(t, err)
	if len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
	// A server that was killed leaves its socket; the next one takes its place.
	must(t, l.(*socket).Listener.Close())
	l, err = listen(file)
	must(t, err)
	must(t, l.Close())
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("after Close: %v", err)
	}
	must(t, os.WriteFile(file, []byte("precious"), 0o600))
	if _, err := listen(file); !fault.Is(err, fault.Exists) {
		t.Errorf("a file in the way: %v", err)
	}
	if data, err := os.ReadFile(file); err != nil || string(data) != "precious" {
		t.Error("the file was removed")
	}
	deep := filepath.Join(dir, strings.Repeat("d", 100))
	must(t, os.Mkdir(deep, 0o700))
	if _, err := listen(filepath.Join(deep, socketName)); !fault.Is(err, fault.Invalid) || !strings.Contains(fault.Public(err), "too long") {
		t.Errorf("a long path: %v", err)
	}
}

func TestRemoveDemo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	must(t, RemoveDemo(dir))
	must(t, RemoveDemo(filepath.Join(dir, "none")))
	must(t, os.Mkdir(filepath.Join(dir, demoMarker), 0o700)) // somebody's folder that is called so
	must(t, os.Mkdir(filepath.Join(dir, dirIndex), 0o700))
	if err := RemoveDemo(dir); !fault.Is(err, fault.Denied) {
		t.Errorf("%v", err)
	}
	if _, err := OpenDemo(t.Context(), DemoConfig{Dir: dir, PortBase: 1}); !fault.Is(err, fault.Denied) {
		t.Errorf("%v", err)
	}
	must(t, os.Remove(filepath.Join(dir, demoMarker)))
	must(t, os.WriteFile(filepath.Join(dir, demoMarker), []byte(demoText), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "notes.txt"), nil, 0o600))
	must(t, RemoveDemo(dir))
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 || left[0].Name() != "notes.txt" {
		t.Errorf("left: %v %v", left, err)
	}
}

// lines is a log that can be read while it is written.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// TestDrain: an open event source does not hold the end of the server.
func TestDrain(t *testing.T) {
	t.Parallel()
	cfg := quiet()
	cfg.Listen.Ops = freeAddr(t)
	var log lines
	n, err := Open(shortDir(t), cfg, Options{Loopback: true, Log: slog.New(slog.NewTextHandler(&log, nil))})
	must(t, err)
	_, err = n.SetUp(t.Context(), "rajya.example", "chief@rajya.example", testPassword)
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() { done <- n.Serve(ctx, Doors{}, func() { close(ready) }) }()
	<-ready
	req, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+cfg.Listen.Ops+"/jmap/eventsource?types=*&closeafter=no&ping=1", nil)
	must(t, err)
	req.SetBasicAuth("chief@rajya.example", testPassword)
	req.Header.Set("Accept", "text/event-stream")
	res, err := http.DefaultClient.Do(req)
	must(t, err)
	defer res.Body.Close()
	if res.StatusCode != 200 {
		t.Fatalf("the event source: %s", res.Status)
	}
	if _, err := bufio.NewReader(res.Body).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	cancel()
	must(t, <-done)
	if strings.Contains(log.String(), "sessions were cut") {
		t.Errorf("the stream held the end:\n%s", log.String())
	}
	if err := n.ready(t.Context()); err == nil {
		t.Error("a server that stops says that it is ready")
	}
	must(t, n.Close())
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	return l.Addr().String()
}

// TestForgedOwnMail: the demo's DNS knows our own domains, and mail from outside
// that shows one of them is rejected by DMARC, counted, and honest mail is not.
func TestForgedOwnMail(t *testing.T) {
	t.Parallel()
	d, err := OpenDemo(t.Context(), DemoConfig{Dir: shortDir(t), PortBase: 1})
	must(t, err)
	defer d.Close()
	cfg := &d.Node.cfg.Listen
	*cfg = Listen{MX: freeAddr(t), Ops: freeAddr(t)}
	_, err = d.SetUp(t.Context(), "rajya.example", "chief@rajya.example", testPassword)
	must(t, err)
	must(t, d.change.AddDomain(t.Context(), change.By{}, directory.Domain{Name: "xn--h2bo6c1d.example", State: directory.Live, Rulebook: policy.State}))
	ctx, cancel := context.WithCancel(t.Context())
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() { done <- d.Serve(ctx, func() { close(ready) }) }()
	select {
	case <-ready:
	case err := <-done:
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		letter outside.Letter
		says   string
		good   bool
	}{
		{"honest", outside.Letter{Signed: true}, "queued as", true},
		{"unsigned", outside.Letter{}, "queued as", true},
		{"forged", outside.Letter{Foreign: true, Forge: "chief@rajya.example"}, "DMARC", false},
		{"forged, signed by another", outside.Letter{Signed: true, Forge: "Chief <chief@rajya.example>"}, "DMARC", false},
		{"forged Hindi twin", outside.Letter{Signed: true, Forge: "chief@xn--h2bo6c1d.example"}, "DMARC", false},
	} {
		c.letter.From, c.letter.To, c.letter.Subject, c.letter.Text = "citizen@gmail.com", "chief@rajya.example", c.name, "text"
		reply, err := d.world.Send(t.Context(), c.letter)
		if (err == nil) != c.good || !strings.Contains(reply, c.says) {
			t.Errorf("%s: %q, %v", c.name, reply, err)
		}
	}
	page := get(t, "http://"+cfg.Ops+"/metrics")
	for _, line := range []string{`mohar_messages_accepted_total{door="mx"} 2`, `mohar_messages_refused_total{door="mx",rule="other"} 3`, "mohar_queue_recipients{class=\"held\"} 0"} {
		if !strings.Contains(page, line) {
			t.Errorf("no %s in\n%s", line, own(page))
		}
	}
	cancel()
	must(t, <-done)
	must(t, d.Close())
	must(t, d.Close())
}

func get(t *testing.T, url string) string {
	t.Helper()
	res, err := http.Get(url) //nolint:gosec,noctx // a door of this test
	must(t, err)
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	must(t, err)
	return string(data)
}

// own gives the lines of a metrics page that are ours.
func own(page string) string {
	var out []string
	for line := range strings.Lines(page) {
		if strings.HasPrefix(line, "mohar_") {
			out = append(out, line)
		}
	}
	return strings.Join(out, "")
}

func TestMeters(t *testing.T) {
	t.Parallel()
	n, err := Open(shortDir(t), quiet(), Options{})
	must(t, err)
	defer n.Close()
	_, err = n.SetUp(t.Context(), "rajya.example", "chief@rajya.example", testPassword)
	must(t, err)
	refusal := func(rule string) error {
		return fault.Refusal("x", &mohar.Decision{Verdict: mohar.Refuse, Reasons: []mohar.Reason{{Rule: rule}}})
	}
	for _, err := range []error{nil, refusal("DLP-FOREIGN-OFFICIAL"), refusal("made up by a stranger"), fault.New(fault.Unavailable, "x", "x")} {
		n.meters.message(mohar.DoorSubmission, err)
	}
	local := netip.MustParseAddr("192.0.2.1")
	for _, password := range []string{testPassword, "wrong"} {
		_, _ = doorSignin{n}.SignIn(t.Context(), mohar.DoorSubmission, "chief@rajya.example", password, local, true) // the count is looked at
	}
	w := httptest.NewRecorder()
	list, closeStreams, err := n.doors(&tls.Config{MinVersion: tls.VersionTLS12}, Doors{})
	must(t, err)
	defer closeStreams()
	if len(list) != 1 || list[0].name != "admin" {
		t.Errorf("doors without addresses are open: %v", list)
	}
	families, err := n.meters.registry.Gather()
	must(t, err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if strings.HasPrefix(f.GetName(), "mohar_") && m.GetCounter() != nil {
				w.WriteString(f.GetName() + " " + m.String() + "\n")
			}
		}
	}
	page := strings.ReplaceAll(w.Body.String(), "  ", " ")
	for _, has := range []string{`value:"DLP-FOREIGN-OFFICIAL"`, `value:"other"`, `value:"wrong"`, `value:"ok"`} {
		if strings.Count(page, has) != 1 {
			t.Errorf("%s stands %d times in\n%s", has, strings.Count(page, has), page)
		}
	}
	if strings.Contains(page, "stranger") {
		t.Error("a stranger names a metric")
	}
}
