package peers

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// letter makes a message of 8-bit text and an attachment with a body that shows
// any change of an octet: long lines, dots, trailing space, Devanagari.
func letter(from, to, id string, attachment int) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "From: =?UTF-8?B?4KSw4KS14KS/?= <%s>\r\nTo: <%s>\r\nSubject: %s\r\n", from, to,
		"=?UTF-8?B?4KSo4KS/4KS14KS/4KSm4KS+IOCkuOCkguCkluCljeCkr+CkviA0Mg==?=")
	fmt.Fprintf(&b, "Date: Mon, 23 Nov 2026 10:00:00 +0530\r\nMessage-ID: <%s@test>\r\nMIME-Version: 1.0\r\n", id)
	b.WriteString("X-Folded: one\r\n two\r\n\tthree  \r\nContent-Type: multipart/mixed; boundary=\"=_b\"\r\n\r\npreamble\r\n--=_b\r\n" +
		"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" +
		"नमस्ते, निविदा संलग्न है।\r\n.\r\n..two\r\n.dot\r\nFrom the start\r\ntrailing   \r\n\ttab\r\n" +
		strings.Repeat("क", 300) + "\r\n\r\n--=_b\r\nContent-Type: application/octet-stream; name=\"tender.bin\"\r\n" +
		"Content-Disposition: attachment; filename*=UTF-8''%E0%A4%A8.bin\r\nContent-Transfer-Encoding: base64\r\n\r\n")
	const line = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1\r\n"
	b.WriteString(strings.Repeat(line, 1+attachment/len(line)))
	b.WriteString("--=_b--\r\nepilogue\r\n\r\n")
	return b.Bytes()
}

// below gives what of a message stands from its own first field on, under the
// trace fields that the hops put on top, and fails when it is not there whole.
func below(t *testing.T, got, sent []byte) {
	t.Helper()
	got = bytes.ReplaceAll(got, []byte("\r\n"), []byte("\n"))
	sent = bytes.ReplaceAll(sent, []byte("\r\n"), []byte("\n"))
	if bytes.HasSuffix(got, sent) {
		return
	}
	at := bytes.Index(got, []byte("From: "))
	n := 0
	for at >= 0 && n < len(sent) && at+n < len(got) && got[at+n] == sent[n] {
		n++
	}
	t.Errorf("the message has changed: sent %d octets, got %d; first difference at %d of what was sent: sent %q, got %q",
		len(sent), len(got), n, around(sent, n), around(got, at+n))
}

func around(b []byte, at int) []byte {
	at = max(0, min(at, len(b)))
	return b[max(0, at-40):min(len(b), at+80)]
}

// TestHarness shows that the peers work with each other before they meet us: so
// a failure elsewhere is not theirs.
func TestHarness(t *testing.T) {
	t.Parallel()
	dove := StartDovecot(t)
	milter := StartOpenDKIM(t, "mx.peer.example", nil)
	fix := StartPostfix(t, PostfixConfig{Host: "mx.peer.example", Domains: []string{"peer.example"},
		Known: []string{"ravi@peer.example"}, Milter: milter,
		Transport: map[string]string{"peer.example": fmt.Sprintf("lmtp:inet:127.0.0.1:%d", dove.LMTP)}})
	logs := func() string { return fix.Logs() + dove.Logs() }
	box := Curl{Port: dove.IMAP, User: "ravi@peer.example", Password: dove.Password}

	sent := letter("someone@elsewhere.example", "ravi@peer.example", "harness", 1000)
	if out, status := Swaks(t, fix.Port, "someone@elsewhere.example", []string{"ravi@peer.example"}, sent, "--tls"); status != 0 {
		t.Fatalf("swaks: %d\n%s\n%s", status, out, logs())
	}
	got := box.Await(t, "INBOX", "Message-ID", "harness@test", logs)
	below(t, got, sent)
	if !bytes.Contains(got, []byte("Authentication-Results: mx.peer.example")) {
		t.Errorf("the milter has not spoken:\n%s", got[:min(len(got), 1000)])
	}
	out, status := Swaks(t, fix.Port, "someone@elsewhere.example", []string{"nobody@peer.example"}, sent)
	if status == 0 || !strings.Contains(out, "550 5.1.1") {
		t.Errorf("an unknown address: %d\n%s", status, out)
	}
	fix.Sendmail(t, "someone@elsewhere.example", []string{"ravi@peer.example"},
		[]byte("Subject: local\nMessage-ID: <local@test>\nFrom: someone@elsewhere.example\n\nबस\n"))
	box.Await(t, "INBOX", "Message-ID", "local@test", logs)
	if out, status := (Curl{Port: dove.IMAP, User: "ravi@peer.example", Password: "wrong"}).Do(t, "INBOX", "NOOP"); status == 0 {
		t.Errorf("Dovecot takes any password: %s", out)
	}
}
