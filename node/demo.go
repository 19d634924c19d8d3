package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/base/clock"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/mailauth/dkim"
	"github.com/mohar-mail/mohar/node/sample"
	"github.com/mohar-mail/mohar/serve/outside"
	"github.com/mohar-mail/mohar/wire/addr"
	"github.com/mohar-mail/mohar/wire/dns"
	"github.com/mohar-mail/mohar/wire/smtp/smtpclient"
	"github.com/mohar-mail/mohar/wire/smtp/smtpserver"
)

// The addresses of the outside world. Its domains' SPF allows honest alone; mail
// to any of them goes to mx.
const (
	honestAddr  = "127.0.0.1"
	foreignAddr = "127.0.0.66"
	outsideMX   = "mx.outside.example"
	outsideKey  = "outside"
	demoMarker  = "demo" // a file that says that the data is a demo's
	demoText    = "The data of a demo of Mohar. It is removed by: mohar demo --fresh\n"
)

// DemoConfig says what demo to open.
type DemoConfig struct {
	Dir      string
	PortBase int
	Relay    string // a real server that takes foreign mail, as "host:port"
	Log      *slog.Logger
}

// Demo is a sample government with the outside world built in.
type Demo struct {
	*Node
	cfg   DemoConfig
	world *outside.World
	mx    *smtpserver.Server
	ln    net.Listener
	keys  *outsideKeys
	names *dns.Fake
	done  sync.WaitGroup
}

// IsDemo says whether the folder holds a demo. The marker's name alone is no
// proof: many a folder has something that is called demo.
func IsDemo(dir string) bool {
	text, err := os.ReadFile(filepath.Join(dir, demoMarker))
	return err == nil && string(text) == demoText
}

// isEmpty says whether a folder is empty or not there.
func isEmpty(dir string) bool {
	list, err := os.ReadDir(dir)
	return len(list) == 0 && (err == nil || errors.Is(err, os.ErrNotExist))
}

// RemoveDemo removes the data of an earlier demo, and of nothing else: only what
// a demo makes, and the folder when it is empty then.
func RemoveDemo(dir string) error {
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if isEmpty(dir) {
		return nil
	}
	if !IsDemo(dir) {
		return fault.New(fault.Denied, "node.RemoveDemo", dir+" does not hold a demo. Nothing was removed.")
	}
	if conn, err := net.Dial("unix", SocketOf(dir)); err == nil {
		return errors.Join(fault.New(fault.Unavailable, "node.RemoveDemo", "A demo is running on the data in "+dir+". Stop it first."), conn.Close())
	}
	// The marker goes last: a removal that was cut short can be taken up again.
	for _, name := range []string{dirIndex, dirContent, dirKeys, filePublic, ownCert, ownKey, socketName, demoMarker} {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			return fault.Wrap(err, fault.Unavailable, "node.RemoveDemo", "The data of the demo cannot be removed.")
		}
	}
	if isEmpty(dir) {
		return os.Remove(dir)
	}
	return nil
}

// OpenDemo opens the data of a demo, made where it is missing, and the outside
// world.
func OpenDemo(_ context.Context, cfg DemoConfig) (*Demo, error) {
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "node.OpenDemo", "The data folder cannot be made.")
	}
	if !isEmpty(cfg.Dir) && !IsDemo(cfg.Dir) {
		return nil, fault.New(fault.Denied, "node.OpenDemo", cfg.Dir+" is not empty and does not hold a demo. Name another folder with --data.")
	}
	if err := writeFile(filepath.Join(cfg.Dir, demoMarker), []byte(demoText), 0o600); err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "node.OpenDemo", "The data folder cannot be written.")
	}
	d := &Demo{cfg: cfg, keys: &outsideKeys{}}
	var err error
	if d.ln, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	zone, err := d.zone()
	if err != nil {
		return nil, errors.Join(err, d.ln.Close())
	}
	relay := cfg.Relay
	if relay == "" {
		relay = d.ln.Addr().String()
	}
	d.Node, err = Open(cfg.Dir, demoSettings(cfg.PortBase), Options{Log: cfg.Log, DNS: zone, Relay: relay, Loopback: true})
	if err != nil {
		return nil, errors.Join(err, d.ln.Close())
	}
	d.world = outside.New(outside.Config{Clock: clock.System{}, Post: d.post, Sign: d.keys.sign,
		Honest: netip.MustParseAddr(honestAddr), Foreign: netip.MustParseAddr(foreignAddr)})
	d.mx, err = smtpserver.New(smtpserver.Config{Hostname: outsideMX, Mode: smtpserver.MX, Limits: smtpserver.Limits{PerNetwork: -1}}, d.world)
	if err != nil {
		return nil, errors.Join(err, d.Node.Close(), d.ln.Close())
	}
	return d, nil
}

