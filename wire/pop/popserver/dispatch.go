package popserver

import (
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/wire/pop"
)

// states in which a command may be given.
type states uint8

const (
	authorization states = 1 << iota
	transaction
)

// handler is one command of the protocol. An error ends the connection.
type handler struct {
	in  states
	run func(*conn, pop.Command) error
}

func handlerOf(name string) handler {
	switch name {
	case "CAPA":
		return handler{authorization | transaction, (*conn).capa}
	case "QUIT":
		return handler{authorization | transaction, (*conn).quit}
	case "STLS":
		return handler{authorization, (*conn).stls}
	case "UTF8":
		return handler{authorization, (*conn).utf8Mode}
	case "USER":
		return handler{authorization, (*conn).userCommand}
	case "PASS":
		return handler{authorization, (*conn).pass}
	case "AUTH":
		return handler{authorization, (*conn).auth}
	case "STAT":
		return handler{transaction, (*conn).stat}
	case "LIST", "UIDL":
		return handler{transaction, (*conn).list}
	case "RETR", "TOP":
		return handler{transaction, (*conn).retr}
	case "DELE":
		return handler{transaction, (*conn).dele}
	case "NOOP":
		return handler{transaction, (*conn).noop}
	case "RSET":
		return handler{transaction, (*conn).rset}
	}
	return handler{}
}

// command obeys one line.
func (c *conn) command(line []byte) error {
	cmd, err := pop.ParseCommand(line)
	if err != nil {
		c.fault(err)
		return c.bad()
	}
	h, now := handlerOf(cmd.Name), authorization
	if c.sess != nil {
		now = transaction
	}
	if h.in&now == 0 {
		text := "Sign in first"
		if now == transaction {
			text = "This is not for a session that has signed in"
		}
		c.fault(fault.New(fault.Invalid, "popserver", text))
		return c.bad()
	}
	c.badInRow = 0
	return h.run(c, cmd)
}

// capa is CAPA (RFC 2449 section 5).
func (c *conn) capa(pop.Command) error {
	c.ok("Capabilities follow")
	lines := []string{"TOP", "UIDL", "RESP-CODES", "AUTH-RESP-CODE", "PIPELINING", "EXPIRE NEVER", "UTF8 USER"}
	if c.maySignIn() {
		lines = append(lines, "USER", "SASL PLAIN")
	}
	if c.mayStartTLS() {
		lines = append(lines, "STLS")
	}
	for _, l := range append(lines, "IMPLEMENTATION "+c.s.cfg.Name, ".") {
		c.out = append(append(c.out, l...), "\r\n"...)
	}
	return nil
}

// noop is NOOP (RFC 1939 section 5).
func (c *conn) noop(pop.Command) error {
	c.ok("")
	return nil
}

// utf8Mode is UTF8 (RFC 6856 section 2.1).
func (c *conn) utf8Mode(pop.Command) error {
	c.utf8 = true
	c.ok("UTF8 enabled")
	return nil
}
