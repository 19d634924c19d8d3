package imapserver

import (
	"context"
	"time"

	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/wire/imap"
)

// state is what a command needs (RFC 9051 section 6).
type state uint8

const (
	anyState state = iota
	notSignedIn
	signedIn
	inMailbox
)

// handler answers one command. It writes the tagged reply itself and gives an
// error only to end the connection.
type handler struct {
	needs state
	run   func(c *conn, ctx context.Context, cmd imap.Command) error
}

var handlers = map[string]handler{
	"CAPABILITY":   {anyState, (*conn).capability},
	"NOOP":         {anyState, (*conn).noop},
	"LOGOUT":       {anyState, (*conn).logout},
	"ID":           {anyState, (*conn).id},
	"STARTTLS":     {notSignedIn, (*conn).starttls},
	"LOGIN":        {notSignedIn, (*conn).login},
	"AUTHENTICATE": {notSignedIn, (*conn).authenticate},
	"ENABLE":       {signedIn, (*conn).enable},
	"SELECT":       {signedIn, (*conn).selectBox},
	"EXAMINE":      {signedIn, (*conn).selectBox},
	"CREATE":       {signedIn, (*conn).create},
	"DELETE":       {signedIn, (*conn).deleteBox},
	"RENAME":       {signedIn, (*conn).rename},
	"SUBSCRIBE":    {signedIn, (*conn).subscribe},
	"UNSUBSCRIBE":  {signedIn, (*conn).subscribe},
	"LIST":         {signedIn, (*conn).list},
	"LSUB":         {signedIn, (*conn).list},
	"NAMESPACE":    {signedIn, (*conn).namespace},
	"STATUS":       {signedIn, (*conn).status},
	"GETQUOTA":     {signedIn, (*conn).quota},
	"GETQUOTAROOT": {signedIn, (*conn).quotaRoot},
	"IDLE":         {signedIn, (*conn).idle},
	"CHECK":        {inMailbox, (*conn).noop},
	"CLOSE":        {inMailbox, (*conn).closeBox},
	"UNSELECT":     {inMailbox, (*conn).unselect},
	"EXPUNGE":      {inMailbox, (*conn).expunge},
	"FETCH":        {inMailbox, (*conn).fetch},
	"STORE":        {inMailbox, (*conn).store},
	"SEARCH":       {inMailbox, (*conn).search},
	"COPY":         {inMailbox, (*conn).copy},
	"MOVE":         {inMailbox, (*conn).copy},
}

func (c *conn) dispatch(cmd imap.Command) error {
	h, ok := handlers[cmd.Name]
	if !ok {
		return c.syntax(cmd, &imap.SyntaxError{What: "unknown command"})
	}
	if why := c.allowed(h.needs); why != "" {
		c.reply(cmd.Tag, "BAD", "", why)
		return c.bad()
	}
	if c.sess != nil { // before that NOOP must not buy more attempts
		c.badInRow = 0
	}
	return h.run(c, c.s.ctx, cmd)
}

func (c *conn) allowed(needs state) string {
	switch {
	case needs == notSignedIn && c.sess != nil:
		return "Already signed in"
	case needs >= signedIn && c.sess == nil:
		return "Sign in first"
	case needs == inMailbox && c.sel == nil:
		return "No mailbox is selected"
	}
	return ""
}

// mayExpunge says whether EXPUNGE may be announced with the reply to a command
// (RFC 9051 section 7.5.1: not during FETCH, STORE, SEARCH; their UID forms are
// other commands).
func mayExpunge(cmd imap.Command) bool {
	switch cmd.Name {
	case "FETCH", "STORE", "SEARCH":
		return cmd.UID
	}
	return true
}

// done announces what is new and writes the tagged OK. Commands end with it, so
// that a client that only ever sends commands learns of everything.
func (c *conn) done(ctx context.Context, cmd imap.Command, code, text string) error {
	if err := c.announce(ctx, mayExpunge(cmd)); err != nil {
		return err
	}
	c.reply(cmd.Tag, "OK", code, text)
	return c.err
}

// resyncAfter is how long we believe that no hint means no change: hints can
// get lost.
const resyncAfter = time.Minute

// announce tells what is new in the selected mailbox, when there may be
// something new.
func (c *conn) announce(ctx context.Context, expunge bool) error {
	if c.sel == nil {
		return nil
	}
	if c.dirty.Load() || time.Since(c.sel.synced) > resyncAfter {
		if err := c.sync(ctx); err != nil {
			return c.lost(err)
		}
	}
	c.tellExpunged(expunge)
	return nil
}

// lost ends the session whose selected mailbox has gone; any other failure to
// look for changes is only logged, for the next command looks again.
func (c *conn) lost(err error) error {
	if fault.Is(err, fault.NotFound) {
		c.untagged("BYE The selected mailbox has been deleted")
		return errClose
	}
	c.dirty.Store(true)
	c.s.cfg.Log.Warn("imap changes", "account", c.account, "err", err)
	return nil
}
