package imapserver

import "sync"

// pushQueue holds the idling connections to which something may have to be
// written. A connection is in it once at most (conn.queued), so it is bounded
// by the number of connections.
type pushQueue struct {
	mu     sync.Mutex
	cond   sync.Cond
	list   []pushItem
	closed bool
}

type pushItem struct {
	c         *conn
	keepAlive bool
}

func (q *pushQueue) add(i pushItem) {
	q.mu.Lock()
	if !q.closed {
		q.list = append(q.list, i)
		q.cond.Signal()
	}
	q.mu.Unlock()
}

func (q *pushQueue) next() (pushItem, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.list) == 0 && !q.closed {
		q.cond.Wait()
	}
	if q.closed {
		return pushItem{}, false
	}
	i := q.list[0]
	q.list[0] = pushItem{}
	if q.list = q.list[1:]; len(q.list) == 0 {
		q.list = nil
	}
	return i, true
}

func (q *pushQueue) close() {
	q.mu.Lock()
	q.closed = true
	q.cond.Broadcast()
	q.mu.Unlock()
}

// pusher writes to idling clients. A few shared goroutines do it, so that a
// client in IDLE costs one goroutine, which waits for its DONE.
func (s *Server) pusher() {
	defer s.wg.Done()
	for {
		i, ok := s.push.next()
		if !ok {
			return
		}
		i.c.push(i.keepAlive)
	}
}

// keepAlive lets every idling client hear from us once per interval, so that
// networks between do not forget the connection.
func (s *Server) keepAlive() {
	defer s.wg.Done()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-s.cfg.Clock.After(s.cfg.KeepAlive):
		}
		s.mu.Lock()
		for c := range s.conns {
			if c.idling.Load() {
				s.push.add(pushItem{c, true})
			}
		}
		s.mu.Unlock()
	}
}
