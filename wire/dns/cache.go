package dns

import (
	"container/list"
	"sync"
	"time"
)

// cache is a least-recently-used map of replies with an end date each.
type cache struct {
	mu   sync.Mutex
	max  int
	rows map[Question]*list.Element
	age  *list.List // front: used last
}

type entry struct {
	q      Question
	reply  Reply
	failed error // a temporary failure, kept for a moment so that it is not asked in a loop
	until  time.Time
}

func newCache(limit int) *cache {
	return &cache{max: limit, rows: make(map[Question]*list.Element), age: list.New()}
}

func (c *cache) get(q Question, now time.Time) (*entry, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	el, ok := c.rows[q]
	if !ok {
		return nil, false
	}
	e := el.Value.(*entry)
	if !now.Before(e.until) {
		c.age.Remove(el)
		delete(c.rows, q)
		return nil, false
	}
	c.age.MoveToFront(el)
	return e, true
}

func (c *cache) put(e *entry) {
	if entrySize(e) > maxEntryBytes {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if el, ok := c.rows[e.q]; ok {
		el.Value = e
		c.age.MoveToFront(el)
		return
	}
	c.rows[e.q] = c.age.PushFront(e)
	for c.age.Len() > c.max {
		last := c.age.Back()
		delete(c.rows, last.Value.(*entry).q)
		c.age.Remove(last)
	}
}

func (c *cache) len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.age.Len()
}

func entrySize(e *entry) int {
	n := len(e.q.Name)
	for i := range e.reply.Records {
		r := &e.reply.Records[i]
		n += recordOverhead + len(r.Text) + len(r.MX.Host) + len(r.TLSA.Data)
	}
	return n
}
