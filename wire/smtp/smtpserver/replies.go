package smtpserver

import (
	"errors"
	"strings"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/wire/smtp"
)

// fixed is a reply that never changes, rendered where it is sent.
type fixed struct {
	code     int
	enhanced smtp.EnhancedCode
	text     string
}

// Append writes the reply as it goes over the wire.
func (f fixed) Append(b []byte) []byte {
	r := smtp.Reply{Code: f.code, Enhanced: f.enhanced, Lines: []string{f.text}}
	return r.Append(b)
}

// The engine's own replies. Greetings and 3xx carry no enhanced code (RFC 2034
// section 4).
var (
	replyOK           = fixed{250, enh(2, 0, 0), "OK"}
	replyMailOK       = fixed{250, enh(2, 1, 0), "Sender OK"}
	replyRcptOK       = fixed{250, enh(2, 1, 5), "Recipient OK"}
	replyBye          = fixed{221, enh(2, 0, 0), "Bye"}
	replyHelp         = fixed{214, enh(2, 0, 0), "RFC 5321 tells what to send here"}
	replyVrfy         = fixed{252, enh(2, 1, 5), "Send some mail and I will try"}
	replyStartTLS     = fixed{220, enh(2, 0, 0), "Go ahead"}
	replyStartData    = fixed{354, smtp.EnhancedCode{}, "Start mail input; end with <CRLF>.<CRLF>"}
	replyAuthOK       = fixed{235, enh(2, 7, 0), "Authentication successful"}
	replyTooManyConns = fixed{421, enh(4, 7, 0), "Too many connections, try again later"}
	replyShutdown     = fixed{421, enh(4, 3, 2), "Shutting down, try again later"}
	replyInternal     = fixed{421, enh(4, 3, 0), "Internal error, closing"}
	replyTimeout      = fixed{421, enh(4, 4, 2), "Timeout, closing"}
	replyTooManyErrs  = fixed{421, enh(4, 7, 0), "Too many errors, closing"}
	replyTooMuch      = fixed{421, enh(4, 7, 0), "Too much refused data, closing"}
	replyEarlyTalk    = fixed{554, smtp.EnhancedCode{}, "No SMTP service for clients that talk before the greeting"}
	replyLineEnd      = fixed{500, enh(5, 5, 2), "Lines end with CRLF and hold no bare CR, bare LF or NUL"}
	replyLineLong     = fixed{500, enh(5, 5, 2), "Line too long"}
	replyUnknown      = fixed{500, enh(5, 5, 1), "Command not recognized"}
	replyNotHere      = fixed{502, enh(5, 5, 1), "Command not implemented"}
	replyNoArg        = fixed{501, enh(5, 5, 4), "This command takes no argument"}
	replyHeloFirst    = fixed{503, enh(5, 5, 1), "Say EHLO first"}
	replyLhloFirst    = fixed{503, enh(5, 5, 1), "Say LHLO first"}
	replyNested       = fixed{503, enh(5, 5, 1), "A transaction is open already"}
	replyMailFirst    = fixed{503, enh(5, 5, 1), "Say MAIL first"}
	replyRcptFirst    = fixed{503, enh(5, 5, 1), "No valid recipients"}
	replyInBDAT       = fixed{503, enh(5, 5, 1), "BDAT is in progress"}
	replyBDATOver     = fixed{503, enh(5, 5, 1), "The message is over or was refused; say RSET"}
	replyTooManyRcpts = fixed{452, enh(4, 5, 3), "Too many recipients"}
	replyTooBig       = fixed{552, enh(5, 3, 4), "Message exceeds the size limit"}
	replyBareNewline  = fixed{550, enh(5, 6, 0), "Message holds a bare CR or bare LF; lines end with CRLF (RFC 5321 section 2.3.8)"}
	replyNUL          = fixed{550, enh(5, 6, 0), "Message holds a NUL octet"}
	replyLongText     = fixed{550, enh(5, 6, 0), "Message holds a line that is too long"}
	replyUnread       = fixed{451, enh(4, 3, 0), "Message was not taken in full"}
	replyAuthNeeded   = fixed{530, enh(5, 7, 0), "Authentication required"}
	replyAuthTLS      = fixed{538, enh(5, 7, 11), "Encryption required: say STARTTLS first"}
	replyAuthAgain    = fixed{503, enh(5, 5, 1), "Already authenticated"}
	replyAuthMech     = fixed{504, enh(5, 5, 4), "Mechanism not offered"}
	replyAuthCancel   = fixed{501, enh(5, 7, 0), "Authentication cancelled"}
	replyAuthBase64   = fixed{501, enh(5, 5, 2), "Not well-formed base64"}
	replyAuthRounds   = fixed{501, enh(5, 7, 0), "Too many rounds"}
	replyTLSActive    = fixed{503, enh(5, 5, 1), "TLS is active"}
	replyTLSMissing   = fixed{502, enh(5, 5, 1), "TLS is not available"}
)

