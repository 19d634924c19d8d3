package peers

import (
	"bytes"
	"fmt"
	"mime"
	"mime/multipart"
	"net/mail"
	"strings"
	"testing"
)

// outbound: a user of ours submits with swaks, Postfix takes it over TLS in
// chunks, Dovecot has every octet of it.
func (r *rig) outbound(t *testing.T) {
	sent := letter("u1@example.test", "ravi@peer.example", "out-1", 5000)
	r.submit(t, "u1@example.test", []string{"ravi@peer.example", "mina@peer.example"}, sent)
	for _, user := range []string{"ravi@peer.example", "mina@peer.example"} {
		got := r.theirs(user).Await(t, "INBOX", "Message-ID", "out-1@test", r.logs)
		below(t, got, sent)
		subject, err := new(mime.WordDecoder).DecodeHeader(field(got, "Subject")[0])
		if err != nil || subject != "निविदा संख्या 42" {
			t.Errorf("subject %q, %v", subject, err)
		}
		if rcv := field(got, "Received"); len(rcv) < 2 || !strings.Contains(rcv[len(rcv)-1], "ESMTPSA") {
			t.Errorf("the submission's trace is not the first: %q", rcv)
		}
		for _, private := range []string{"Bcc", "Mohar-Account", "Return-Receipt-To"} {
			if v := field(got, private); len(v) > 0 {
				t.Errorf("%s leaves: %q", private, v)
			}
		}
	}
	if !r.fix.Logged("smtpd", "TLS connection established from") {
		t.Errorf("no TLS towards Postfix\n%s", r.fix.Logs())
	}
	r.spoken(t, "mail=1 rcpt=2 bdat=1")
}

// outboundBare: the same to a Postfix that offers neither CHUNKING, PIPELINING
// nor STARTTLS.
func (r *rig) outboundBare(t *testing.T) {
	r.fix.Set(t, "smtpd_discard_ehlo_keywords", "chunking,pipelining,starttls,size,dsn,enhancedstatuscodes")
	defer r.fix.Set(t, "smtpd_discard_ehlo_keywords", "")
	sent := letter("u1@example.test", "ravi@peer.example", "out-bare", 5000)
	r.submit(t, "u1@example.test", []string{"ravi@peer.example"}, sent)
	below(t, r.theirs("ravi@peer.example").Await(t, "INBOX", "Message-ID", "out-bare@test", r.logs), sent)
	r.spoken(t, "mail=1 rcpt=1 data=1")
}

// spoken waits until Postfix closes an idle session of ours, when it logs which
// commands it has had.
func (r *rig) spoken(t *testing.T, commands string) {
	t.Helper()
	Eventually(t, startLimit, "Postfix logs a session with "+commands, func() bool {
		return r.fix.Logged("smtpd[", "disconnect from", commands)
	}, r.fix.Logs)
}

// signatures: OpenDKIM, with the keys that we say are to be published, finds
// both signatures good, and bad once a letter of the body has changed.
func (r *rig) signatures(t *testing.T) {
	sent := letter("u1@example.test", "ravi@peer.example", "signed", 100)
	r.submit(t, "u1@example.test", []string{"ravi@peer.example"}, sent)
	got := r.theirs("ravi@peer.example").Await(t, "INBOX", "Message-ID", "signed@test", r.logs)
	verdict := strings.Join(field(got, "Authentication-Results"), "\n")
	for name := range r.keys {
		selector, _, _ := strings.Cut(name, ".")
		if !passes(verdict, selector) {
			t.Errorf("OpenDKIM does not pass selector %s:\n%s\n%s", selector, verdict, field(got, "DKIM-Signature"))
		}
	}
	// The trace that Postfix and OpenDKIM put on top goes, the signed letter stays.
	at := bytes.Index(got, []byte("DKIM-Signature:"))
	if at < 0 {
		t.Fatalf("no signature:\n%s", got)
	}
	forged := bytes.Replace(got[at:], []byte(".dot\r\n"), []byte(".dots\r\n"), 1)
	if bytes.Equal(forged, got[at:]) {
		t.Fatal("nothing was forged")
	}
	if out, status := Swaks(t, r.fix.Port, "u1@example.test", []string{"mina@peer.example"}, forged); status != 0 {
		t.Fatalf("swaks: %d\n%s", status, out)
	}
	got = r.theirs("mina@peer.example").Await(t, "INBOX", "Message-ID", "signed@test", r.logs)
	if verdict := strings.Join(field(got, "Authentication-Results"), "\n"); strings.Contains(verdict, "dkim=pass") || !strings.Contains(verdict, "dkim=fail") {
		t.Errorf("OpenDKIM on a forged body: %s", verdict)
	}
}

