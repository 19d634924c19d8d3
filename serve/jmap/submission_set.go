package jmap

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/mailbox"
	"github.com/mohar-mail/mohar/serve/jmap/message"
	"github.com/mohar-mail/mohar/wire/addr"
	wire "github.com/mohar-mail/mohar/wire/jmap"
	"github.com/mohar-mail/mohar/wire/jmap/jmapserver"
	"github.com/mohar-mail/mohar/wire/mime"
)

// submissionSet is EmailSubmission/set (RFC 8621 section 7.5).
func (d *Door) submissionSet(ctx context.Context, c *jmapserver.Call) (any, error) {
	s, err := wire.ReadSetArgs(c.Args, c.Limits.MaxObjectsInSet)
	if err != nil {
		return nil, err
	}
	onUpdate := c.Args.Map("onSuccessUpdateEmail")
	onDestroy, _ := c.Args.Strings("onSuccessDestroyEmail")
	if err := c.Args.Err(); err != nil {
		return nil, err
	}
	all, err := d.submissionsOf(ctx, c.Principal.Account)
	if err != nil {
		return nil, err
	}
	resp := &wire.SetResponse{AccountID: s.AccountID, OldState: strconv.FormatUint(all.state, 10)}
	if s.IfInState != nil && *s.IfInState != resp.OldState {
		return nil, &wire.MethodError{Type: wire.StateMismatch}
	}
	done := map[string]string{} // reference to a submission -> its email
	for _, cid := range creationOrder(s.Create, "") {
		row, err := d.send(ctx, c, s.Create[cid])
		if err != nil {
			resp.FailCreate(wire.ID(cid), err)
			continue
		}
		o := row.object()
		delete(o, "identityId")
		delete(o, "emailId")
		c.Created(wire.ID(cid), row.id())
		resp.DidCreate(wire.ID(cid), o)
		done["#"+cid], done[string(row.id())] = row.Email, row.Email
	}
	for ref, raw := range s.Update {
		id, row := d.findSubmission(c, all, ref)
		if err := updateSubmission(row, raw); err != nil {
			resp.FailUpdate(id, err)
			continue
		}
		resp.DidUpdate(id, nil)
		done[ref], done[string(id)] = row.Email, row.Email
	}
	for _, ref := range s.Destroy {
		id, row := d.findSubmission(c, all, ref)
		if err := d.forget(ctx, c, row); err != nil {
			resp.FailDestroy(id, err)
			continue
		}
		resp.DidDestroy(id)
		done[ref], done[string(id)] = row.Email, row.Email
	}
	if all, err = d.submissionsOf(ctx, c.Principal.Account); err != nil {
		return nil, err
	}
	resp.NewState = strconv.FormatUint(all.state, 10)
	return resp, afterSubmission(c, done, onUpdate, onDestroy)
}

// afterSubmission asks for the one Email/set that follows.
func afterSubmission(c *jmapserver.Call, done map[string]string, onUpdate map[string]json.RawMessage, onDestroy []string) error {
	update, destroy := map[string]json.RawMessage{}, []string{}
	for ref, patch := range onUpdate {
		if email, ok := done[ref]; ok {
			update[email] = patch
		}
	}
	for _, ref := range onDestroy {
		if email, ok := done[ref]; ok && !slices.Contains(destroy, email) {
			destroy = append(destroy, email)
		}
	}
	if len(update)+len(destroy) == 0 {
		return nil
	}
	return c.Then("Email/set", map[string]any{"accountId": c.Account, "update": update, "destroy": destroy})
}

func (d *Door) findSubmission(c *jmapserver.Call, all *submissions, ref string) (wire.ID, *submissionRow) {
	id, ok := c.Resolve(ref)
	if !ok {
		return wire.ID(ref), nil
	}
	return id, all.live(id)
}

