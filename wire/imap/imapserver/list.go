package imapserver

import (
	"context"
	"strings"

	"github.com/mohar-mail/mohar/wire/imap"
)

// listWants says which attributes the client asked for.
type listWants struct{ subscribed, children, specialUse bool }

// list is LIST (RFC 9051 section 6.3.9) and LSUB (RFC 3501 section 6.3.9).
func (c *conn) list(ctx context.Context, cmd imap.Command) error {
	a := cmd.Args.(*imap.List)
	if len(a.Patterns) == 1 && a.Patterns[0] == "" && !a.Extended {
		c.out = append(c.out, "* "+cmd.Name+` (\Noselect) "/" ""`+"\r\n"...)
		return c.done(ctx, cmd, "", "Done")
	}
	all, err := c.sess.List(ctx)
	if err != nil {
		return c.fail(cmd.Tag, err)
	}
	w := listWants{
		subscribed: a.RetSubscribed || a.SelSubscribed,
		children:   a.RetChildren || !a.Extended,
		specialUse: a.RetSpecialUse || a.SelSpecialUse || !a.Extended,
	}
	t := newTree(all)
	for i := range all {
		m := &all[i]
		if err := c.listOne(a, m, t, w); err != nil {
			return err
		}
	}
	return c.done(ctx, cmd, "", "Done")
}

// listOne writes the line of one mailbox if it is wanted.
func (c *conn) listOne(a *imap.List, m *Mailbox, t tree, w listWants) error {
	if !matchAny(a, m.Name) {
		return nil
	}
	if a.Lsub {
		c.lsubOne(a, m, t)
		return c.flushIfLarge()
	}
	chosen := (!a.SelSubscribed || m.Subscribed) && (!a.SelSpecialUse || m.Use != "")
	var childInfo []string
	if a.SelRecursive && a.SelSubscribed && t.subscribedBelow(m.Name) {
		childInfo = []string{"SUBSCRIBED"}
	}
	if !chosen && childInfo == nil {
		return nil
	}
	c.listLine("LIST", c.listAttrs(*m, t, w), m.Name, childInfo)
	if a.RetStatus != nil && chosen && !m.NoSelect {
		c.statusLine(*m, a.RetStatus)
	}
	return c.flushIfLarge()
}

// lsubOne: with "%" a mailbox that is not subscribed but has subscribed ones
// below is shown as \Noselect (RFC 3501 section 6.3.9).
func (c *conn) lsubOne(a *imap.List, m *Mailbox, t tree) {
	switch {
	case m.Subscribed:
		c.listLine("LSUB", nil, m.Name, nil)
	case strings.HasSuffix(a.Patterns[0], "%") && t.subscribedBelow(m.Name):
		c.listLine("LSUB", []string{`\Noselect`}, m.Name, nil)
	}
}

func matchAny(a *imap.List, name string) bool {
	for _, p := range a.Patterns {
		if imap.MatchPattern(a.Reference+p, name) {
			return true
		}
	}
	return false
}

func (c *conn) listAttrs(m Mailbox, t tree, w listWants) []string {
	var attrs []string
	if m.NoSelect {
		attrs = append(attrs, `\Noselect`)
	}
	if t != nil && w.children {
		if t[m.Name].children {
			attrs = append(attrs, `\HasChildren`)
		} else {
			attrs = append(attrs, `\HasNoChildren`)
		}
	}
	if w.subscribed && m.Subscribed {
		attrs = append(attrs, `\Subscribed`)
	}
	if w.specialUse && m.Use != "" {
		attrs = append(attrs, m.Use)
	}
	return attrs
}

// listLine writes one LIST or LSUB response.
func (c *conn) listLine(what string, attrs []string, name string, childInfo []string) {
	b := append(c.out, "* "...)
	b = append(b, what...)
	b = append(b, " ("...)
	b = append(b, strings.Join(attrs, " ")...)
	b = append(b, `) "/" `...)
	b = imap.AppendMailbox(b, name, c.utf8)
	if childInfo != nil {
		b = append(b, ` ("CHILDINFO" ("`+strings.Join(childInfo, `" "`)+`"))`...)
	}
	c.out = append(b, "\r\n"...)
}

// tree says of each mailbox what is below it.
type tree map[string]struct{ children, subscribed bool }

func newTree(all []Mailbox) tree {
	t := tree{}
	for i := range all {
		for name := all[i].Name; ; {
			cut := strings.LastIndexByte(name, imap.Delimiter)
			if cut < 0 {
				break
			}
			name = name[:cut]
			n := t[name]
			n.children = true
			n.subscribed = n.subscribed || all[i].Subscribed
			t[name] = n
		}
	}
	return t
}

func (t tree) subscribedBelow(name string) bool { return t[name].subscribed }
