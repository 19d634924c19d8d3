// Package admin is the operator's local door: JSON over HTTP on a socket that
// only the machine's operator can open, or directly in the process when the
// server is stopped. The command line speaks it.
//
// Owns:      nothing.
// Trusts:    whoever may open the socket: its file mode is the check.
// May touch: nouns for reading, flow/change for acting.
// Standards: none.
package admin

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/audit"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/directory"
	"github.com/mohar-mail/mohar/flow/change"
	"github.com/mohar-mail/mohar/policy"
	"github.com/mohar-mail/mohar/queue"
)

// maxBody bounds a request, in octets.
const maxBody = 64 << 20

// Question asks what the rules say of a message.
type Question struct {
	From    string   `json:"from"`
	To      []string `json:"to"`
	Label   string   `json:"label"`
	Message []byte   `json:"message,omitempty"` // content to be looked at; may be absent
}

// Config is what the door needs.
type Config struct {
	Directory *directory.Directory
	Queue     *queue.Queue
	Change    *change.Change
	Log       *audit.Log
	Public    string // key of the audit log
	Explain   func(ctx context.Context, q Question) (*policy.Explanation, error)
	Rulebooks func() []*policy.Rulebook
	// Check verifies the data; progress is told how many accounts are done.
	Check func(ctx context.Context, progress func(done int)) ([]string, error)
	// Records gives the DNS records of a domain.
	Records func(ctx context.Context, domain string) ([]string, error)
}

type door struct{ cfg Config }

// New makes the handler.
func New(cfg Config) http.Handler {
	d := &door{cfg: cfg}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /accounts", d.accounts)
	mux.HandleFunc("POST /accounts", d.addAccount)
	mux.HandleFunc("POST /accounts/state", d.setDisabled)
	mux.HandleFunc("POST /accounts/password", d.setPassword)
	mux.HandleFunc("GET /domains", d.domains)
	mux.HandleFunc("GET /domains/{name}/dns", d.records)
	mux.HandleFunc("GET /queue", d.queue)
	mux.HandleFunc("GET /queue/{id}", d.message)
	mux.HandleFunc("POST /queue/{id}/{act}", d.act)
	mux.HandleFunc("GET /audit", d.tail)
	mux.HandleFunc("GET /audit/{index}/proof", d.prove)
	mux.HandleFunc("POST /audit/export", d.export)
	mux.HandleFunc("GET /policy", d.rulebooks)
	mux.HandleFunc("POST /policy/explain", d.explain)
	mux.HandleFunc("POST /check", d.check)
	return mux
}

// Account is an account as the command line shows it.
type Account struct {
	ID        mohar.AccountID `json:"id"`
	Address   string          `json:"address"`
	Addresses []string        `json:"addresses"`
	Name      mohar.Text      `json:"name"`
	Post      mohar.Text      `json:"post"`
	Category  string          `json:"category"`
	Until     string          `json:"until,omitempty"`
	Disabled  bool            `json:"disabled,omitempty"`
}

func show(a *directory.Account) Account {
	out := Account{ID: a.ID, Address: a.Address(), Addresses: a.Addresses, Name: a.Name, Post: a.Post, Category: a.Category.String(), Disabled: a.Disabled}
	if !a.Until.IsZero() {
		out.Until = a.Until.Add(-time.Second).Format(time.DateOnly) // the last day, not the moment after it
	}
	return out
}

func (d *door) accounts(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if address := q.Get("address"); address != "" {
		a, _, err := d.cfg.Directory.ByAddress(r.Context(), address)
		if err != nil {
			fail(w, err)
			return
		}
		reply(w, []Account{show(a)})
		return
	}
	list, err := d.cfg.Directory.List(r.Context(), directory.Page{Domain: q.Get("domain"), After: mohar.AccountID(q.Get("after"))})
	if err != nil {
		fail(w, err)
		return
	}
	out := make([]Account, len(list))
	for i, a := range list {
		out[i] = show(a)
	}
	reply(w, out)
}

