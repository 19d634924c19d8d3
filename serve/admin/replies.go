package admin

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/mohar-mail/mohar/base/fault"
)

// statuses is the table from kinds of failure to HTTP statuses.
var statuses = map[fault.Kind]int{
	fault.NotFound: http.StatusNotFound, fault.Exists: http.StatusConflict, fault.Invalid: http.StatusBadRequest,
	fault.Denied: http.StatusForbidden, fault.Refused: http.StatusForbidden, fault.Auth: http.StatusUnauthorized,
	fault.TooLarge: http.StatusRequestEntityTooLarge, fault.TooMany: http.StatusTooManyRequests, fault.Conflict: http.StatusConflict,
	fault.NoSpace: http.StatusInsufficientStorage, fault.OverQuota: http.StatusInsufficientStorage,
	fault.Unavailable: http.StatusServiceUnavailable, fault.Timeout: http.StatusGatewayTimeout, fault.Unsupported: http.StatusNotImplemented,
}

// Problem is how an error travels to the command line.
type Problem struct {
	Kind    string `json:"kind"`
	Public  string `json:"public"`
	Private string `json:"private,omitempty"` // the operator may see causes
}

func fail(w http.ResponseWriter, err error) {
	status, ok := statuses[fault.KindOf(err)]
	if !ok {
		status = http.StatusInternalServerError
	}
	p := Problem{Kind: fault.KindOf(err).String(), Public: fault.Public(err)}
	var f *fault.Error
	if !errors.As(err, &f) {
		p.Public = err.Error()
	} else if f.Cause != nil {
		p.Private = f.Cause.Error()
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(p) // the client went away
}
