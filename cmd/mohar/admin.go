package main

import (
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"time"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/policy"
	"github.com/mohar-mail/mohar/serve/admin"
)

type accountCmd struct {
	Add     accountAdd     `cmd:"" help:"Add an account."`
	List    accountList    `cmd:"" help:"List accounts."`
	Show    accountShow    `cmd:"" help:"Show one account."`
	Disable accountDisable `cmd:"" help:"Close an account to sign-in and mail."`
	Enable  accountEnable  `cmd:"" help:"Open it again."`

	Password accountPassword `cmd:"" help:"Give an account a new password, read from standard input."`
}

type accountAdd struct {
	dataFlag
	Address       string   `arg:"" help:"Address of the account."`
	Alias         []string `help:"Further addresses, for example the Hindi twin."`
	Category      string   `help:"employee, contractual, consultant, partner, third-party, functional or application." default:"employee" enum:"employee,contractual,consultant,partner,third-party,functional,application"`
	Name          string   `help:"Name in English."`
	NameHi        string   `help:"Name in Hindi." name:"name-hi"`
	Post          string   `help:"Post in English."`
	PostHi        string   `help:"Post in Hindi." name:"post-hi"`
	Sponsor       string   `help:"Address of the official who answers for the account."`
	Until         string   `help:"Last day, as 2027-03-31."`
	Lang          string   `help:"Language: hi or en." default:"hi" enum:"hi,en"`
	Reason        string   `help:"Why, for the audit log."`
	PasswordStdin bool     `help:"Read the password from standard input." name:"password-stdin"`
}

func (c *accountAdd) Run(r *runner) error {
	in := admin.NewAccount{Address: c.Address, Aliases: c.Alias, Category: c.Category, Sponsor: c.Sponsor, Until: c.Until, Lang: c.Lang, Reason: c.Reason,
		Name: mohar.Text{En: c.Name, Hi: c.NameHi}, Post: mohar.Text{En: c.Post, Hi: c.PostHi}}
	if c.PasswordStdin {
		password, err := readPassword(r)
		if err != nil {
			return err
		}
		in.Password = password
	}
	var out struct{ ID, Address string }
	if err := c.ask(r, "POST", "/accounts", in, &out); err != nil {
		return err
	}
	return c.print(r, out, func(w io.Writer) { fmt.Fprintf(w, "added %s\n", out.Address) })
}

type accountList struct {
	dataFlag
	Domain string `help:"Only accounts with an address there."`
}

func (c *accountList) Run(r *runner) error {
	all := []admin.Account{} // a list without entries is [] in JSON
	var page []admin.Account
	after := ""
	for {
		page = nil
		path := "/accounts?" + url.Values{"domain": {c.Domain}, "after": {after}}.Encode()
		if err := c.ask(r, "GET", path, nil, &page); err != nil {
			return err
		}
		if len(page) == 0 {
			break
		}
		all = append(all, page...)
		after = string(page[len(page)-1].ID)
	}
	return c.print(r, all, func(w io.Writer) {
		fmt.Fprintln(w, "ADDRESS\tCATEGORY\tUNTIL\tSTATE\tNAME\tPOST")
		for _, a := range all {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", a.Address, a.Category, a.Until, state(a.Disabled), a.Name.En, a.Post.En)
		}
	})
}

func state(disabled bool) string {
	if disabled {
		return "disabled"
	}
	return "active"
}

type accountShow struct {
	dataFlag
	Address string `arg:"" help:"An address of the account."`
}

func (c *accountShow) Run(r *runner) error {
	var out []admin.Account
	if err := c.ask(r, "GET", "/accounts?"+url.Values{"address": {c.Address}}.Encode(), nil, &out); err != nil {
		return err
	}
	return c.print(r, out, func(w io.Writer) {
		for _, a := range out {
			fmt.Fprintf(w, "addresses\t%s\nname\t%s / %s\npost\t%s / %s\ncategory\t%s\nuntil\t%s\nstate\t%s\nid\t%s\n", strings.Join(a.Addresses, ", "),
				a.Name.En, a.Name.Hi, a.Post.En, a.Post.Hi, a.Category, a.Until, state(a.Disabled), a.ID)
		}
	})
}

type accountPassword struct {
	dataFlag
	Address string `arg:"" help:"An address of the account."`
	Reason  string `help:"Why, for the audit log."`
}

