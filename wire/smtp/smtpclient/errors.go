package smtpclient

import (
	"fmt"

	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/wire/smtp"
)

// Stage says how far an exchange had come.
type Stage string

// The stages.
const (
	StageConnect  Stage = "connect"
	StageGreeting Stage = "greeting"
	StageHello    Stage = "hello"
	StageTLS      Stage = "tls"
	StageAuth     Stage = "auth"
	StageMail     Stage = "mail"
	StageRcpt     Stage = "rcpt"
	StageData     Stage = "data"
	// StageDataEnd is after the last octet of content: whether the peer took
	// the message is not known, and another try may make a second copy.
	StageDataEnd Stage = "data-end"
	StageReset   Stage = "reset"
)

// ConnError is a connection that failed or a peer that broke the protocol: the
// Client is of no more use. Errors.Is and As reach the cause, which for a reply
// is a *smtp.Reply.
type ConnError struct {
	Stage Stage
	Host  string
	Err   error
}

// Error gives stage, host and cause.
func (e *ConnError) Error() string { return fmt.Sprintf("smtp %s with %s: %v", e.Stage, e.Host, e.Err) }

// Unwrap gives the cause.
func (e *ConnError) Unwrap() error { return e.Err }

// MessageError is a message that cannot go to this peer, found before the peer
// could take any of it. It will not pass at another time either, though it may
// with another host.
type MessageError struct {
	Enhanced smtp.EnhancedCode // what a delivery report should say
	Text     string
}

// Error gives code and text.
func (e *MessageError) Error() string { return e.Enhanced.String() + " " + e.Text }

// As makes the error one of kind fault.Unsupported for doors that ask.
func (e *MessageError) As(target any) bool {
	f, ok := target.(**fault.Error)
	if ok {
		*f = fault.New(fault.Unsupported, "smtpclient.Send", e.Text)
	}
	return ok
}

// The messages that cannot go; compare with errors.Is.
var (
	// ErrUTF8: the message needs SMTPUTF8 and the peer has none (RFC 6531 section 3.2).
	ErrUTF8 = &MessageError{smtp.EnhancedCode{5, 6, 7}, "The receiving server does not take internationalized addresses (SMTPUTF8)."}
	// ErrEightBit: the message holds 8-bit octets and the peer has no 8BITMIME (RFC 6152 section 3).
	ErrEightBit = &MessageError{smtp.EnhancedCode{5, 6, 3}, "The receiving server does not take 8-bit content (8BITMIME)."}
	// ErrTooLarge: the message is over the SIZE that the peer announced (RFC 1870 section 6.1).
	ErrTooLarge = &MessageError{smtp.EnhancedCode{5, 3, 4}, "The message is larger than the receiving server takes."}
	// ErrRequireTLS: REQUIRETLS is asked and the peer, or the connection, has none (RFC 8689 section 4.2.1).
	ErrRequireTLS = &MessageError{smtp.EnhancedCode{5, 7, 30}, "The receiving server does not offer REQUIRETLS."}
	// ErrBareNewline: the content holds a bare CR, a bare LF or a NUL.
	ErrBareNewline = &MessageError{smtp.EnhancedCode{5, 6, 0}, "The message holds a bare CR, a bare LF or a NUL."}
	// ErrAddress: an address of the envelope does not follow RFC 5321.
	ErrAddress = &MessageError{smtp.EnhancedCode{5, 1, 3}, "An address of the envelope is not well formed."}
	// ErrNoTLS: STARTTLS is required and not offered. It comes inside a ConnError.
	ErrNoTLS = &MessageError{smtp.EnhancedCode{5, 7, 10}, "The receiving server does not offer STARTTLS."}
	// ErrInjected: octets in clear followed the reply to STARTTLS. It comes inside a ConnError.
	ErrInjected = &MessageError{smtp.EnhancedCode{5, 7, 0}, "The receiving server spoke in clear after STARTTLS."}
)
