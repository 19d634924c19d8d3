package jmap

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestID(t *testing.T) {
	t.Parallel()
	for id, want := range map[ID]bool{
		"a": true, "A-z_09": true, "": false, "a b": false, "é": false, "a/b": false, "#a": false,
		ID(strings.Repeat("x", 255)): true, ID(strings.Repeat("x", 256)): false,
	} {
		if got := id.Valid(); got != want {
			t.Errorf("%q.Valid() = %v", id, got)
		}
	}
}

func TestDates(t *testing.T) {
	t.Parallel()
	ist := time.FixedZone("", 5*3600+1800)
	at := time.Date(2026, 11, 23, 9, 30, 0, 999, ist)
	for _, c := range []struct {
		v    any
		want string
	}{
		{UTCDate(at), `"2026-11-23T04:00:00Z"`}, {Date(at), `"2026-11-23T09:30:00+05:30"`},
		{UTCDate{}, "null"}, {Date{}, "null"}, {Date(at.UTC()), `"2026-11-23T04:00:00Z"`},
	} {
		if got, _ := json.Marshal(c.v); string(got) != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
	for s, want := range map[string]bool{
		"2026-11-23T04:00:00Z": true, "2026-11-23T04:00:00+05:30": false, "2026-11-23t04:00:00Z": false,
		"2026-11-23T04:00:00z": false, "2026-11-23T04:00:00.5Z": true, "": false, "2026-13-23T04:00:00Z": false,
	} {
		if _, ok := ParseUTCDate(s); ok != want {
			t.Errorf("ParseUTCDate(%q) = %v", s, ok)
		}
	}
	if _, ok := ParseDate("2026-11-23T04:00:00+05:30"); !ok {
		t.Error("a date with an offset is refused")
	}
}

func TestCheckIJSON(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]error{
		`{"a":[1,2,{"b":null}],"c":"\"{"}`: nil,
		`{"a":1,"a":2}`:                    errDuplicate,
		`{"a":1,"\u0061":2}`:               errDuplicate,
		`{"a":{"x":1},"b":{"x":1}}`:        nil,
		`[{"a":"a"},{"a":"a"}]`:            nil,
		`{"a":"\ud83d\ude00"}`:             nil,
		`{"a":"\ud83d"}`:                   errSurrogate,
		`{"a":"\ude00\ud83d"}`:             errSurrogate,
		`{"a":"\\ud83d"}`:                  nil,
		`{"a":"\ud83dx\ude00"}`:            errSurrogate,
		"{\"a\":\"\xff\"}":                 errUTF8,
		`{"a":1}x`:                         errSyntax,
		`{"a":"`:                           errSyntax,
		``:                                 errSyntax,
		strings.Repeat("[", 64) + strings.Repeat("]", 64): nil,
		strings.Repeat("[", 65) + strings.Repeat("]", 65): errDepth,
		`["` + strings.Repeat("[", 100) + `"]`:            nil,
		strings.Repeat("[", 1_000_000):                    errDepth,
		"[" + strings.Repeat("0,", MaxValues) + "0]":      errValues,
	} {
		if err := CheckIJSON([]byte(text)); !errors.Is(err, want) {
			t.Errorf("%.40q: got %v, want %v", text, err, want)
		}
	}
}

func TestDecodeRequest(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, want string }{
		{`{"using":["a"],"methodCalls":[["x",{"k":1},"c0"]],"more":1}`, ""},
		{`{"using":["a"],"methodCalls":[]}`, ""},
		{`{"using":["a"],"methodCalls":[],"createdIds":{"k":"v"}}`, ""},
		{`{`, ErrNotJSON},
		{`[]`, ErrNotRequest},
		{`{"using":["a"]}`, ErrNotRequest},
		{`{"using":[1],"methodCalls":[]}`, ErrNotRequest},
		{`{"using":[null],"methodCalls":[]}`, ErrNotRequest},
		{`{"using":null,"methodCalls":[]}`, ErrNotRequest},
		{`{"Using":["a"],"methodCalls":[]}`, ErrNotRequest},
		{`{"using":[],"methodCalls":[["x",[],"c"]]}`, ErrNotRequest},
		{`{"using":[],"methodCalls":[["x",null,"c"]]}`, ErrNotRequest},
		{`{"using":[],"methodCalls":[["x",{}]]}`, ErrNotRequest},
		{`{"using":[],"methodCalls":[["x",{},7]]}`, ErrNotRequest},
		{`{"using":[],"methodCalls":[null]}`, ErrNotRequest},
		{`{"using":[],"methodCalls":[],"createdIds":[]}`, ErrNotRequest},
		{`{"using":[],"methodCalls":[],"createdIds":{"a b":"c"}}`, ErrNotRequest},
	} {
		_, err := DecodeRequest([]byte(c.text))
		got := ""
		var re *RequestError
		if errors.As(err, &re) {
			got = re.Type
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", c.text, got, c.want)
		}
	}
}

