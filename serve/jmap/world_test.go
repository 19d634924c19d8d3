package jmap

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/base/clock"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/mailbox"
	"github.com/mohar-mail/mohar/store/blob/memblob"
	"github.com/mohar-mail/mohar/store/body"
	"github.com/mohar-mail/mohar/store/hub"
	"github.com/mohar-mail/mohar/store/hub/localhub"
	"github.com/mohar-mail/mohar/store/kv"
	"github.com/mohar-mail/mohar/store/kv/memkv"
	"github.com/mohar-mail/mohar/wire/jmap/jmapserver"
)

var update = flag.Bool("update", false, "rewrite the expected answers")

const account = mohar.AccountID("a1")

// world is a door over stores in memory, with one account.
type world struct {
	door   *Door
	mail   *mailbox.Store
	clock  *clock.Fake
	hub    hub.Hub
	submit *fakeSubmit
	tokens []string // random ids in the order in which they were seen
}

type notifier struct{ hub.Hub }

func (n notifier) Changed(a mohar.AccountID, modseq uint64) {
	n.Publish(hub.Event{Topic: hub.Account(a), State: modseq})
}

type everyone struct{}

func (everyone) Authenticate(*http.Request) (jmapserver.Principal, error) {
	return jmapserver.Principal{Account: account, Address: "asha@rajya.example", Name: "Asha Devi"}, nil
}

type people struct{}

func (people) Senders(context.Context, mohar.AccountID) ([]Sender, error) {
	return []Sender{{"asha@rajya.example", "Asha Devi"}, {"collector@rajya.example", "Collector, Alpur"}}, nil
}

// fakeSubmit refuses what is labelled official and goes to gmail.example.
type fakeSubmit struct {
	sent []Submission
	fail error
}

func refusal(to string) *mohar.Decision {
	return &mohar.Decision{Verdict: mohar.Refuse, Reasons: []mohar.Reason{{Rule: "OFFICIAL-FOREIGN",
		What:       mohar.Text{En: "Official mail does not go to providers outside India.", Hi: "शासकीय पत्र भारत के बाहर के प्रदाता को नहीं भेजा जाता।"},
		Advice:     mohar.Text{En: "Use the label open.", Hi: "खुला चिह्न लगाएँ।"},
		Recipients: []string{to}}}}
}

func (f *fakeSubmit) Submit(_ context.Context, s Submission) (string, error) {
	if f.fail != nil {
		return "", f.fail
	}
	for _, r := range s.Envelope.To {
		if strings.HasSuffix(r.Address, "@gmail.example") && bytes.Contains(s.Content, []byte("Mohar-Label: official")) {
			return "", fault.Refusal("test", refusal(r.Address))
		}
	}
	f.sent = append(f.sent, s)
	return fmt.Sprintf("q%d", len(f.sent)), nil
}

func (f *fakeSubmit) Explain(_ context.Context, q Question) (Explanation, error) {
	var e Explanation
	for _, t := range q.To {
		s := Standing{Address: t, Class: mohar.ClassOwn, Name: "Ravi"}
		if strings.HasSuffix(t, "@gmail.example") {
			s = Standing{Address: t, Class: mohar.ClassForeignWebmail}
			if q.Label == mohar.Official && len(q.Answers) == 0 {
				e.Decision = *refusal(t)
			}
		}
		e.Recipients = append(e.Recipients, s)
	}
	return e, nil
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{clock: clock.NewFake(time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)), hub: localhub.New(), submit: &fakeSubmit{}}
	store := kv.NewStore(memkv.New())
	t.Cleanup(func() { w.hub.Close(); _ = store.Close() })
	w.mail = mailbox.New(mailbox.Config{KV: store, Bodies: body.New(store, memblob.New(), body.Config{}), Notify: notifier{w.hub}, Clock: w.clock})
	w.door = New(Config{Mail: w.mail, Auth: everyone{}, Hints: w.hub, People: people{}, Submit: w.submit,
		PublicURL: "https://mail.example", Clock: w.clock, UploadQuota: 1 << 20})
	t.Cleanup(w.door.Close)
	if err := w.mail.Ensure(t.Context(), account); err != nil {
		t.Fatal(err)
	}
	return w
}

