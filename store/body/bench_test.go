package body_test

import (
	"bytes"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/mohar-mail/mohar/store/blob/memblob"
	"github.com/mohar-mail/mohar/store/body"
	"github.com/mohar-mail/mohar/store/kv"
	"github.com/mohar-mail/mohar/store/kv/pebblekv"
)

// mail is text that compresses about as mail does.
func mail(n int) []byte {
	var b bytes.Buffer
	for x := uint64(1); b.Len() < n; x = x*6364136223846793005 + 1442695040888963407 {
		fmt.Fprintf(&b, "%s of %x regarding %d\r\n", []string{"letter", "file", "order", "note"}[x>>62], x>>40, x>>50)
	}
	return b.Bytes()[:n]
}

// BenchmarkDelivery stores a body of 10 KB and six rows of 300 bytes together
// in one of 1,000 accounts, durable on return.
func BenchmarkDelivery(b *testing.B) {
	content := mail(10 << 10)
	for _, writers := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			db, err := pebblekv.Open(b.TempDir(), pebblekv.Config{})
			if err != nil {
				b.Fatal(err)
			}
			store := kv.NewStore(db)
			bodies := body.New(store, memblob.New(), body.Config{})
			ctx := b.Context()
			deliver := func(n int64) error {
				w := bodies.Writer(ctx)
				_, werr := w.Write(content)
				st, err := w.Finish()
				if err := errors.Join(werr, err); err != nil {
					return err
				}
				return store.Update(ctx, kv.Shard(fmt.Sprintf("account/%04d", n%1000)), func(tx *kv.Tx) error {
					ref := bodies.Add(tx, st, 1)
					for k := range 5 {
						tx.Put(fmt.Appendf(nil, "m/%d/%012d", k, n), make([]byte, 30))
					}
					tx.Put(fmt.Appendf(nil, "e/%012d", n), append(make([]byte, 150), ref.String()...))
					return nil
				})
			}
			var next atomic.Int64
			done := make(chan error, writers)
			b.ReportAllocs()
			b.ResetTimer()
			for range writers {
				go func() {
					for {
						n := next.Add(1)
						if n > int64(b.N) {
							done <- nil
							return
						}
						if err := deliver(n); err != nil {
							done <- err
							return
						}
					}
				}()
			}
			for range writers {
				if err := <-done; err != nil {
					b.Error(err)
				}
			}
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "deliveries/s")
			if err := store.Close(); err != nil {
				b.Error(err)
			}
		})
	}
}
