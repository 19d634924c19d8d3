package smtp

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/mohar-mail/mohar/base/fault"
)

func TestParseCommand(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in   string
		verb Verb
		arg  string
	}{
		{"ehlo a.example", EHLO, "a.example"}, {"MaIl FROM:<>", MAIL, "FROM:<>"}, {"DATA", DATA, ""},
		{"data ", DATA, ""}, {"STARTTLS", STARTTLS, ""}, {"STARTTLSX", Unknown, ""}, {"", Unknown, ""},
		{" NOOP", Unknown, "NOOP"}, {"BDAT 10  LAST ", BDAT, "10  LAST"}, {"GET / HTTP/1.1", Unknown, "/ HTTP/1.1"},
	} {
		v, arg := ParseCommand([]byte(c.in))
		if v != c.verb || string(arg) != c.arg {
			t.Errorf("%q: %v %q", c.in, v, arg)
		}
	}
}

func TestParseMail(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in   string
		want MailParams
		kind fault.Kind
		ok   bool
	}{
		{in: "FROM:<a@b.example>", want: MailParams{From: "a@b.example"}, ok: true},
		{in: "from: <a@b.example> size=10 BODY=8bitmime", want: MailParams{From: "a@b.example", Size: 10, EightBit: true}, ok: true},
		{in: "FROM:<>", want: MailParams{}, ok: true},
		{in: "FROM:<@x.example,@y.example:a@b.example>", want: MailParams{From: "a@b.example"}, ok: true},
		{in: `FROM:<"a > \" b"@b.example>`, want: MailParams{From: `"a > \" b"@b.example`}, ok: true},
		{in: "FROM:<a@[192.0.2.1]>", want: MailParams{From: "a@[192.0.2.1]"}, ok: true},
		{in: "FROM:<a@[IPv6:2001:db8::1]>", want: MailParams{From: "a@[IPv6:2001:db8::1]"}, ok: true},
		{in: "FROM:<कवि@राज्य.example> SMTPUTF8", want: MailParams{From: "कवि@राज्य.example", SMTPUTF8: true}, ok: true},
		{in: "FROM:<a@b> RET=hdrs ENVID=QQ+2B1", want: MailParams{From: "a@b", Ret: "HDRS", EnvID: "QQ+2B1"}, ok: true},
		{in: "FROM:<a@b> AUTH=<>", want: MailParams{From: "a@b", Auth: "<>", HasAuth: true}, ok: true},
		{in: "FROM:<a@b> AUTH=e+3Dmc2@example.com", want: MailParams{From: "a@b", Auth: "e=mc2@example.com", HasAuth: true}, ok: true},
		{in: "FROM:<a@b> REQUIRETLS", want: MailParams{From: "a@b", RequireTLS: true}, ok: true},
		{in: "FROM:<a@b> SIZE=99999999999999999999", want: MailParams{From: "a@b", Size: 1e18}, ok: true},
		{in: "FROM:<कवि@राज्य.example>", kind: fault.Invalid},
		{in: "FROM:a@b", kind: fault.Invalid},
		{in: "TO:<a@b>", kind: fault.Invalid},
		{in: "FROM:<a@b", kind: fault.Invalid},
		{in: "FROM:<a@b>X", kind: fault.Invalid},
		{in: "FROM:<a b@c>", kind: fault.Invalid},
		{in: "FROM:<a..b@c>", kind: fault.Invalid},
		{in: "FROM:<.a@c>", kind: fault.Invalid},
		{in: "FROM:<a.@c>", kind: fault.Invalid},
		{in: "FROM:<a@b@c>", kind: fault.Invalid},
		{in: "FROM:<a@b_c.example>", kind: fault.Invalid},
		{in: "FROM:<a@-b.example>", kind: fault.Invalid},
		{in: "FROM:<a@b..c>", kind: fault.Invalid},
		{in: "FROM:<a@[300.0.0.1]>", kind: fault.Invalid},
		{in: "FROM:<a@[IPv6:fe80::1%eth0]>", kind: fault.Invalid},
		{in: "FROM:<a\xff@b> SMTPUTF8", kind: fault.Invalid},
		{in: "FROM:<" + strings.Repeat("a", 256) + "@b>", kind: fault.Invalid},
		{in: "FROM:<a@" + strings.Repeat("a", 64) + ".example>", kind: fault.Invalid},
		{in: "FROM:<a@b> SIZE=", kind: fault.Invalid},
		{in: "FROM:<a@b> SIZE=1 SIZE=2", kind: fault.Invalid},
		{in: "FROM:<a@b> SIZE=-1", kind: fault.Invalid},
		{in: "FROM:<a@b> SMTPUTF8=1", kind: fault.Invalid},
		{in: "FROM:<a@b> RET=ALL", kind: fault.Invalid},
		{in: "FROM:<a@b> ENVID=a+zz", kind: fault.Invalid},
		{in: "FROM:<a@b> BODY=BINARYMIME", kind: fault.Unsupported},
		{in: "FROM:<a@b> X=1", kind: fault.Unsupported},
	} {
		p, err := ParseMail([]byte(c.in))
		switch {
		case c.ok && err != nil:
			t.Errorf("%.60q: %v", c.in, err)
		case c.ok && *p != c.want:
			t.Errorf("%q: %+v", c.in, *p)
		case !c.ok && (err == nil || fault.KindOf(err) != c.kind):
			t.Errorf("%.60q: %v, want %v", c.in, err, c.kind)
		}
	}
}