// SettingsOf gives the configuration of the data in dir: that of the file named,
// or of the data's own file, or the demo's. There must be an installation.
func SettingsOf(dir, file string) (Config, error) {
	if _, err := os.Stat(filepath.Join(dir, dirIndex)); err != nil {
		return Config{}, fault.Wrap(err, fault.NotFound, "node.SettingsOf", "There is no installation in "+dir+". Name its folder with --data.")
	}
	switch {
	case file != "":
		return LoadConfig(file, false)
	case IsDemo(dir):
		return demoSettings(0), nil
	}
	return LoadConfig(filepath.Join(dir, ConfigName), true)
}

// demoSettings puts every door on loopback.
func demoSettings(base int) Config {
	at := func(port int) string { return fmt.Sprintf("127.0.0.1:%d", base+port) }
	c := Defaults()
	c.Hostname = "mail.rajya.example"
	c.Listen = Listen{MX: at(25), LMTP: at(24), Submission: at(587), Submissions: at(465), IMAP: at(143), IMAPS: at(993), POP: at(110), POPS: at(995), HTTPS: at(443), Ops: at(80)}
	return c
}

// zone answers for every name: foreign domains exist, have their mail exchanger,
// an SPF record and a DKIM key in the outside world.
func (d *Demo) zone() (dns.Upstream, error) {
	zone, err := dns.NewFake(outsideMX+". 300 IN A "+honestAddr, "mail.rajya.example. 300 IN A "+honestAddr)
	if err != nil {
		return nil, err
	}
	d.names = zone
	zone.Default = func(name, qtype string) ([]string, bool) {
		name = strings.TrimSuffix(strings.ToLower(name), ".")
		switch {
		case qtype == "TXT" && strings.HasPrefix(name, outsideKey+"._domainkey."):
			record, err := d.keys.record()
			return []string{"@ 300 IN TXT " + record}, err == nil
		case qtype == "TXT" && strings.HasPrefix(name, "_dmarc."):
			return []string{`@ 300 IN TXT "v=DMARC1; p=quarantine"`}, true
		case strings.HasPrefix(name, "_") || strings.Contains(name, "._"):
			return nil, false
		case qtype == "TXT":
			return []string{`@ 300 IN TXT "v=spf1 ip4:` + honestAddr + ` -all"`}, true
		case qtype == "MX":
			return []string{"@ 300 IN MX 10 " + exchanger(name) + "."}, true
		case qtype == "A":
			return []string{"@ 300 IN A " + honestAddr}, true
		}
		return nil, true
	}
	return zone, nil
}

// schoolDomain is a foreign domain whose mail is kept by a foreign provider, as
// its mail exchanger shows.
const schoolDomain = "school.example"

// exchanger names the mail exchanger of a foreign domain.
func exchanger(domain string) string {
	if domain == schoolDomain {
		return "aspmx.l.google.com"
	}
	return outsideMX
}

// post hands a citizen's letter to our own MX.
func (d *Demo) post(ctx context.Context, source netip.Addr, from, to string, content []byte) (string, error) {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: source.AsSlice()}}
	conn, err := dialer.DialContext(ctx, "tcp", d.Node.cfg.Listen.MX)
	if err != nil {
		return "", err
	}
	c, err := smtpclient.New(ctx, conn, "mail.rajya.example", smtpclient.Config{LocalName: outsideMX,
		TLS: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}}) //nolint:gosec // the demo's own certificate, on loopback
	if err != nil {
		return "", err
	}
	defer c.Close()
	m, err := addr.ParseMailbox(to)
	if err != nil {
		return "", err
	}
	res, err := c.Send(ctx, &mohar.Envelope{From: from, To: []mohar.Recipient{{Address: m.Wire()}}, SMTPUTF8: m.NeedsUTF8(), EightBit: true},
		int64(len(content)), strings.NewReader(string(content)))
	if err != nil {
		return "", err
	}
	_ = c.Quit(ctx) // the message is decided
	r := res.Recipients[0]
	if r.Reply == nil {
		return "", errors.New("no reply")
	}
	if !r.Accepted {
		return r.Reply.Text(), r.Reply
	}
	return r.Reply.Text(), nil
}

