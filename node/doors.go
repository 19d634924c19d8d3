package node

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/flow/signin"
	"github.com/mohar-mail/mohar/serve/admin"
	"github.com/mohar-mail/mohar/serve/jmap"
	"github.com/mohar-mail/mohar/serve/mx"
	"github.com/mohar-mail/mohar/serve/ops"
	"github.com/mohar-mail/mohar/serve/submission"
	doorweb "github.com/mohar-mail/mohar/serve/web"
	"github.com/mohar-mail/mohar/web"
	"github.com/mohar-mail/mohar/wire/smtp/smtpserver"
)

// Times of the doors.
const (
	drainTime     = 20 * time.Second // that sessions get to finish when the server stops
	headerTimeout = 15 * time.Second // for the header of an HTTP request
	bodyTimeout   = 15 * time.Minute // for its body: 50 MB over a slow line
	httpIdle      = 2 * time.Minute
	maxHeader     = 64 << 10 // octets of the header
)

// door is something that serves a listener until it is drained.
type door struct {
	name  string
	addr  string
	serve func(context.Context, net.Listener) error
	drain func(context.Context) error
}

// Doors are the extra handlers of the operator's door, for the demo.
type Doors struct {
	Extra map[string]http.Handler // by path prefix
}

// Serve opens the doors, calls ready once all accept, and serves until ctx ends;
// then it drains. It returns the first error of a door.
func (n *Node) Serve(ctx context.Context, extra Doors, ready func()) error {
	tlsCfg, err := tlsConfig(n.dir, n.cfg.TLS, n.cfg.Hostname)
	if err != nil {
		return err
	}
	doors, closeStreams, err := n.doors(tlsCfg, extra)
	if err != nil {
		return err
	}
	defer closeStreams()
	listeners, err := openAll(doors)
	if err != nil {
		return err
	}
	if err := n.startWork(ctx); err != nil {
		closeAll(listeners)
		return err
	}
	failed := make(chan error, len(doors))
	for i, d := range doors {
		n.work.Go(func() {
			if err := d.serve(ctx, listeners[i]); err != nil && !errors.Is(err, http.ErrServerClosed) && ctx.Err() == nil {
				failed <- fault.Wrap(err, fault.Unavailable, "node.Serve", "The door "+d.name+" has failed.")
			}
		})
	}
	ready()
	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	n.draining.Store(true)
	closeStreams() // an event source never ends by itself, and would hold its door for the whole drainTime
	n.drain(context.WithoutCancel(ctx), doors)
	return err
}

// drain lets the sessions of all doors finish, side by side, for drainTime.
func (n *Node) drain(ctx context.Context, doors []door) {
	ctx, cancel := context.WithTimeout(ctx, drainTime)
	defer cancel()
	var all sync.WaitGroup
	for _, d := range doors {
		all.Go(func() {
			if err := d.drain(ctx); err != nil {
				n.log.Warn("sessions were cut", "door", d.name, "err", err)
			}
		})
	}
	all.Wait()
}

// openAll opens every door or none.
func openAll(doors []door) ([]net.Listener, error) {
	var out []net.Listener
	for _, d := range doors {
		l, err := listen(d.addr)
		if err != nil {
			closeAll(out)
			if fault.KindOf(err) != fault.Internal {
				return nil, err
			}
			return nil, fault.Wrap(err, fault.Unavailable, "node.Serve", "The door "+d.name+" cannot be opened at "+d.addr+".")
		}
		out = append(out, l)
	}
	return out, nil
}

func closeAll(list []net.Listener) {
	for _, l := range list {
		_ = l.Close() // nothing was accepted yet
	}
}