// NewAccount asks for an account.
type NewAccount struct {
	Address  string     `json:"address"`
	Aliases  []string   `json:"aliases,omitempty"`
	Name     mohar.Text `json:"name"`
	Post     mohar.Text `json:"post"`
	Category string     `json:"category"`
	Sponsor  string     `json:"sponsor,omitempty"` // an address
	Until    string     `json:"until,omitempty"`   // YYYY-MM-DD
	Lang     string     `json:"lang,omitempty"`
	Password string     `json:"password,omitempty"`
	Reason   string     `json:"reason,omitempty"`
}

func (d *door) addAccount(w http.ResponseWriter, r *http.Request) {
	var in NewAccount
	if !read(w, r, &in) {
		return
	}
	a := directory.Account{Name: in.Name, Post: in.Post, Addresses: append([]string{in.Address}, in.Aliases...), Lang: in.Lang}
	var err error
	if a.Category, err = mohar.ParseCategory(in.Category); err != nil {
		fail(w, fault.Wrap(err, fault.Invalid, "admin.addAccount", err.Error()))
		return
	}
	if in.Until != "" {
		if a.Until, err = time.ParseInLocation(time.DateOnly, in.Until, time.Local); err != nil {
			fail(w, fault.Wrap(err, fault.Invalid, "admin.addAccount", "The end date must be written as 2027-03-31."))
			return
		}
		a.Until = a.Until.AddDate(0, 0, 1) // the last day counts to its end
	}
	if in.Sponsor != "" {
		s, _, err := d.cfg.Directory.ByAddress(r.Context(), in.Sponsor)
		if err != nil {
			fail(w, fault.Wrap(err, fault.Invalid, "admin.addAccount", "The sponsor is not in the directory."))
			return
		}
		a.Sponsor = s.ID
	}
	id, err := d.cfg.Change.AddAccount(r.Context(), change.By{Reason: in.Reason}, a, in.Password)
	if err != nil {
		fail(w, err)
		return
	}
	reply(w, map[string]any{"id": id, "address": in.Address})
}

func (d *door) setDisabled(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Address, Reason string
		Disabled        bool
	}
	if read(w, r, &in) {
		done(w, d.cfg.Change.SetDisabled(r.Context(), change.By{Reason: in.Reason}, in.Address, in.Disabled))
	}
}

func (d *door) setPassword(w http.ResponseWriter, r *http.Request) {
	var in struct{ Address, Password, Reason string }
	if read(w, r, &in) {
		done(w, d.cfg.Change.SetPassword(r.Context(), change.By{Reason: in.Reason}, in.Address, in.Password))
	}
}

// Domain is a domain as the command line shows it.
type Domain struct {
	Name     string `json:"name"`
	Unicode  string `json:"unicode"`
	State    string `json:"state"`
	AliasOf  string `json:"aliasOf,omitempty"`
	Rulebook string `json:"rulebook,omitempty"`
}

func (d *door) domains(w http.ResponseWriter, r *http.Request) {
	list, err := d.cfg.Directory.Domains(r.Context())
	if err != nil {
		fail(w, err)
		return
	}
	out := make([]Domain, len(list))
	for i, x := range list {
		out[i] = Domain{Name: x.Name, Unicode: x.Unicode, State: x.State.String(), AliasOf: x.AliasOf, Rulebook: x.Rulebook}
	}
	reply(w, out)
}

func (d *door) records(w http.ResponseWriter, r *http.Request) {
	lines, err := d.cfg.Records(r.Context(), r.PathValue("name"))
	if err != nil {
		fail(w, err)
		return
	}
	reply(w, lines)
}

// read decodes a request's body; false when it was answered with an error.
func read(w http.ResponseWriter, r *http.Request, into any) bool {
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(into)
	if err != nil && !errors.Is(err, io.EOF) {
		fail(w, fault.Wrap(err, fault.Invalid, "admin", "The request cannot be read."))
		return false
	}
	return true
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the client went away
}

func done(w http.ResponseWriter, err error) {
	if err != nil {
		fail(w, err)
		return
	}
	reply(w, map[string]bool{"done": true})
}

func number(s string, otherwise int) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return otherwise
	}
	return n
}
