package mime

import (
	"bytes"
	"encoding/base64"
	"io"
	stdmime "mime"
	"mime/quotedprintable"
	"net/mail"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"unicode/utf8"
)

func TestDecodeText(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ in, want string }{
		{"plain", "plain"},
		{"=?utf-8?B?4KSF4KSc4KSv?=", "अजय"},
		{"=?UTF-8?q?a_=E0=A4=85?= tail", "a अ tail"},
		{"=?utf-8?Q?a?= =?utf-8?Q?b?=", "ab"},
		{"=?utf-8?Q?a?=  \r\n =?utf-8?Q?b?=", "ab"},
		{"=?utf-8?Q?a?= x =?utf-8?Q?b?=", "a x b"},
		{"=?utf-8?Q?=E0=A4?= =?UTF-8?B?hQ==?=", "अ"},
		{"=?utf-8*hi?Q?=E0=A4=85?=", "अ"},
		{"=?iso-8859-1?Q?caf=E9?=", "café"},
		{"=?windows-1251?B?z/Do4uXy?=", "Привет"},
		{"=?iso-2022-jp?B?GyRCRnxLXBsoQg==?=", "日本"},
		{"=?no-such-charset?Q?caf=E9?=", "café"},
		{"=?utf-8?Q?bad=FFoctet?=", "bad\ufffdoctet"},
		{"=?utf-8?X?abc?=", "=?utf-8?X?abc?="},
		{"=?utf-8?Q?no end", "=?utf-8?Q?no end"},
		{"=?", "=?"},
		{"=??", "=??"},
		{"=?a?b?=?c?q?x?=", "=?a?b?x"},
		{"x=?utf-8?Q?a?=y", "xay"},
		{"=?utf-8?Q?with space inside?=", "with space inside"},
		{"=?utf-8?Q?a=0D=0ABcc:_x?=", "a  Bcc: x"},
		{"=?utf-8?B?4KSF\"?=", "अ"},
		{"raw अजय", "raw अजय"},
		{"caf\xe9", "café"},
		{"\xe0\xa4\x85 =?utf-8?Q?b?= \xe9", "अ b é"},
	} {
		if got := DecodeText(c.in); got != c.want {
			t.Errorf("%q: got %q, want %q", c.in, got, c.want)
		}
	}
}

func TestEncodeTextAgreesWithPeer(t *testing.T) {
	t.Parallel()
	var peer stdmime.WordDecoder
	for _, s := range []string{"plain", "", "बजट अनुमान", strings.Repeat("राजस्थान सरकार ", 30), "a =?utf-8?q?b?= c", "café", "🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂", "\xff"} {
		e := EncodeText(s)
		want := strings.ToValidUTF8(s, "\ufffd")
		if got := DecodeText(e); got != want {
			t.Errorf("%q: %q reads as %q", s, e, got)
		}
		if got, err := peer.DecodeHeader(e); err != nil || got != want {
			t.Errorf("%q: the peer reads %q as %q, %v", s, e, got, err)
		}
		for _, w := range strings.Fields(e) {
			if strings.HasPrefix(w, "=?") && (len(w) > maxWordOut || !utf8.ValidString(DecodeText(w)) || strings.Contains(DecodeText(w), "\ufffd") && s != "\xff") {
				t.Errorf("word %q of %q", w, s)
			}
		}
	}
}

func TestParams(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ in, want string }{
		{`text/plain; charset=utf-8`, `charset="utf-8"`},
		{`text/plain; charset="utf-8" (comment); x=y`, `charset="utf-8" x="y"`},
		{`text/plain; charset=us-ascii (Plain text)`, `charset="us-ascii"`},
		{`a/b; name="C:\dir\file.txt"`, `name="C:\dir\file.txt"`},
		{`a/b; name="a\"b\\c"`, `name="a"b\c"`},
		{`a/b; name=my long file.pdf; x=1`, `name="my long file.pdf" x="1"`},
		{`a/b; name="unclosed`, `name="unclosed"`},
		{`a/b;;; x=1;`, `x="1"`},
		{`a/b; novalue; x=1`, `x="1"`},
		{`a/b; x*=utf-8''%E0%A4%85`, `x="अ"`},
		{`a/b; x*=utf-8'hi'%E0%A4%85%`, `x="अ%"`},
		{`a/b; x*=iso-8859-1''caf%E9`, `x="café"`},
		{`a/b; x*=%E0%A4%85`, `x="अ"`},
		{`a/b; x*1*=%85; x*0*=utf-8''%E0%A4`, `x="अ"`},
		{`a/b; x*0=a; x*2=c`, `x="a"`},
		{`a/b; x*1=b`, ``},
		{`a/b; x=plain; x*=utf-8''ext`, `x="ext"`},
		{`a/b; x*=utf-8''ext; x=plain`, `x="ext"`},
		{`a/b; x*=utf-8''a%0D%0Ab`, `x="a  b"`},
		{`a/b; x*99999999999999999999=b; y=1`, `y="1"`},
		{`a/b; X=1; x=2`, `x="1"`},
		{`a/b; name="=?utf-8?B?4KSF?="`, `name="अ"`},
		{"a/b; name=\"caf\xe9\"", `name="café"`},
		{"a/b;\r\n\tx=1;\r\n y=2", `x="1" y="2"`},
	} {
		_, _, params, ok := ParseMediaType(c.in)
		var got []string
		for _, p := range params {
			got = append(got, p.Name+`="`+p.Value+`"`)
		}
		if g := strings.Join(got, " "); !ok || g != c.want {
			t.Errorf("%q: got %s, want %s", c.in, g, c.want)
		}
	}
}