// updateSubmission accepts nothing but what is so already: a message that is
// under way cannot be called back.
func updateSubmission(row *submissionRow, raw json.RawMessage) error {
	if row == nil {
		return &wire.SetError{Type: wire.SetNotFound}
	}
	p, err := wire.ParsePatch(raw)
	if err != nil {
		return err
	}
	next, err := patched(row.object(), p, []string{"undoStatus"})
	if err != nil {
		return err
	}
	a, err := wire.NewArgs(next)
	if err != nil {
		return err
	}
	switch a.String("undoStatus") {
	case "final":
		return message.RecordError(a)
	case "canceled":
		return &wire.SetError{Type: "cannotUnsend"}
	}
	return wire.BadProperty("undoStatus cannot be set to this.", "undoStatus")
}

// forget removes the record of a submission; the message goes its way.
func (d *Door) forget(ctx context.Context, c *jmapserver.Call, row *submissionRow) error {
	if row == nil {
		return &wire.SetError{Type: wire.SetNotFound}
	}
	return d.cfg.Mail.Update(ctx, c.Principal.Account, func(w *mailbox.Writer) error {
		s, err := readSubmissions(w.Tx())
		if err != nil {
			return err
		}
		cur := s.live(row.id())
		if cur == nil {
			return &wire.SetError{Type: wire.SetNotFound}
		}
		s.state++
		cur.Destroyed = s.state
		return s.write(w.Tx(), cur)
	})
}

// send submits the message of a new EmailSubmission and keeps its record.
func (d *Door) send(ctx context.Context, c *jmapserver.Call, raw json.RawMessage) (*submissionRow, error) {
	a, err := wire.NewArgs(raw)
	if err != nil {
		return nil, err
	}
	emailRef, ident := a.String("emailId"), a.ID("identityId")
	env, err := readEnvelope(a)
	if err != nil {
		return nil, err
	}
	if err := message.RecordError(a); err != nil {
		return nil, err
	}
	list, _, err := d.identities(ctx, c.Principal.Account)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(list, func(i identity) bool { return i.id == ident })
	if i < 0 {
		return nil, wire.BadProperty("There is no such identity.", "identityId")
	}
	e, content, err := d.messageToSend(ctx, c, emailRef)
	if err != nil {
		return nil, err
	}
	m := mime.Parse(content)
	if err := checkMessage(m, list); err != nil {
		return nil, err
	}
	if env == nil {
		env = envelopeOf(m, list, list[i].sender.Address)
	}
	if err := checkEnvelope(env, list); err != nil {
		return nil, err
	}
	env.EightBit = slices.ContainsFunc(content, func(b byte) bool { return b >= 0x80 })
	env.SMTPUTF8 = m.Flags&mime.Is8Bit != 0 || needsUTF8(env)
	qid, err := d.cfg.Submit.Submit(ctx, Submission{Account: c.Principal.Account, Address: c.Principal.Address,
		Envelope: *env, Content: content, Lang: c.Lang})
	if err != nil {
		return nil, sendError(err, env, c.Lang)
	}
	row := &submissionRow{Identity: ident, Email: e.ID.String(), Thread: e.Thread.String(), From: env.From,
		SendAt: d.clock.Now().Unix(), Queue: qid}
	for _, r := range env.To {
		row.To = append(row.To, r.Address)
	}
	// The message is on its way. Whatever becomes of the record, to report a
	// failure now would have it sent twice.
	if err := d.keepSubmission(context.WithoutCancel(ctx), c, row); err != nil && d.cfg.Log != nil {
		d.cfg.Log.ErrorContext(ctx, "no record of a submission", "queue", qid, "err", err)
	}
	return row, nil
}

func (d *Door) keepSubmission(ctx context.Context, c *jmapserver.Call, row *submissionRow) error {
	return d.cfg.Mail.Update(ctx, c.Principal.Account, func(w *mailbox.Writer) error {
		s, err := readSubmissions(w.Tx())
		if err != nil {
			return err
		}
		s.state++
		row.Created = s.state
		s.rows = append(s.rows, row)
		return s.write(w.Tx(), row)
	})
}

