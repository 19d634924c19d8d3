package smtp

import (
	"bytes"
	"strconv"

	"github.com/mohar-mail/mohar/base/fault"
)

// Verb is a command's name.
type Verb uint8

// The verbs known. Unknown is any other word.
const (
	Unknown Verb = iota
	HELO
	EHLO
	LHLO
	MAIL
	RCPT
	DATA
	BDAT
	RSET
	NOOP
	QUIT
	HELP
	VRFY
	EXPN
	STARTTLS
	AUTH
)

var verbNames = [...]string{"", "HELO", "EHLO", "LHLO", "MAIL", "RCPT", "DATA", "BDAT", "RSET", "NOOP", "QUIT", "HELP", "VRFY", "EXPN", "STARTTLS", "AUTH"}

// String gives the verb in capitals, "" for Unknown.
func (v Verb) String() string {
	if int(v) < len(verbNames) {
		return verbNames[v]
	}
	return ""
}

// ParseCommand splits a command line, without its CRLF, into verb and argument.
// The argument aliases line and has no space at its ends. Verbs are
// case-insensitive (RFC 5321 section 2.4).
func ParseCommand(line []byte) (Verb, []byte) {
	word, arg := line, []byte(nil)
	if i := bytes.IndexByte(line, ' '); i >= 0 {
		word, arg = line[:i], bytes.Trim(line[i+1:], " ")
	}
	if len(word) > len("STARTTLS") {
		return Unknown, arg
	}
	var up [len("STARTTLS")]byte
	for i, c := range word {
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		up[i] = c
	}
	for v := HELO; int(v) < len(verbNames); v++ {
		if string(up[:len(word)]) == verbNames[v] {
			return v, arg
		}
	}
	return Unknown, arg
}

// cutPrefixFold cuts a keyword such as "FROM:" of any case.
func cutPrefixFold(b []byte, prefix string) ([]byte, bool) {
	if len(b) < len(prefix) || !bytes.EqualFold(b[:len(prefix)], []byte(prefix)) {
		return b, false
	}
	return b[len(prefix):], true
}

// ParseHelo reads the argument of HELO, EHLO or LHLO. It asks only for one word
// of printable characters: names with underscores, bare words and malformed
// address literals are common among legitimate senders, and a name is evidence
// for others to weigh (RFC 5321 section 4.1.4 forbids to refuse for it alone).
func ParseHelo(arg []byte) (string, error) {
	if len(arg) == 0 || len(arg) > MaxDomain {
		return "", fault.New(fault.Invalid, "smtp.ParseHelo", "A host name is needed here.")
	}
	for _, c := range arg {
		if c <= ' ' || c >= 0x7f {
			return "", fault.New(fault.Invalid, "smtp.ParseHelo", "The host name holds characters that no host name has.")
		}
	}
	return string(arg), nil
}

// ParseBDAT reads "BDAT chunk-size [LAST]" (RFC 3030 section 2): the size in
// octets and whether it is the last chunk.
func ParseBDAT(arg []byte) (size int64, last bool, err error) {
	num, rest, more := bytes.Cut(arg, []byte{' '})
	rest = bytes.Trim(rest, " ")
	if more && !bytes.EqualFold(rest, []byte("LAST")) {
		return 0, false, fault.New(fault.Invalid, "smtp.ParseBDAT", "BDAT takes a size and then LAST or nothing.")
	}
	size, ok := parseSize(num)
	if !ok {
		return 0, false, fault.New(fault.Invalid, "smtp.ParseBDAT", "The size of the chunk is not a number.")
	}
	return size, more, nil
}

// maxSizeDigits keeps sizes far from overflow; RFC 1870 section 3 allows 20
// digits, which no system can hold.
const maxSizeDigits = 18

func parseSize(b []byte) (int64, bool) {
	if len(b) == 0 || len(b) > 20 {
		return 0, false
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
	}
	for len(b) > 1 && b[0] == '0' {
		b = b[1:]
	}
	if len(b) > maxSizeDigits {
		return 1e18, true
	}
	n, err := strconv.ParseInt(string(b), 10, 64)
	return n, err == nil
}