// deliver adds a message; head holds "role flag flag ..." and text uses LF.
func (w *world) deliver(t testing.TB, head, text string) mailbox.Added {
	t.Helper()
	words := strings.Fields(head)
	content := []byte(strings.ReplaceAll(text, "\n", "\r\n"))
	c, err := mailbox.Parse(content)
	if err != nil {
		t.Fatal(err)
	}
	bw := w.mail.Bodies().Writer(t.Context())
	if _, err := bw.Write(content); err != nil {
		t.Fatal(err)
	}
	st, err := bw.Finish()
	if err != nil {
		t.Fatal(err)
	}
	flags, keywords := splitKeywords(words[1:])
	var out mailbox.Added
	err = w.mail.Update(t.Context(), account, func(u *mailbox.Writer) error {
		m, err := u.ByRole(mailbox.Role(words[0]))
		if err != nil {
			return err
		}
		out, err = u.Add(mailbox.Addition{Mailboxes: []mailbox.ID{m.ID}, Flags: flags, Keywords: keywords,
			Received: w.clock.Now(), Size: int64(len(content)), Content: c, Staged: st})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	w.clock.Advance(time.Minute)
	return out
}

// call sends method calls and gives status and body.
func (w *world) call(calls, lang string) (int, []byte) {
	using := `{"using":["urn:ietf:params:jmap:core","urn:ietf:params:jmap:mail","urn:ietf:params:jmap:submission","urn:mohar:params:jmap:policy"],"methodCalls":`
	r := httptest.NewRequest("POST", jmapserver.PathAPI, strings.NewReader(using+calls+"}"))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept-Language", lang)
	rec := httptest.NewRecorder()
	w.door.ServeHTTP(rec, r)
	return rec.Code, rec.Body.Bytes()
}

var randomID = regexp.MustCompile(`[0-9a-f]{32}`)

// hide replaces random ids by RANDOM1, RANDOM2 ...
func (w *world) hide(s string) string {
	return randomID.ReplaceAllStringFunc(s, func(id string) string {
		i := slices.Index(w.tokens, id)
		if i < 0 {
			i = len(w.tokens)
			w.tokens = append(w.tokens, id)
		}
		return fmt.Sprintf("RANDOM%d", i+1)
	})
}

// show puts back what hide replaced.
func (w *world) show(s string) string {
	for i := len(w.tokens) - 1; i >= 0; i-- {
		s = strings.ReplaceAll(s, fmt.Sprintf("RANDOM%d", i+1), w.tokens[i])
	}
	return s
}

// TestTranscripts plays testdata/*.txtar. Files of an archive by the end of
// their names: ".mail" is a message delivered, its first line mailbox and
// keywords; ".upload" a file uploaded; ".in" an array of method calls (with
// ".hi" before it, in Hindi); ".out" what answers.
func TestTranscripts(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no transcripts", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txtar"), func(t *testing.T) {
			t.Parallel()
			newWorld(t).play(t, f)
		})
	}
}

