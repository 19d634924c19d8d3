package node

import (
	"context"
	"fmt"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/directory"
	"github.com/mohar-mail/mohar/flow/change"
	"github.com/mohar-mail/mohar/flow/submit"
	"github.com/mohar-mail/mohar/policy"
	"github.com/mohar-mail/mohar/serve/admin"
)

// explainPolicy says what the rules would make of a message.
func (n *Node) explainPolicy(ctx context.Context, q admin.Question) (*policy.Explanation, error) {
	label, err := mohar.ParseLabel(q.Label)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "node.explain", err.Error())
	}
	a, _, err := n.directory.ByAddress(ctx, q.From)
	if err != nil {
		return nil, err
	}
	who := submit.Sender{Account: a.ID, Addresses: append([]string{q.From}, a.Addresses...), Category: a.Category, Clearance: a.Clearance, Lang: a.Lang}
	return n.submit.ExplainSteps(ctx, &who, q.To, label, q.Message)
}

func (n *Node) allRulebooks() []*policy.Rulebook {
	return []*policy.Rulebook{n.rulebooks[policy.State], n.rulebooks[policy.Base]}
}

// dnsRecords gives what to publish for a domain, as zone lines.
func (n *Node) dnsRecords(ctx context.Context, name string) ([]string, error) {
	d, err := n.directory.Domain(ctx, name)
	if err != nil {
		return nil, err
	}
	keys, err := n.keys.records(d.Name)
	if err != nil {
		return nil, err
	}
	lines := []string{
		fmt.Sprintf("%s. 3600 IN MX 10 %s.", d.Name, n.cfg.Hostname),
		fmt.Sprintf("%s. 3600 IN TXT \"v=spf1 mx -all\"", d.Name),
		fmt.Sprintf("_dmarc.%s. 3600 IN TXT \"v=DMARC1; p=reject; adkim=s; aspf=s; rua=mailto:postmaster@%s\"", d.Name, d.Name),
		fmt.Sprintf("_submissions._tcp.%s. 3600 IN SRV 0 1 465 %s.", d.Name, n.cfg.Hostname),
		fmt.Sprintf("_imaps._tcp.%s. 3600 IN SRV 0 1 993 %s.", d.Name, n.cfg.Hostname),
		fmt.Sprintf("_jmap._tcp.%s. 3600 IN SRV 0 1 443 %s.", d.Name, n.cfg.Hostname),
	}
	return append(lines, keys...), nil
}

// SetUp makes the first domain and its administrator in empty data. After a
// failure it can be called again: what the first call made stays.
func (n *Node) SetUp(ctx context.Context, domain, address, password string) ([]string, error) {
	by := change.By{Reason: "set up"}
	err := n.change.AddDomain(ctx, by, directory.Domain{Name: domain, State: directory.Live, Rulebook: policy.State})
	if err != nil && !fault.Is(err, fault.Exists) {
		return nil, err
	}
	_, err = n.change.AddAccount(ctx, by, directory.Account{Category: mohar.Employee, Addresses: []string{address},
		Name: mohar.Text{En: "Administrator", Hi: "प्रशासक"}, Lang: "en", Roles: []string{"admin"}}, password)
	if err != nil {
		return nil, err
	}
	return n.dnsRecords(ctx, domain)
}
