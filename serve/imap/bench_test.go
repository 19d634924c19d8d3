package imap_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/mailbox"
)

const benchMessages = 20_000

// benchWorld has a full INBOX and a client in it.
func benchWorld(b *testing.B) *peer {
	w := newWorld(b)
	ctx := b.Context()
	if err := w.boxes.Ensure(ctx, account); err != nil {
		b.Fatal(err)
	}
	for n := 0; n < benchMessages; n += 500 {
		err := w.boxes.Update(ctx, mohar.AccountID(account), func(wr *mailbox.Writer) error {
			inbox, err := wr.ByRole(mailbox.RoleInbox)
			if err != nil {
				return err
			}
			for i := n; i < n+500; i++ {
				msg := letter(i) + strings.Repeat("text of the message\r\n", 100)
				bw := w.boxes.Bodies().Writer(ctx)
				if _, err := io.WriteString(bw, msg); err != nil {
					return err
				}
				staged, err := bw.Finish()
				if err != nil {
					return err
				}
				described, err := mailbox.Parse([]byte(msg))
				if err != nil {
					return err
				}
				if _, err = wr.Add(mailbox.Addition{Mailboxes: []mailbox.ID{inbox.ID}, Flags: mailbox.Seen, Keywords: []string{"$work"},
					Received: time.Unix(1_700_000_000, 0), Size: int64(len(msg)), Content: described, Staged: staged}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	p := w.dial()
	p.ok("SELECT INBOX")
	return p
}

// ask sends a command and reads its answer without keeping it.
func (p *peer) ask(command string) {
	if _, err := io.WriteString(p.nc, "a "+command+"\r\n"); err != nil {
		p.Fatal(err)
	}
	for {
		l, err := p.br.ReadSlice('\n')
		if err != nil {
			p.Fatal(err)
		}
		if l[0] == 'a' && l[1] == ' ' {
			return
		}
	}
}

func benchFetch(b *testing.B, items string) {
	p := benchWorld(b)
	b.ResetTimer()
	for range b.N {
		p.ask("FETCH 1:* " + items)
	}
	b.ReportMetric(float64(benchMessages)*float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
}

func BenchmarkFetchFlags(b *testing.B)     { benchFetch(b, "(UID FLAGS)") }
func BenchmarkFetchEnvelope(b *testing.B)  { benchFetch(b, "(UID ENVELOPE)") }
func BenchmarkFetchStructure(b *testing.B) { benchFetch(b, "(UID BODYSTRUCTURE)") }

func BenchmarkFetchRandomBody(b *testing.B) {
	p := benchWorld(b)
	b.ResetTimer()
	for range b.N {
		p.ask(fmt.Sprintf("UID FETCH %d BODY.PEEK[]", 1+rand.IntN(benchMessages)))
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
}

func BenchmarkSelect(b *testing.B) {
	p := benchWorld(b)
	b.ResetTimer()
	for range b.N {
		p.ask("SELECT INBOX")
	}
}
