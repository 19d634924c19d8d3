package jmap

import "sync"

// memo remembers results by key, the newest of them, within bounds. It is safe
// for concurrent use.
type memo[K comparable, V any] struct {
	mu        sync.Mutex
	m         map[K]weighed[V]
	order     []K // oldest first
	weight    int
	maxLen    int
	maxWeight int
}

type weighed[V any] struct {
	v V
	w int
}

func newMemo[K comparable, V any](maxLen, maxWeight int) *memo[K, V] {
	return &memo[K, V]{m: map[K]weighed[V]{}, maxLen: maxLen, maxWeight: maxWeight}
}

func (c *memo[K, V]) get(k K) (V, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.m[k]
	return e.v, ok
}

// put keeps v, which weighs w, and forgets the oldest beyond the bounds.
func (c *memo[K, V]) put(k K, v V, w int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, there := c.m[k]; there || w > c.maxWeight {
		return
	}
	c.m[k] = weighed[V]{v, w}
	c.order = append(c.order, k)
	c.weight += w
	for len(c.m) > c.maxLen || c.weight > c.maxWeight {
		old := c.order[0]
		c.order = c.order[1:]
		c.weight -= c.m[old].w
		delete(c.m, old)
	}
}