// passes says whether a verdict calls the signature of a selector good.
func passes(verdict, selector string) bool {
	for part := range strings.SplitSeq(strings.ReplaceAll(verdict, "\n", ";"), ";") {
		if strings.Contains(part, "dkim=pass") && strings.Contains(part, "header.s="+selector) {
			return true
		}
	}
	return false
}

// ourBounce: what Postfix refuses comes back to its writer as a delivery report.
func (r *rig) ourBounce(t *testing.T) {
	r.submit(t, "u6@example.test", []string{"nosuchuser@peer.example"}, letter("u6@example.test", "nosuchuser@peer.example", "lost-1", 100))
	got := r.ours("u6@example.test").Await(t, "INBOX", "Content-Type", "multipart/report", r.logs)
	report(t, got, "nosuchuser@peer.example", "lost-1@test")
	if from := field(got, "Return-Path"); len(from) != 1 || from[0] != "<>" {
		t.Errorf("the report's Return-Path: %q", from)
	}
}

// theirBounce: Postfix gets our 550 5.1.1 and its bounce reaches the sender.
func (r *rig) theirBounce(t *testing.T) {
	sent := letter("mina@peer.example", "nosuch@example.test", "lost-2", 100)
	if out, status := Swaks(t, r.fix.Port, "mina@peer.example", []string{"nosuch@example.test"}, sent); status != 0 {
		t.Fatalf("swaks: %d\n%s", status, out)
	}
	got := r.theirs("mina@peer.example").Await(t, "INBOX", "Content-Type", "multipart/report", r.logs)
	report(t, got, "nosuch@example.test", "lost-2@test")
	if !r.fix.Logged("nosuch@example.test", "status=bounced", "550 5.1.1") {
		t.Errorf("not a 550 5.1.1\n%s", r.fix.Logs())
	}
}

// report checks a delivery report (RFC 3464) with the standard library's
// parsers: who has not got which message, and why.
func report(t *testing.T, got []byte, recipient, id string) {
	t.Helper()
	m, err := mail.ReadMessage(bytes.NewReader(got))
	if err != nil {
		t.Fatalf("%v\n%s", err, got)
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/report" || params["report-type"] != "delivery-status" {
		t.Fatalf("%q, %v, %v", kind, params, err)
	}
	var kinds []string
	var all [3]string
	parts := multipart.NewReader(m.Body, params["boundary"])
	for i := 0; ; i++ {
		p, err := parts.NextPart()
		if err != nil {
			break
		}
		var b bytes.Buffer
		if _, err := b.ReadFrom(p); err != nil {
			t.Fatal(err)
		}
		k, _, _ := mime.ParseMediaType(p.Header.Get("Content-Type"))
		kinds = append(kinds, k)
		if i < len(all) {
			all[i] = b.String()
		}
	}
	if len(kinds) != 3 || kinds[1] != "message/delivery-status" {
		t.Fatalf("parts %q\n%s", kinds, got)
	}
	status := strings.ToLower(all[1])
	for _, want := range []string{"action: failed", "status: 5.1.1", "final-recipient: rfc822; " + recipient, "550 5.1.1"} {
		if !strings.Contains(strings.ReplaceAll(status, "rfc822;"+recipient, "rfc822; "+recipient), want) {
			t.Errorf("no %q in\n%s", want, all[1])
		}
	}
	if !strings.Contains(all[2], id) {
		t.Errorf("the message is not named: %s", all[2])
	}
}

