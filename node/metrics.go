package node

import (
	"context"
	"io"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/flow/signin"
	"github.com/mohar-mail/mohar/policy"
	"github.com/mohar-mail/mohar/queue"
	"github.com/mohar-mail/mohar/wire/smtp/smtpserver"
)

// otherRule stands for refusals by anything that is no rule of a rulebook, so
// that the label's values are a set that nobody outside can widen.
const otherRule = "other"

// meters are the node's own counters. docs/operate/metrics.md explains them.
type meters struct {
	registry *prometheus.Registry
	accepted *prometheus.CounterVec // by door
	refused  *prometheus.CounterVec // by door and rule
	relayed  *prometheus.CounterVec // by outcome
	signins  *prometheus.CounterVec // by door and outcome
	rules    map[string]bool
}

// newMeters makes the registry; the rules of the books are the values that the
// label "rule" may take.
func newMeters(books map[string]*policy.Rulebook) *meters {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "mohar", Name: name, Help: help}, labels)
	}
	m := &meters{registry: prometheus.NewRegistry(), rules: map[string]bool{},
		accepted: counter("messages_accepted_total", "Messages that were promised to be delivered, held ones included.", "door"),
		refused:  counter("messages_refused_total", "Messages that were refused after their content was seen, by the first rule that refused.", "door", "rule"),
		relayed:  counter("recipients_relayed_total", "Recipients at other hosts, by what became of them in an attempt.", "outcome"),
		signins:  counter("signins_total", "Attempts to sign in.", "door", "outcome"),
	}
	for _, b := range books {
		for i := range b.Rules {
			m.rules[b.Rules[i].ID] = true
		}
	}
	m.registry.MustRegister(m.accepted, m.refused, m.relayed, m.signins,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// message counts what became of a message at a door. What failed for now, or was
// no message that could be read, is neither accepted nor refused.
func (m *meters) message(door mohar.Door, err error) {
	if err == nil {
		m.accepted.WithLabelValues(string(door)).Inc()
		return
	}
	if k := fault.KindOf(err); k != fault.Refused && k != fault.Denied {
		return
	}
	rule := otherRule
	if d := fault.DecisionOf(err); d != nil && len(d.Reasons) > 0 && m.rules[d.Reasons[0].Rule] {
		rule = d.Reasons[0].Rule
	}
	m.refused.WithLabelValues(string(door), rule).Inc()
}

// outcomes are the names of what becomes of a sign-in.
var outcomes = map[fault.Kind]string{fault.Auth: "wrong", fault.Denied: "refused", fault.TooMany: "limited"}

// signin counts an attempt to sign in.
func (m *meters) signin(door mohar.Door, err error) {
	outcome, ok := outcomes[fault.KindOf(err)]
	switch {
	case err == nil:
		outcome = "ok"
	case !ok:
		outcome = "failed"
	}
	m.signins.WithLabelValues(string(door), outcome).Inc()
}

// authenticate is flow/signin, counted.
func (n *Node) authenticate(ctx context.Context, a signin.Attempt) (*signin.Principal, error) {
	p, err := n.signin.Authenticate(ctx, a)
	n.meters.signin(a.Door, err)
	return p, err
}

// depth reads the depth of the queue when somebody asks for it: the queue itself
// is what counts, so that no restart and no crash can make the figure drift.
type depth struct {
	queue      *queue.Queue
	recipients *prometheus.Desc
	oldest     *prometheus.Desc
}

func newDepth(q *queue.Queue) *depth {
	return &depth{queue: q,
		recipients: prometheus.NewDesc("mohar_queue_recipients", "Recipients in the queue, by class.", []string{"class"}, nil),
		oldest:     prometheus.NewDesc("mohar_queue_oldest_due_timestamp_seconds", "When the longest due recipient was due, as Unix time; absent while the queue is empty.", nil, nil)}
}

// Describe gives the descriptions of the figures.
func (d *depth) Describe(ch chan<- *prometheus.Desc) { ch <- d.recipients; ch <- d.oldest }

// Collect reads the figures.
func (d *depth) Collect(ch chan<- prometheus.Metric) {
	s, err := d.queue.Stats(context.Background())
	if err != nil {
		ch <- prometheus.NewInvalidMetric(d.recipients, err)
		return
	}
	for class, count := range map[string]int{"local": s.Local, "remote": s.Remote, "held": s.Held} {
		ch <- prometheus.MustNewConstMetric(d.recipients, prometheus.GaugeValue, float64(count), class)
	}
	if !s.Oldest.IsZero() {
		ch <- prometheus.MustNewConstMetric(d.oldest, prometheus.GaugeValue, float64(s.Oldest.UnixMicro())/1e6)
	}
}

// counted is a backend whose messages are counted.
type counted struct {
	smtpserver.Backend
	door   mohar.Door
	meters *meters
}

// NewSession wraps the backend's session, and keeps its AUTH where it has one.
func (c counted) NewSession(ctx context.Context, conn *smtpserver.Conn) (smtpserver.Session, error) {
	s, err := c.Backend.NewSession(ctx, conn)
	if err != nil {
		return nil, err
	}
	plain := countedSession{s, c}
	if a, ok := s.(smtpserver.Authenticator); ok {
		return struct {
			countedSession
			smtpserver.Authenticator
		}{plain, a}, nil
	}
	return plain, nil
}

type countedSession struct {
	smtpserver.Session
	of counted
}

// Data takes the content and counts what became of it.
func (s countedSession) Data(ctx context.Context, env *mohar.Envelope, r io.Reader) (smtpserver.Accepted, error) {
	a, err := s.Session.Data(ctx, env, r)
	s.of.meters.message(s.of.door, err)
	return a, err
}