func (w *world) play(t *testing.T, file string) {
	ar, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	out := &txtar.Archive{Comment: ar.Comment}
	for i, f := range ar.Files {
		got := ""
		name := f.Name
		switch filepath.Ext(f.Name) {
		case ".mail":
			head, text, _ := strings.Cut(string(f.Data), "\n")
			w.deliver(t, head, text)
			out.Files = append(out.Files, f)
			continue
		case ".upload":
			r := httptest.NewRequest("POST", "/jmap/upload/a1", bytes.NewReader(f.Data))
			rec := httptest.NewRecorder()
			w.door.ServeHTTP(rec, r)
			got = w.pretty(rec.Code, rec.Body.Bytes())
		case ".in":
			lang := "en"
			if strings.HasSuffix(f.Name, ".hi.in") {
				lang = "hi-IN,en;q=0.5"
			}
			code, body := w.call(w.show(string(f.Data)), lang)
			got = w.pretty(code, body)
		default:
			continue
		}
		name = strings.TrimSuffix(name, filepath.Ext(name)) + ".out"
		out.Files = append(out.Files, f, txtar.File{Name: name, Data: []byte(got)})
		if *update {
			continue
		}
		if i+1 == len(ar.Files) || ar.Files[i+1].Name != name {
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

// pretty prints an answer: for an API response one line for each property of
// each method response, and of each record in a list.
func (w *world) pretty(code int, body []byte) string {
	var r struct {
		MethodResponses [][3]json.RawMessage `json:"methodResponses"`
	}
	if code != http.StatusOK || json.Unmarshal(body, &r) != nil {
		return w.hide(fmt.Sprintf("%d %s\n", code, body))
	}
	var b strings.Builder
	for _, m := range r.MethodResponses {
		fmt.Fprintf(&b, "%s %s\n", m[0], m[2])
		var args map[string]json.RawMessage
		if json.Unmarshal(m[1], &args) != nil {
			fmt.Fprintf(&b, "  %s\n", m[1])
			continue
		}
		for _, k := range sortedKeys(args) {
			if k == "accountId" || string(args[k]) == "null" {
				continue
			}
			fmt.Fprintf(&b, "  %s:", k)
			printDeep(&b, args[k], 2)
		}
	}
	return w.hide(b.String())
}

// printDeep prints lists of objects and maps of objects over lines.
func printDeep(b *strings.Builder, raw json.RawMessage, indent int) {
	pad := strings.Repeat("  ", indent)
	var list []json.RawMessage
	var object map[string]json.RawMessage
	if json.Unmarshal(raw, &list) == nil && len(list) > 0 && list[0][0] == '{' && len(raw) > 120 {
		b.WriteString("\n")
		for _, item := range list {
			b.WriteString(pad + "-")
			printDeep(b, item, indent+1)
		}
		return
	}
	if json.Unmarshal(raw, &object) == nil && len(raw) > 120 {
		b.WriteString("\n")
		for _, k := range sortedKeys(object) {
			b.WriteString(pad + k + ":")
			printDeep(b, object[k], indent+1)
		}
		return
	}
	fmt.Fprintf(b, " %s\n", raw)
}

func sortedKeys(m map[string]json.RawMessage) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// one calls a method and reads its answer into v.
func (w *world) one(t testing.TB, method, args string, v any) {
	t.Helper()
	code, body := w.call(fmt.Sprintf(`[[%q,{"accountId":"a1",%s},"0"]]`, method, args), "en")
	var r struct {
		MethodResponses [][3]json.RawMessage `json:"methodResponses"`
	}
	if code != 200 || json.Unmarshal(body, &r) != nil || string(r.MethodResponses[0][0]) == `"error"` ||
		json.Unmarshal(r.MethodResponses[0][1], v) != nil {
		t.Fatalf("%s %s: %d %s", method, args, code, body)
	}
}

// query gives the whole result of an Email/query and its state.
func (w *world) query(t testing.TB, args string) (ids []string, state string) {
	t.Helper()
	var r struct {
		IDs        []string `json:"ids"`
		QueryState string   `json:"queryState"`
	}
	w.one(t, "Email/query", args, &r)
	return r.IDs, r.QueryState
}

// splice applies Email/queryChanges to a cached list as RFC 8620 section 5.6
// tells clients to.
func (w *world) splice(t testing.TB, args, since string, ids *[]string) {
	t.Helper()
	var r struct {
		Removed []string `json:"removed"`
		Added   []struct {
			ID    string `json:"id"`
			Index int    `json:"index"`
		} `json:"added"`
	}
	w.one(t, "Email/queryChanges", fmt.Sprintf(`%s,"sinceQueryState":%q`, args, since), &r)
	list := slices.DeleteFunc(slices.Clone(*ids), func(id string) bool { return slices.Contains(r.Removed, id) })
	for _, a := range r.Added {
		if a.Index > len(list) {
			t.Fatalf("%s: added at %d of %d", args, a.Index, len(list))
		}
		list = slices.Insert(list, a.Index, a.ID)
	}
	*ids = list
}
