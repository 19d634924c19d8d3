package smtpclient

import (
	"errors"
	"strings"
	"testing"

	mohar "github.com/mohar-mail/mohar"
)

// sendScript is one message, what the peer says to it, and what comes of it.
type sendScript struct {
	name, script string
	cfg          Config
	env          *mohar.Envelope
	body         string
	size         int64
	want         string
	err          error
	stage        Stage
}

func TestSendScripts(t *testing.T) {
	t.Parallel()
	for _, c := range sendScripts() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			nc, wait := peer(t, c.script)
			c.cfg.LocalName = "me.example"
			cl, err := New(t.Context(), nc, "peer.example", c.cfg)
			if err != nil {
				t.Fatal(err)
			}
			res, err := cl.Send(t.Context(), c.env, c.size, strings.NewReader(c.body))
			var ce *ConnError
			switch {
			case c.stage != "":
				if !errors.As(err, &ce) || ce.Stage != c.stage {
					t.Errorf("error %v, want one of stage %s", err, c.stage)
				}
			case !errors.Is(err, c.err):
				t.Errorf("error %v, want %v", err, c.err)
			}
			if got := outcomes(res); c.want != "" && got != c.want {
				t.Errorf("outcomes\n%s\nwant\n%s", got, c.want)
			}
			_ = cl.Close()
			if err := wait(); err != nil {
				t.Error(err)
			}
		})
	}
}

