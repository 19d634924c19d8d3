package imap

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestNumSet(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in   string
		max  uint32
		want string // "" with bad set: refused
		bad  bool
	}{
		{in: "1", max: 9, want: "1"},
		{in: "3,1:2,5", max: 9, want: "1:3,5"},
		{in: "2:4,3:9,*", max: 12, want: "2:9,12"},
		{in: "*:4", max: 2, want: "2:4"},
		{in: "9:*", max: 5, want: "5:9"},
		{in: "*", max: 0, want: ""},
		{in: "4294967295,4294967294", max: 1, want: "4294967294:4294967295"},
		{in: "1:4294967295", max: 1, want: "1:4294967295"},
		{in: "0", bad: true},
		{in: "4294967296", bad: true},
		{in: "1,,2", bad: true},
		{in: "1:", bad: true},
		{in: "", bad: true},
		{in: "1 2", bad: true},
	} {
		n, err := ParseNumSet(c.in)
		if (err != nil) != c.bad {
			t.Errorf("%q: error %v", c.in, err)
			continue
		}
		if got := n.Resolve(c.max).String(); err == nil && got != c.want {
			t.Errorf("%q with %d: %s, want %s", c.in, c.max, got, c.want)
		}
	}
}

func TestSetAlgebra(t *testing.T) {
	t.Parallel()
	a, b := SetOf(1, 2, 3, 5, 8, 9), SetOf(2, 3, 4, 9, 10)
	if got := a.Intersect(b).String(); got != "2:3,9" {
		t.Errorf("intersect: %s", got)
	}
	if got := a.Subtract(b).String(); got != "1,5,8" {
		t.Errorf("subtract: %s", got)
	}
	if got := (Set{{1, 1<<32 - 1}}).Subtract(Set{{1, 1}, {1<<32 - 1, 1<<32 - 1}}).String(); got != "2:4294967294" {
		t.Errorf("subtract at the edges: %s", got)
	}
	if a.Contains(4) || !a.Contains(5) || a.Contains(10) || a.Len() != 6 {
		t.Error("contains or len")
	}
	n := 0
	(Set{{1<<32 - 2, 1<<32 - 1}}).Each(func(uint32) bool { n++; return true })
	if n != 2 {
		t.Errorf("each at the top ran %d times", n)
	}
}

func TestUTF7(t *testing.T) {
	t.Parallel()
	for name, wire := range map[string]string{
		"INBOX": "INBOX", "A&B": "A&-B", "नमस्ते": "&CSgJLgk4CU0JJAlH-", "台北": "&U,BTFw-", "x😀y": "x&2D3eAA-y", "é~": "&AOk-~",
	} {
		if got := EncodeUTF7(name); got != wire {
			t.Errorf("encode %q: %q, want %q", name, got, wire)
		}
		if got, err := DecodeUTF7(wire); err != nil || got != name {
			t.Errorf("decode %q: %q %v", wire, got, err)
		}
	}
	// Every one of these is a second spelling of something, or of nothing.
	for _, bad := range []string{"&", "&AOk", "&AOk-&AOk-", "&AGE-", "&2D0-", "&3gA-", "&AOl-", "a\x80", "&A-", "&AO==-", "\x01", "&AOkAYQ-"} {
		if got, err := DecodeUTF7(bad); err == nil {
			t.Errorf("%q was read as %q", bad, got)
		}
	}
}

func TestCleanName(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"inbox": "INBOX", "Inbox/x": "INBOX/x", "a/": "a", "inboxes": "inboxes", "a/inbox": "a/inbox"} {
		if got, err := CleanName(in); err != nil || got != want {
			t.Errorf("%q: %q %v", in, got, err)
		}
	}
	for _, bad := range []string{"", "/", "/a", "a//b", "a\x00", "a\x7f", "a\u0085", "..", "a/../b", "\xff", "a\u2028", strings.Repeat("x", MaxNameLength+1)} {
		if got, err := CleanName(bad); err == nil {
			t.Errorf("%q was taken as %q", bad, got)
		}
	}
}

func TestMatchPattern(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"*", "a/b", true}, {"%", "a/b", false}, {"%", "a", true}, {"a/%", "a/b", true}, {"a/%", "a/b/c", false}, {"a*c", "a/b/c", true},
		{"inbox", "INBOX", true}, {"inbox/%", "INBOX/x", true}, {"%/%", "a/b", true}, {"", "", true}, {"", "a", false}, {"a", "ab", false}, {"*%*b", "ab", true},
	} {
		if got := MatchPattern(c.pattern, c.name); got != c.want {
			t.Errorf("%q on %q: %v", c.pattern, c.name, got)
		}
	}
	// The pattern that takes a naive matcher for ever.
	if MatchPattern(strings.Repeat("*a", 500)+"b", strings.Repeat("a", 1000)) {
		t.Error("matched")
	}
}

