package body

import (
	"container/list"
	"sync"
)

// cache keeps small bodies decoded, least recently used out first. A nil cache
// keeps nothing.
type cache struct {
	mu    sync.Mutex
	max   int64
	used  int64
	order *list.List // of *entry, newest first
	byRef map[Ref]*list.Element
}

type entry struct {
	ref   Ref
	row   row
	small []byte
}

// entryOverhead is what an entry takes beside its content, roughly.
const entryOverhead = 256

func newCache(limit int64) *cache {
	if limit <= 0 {
		return nil
	}
	return &cache{max: limit, order: list.New(), byRef: make(map[Ref]*list.Element)}
}

func (c *cache) get(ref Ref) (row, []byte, bool) {
	if c == nil {
		return row{}, nil, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	el, ok := c.byRef[ref]
	if !ok {
		return row{}, nil, false
	}
	c.order.MoveToFront(el)
	e := el.Value.(*entry)
	return e.row, e.small, true
}

func (c *cache) put(ref Ref, r row, small []byte) {
	if c == nil || int64(len(small))+entryOverhead > c.max {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.byRef[ref]; ok {
		return
	}
	c.byRef[ref] = c.order.PushFront(&entry{ref: ref, row: r, small: small})
	c.used += int64(len(small)) + entryOverhead
	for c.used > c.max {
		c.remove(c.order.Back())
	}
}

func (c *cache) drop(ref Ref) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if el, ok := c.byRef[ref]; ok {
		c.remove(el)
	}
}

func (c *cache) remove(el *list.Element) {
	e := c.order.Remove(el).(*entry)
	delete(c.byRef, e.ref)
	c.used -= int64(len(e.small)) + entryOverhead
}