func TestPointer(t *testing.T) {
	t.Parallel()
	doc := json.RawMessage(`{"a":{"b/c":[1,2,3],"~":"t"},"list":[{"id":"x","tags":["p","q"]},{"id":"y","tags":["r"]}],"":0}`)
	for path, want := range map[string]string{
		"": string(doc), "/a/b~1c/1": "2", "/a/~0": `"t"`, "/list/*/id": `["x","y"]`,
		"/list/*/tags": `["p","q","r"]`, "/list/*/tags/*": `["p","q","r"]`, "/": "0",
		"/a/b~1c/03": "", "/a/b~1c/3": "", "/a/b~1c/-": "", "/nope": "", "a": "", "/a/~2": "", "/a/*": "",
		"/list/*/nope": "", "/list/0/id/x": "", "/a/b~1c/99999999999": "",
	} {
		got, ok := Pointer(doc, path)
		if ok != (want != "") || string(got) != want {
			t.Errorf("%q: got %s, %v; want %s", path, got, ok, want)
		}
	}
}

func TestResolveArgs(t *testing.T) {
	t.Parallel()
	done := []Invocation{
		{"A/get", json.RawMessage(`{"ids":["1","2"]}`), "c0"},
		{"B/get", json.RawMessage(`{"ids":["3"]}`), "c0"},
	}
	const limit = 200
	big := []Invocation{{"A/get", json.RawMessage(`{"s":"` + strings.Repeat("x", limit) + `"}`), "c0"}}
	for _, c := range []struct {
		args, want string
		done       []Invocation
	}{
		{`{"ids":[]}`, `{"ids":[]}`, done},
		{`{"#ids":{"resultOf":"c0","name":"A/get","path":"/ids"},"x":1}`, `{"ids":["1","2"],"x":1}`, done},
		{`{"\u0023ids":{"resultOf":"c0","name":"A/get","path":"/ids/0"}}`, `{"ids":"1"}`, done},
		// The first response of the call counts, whatever its name.
		{`{"#ids":{"resultOf":"c0","name":"B/get","path":"/ids"}}`, InvalidResultReference, done},
		{`{"#ids":{"resultOf":"c1","name":"A/get","path":"/ids"}}`, InvalidResultReference, done},
		{`{"#ids":{"resultOf":"c0","name":"A/get","path":"/id"}}`, InvalidResultReference, done},
		{`{"#ids":{"resultOf":"c0","name":"A/get"}}`, InvalidResultReference, done},
		{`{"#ids":"c0"}`, InvalidResultReference, done},
		{`{"#ids":{"resultOf":"c0","name":"A/get","path":"/ids"},"ids":null}`, InvalidArguments, done},
		{`{"#s":{"resultOf":"c0","name":"A/get","path":"/s"}}`, InvalidResultReference, big},
	} {
		got, err := ResolveArgs(json.RawMessage(c.args), c.done, limit)
		out := string(got)
		if err != nil {
			out = MethodErrorOf(err).Type
		}
		if out != c.want {
			t.Errorf("%s: got %s, want %s", c.args, out, c.want)
		}
	}
}

