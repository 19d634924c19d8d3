package imapserver

import (
	"context"
	"strconv"
	"strings"

	"github.com/mohar-mail/mohar/wire/imap"
)

// signedInCapabilities is what a signed-in client may use beyond the basics.
const signedInCapabilities = " IDLE NAMESPACE UIDPLUS MOVE UNSELECT CHILDREN SPECIAL-USE CREATE-SPECIAL-USE" +
	" LIST-EXTENDED LIST-STATUS STATUS=SIZE ESEARCH SEARCHRES CONDSTORE QRESYNC BINARY WITHIN OBJECTID" +
	" QUOTA QUOTA=RES-STORAGE UTF8=ACCEPT APPENDLIMIT="

// capabilities gives the CAPABILITY line for the present state, without "* ".
func (c *conn) capabilities() string {
	s := "CAPABILITY IMAP4rev1 IMAP4rev2 LITERAL+ SASL-IR ID ENABLE"
	if c.sess != nil {
		return s + signedInCapabilities + strconv.FormatInt(c.s.cfg.MaxMessage, 10)
	}
	if !c.tls() && c.s.cfg.TLS != nil {
		s += " STARTTLS"
	}
	if c.maySignIn() {
		return s + " AUTH=PLAIN AUTH=LOGIN"
	}
	return s + " LOGINDISABLED"
}

func (c *conn) greet() {
	c.untagged("OK [" + c.capabilities() + "] " + c.s.cfg.Name + " IMAP ready")
}

// capability is CAPABILITY (RFC 9051 section 6.1.1).
func (c *conn) capability(ctx context.Context, cmd imap.Command) error {
	c.untagged(c.capabilities())
	return c.done(ctx, cmd, "", "Capabilities listed")
}

// noop is NOOP and CHECK (RFC 9051 section 6.1.2, RFC 3501 section 6.4.1): it
// looks for changes whether or not a hint has come.
func (c *conn) noop(ctx context.Context, cmd imap.Command) error {
	c.dirty.Store(true)
	return c.done(ctx, cmd, "", "Done")
}

// logout is LOGOUT (RFC 9051 section 6.1.3).
func (c *conn) logout(_ context.Context, cmd imap.Command) error {
	c.untagged("BYE Good bye")
	c.reply(cmd.Tag, "OK", "", "Logged out")
	return errClose
}

// id is ID (RFC 2971). We say who we are only to those who signed in: the
// version tells an attacker what to try.
func (c *conn) id(ctx context.Context, cmd imap.Command) error {
	if a := cmd.Args.(*imap.ID); a.Fields != nil && c.sess != nil {
		c.s.cfg.Log.Debug("imap client", "account", c.account, "name", a.Fields["name"], "version", a.Fields["version"])
	}
	b := append(c.out, `* ID ("name" "Mohar"`...)
	if c.sess != nil && c.s.cfg.Version != "" {
		b = append(b, ` "version" `...)
		b = imap.AppendString(b, c.s.cfg.Version, false)
	}
	c.out = append(b, ")\r\n"...)
	return c.done(ctx, cmd, "", "Done")
}

// enable is ENABLE (RFC 5161, RFC 9051 section 6.3.1).
func (c *conn) enable(ctx context.Context, cmd imap.Command) error {
	var on []string
	for _, n := range cmd.Args.(*imap.Enable).Names {
		switch n {
		case "CONDSTORE":
			c.enableCondstore()
		case "QRESYNC":
			// RFC 7162 section 3.2.3: QRESYNC switches CONDSTORE on as well.
			c.enableCondstore()
			c.qresync = true
		case "UTF8=ACCEPT":
			c.utf8 = true
		case "IMAP4REV2":
			c.rev2, c.utf8 = true, true
			n = "IMAP4rev2"
		default:
			continue
		}
		on = append(on, n)
	}
	c.untagged(strings.TrimRight("ENABLED "+strings.Join(on, " "), " "))
	return c.done(ctx, cmd, "", "Done")
}

// namespace is NAMESPACE (RFC 2342): one personal namespace.
func (c *conn) namespace(ctx context.Context, cmd imap.Command) error {
	c.untagged(`NAMESPACE (("" "/")) NIL NIL`)
	return c.done(ctx, cmd, "", "Done")
}
