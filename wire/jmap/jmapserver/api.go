package jmapserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"

	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/wire/jmap"
)

// MethodFunc does one method call. It answers with the arguments of the
// response, or with an error that jmap.MethodErrorOf understands. It reads its
// arguments from c.Args and checks c.Args.Err before it changes anything.
type MethodFunc func(ctx context.Context, c *Call) (any, error)

// Method is one row of the registry.
type Method struct {
	Capability string // that a request must be using
	Writes     bool   // refused on an account that is read-only
	Do         MethodFunc
}

// Methods is the registry of methods by name. Core/echo is always there.
type Methods map[string]Method

// Call is one method call under way.
type Call struct {
	Principal Principal
	Account   jmap.ID // from the argument accountId, checked; "" where there is none
	Args      *jmap.Args
	Lang      string // "hi" or "en", from Accept-Language
	Limits    jmap.CoreCapability

	ex *exchange
}

// exchange is one API request under way.
type exchange struct {
	s        *Server
	p        Principal
	lang     string
	using    map[string]bool
	accounts map[jmap.ID]jmap.Account
	created  map[jmap.ID]jmap.ID
	out      []jmap.Invocation
	size     int
	implicit []jmap.Invocation // calls that the current call asked for
}

// Using says whether the request opted in to a capability.
func (c *Call) Using(capability string) bool { return c.ex.using[capability] }

// Created notes the id of a new record under the client's creation id.
func (c *Call) Created(cid, id jmap.ID) { c.ex.created[cid] = id }

// Resolve gives the id that ref stands for: ref itself, or the id of the record
// created under the name after "#"; false where there is none.
func (c *Call) Resolve(ref string) (jmap.ID, bool) {
	if len(ref) > 0 && ref[0] == '#' {
		id, ok := c.ex.created[jmap.ID(ref[1:])]
		return id, ok
	}
	return jmap.ID(ref), jmap.ID(ref).Valid()
}

// Then asks for another method to be called after this one has answered, under
// the same call id (RFC 8620 section 3.2).
func (c *Call) Then(name string, args any) error {
	raw, err := jmap.Marshal(args)
	if err != nil {
		return err
	}
	c.ex.implicit = append(c.ex.implicit, jmap.Invocation{Name: name, Args: raw})
	return nil
}

// limitError is the answer to a request over one of the limits.
func limitError(name string, status int) *jmap.RequestError {
	return &jmap.RequestError{Type: jmap.ErrLimit, Status: status, Limit: name,
		Detail: "The request is over the limit " + name + "."}
}

// api answers an API request (RFC 8620 section 3).
func (s *Server) api(w http.ResponseWriter, r *http.Request, p Principal) {
	leave, ok := s.enter(p.Account, "maxConcurrentRequests", s.cfg.Limits.MaxConcurrentRequests)
	if !ok {
		s.problem(w, limitError("maxConcurrentRequests", http.StatusTooManyRequests))
		return
	}
	defer leave()
	ctx, cancel := context.WithTimeout(r.Context(), s.cfg.RequestTimeout)
	defer cancel()
	req, err := s.readRequest(w, r)
	if err != nil {
		s.problemOf(w, r, err)
		return
	}
	resp, err := s.run(ctx, p, language(r.Header.Get("Accept-Language"), p.Lang), req)
	if err != nil {
		s.problemOf(w, r, err)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	s.writeJSON(w, r, http.StatusOK, resp)
}

func (s *Server) readRequest(w http.ResponseWriter, r *http.Request) (*jmap.Request, error) {
	t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || t != "application/json" {
		return nil, &jmap.RequestError{Type: jmap.ErrNotJSON, Status: http.StatusBadRequest,
			Detail: "The content type is not application/json."}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, s.cfg.Limits.MaxSizeRequest))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, limitError("maxSizeRequest", http.StatusBadRequest)
	case err != nil:
		return nil, fault.Wrap(err, fault.Invalid, "jmapserver.api", "The request broke off.")
	}
	req, err := jmap.DecodeRequest(body)
	if err != nil {
		return nil, err
	}
	if len(req.MethodCalls) > s.cfg.Limits.MaxCallsInRequest {
		return nil, limitError("maxCallsInRequest", http.StatusBadRequest)
	}
	for _, c := range req.Using {
		if _, known := s.cfg.Capabilities[c]; !known && c != jmap.CapCore {
			return nil, &jmap.RequestError{Type: jmap.ErrUnknownCapability, Status: http.StatusBadRequest,
				Detail: fmt.Sprintf("The capability %q is not supported.", c)}
		}
	}
	return req, nil
}

