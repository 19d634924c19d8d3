package detect

import (
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	mohar "github.com/mohar-mail/mohar"
)

// TestVectors reads lines "label | line of text"; the label "-" means that the
// line must not fire.
func TestVectors(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("testdata/vectors.txt")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, l := range strings.Split(string(b), "\n") {
		if l == "" || l[0] == '#' {
			continue
		}
		name, text, ok := strings.Cut(l, " | ")
		if !ok {
			t.Fatalf("%q", l)
		}
		want := mohar.NoLabel
		if name = strings.TrimSpace(name); name != "-" {
			if want, err = mohar.ParseLabel(name); err != nil {
				t.Fatal(err)
			}
		}
		if got := Highest(Scan(Input{Subject: text})); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
		if got := Highest(Scan(Input{Text: []byte("\n\n" + text + "\r\n\n")})); got != want {
			t.Errorf("%q in the text: %v, want %v", text, got, want)
		}
		n++
	}
	if n < 50 {
		t.Errorf("only %d vectors", n)
	}
}

func TestPlaces(t *testing.T) {
	t.Parallel()
	prose := strings.Repeat("A line of prose.\n", 20)
	for _, c := range []struct {
		in   Input
		want string
	}{
		{Input{Subject: "[SECRET] x"}, "secret subject"},
		{Input{Text: []byte("SECRET\n" + prose)}, "secret top"},
		{Input{Text: []byte(prose + "SECRET\n\n\n")}, "secret bottom"},
		{Input{Text: []byte("RESTRICTED\n" + prose + "गुप्त")}, "restricted top,secret bottom"},
		{Input{Text: []byte(prose + "SECRET\n" + prose)}, ""},
		{Input{Files: []string{"a.pdf", "F.1(2)-गुप्त.pdf", "x_CONFIDENTIAL.docx"}}, "secret file-name"},
		{Input{Text: []byte(strings.Repeat("x", 100000) + "\nSECRET")}, "secret bottom"},
	} {
		var got []string
		for _, m := range Scan(c.in) {
			got = append(got, m.Label.String()+" "+string(m.Place))
		}
		if s := strings.Join(got, ","); s != c.want {
			t.Errorf("%.40q: %s, want %s", c.in, s, c.want)
		}
	}
}

// FuzzScan shows that no text makes Scan panic, and that what fires in a line
// fires in the subject too.
func FuzzScan(f *testing.F) {
	f.Add("T O P  S E C R E T")
	f.Add("[गोपनीय]")
	f.Add("\u200d-\xff(")
	f.Fuzz(func(t *testing.T, s string) {
		ms := Scan(Input{Subject: s, Text: []byte(s), Files: []string{s}})
		if len(ms) > 4 {
			t.Error("more markings than places")
		}
		if utf8.ValidString(s) && !strings.ContainsAny(s, "\n\r") && strings.TrimSpace(s) == s && len(s) < 500 && Highest(Scan(Input{Subject: s})) != Highest(Scan(Input{Text: []byte(s)})) {
			t.Errorf("%q: subject and text disagree", s)
		}
	})
}

func BenchmarkScan(b *testing.B) {
	in := Input{Subject: "[गोपनीय] बैठक की सूचना", Text: []byte(strings.Repeat("An ordinary line of prose in a letter.\n", 200)), Files: []string{"a-b.pdf"}}
	for b.Loop() {
		Scan(in)
	}
}