// Stores gives what the sample government is seeded into.
func (d *Demo) Stores() sample.Stores {
	return sample.Stores{Directory: d.directory, Change: d.change, Hasher: d.hasher, Mailboxes: d.boxes, Clock: d.clock}
}

// Serve serves the demo and the outside world.
func (d *Demo) Serve(ctx context.Context, ready func()) error {
	pages, err := d.world.Handler()
	if err != nil {
		return err
	}
	if err := d.publish(ctx); err != nil {
		return err
	}
	d.done.Go(func() { _ = d.mx.Serve(ctx, d.ln) }) // it ends with ctx or Close
	return d.Node.Serve(ctx, Doors{Extra: map[string]http.Handler{"/outside": pages, "/outside/": pages}}, ready)
}

// publish puts the records of our own domains into the demo's DNS, so that mail
// which only pretends to come from them is known for what it is.
func (d *Demo) publish(ctx context.Context) error {
	domains, err := d.directory.Domains(ctx)
	if err != nil {
		return err
	}
	for _, x := range domains {
		lines, err := d.dnsRecords(ctx, x.Name)
		if err != nil {
			return err
		}
		if err := d.names.Add(lines...); err != nil {
			return err
		}
	}
	return nil
}

// Close closes the demo.
func (d *Demo) Close() error {
	d.mx.Close()
	err := d.ln.Close()
	if errors.Is(err, net.ErrClosed) {
		err = nil
	}
	d.done.Wait()
	return errors.Join(err, d.Node.Close())
}

// Address is a door and where it is.
type Address struct{ Name, Address string }

// Addresses lists the doors for people.
func (d *Demo) Addresses() []Address {
	l := d.Node.cfg.Listen
	return []Address{
		{"Webmail", "https://" + l.HTTPS + "/  (the browser warns: nobody has signed the demo's certificate)"},
		{"The outside world", "http://" + l.Ops + "/outside"},
		{"JMAP", "https://" + l.HTTPS + "/.well-known/jmap, http://" + l.Ops + "/.well-known/jmap"},
		{"SMTP", l.MX + ", LMTP " + l.LMTP},
		{"Submission", l.Submission + " (STARTTLS), " + l.Submissions + " (TLS)"},
		{"IMAP", l.IMAP + " (STARTTLS), " + l.IMAPS + " (TLS)"},
		{"POP3", l.POP + " (STLS), " + l.POPS + " (TLS)"},
		{"Health and metrics", "http://" + l.Ops + "/readyz, http://" + l.Ops + "/metrics"},
	}
}

// outsideKeys is the one DKIM key of all foreign domains, made when it is first
// needed.
type outsideKeys struct {
	once sync.Once
	key  dkim.Key
	err  error
}

func (k *outsideKeys) load(domain string) (dkim.Key, error) {
	k.once.Do(func() {
		k.key.Private, k.err = dkim.GenerateEd25519()
		k.key.Selector = outsideKey
	})
	key := k.key
	key.Domain = domain
	return key, k.err
}

func (k *outsideKeys) record() (string, error) {
	key, err := k.load("outside.example")
	if err != nil {
		return "", err
	}
	text, err := key.Record()
	return `"` + text + `"`, err
}

func (k *outsideKeys) sign(domain string, content []byte) ([]byte, error) {
	d, err := addr.ParseDomain(domain)
	if err != nil {
		return nil, err
	}
	key, err := k.load(d.ASCII)
	if err != nil {
		return nil, err
	}
	s, err := dkim.NewSigner(key)
	if err != nil {
		return nil, err
	}
	return s.Sign(strings.NewReader(string(content)), int64(len(content)))
}