func TestDates(t *testing.T) {
	t.Parallel()
	p := NewParser([]byte(`" 1-Feb-2026 03:04:05 +0530"`))
	d, err := p.DateTime()
	if err != nil || d.UTC().Format(time.RFC3339) != "2026-01-31T21:34:05Z" {
		t.Error(d, err)
	}
	if got := string(AppendDateTime(nil, d)); got != `" 1-Feb-2026 03:04:05 +0530"` {
		t.Error(got)
	}
	for _, bad := range []string{`"1-Feb-2026 03:04:05 +0530"`, `"31-Feb-2026 03:04:05 +0530"`, `"01-Feb-2026 03:04:05.5 +053"`, `" 1-Feb-2026 25:04:05 +0530"`, `""`} {
		if d, err := NewParser([]byte(bad)).DateTime(); err == nil {
			t.Errorf("%s was read as %v", bad, d)
		}
	}
}

// TestAppendString: whatever is in a message, the client reads one string.
func TestAppendString(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in   string
		utf8 bool
		want string
	}{
		{"a", false, `"a"`}, {`a"\b`, false, `"a\"\\b"`}, {"", false, `""`}, {"a\r\nb", false, "{4}\r\na\r\nb"},
		{"न", false, "{3}\r\nन"}, {"न", true, `"न"`}, {"\xff", true, "{1}\r\n\xff"}, {"a\x00b", true, "{2}\r\nab"},
	} {
		if got := string(AppendString(nil, c.in, c.utf8)); got != c.want {
			t.Errorf("%q: %q, want %q", c.in, got, c.want)
		}
	}
	if got := string(AppendText(nil, "नो\r\n* BYE", false)); strings.ContainsAny(got, "\r\n") || !strings.HasSuffix(got, "  * BYE") {
		t.Errorf("text: %q", got)
	}
}

func TestParseCommand(t *testing.T) {
	t.Parallel()
	n := func(v uint64) *uint64 { return &v }
	for in, want := range map[string]any{
		`a LOGIN "u 1" {6+}` + "\r\nsecret": &Login{"u 1", "secret"},
		"a login u ]p":                      &Login{"u", "]p"},
		"a NOOP ":                           nil,
		"a SELECT inbox (CONDSTORE)":        &Select{Name: "INBOX", CondStore: true},
		"a UID FETCH 1:* (FLAGS BODY.PEEK[1.2.HEADER.FIELDS (To)]<0.10>) (CHANGEDSINCE 5 VANISHED)": &Fetch{UID: true, Set: NumSet{Ranges: []Range{{1, Star}}},
			Items:        []FetchItem{{Kind: FetchFlags}, {Kind: FetchSection, Peek: true, Section: Section{Part: []int{1, 2}, Text: SectionHeaderFields, Fields: []string{"To"}}, Partial: &Partial{0, 10}}},
			ChangedSince: n(5), Vanished: true},
		`a STORE 1 (UNCHANGEDSINCE 0) -FLAGS.SILENT \Seen $x`: &Store{Set: NumSet{Ranges: []Range{{1, 1}}}, Mode: StoreRemove, Silent: true, Flags: Flags{System: Seen, Keywords: []string{"$x"}}, UnchangedSince: n(0)},
		"a UID EXPUNGE $":              &Expunge{UID: true, Set: NumSet{Saved: true}},
		`a CREATE "x" (USE (\Sent))`:   &Create{Name: "x", Use: `\Sent`},
		`a ID ("Name" "x" "os" NIL)`:   &ID{Fields: map[string]string{"name": "x"}},
		"a AUTHENTICATE PLAIN =":       &Authenticate{Mechanism: "PLAIN", Initial: []byte{}},
		"a STATUS x (UIDNEXT uidnext)": &Status{Name: "x", Items: []string{"UIDNEXT"}},
	} {
		c, err := ParseCommand(NewParser([]byte(in)))
		if err != nil || c.Tag != "a" || !reflect.DeepEqual(c.Args, want) {
			t.Errorf("%q: %+v %v", in, c.Args, err)
		}
	}
	for _, bad := range []string{
		"", "a", "a ", "+ NOOP", "a BOGUS", "a NOOP x", "a UID NOOP", "a LOGIN u", "a FETCH 1 BODY[", "a FETCH 1 ()", "a FETCH 1 BODY[1.]", "a FETCH 1 BODY[MIME]",
		"a FETCH 1 BODY[HEADER.FIELDS ()]", "a FETCH 1 BINARY[TEXT]", "a FETCH 1 (FLAGS) (CHANGEDSINCE 1 VANISHED)", "a STORE 1 FLAGS \\Bogus", "a SEARCH (", "a SEARCH ()",
		"a SEARCH " + strings.Repeat("(", 100) + "ALL", "a SEARCH " + strings.Repeat("NOT ", 100) + "ALL", "a SEARCH ALL" + strings.Repeat(" ALL", MaxSearchKeys),
		"a SELECT x (QRESYNC (0 1))", "a SELECT x (QRESYNC (1 1 *))", "a LOGIN \"\x00\" p", "a LOGIN {1}\r\n\x00 p", "a LOGIN {9}\r\nu p", `a LOGIN "a\b" p`,
		"a APPEND x {3}", "a ENABLE", "a LIST (RECURSIVEMATCH) \"\" *", "a CREATE &AGE-", "a ID (\"x\")",
	} {
		if c, err := ParseCommand(NewParser([]byte(bad))); err == nil && c.Name != "APPEND" {
			t.Errorf("%q was read as %+v", bad, c)
		}
	}
}

