package web

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"net/http"
	"strings"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/policy"
)

//go:embed rule.html
var rulePage string

//go:embed rule.css
var ruleStyle string

// explainer serves /rule/ID: the page behind the link in a refusal. People reach
// it from any mail program and without an account, so it shows the words of the
// rule and nothing of any message.
type explainer struct {
	page   *template.Template
	policy string
	rules  func() []*policy.Rulebook
}

func newExplainer(rules func() []*policy.Rulebook) *explainer {
	sum := sha256.Sum256([]byte(ruleStyle))
	return &explainer{rules: rules, page: template.Must(template.New("rule").Parse(rulePage)),
		policy: "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
			"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"}
}

// ruleWords are the words of the page itself.
type ruleWords struct{ Title, What, Advice, Other, Service string }

func wordsIn(lang string) ruleWords {
	if lang == "hi" {
		return ruleWords{"नियम", "नियम क्या कहता है", "अब क्या करें", "English", "मोहर - सरकार की अपनी डाक"}
	}
	return ruleWords{"Rule", "What the rule says", "What to do now", "हिन्दी", "Mohar - the government's own mail"}
}

type ruleView struct {
	Lang, Next       string
	Style            template.CSS
	ID, What, Advice string
	Words            ruleWords
}

// ServeHTTP shows the rule in the reader's language: ?lang=hi or en, else by
// Accept-Language.
func (e *explainer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	what, advice, ok := e.find(r.PathValue("id"))
	status := http.StatusOK
	if !ok {
		status = http.StatusNotFound
		what = mohar.Text{En: "There is no such rule.", Hi: "ऐसा कोई नियम नहीं है।"}
	}
	v := ruleView{Lang: language(r), Next: "hi", Style: template.CSS(ruleStyle), ID: r.PathValue("id")} //nolint:gosec // our own file
	if v.Lang == "hi" {
		v.Next = "en"
	}
	v.Words, v.What, v.Advice = wordsIn(v.Lang), what.In(v.Lang), advice.In(v.Lang)
	h := w.Header()
	h.Set("Content-Type", kindHTML)
	h.Set("Content-Language", v.Lang)
	h.Set("Content-Security-Policy", e.policy)
	h.Set("Cache-Control", "no-cache")
	h.Set("Vary", "Accept-Language")
	w.WriteHeader(status)
	_ = e.page.Execute(w, v) // the client went away
}

// find gives the sentences of a rule; the first rulebook that has it counts.
func (e *explainer) find(id string) (what, advice mohar.Text, ok bool) {
	if e.rules == nil {
		return what, advice, false
	}
	for _, b := range e.rules() {
		for i := range b.Rules {
			if b.Rules[i].ID == id {
				level := levelOf(&b.Rules[i])
				return general(b.Rules[i].What, level), general(b.Rules[i].Advice, level), true
			}
		}
		for i := range b.Signin {
			if b.Signin[i].ID == id {
				return b.Signin[i].What, b.Signin[i].Advice, true
			}
		}
	}
	return what, advice, false
}

// levelOf names the labels that a rule is about.
func levelOf(r *policy.Rule) mohar.Text {
	name := r.Known
	if name == "" {
		name = r.Effective
	}
	l, err := mohar.ParseLabel(name)
	if err != nil || name == "" {
		return mohar.Text{En: "…", Hi: "…"}
	}
	t := policy.LabelName(l)
	return mohar.Text{En: t.En + " (or higher)", Hi: t.Hi + " (या ऊँचा)"}
}

// general fills the places where the sentence of a decision names the labels of
// one message.
func general(t, level mohar.Text) mohar.Text {
	return mohar.Text{En: strings.NewReplacer("{label}", level.En, "{found}", "…", "{ceiling}", "…").Replace(t.En),
		Hi: strings.NewReplacer("{label}", level.Hi, "{found}", "…", "{ceiling}", "…").Replace(t.Hi)}
}

// language gives "hi" or "en": what the address asks for, else whichever of the
// two stands first in Accept-Language (browsers send it in order of preference).
func language(r *http.Request) string {
	if l := r.URL.Query().Get("lang"); l == "hi" || l == "en" {
		return l
	}
	for item := range strings.SplitSeq(strings.ToLower(r.Header.Get("Accept-Language")), ",") {
		tag, _, _ := strings.Cut(strings.TrimSpace(item), ";")
		switch base, _, _ := strings.Cut(tag, "-"); base {
		case "hi", "en":
			return base
		}
	}
	return "en"
}
