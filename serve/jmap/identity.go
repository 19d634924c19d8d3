package jmap

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/fxamacker/cbor/v2"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/mailbox"
	"github.com/mohar-mail/mohar/serve/jmap/message"
	"github.com/mohar-mail/mohar/store/kv"
	wire "github.com/mohar-mail/mohar/wire/jmap"
	"github.com/mohar-mail/mohar/wire/jmap/jmapserver"
)

// identityRow is what a person has set about an identity; the address itself is
// the directory's.
type identityRow struct {
	Name    *string `cbor:"1,keyasint,omitempty"` // nil: that of the directory
	ReplyTo []byte  `cbor:"2,keyasint,omitempty"` // JSON EmailAddress[]; nil: null
	Bcc     []byte  `cbor:"3,keyasint,omitempty"`
	Text    string  `cbor:"4,keyasint,omitempty"`
	HTML    string  `cbor:"5,keyasint,omitempty"`
	Changed uint64  `cbor:"6,keyasint"` // the counter when it was written
}

// maxSignature bounds a signature, in octets.
const maxSignature = 64 << 10

func keyIdentityState() []byte      { return []byte("ji") }
func keyIdentity(id wire.ID) []byte { return []byte("ji/" + string(id)) }
func identityID(address string) wire.ID {
	sum := sha256.Sum256([]byte(strings.ToLower(address)))
	return wire.ID("I" + hex.EncodeToString(sum[:10]))
}

// readCounter reads a counter; 0 where it was never written.
func readCounter(r kv.Reader, key []byte) (uint64, error) {
	v, err := r.Get(key)
	if errors.Is(err, kv.ErrNotFound) {
		return 0, nil
	}
	if err != nil || len(v) < 8 {
		return 0, err
	}
	return binary.BigEndian.Uint64(v), nil
}

// identity is an Identity of an account.
type identity struct {
	id     wire.ID
	sender Sender
	row    identityRow
}

// identities lists the identities of an account and their state: the counter of
// what the person changed, and a digest of what the directory says.
func (d *Door) identities(ctx context.Context, a mohar.AccountID) (list []identity, state string, err error) {
	senders, err := d.cfg.People.Senders(ctx, a)
	if err != nil {
		return nil, "", err
	}
	digest := sha256.New()
	for _, s := range senders {
		list = append(list, identity{id: identityID(s.Address), sender: s})
		digest.Write([]byte(s.Address + "\x00" + s.Name + "\x00"))
	}
	err = d.view(ctx, a, func(r *mailbox.Reader) error {
		n, err := readCounter(r.KV(), keyIdentityState())
		if err != nil {
			return err
		}
		state = strconv.FormatUint(n, 10) + "-" + hex.EncodeToString(digest.Sum(nil)[:4])
		for i := range list {
			if err := readIdentity(r.KV(), &list[i]); err != nil {
				return err
			}
		}
		return nil
	})
	return list, state, err
}