func (n *Node) doors(tlsCfg *tls.Config, extra Doors) (list []door, closeAll func(), err error) {
	add := func(d door) {
		if d.addr != "" {
			list = append(list, d)
		}
	}
	l := &n.cfg.Listen
	smtp := []struct {
		name, addr string
		mode       smtpserver.Mode
		implicit   bool
		door       mohar.Door
		backend    smtpserver.Backend
	}{
		{"mx", l.MX, smtpserver.MX, false, mohar.DoorMX, &mx.Backend{Inbound: n.inbound, Door: mohar.DoorMX}},
		{"lmtp", l.LMTP, smtpserver.LMTP, false, mohar.DoorLMTP, &mx.Backend{Inbound: n.inbound, Door: mohar.DoorLMTP}},
		{"submission", l.Submission, smtpserver.Submission, false, mohar.DoorSubmission, n.submission()},
		{"submissions", l.Submissions, smtpserver.Submission, true, mohar.DoorSubmission, n.submission()},
	}
	for _, s := range smtp {
		srv, err := smtpserver.New(n.smtpConfig(s.mode, s.implicit, tlsCfg), counted{s.backend, s.door, n.meters})
		if err != nil {
			return nil, nil, err
		}
		add(door{s.name, s.addr, srv.Serve, srv.Drain})
	}
	for _, d := range n.imapDoors(tlsCfg) {
		add(d)
	}
	for _, d := range n.popDoors(tlsCfg) {
		add(d)
	}
	j := jmap.New(jmap.Config{Mail: n.boxes, Auth: httpAuth{n}, Hints: n.eng.hub, People: people{n}, Submit: submitter{n}, Clock: n.clock, Log: n.log})
	add(n.httpDoor("https", l.HTTPS, doorweb.New(doorweb.Config{Signin: webSignin{n}, Files: web.Files(), JMAP: j, Rules: n.allRulebooks, Life: signin.DefaultLife}), tlsCfg))
	opsMux := ops.New(ops.Config{Ready: n.ready, Metrics: n.meters.registry})
	if n.opt.Loopback {
		opsMux.Handle("/jmap/", j)
		opsMux.Handle("/.well-known/jmap", j)
	}
	for path, h := range extra.Extra {
		opsMux.Handle(path, h)
	}
	add(n.httpDoor("ops", l.Ops, opsMux, nil))
	add(n.httpDoor("admin", n.Socket(), n.Admin(), nil))
	return list, j.Close, nil
}

func (n *Node) submission() *submission.Backend {
	return &submission.Backend{Submit: n.submit, Signin: doorSignin{n}, MaxBytes: int64(n.cfg.Mail.MaxMessageMB) << 20}
}

func (n *Node) smtpConfig(mode smtpserver.Mode, implicit bool, tlsCfg *tls.Config) smtpserver.Config {
	c := smtpserver.Config{Hostname: n.cfg.Hostname, Mode: mode, TLS: tlsCfg, Implicit: implicit, AllowInsecureAuth: n.opt.Loopback,
		ExplainURL: n.explainURL(), Clock: n.clock, Log: n.log,
		Limits: smtpserver.Limits{MessageSize: int64(n.cfg.Mail.MaxMessageMB) << 20, Recipients: n.cfg.Mail.MaxRecipients}}
	if n.opt.Loopback {
		c.Limits.PerNetwork = -1
	}
	return c
}

// explainURL is what stands before a rule's id in refusals. The demo's name is in
// nobody's DNS, so its links go to the address itself.
func (n *Node) explainURL() string {
	host := n.cfg.Hostname
	if n.opt.Loopback {
		host = n.cfg.Listen.HTTPS
	}
	return "https://" + host + "/rule/"
}

// patient bounds how long the body of a request may take. The server's own
// ReadTimeout would also cut event sources, which have no body and no end.
func patient(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 {
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout)) // not every writer has one
		}
		next.ServeHTTP(w, r)
	})
}

func (n *Node) httpDoor(name, addr string, h http.Handler, tlsCfg *tls.Config) door {
	srv := &http.Server{Handler: patient(h), ReadHeaderTimeout: headerTimeout, IdleTimeout: httpIdle, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(n.log.Handler(), slog.LevelDebug)} // strangers' failed handshakes, mostly
	serve := func(_ context.Context, l net.Listener) error { return srv.Serve(l) }
	if tlsCfg != nil {
		srv.TLSConfig = tlsCfg.Clone()
		serve = func(_ context.Context, l net.Listener) error { return srv.ServeTLS(l, "", "") }
	}
	drain := func(ctx context.Context) error {
		err := srv.Shutdown(ctx)
		return errors.Join(err, srv.Close())
	}
	return door{name, addr, serve, drain}
}

// Socket is the path of the operator's local door.
func (n *Node) Socket() string { return SocketOf(n.dir) }

// SocketOf is the path of the operator's local door of the data in dir.
func SocketOf(dir string) string {
	abs, err := filepath.Abs(dir)
	if err != nil {
		abs = dir
	}
	return filepath.Join(abs, socketName)
}

// Admin is the handler of the operator's local door.
func (n *Node) Admin() http.Handler {
	return admin.New(admin.Config{Directory: n.directory, Queue: n.queue, Change: n.change, Log: n.auditLog, Public: n.public,
		Explain: n.explainPolicy, Rulebooks: n.allRulebooks, Check: n.Check, Records: n.dnsRecords})
}

// ready says why the node cannot serve.
func (n *Node) ready(ctx context.Context) error {
	if n.draining.Load() {
		return fault.New(fault.Unavailable, "node.ready", "The server is stopping.")
	}
	_, err := n.directory.Domains(ctx)
	return err
}
