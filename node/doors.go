package node

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

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
	httpIdle      = 2 * time.Minute
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
	doors, closeDoors, err := n.doors(tlsCfg, extra)
	if err != nil {
		return err
	}
	defer closeDoors()
	listeners := make([]net.Listener, len(doors))
	for i, d := range doors {
		if listeners[i], err = listen(d.addr); err != nil {
			for _, l := range listeners[:i] {
				_ = l.Close() // nothing was accepted yet
			}
			return fault.Wrap(err, fault.Unavailable, "node.Serve", "The door "+d.name+" cannot be opened at "+d.addr+".")
		}
	}
	if err := n.startWork(ctx); err != nil {
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
	drainCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	for _, d := range doors {
		if e := d.drain(drainCtx); e != nil && !errors.Is(e, context.DeadlineExceeded) {
			n.log.Warn("drain", "door", d.name, "err", e)
		}
	}
	return err
}

// listen opens a TCP address, or a unix socket for a path.
func listen(addr string) (net.Listener, error) {
	if filepath.IsAbs(addr) {
		if err := os.Remove(addr); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		l, err := net.Listen("unix", addr)
		if err != nil {
			return nil, err
		}
		return l, os.Chmod(addr, 0o600)
	}
	return net.Listen("tcp", addr)
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
		backend    smtpserver.Backend
	}{
		{"mx", l.MX, smtpserver.MX, false, &mx.Backend{Inbound: n.inbound, Door: mohar.DoorMX}},
		{"lmtp", l.LMTP, smtpserver.LMTP, false, &mx.Backend{Inbound: n.inbound, Door: mohar.DoorLMTP}},
		{"submission", l.Submission, smtpserver.Submission, false, n.submission()},
		{"submissions", l.Submissions, smtpserver.Submission, true, n.submission()},
	}
	for _, s := range smtp {
		srv, err := smtpserver.New(n.smtpConfig(s.mode, s.implicit, tlsCfg), s.backend)
		if err != nil {
			return nil, nil, err
		}
		add(door{s.name, s.addr, srv.Serve, srv.Drain})
	}
	for _, d := range n.imapDoors(tlsCfg) {
		add(d)
	}
	j := jmap.New(jmap.Config{Mail: n.boxes, Auth: httpAuth{n}, Hints: n.eng.hub, People: people{n}, Submit: submitter{n}, Clock: n.clock, Log: n.log})
	add(n.httpDoor("https", l.HTTPS, doorweb.New(doorweb.Config{Signin: webSignin{n}, Files: web.Files(), JMAP: j, Life: signin.DefaultLife}), tlsCfg))
	opsMux := ops.New(ops.Config{Ready: n.ready, Metrics: metrics()})
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
		ExplainURL: "https://" + n.cfg.Hostname + "/rule/", Clock: n.clock, Log: n.log,
		Limits: smtpserver.Limits{MessageSize: int64(n.cfg.Mail.MaxMessageMB) << 20, Recipients: n.cfg.Mail.MaxRecipients}}
	if n.opt.Loopback {
		c.Limits.PerNetwork = -1
	}
	return c
}

func (n *Node) httpDoor(name, addr string, h http.Handler, tlsCfg *tls.Config) door {
	srv := &http.Server{Handler: h, ReadHeaderTimeout: headerTimeout, IdleTimeout: httpIdle}
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
	_, err := n.directory.Domains(ctx)
	return err
}

func metrics() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}
