package jmap

import (
	"encoding/json"
	"errors"

	"github.com/mohar-mail/mohar/base/fault"
)

// Types of request-level errors (RFC 8620 section 3.6.1).
const (
	ErrUnknownCapability = "urn:ietf:params:jmap:error:unknownCapability"
	ErrNotJSON           = "urn:ietf:params:jmap:error:notJSON"
	ErrNotRequest        = "urn:ietf:params:jmap:error:notRequest"
	ErrLimit             = "urn:ietf:params:jmap:error:limit"
)

// RequestError is a problem details object (RFC 7807) that answers a whole HTTP
// request.
type RequestError struct {
	Type   string `json:"type"` // a URN, or "about:blank"
	Status int    `json:"status"`
	Title  string `json:"title,omitempty"`
	Detail string `json:"detail,omitempty"`
	Limit  string `json:"limit,omitempty"` // the name of the limit, with ErrLimit
}

// Error gives the type and the detail.
func (e *RequestError) Error() string { return e.Type + ": " + e.Detail }

// Types of method-level errors (RFC 8620 sections 3.6.2 and 5).
const (
	ServerUnavailable           = "serverUnavailable"
	ServerFail                  = "serverFail"
	ServerPartialFail           = "serverPartialFail"
	UnknownMethod               = "unknownMethod"
	InvalidArguments            = "invalidArguments"
	InvalidResultReference      = "invalidResultReference"
	Forbidden                   = "forbidden"
	AccountNotFound             = "accountNotFound"
	AccountNotSupportedByMethod = "accountNotSupportedByMethod"
	AccountReadOnly             = "accountReadOnly"
	RequestTooLarge             = "requestTooLarge"
	StateMismatch               = "stateMismatch"
	CannotCalculateChanges      = "cannotCalculateChanges"
	TooManyChanges              = "tooManyChanges"
	AnchorNotFound              = "anchorNotFound"
	UnsupportedSort             = "unsupportedSort"
	UnsupportedFilter           = "unsupportedFilter"
	FromAccountNotFound         = "fromAccountNotFound"
)

// MethodError is the error response of one method call.
type MethodError struct {
	Type        string   `json:"type"`
	Description string   `json:"description,omitempty"`
	Arguments   []string `json:"arguments,omitempty"` // the names at fault, with InvalidArguments
}

// Error gives the type and the description.
func (e *MethodError) Error() string { return e.Type + ": " + e.Description }

// BadArgument makes the invalidArguments error for one argument.
func BadArgument(name, description string) *MethodError {
	return &MethodError{Type: InvalidArguments, Description: description, Arguments: []string{name}}
}

// Types of SetErrors (RFC 8620 sections 5.3 and 5.4; RFC 8621 for mail).
const (
	SetForbidden         = "forbidden"
	SetOverQuota         = "overQuota"
	SetTooLarge          = "tooLarge"
	SetRateLimit         = "rateLimit"
	SetNotFound          = "notFound"
	SetInvalidPatch      = "invalidPatch"
	SetWillDestroy       = "willDestroy"
	SetInvalidProperties = "invalidProperties"
	SetSingleton         = "singleton"
	SetAlreadyExists     = "alreadyExists"
)

// SetError says why one record was not created, updated or destroyed.
type SetError struct {
	Type        string
	Description string
	Properties  []string       // with invalidProperties
	Extra       map[string]any // further properties of the type's own
}

// Error gives the type and the description.
func (e *SetError) Error() string { return e.Type + ": " + e.Description }

// MarshalJSON prints the object with its extra properties beside the standard
// ones.
func (e *SetError) MarshalJSON() ([]byte, error) {
	m := make(map[string]any, len(e.Extra)+3)
	for k, v := range e.Extra {
		m[k] = v
	}
	m["type"] = e.Type
	if e.Description != "" {
		m["description"] = e.Description
	}
	if len(e.Properties) > 0 {
		m["properties"] = e.Properties
	}
	return Marshal(m)
}

// BadProperty makes the invalidProperties error for the properties named.
func BadProperty(description string, names ...string) *SetError {
	return &SetError{Type: SetInvalidProperties, Description: description, Properties: names}
}

// reply is one row of the table from kinds of fault to JMAP's words.
type reply struct {
	method string
	set    string
	status int
}

// replyOf is the one table from kinds of fault to JMAP's words.
func replyOf(k fault.Kind) reply {
	switch k {
	case fault.NotFound:
		return reply{InvalidArguments, SetNotFound, 404}
	case fault.Exists:
		return reply{InvalidArguments, SetAlreadyExists, 409}
	case fault.Invalid:
		return reply{InvalidArguments, SetInvalidProperties, 400}
	case fault.Denied:
		return reply{Forbidden, SetForbidden, 403}
	case fault.Refused:
		return reply{Forbidden, SetForbidden, 403}
	case fault.Auth:
		return reply{Forbidden, SetForbidden, 401}
	case fault.TooLarge:
		return reply{RequestTooLarge, SetTooLarge, 413}
	case fault.TooMany:
		return reply{ServerUnavailable, SetRateLimit, 429}
	case fault.OverQuota:
		return reply{Forbidden, SetOverQuota, 507}
	case fault.Conflict:
		return reply{ServerUnavailable, SetRateLimit, 409}
	case fault.Unavailable, fault.NoSpace, fault.Timeout:
		return reply{ServerUnavailable, ServerUnavailable, 503}
	case fault.Unsupported:
		return reply{InvalidArguments, SetInvalidProperties, 501}
	default: // fault.Internal, fault.Corrupt
		return reply{ServerFail, ServerFail, 500}
	}
}

// MethodErrorOf turns any error into the error of a method call: itself where
// it is one, else by the kind of its fault. Only the public line is shown.
func MethodErrorOf(err error) *MethodError {
	var e *MethodError
	if errors.As(err, &e) {
		return e
	}
	return &MethodError{Type: replyOf(fault.KindOf(err)).method, Description: fault.Public(err)}
}

// SetErrorOf turns any error into a SetError in the same way.
func SetErrorOf(err error) *SetError {
	var e *SetError
	if errors.As(err, &e) {
		return e
	}
	return &SetError{Type: replyOf(fault.KindOf(err)).set, Description: fault.Public(err)}
}

// RequestErrorOf turns any error into the answer of a whole HTTP request in the
// same way.
func RequestErrorOf(err error) *RequestError {
	var e *RequestError
	if errors.As(err, &e) {
		return e
	}
	return &RequestError{Type: "about:blank", Status: replyOf(fault.KindOf(err)).status, Detail: fault.Public(err)}
}

var _ json.Marshaler = (*SetError)(nil)