// inbound: mail that Postfix has taken reaches us over TLS, each octet as sent.
func (r *rig) inbound(t *testing.T) {
	sent := letter("ravi@peer.example", "u2@example.test", "in-1", 5000)
	if out, status := Swaks(t, r.fix.Port, "ravi@peer.example", []string{"u2@example.test", "u7@example.test"}, sent); status != 0 {
		t.Fatalf("swaks: %d\n%s", status, out)
	}
	for _, user := range []string{"u2@example.test", "u7@example.test"} {
		box := r.ours(user)
		got := box.Await(t, "INBOX", "Message-ID", "in-1@test", r.logs)
		below(t, got, sent)
		if path := field(got, "Return-Path"); len(path) != 1 || path[0] != "<ravi@peer.example>" {
			t.Errorf("Return-Path %q", path)
		}
		if rcv := field(got, "Received"); len(rcv) != 2 || !strings.Contains(rcv[0], "ESMTPS") {
			t.Errorf("Received %q", rcv)
		}
		box.Port, box.TLS = r.demo.Base+doorIMAPS, true
		below(t, box.Fetch(t, "INBOX", box.Find(t, "INBOX", "Message-ID", "in-1@test")[0]), sent)
	}
	if !r.fix.Logged("postfix/smtp[", "TLS connection established to") {
		t.Errorf("no TLS from Postfix\n%s", r.fix.Logs())
	}
}

// inboundBare: Postfix speaks to us without PIPELINING and without TLS.
func (r *rig) inboundBare(t *testing.T) {
	sent := letter("ravi@peer.example", "u3@example.test", "in-bare", 5000)
	if out, status := Swaks(t, r.fix.Port, "ravi@peer.example", []string{"u3@example.test"}, sent); status != 0 {
		t.Fatalf("swaks: %d\n%s", status, out)
	}
	got := r.ours("u3@example.test").Await(t, "INBOX", "Message-ID", "in-bare@test", r.logs)
	below(t, got, sent)
	if rcv := field(got, "Received"); len(rcv) != 2 || strings.Contains(rcv[0], "ESMTPS") {
		t.Errorf("Received %q", rcv)
	}
}

// inboundLMTP: Postfix as LMTP client; one recipient of two is unknown, and only
// that one bounces.
func (r *rig) inboundLMTP(t *testing.T) {
	sent := letter("ravi@peer.example", "u4@example.test", "in-lmtp", 5000)
	if out, status := Swaks(t, r.fix.Port, "ravi@peer.example", []string{"nolmtp@example.test", "u4@example.test"}, sent); status != 0 {
		t.Fatalf("swaks: %d\n%s", status, out)
	}
	got := r.ours("u4@example.test").Await(t, "INBOX", "Message-ID", "in-lmtp@test", r.logs)
	below(t, got, sent)
	if rcv := field(got, "Received"); len(rcv) != 2 || !strings.Contains(rcv[0], "LMTP") {
		t.Errorf("Received %q", rcv)
	}
	report(t, r.theirs("ravi@peer.example").Await(t, "INBOX", "Content-Type", "multipart/report", r.logs), "nolmtp@example.test", "in-lmtp@test")
}

// large: an attachment of 12 MB in both directions.
func (r *rig) large(t *testing.T) {
	const size = 12 << 20
	in := letter("ravi@peer.example", "u5@example.test", "large-in", size)
	if out, status := Swaks(t, r.fix.Port, "ravi@peer.example", []string{"u5@example.test"}, in); status != 0 {
		t.Fatalf("swaks: %d\n%s", status, out)
	}
	out := letter("u5@example.test", "ravi@peer.example", "large-out", size)
	r.submit(t, "u5@example.test", []string{"ravi@peer.example"}, out)
	below(t, r.ours("u5@example.test").Await(t, "INBOX", "Message-ID", "large-in@test", r.logs), in)
	below(t, r.theirs("ravi@peer.example").Await(t, "INBOX", "Message-ID", "large-out@test", r.logs), out)
}

