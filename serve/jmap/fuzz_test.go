package jmap

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// FuzzCalls sends arbitrary method calls to a door with a little mail. Whatever
// they say, the answer is a Response or a refusal of the request, never a
// failure of the server.
func FuzzCalls(f *testing.F) {
	for _, s := range []string{
		`[["Email/query",{"accountId":"a1","filter":{"operator":"NOT","conditions":[{"text":"x"},{"inMailbox":"F1"}]},"sort":[{"property":"subject"}],"anchor":"E1","anchorOffset":-1,"collapseThreads":true},"0"],["Email/get",{"accountId":"a1","#ids":{"resultOf":"0","name":"Email/query","path":"/ids/*"},"properties":["header:To:asGroupedAddresses:all","bodyStructure","bodyValues"],"fetchAllBodyValues":true,"maxBodyValueBytes":3},"1"]]`,
		`[["Email/set",{"accountId":"a1","create":{"k":{"mailboxIds":{"F1":true},"from":[{"email":"a@b.example","name":"\u0000"}],"header:X-Y:asText:all":["a","b"],"bodyStructure":{"type":"multipart/mixed","subParts":[{"partId":"1"},{"blobId":"BE1","type":"message/rfc822"}]},"bodyValues":{"1":{"value":"x"}}}},"update":{"E1":{"keywords/a":true,"mailboxIds/F2":true}},"destroy":["#k"]},"0"]]`,
		`[["Mailbox/set",{"accountId":"a1","create":{"a":{"name":"x","parentId":"#b"},"b":{"name":"y","parentId":"#a"}},"update":{"F2":{"parentId":"F3"}},"destroy":["F4"]},"0"]]`,
		`[["SearchSnippet/get",{"accountId":"a1","filter":{"body":"\"x y\" z"},"emailIds":["E1"]},"0"],["Email/parse",{"accountId":"a1","blobIds":["PE1-1","PE1-1-1_2","U"]},"1"]]`,
		`[["EmailSubmission/set",{"accountId":"a1","create":{"s":{"identityId":"I1","emailId":"E1","envelope":{"mailFrom":{"email":"x"},"rcptTo":[]}}},"onSuccessUpdateEmail":{"#s":{"keywords":null}}},"0"],["Identity/set",{"accountId":"a1","update":{"I1":{"bcc":[{"email":1}]}}},"1"]]`,
		`[["Email/queryChanges",{"accountId":"a1","sinceQueryState":"1"},"0"],["Email/import",{"accountId":"a1","emails":{"a":{"blobId":"BE1","mailboxIds":{"F1":true}}}},"1"],["Policy/explain",{"accountId":"a1","from":"a","to":["b"],"label":"open"},"2"]]`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, calls string) {
		if len(calls) > 1<<14 {
			return
		}
		w := newWorld(t)
		w.deliver(t, "inbox $seen", "From: a@x.example\nTo: g: b@x.example;\nSubject: =?utf-8?q?x?=\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nx y\n--b\nContent-Type: text/html\n\n<p>z\n--b--\n")
		code, body := w.call(calls, "hi")
		if code != http.StatusOK && code != http.StatusBadRequest {
			t.Fatalf("%d %s", code, body)
		}
		if !json.Valid(body) || strings.Contains(string(body), `"serverFail"`) {
			t.Fatalf("%s", body)
		}
		if code == http.StatusOK {
			w.everyMailReads(t)
		}
	})
}

// everyMailReads makes sure that what was created can be read back in full.
func (w *world) everyMailReads(t *testing.T) {
	code, body := w.call(`[["Email/get",{"accountId":"a1","ids":null,"properties":["headers","bodyStructure","bodyValues","from","subject"],"bodyProperties":["headers"],"fetchAllBodyValues":true},"0"]]`, "en")
	if code != http.StatusOK || !strings.HasPrefix(string(body), `{"methodResponses":[["Email/get"`) {
		t.Fatalf("%d %s", code, body)
	}
}
