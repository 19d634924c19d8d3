package smtp

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"github.com/mohar-mail/mohar/base/fault"
)

// MailParams is the argument of MAIL.
type MailParams struct {
	From       string // reverse-path without brackets; "" is the null path
	Size       int64  // RFC 1870, octets; 0 when not given
	EightBit   bool   // BODY=8BITMIME (RFC 6152)
	SMTPUTF8   bool   // RFC 6531
	RequireTLS bool   // RFC 8689
	Ret        string // RFC 3461: "FULL", "HDRS" or ""
	EnvID      string // RFC 3461: xtext as given
	Auth       string // RFC 4954 section 5: decoded; "<>" or ""
	HasAuth    bool   // AUTH= was given
}

// RcptParams is the argument of RCPT.
type RcptParams struct {
	To     string // mailbox without brackets
	Notify string // RFC 3461: in capitals, "" when absent
	ORcpt  string // RFC 3461: "type;xtext" as given, "" when absent
}

// ErrParam is the error of a parameter that is not implemented: reply 555
// (RFC 5321 section 4.1.1.11). It is of kind fault.Unsupported.
var ErrParam = fault.New(fault.Unsupported, "smtp.params", "A parameter of the command is not known here.")

func badParam(public string) error { return fault.New(fault.Invalid, "smtp.params", public) }

// ParseMail reads the argument of MAIL: "FROM:<path> params". Errors are of
// kind fault.Invalid, ErrNeedsUTF8, or ErrParam.
func ParseMail(arg []byte) (*MailParams, error) {
	arg, ok := cutPrefixFold(arg, "FROM:")
	if !ok {
		return nil, badParam("MAIL must be followed by FROM: and an address.")
	}
	box, utf, rest, err := cutPath(arg)
	if err != nil {
		return nil, err
	}
	if len(box) > 0 {
		if err := CheckMailbox(box); err != nil {
			return nil, err
		}
	}
	p := &MailParams{From: string(box)}
	if err := eachParam(rest, p.set); err != nil {
		return nil, err
	}
	if utf && !p.SMTPUTF8 {
		return nil, ErrNeedsUTF8
	}
	return p, nil
}

func (p *MailParams) set(key string, val []byte, has bool) error {
	switch key {
	case "SIZE":
		n, ok := parseSize(val)
		if !ok {
			return badParam("SIZE is not a number.")
		}
		p.Size = n
	case "BODY":
		switch {
		case bytes.EqualFold(val, []byte("8BITMIME")):
			p.EightBit = true
		case !bytes.EqualFold(val, []byte("7BIT")):
			return ErrParam
		}
	case "SMTPUTF8":
		if has {
			return badParam("SMTPUTF8 takes no value.")
		}
		p.SMTPUTF8 = true
	case "REQUIRETLS":
		if has {
			return badParam("REQUIRETLS takes no value.")
		}
		p.RequireTLS = true
	case "RET":
		p.Ret = strings.ToUpper(string(val))
		if p.Ret != "FULL" && p.Ret != "HDRS" {
			return badParam("RET is FULL or HDRS.")
		}
	case "ENVID":
		if len(val) == 0 || len(val) > MaxEnvID || !validXtext(val) {
			return badParam("ENVID is not well formed.")
		}
		p.EnvID = string(val)
	case "AUTH":
		s, err := DecodeXtext(string(val))
		if err != nil || s == "" {
			return badParam("AUTH is not well formed.")
		}
		p.Auth, p.HasAuth = s, true
	default:
		return ErrParam
	}
	return nil
}

