package jmap

import "encoding/json"

// GetArgs are the standard arguments of a /get call (RFC 8620 section 5.1).
type GetArgs struct {
	AccountID  ID
	IDs        []ID // without repetition
	All        bool // "ids" was null
	Properties []string
	Every      bool // "properties" was null
}

// ReadGetArgs takes the standard arguments of /get out of a. More than max ids
// are requestTooLarge.
func ReadGetArgs(a *Args, max int) (GetArgs, error) {
	g := GetArgs{AccountID: a.ID("accountId")}
	ids, given := a.IDs("ids")
	g.All = !given
	if len(ids) > max {
		return g, &MethodError{Type: RequestTooLarge, Description: "Too many ids in one call."}
	}
	seen := make(map[ID]bool, len(ids))
	for _, id := range ids {
		if !seen[id] {
			seen[id] = true
			g.IDs = append(g.IDs, id)
		}
	}
	props, given := a.Strings("properties")
	g.Properties, g.Every = props, !given
	return g, nil
}

// GetResponse is the answer of a /get call.
type GetResponse struct {
	AccountID ID     `json:"accountId"`
	State     string `json:"state"`
	List      []any  `json:"list"`
	NotFound  []ID   `json:"notFound"`
}

// ChangesArgs are the arguments of a /changes call (RFC 8620 section 5.2).
type ChangesArgs struct {
	AccountID  ID
	SinceState string
	MaxChanges uint64 // 0 where the client gave none
}

// ReadChangesArgs takes the arguments of /changes out of a.
func ReadChangesArgs(a *Args) (ChangesArgs, error) {
	c := ChangesArgs{AccountID: a.ID("accountId"), SinceState: a.String("sinceState")}
	if n := a.OptUint("maxChanges"); n != nil {
		if *n == 0 {
			return c, BadArgument("maxChanges", "maxChanges must be greater than 0.")
		}
		c.MaxChanges = *n
	}
	return c, nil
}

// ChangesResponse is the answer of a /changes call.
type ChangesResponse struct {
	AccountID      ID     `json:"accountId"`
	OldState       string `json:"oldState"`
	NewState       string `json:"newState"`
	HasMoreChanges bool   `json:"hasMoreChanges"`
	Created        []ID   `json:"created"`
	Updated        []ID   `json:"updated"`
	Destroyed      []ID   `json:"destroyed"`
}

// SetArgs are the standard arguments of a /set call (RFC 8620 section 5.3).
type SetArgs struct {
	AccountID ID
	IfInState *string
	Create    map[string]json.RawMessage // by creation id
	Update    map[string]json.RawMessage // by id, or "#" and creation id
	Destroy   []string                   // ids, or "#" and creation id
}

// ReadSetArgs takes the standard arguments of /set out of a. More than max
// objects are requestTooLarge.
func ReadSetArgs(a *Args, max int) (SetArgs, error) {
	s := SetArgs{AccountID: a.ID("accountId"), IfInState: a.OptString("ifInState"),
		Create: a.Map("create"), Update: a.Map("update")}
	s.Destroy, _ = a.Strings("destroy")
	if len(s.Create)+len(s.Update)+len(s.Destroy) > max {
		return s, &MethodError{Type: RequestTooLarge, Description: "Too many objects in one call."}
	}
	for cid, v := range s.Create {
		if !ID(cid).Valid() || !isObject(v) {
			return s, BadArgument("create", "create is a map of creation ids to objects.")
		}
	}
	for id, v := range s.Update {
		if !ReferenceValid(id) || !isObject(v) {
			return s, BadArgument("update", "update is a map of ids to patches.")
		}
	}
	for _, id := range s.Destroy {
		if !ReferenceValid(id) {
			return s, BadArgument("destroy", "destroy is an array of ids.")
		}
	}
	return s, nil
}

// ReferenceValid says whether s is an id, or a creation id after "#".
func ReferenceValid(s string) bool {
	if len(s) > 0 && s[0] == '#' {
		s = s[1:]
	}
	return ID(s).Valid()
}

// SetResponse is the answer of a /set call. Empty maps and lists print as null.
type SetResponse struct {
	AccountID    ID               `json:"accountId"`
	OldState     string           `json:"oldState"`
	NewState     string           `json:"newState"`
	Created      map[ID]any       `json:"created"`
	Updated      map[ID]any       `json:"updated"`
	Destroyed    []ID             `json:"destroyed"`
	NotCreated   map[ID]*SetError `json:"notCreated"`
	NotUpdated   map[ID]*SetError `json:"notUpdated"`
	NotDestroyed map[ID]*SetError `json:"notDestroyed"`
}

// put adds to a map that may not be there yet.
func put[V any](m *map[ID]V, id ID, v V) {
	if *m == nil {
		*m = map[ID]V{}
	}
	(*m)[id] = v
}

// DidCreate notes a created record: server-set properties, "id" among them.
func (r *SetResponse) DidCreate(cid ID, record any) { put(&r.Created, cid, record) }

// DidUpdate notes an updated record: what changed beyond the request, or nil.
func (r *SetResponse) DidUpdate(id ID, record any) { put(&r.Updated, id, record) }

// DidDestroy notes a destroyed record.
func (r *SetResponse) DidDestroy(id ID) { r.Destroyed = append(r.Destroyed, id) }

// FailCreate notes why a record was not created.
func (r *SetResponse) FailCreate(cid ID, err error) { put(&r.NotCreated, cid, SetErrorOf(err)) }

// FailUpdate notes why a record was not updated.
func (r *SetResponse) FailUpdate(id ID, err error) { put(&r.NotUpdated, id, SetErrorOf(err)) }

// FailDestroy notes why a record was not destroyed.
func (r *SetResponse) FailDestroy(id ID, err error) { put(&r.NotDestroyed, id, SetErrorOf(err)) }