func enh(class, subject, detail uint16) smtp.EnhancedCode {
	return smtp.EnhancedCode{class, subject, detail}
}

// stage is the command that an error answers, since RFC 5321 section 4.3.2
// gives each its own set of codes.
type stage uint8

const (
	stageConnect stage = iota
	stageAddress       // MAIL and RCPT
	stageData
	stageAuth
)

// answer is code and enhanced code of one kind at one stage.
type answer struct {
	code     int
	enhanced smtp.EnhancedCode
}

// answerOf is the one table from kinds of fault to replies. What may pass by
// itself is 4xx: a 5xx makes the sender give up.
func answerOf(k fault.Kind, s stage) answer {
	if s == stageAuth {
		switch k {
		case fault.Auth, fault.Denied, fault.Refused, fault.NotFound:
			return answer{535, enh(5, 7, 8)} // one reply for all, or accounts could be listed
		case fault.Invalid:
			return answer{501, enh(5, 5, 2)}
		case fault.Unsupported:
			return answer{504, enh(5, 5, 4)}
		}
		return answer{454, enh(4, 7, 0)}
	}
	if s == stageConnect {
		switch k {
		case fault.Denied, fault.Refused:
			return answer{554, smtp.EnhancedCode{}}
		}
		return answer{421, smtp.EnhancedCode{}}
	}
	switch k {
	case fault.NotFound:
		return answer{550, enh(5, 1, 1)}
	case fault.Invalid:
		if s == stageData {
			return answer{550, enh(5, 6, 0)}
		}
		return answer{501, enh(5, 5, 4)}
	case fault.Denied, fault.Refused:
		return answer{550, enh(5, 7, 1)}
	case fault.Auth:
		return answer{530, enh(5, 7, 0)}
	case fault.TooLarge:
		return answer{552, enh(5, 3, 4)}
	case fault.TooMany:
		return answer{450, enh(4, 7, 1)}
	case fault.OverQuota:
		return answer{452, enh(4, 2, 2)}
	case fault.Unsupported:
		if s == stageData {
			return answer{554, enh(5, 6, 1)}
		}
		return answer{555, enh(5, 5, 4)}
	case fault.Exists:
		return answer{550, enh(5, 1, 4)}
	case fault.NoSpace:
		return answer{452, enh(4, 3, 1)}
	case fault.Conflict, fault.Unavailable, fault.Timeout:
		return answer{451, enh(4, 3, 2)}
	}
	return answer{451, enh(4, 3, 0)} // Internal, Corrupt and kinds to come
}

// maxReasons bounds the reasons of a refusal that a reply repeats.
const maxReasons = 8

// replyTo makes the reply to an error of the session. Non-ASCII text is kept
// only where utf8 says that the client asked for SMTPUTF8 (RFC 6531 section
// 3.7.4).
func (s *Server) replyTo(err error, st stage, utf8 bool) *smtp.Reply {
	var r *smtp.Reply
	switch {
	case errors.As(err, &r) && (r.Temporary() || r.Permanent()):
		r = &smtp.Reply{Code: r.Code, Enhanced: r.Enhanced, Lines: append([]string(nil), r.Lines...)}
	case errors.Is(err, smtp.ErrNeedsUTF8):
		r = smtp.NewReply(553, enh(5, 6, 7), fault.Public(err)) // RFC 6531 section 3.5
	default:
		a := answerOf(fault.KindOf(err), st)
		r = &smtp.Reply{Code: a.code, Enhanced: a.enhanced}
		if d := fault.DecisionOf(err); d != nil && len(d.Reasons) > 0 {
			r.Lines = s.reasonLines(d)
		} else {
			r.Lines = []string{fault.Public(err)}
		}
	}
	if !utf8 {
		for i, l := range r.Lines {
			r.Lines[i] = toASCII(l)
		}
	}
	return r
}

// reasonLines gives one line for each rule: its id, what it says, what to do
// instead, and where it is explained.
func (s *Server) reasonLines(d *mohar.Decision) []string {
	var lines []string
	for i, why := range d.Reasons {
		if i == maxReasons {
			break
		}
		words := []string{why.Rule, why.What.En, why.Advice.En}
		if s.cfg.ExplainURL != "" {
			words = append(words, s.cfg.ExplainURL+why.Rule)
		}
		lines = append(lines, wrap(strings.Fields(strings.Join(words, " ")))...)
	}
	return lines
}

// wrapAt keeps a reply line well under the 512 octets of RFC 5321 section
// 4.5.3.1.5.
const wrapAt = 400

func wrap(words []string) []string {
	lines, line := []string(nil), ""
	for _, w := range words {
		if line != "" && len(line)+1+len(w) > wrapAt {
			lines, line = append(lines, line), ""
		}
		if line != "" {
			line += " "
		}
		line += w
	}
	return append(lines, line)
}

func toASCII(s string) string {
	if smtp.IsASCII(s) {
		return s
	}
	return strings.Map(func(r rune) rune {
		if r >= 0x80 {
			return '?'
		}
		return r
	}, s)
}