func TestEncodeParamAgreesWithPeer(t *testing.T) {
	t.Parallel()
	for _, v := range []string{"a.pdf", "a b.pdf", `a"b\c.pdf`, "बजट.pdf", strings.Repeat("अनुमान ", 20) + ".pdf", strings.Repeat("x", 200), "100%'*.pdf", ""} {
		for _, utf8ok := range []bool{false, true} {
			s := "attachment" + formatParams([]Param{{"filename", v}}, utf8ok)
			if _, p := ParseDisposition(s); len(p) != 1 || p[0].Value != v {
				t.Errorf("%q: %q reads as %q", v, s, p)
			}
			if !utf8ok {
				if _, p, err := stdmime.ParseMediaType(s); err != nil || p["filename"] != v {
					t.Errorf("%q: the peer reads %q as %q, %v", v, s, p, err)
				}
			}
		}
	}
}

func TestParseDate(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ in, want string }{
		{"Mon, 23 Nov 2026 10:00:00 +0530", "2026-11-23T10:00:00+05:30"},
		{"23 Nov 2026 10:00 +0530", "2026-11-23T10:00:00+05:30"},
		{"Mon, 23 Nov 2026 10:00:00 IST", "2026-11-23T10:00:00+05:30"},
		{"Mon, 23 Nov 2026 10:00:00 GMT", "2026-11-23T10:00:00Z"},
		{"Mon, 23 Nov 2026 10:00:00 EST (Eastern)", "2026-11-23T10:00:00-05:00"},
		{"Mon Nov 23 10:00:00 2026", "2026-11-23T10:00:00Z"},
		{"Mon Nov 23 10:00:00 IST 2026", "2026-11-23T10:00:00+05:30"},
		{"Mon,23 November 26 1:02:03 -0000", "2026-11-23T01:02:03Z"},
		{"1 Jan 99 00:00:00 +0000", "1999-01-01T00:00:00Z"},
		{"1 Jan 100 00:00:00 +0000", "2000-01-01T00:00:00Z"},
		{"2026-11-23 10:00:00 +05:30", "2026-11-23T10:00:00+05:30"},
		{"2026-11-23T10:00:00+05:30", "2026-11-23T10:00:00+05:30"},
		{"2026-11-23T10:00:00.123Z", "2026-11-23T10:00:00Z"},
		{"23-Nov-2026 10:00:00", "2026-11-23T10:00:00Z"},
		{"Mon, 23 Nov 2026 25:99:00 +9999", "2026-11-23T00:00:00Z"},
		{"Mon, 23 Nov 2026 10:00:00 (comment +0100) +0530 (IST)", "2026-11-23T10:00:00+05:30"},
		{"Sat, 31 Dec 2016 23:59:60 +0000", "2017-01-01T00:00:00Z"},
		{"", ""}, {"yesterday", ""}, {"32 Nov 2026", ""}, {"30 Feb 2026 00:00:00 +0000", ""}, {"Nov 2026", ""}, {"((((", ""},
		{"99999999999999999999 Nov 2026", ""},
	} {
		got, ok := ParseDate(c.in)
		s := ""
		if ok {
			s = got.Format(time.RFC3339)
		}
		if s != c.want {
			t.Errorf("%q: got %q, want %q", c.in, s, c.want)
		}
	}
	for _, s := range []string{"Mon, 23 Nov 2026 10:00:00 +0530", "3 Jan 2026 23:59 -0800"} {
		peer, err := mail.ParseDate(s)
		if got, ok := ParseDate(s); err != nil || !ok || !got.Equal(peer) {
			t.Errorf("%q: %v, peer %v %v", s, got, peer, err)
		}
	}
	now := time.Date(2026, 11, 3, 9, 5, 0, 0, time.FixedZone("", 19800))
	if got, ok := ParseDate(FormatDate(now)); !ok || !got.Equal(now) {
		t.Errorf("FormatDate: %q reads as %v", FormatDate(now), got)
	}
}