// ParseRcpt reads the argument of RCPT: "TO:<path> params". With utf8ok (the
// transaction has SMTPUTF8) addresses and ORCPT may hold UTF-8. Errors are
// those of ParseMail. "<Postmaster>" without a domain is taken (RFC 5321
// section 4.1.1.3) and given as "Postmaster".
func ParseRcpt(arg []byte, utf8ok bool) (*RcptParams, error) {
	arg, ok := cutPrefixFold(arg, "TO:")
	if !ok {
		return nil, badParam("RCPT must be followed by TO: and an address.")
	}
	box, utf, rest, err := cutPath(arg)
	if err != nil {
		return nil, err
	}
	if utf && !utf8ok {
		return nil, ErrNeedsUTF8
	}
	if !bytes.EqualFold(box, []byte("postmaster")) {
		if err := CheckMailbox(box); err != nil {
			return nil, err
		}
	}
	p := &RcptParams{To: string(box)}
	err = eachParam(rest, func(key string, val []byte, _ bool) error {
		switch key {
		case "NOTIFY":
			p.Notify = strings.ToUpper(string(val))
			if !validNotify(p.Notify) {
				return badParam("NOTIFY is NEVER, or a list of SUCCESS, FAILURE and DELAY.")
			}
		case "ORCPT":
			if !validORcpt(val, utf8ok) {
				return badParam("ORCPT is not well formed.")
			}
			p.ORcpt = string(val)
		default:
			return ErrParam
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return p, nil
}

// eachParam walks esmtp-params (RFC 5321 section 4.1.2), keywords in capitals.
func eachParam(b []byte, set func(key string, val []byte, has bool) error) error {
	var seen [MaxParams]string
	for n := 0; ; n++ {
		b = bytes.TrimLeft(b, " ")
		if len(b) == 0 {
			return nil
		}
		if n == MaxParams {
			return badParam("There are too many parameters.")
		}
		word := b
		if i := bytes.IndexByte(b, ' '); i >= 0 {
			word, b = b[:i], b[i:]
		} else {
			b = nil
		}
		k, val, has := bytes.Cut(word, []byte{'='})
		key, ok := keyword(k)
		if !ok || has && !validValue(val) {
			return badParam("The parameters are not well formed.")
		}
		for _, s := range seen[:n] {
			if s == key {
				return badParam("A parameter is given twice.")
			}
		}
		seen[n] = key
		if err := set(key, val, has); err != nil {
			return err
		}
	}
}

// maxKeyword bounds a parameter's name.
const maxKeyword = 64

func keyword(k []byte) (string, bool) {
	if len(k) == 0 || len(k) > maxKeyword || k[0] == '-' {
		return "", false
	}
	for _, c := range k {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-':
		default:
			return "", false
		}
	}
	return strings.ToUpper(string(k)), true
}

// validValue is esmtp-value of RFC 5321, with UTF-8 as RFC 6531 section 3.3 adds.
func validValue(v []byte) bool {
	if len(v) == 0 {
		return false
	}
	for _, c := range v {
		if c <= ' ' || c == '=' || c == 0x7f {
			return false
		}
	}
	return utf8.Valid(v)
}

func validNotify(s string) bool {
	if s == "NEVER" {
		return true
	}
	n := 0
	for w := range strings.SplitSeq(s, ",") {
		n++
		if w != "SUCCESS" && w != "FAILURE" && w != "DELAY" || n > 3 {
			return false
		}
	}
	return true
}

// validORcpt checks "addr-type;xtext"; the type utf-8 of RFC 6533 section 3 may
// hold UTF-8 and \x{...} instead.
func validORcpt(v []byte, utf8ok bool) bool {
	if len(v) > MaxORcpt {
		return false
	}
	kind, addr, ok := bytes.Cut(v, []byte{';'})
	if !ok || len(kind) == 0 || len(addr) == 0 {
		return false
	}
	for _, c := range kind {
		if !isAtext(c) || c >= 0x80 {
			return false
		}
	}
	if bytes.EqualFold(kind, []byte("utf-8")) {
		return utf8ok || isASCIIBytes(addr)
	}
	return validXtext(addr)
}

func isASCIIBytes(b []byte) bool {
	for _, c := range b {
		if c >= 0x80 {
			return false
		}
	}
	return true
}