// utf8: a message with UTF-8 in its header and envelope (RFC 6531) from Postfix'
// own sendmail to a user of ours with an address in ASCII, and to one whose
// address is wholly in Devanagari.
func (r *rig) utf8(t *testing.T) {
	hindi := r.ours("asha.verma@rajya.example")
	hindi.Password = samplePassword
	for _, c := range []struct {
		to  string
		box Curl
		id  string
	}{
		{"u8@example.test", r.ours("u8@example.test"), "utf8-1"},
		{"आशा.वर्मा@राज्य.example", hindi, "utf8-2"},
		{"आशा.वर्मा@rajya.example", hindi, "utf8-3"},
	} {
		sent := fmt.Appendf(nil, "From: रवि <ravi@peer.example>\nTo: आशा <%s>\nDate: Mon, 23 Nov 2026 10:00:00 +0530\n"+
			"Subject: निविदा\nMessage-ID: <%s@test>\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n"+
			"Content-Transfer-Encoding: 8bit\n\nनमस्ते\n", c.to, c.id)
		r.fix.Sendmail(t, "रवि@peer.example", []string{c.to}, sent)
		got := c.box.Await(t, "INBOX", "Message-ID", c.id+"@test", r.logs)
		below(t, got, sent)
		if path := field(got, "Return-Path"); len(path) != 1 || path[0] != "<रवि@peer.example>" {
			t.Errorf("%s: Return-Path %q", c.to, path)
		}
		if rcv := field(got, "Received"); len(rcv) == 0 || !strings.Contains(rcv[0], "UTF8SMTP") {
			t.Errorf("%s: Received %q (RFC 6531 section 4.3)", c.to, rcv)
		}
	}
}

// signIn: swaks signs in through both doors of submission with both mechanisms;
// a wrong password is refused everywhere.
func (r *rig) signIn(t *testing.T) {
	sent := letter("u9@example.test", "u10@example.test", "auth", 0)
	for _, door := range []struct {
		port int
		tls  string
	}{{doorSubmission, "--tls"}, {doorSubmissions, "--tls-on-connect"}} {
		for _, mech := range []string{"PLAIN", "LOGIN"} {
			args := []string{door.tls, "--auth", mech, "--auth-user", "u9@example.test", "--quit-after", "RCPT", "--auth-password"}
			out, status := Swaks(t, r.demo.Base+door.port, "u9@example.test", []string{"u10@example.test"}, sent, append(args, password)...)
			if status != 0 || !strings.Contains(out, "235 ") {
				t.Errorf("%d %s: %d\n%s", door.port, mech, status, out)
			}
			out, status = Swaks(t, r.demo.Base+door.port, "u9@example.test", []string{"u10@example.test"}, sent, append(args, "wrong")...)
			if status == 0 || !strings.Contains(out, "535 5.7.8") {
				t.Errorf("%d %s with a wrong password: %d\n%s", door.port, mech, status, out)
			}
		}
		out, status := Swaks(t, r.demo.Base+door.port, "u9@example.test", []string{"u10@example.test"}, sent, door.tls)
		if status == 0 || !strings.Contains(out, "530 5.7.0") {
			t.Errorf("%d without signing in: %d\n%s", door.port, status, out)
		}
	}
	const denied = 67 // curl: login denied
	box := r.ours("u9@example.test")
	if _, status := box.Do(t, "INBOX", "NOOP"); status != 0 {
		t.Errorf("curl with the right password: %d", status)
	}
	box.Password = "wrong"
	if _, status := box.Do(t, "INBOX", "NOOP"); status != denied {
		t.Errorf("curl with a wrong password: %d", status)
	}
}