// messageToSend reads the email that a submission names.
func (d *Door) messageToSend(ctx context.Context, c *jmapserver.Call, ref string) (*mailbox.Email, []byte, error) {
	missing := wire.BadProperty("There is no such email.", "emailId")
	id, ok := c.Resolve(ref)
	eid, err := mailbox.ParseEmailID(string(id))
	if !ok || err != nil {
		return nil, nil, missing
	}
	var e *mailbox.Email
	err = d.view(ctx, c.Principal.Account, func(r *mailbox.Reader) (err error) { e, err = r.Email(eid); return err })
	if fault.Is(err, fault.NotFound) {
		return nil, nil, missing
	}
	if err != nil {
		return nil, nil, err
	}
	if e.Size > MaxMessage {
		return nil, nil, &wire.SetError{Type: wire.SetTooLarge, Extra: map[string]any{"maxSize": MaxMessage}}
	}
	content, err := d.cfg.Mail.Bodies().Read(ctx, e.Body)
	return e, content, err
}

// checkMessage makes sure that a draft is a whole message (RFC 5322 section
// 3.6), and from somebody whom the account may write as.
func checkMessage(m *mime.Message, list []identity) error {
	env := m.Envelope()
	var bad []string
	from := slices.Collect(addr.Singles(env.From))
	if len(from) == 0 {
		bad = append(bad, "from")
	}
	if env.Sent.IsZero() {
		bad = append(bad, "sentAt")
	}
	for _, f := range []string{"from", "sender", "to", "cc", "bcc"} {
		for a := range addr.Singles(message.AddressesOf(env, f)) {
			if _, err := a.Mailbox(); err != nil && !slices.Contains(bad, f) {
				bad = append(bad, f)
			}
		}
	}
	if len(bad) > 0 {
		return &wire.SetError{Type: "invalidEmail", Properties: bad, Description: "The message is not complete."}
	}
	for _, a := range append(from, slices.Collect(addr.Singles(env.Sender))...) {
		if !isOwn(list, a.Spec()) {
			return &wire.SetError{Type: "forbiddenFrom", Description: "You may not send as " + a.Spec() + "."}
		}
	}
	return nil
}

// isOwn says whether an address is one of the account's.
func isOwn(list []identity, address string) bool {
	m, err := addr.ParseMailbox(address)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(list, func(i identity) bool {
		own, err := addr.ParseMailbox(i.sender.Address)
		return err == nil && own.LooseKey() == m.LooseKey()
	})
}

// readEnvelope reads the envelope of a submission; nil where it is to be made
// from the message.
func readEnvelope(a *wire.Args) (*mohar.Envelope, error) {
	raw, ok := a.Raw("envelope")
	if !ok {
		return nil, nil
	}
	bad := wire.BadProperty("The envelope is not valid, or has parameters that are not supported.", "envelope")
	e, err := wire.NewArgs(raw)
	if err != nil {
		return nil, bad
	}
	env := &mohar.Envelope{}
	from, _ := e.Raw("mailFrom")
	if env.From, ok = readEnvelopeAddress(from); !ok {
		return nil, bad
	}
	list, ok := e.List("rcptTo")
	if !ok || e.Err() != nil {
		return nil, bad
	}
	for _, item := range list {
		to, ok := readEnvelopeAddress(item)
		if !ok {
			return nil, bad
		}
		env.To = append(env.To, mohar.Recipient{Address: to})
	}
	return env, nil
}

func readEnvelopeAddress(raw json.RawMessage) (string, bool) {
	a, err := wire.NewArgs(raw)
	if err != nil {
		return "", false
	}
	email, params := a.String("email"), a.Map("parameters")
	return email, a.Err() == nil && len(params) == 0
}

