package outside

import (
	_ "embed"
	"encoding/json"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/wire/mime"
)

//go:embed outside.html
var page string

// listed is how many mails a page shows.
const listed = 200

// maxForm bounds a posted letter, in octets.
const maxForm = 8 << 20

// view is a mail as a page shows it.
type view struct {
	ID       int    `json:"id"`
	At       string `json:"at"`
	From     string `json:"from"` // envelope
	To       string `json:"to"`   // envelope
	Subject  string `json:"subject"`
	HeaderBy string `json:"headerFrom"`
	Text     string `json:"text"`
	TLS      bool   `json:"tls"`
	Signed   bool   `json:"signed"`
}

type data struct {
	Words   map[string]string
	Lang    string
	To      string
	People  []string
	Mails   []view
	Mail    *view
	Message string
}

// Handler serves the pages and the JSON of the outside world under /outside.
func (w *World) Handler() (http.Handler, error) {
	t, err := template.New("outside").Parse(page)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /outside", func(rw http.ResponseWriter, r *http.Request) { w.list(rw, r, t) })
	mux.HandleFunc("GET /outside/mail/{id}", func(rw http.ResponseWriter, r *http.Request) { w.read(rw, r, t) })
	mux.HandleFunc("GET /outside/mail/{id}/raw", w.raw)
	mux.HandleFunc("POST /outside/send", w.send)
	return mux, nil
}

func wantsJSON(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept"), "application/json")
}

func (w *World) list(rw http.ResponseWriter, r *http.Request, t *template.Template) {
	to := r.URL.Query().Get("to")
	views := []view{}
	for _, m := range w.Mails(to) {
		if len(views) == listed {
			break
		}
		views = append(views, look(m))
	}
	if wantsJSON(r) {
		writeJSON(rw, http.StatusOK, views)
		return
	}
	var people []string
	for _, m := range w.Mails("") {
		if p := strings.ToLower(m.To); !slices.Contains(people, p) && len(people) < listed {
			people = append(people, p)
		}
	}
	slices.Sort(people)
	render(rw, r, t, data{To: to, People: people, Mails: views, Message: r.URL.Query().Get("said")})
}

func (w *World) read(rw http.ResponseWriter, r *http.Request, t *template.Template) {
	m := w.find(rw, r)
	if m == nil {
		return
	}
	v := look(m)
	if wantsJSON(r) {
		writeJSON(rw, http.StatusOK, v)
		return
	}
	render(rw, r, t, data{To: m.To, Mail: &v})
}

func (w *World) find(rw http.ResponseWriter, r *http.Request) *Mail {
	id, err := strconv.Atoi(r.PathValue("id"))
	m := w.Mail(id)
	if err != nil || m == nil {
		http.Error(rw, "There is no such mail.", http.StatusNotFound)
		return nil
	}
	return m
}

func (w *World) raw(rw http.ResponseWriter, r *http.Request) {
	if m := w.find(rw, r); m != nil {
		rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
		rw.Header().Set("X-Content-Type-Options", "nosniff")
		_, _ = rw.Write(m.Content)
	}
}

func (w *World) send(rw http.ResponseWriter, r *http.Request) {
	// A page elsewhere must not make this browser write letters.
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" {
		http.Error(rw, "Another site may not do this.", http.StatusForbidden)
		return
	}
	if o := r.Header.Get("Origin"); o != "" {
		if u, err := url.Parse(o); err != nil || u.Host != r.Host {
			http.Error(rw, "Another site may not do this.", http.StatusForbidden)
			return
		}
	}
	r.Body = http.MaxBytesReader(rw, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		http.Error(rw, "The form cannot be read.", http.StatusBadRequest)
		return
	}
	f := r.PostForm
	l := Letter{From: f.Get("from"), To: f.Get("to"), Subject: f.Get("subject"), Text: f.Get("text"), Signed: true}
	if id, err := strconv.Atoi(f.Get("reply")); err == nil {
		l.ReplyTo = w.Mail(id)
	}
	switch f.Get("manner") {
	case "unsigned":
		l.Signed = false
	case "spf":
		l.Signed, l.Foreign = false, true
	case "forge":
		l.Signed, l.Foreign, l.Forge = false, true, f.Get("forge")
	}
	reply, err := w.Send(r.Context(), l)
	said, status := reply, http.StatusOK
	if err != nil {
		said, status = fault.Public(err), http.StatusBadGateway
	}
	if wantsJSON(r) {
		writeJSON(rw, status, map[string]any{"ok": err == nil, "reply": said})
		return
	}
	http.Redirect(rw, r, "/outside?"+url.Values{"to": {l.From}, "said": {said}}.Encode(), http.StatusSeeOther)
}

// look prepares a mail for showing.
func look(m *Mail) view {
	p := mime.Parse(m.Content)
	v := view{ID: m.ID, At: m.At.Format("2006-01-02 15:04:05"), From: m.From, To: m.To, TLS: m.TLS}
	if e := p.Root.Envelope; e != nil {
		v.Subject = mime.DecodeText(e.Subject)
		if len(e.From) > 0 {
			v.HeaderBy = e.From[0].Spec()
		}
	}
	head := m.Content[:min(len(m.Content), 64<<10)]
	v.Signed = strings.Contains(strings.ToLower(string(head)), "dkim-signature:")
	v.Text = readable(p)
	return v
}

func writeJSON(rw http.ResponseWriter, status int, v any) {
	rw.Header().Set("Content-Type", "application/json")
	rw.WriteHeader(status)
	_ = json.NewEncoder(rw).Encode(v) // the client went away
}

func render(rw http.ResponseWriter, r *http.Request, t *template.Template, d data) {
	d.Lang = "en"
	if strings.HasPrefix(strings.ToLower(r.Header.Get("Accept-Language")), "hi") {
		d.Lang = "hi"
	}
	d.Words = words(d.Lang)
	rw.Header().Set("Content-Type", "text/html; charset=utf-8")
	rw.Header().Set("X-Content-Type-Options", "nosniff")
	rw.Header().Set("Referrer-Policy", "same-origin") // addresses stand in the query
	rw.Header().Set("Cache-Control", "no-store")
	rw.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'")
	_ = t.Execute(rw, d) // the client went away
}
