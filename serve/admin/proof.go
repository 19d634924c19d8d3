package admin

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"

	"github.com/mohar-mail/mohar/audit"
	"github.com/mohar-mail/mohar/base/fault"
)

// maxTail is how many entries of the log one look shows.
const maxTail = 10_000

func (d *door) tail(w http.ResponseWriter, r *http.Request) {
	n := min(max(number(r.URL.Query().Get("n"), 20), 1), maxTail)
	entries, size, err := d.cfg.Log.Tail(r.Context(), n)
	if err != nil {
		fail(w, err)
		return
	}
	lines := make([]json.RawMessage, len(entries))
	for i, e := range entries {
		lines[i] = e.Leaf
	}
	reply(w, map[string]any{"size": size, "entries": lines})
}

func (d *door) prove(w http.ResponseWriter, r *http.Request) {
	index, err := strconv.ParseInt(r.PathValue("index"), 10, 64)
	if err != nil {
		fail(w, fault.Wrap(err, fault.Invalid, "admin.prove", "The number of an entry is a number."))
		return
	}
	p, err := d.cfg.Log.Prove(r.Context(), index)
	if err != nil {
		fail(w, err)
		return
	}
	reply(w, p)
}

// export writes the log into a folder of the machine, which must be empty or not
// there yet.
func (d *door) export(w http.ResponseWriter, r *http.Request) {
	var in struct{ Dir string }
	if !read(w, r, &in) {
		return
	}
	if !filepath.IsAbs(in.Dir) {
		fail(w, fault.New(fault.Invalid, "admin.export", "Give the folder with its whole path."))
		return
	}
	// Old files between the new ones would make an export that nobody can verify.
	if there, err := os.ReadDir(in.Dir); len(there) > 0 {
		fail(w, fault.New(fault.Exists, "admin.export", "The folder "+in.Dir+" is not empty."))
		return
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		fail(w, fault.Wrap(err, fault.Invalid, "admin.export", "The folder "+in.Dir+" cannot be used."))
		return
	}
	c, err := d.cfg.Log.Export(r.Context(), audit.Export{Public: d.cfg.Public, Create: func(name string) (io.WriteCloser, error) {
		file := filepath.Join(in.Dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return nil, err
		}
		return os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	}})
	if err != nil {
		fail(w, err)
		return
	}
	reply(w, map[string]any{"entries": c.Size, "dir": in.Dir})
}

func (d *door) rulebooks(w http.ResponseWriter, _ *http.Request) { reply(w, d.cfg.Rulebooks()) }

func (d *door) explain(w http.ResponseWriter, r *http.Request) {
	var q Question
	if !read(w, r, &q) {
		return
	}
	x, err := d.cfg.Explain(r.Context(), q)
	if err != nil {
		fail(w, err)
		return
	}
	reply(w, x)
}

// Progress is one line of a long work's answer: a count, or the end.
type Progress struct {
	Done     int      `json:"done"`
	Finished bool     `json:"finished,omitempty"`
	Problems []string `json:"problems,omitempty"`
	Error    *Problem `json:"error,omitempty"`
}

// check answers with lines of Progress.
func (d *door) check(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/x-ndjson")
	enc := json.NewEncoder(w)
	flush := http.NewResponseController(w)
	last := 0
	problems, err := d.cfg.Check(r.Context(), func(done int) {
		last = done
		_ = enc.Encode(Progress{Done: done}) // the client went away
		_ = flush.Flush()
	})
	end := Progress{Done: last, Finished: true, Problems: problems}
	if err != nil {
		end.Error = &Problem{Kind: fault.KindOf(err).String(), Public: fault.Public(err), Private: err.Error()}
	}
	_ = enc.Encode(end) // the client went away
}