// envelopeOf makes the envelope from a message (RFC 8621 section 7).
func envelopeOf(m *mime.Message, list []identity, fallback string) *mohar.Envelope {
	e := m.Envelope()
	env := &mohar.Envelope{From: fallback}
	for a := range addr.Singles(e.SenderOrFrom()) {
		if isOwn(list, a.Spec()) {
			env.From = a.Spec()
		}
		break
	}
	for _, field := range [][]addr.Address{e.To, e.Cc, e.Bcc} {
		for a := range addr.Singles(field) {
			env.To = append(env.To, mohar.Recipient{Address: a.Spec()})
		}
	}
	return env
}

// checkEnvelope checks who sends to whom, and takes out recipients named twice.
func checkEnvelope(env *mohar.Envelope, list []identity) error {
	if !isOwn(list, env.From) {
		return &wire.SetError{Type: "forbiddenMailFrom", Description: "You may not send as " + env.From + "."}
	}
	var bad []string
	var to []mohar.Recipient
	seen := map[string]bool{}
	for _, r := range env.To {
		m, err := addr.ParseMailbox(r.Address)
		if err != nil {
			bad = append(bad, r.Address)
			continue
		}
		if !seen[m.LooseKey()] {
			seen[m.LooseKey()] = true
			to = append(to, r)
		}
	}
	env.To = to
	switch {
	case len(bad) > 0:
		return &wire.SetError{Type: "invalidRecipients", Extra: map[string]any{"invalidRecipients": bad}}
	case len(to) == 0:
		return &wire.SetError{Type: "noRecipients"}
	case len(to) > MaxRecipients:
		return &wire.SetError{Type: "tooManyRecipients", Extra: map[string]any{"maxRecipients": MaxRecipients}}
	}
	return nil
}

func needsUTF8(env *mohar.Envelope) bool {
	needs := func(s string) bool {
		m, err := addr.ParseMailbox(s)
		return err == nil && m.NeedsUTF8()
	}
	return needs(env.From) || slices.ContainsFunc(env.To, func(r mohar.Recipient) bool { return needs(r.Address) })
}

// reason is a mohar.Reason as clients see it.
type reason struct {
	Rule       string     `json:"rule"`
	What       mohar.Text `json:"what"`
	Advice     mohar.Text `json:"advice"`
	Recipients []string   `json:"recipients"`
}

func reasonsOf(d *mohar.Decision) []reason {
	out := []reason{}
	for _, r := range d.Reasons {
		to := r.Recipients
		if to == nil {
			to = []string{}
		}
		out = append(out, reason{r.Rule, r.What, r.Advice, to})
	}
	return out
}

// unknownOf lists the recipients that an error names; all of them where it names
// none, since one of them it must be.
func unknownOf(err error, env *mohar.Envelope) []string {
	var all, named []string
	for _, r := range env.To {
		all = append(all, r.Address)
		if strings.Contains(fault.Public(err), r.Address) {
			named = append(named, r.Address)
		}
	}
	if named != nil {
		return named
	}
	return all
}

// sendError turns the submit flow's error into a SetError. A refusal by policy
// tells its reasons, in the words of the language asked for and in both.
func sendError(err error, env *mohar.Envelope, lang string) error {
	switch fault.KindOf(err) {
	case fault.Refused:
		e := &wire.SetError{Type: "forbiddenToSend", Description: fault.Public(err)}
		if d := fault.DecisionOf(err); d != nil {
			var words []string
			for _, r := range d.Reasons {
				words = append(words, strings.TrimSpace(r.What.In(lang)+" "+r.Advice.In(lang)))
			}
			if len(words) > 0 {
				e.Description = strings.Join(words, "\n")
			}
			e.Extra = map[string]any{"mohar:reasons": reasonsOf(d), "mohar:verdict": d.Verdict.String()}
		}
		return e
	case fault.Denied:
		return &wire.SetError{Type: "forbiddenFrom", Description: fault.Public(err)}
	case fault.NotFound:
		return &wire.SetError{Type: "invalidRecipients", Description: fault.Public(err), Extra: map[string]any{"invalidRecipients": unknownOf(err, env)}}
	case fault.Invalid:
		return &wire.SetError{Type: "invalidEmail", Description: fault.Public(err)}
	}
	return err
}
