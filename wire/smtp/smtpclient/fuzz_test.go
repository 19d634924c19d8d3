package smtpclient

import (
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"testing"

	mohar "github.com/mohar-mail/mohar"
)

// talker is a peer that says what it wants, whatever it is told.
type talker struct {
	recorder
	say io.Reader
}

func (f *talker) Read(p []byte) (int, error) { return f.say.Read(p) }
func (f *talker) RemoteAddr() net.Addr       { return nil }

// FuzzPeer lets any peer answer the client: it ends, decides every recipient or
// gives an error, and sends nothing but the commands and the content it has.
func FuzzPeer(f *testing.F) {
	f.Add([]byte("220 a\r\n250-a\r\n250-PIPELINING\r\n250 SIZE 9\r\n250 a\r\n250 a\r\n550 b\r\n354 c\r\n250 d\r\n"), []byte("x\r\n.\r\n"), false)
	f.Add([]byte("220 a\r\n250-a\r\n250-CHUNKING\r\n250 8BITMIME\r\n250 a\r\n250 a\r\n250 d\r\n250 e\r\n"), []byte("\xff\r\n"), true)
	f.Add([]byte("220 a\r\n502 a\r\n250 a\r\n421 x\r\n"), []byte("a\nb"), false)
	f.Fuzz(func(t *testing.T, say, body []byte, lmtp bool) {
		nc := &talker{say: bytes.NewReader(say)}
		cl, err := New(context.Background(), nc, "peer", Config{LMTP: lmtp, Policy: Clear})
		if err != nil {
			return
		}
		hello := nc.Len()
		env := &mohar.Envelope{From: "a@b", To: []mohar.Recipient{{Address: "c@d"}, {Address: "e@f"}}}
		res, err := cl.Send(context.Background(), env, 0, bytes.NewReader(body))
		for _, to := range res.Recipients {
			if err == nil && to.Reply == nil || to.Accepted && !to.Reply.Positive() {
				t.Fatalf("%v %+v", err, to)
			}
		}
		sent := strings.ReplaceAll(nc.String()[hello:], "\r\n", "")
		if strings.ContainsAny(sent, "\n\x00") || strings.Contains(strings.TrimSuffix(sent, "\r"), "\r") {
			t.Fatalf("sent %q", nc.String())
		}
	})
}