func TestFilterHeader(t *testing.T) {
	t.Parallel()
	h := []byte("From: a\r\nSUBJECT : b\r\n folded\r\nTo: c\r\ngarbage\r\n\r\nbody: x\r\n")
	for _, c := range []struct {
		names []string
		not   bool
		want  string
	}{
		{[]string{"subject"}, false, "SUBJECT : b\r\n folded\r\n\r\n"},
		{[]string{"subject", "from"}, true, "To: c\r\ngarbage\r\n\r\n"},
		{[]string{"body"}, false, "\r\n"},
	} {
		if got := string(FilterHeader(h, c.names, c.not)); got != c.want {
			t.Errorf("%v: %q, want %q", c.names, got, c.want)
		}
	}
}

func TestCommandReader(t *testing.T) {
	t.Parallel()
	pluses := 0
	read := func(in string) (out []string, err error) {
		pluses = 0
		r := CommandReader{R: bufio.NewReaderSize(strings.NewReader(in), 64), Limits: Limits{Command: 200, Discard: 1000}, Continue: func() error { pluses++; return nil }}
		for {
			cmd, lit, err := r.Read(nil)
			var le *LimitError
			switch {
			case errors.As(err, &le):
				out = append(out, "limit "+le.Tag)
				continue
			case err != nil:
				return out, err
			case lit != nil:
				b := make([]byte, lit.Size)
				if _, err := io.ReadFull(r.R, b); err != nil {
					return out, err
				}
				ok, err := r.AfterLiteral(false)
				if err != nil {
					return out, err
				}
				out = append(out, "append "+string(b), map[bool]string{true: "ok", false: "junk"}[ok])
				continue
			}
			out = append(out, string(cmd))
		}
	}
	long := strings.Repeat("x", 300)
	for _, c := range []struct {
		in   string
		want []string
		plus int
		err  error
	}{
		{"a NOOP\r\nb NOOP\n", []string{"a NOOP", "b NOOP"}, 0, io.EOF},
		{"a LOGIN {1}\r\nu {2+}\r\npp\r\n", []string{"a LOGIN {1}\r\nu {2+}\r\npp"}, 1, io.EOF},
		{"a LOGIN {500}\r\nb NOOP\r\n", []string{"limit a", "b NOOP"}, 0, io.EOF},
		{"a LOGIN {500+}\r\n" + strings.Repeat("y", 500) + " p\r\nb NOOP\r\n", []string{"limit a", "b NOOP"}, 0, io.EOF},
		{"a " + long + "\r\nb NOOP\r\n", []string{"limit a", "b NOOP"}, 0, io.EOF},
		{"a " + long + " {3+}\r\nxyz\r\nb NOOP\r\n", []string{"limit a", "b NOOP"}, 0, io.EOF},
		{"a LOGIN {5000+}\r\n", nil, 0, ErrFlood},
		{"a LOGIN {99999999999999999999+}\r\n", []string{"a LOGIN {99999999999999999999+}"}, 0, io.EOF},
		{"a " + strings.Repeat("x", 2000), nil, 0, ErrFlood},
		{"a APPEND x {3+}\r\nabc\r\nb NOOP\r\n", []string{"append abc", "ok", "b NOOP"}, 0, io.EOF},
		{"a APPEND {1}\r\nx {3+}\r\nabcZ\r\nb NOOP\r\n", []string{"append abc", "junk", "b NOOP"}, 1, io.EOF},
		{"a NOO", nil, 0, io.ErrUnexpectedEOF},
	} {
		got, err := read(c.in)
		if !reflect.DeepEqual(got, c.want) || !errors.Is(err, c.err) || pluses != c.plus {
			t.Errorf("%.60q: %q, %d pluses, %v", c.in, got, pluses, err)
		}
	}
}

