package search

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestFold(t *testing.T) {
	t.Parallel()
	for _, pair := range [][2]string{
		{"हिन्दी", "हिंदी"}, {"सम्पर्क", "संपर्क"}, {"चाँद", "चांद"}, {"सड़क", "सडक"}, {"क़लम", "क़लम"},
		{"ÉTÉ", "été"}, {"Straße  \t X", "straße x"}, {"क्\u200dष", "क्ष"}, {"Σίσυφος", "ΣΊΣΥΦΟΣ"},
	} {
		if a, b := Fold(pair[0]), Fold(pair[1]); a != b {
			t.Errorf("%q and %q fold to %q and %q", pair[0], pair[1], a, b)
		}
	}
	for _, pair := range [][2]string{{"जन्म", "जंम"}, {"कल", "काल"}, {"a b", "ab"}} {
		if Fold(pair[0]) == Fold(pair[1]) {
			t.Errorf("%q and %q fold to the same", pair[0], pair[1])
		}
	}
}

func TestTerms(t *testing.T) {
	t.Parallel()
	for in, want := range map[string][]string{
		"": nil, " Foo  bar ": {"foo", "bar"}, `"Foo bar" baz`: {"foo bar", "baz"}, `'a "b"' c`: {`a "b"`, "c"},
		`"a \"b\" \\"`: {`a "b" \`}, `don't "open`: {"don't", `"open`}, `""`: nil, "हिन्दी": {"हिंदी"},
	} {
		if got := Terms(in); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestMark(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("क ख ", 200) + "मिला यहाँ " + strings.Repeat("& ", 200)
	s := Mark(long, []string{Fold("मिला")}, MaxSnippet)
	if s == nil || len(*s) > MaxSnippet || !strings.Contains(*s, "<mark>मिला</mark>") || !strings.HasPrefix(*s, "…") || !utf8.ValidString(*s) {
		t.Errorf("%v", s)
	}
	if s := Mark("a <b> A", []string{"a"}, 0); *s != "<mark>a</mark> &lt;b&gt; <mark>A</mark>" {
		t.Errorf("%q", *s)
	}
	if Mark("abc", []string{"x"}, 0) != nil {
		t.Error("marked what is not there")
	}
}

func FuzzFold(f *testing.F) {
	f.Add("हिन्दी चाँद\u0000", `"द च" हिं`)
	f.Add("a\xff\xffb", "b")
	f.Fuzz(func(t *testing.T, text, query string) {
		text = strings.ToValidUTF8(text, "?")
		if once := Fold(text); !utf8.ValidString(once) {
			t.Fatalf("%q", once)
		}
		words := Terms(query)
		if s := Mark(text, words, MaxSnippet); s != nil && (len(*s) > MaxSnippet || !utf8.ValidString(*s) ||
			strings.Count(*s, "<mark>") != strings.Count(*s, "</mark>")) {
			t.Fatalf("%q", *s)
		}
		if len(words) > 0 && HasAll(Fold(text), words[:1]) != (len(matchSpans(text, words[:1])) > 0) {
			t.Fatalf("%q in %q: search and snippet disagree", words[0], text)
		}
	})
}