func TestPatch(t *testing.T) {
	t.Parallel()
	record := map[string]json.RawMessage{
		"name": json.RawMessage(`"n"`), "keywords": json.RawMessage(`{"$seen":true,"a/b":true}`), "list": json.RawMessage(`[1]`),
	}
	for _, c := range []struct{ patch, want string }{
		{`{"name":"m"}`, `{"keywords":{"$seen":true,"a/b":true},"list":[1],"name":"m"}`},
		{`{"keywords/$flagged":true,"keywords/$seen":null}`, `{"keywords":{"$flagged":true,"a/b":true},"list":[1],"name":"n"}`},
		{`{"keywords/a~1b":null}`, `{"keywords":{"$seen":true},"list":[1],"name":"n"}`},
		{`{"keywords/gone":null}`, `{"keywords":{"$seen":true,"a/b":true},"list":[1],"name":"n"}`},
		{`{"name":null}`, `{"keywords":{"$seen":true,"a/b":true},"list":[1]}`},
		{`{"keywords":{},"keywords/x":true}`, SetInvalidPatch},
		{`{"list/0":2}`, SetInvalidPatch},
		{`{"nope/x":2}`, SetInvalidPatch},
		{`{"name/x":2}`, SetInvalidPatch},
		{`{"keywords/~9":true}`, SetInvalidPatch},
		{`[]`, SetInvalidPatch},
	} {
		out := ""
		p, err := ParsePatch(json.RawMessage(c.patch))
		if err == nil {
			var m map[string]json.RawMessage
			if m, err = p.Apply(record); err == nil {
				raw, _ := json.Marshal(m)
				out = string(raw)
			}
		}
		if err != nil {
			out = SetErrorOf(err).Type
		}
		if out != c.want {
			t.Errorf("%s: got %s, want %s", c.patch, out, c.want)
		}
	}
	if string(record["keywords"]) != `{"$seen":true,"a/b":true}` {
		t.Error("the record was changed")
	}
}

func TestFilterBounds(t *testing.T) {
	t.Parallel()
	nest := func(n int) string {
		return strings.Repeat(`{"operator":"NOT","conditions":[`, n) + `{}` + strings.Repeat(`]}`, n)
	}
	wide := `{"operator":"OR","conditions":[` + strings.Repeat(`{},`, MaxFilterNodes) + `{}]}`
	for text, want := range map[string]string{
		`{"a":1}`: "", nest(MaxFilterDepth): "", nest(MaxFilterDepth + 1): UnsupportedFilter, wide: UnsupportedFilter,
		`{"operator":"XOR","conditions":[]}`: InvalidArguments, `{"operator":"OR"}`: InvalidArguments,
		`{"operator":"OR","conditions":[],"a":1}`: InvalidArguments, `{"operator":"OR","conditions":[3]}`: InvalidArguments, `[]`: InvalidArguments,
	} {
		_, err := ParseFilter(json.RawMessage(text))
		got := ""
		if err != nil {
			got = MethodErrorOf(err).Type
		}
		if got != want {
			t.Errorf("%.60s: got %q, want %q", text, got, want)
		}
	}
}

func TestWindow(t *testing.T) {
	t.Parallel()
	all := []ID{"a", "b", "c", "d", "e"}
	n := func(u uint64) *uint64 { return &u }
	for _, c := range []struct {
		q    QueryArgs
		want string
	}{
		{QueryArgs{}, `{"accountId":"","queryState":"","canCalculateChanges":false,"position":0,"ids":["a","b","c"],"limit":3}`},
		{QueryArgs{Position: 3, Limit: n(1), CalculateTotal: true}, `{"accountId":"","queryState":"","canCalculateChanges":false,"position":3,"ids":["d"],"total":5}`},
		{QueryArgs{Position: -2, Limit: n(3)}, `{"accountId":"","queryState":"","canCalculateChanges":false,"position":3,"ids":["d","e"]}`},
		{QueryArgs{Position: -9, Limit: n(1)}, `{"accountId":"","queryState":"","canCalculateChanges":false,"position":0,"ids":["a"]}`},
		{QueryArgs{Position: 7, Limit: n(1)}, `{"accountId":"","queryState":"","canCalculateChanges":false,"position":7,"ids":[]}`},
		{QueryArgs{Anchor: "c", AnchorOffset: -1, Position: 4, Limit: n(2)}, `{"accountId":"","queryState":"","canCalculateChanges":false,"position":1,"ids":["b","c"]}`},
		{QueryArgs{Anchor: "a", AnchorOffset: -5, Limit: n(2)}, `{"accountId":"","queryState":"","canCalculateChanges":false,"position":0,"ids":["a","b"]}`},
		{QueryArgs{Anchor: "z"}, AnchorNotFound},
		{QueryArgs{Position: 1, Limit: n(0)}, `{"accountId":"","queryState":"","canCalculateChanges":false,"position":1,"ids":[]}`},
	} {
		r, err := c.q.Window(all, 3)
		var got string
		if err != nil {
			got = MethodErrorOf(err).Type
		} else {
			raw, _ := json.Marshal(r)
			got = string(raw)
		}
		if got != c.want {
			t.Errorf("%+v:\n got %s\nwant %s", c.q, got, c.want)
		}
	}
}

