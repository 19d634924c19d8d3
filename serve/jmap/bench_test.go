package jmap

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mohar-mail/mohar/mailbox"
	"github.com/mohar-mail/mohar/store/blob/memblob"
	"github.com/mohar-mail/mohar/store/body"
	"github.com/mohar-mail/mohar/store/hub/localhub"
	"github.com/mohar-mail/mohar/store/kv"
	"github.com/mohar-mail/mohar/store/kv/pebblekv"
)

// manyMails is the size of the mailbox that benchmarks read.
const manyMails = 100_000

// bigWorld is a door over a store on disk with manyMails in the inbox, three to
// a thread on average.
func bigWorld(b *testing.B) *world {
	b.Helper()
	w := newWorld(b)
	db, err := pebblekv.Open(b.TempDir(), pebblekv.Config{})
	if err != nil {
		b.Fatal(err)
	}
	store := kv.NewStore(db)
	b.Cleanup(func() { _ = store.Close() })
	bodies := body.New(store, memblob.New(), body.Config{})
	w.hub = localhub.New()
	w.mail = mailbox.New(mailbox.Config{KV: store, Bodies: bodies, Notify: notifier{w.hub}, Clock: w.clock})
	w.door = New(Config{Mail: w.mail, Auth: everyone{}, Hints: w.hub, People: people{}, Submit: w.submit, Clock: w.clock})
	const batch = 500
	for at := 0; at < manyMails; at += batch {
		err := w.mail.Update(b.Context(), account, func(u *mailbox.Writer) error {
			for i := at; i < at+batch; i++ {
				text := fmt.Sprintf("From: Person %d <p%d@x.example>\r\nTo: asha@rajya.example\r\nSubject: matter %d\r\nMessage-ID: <%d@x>\r\nReferences: <r%d@x>\r\n\r\nshort text %d\r\n",
					i%997, i%997, i/3, i, i/3, i)
				c, err := mailbox.Parse([]byte(text))
				if err != nil {
					return err
				}
				bw := bodies.Writer(b.Context())
				if _, err := bw.Write([]byte(text)); err != nil {
					return err
				}
				st, err := bw.Finish()
				if err != nil {
					return err
				}
				flags := mailbox.Flags(0)
				if i%5 > 0 {
					flags = mailbox.Seen
				}
				if _, err := u.Add(mailbox.Addition{Mailboxes: []mailbox.ID{1}, Flags: flags, Received: time.Unix(1_700_000_000+int64(i)*60, 0),
					Size: int64(len(text)), Content: c, Staged: st}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	return w
}

// BenchmarkDoor reads a mailbox of manyMails. "changed" makes a change before
// each query, so that nothing remembered can be used.
func BenchmarkDoor(b *testing.B) {
	w := bigWorld(b)
	window := func(more string) string {
		return `[["Email/query",{"accountId":"a1","filter":{"inMailbox":"F1"},"sort":[{"property":"receivedAt","isAscending":false}],"limit":50` + more + `},"0"]]`
	}
	for _, c := range []struct{ name, calls string }{
		{"first window", window(`,"collapseThreads":true`)},
		{"window at 90000", window(`,"position":30000,"collapseThreads":true`)},
		{"first window with total", window(`,"collapseThreads":true,"calculateTotal":true`)},
		{"unread", strings.Replace(window(`,"collapseThreads":true`), `"inMailbox":"F1"`, `"inMailbox":"F1","notKeyword":"$seen"`, 1)},
		{"from", strings.Replace(window(``), `"inMailbox":"F1"`, `"inMailbox":"F1","from":"person 42"`, 1)},
		{"mailboxes", `[["Mailbox/get",{"accountId":"a1"},"0"]]`},
		{"list of 50", `[["Email/query",{"accountId":"a1","filter":{"inMailbox":"F1"},"limit":50},"0"],["Email/get",{"accountId":"a1","#ids":{"resultOf":"0","name":"Email/query","path":"/ids"},"properties":["threadId","mailboxIds","keywords","from","subject","receivedAt","preview","hasAttachment","header:Mohar-Label:asText"]},"1"]]`},
	} {
		for _, changed := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/changed=%v", c.name, changed), func(b *testing.B) {
				flagged := false
				for b.Loop() {
					if changed {
						b.StopTimer()
						flagged = !flagged
						op := mailbox.AddFlags
						if !flagged {
							op = mailbox.RemoveFlags
						}
						err := w.mail.Update(b.Context(), account, func(u *mailbox.Writer) error {
							return u.SetKeywords(mailbox.EmailID(manyMails), mailbox.FlagChange{Op: op, Flags: mailbox.Flagged})
						})
						if err != nil {
							b.Fatal(err)
						}
						b.StartTimer()
					}
					if code, body := w.call(c.calls, "en"); code != 200 || strings.Contains(string(body), `"error"`) {
						b.Fatalf("%d %.300s", code, body)
					}
				}
			})
		}
	}
}