func readIdentity(r kv.Reader, i *identity) error {
	data, err := r.Get(keyIdentity(i.id))
	if errors.Is(err, kv.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return cbor.Unmarshal(data, &i.row)
}

// object gives the Identity (RFC 8621 section 6).
func (i *identity) object() map[string]any {
	name := i.sender.Name
	if i.row.Name != nil {
		name = *i.row.Name
	}
	list := func(raw []byte) any {
		if raw == nil {
			return nil
		}
		return json.RawMessage(raw)
	}
	return map[string]any{"id": i.id, "name": name, "email": i.sender.Address, "replyTo": list(i.row.ReplyTo),
		"bcc": list(i.row.Bcc), "textSignature": i.row.Text, "htmlSignature": i.row.HTML, "mayDelete": false}
}

func identityProperties() []string {
	return append(settableIdentity(), "id", "email", "mayDelete")
}

func settableIdentity() []string {
	return []string{"name", "replyTo", "bcc", "textSignature", "htmlSignature"}
}

// identityGet is Identity/get (RFC 8621 section 6.1).
func (d *Door) identityGet(ctx context.Context, c *jmapserver.Call) (any, error) {
	g, err := wire.ReadGetArgs(c.Args, c.Limits.MaxObjectsInGet)
	if err != nil {
		return nil, err
	}
	if err := c.Args.Err(); err != nil {
		return nil, err
	}
	if err := knownProperties(g.Properties, identityProperties()...); err != nil {
		return nil, err
	}
	list, state, err := d.identities(ctx, c.Principal.Account)
	if err != nil {
		return nil, err
	}
	resp := &wire.GetResponse{AccountID: g.AccountID, State: state, List: []any{}, NotFound: []wire.ID{}}
	for i := range list {
		if g.All || slices.Contains(g.IDs, list[i].id) {
			resp.List = append(resp.List, pick(list[i].object(), g))
		}
	}
	for _, id := range g.IDs {
		if !slices.ContainsFunc(list, func(i identity) bool { return i.id == id }) {
			resp.NotFound = append(resp.NotFound, id)
		}
	}
	return resp, nil
}

// identityChanges is Identity/changes (RFC 8621 section 6.2). What changed in
// the directory is not known one by one.
func (d *Door) identityChanges(ctx context.Context, c *jmapserver.Call) (any, error) {
	a, err := wire.ReadChangesArgs(c.Args)
	if err != nil {
		return nil, err
	}
	if err := c.Args.Err(); err != nil {
		return nil, err
	}
	list, state, err := d.identities(ctx, c.Principal.Account)
	if err != nil {
		return nil, err
	}
	old, digest, ok := strings.Cut(a.SinceState, "-")
	since, err := parseState(old)
	_, now, _ := strings.Cut(state, "-")
	if err != nil || !ok || digest != now {
		return nil, cannotCalculate()
	}
	resp := &wire.ChangesResponse{AccountID: a.AccountID, OldState: a.SinceState, NewState: state,
		Created: []wire.ID{}, Updated: []wire.ID{}, Destroyed: []wire.ID{}}
	for _, i := range list {
		if i.row.Changed > since {
			resp.Updated = append(resp.Updated, i.id)
		}
	}
	if a.MaxChanges > 0 && uint64(len(resp.Updated)) > a.MaxChanges {
		return nil, cannotCalculate()
	}
	return resp, nil
}

// identitySet is Identity/set (RFC 8621 section 6.3). Addresses come from the
// directory, so that identities are neither made nor destroyed here.
func (d *Door) identitySet(ctx context.Context, c *jmapserver.Call) (any, error) {
	s, err := wire.ReadSetArgs(c.Args, c.Limits.MaxObjectsInSet)
	if err != nil {
		return nil, err
	}
	if err := c.Args.Err(); err != nil {
		return nil, err
	}
	list, state, err := d.identities(ctx, c.Principal.Account)
	if err != nil {
		return nil, err
	}
	if s.IfInState != nil && *s.IfInState != state {
		return nil, &wire.MethodError{Type: wire.StateMismatch}
	}
	resp := &wire.SetResponse{AccountID: s.AccountID, OldState: state}
	for cid, raw := range s.Create {
		resp.FailCreate(wire.ID(cid), createIdentity(raw, list))
	}
	for ref, raw := range s.Update {
		if err := d.updateIdentity(ctx, c, wire.ID(ref), raw, list); err != nil {
			resp.FailUpdate(wire.ID(ref), err)
			continue
		}
		resp.DidUpdate(wire.ID(ref), nil)
	}
	for _, ref := range s.Destroy {
		known := slices.ContainsFunc(list, func(i identity) bool { return string(i.id) == ref })
		e := &wire.SetError{Type: wire.SetNotFound}
		if known {
			e = &wire.SetError{Type: wire.SetForbidden, Description: "Addresses are kept by the administration."}
		}
		resp.FailDestroy(wire.ID(ref), e)
	}
	_, resp.NewState, err = d.identities(ctx, c.Principal.Account)
	return resp, err
}

// createIdentity says why an identity is not made.
func createIdentity(raw json.RawMessage, list []identity) *wire.SetError {
	var o struct {
		Email string `json:"email"`
	}
	if json.Unmarshal(raw, &o) == nil && slices.ContainsFunc(list, func(i identity) bool { return strings.EqualFold(i.sender.Address, o.Email) }) {
		return &wire.SetError{Type: wire.SetForbidden, Description: "There is an identity for this address."}
	}
	return &wire.SetError{Type: "forbiddenFrom", Description: "You may not send from this address."}
}

func (d *Door) updateIdentity(ctx context.Context, c *jmapserver.Call, id wire.ID, raw json.RawMessage, list []identity) error {
	i := slices.IndexFunc(list, func(i identity) bool { return i.id == id })
	if i < 0 {
		return &wire.SetError{Type: wire.SetNotFound}
	}
	patch, err := wire.ParsePatch(raw)
	if err != nil {
		return err
	}
	return d.cfg.Mail.Update(ctx, c.Principal.Account, func(w *mailbox.Writer) error {
		cur := list[i]
		if err := readIdentity(w.Tx(), &cur); err != nil {
			return err
		}
		next, err := patched(cur.object(), patch, settableIdentity())
		if err != nil {
			return err
		}
		if err := cur.read(next); err != nil {
			return err
		}
		n, err := readCounter(w.Tx(), keyIdentityState())
		if err != nil {
			return err
		}
		cur.row.Changed = n + 1
		w.Tx().PutOwned(keyIdentityState(), binary.BigEndian.AppendUint64(nil, n+1))
		data, err := cbor.Marshal(cur.row)
		if err != nil {
			return err
		}
		w.Tx().PutOwned(keyIdentity(id), data)
		return nil
	})
}

// read takes the settable properties out of a record.
func (i *identity) read(raw json.RawMessage) error {
	a, err := wire.NewArgs(raw)
	if err != nil {
		return err
	}
	row := identityRow{Name: a.OptString("name")}
	for _, f := range []struct {
		name string
		to   *[]byte
	}{{"replyTo", &row.ReplyTo}, {"bcc", &row.Bcc}} {
		v, ok := a.Raw(f.name)
		if !ok {
			continue
		}
		list, ok := message.ReadAddresses(v)
		if !ok {
			return wire.BadProperty("These are no addresses.", f.name)
		}
		if *f.to, err = wire.Marshal(list); err != nil {
			return err
		}
	}
	for _, f := range []struct {
		name string
		to   *string
	}{{"textSignature", &row.Text}, {"htmlSignature", &row.HTML}} {
		if s := a.OptString(f.name); s != nil {
			*f.to = *s
		}
		if len(*f.to) > maxSignature {
			return &wire.SetError{Type: wire.SetTooLarge}
		}
	}
	if err := message.RecordError(a); err != nil {
		return err
	}
	i.row = row
	return nil
}
