// Package peers runs real mail software of others beside a demo: Postfix,
// Dovecot and OpenDKIM, each a private instance that ends with its test.
//
// Owns:      the processes that it starts and one folder under the system's
// temporary folder for each.
// Trusts:    the test that calls it.
// May touch: loopback ports and that folder; no service of the machine, no
// file under /etc or /var.
package peers

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	// startLimit is how long a peer may take until its door accepts.
	startLimit = 30 * time.Second
	// stopLimit is how long a peer may take to end when it is asked to.
	stopLimit = 10 * time.Second
	// lookAgain is the pause between two looks at what cannot notify.
	lookAgain = 100 * time.Millisecond
)

// Tool gives the path of a program. A test that lacks it fails with the line
// that installs it: a skipped proof is no proof.
func Tool(t testing.TB, name, debian string) string {
	t.Helper()
	p, err := exec.LookPath(name)
	if err == nil {
		return p
	}
	for _, dir := range []string{"/usr/sbin", "/usr/lib/postfix/sbin"} {
		if p, err = exec.LookPath(filepath.Join(dir, name)); err == nil {
			return p
		}
	}
	t.Fatalf("%s is missing; install it: apt-get install --no-install-recommends %s", name, debian)
	return ""
}

// Folder makes a folder that every system user may enter, unlike t.TempDir:
// Postfix and Dovecot give up root before they work in it. Its path is short,
// for the length of a socket's name is limited.
func Folder(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "mp-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // other users must enter it
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// FreePort gives a TCP port of 127.0.0.1 that nobody listens on.
func FreePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}

// Eventually looks until look gives true. It fails the test, with what explain
// tells, when that has not happened within limit.
func Eventually(t testing.TB, limit time.Duration, what string, look func() bool, explain func() string) {
	t.Helper()
	for end := time.Now().Add(limit); ; time.Sleep(lookAgain) {
		if look() {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s\n%s", limit, what, explain())
		}
	}
}

// Accepts says whether a TCP door on 127.0.0.1 accepts connections.
func Accepts(port int) bool {
	c, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), time.Second)
	if err != nil {
		return false
	}
	_ = c.Close()
	return true
}

// write puts a file under a folder, making the folders between.
func write(t testing.TB, file, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil { //nolint:gosec // read by the peer's user
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil { //nolint:gosec // read by the peer's user
		t.Fatal(err)
	}
}

// chownTo gives a file to a system user of a peer.
func chownTo(t testing.TB, name, file string) {
	t.Helper()
	u, err := user.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(file, uid, -1); err != nil {
		t.Fatal(err)
	}
}

// process is a peer that runs in the foreground as our child.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}
	mu   sync.Mutex
	out  bytes.Buffer
}

// Write gathers the output of the process.
func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.Write(b)
}

func (p *process) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String()
}

// spawn starts a process in a group of its own, so that what it forks ends with
// it. The group is killed when the test ends.
func spawn(t testing.TB, name string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(name, args...), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = p, p
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.WaitDelay = stopLimit
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = p.cmd.Wait(); close(p.done) }()
	t.Cleanup(p.stop)
	return p
}

func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-p.done:
	case <-time.After(stopLimit):
	}
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // whatever it left behind
	<-p.done
}

// await waits until the process accepts on every port.
func (p *process) await(t testing.TB, name string, logs func() string, ports ...int) {
	t.Helper()
	for end := time.Now().Add(startLimit); len(ports) > 0; time.Sleep(lookAgain) {
		if Accepts(ports[0]) {
			ports = ports[1:]
			continue
		}
		select {
		case <-p.done:
			t.Fatalf("%s ended:\n%s\n%s", name, p.output(), logs())
		default:
		}
		if time.Now().After(end) {
			t.Fatalf("%s does not accept on port %d:\n%s\n%s", name, ports[0], p.output(), logs())
		}
	}
}

// tail gives the end of a log, for a failure's report.
func tail(file string) string {
	const keep = 12000
	b, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	if len(b) > keep {
		b = b[len(b)-keep:]
	}
	return string(b)
}

// certificate writes a self-signed certificate and its key into one PEM file.
func certificate(t testing.TB, file, host string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	pk, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	_ = pem.Encode(&b, &pem.Block{Type: "PRIVATE KEY", Bytes: pk})
	_ = pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
}