func TestArgsTypes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text string
		read func(*Args)
		ok   bool
	}{
		{`{"a":"x"}`, func(a *Args) { a.String("a") }, true},
		{`{"A":"x"}`, func(a *Args) { a.String("a") }, false},
		{`{"a":null}`, func(a *Args) { a.String("a") }, false},
		{`{"a":null}`, func(a *Args) { a.OptString("a") }, true},
		{`{"a":null}`, func(a *Args) { a.Bool("a", true) }, false},
		{`{"a":1}`, func(a *Args) { a.Bool("a", true) }, false},
		{`{"a":1.0}`, func(a *Args) { a.Int("a", 0) }, true},
		{`{"a":1.5}`, func(a *Args) { a.Int("a", 0) }, false},
		{`{"a":9007199254740992}`, func(a *Args) { a.Int("a", 0) }, false},
		{`{"a":1e300}`, func(a *Args) { a.Int("a", 0) }, false},
		{`{"a":"1"}`, func(a *Args) { a.Int("a", 0) }, false},
		{`{"a":-1}`, func(a *Args) { a.OptUint("a") }, false},
		{`{"a":["x",null]}`, func(a *Args) { a.Strings("a") }, false},
		{`{"a":["x y"]}`, func(a *Args) { a.IDs("a") }, false},
		{`{"a":{"k":false}}`, func(a *Args) { a.Set("a") }, false},
		{`{"a":{"k":true}}`, func(a *Args) { a.Set("a") }, true},
		{`{"a":1,"b":2}`, func(a *Args) { a.Int("a", 0) }, false},
	} {
		a, err := NewArgs(json.RawMessage(c.text))
		if err != nil {
			t.Fatal(err)
		}
		c.read(a)
		if ok := a.Err() == nil; ok != c.ok {
			t.Errorf("%s: ok = %v (%v)", c.text, ok, a.Err())
		}
	}
}

func FuzzDecodeRequest(f *testing.F) {
	f.Add([]byte(`{"using":["a"],"methodCalls":[["x",{"#k":{"resultOf":"c","name":"n","path":"/a/*/b"}},"c0"]],"createdIds":{"k":"v"}}`))
	f.Add([]byte(`{"a":"\ud83d\ude00"}`))
	f.Add([]byte(`[[[{"a":[`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := DecodeRequest(data)
		if err != nil {
			var re *RequestError
			if !errors.As(err, &re) || re.Status != 400 {
				t.Fatalf("not a request error: %v", err)
			}
			return
		}
		for i, c := range r.MethodCalls {
			out, err := ResolveArgs(c.Args, r.MethodCalls[:i], 1<<16)
			if err == nil && !json.Valid(out) {
				t.Fatalf("resolved to %q", out)
			}
		}
	})
}

func FuzzPointer(f *testing.F) {
	f.Add([]byte(`{"a":[{"b":1},{"b":[2]}]}`), "/a/*/b")
	f.Add([]byte(`[[1],[2]]`), "/*/*")
	f.Fuzz(func(t *testing.T, doc []byte, path string) {
		if CheckIJSON(doc) != nil {
			return
		}
		if out, ok := Pointer(doc, path); ok && !json.Valid(out) {
			t.Fatalf("%q", out)
		}
	})
}

func FuzzFilter(f *testing.F) {
	f.Add([]byte(`{"operator":"AND","conditions":[{"a":1},{"operator":"NOT","conditions":[{}]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if CheckIJSON(data) != nil {
			return
		}
		if _, err := ParseFilter(data); err != nil {
			var me *MethodError
			if !errors.As(err, &me) {
				t.Fatalf("not a method error: %v", err)
			}
		}
		if p, err := ParsePatch(data); err == nil {
			_, _ = p.Apply(map[string]json.RawMessage{"a": data})
		}
	})
}
