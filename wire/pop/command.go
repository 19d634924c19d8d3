package pop

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/mohar-mail/mohar/base/fault"
)

// Bounds on what a client may send.
const (
	// MaxLine is the longest command line in octets, with its line end. RFC 2449
	// section 4 asks for 255; UTF-8 passwords and initial responses need more.
	MaxLine = 1024
	// MaxDiscard is how much of an overlong line is read away before the
	// connection is given up.
	MaxDiscard = 64 << 10
	// maxDigits is the longest number: no maildrop has 10^10 messages.
	maxDigits = 10
)

// Errors of ReadLine.
var (
	// ErrTooLong is a line over the limit; the next line can be read.
	ErrTooLong = errors.New("pop: line is too long")
	// ErrFlood is a line that does not end: close the connection.
	ErrFlood = errors.New("pop: line does not end")
)

// ReadLine reads one line of at most limit octets and gives it without its line
// end, CRLF or LF. The slice is valid until the next read. A longer line is read
// away and gives ErrTooLong, one beyond MaxDiscard ErrFlood. A last line without
// an end is no line: the error is then io.EOF. br must buffer limit octets.
func ReadLine(br *bufio.Reader, limit int) ([]byte, error) {
	line, err := br.ReadSlice('\n')
	read := len(line)
	for errors.Is(err, bufio.ErrBufferFull) {
		if read > MaxDiscard {
			return nil, ErrFlood
		}
		line, err = br.ReadSlice('\n')
		read += len(line)
	}
	switch {
	case err != nil:
		return nil, err
	case read > limit:
		return nil, ErrTooLong
	}
	return bytes.TrimSuffix(line[:read-1], []byte("\r")), nil
}

// Command is one command of a client. Fields that its Name does not use are zero.
type Command struct {
	Name string // in upper case
	// Text is the name of USER or the password of PASS, valid UTF-8 of one octet
	// at least. It may hold spaces (RFC 1939 section 7, PASS).
	Text string
	// Mechanism of AUTH in upper case, "" where the client asks for a list, and
	// the decoded initial response, nil for none (RFC 5034 section 4).
	Mechanism string
	Initial   []byte
	// Message is the message number, from 1, of RETR, DELE, TOP and, where given,
	// LIST and UIDL; 0 for none.
	Message int
	Lines   int // of the body, for TOP
}

// form says what stands behind a command's name.
type form uint8

const (
	formNone form = iota
	formText
	formAuth
	formMessage         // one message number
	formMessageOptional // the same, or nothing
	formTop             // a message number and a count of lines
)

// formOf gives the form of a command, false for one that does not exist.
func formOf(name string) (form, bool) {
	switch name {
	case "CAPA", "STLS", "UTF8", "QUIT", "STAT", "NOOP", "RSET":
		return formNone, true
	case "USER", "PASS":
		return formText, true
	case "AUTH":
		return formAuth, true
	case "RETR", "DELE":
		return formMessage, true
	case "LIST", "UIDL":
		return formMessageOptional, true
	case "TOP":
		return formTop, true
	}
	return 0, false
}

// ParseCommand reads one line without its line end (RFC 2449 section 3). Errors
// are fault.Unsupported for a command that does not exist and fault.Invalid for
// one with other arguments than it takes; the Name is then set as far as known.
func ParseCommand(line []byte) (Command, error) {
	word, rest, _ := bytes.Cut(line, []byte(" "))
	name := strings.ToUpper(string(word))
	f, ok := formOf(name)
	if !ok {
		return Command{}, fault.New(fault.Unsupported, "pop.ParseCommand", "This command is not known")
	}
	c := Command{Name: name}
	for _, b := range rest {
		// A control octet has no place in any argument; in a reply or a log that
		// repeats it, it could pretend to be a line of ours.
		if b < ' ' || b == 0x7f {
			return c, c.invalid("Control characters are not taken")
		}
	}
	switch f {
	case formText:
		// Only what can be a name or password: spaces within it are part of it.
		if len(rest) == 0 || !utf8.Valid(rest) {
			return c, c.invalid("takes one argument in UTF-8")
		}
		c.Text = string(rest)
		return c, nil
	case formAuth:
		return c.auth(strings.Fields(string(rest)))
	}
	return c.numbers(f, strings.Fields(string(rest)))
}

func (c Command) invalid(text string) error {
	return fault.New(fault.Invalid, "pop.ParseCommand", c.Name+": "+text)
}

func (c Command) auth(args []string) (Command, error) {
	if len(args) > 2 {
		return c, c.invalid("takes a mechanism and an initial response")
	}
	if len(args) > 0 {
		c.Mechanism = strings.ToUpper(args[0])
	}
	if len(args) == 2 {
		b, err := DecodeResponse([]byte(args[1]))
		if err != nil {
			return c, c.invalid("The initial response is not base64")
		}
		c.Initial = b
	}
	return c, nil
}

// DecodeResponse decodes one client response of AUTH; "=" alone is the empty
// initial response (RFC 5034 section 4). The result is never nil without an
// error, which is fault.Invalid.
func DecodeResponse(b []byte) ([]byte, error) {
	if string(b) == "=" {
		return []byte{}, nil
	}
	out := make([]byte, base64.StdEncoding.DecodedLen(len(b)))
	n, err := base64.StdEncoding.Decode(out, b)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "pop.DecodeResponse", "The response is not base64")
	}
	return out[:n], nil
}

func (c Command) numbers(f form, args []string) (Command, error) {
	least, most := 1, 1
	switch f {
	case formNone:
		least, most = 0, 0
	case formMessageOptional:
		least = 0
	case formTop:
		least, most = 2, 2
	}
	if len(args) > most || len(args) < least {
		return c, c.invalid("takes " + [...]string{"no argument", "a message number", "a message number and a number of lines"}[most])
	}
	for i, a := range args {
		n, err := number(a)
		if err != nil || i == 0 && n == 0 {
			return c, c.invalid("This is not a number")
		}
		if i == 0 {
			c.Message = n
		} else {
			c.Lines = n
		}
	}
	return c, nil
}

func number(s string) (int, error) {
	if len(s) > maxDigits || strings.TrimLeft(s, "0123456789") != "" {
		return 0, strconv.ErrSyntax
	}
	return strconv.Atoi(s)
}