func (c *accountPassword) Run(r *runner) error {
	password, err := readPassword(r)
	if err != nil {
		return err
	}
	var out map[string]bool
	in := map[string]string{"address": c.Address, "password": password, "reason": c.Reason}
	if err := c.ask(r, "POST", "/accounts/password", in, &out); err != nil {
		return err
	}
	return c.print(r, out, func(w io.Writer) { fmt.Fprintf(w, "%s has a new password\n", c.Address) })
}

type accountDisable struct {
	dataFlag
	Address string `arg:"" help:"An address of the account."`
	Reason  string `help:"Why, for the audit log."`
}

func (c *accountDisable) Run(r *runner) error {
	return setDisabled(r, &c.dataFlag, c.Address, c.Reason, true)
}

type accountEnable accountDisable

func (c *accountEnable) Run(r *runner) error {
	return setDisabled(r, &c.dataFlag, c.Address, c.Reason, false)
}

func setDisabled(r *runner, f *dataFlag, address, reason string, disabled bool) error {
	var out map[string]bool
	in := map[string]any{"address": address, "reason": reason, "disabled": disabled}
	if err := f.ask(r, "POST", "/accounts/state", in, &out); err != nil {
		return err
	}
	return f.print(r, out, func(w io.Writer) { fmt.Fprintf(w, "%s is now %s\n", address, state(disabled)) })
}

type domainCmd struct {
	List domainList `cmd:"" help:"List domains and their state."`
	DNS  domainDNS  `cmd:"" name:"dns" help:"Print the DNS records to publish."`
}

type domainList struct{ dataFlag }

func (c *domainList) Run(r *runner) error {
	var out []admin.Domain
	if err := c.ask(r, "GET", "/domains", nil, &out); err != nil {
		return err
	}
	return c.print(r, out, func(w io.Writer) {
		fmt.Fprintln(w, "DOMAIN\tSTATE\tRULEBOOK\tALIAS OF")
		for _, d := range out {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", d.Unicode, d.State, d.Rulebook, d.AliasOf)
		}
	})
}

type domainDNS struct {
	dataFlag
	Domain string `arg:"" help:"The domain."`
}

func (c *domainDNS) Run(r *runner) error {
	var out []string
	if err := c.ask(r, "GET", "/domains/"+url.PathEscape(c.Domain)+"/dns", nil, &out); err != nil {
		return err
	}
	return c.print(r, out, func(w io.Writer) { fmt.Fprintln(w, strings.Join(out, "\n")) })
}

type policyCmd struct {
	Show    policyShow    `cmd:"" help:"Print the rulebooks."`
	Explain policyExplain `cmd:"" help:"What would happen if A wrote to B."`
}

type policyShow struct{ dataFlag }

func (c *policyShow) Run(r *runner) error {
	var out []policy.Rulebook
	if err := c.ask(r, "GET", "/policy", nil, &out); err != nil {
		return err
	}
	return c.print(r, out, func(w io.Writer) {
		for _, b := range out {
			fmt.Fprintf(w, "%s %d\n", b.Name, b.Version)
			for _, x := range b.Rules {
				fmt.Fprintf(w, "  %s\t%s\t%s\n", x.ID, x.Verdict, x.What.En)
			}
		}
	})
}

type policyExplain struct {
	dataFlag
	From  string   `required:"" help:"The sender."`
	To    []string `required:"" help:"The recipients."`
	Label string   `help:"open, official, restricted, confidential, secret or top-secret."`
	File  string   `help:"A message to be looked at, as a file." type:"existingfile"`
}

func (c *policyExplain) Run(r *runner) error {
	q := admin.Question{From: c.From, To: c.To, Label: c.Label}
	if c.File != "" {
		data, err := os.ReadFile(c.File)
		if err != nil {
			return fault.Wrap(err, fault.Invalid, "mohar", "The file cannot be read.")
		}
		q.Message = data
	}
	var x policy.Explanation
	if err := c.ask(r, "POST", "/policy/explain", q, &x); err != nil {
		return err
	}
	err := c.print(r, x, func(w io.Writer) {
		fmt.Fprintf(w, "verdict\t%s\ncounts as\t%s (declared %q, marking found %q, sender may use %s)\nrulebook\t%s\n", x.Verdict, x.Effective, x.Declared, x.Found, x.Ceiling, x.Rulebook)
		for _, reason := range x.Decision.Reasons {
			fmt.Fprintf(w, "%s\t%s\n\t%s\n\t%s\n\t%s\n", reason.Rule, reason.What.En, reason.Advice.En, reason.What.Hi, reason.Advice.Hi)
		}
	})
	return err
}

// when shows a time to people at a terminal.
func when(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }
