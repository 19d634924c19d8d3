package relay_test

import (
	"testing"
	"testing/synctest"

	"github.com/mohar-mail/mohar/flow/relay"
)

func TestTLS(t *testing.T) {
	in(t, nil, func(b *bed) { // opportunistic: broken TLS is no reason to keep the mail
		h := b.net.host("192.0.2.3", &host{tlsBroken: true})
		b.send(letter{from: "a@rajya.example", to: []string{"x@plain.example"}})
		synctest.Wait()
		if h.plain != 1 || len(h.got) != 1 || b.events[0].TLS != "none" {
			t.Errorf("%+v", h)
		}
	})
	in(t, func(c *relay.Config) { c.TLS = func(string) relay.TLSMode { return relay.TLSRequired } }, func(b *bed) {
		h := b.net.host("192.0.2.3", &host{tlsBroken: true})
		b.send(letter{from: "a@rajya.example", to: []string{"x@plain.example"}})
		synctest.Wait()
		if h.plain != 0 || len(h.got) != 0 || len(b.left()) != 1 {
			t.Errorf("policy: %+v", h)
		}
	})
	for _, h := range []*host{{tlsBroken: true}, {}} { // REQUIRETLS: bounce, and only this message
		in(t, nil, func(b *bed) {
			b.net.host("192.0.2.3", h)
			b.send(letter{from: "a@rajya.example", to: []string{"x@plain.example"}, requireTLS: true})
			synctest.Wait()
			reps := b.reports()
			want := map[bool]string{true: "5.7.10", false: "5.7.30"}[h.tlsBroken]
			if h.plain != 0 || len(h.got) != 0 || len(reps) != 1 || reps[0].Recipients[0].Status != want {
				t.Errorf("REQUIRETLS: %+v, %+v", h, reps)
			}
			b.send(letter{from: "a@rajya.example", to: []string{"x@plain.example"}})
			synctest.Wait()
			if len(h.got) != 1 {
				t.Errorf("the next message suffers for it: %s", b.kinds())
			}
		})
	}
}

func TestSMTPUTF8(t *testing.T) {
	tests := []struct {
		name, to, content string
		peer, declared    bool
		status            string // of the report; "" when delivered
		sent              string // address on the wire
		flag              bool
	}{
		{"peer can", "क@plain.example", "", true, true, "", "क@plain.example", true},
		{"peer cannot", "क@plain.example", "", false, true, "5.6.7", "", false},
		{"only declared", "x@plain.example", "", false, true, "", "x@plain.example", false},
		{"header", "x@plain.example", "Subject: नमस्ते\r\n\r\nx\r\n", false, true, "5.6.7", "", false},
		{"domain alone", "x@भारत.example", "", false, true, "", "x@xn--h2brj9c.example", false},
	}
	for _, tc := range tests {
		in(t, nil, func(b *bed) {
			if err := b.dns.Add("xn--h2brj9c.example. IN A 192.0.2.3"); err != nil {
				t.Fatal(err)
			}
			h := b.net.host("192.0.2.3", &host{info: relay.PeerInfo{SMTPUTF8: tc.peer}})
			b.send(letter{from: "a@rajya.example", to: []string{tc.to}, content: tc.content, utf8: tc.declared})
			synctest.Wait()
			reps := b.reports()
			switch {
			case tc.status != "":
				if len(h.got) != 0 || len(reps) != 1 || reps[0].Recipients[0].Status != tc.status {
					t.Errorf("%s: %d sent, %+v", tc.name, len(h.got), reps)
				}
			case len(h.got) != 1 || h.got[0].To[0].Address != tc.sent || h.got[0].SMTPUTF8 != tc.flag:
				t.Errorf("%s: %+v %s", tc.name, h.got, b.kinds())
			}
		})
	}
}

func TestFixedRoutes(t *testing.T) {
	in(t, func(c *relay.Config) {
		c.Relay = "192.0.2.9:10025"
		c.Routes = map[string]string{"plain.example": "192.0.2.3:2525"}
	}, func(b *bed) {
		all := b.net.host("192.0.2.9", &host{})
		one := b.net.host("192.0.2.3", &host{})
		b.send(letter{from: "a@rajya.example", to: []string{"x@city.example", "y@null.example", "z@unknown.invalid", "p@plain.example"}})
		synctest.Wait()
		if len(all.got) != 1 || len(all.got[0].To) != 3 || len(one.got) != 1 || len(b.left()) != 0 {
			t.Errorf("relay %+v, route %+v", all.got, one.got)
		}
	})
}
