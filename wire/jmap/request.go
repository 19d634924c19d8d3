package jmap

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// Invocation is a method call or a response (RFC 8620 section 3.2).
type Invocation struct {
	Name   string
	Args   json.RawMessage // an object
	CallID string
}

// MarshalJSON prints the tuple.
func (i Invocation) MarshalJSON() ([]byte, error) {
	return Marshal([]any{i.Name, i.Args, i.CallID})
}

// UnmarshalJSON reads the tuple and checks the types of its three elements.
func (i *Invocation) UnmarshalJSON(data []byte) error {
	var t []json.RawMessage
	if err := json.Unmarshal(data, &t); err != nil || len(t) != 3 {
		return errors.New("an invocation is an array of three")
	}
	if !isString(t[0]) || !isObject(t[1]) || !isString(t[2]) {
		return errors.New("an invocation is [String, Object, String]")
	}
	i.Args = t[1]
	return errors.Join(json.Unmarshal(t[0], &i.Name), json.Unmarshal(t[2], &i.CallID))
}

// Request is the body of an API request (RFC 8620 section 3.3).
type Request struct {
	Using       []string
	MethodCalls []Invocation
	CreatedIDs  map[ID]ID // nil where the client gave none
}

// Response is the body of an API response (RFC 8620 section 3.4).
type Response struct {
	MethodResponses []Invocation `json:"methodResponses"`
	CreatedIDs      map[ID]ID    `json:"createdIds,omitzero"` // nil where the request had none
	SessionState    string       `json:"sessionState"`
}

// DecodeRequest reads a Request. The error is a *RequestError of type notJSON
// or notRequest. Properties that it does not know are ignored (RFC 8620
// section 3.3).
func DecodeRequest(data []byte) (*Request, error) {
	if err := CheckIJSON(data); err != nil {
		return nil, &RequestError{Type: ErrNotJSON, Status: 400, Detail: "The request is not I-JSON: " + err.Error() + "."}
	}
	bad := func(detail string) (*Request, error) {
		return nil, &RequestError{Type: ErrNotRequest, Status: 400, Detail: detail}
	}
	if !isObject(data) {
		return bad("The request is not an object.")
	}
	var m map[string]json.RawMessage
	if err := json.Unmarshal(data, &m); err != nil {
		return bad("The request is not an object.")
	}
	r := &Request{}
	if !isArray(m["using"]) || !allStrings(m["using"], &r.Using) {
		return bad(`"using" is not an array of strings.`)
	}
	if !isArray(m["methodCalls"]) {
		return bad(`"methodCalls" is not an array.`)
	}
	if err := json.Unmarshal(m["methodCalls"], &r.MethodCalls); err != nil {
		return bad(fmt.Sprintf(`"methodCalls": %v.`, err))
	}
	if raw, ok := m["createdIds"]; ok {
		if !isObject(raw) || json.Unmarshal(raw, &r.CreatedIDs) != nil {
			return bad(`"createdIds" is not a map of ids.`)
		}
		for k, v := range r.CreatedIDs {
			if !k.Valid() || !v.Valid() {
				return bad(`"createdIds" is not a map of ids.`)
			}
		}
	}
	return r, nil
}

// Marshal is json.Marshal without the escapes for HTML, which would make every
// mail address and header longer to send.
func Marshal(v any) (json.RawMessage, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

func firstByte(raw []byte) byte {
	raw = bytes.TrimLeft(raw, " \t\r\n")
	if len(raw) == 0 {
		return 0
	}
	return raw[0]
}

func isString(raw []byte) bool { return firstByte(raw) == '"' }
func isObject(raw []byte) bool { return firstByte(raw) == '{' }
func isArray(raw []byte) bool  { return firstByte(raw) == '[' }
func isNull(raw []byte) bool   { return len(raw) == 0 || firstByte(raw) == 'n' }

// allStrings reads an array of strings; a null in it is no string, though
// encoding/json would read it as an empty one.
func allStrings(raw []byte, out *[]string) bool {
	var list []*string
	if json.Unmarshal(raw, &list) != nil || list == nil {
		return false
	}
	*out = make([]string, 0, len(list))
	for _, s := range list {
		if s == nil {
			return false
		}
		*out = append(*out, *s)
	}
	return true
}
