package pop

import "unicode/utf8"

// Response codes of an -ERR (RFC 2449 section 8, RFC 3206, RFC 6856 section 5).
const (
	CodeNone    = ""
	CodeAuth    = "AUTH"     // credentials or policy: ask the person
	CodeSysTemp = "SYS/TEMP" // try again later
	CodeSysPerm = "SYS/PERM" // somebody must repair something
	CodeUTF8    = "UTF8"     // the message needs UTF8 mode
)

// maxReply is the longest first line of a reply in octets, with its CRLF (RFC
// 2449 section 4).
const maxReply = 512

// AppendOK appends a +OK line.
func AppendOK(dst []byte, text string, utf8Mode bool) []byte {
	return appendStatus(dst, "+OK", CodeNone, text, utf8Mode)
}

// AppendErr appends an -ERR line with a response code, CodeNone for none.
func AppendErr(dst []byte, code, text string, utf8Mode bool) []byte {
	return appendStatus(dst, "-ERR", code, text, utf8Mode)
}

func appendStatus(dst []byte, status, code, text string, utf8Mode bool) []byte {
	start := len(dst)
	dst = append(dst, status...)
	if code != "" {
		dst = append(dst, " ["...)
		dst = append(dst, code...)
		dst = append(dst, ']')
	}
	if text != "" {
		dst = append(dst, ' ')
	}
	for _, r := range text {
		switch {
		case r < ' ' || r == 0x7f || r == 0x85 || r == 0x2028 || r == 0x2029:
			r = ' ' // no text may begin a line of its own
		case r >= utf8.RuneSelf && !utf8Mode:
			r = '?' // RFC 6856 section 2.1
		case r == '[' && code == "":
			r = '(' // would be read as a response code: RFC 2449 section 3, schar
		}
		if len(dst)-start+utf8.RuneLen(r)+2 > maxReply {
			break
		}
		dst = utf8.AppendRune(dst, r)
	}
	return append(dst, "\r\n"...)
}