func TestParseRcpt(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in   string
		utf8 bool
		want RcptParams
		ok   bool
	}{
		{in: "TO:<a@b.example>", want: RcptParams{To: "a@b.example"}, ok: true},
		{in: "TO:<Postmaster>", want: RcptParams{To: "Postmaster"}, ok: true},
		{in: "TO:<a@b> NOTIFY=success,Delay ORCPT=rfc822;a+2Bx@b", want: RcptParams{To: "a@b", Notify: "SUCCESS,DELAY", ORcpt: "rfc822;a+2Bx@b"}, ok: true},
		{in: "TO:<a@b> NOTIFY=NEVER", want: RcptParams{To: "a@b", Notify: "NEVER"}, ok: true},
		{in: "TO:<कवि@राज्य.example> ORCPT=utf-8;कवि@राज्य.example", utf8: true, want: RcptParams{To: "कवि@राज्य.example", ORcpt: "utf-8;कवि@राज्य.example"}, ok: true},
		{in: "TO:<कवि@राज्य.example>"},
		{in: "TO:<>"}, {in: "TO:<a>"}, {in: "FROM:<a@b>"},
		{in: "TO:<a@b> NOTIFY=NEVER,DELAY"}, {in: "TO:<a@b> NOTIFY="}, {in: "TO:<a@b> NOTIFY=SUCCESS,,DELAY"},
		{in: "TO:<a@b> ORCPT=a@b"}, {in: "TO:<a@b> ORCPT=rfc822;a=b@c"}, {in: "TO:<a@b> SIZE=1"},
	} {
		p, err := ParseRcpt([]byte(c.in), c.utf8)
		if (err == nil) != c.ok || c.ok && *p != c.want {
			t.Errorf("%q: %+v %v", c.in, p, err)
		}
	}
	if _, err := ParseRcpt([]byte("TO:<क@b>"), false); !errors.Is(err, ErrNeedsUTF8) {
		t.Error(err)
	}
}

func TestXtext(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"a+b=c d": "a+2Bb+3Dc+20d", "é": "+C3+A9", "": ""} {
		if got := EncodeXtext(in); got != want {
			t.Errorf("%q: %q", in, got)
		}
		if back, err := DecodeXtext(want); err != nil || back != in {
			t.Errorf("%q: %q %v", want, back, err)
		}
	}
	for _, bad := range []string{"+", "+2", "+2b", "a=b", "a b", "é"} {
		if _, err := DecodeXtext(bad); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q taken", bad)
		}
	}
}

func TestReplyAppend(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		r    *Reply
		want string
	}{
		{NewReply(250, EnhancedCode{2, 0, 0}, "OK"), "250 2.0.0 OK\r\n"},
		{NewReply(550, EnhancedCode{5, 7, 1}, "a\nb"), "550-5.7.1 a\r\n550 5.7.1 b\r\n"},
		{NewReply(354, EnhancedCode{}, "go"), "354 go\r\n"},
		{NewReply(550, EnhancedCode{5, 1, 1}, "x\r250 forged\x00"), "550 5.1.1 x?250 forged?\r\n"},
		{&Reply{Code: 250}, "250 \r\n"},
	} {
		if got := string(c.r.Append(nil)); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
	long := NewReply(250, EnhancedCode{2, 0, 0}, strings.Repeat("ा", 400)).Append(nil)
	if len(long) > 512 || !bytes.HasSuffix(long, []byte("ा\r\n")) {
		t.Errorf("%d octets, %q", len(long), long[len(long)-6:])
	}
}

