package message

import (
	"encoding/json"
	"testing"

	wire "github.com/mohar-mail/mohar/wire/jmap"
	"github.com/mohar-mail/mohar/wire/mime"
)

// FuzzHeaderProp reads property names and values of header fields in every form.
func FuzzHeaderProp(f *testing.F) {
	f.Add("header:X:asGroupedAddresses:all", "X: g: a@b, \"c\" <d@e>;;")
	f.Add("header:List-Post:asURLs", "List-Post: <mailto:a>, (x) <b>")
	f.Add("header:Date:asDate", "Date: Mon, 1 Jan 2026 00:00:00 +0000")
	f.Fuzz(func(t *testing.T, prop, head string) {
		h, ok := parseHeaderProp(prop)
		if !ok {
			return
		}
		if h.prop != prop {
			t.Fatalf("%q became %q", prop, h.prop)
		}
		raw, err := wire.Marshal(h.value(mime.Header(head)))
		if err != nil || !json.Valid(raw) {
			t.Fatalf("%v %q", err, raw)
		}
	})
}
