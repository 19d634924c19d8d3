package imapserver

import (
	"context"
	"strings"
	"time"

	"github.com/mohar-mail/mohar/wire/imap"
)

// pushTimeout bounds a write to an idling client. It is short because a client
// that does not read holds up others that share the pusher.
const pushTimeout = 5 * time.Second

// maxDoneLine bounds the line that ends IDLE.
const maxDoneLine = 1 << 10

// idle is IDLE (RFC 9051 section 6.3.13, RFC 2177). The connection's goroutine
// waits for DONE without a buffer; what happens meanwhile is written by a pusher.
func (c *conn) idle(ctx context.Context, cmd imap.Command) error {
	c.out = append(c.out, "+ idling\r\n"...)
	c.dirty.Store(true)
	if err := c.announce(ctx, true); err != nil {
		return err
	}
	if err := c.flush(); err != nil {
		return err
	}
	c.idling.Store(true)
	// A hint between announce and here found idling false: look once more.
	if c.dirty.Load() {
		c.hint()
	}
	err := c.await()
	c.idling.Store(false)
	if err != nil {
		return err
	}
	if c.err != nil {
		return c.err
	}
	line, err := c.shortLine(maxDoneLine)
	if err != nil {
		return err
	}
	if !strings.EqualFold(string(line), "DONE") {
		c.reply(cmd.Tag, "BAD", "", "DONE expected")
		return c.bad()
	}
	return c.done(ctx, cmd, "", "Idle is over")
}

// hint is called by the Session, from any goroutine, when something may have
// changed.
func (c *conn) hint() {
	c.dirty.Store(true)
	if c.idling.Load() && c.queued.CompareAndSwap(false, true) {
		c.s.push.add(pushItem{c: c})
	}
}

// push writes to the client if it still idles.
func (c *conn) push(keepAlive bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !keepAlive {
		c.queued.Store(false)
	}
	if !c.idling.Load() || c.err != nil {
		return
	}
	if c.sel != nil && c.dirty.Load() {
		if err := c.sync(c.s.ctx); err != nil {
			if c.lost(err) != nil {
				_ = c.flushWithin(pushTimeout)
				c.err = errClose
				c.wake()
				return
			}
		}
		c.tellExpunged(true)
	}
	if keepAlive && len(c.out) == 0 {
		c.untagged("OK Still here")
	}
	if c.flushWithin(pushTimeout) != nil {
		c.wake()
		return
	}
	c.s.pools.putBuf(c.out)
	c.out = nil
}