func TestBaseSubject(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ in, want string }{
		{"Budget", "Budget"}, {"Re: Budget", "Budget"}, {"RE: re : Fwd:  Budget (fwd) ", "Budget"},
		{"[list] Re: [list] Budget", "Budget"}, {"Re[2]: Budget", "Budget"}, {"Fw [x] : Budget", "Budget"},
		{"[Fwd: Re: Budget]", "Budget"}, {"[Fwd: [Fwd: a]]", "a"}, {"[list]", "[list]"}, {"[a] [b]", "[b]"}, {"", ""}, {"Re:", ""}, {"(fwd)", ""},
		{"Reference: x", "Reference: x"}, {"=?utf-8?B?UmU6IOCkheCknOCkrw==?=", "अजय"}, {"a\t b\r\n c", "a b c"},
		{"[unclosed Re: x", "[unclosed Re: x"}, {"Re: [a[b] x", "[a[b] x"},
		{strings.Repeat("Re: ", 1000) + "x", "x"}, {strings.Repeat("[a]", 1300) + "x", "x"}, {"x" + strings.Repeat("(fwd)", 800), "x"},
		{strings.Repeat("[fwd:", 600) + strings.Repeat("]", 600), ""},
	} {
		if got := BaseSubject(c.in); got != c.want {
			t.Errorf("%.60q: got %.60q, want %q", c.in, got, c.want)
		}
	}
}

func TestMsgIDs(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ in, want string }{
		{"<a@b> <c@d>", "<a@b> <c@d>"}, {"<a@b><c@d>", "<a@b> <c@d>"}, {"a@b", "<a@b>"}, {"<a@b", ""}, {"<>", ""}, {"<a <c@d>", "<c@d>"},
		{"Your message of Monday <a@b>", "<a@b>"}, {"<a\r\n b@c>", "<ab@c>"}, {">>>", ""}, {"<" + strings.Repeat("x", 2000) + ">", ""},
	} {
		if got := strings.Join(MsgIDs(c.in, 10), " "); got != c.want {
			t.Errorf("%q: got %q, want %q", c.in, got, c.want)
		}
	}
	if n := len(MsgIDs(strings.Repeat("<a@b>", 100), 7)); n != 7 {
		t.Errorf("max 7 gave %d", n)
	}
}

func TestTransfer(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ enc, in, want string }{
		{"base64", "aGVsbG8=", "hello"}, {"base64", "aGVs\r\nbG8", "hello"}, {"base64", "aGVsbG8=aGVsbG8=", "hellohello"}, {"base64", "!!aG*Vs bG8=\x00", "hello"},
		{"base64", "a", ""}, {"base64", "====", ""}, {"base64", "__-_", "\xff\xff\xbf"},
		{"quoted-printable", "a=3Db=\r\nc \t\r\nd", "a=bc\r\nd"}, {"quoted-printable", "a=\nb=zz=4\r\n=", "ab=zz=4\r\n"}, {"quoted-printable", "a = \r\nb", "a b"},
		{"quoted-printable", "=e0=A4=85\n", "अ\n"},
		{"7bit", "x", "x"}, {"x-unknown", "x", "x"}, {"", "x", "x"},
	} {
		got, err := io.ReadAll(DecodeTransfer(c.enc, []byte(c.in)))
		if err != nil || string(got) != c.want {
			t.Errorf("%s %q: got %q, %v, want %q", c.enc, c.in, got, err, c.want)
		}
		slow, err := io.ReadAll(iotest.OneByteReader(DecodeTransfer(c.enc, []byte(c.in))))
		if err != nil || !bytes.Equal(slow, got) {
			t.Errorf("%s %q: octet by octet %q, %v", c.enc, c.in, slow, err)
		}
	}
}

