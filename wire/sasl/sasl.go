// Package sasl holds the authentication mechanisms that mail protocols carry:
// the exchange of octets, not the encoding around it and not the check of the
// password.
//
// Owns:      the message formats of PLAIN and LOGIN; the seams Server and Client for any other mechanism.
// Trusts:    nobody; what a peer sends is bounded and checked before the verifier sees it.
// May touch: nothing. Verification is a function given by the caller.
// Standards: RFC 4422 section 5; RFC 4616 (PLAIN); LOGIN as Outlook speaks it (no RFC).
package sasl

import (
	"bytes"
	"context"
	"unicode/utf8"

	"github.com/mohar-mail/mohar/base/fault"
)

// The mechanism names served here.
const (
	Plain = "PLAIN"
	Login = "LOGIN"
)

// Bounds on what a peer may send, in octets.
const (
	// MaxResponse is the longest client response that a mechanism of this
	// package reads: RFC 4616 section 2 allows 255 characters of identity, so
	// this leaves room for three such fields in UTF-8.
	MaxResponse = 3 * 1024
	// MaxIdentity is the longest user name.
	MaxIdentity = 1020
)

// Server is the server's half of one exchange. A value serves one exchange and
// is not safe for concurrent use.
type Server interface {
	// Next takes the decoded client response and gives the next challenge, or
	// done. A nil response means that the client sent none yet (no initial
	// response); an empty one that it sent the empty string. On done the
	// challenge is nil or the mechanism's final data. Any error ends the
	// exchange; fault.Auth is a wrong credential, fault.Invalid a malformed
	// response.
	Next(ctx context.Context, response []byte) (challenge []byte, done bool, err error)
}

// Client is the client's half of one exchange.
type Client interface {
	// Start gives the mechanism's name and the initial response, nil if the
	// mechanism has none.
	Start() (mechanism string, initial []byte, err error)
	// Next answers a decoded challenge.
	Next(challenge []byte) (response []byte, err error)
}

// Verify checks a password. The authzid is "" where the client asks to act as
// itself. Errors are of kind fault.Auth for wrong credentials; the verifier
// takes care that its cost does not tell which accounts exist.
type Verify func(ctx context.Context, authzid, authcid, password string) error

// NewPlainServer serves PLAIN.
func NewPlainServer(v Verify) Server { return &plainServer{verify: v} }

type plainServer struct{ verify Verify }

func (s *plainServer) Next(ctx context.Context, response []byte) ([]byte, bool, error) {
	if response == nil {
		return []byte{}, false, nil
	}
	authzid, authcid, password, err := ParsePlain(response)
	if err != nil {
		return nil, true, err
	}
	return nil, true, s.verify(ctx, authzid, authcid, password)
}

// ParsePlain splits the message of RFC 4616 section 2:
// [authzid] NUL authcid NUL passwd. Errors are of kind fault.Invalid.
func ParsePlain(b []byte) (authzid, authcid, password string, err error) {
	const op = "sasl.ParsePlain"
	if len(b) > MaxResponse {
		return "", "", "", fault.New(fault.Invalid, op, "The credentials are too long.")
	}
	parts := bytes.Split(b, []byte{0})
	if len(parts) != 3 || len(parts[1]) == 0 || len(parts[2]) == 0 {
		return "", "", "", fault.New(fault.Invalid, op, "The PLAIN response is malformed.")
	}
	if len(parts[0]) > MaxIdentity || len(parts[1]) > MaxIdentity || !utf8.Valid(b) {
		return "", "", "", fault.New(fault.Invalid, op, "The PLAIN response is malformed.")
	}
	return string(parts[0]), string(parts[1]), string(parts[2]), nil
}

// NewLoginServer serves LOGIN, which asks for a name and then for a password.
// It also takes the name as initial response, as Outlook sends it.
func NewLoginServer(v Verify) Server { return &loginServer{verify: v} }

type loginServer struct {
	verify Verify
	step   int
	user   string
}

func (s *loginServer) Next(ctx context.Context, response []byte) ([]byte, bool, error) {
	const op = "sasl.Login"
	if response == nil && s.step == 0 {
		s.step = 1
		return []byte("Username:"), false, nil
	}
	if len(response) > MaxResponse || !utf8.Valid(response) || bytes.IndexByte(response, 0) >= 0 {
		return nil, true, fault.New(fault.Invalid, op, "The LOGIN response is malformed.")
	}
	if s.step < 2 {
		if len(response) == 0 || len(response) > MaxIdentity {
			return nil, true, fault.New(fault.Invalid, op, "The LOGIN user name is malformed.")
		}
		s.step, s.user = 2, string(response)
		return []byte("Password:"), false, nil
	}
	return nil, true, s.verify(ctx, "", s.user, string(response))
}

// NewPlainClient speaks PLAIN; authzid may be "".
func NewPlainClient(authzid, authcid, password string) Client {
	return &plainClient{msg: []byte(authzid + "\x00" + authcid + "\x00" + password)}
}

type plainClient struct{ msg []byte }

func (c *plainClient) Start() (string, []byte, error) { return Plain, c.msg, nil }

func (c *plainClient) Next([]byte) ([]byte, error) {
	return nil, fault.New(fault.Invalid, "sasl.Plain", "The server asked for more than PLAIN has.")
}

// NewLoginClient speaks LOGIN.
func NewLoginClient(user, password string) Client {
	return &loginClient{answers: []string{user, password}}
}

type loginClient struct{ answers []string }

func (c *loginClient) Start() (string, []byte, error) { return Login, nil, nil }

func (c *loginClient) Next([]byte) ([]byte, error) {
	if len(c.answers) == 0 {
		return nil, fault.New(fault.Invalid, "sasl.Login", "The server asked for more than LOGIN has.")
	}
	a := c.answers[0]
	c.answers = c.answers[1:]
	return []byte(a), nil
}