func FuzzCommand(f *testing.F) {
	for _, s := range []string{
		"a LOGIN {1}\r\nu {2+}\r\npp\r\n", "a UID FETCH 1:*,$ (BODY.PEEK[1.HEADER.FIELDS (a b)]<1.2> BINARY[1]) (CHANGEDSINCE 1)\r\n",
		"a SEARCH CHARSET UTF-8 OR (NOT SEEN) HEADER x {3+}\r\nabc MODSEQ \"/flags/x\" all 3\r\n", "a APPEND x (\\Seen) \" 1-Jan-2026 00:00:00 +0000\" {3+}\r\nabc\r\n",
		"a SELECT x (QRESYNC (1 2 1:3 (1,2 3,4)) CONDSTORE)\r\n", "a LIST (SUBSCRIBED RECURSIVEMATCH) \"\" (\"%\" &AOk-) RETURN (STATUS (MESSAGES))\r\n", "a ID (\"a\" NIL)\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		r := CommandReader{R: bufio.NewReader(bytes.NewReader(in)), Limits: Limits{Command: 4096, Discard: 4096}, Continue: func() error { return nil }}
		for range 50 {
			line, lit, err := r.Read(nil)
			var le *LimitError
			if err != nil && !errors.As(err, &le) {
				return
			}
			if lit != nil {
				if r.Drop(lit) != nil {
					return
				}
				if _, err := r.AfterLiteral(false); err != nil {
					return
				}
			}
			for _, u := range []bool{false, true} {
				p := NewParser(line)
				p.UTF8 = u
				c, err := ParseCommand(p)
				if err == nil && c.Tag == "" {
					t.Fatalf("%q has no tag", line)
				}
			}
		}
	})
}

func FuzzNumSet(f *testing.F) {
	f.Add("1:*,3,9:2", uint32(7))
	f.Add("4294967295:1,*", uint32(0))
	f.Fuzz(func(t *testing.T, in string, top uint32) {
		n, err := ParseNumSet(in)
		if err != nil || n.Saved {
			return
		}
		s := n.Resolve(top)
		for i := range s {
			if s[i].Start == 0 || s[i].Start > s[i].Stop || (i > 0 && s[i].Start-1 <= s[i-1].Stop) {
				t.Fatalf("%q gives %v", in, s)
			}
		}
		if len(s) > 0 {
			again, err := ParseNumSet(s.String())
			if err != nil || !reflect.DeepEqual(again.Resolve(top), s) {
				t.Fatalf("%q does not come back from %s", in, s)
			}
		}
	})
}

func FuzzUTF7(f *testing.F) {
	for _, s := range []string{"&AOk-", "A&-B", "&2D3eAA-", "नमस्ते", "&&"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		if name, err := DecodeUTF7(in); err == nil && EncodeUTF7(name) != in {
			t.Fatalf("%q is a second spelling of %q", in, name)
		}
		if name, err := CleanName(in); err == nil {
			if back, err := DecodeUTF7(EncodeUTF7(name)); err != nil || back != name {
				t.Fatalf("%q comes back as %q (%v)", name, back, err)
			}
		}
	})
}

func FuzzSearch(f *testing.F) {
	for _, s := range []string{"OR SEEN (NOT FROM x 1:5)", "SENTSINCE 1-Jan-2026 LARGER 5", "RETURN (SAVE MIN) UID 1:*", "MODSEQ \"/flags/x\" all 3"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		c, err := ParseCommand(NewParser([]byte("a SEARCH " + in)))
		if err != nil {
			return
		}
		n := 0
		c.Args.(*Search).Key.Walk(func(*SearchKey) { n++ })
		if n > 2*MaxSearchKeys+1 {
			t.Fatalf("%d keys", n)
		}
	})
}

func FuzzAppendString(f *testing.F) {
	f.Add("a\"b\r\n\x00न", true)
	f.Fuzz(func(t *testing.T, in string, u bool) {
		out := AppendString(nil, in, u)
		p := NewParser(out)
		got, err := p.String()
		if want := strings.ReplaceAll(in, "\x00", ""); err != nil || !p.AtEnd() || got != want {
			t.Fatalf("%q is written as %q and read as %q (%v)", in, out, got, err)
		}
	})
}