func TestUTF8Reader(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ cs, in, want string }{
		{"utf-8", "अजय\xff", "अजय\ufffd"}, {"", "अ\xe9", "अé"}, {"iso-8859-1", "\xe9", "é"}, {"utf-16le", "\x05\x09", "अ"}, {"bogus", "x", "x"}, {"us-ascii", "\xe0\xa4", "à¤"},
	} {
		got, err := io.ReadAll(NewUTF8Reader(c.cs, iotest.OneByteReader(strings.NewReader(c.in)), 1000))
		if err != nil || string(got) != c.want {
			t.Errorf("%s %q: got %q, %v", c.cs, c.in, got, err)
		}
	}
	if got, _ := io.ReadAll(NewUTF8Reader("utf-8", strings.NewReader(strings.Repeat("x", 99)), 10)); len(got) != 10 {
		t.Errorf("limit 10 gave %d", len(got))
	}
	if DecodeCharset("utf-7", []byte("+CQU-")) == "" || KnownCharset("utf-7") || !KnownCharset("US-ASCII") || !KnownCharset("gb18030") {
		t.Error("known charsets")
	}
}

func TestTextFromHTML(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ in, want string }{
		{"<p>a<p>b", "a b"}, {"a<b>b</b>c", "abc"}, {"x < y & z &lt;", "x < y & z <"}, {"<style>x", ""}, {"<!-- c -->a<!-- no end", "a"},
		{"<STYLE>p{}</Style >a<script>b</script>c", "ac"}, {"<a href='x'>link</a>", "link"}, {"a&nbsp;&#2309;", "a अ"}, {"<unclosed", ""},
	} {
		if got := TextFromHTML(c.in, 100); got != c.want {
			t.Errorf("%q: got %q, want %q", c.in, got, c.want)
		}
	}
}

func FuzzDecodeText(f *testing.F) {
	for _, s := range []string{"=?utf-8?B?4KSF?=", "=?utf-8?Q?=E0=A4?= =?utf-8?q?=85?=", "=?iso-2022-jp?B?GyRC?=", "=?a*b?q?_?="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d := DecodeText(s)
		if !utf8.ValidString(d) || strings.ContainsAny(d, "\r\n\x00") {
			t.Fatalf("%q gives %q", s, d)
		}
		if again := DecodeText(EncodeText(d)); again != d {
			t.Fatalf("%q encodes and decodes to %q", d, again)
		}
		BaseSubject(s)
		ParseDate(s)
		MsgIDs(s, 100)
	})
}

func FuzzParams(f *testing.F) {
	for _, s := range []string{`text/plain; charset="a"; x*0*=utf-8''%41; x*1=b`, `a/b; name="\"`, `a/b; x*=`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		typ, sub, params, _ := ParseMediaType(s)
		if !utf8.ValidString(typ + sub) {
			t.Fatalf("%q: type %q/%q", s, typ, sub)
		}
		for _, p := range params {
			if !utf8.ValidString(p.Value) || strings.ContainsAny(p.Value, "\r\n\x00") {
				t.Fatalf("%q: %q", s, p)
			}
			_, again := ParseDisposition("x" + formatParams([]Param{{"n", p.Value}}, false))
			if p.Value != "" && len(p.Value) < 1000 && (len(again) != 1 || again[0].Value != p.Value) {
				t.Fatalf("%q: %q is written as %q", s, p, again)
			}
		}
	})
}

func FuzzTransfer(f *testing.F) {
	f.Add([]byte("aGVsbG8=\r\n"))
	f.Add([]byte("a=3D=\r\nb"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, enc := range []string{"base64", "quoted-printable"} {
			got, err := io.ReadAll(DecodeTransfer(enc, b))
			if err != nil || int64(len(got)) != decodedSize(enc, b) {
				t.Fatalf("%s: %d octets, counted %d, %v", enc, len(got), decodedSize(enc, b), err)
			}
		}
		e := base64.StdEncoding.EncodeToString(b)
		if got, _ := io.ReadAll(DecodeTransfer("base64", []byte(e))); !bytes.Equal(got, b) {
			t.Fatal("base64 does not return")
		}
		text := toCRLF(b)
		q := appendQuotedPrintable(nil, text)
		if got, _ := io.ReadAll(DecodeTransfer("quoted-printable", q)); !bytes.Equal(got, text) {
			t.Fatalf("%q: quoted-printable %q gives %q", text, q, got)
		}
		if got, err := io.ReadAll(quotedprintable.NewReader(bytes.NewReader(q))); err != nil || !bytes.Equal(got, text) {
			t.Fatalf("%q: the peer reads %q as %q, %v", text, q, got, err)
		}
	})
}