func sendScripts() []sendScript {
	return []sendScript{
		{name: "bare server, no extension", body: "x\r\n.dot\r\n..\r\nno end", env: envelope("c@d.example"),
			script: "S: 220 peer\nC: EHLO me.example\nS: 502 what\nC: HELO me.example\nS: 250 hi\nC: MAIL FROM:<a@b.example>\nS: 250 ok\nC: RCPT TO:<c@d.example>\nS: 250 ok\nC: DATA\nS: 354 go\nC: x\nC: ..dot\nC: ...\nC: no end\nC: .\nS: 250 taken\nEND",
			want:   "c@d.example true data-end 250 taken"},
		{name: "pipelined, one refused", body: "x\r\n", size: 3, env: envelope("c@d.example", "e@d.example"),
			script: hello + "S: 250-peer\nS: 250-PIPELINING\nS: 250-ENHANCEDSTATUSCODES\nS: 250 SIZE 100\nC: MAIL FROM:<a@b.example> SIZE=3\nC: RCPT TO:<c@d.example>\nC: RCPT TO:<e@d.example>\nC: DATA\nS: 250 ok\nS: 550-5.1.1 no\nS: 550 5.1.1 such\nS: 250 ok\nS: 354 go\nC: x\nC: .\nS: 250 2.0.0 taken\nEND",
			want:   "c@d.example false rcpt 550 5.1.1 no such\ne@d.example true data-end 250 2.0.0 taken"},
		{name: "pipelined, none accepted but 354", body: "x\r\n", env: envelope("c@d.example"),
			script: hello + "S: 250-peer\nS: 250 PIPELINING\nC: MAIL FROM:<a@b.example>\nC: RCPT TO:<c@d.example>\nC: DATA\nS: 250 ok\nS: 450 later\nS: 354 go\nC: .\nS: 554 nobody\nEND",
			want:   "c@d.example false rcpt 450 later"},
		{name: "MAIL refused", body: "x\r\n", env: envelope("c@d.example", "e@d.example"),
			script: hello + "S: 250-peer\nS: 250 PIPELINING\nC: MAIL FROM:<a@b.example>\nC: RCPT TO:<c@d.example>\nC: RCPT TO:<e@d.example>\nC: DATA\nS: 550 5.7.1 go away\nS: 503 a\nS: 503 b\nS: 503 c\nEND",
			want:   "c@d.example false mail 550 5.7.1 go away\ne@d.example false mail 550 5.7.1 go away"},
		{name: "421 at MAIL is not lost", body: "x\r\n", env: envelope("c@d.example"),
			script: hello + "S: 250-peer\nS: 250 PIPELINING\nC: MAIL FROM:<a@b.example>\nC: RCPT TO:<c@d.example>\nC: DATA\nS: 421 4.7.0 slow down\nEND",
			want:   "c@d.example false mail 421 4.7.0 slow down"},
		{name: "421 at RCPT is not lost", body: "x\r\n", env: envelope("c@d.example", "e@d.example"),
			script: hello + "S: 250-peer\nS: 250 PIPELINING\nC: MAIL FROM:<a@b.example>\nC: RCPT TO:<c@d.example>\nC: RCPT TO:<e@d.example>\nC: DATA\nS: 250 ok\nS: 250 ok\nS: 421 bye\nEND",
			want:   "c@d.example false rcpt 421 bye\ne@d.example false rcpt 421 bye"},
		{name: "refused at the end", body: "x\r\n", env: envelope("c@d.example"),
			script: hello + "S: 250-peer\nS: 250 PIPELINING\nC: MAIL FROM:<a@b.example>\nC: RCPT TO:<c@d.example>\nC: DATA\nS: 250 ok\nS: 250 ok\nS: 354 go\nC: x\nC: .\nS: 554 5.6.0 spam\nEND",
			want:   "c@d.example false data-end 554 5.6.0 spam"},
		{name: "broken at the end is unknown", body: "x\r\n", env: envelope("c@d.example"), stage: StageDataEnd,
			script: hello + "S: 250-peer\nS: 250 PIPELINING\nC: MAIL FROM:<a@b.example>\nC: RCPT TO:<c@d.example>\nC: DATA\nS: 250 ok\nS: 250 ok\nS: 354 go\nC: x\nC: .\nEND",
			want:   "c@d.example false  -"},
		{name: "BDAT", body: "x\r\n.y\r\n", env: envelope("c@d.example"),
			script: hello + "S: 250-peer\nS: 250-PIPELINING\nS: 250 CHUNKING\nC: MAIL FROM:<a@b.example>\nC: RCPT TO:<c@d.example>\nS: 250 ok\nS: 250 ok\nC: BDAT 7 LAST\nC: x\nC: .y\nS: 250 taken\nEND",
			want:   "c@d.example true data-end 250 taken"},
		{name: "NoChunking", cfg: Config{NoChunking: true}, body: "x\r\n", env: envelope("c@d.example"),
			script: hello + "S: 250-peer\nS: 250 CHUNKING\nC: MAIL FROM:<a@b.example>\nS: 250 ok\nC: RCPT TO:<c@d.example>\nS: 250 ok\nC: DATA\nS: 354 go\nC: x\nC: .\nS: 250 taken\nEND",
			want:   "c@d.example true data-end 250 taken"},
		{name: "DSN and UTF-8 parameters", body: "क\r\n", size: 5, env: &mohar.Envelope{From: "क@राज्य.example", SMTPUTF8: true, EnvID: "q+2B", Ret: "HDRS",
			To: []mohar.Recipient{{Address: "c@d.example", Notify: "NEVER", ORcpt: "rfc822;c@d.example"}}},
			script: hello + "S: 250-peer\nS: 250-PIPELINING\nS: 250-8BITMIME\nS: 250-SMTPUTF8\nS: 250-SIZE\nS: 250 DSN\nC: MAIL FROM:<क@राज्य.example> SIZE=5 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=q+2B\nC: RCPT TO:<c@d.example> NOTIFY=NEVER ORCPT=rfc822;c@d.example\nC: DATA\nS: 250 ok\nS: 250 ok\nS: 354 go\nC: क\nC: .\nS: 250 taken\nEND",
			want:   "c@d.example true data-end 250 taken"},
		{name: "parameters not offered are left out", body: "x\r\n", size: 3, env: &mohar.Envelope{From: "", EnvID: "q", Ret: "FULL",
			To: []mohar.Recipient{{Address: "c@d.example", Notify: "NEVER"}}},
			script: hello + "S: 250 peer\nC: MAIL FROM:<>\nS: 250 ok\nC: RCPT TO:<c@d.example>\nS: 250 ok\nC: DATA\nS: 354 go\nC: x\nC: .\nS: 250 taken\nEND",
			want:   "c@d.example true data-end 250 taken"},
		{name: "LMTP", cfg: Config{LMTP: true}, body: "x\r\n", env: envelope("c@d.example", "no@d.example", "e@d.example"),
			script: "S: 220 peer\nC: LHLO me.example\nS: 250-peer\nS: 250 PIPELINING\nC: MAIL FROM:<a@b.example>\nC: RCPT TO:<c@d.example>\nC: RCPT TO:<no@d.example>\nC: RCPT TO:<e@d.example>\nC: DATA\nS: 250 ok\nS: 250 ok\nS: 550 no\nS: 250 ok\nS: 354 go\nC: x\nC: .\nS: 250 taken\nS: 452 4.2.2 full\nEND",
			want:   "c@d.example true data-end 250 taken\nno@d.example false rcpt 550 no\ne@d.example false data-end 452 4.2.2 full"},
		{name: "UTF-8 address, peer without", env: envelope("क@d.example"), err: ErrUTF8, script: hello + "S: 250-peer\nS: 250 8BITMIME"},
		{name: "SMTPUTF8 flag, peer without", env: &mohar.Envelope{SMTPUTF8: true, To: envelope("c@d").To}, err: ErrUTF8, script: hello + "S: 250 peer"},
		{name: "8-bit content, peer without", env: envelope("c@d"), body: "é\r\n", err: ErrEightBit, script: hello + "S: 250 peer"},
		{name: "too large", env: envelope("c@d"), size: 101, err: ErrTooLarge, script: hello + "S: 250-peer\nS: 250 SIZE 100"},
		{name: "REQUIRETLS without TLS", env: &mohar.Envelope{RequireTLS: true, To: envelope("c@d").To}, err: ErrRequireTLS, script: hello + "S: 250-peer\nS: 250 REQUIRETLS"},
		{name: "address that forges a command", env: envelope("c@d>\r\nRCPT TO:<x@y"), err: ErrAddress, script: hello + "S: 250 peer"},
		{name: "parameter that forges a command", env: &mohar.Envelope{EnvID: "a\r\nRSET", To: envelope("c@d").To}, err: ErrAddress, script: hello + "S: 250-peer\nS: 250 DSN"},
	}
}
