package admin

import (
	"net/http"
	"time"

	"github.com/mohar-mail/mohar/flow/change"
	"github.com/mohar-mail/mohar/queue"
)

// maxListed is how many messages one listing of the queue holds.
const maxListed = 1000

// Message is a message of the queue as the command line shows it.
type Message struct {
	ID         string      `json:"id"`
	From       string      `json:"from"`
	Size       int64       `json:"size"`
	Created    time.Time   `json:"created"`
	Door       string      `json:"door"`
	Label      string      `json:"label,omitempty"`
	Recipients []Recipient `json:"recipients"`
}

// Recipient is one recipient of a Message.
type Recipient struct {
	Address  string    `json:"address"`
	State    string    `json:"state"` // local, remote or held
	Due      time.Time `json:"due"`
	Attempts uint32    `json:"attempts"`
	Last     string    `json:"last,omitempty"`
	Reason   string    `json:"reason,omitempty"`
}

var states = map[queue.Class]string{queue.Local: "local", queue.Remote: "remote", queue.Held: "held"}

func showMessage(m *queue.Message) Message {
	out := Message{ID: m.Item.ID.String(), From: m.Item.From, Size: m.Item.Size, Created: m.Item.Created,
		Door: string(m.Item.Door), Label: m.Item.Label.String(), Recipients: []Recipient{}}
	for _, r := range m.Recipients {
		out.Recipients = append(out.Recipients, Recipient{Address: r.Address, State: states[r.Class], Due: r.Due,
			Attempts: r.Attempts, Last: r.Last, Reason: r.Reason})
	}
	return out
}

func (d *door) queue(w http.ResponseWriter, r *http.Request) {
	out := []Message{}
	err := d.cfg.Queue.List(r.Context(), func(m *queue.Message) bool {
		out = append(out, showMessage(m))
		return len(out) < maxListed
	})
	if err != nil {
		fail(w, err)
		return
	}
	reply(w, out)
}

func (d *door) message(w http.ResponseWriter, r *http.Request) {
	id, err := queue.ParseItemID(r.PathValue("id"))
	if err != nil {
		fail(w, err)
		return
	}
	m, err := d.cfg.Queue.Get(r.Context(), id)
	if err != nil {
		fail(w, err)
		return
	}
	reply(w, showMessage(m))
}

func (d *door) act(w http.ResponseWriter, r *http.Request) {
	var in struct{ Reason string }
	id, err := queue.ParseItemID(r.PathValue("id"))
	if err != nil {
		fail(w, err)
		return
	}
	if read(w, r, &in) {
		done(w, d.cfg.Change.Queue(r.Context(), change.By{Reason: in.Reason}, change.QueueAct(r.PathValue("act")), id))
	}
}
