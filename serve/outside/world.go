// Package outside is the demo's stand-in for the internet: mail for any foreign
// domain arrives here, can be read as the citizen to whom it was sent, and
// answered.
//
// Owns:      the mails it was sent, in memory, at most Capacity of them
// and MaxKept octets.
// Trusts:    everyone on loopback; it exists in the demo only.
// May touch: the SMTP connection to the platform's own MX.
package outside

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mohar-mail/mohar/base/clock"
	"github.com/mohar-mail/mohar/base/fault"
)

// Capacity is how many mails the outside world remembers; the oldest go first.
const Capacity = 5_000

// MaxKept bounds the contents that it remembers, in octets, whatever their number.
const MaxKept = 512 << 20

// MaxMail is the largest mail it takes, in octets.
const MaxMail = 64 << 20

// Mail is a message that came out of the platform, one for each recipient.
type Mail struct {
	ID      int
	At      time.Time
	From    string // reverse-path
	To      string // forward-path
	TLS     bool   // came over TLS
	Content []byte
}

// Letter is a message that a citizen writes to the platform.
type Letter struct {
	From    string // reverse-path and, unless Forge is set, the From field
	To      string
	Subject string
	Text    string
	ReplyTo *Mail  // the mail that it answers, or nil
	Forge   string // From field that pretends to be somebody else
	Signed  bool   // with a DKIM signature of the sender's domain
	Foreign bool   // from an address that the domain's SPF does not allow
}

// Post hands a message to the platform's MX from a source address, and returns
// the reply of the MX.
type Post func(ctx context.Context, source netip.Addr, from, to string, content []byte) (reply string, err error)

// Sign gives the DKIM-Signature field for a message of a domain, with its line
// end.
type Sign func(domain string, content []byte) ([]byte, error)

// Config is what a World needs.
type Config struct {
	Clock clock.Clock
	Post  Post
	Sign  Sign
	// Honest is the address that the outside domains' SPF allows, Foreign one that
	// it does not.
	Honest, Foreign netip.Addr
}

// World is the outside world.
type World struct {
	cfg   Config
	mu    sync.Mutex
	mails []*Mail
	kept  int // octets of their contents
	last  int
}

// New makes an empty world.
func New(cfg Config) *World { return &World{cfg: cfg} }

// Receive keeps a message that the platform delivered, once for each recipient.
func (w *World) Receive(from string, to []string, tls bool, content []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, rcpt := range to {
		w.last++
		w.kept += len(content)
		w.mails = append(w.mails, &Mail{ID: w.last, At: w.cfg.Clock.Now(), From: from, To: rcpt, TLS: tls, Content: content})
	}
	n := 0
	for ; len(w.mails)-n > Capacity || w.kept > MaxKept && n < len(w.mails); n++ {
		w.kept -= len(w.mails[n].Content)
	}
	w.mails = slices.Delete(w.mails, 0, n)
}

// Mails lists what arrived for an address (all where it is empty), newest first.
func (w *World) Mails(to string) []*Mail {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []*Mail
	for _, m := range slices.Backward(w.mails) {
		if to == "" || strings.EqualFold(m.To, to) {
			out = append(out, m)
		}
	}
	return out
}

// Mail gives one mail, or nil.
func (w *World) Mail(id int) *Mail {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range w.mails {
		if m.ID == id {
			return m
		}
	}
	return nil
}

// Send writes a letter and hands it to the platform. It returns the reply of the
// platform's MX, also when that is a refusal.
func (w *World) Send(ctx context.Context, l Letter) (string, error) {
	_, domain, ok := strings.Cut(l.From, "@")
	if !ok || !strings.Contains(l.To, "@") || strings.ContainsAny(l.From+l.To+l.Subject+l.Forge, "\r\n") {
		return "", fault.New(fault.Invalid, "outside.Send", "A letter needs the addresses of its sender and its recipient.")
	}
	content := compose(l, w.cfg.Clock.Now())
	if l.Signed && w.cfg.Sign != nil {
		field, err := w.cfg.Sign(strings.ToLower(domain), content)
		if err != nil {
			return "", err
		}
		content = append(field, content...)
	}
	source := w.cfg.Honest
	if l.Foreign {
		source = w.cfg.Foreign
	}
	reply, err := w.cfg.Post(ctx, source, l.From, l.To, content)
	if err != nil {
		said := "The platform answered: " + reply
		if reply == "" {
			said = "The platform did not take the letter: " + err.Error()
		}
		return reply, fault.Wrap(err, fault.Unavailable, "outside.Send", said)
	}
	return reply, nil
}