func lines(s string) func() ([]byte, error) {
	return func() ([]byte, error) {
		i := strings.IndexByte(s, '\n')
		if i < 0 {
			return nil, io.ErrUnexpectedEOF
		}
		l := s[:i+1]
		s = s[i+1:]
		return []byte(l), nil
	}
}

func TestReadReply(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in   string
		want string
		enh  EnhancedCode
		ok   bool
	}{
		{"250 OK\r\n", "OK", EnhancedCode{}, true},
		{"250\r\n", "", EnhancedCode{}, true},
		{"550-5.1.1 no\r\n550 5.1.1 user\r\n", "no user", EnhancedCode{5, 1, 1}, true},
		{"550 2.1.1 lie\r\n", "2.1.1 lie", EnhancedCode{}, true},
		{"550 5.1 x\r\n", "5.1 x", EnhancedCode{}, true},
		{"250-a\r\n251 b\r\n", "", EnhancedCode{}, false},
		{"25 a\r\n", "", EnhancedCode{}, false},
		{"999 a\r\n", "", EnhancedCode{}, false},
		{"250_a\r\n", "", EnhancedCode{}, false},
		{"250-a\r\n", "", EnhancedCode{}, false},
		{strings.Repeat("250-a\r\n", MaxReplyLines+1) + "250 a\r\n", "", EnhancedCode{}, false},
		{"250 " + strings.Repeat("a", MaxReplyLine) + "\r\n", "", EnhancedCode{}, false},
	} {
		r, err := ReadReply(lines(c.in))
		if (err == nil) != c.ok {
			t.Errorf("%.40q: %v", c.in, err)
			continue
		}
		if c.ok && (r.Text() != c.want || r.Enhanced != c.enh) {
			t.Errorf("%q: %q %v", c.in, r.Text(), r.Enhanced)
		}
	}
}

func FuzzCommand(f *testing.F) {
	for _, s := range []string{"MAIL FROM:<a@b> SIZE=1", "RCPT TO:<\"x\\>\"@[IPv6:::1]> NOTIFY=NEVER", "BDAT 5 LAST", "EHLO x", "RCPT TO:<@a:b@c> ORCPT=utf-8;\\x{20}"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, arg := ParseCommand(b)
		_ = v.String()
		if m, err := ParseMail(arg); err == nil && m.From != "" {
			if err := CheckMailbox([]byte(m.From)); err != nil {
				t.Fatalf("%q: taken, then %v", m.From, err)
			}
			if strings.ContainsAny(m.From+m.EnvID+m.Ret, "\r\n\x00") {
				t.Fatalf("%q", m.From)
			}
		}
		if r, err := ParseRcpt(arg, true); err == nil && strings.ContainsAny(r.To+r.ORcpt+r.Notify, "\r\n\x00") {
			t.Fatalf("%q", r.To)
		}
		if n, _, err := ParseBDAT(arg); err == nil && n < 0 {
			t.Fatal(n)
		}
		_, _ = ParseHelo(arg)
		if d, err := DecodeXtext(string(b)); err == nil {
			if again, err := DecodeXtext(EncodeXtext(d)); err != nil || again != d {
				t.Fatalf("%q", b)
			}
		}
	})
}

func FuzzReply(f *testing.F) {
	f.Add("250-a\r\n250 2.0.0 b\r\n")
	f.Add("550 5.1.1 \r\n")
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ReadReply(lines(s))
		if err != nil {
			return
		}
		if len(r.Lines) > MaxReplyLines || strings.ContainsAny(r.Error(), "\r\n\x00") {
			t.Fatalf("%q", r.Error())
		}
		if back, err := ReadReply(lines(string(r.Append(nil)))); err != nil || back.Code != r.Code {
			t.Fatalf("%q: %v", r.Append(nil), err)
		}
	})
}