// run calls the methods of a request in order.
func (s *Server) run(ctx context.Context, p Principal, lang string, req *jmap.Request) (*jmap.Response, error) {
	accounts, err := s.cfg.Backend.Accounts(ctx, p)
	if err != nil {
		return nil, err
	}
	sess, err := s.describe(p, accounts, "")
	if err != nil {
		return nil, err
	}
	ex := &exchange{s: s, p: p, lang: lang, using: map[string]bool{}, accounts: accounts,
		created: map[jmap.ID]jmap.ID{}, out: []jmap.Invocation{}}
	for _, c := range req.Using {
		ex.using[c] = true
	}
	for k, v := range req.CreatedIDs {
		ex.created[k] = v
	}
	for _, call := range req.MethodCalls {
		ex.call(ctx, call, false)
	}
	resp := &jmap.Response{MethodResponses: ex.out, SessionState: sess.State}
	if req.CreatedIDs != nil {
		resp.CreatedIDs = ex.created
	}
	return resp, nil
}

// call does one call and then those that it asked for.
func (ex *exchange) call(ctx context.Context, inv jmap.Invocation, implicit bool) {
	name := inv.Name
	answer, err := ex.invoke(ctx, inv)
	if err == nil {
		var raw []byte
		if raw, err = jmap.Marshal(answer); err == nil {
			if ex.size += len(raw); ex.size > ex.s.cfg.MaxSizeResponse {
				// What the call changed stays changed: the client must resynchronise.
				err = &jmap.MethodError{Type: jmap.ServerPartialFail, Description: "The response would be too large."}
			} else {
				ex.out = append(ex.out, jmap.Invocation{Name: name, Args: raw, CallID: inv.CallID})
			}
		}
	}
	if err != nil {
		ex.fail(ctx, inv, err)
	}
	then := ex.implicit
	ex.implicit = nil
	if implicit {
		return // an implicit call asks for no further one
	}
	for _, next := range then {
		next.CallID = inv.CallID
		ex.call(ctx, next, true)
	}
}

func (ex *exchange) fail(ctx context.Context, inv jmap.Invocation, err error) {
	e := jmap.MethodErrorOf(err)
	if e.Type == jmap.ServerFail || e.Type == jmap.ServerUnavailable {
		ex.s.cfg.Log.ErrorContext(ctx, "jmap method failed", "method", inv.Name, "account", ex.p.Account, "err", err)
	}
	raw, err := jmap.Marshal(e)
	if err != nil {
		raw = []byte(`{"type":"serverFail"}`)
	}
	ex.out = append(ex.out, jmap.Invocation{Name: "error", Args: raw, CallID: inv.CallID})
}

// invoke resolves references, checks account and capability, and calls.
func (ex *exchange) invoke(ctx context.Context, inv jmap.Invocation) (any, error) {
	if inv.Name == "Core/echo" && ex.using[jmap.CapCore] {
		return jmap.ResolveArgs(inv.Args, ex.out, int(ex.s.cfg.Limits.MaxSizeRequest))
	}
	m, ok := ex.s.cfg.Methods[inv.Name]
	if !ok || !ex.using[m.Capability] {
		return nil, &jmap.MethodError{Type: jmap.UnknownMethod}
	}
	if err := ctx.Err(); err != nil {
		return nil, fault.Wrap(err, fault.Timeout, inv.Name, "The request took too long.")
	}
	raw, err := jmap.ResolveArgs(inv.Args, ex.out, int(ex.s.cfg.Limits.MaxSizeRequest))
	if err != nil {
		return nil, err
	}
	c := &Call{Principal: ex.p, Lang: ex.lang, Limits: ex.s.cfg.Limits, ex: ex}
	if c.Args, err = jmap.NewArgs(raw); err != nil {
		return nil, err
	}
	if c.Args.Has("accountId") {
		if err := ex.checkAccount(c, m); err != nil {
			return nil, err
		}
	}
	return m.Do(ctx, c)
}

func (ex *exchange) checkAccount(c *Call, m Method) error {
	id := c.Args.OptID("accountId")
	if id == "" {
		return jmap.BadArgument("accountId", "accountId must be an id.")
	}
	a, ok := ex.accounts[id]
	if !ok {
		return &jmap.MethodError{Type: jmap.AccountNotFound}
	}
	if _, ok := a.AccountCapabilities[m.Capability]; !ok && m.Capability != jmap.CapCore {
		return &jmap.MethodError{Type: jmap.AccountNotSupportedByMethod}
	}
	if m.Writes && a.IsReadOnly {
		return &jmap.MethodError{Type: jmap.AccountReadOnly}
	}
	c.Account = id
	return nil
}
