package smtpserver

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "rewrite the S: lines and messages of the transcripts")

// TestTranscripts runs testdata/*.txtar. The file "config" sets the server up
// with words; "session" holds lines C: (sent with CRLF), P: (sent
// together with the next C, as a pipelining client does), C" (sent as the Go
// string that it is), C* (a command followed by so many octets), S: (the exact answer), TLS (handshake); "messages" is what the
// backend took.
func TestTranscripts(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no transcripts", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txtar"), func(t *testing.T) {
			t.Parallel()
			ar, err := txtar.ParseFile(f)
			if err != nil {
				t.Fatal(err)
			}
			runTranscript(t, ar)
			if *update {
				if err := os.WriteFile(f, txtar.Format(ar), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func section(t *testing.T, ar *txtar.Archive, name string) *txtar.File {
	for i := range ar.Files {
		if ar.Files[i].Name == name {
			return &ar.Files[i]
		}
	}
	t.Fatalf("no section %q", name)
	return nil
}

func parseConfig(t *testing.T, text string) (Config, *memBackend) {
	cfg, b := Config{Limits: Limits{MessageSize: 10000}}, &memBackend{}
	for w := range strings.FieldsSeq(text) {
		k, v, _ := strings.Cut(w, "=")
		n, _ := strconv.Atoi(v)
		switch k {
		case "mx":
		case "submission":
			cfg.Mode, b.auth = Submission, true
		case "lmtp":
			cfg.Mode = LMTP
		case "starttls":
			cfg.TLS = testTLS()
		case "implicit":
			cfg.TLS, cfg.Implicit = testTLS(), true
		case "insecure":
			cfg.AllowInsecureAuth = true
		case "explain":
			cfg.ExplainURL = v
		case "recipients":
			cfg.Limits.Recipients = n
		case "errors":
			cfg.Limits.Errors = n
		case "refused":
			cfg.Limits.RefusedRcpts = n
		case "idle":
			cfg.Limits.IdleCommands = n
		case "line":
			cfg.Limits.LineLength = n
		case "drain":
			cfg.Limits.DrainBytes = int64(n)
		default:
			t.Fatalf("config word %q", w)
		}
	}
	return cfg, b
}

func runTranscript(t *testing.T, ar *txtar.Archive) {
	cfg, b := parseConfig(t, string(section(t, ar, "config").Data))
	r := newRig(t, cfg, b)
	if cfg.Implicit {
		r.startTLS()
	}
	sess := section(t, ar, "session")
	var out, want strings.Builder
	pending, started := "", false
	answer := func() {
		var got string
		if pending != "" || !started {
			got = r.say(pending)
		}
		started, pending = true, ""
		for l := range strings.Lines(got) {
			body, ok := strings.CutSuffix(l, "\r\n")
			if !ok {
				t.Errorf("line %q has no CRLF", l)
			}
			fmt.Fprintf(&out, "S: %s\n", body)
		}
	}
	lines := strings.Split(strings.TrimSuffix(string(sess.Data), "\n"), "\n")
	for _, l := range lines {
		fmt.Fprintln(&want, l)
		if strings.HasPrefix(l, "S:") || l == "# closed" {
			continue
		}
		if !started {
			answer()
		}
		switch {
		case l == "TLS":
			r.startTLS()
		case strings.HasPrefix(l, "C: "), l == "C:", strings.HasPrefix(l, "P: "), l == "P:":
			pending += strings.TrimPrefix(l[2:], " ") + "\r\n"
		case strings.HasPrefix(l, "C* "):
			count, cmd, _ := strings.Cut(l[3:], " ")
			n, err := strconv.Atoi(count)
			if err != nil {
				t.Fatalf("%q: %v", l, err)
			}
			pending += cmd + "\r\n" + strings.Repeat("x", n)
		case strings.HasPrefix(l, `C"`):
			s, err := strconv.Unquote(l[1:])
			if err != nil {
				t.Fatalf("%q: %v", l, err)
			}
			pending += s
		case l == "" || l[0] == '#':
		default:
			t.Fatalf("line %q", l)
		}
		fmt.Fprintln(&out, l)
		if l != "" && l[0] == 'C' {
			answer()
		}
	}
	answer()
	if r.hungUp() {
		out.WriteString("# closed\n")
	}
	compare(t, "session", sess, want.String(), out.String())
	msgs := section(t, ar, "messages")
	compare(t, "messages", msgs, string(msgs.Data), b.dump())
}

// compare reports a difference, or with -update takes it over.
func compare(t *testing.T, what string, f *txtar.File, want, got string) {
	t.Helper()
	if *update {
		f.Data = []byte(got)
		return
	}
	if got != want {
		t.Errorf("%s differ; got:\n%s\nwant:\n%s", what, got, want)
	}
}

func (b *memBackend) dump() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var s strings.Builder
	for _, m := range b.got {
		fmt.Fprintf(&s, "%s %+v\n%q\n", m.with, *m.env, m.body)
	}
	return s.String()
}
