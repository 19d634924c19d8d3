package localhub_test

import (
	"fmt"
	"testing"

	"github.com/mohar-mail/mohar/store/hub"
	"github.com/mohar-mail/mohar/store/hub/hubtest"
	"github.com/mohar-mail/mohar/store/hub/localhub"
)

func TestSuite(t *testing.T) {
	hubtest.Run(t, localhub.New)
}

func BenchmarkPublish(b *testing.B) {
	h := localhub.New()
	defer h.Close()
	const subscribers = 100_000
	topics := make([]hub.Topic, subscribers)
	for i := range topics {
		topics[i] = hub.Topic(fmt.Sprintf("account/%d", i))
		h.Subscribe(topics[i])
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		h.Publish(hub.Event{Topic: topics[i%subscribers], State: uint64(i)})
	}
}

func BenchmarkSubscribe(b *testing.B) {
	h := localhub.New()
	defer h.Close()
	b.ReportAllocs()
	for i := range b.N {
		h.Subscribe(hub.Topic(fmt.Sprint(i)))
	}
}
