package jmapserver

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "rewrite the expected answers")

// shown are the fields of answers that transcripts hold.
var shown = []string{"Content-Type", "Cache-Control", "Content-Disposition", "Content-Security-Policy", "WWW-Authenticate", "ETag", "Content-Range"}

// TestTranscripts plays testdata/*.txtar. A file whose name ends in ".in" is a
// request: request line, fields, blank line, body. The ".out" after it is the
// answer. All requests of an archive go to one server.
func TestTranscripts(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no transcripts", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txtar"), func(t *testing.T) {
			t.Parallel()
			s, _ := newTestServer()
			play(t, s, f)
		})
	}
}

func play(t *testing.T, h http.Handler, file string) {
	ar, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	out := &txtar.Archive{Comment: ar.Comment}
	for i, f := range ar.Files {
		name, is := strings.CutSuffix(f.Name, ".in")
		if !is {
			continue
		}
		got := exchangeOf(t, h, f.Data)
		out.Files = append(out.Files, f, txtar.File{Name: name + ".out", Data: []byte(got)})
		if *update {
			continue
		}
		if i+1 == len(ar.Files) || ar.Files[i+1].Name != name+".out" {
			t.Fatalf("%s has no answer", f.Name)
		}
		if want := string(ar.Files[i+1].Data); got != want {
			t.Errorf("%s:\n--- got\n%s--- want\n%s", name, got, want)
		}
	}
	if *update {
		if err := os.WriteFile(file, txtar.Format(out), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func exchangeOf(t *testing.T, h http.Handler, text []byte) string {
	head, body, _ := bytes.Cut(text, []byte("\n\n"))
	raw := append(bytes.ReplaceAll(head, []byte("\n"), []byte("\r\n")), "\r\nHost: mail.example\r\n\r\n"...)
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(raw)))
	if err != nil {
		t.Fatalf("%v in %s", err, head)
	}
	body = bytes.TrimSuffix(body, []byte("\n"))
	req := httptest.NewRequest(r.Method, r.RequestURI, bytes.NewReader(body))
	req.Header, req.Host = r.Header, "mail.example"
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	var b strings.Builder
	fmt.Fprintf(&b, "%d\n", w.Code)
	for _, k := range shown {
		if v := w.Header().Get(k); v != "" {
			fmt.Fprintf(&b, "%s: %s\n", k, v)
		}
	}
	b.WriteString("\n")
	var pretty bytes.Buffer
	if json.Indent(&pretty, w.Body.Bytes(), "", "  ") == nil {
		b.Write(pretty.Bytes())
	} else {
		b.Write(w.Body.Bytes())
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}
