// Package proc runs the built mohar binary for tests that need a whole server.
//
// Owns:      the processes that it starts and their data folders.
// Trusts:    the test that calls it.
// May touch: loopback ports, temporary folders.
package proc

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// startLimit is how long a server may take until it is ready.
const startLimit = 60 * time.Second

// binaries builds the module's commands once for the test binary and gives the
// folder that they lie in.
var binaries = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "mohar-bin-")
	if err != nil {
		return "", err
	}
	cmd := exec.Command("go", "build", "-o", dir+"/", "./cmd/...")
	cmd.Dir = root()
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return dir, nil
})

// Binary gives the path of a built command.
func Binary(t testing.TB, name string) string {
	t.Helper()
	dir, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, name)
}

// Root gives the folder of the module.
func Root(testing.TB) string { return root() }

func root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(filepath.Dir(filepath.Dir(file)))
}

// Demo is a running `mohar demo`.
type Demo struct {
	Base int    // --port-base
	Data string // --data
	cmd  *exec.Cmd
	done chan struct{}
	mu   sync.Mutex
	out  strings.Builder
}

// Start runs a demo and waits until it says that it is ready. args are added to
// the command line.
func Start(t testing.TB, data string, base int, args ...string) *Demo {
	t.Helper()
	d := &Demo{Base: base, Data: data, done: make(chan struct{})}
	d.cmd = exec.Command(Binary(t, "mohar"), append([]string{"demo", "--data", data, "--port-base", fmt.Sprint(base)}, args...)...)
	r, w := io.Pipe()
	d.cmd.Stdout, d.cmd.Stderr = w, w
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready := make(chan struct{})
	go d.read(r, ready)
	go func() { _ = d.cmd.Wait(); _ = w.Close(); close(d.done) }()
	t.Cleanup(d.Kill)
	select {
	case <-ready:
	case <-d.done:
		t.Fatalf("the server ended:\n%s", d.Output())
	case <-time.After(startLimit):
		d.Kill()
		t.Fatalf("the server was not ready in time:\n%s", d.Output())
	}
	return d
}

func (d *Demo) read(r io.Reader, ready chan struct{}) {
	s := bufio.NewScanner(r)
	for s.Scan() {
		d.mu.Lock()
		d.out.WriteString(s.Text() + "\n")
		d.mu.Unlock()
		if strings.TrimSpace(s.Text()) == "ready" {
			close(ready)
			ready = make(chan struct{})
		}
	}
}

// Output gives what the server has printed.
func (d *Demo) Output() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.out.String()
}

// PID is the server's process id.
func (d *Demo) PID() int { return d.cmd.Process.Pid }

// Kill ends the server as a power cut of the process would: SIGKILL.
func (d *Demo) Kill() {
	_ = d.cmd.Process.Kill() // it may have ended
	<-d.done
}

// Stop asks the server to end and waits for it.
func (d *Demo) Stop(t testing.TB) {
	t.Helper()
	if err := d.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	select {
	case <-d.done:
	case <-time.After(startLimit):
		d.Kill()
		t.Fatalf("the server did not stop:\n%s", d.Output())
	}
}

// Addr gives the address of a door by its offset from the port base.
func (d *Demo) Addr(offset int) string { return fmt.Sprintf("127.0.0.1:%d", d.Base+offset) }

// Dial connects to a door.
func (d *Demo) Dial(ctx context.Context, offset int) (net.Conn, error) {
	var dialer net.Dialer
	return dialer.DialContext(ctx, "tcp", d.Addr(offset))
}

// Run runs a mohar command on the demo's data and gives its standard output.
func (d *Demo) Run(t testing.TB, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command(Binary(t, "mohar"), append(args, "--data", d.Data)...)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("mohar %s: %w: %s", strings.Join(args, " "), err, errs.String())
	}
	return string(out), err
}

// FreeBase finds a port base whose doors are free. Where it begins to look
// depends on the process, so that tests side by side do not meet.
func FreeBase(t testing.TB) int {
	t.Helper()
	const bases, step = 44, 450 // below the ports that outgoing connections take
	for i := range bases {
		if base := 12000 + (os.Getpid()*7+i)%bases*step; free(base) {
			return base
		}
	}
	t.Fatal("no free ports")
	return 0
}

func free(base int) bool {
	for _, offset := range []int{24, 25, 80, 110, 143, 443, 465, 587, 993, 995, 4190} {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", base+offset))
		if err != nil {
			return false
		}
		_ = l.Close()
	}
	return true
}
