package mime

import (
	"bytes"
	"io"
)

// KnownEncoding says whether a transfer encoding (in lower case) can be decoded;
// RFC 3516 section 4.3 asks for UNKNOWN-CTE where it cannot.
func KnownEncoding(encoding string) bool {
	switch encoding {
	case "", "7bit", "8bit", "binary", "base64", "quoted-printable":
		return true
	}
	return false
}

// DecodeTransfer gives the octets that a body stands for. It never fails: base64
// skips what is not of its alphabet and goes on after padding, quoted-printable
// keeps what is no escape. An unknown encoding gives the body as it stands.
func DecodeTransfer(encoding string, body []byte) io.Reader {
	switch encoding {
	case "base64":
		return &base64Reader{src: body}
	case "quoted-printable":
		return &qpReader{src: body}
	}
	return bytes.NewReader(body)
}

// base64Value, never written to, maps an octet to its six bits (RFC 2045
// section 6.8); 64 is the
// padding, 255 is to be skipped. The two letters of the URL alphabet stand for
// theirs.
var base64Value = func() (t [256]byte) {
	for i := range t {
		t[i] = 255
	}
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	for i := range len(alphabet) {
		t[alphabet[i]] = byte(i)
	}
	t['-'], t['_'], t['='] = 62, 63, 64
	return t
}()

// base64State decodes one octet at a time.
type base64State struct {
	acc uint32
	n   int
}

func (d *base64State) put(dst []byte, c byte) []byte {
	v := base64Value[c]
	switch {
	case v < 64:
		d.acc = d.acc<<6 | uint32(v)
		if d.n++; d.n == 4 {
			dst = append(dst, byte(d.acc>>16), byte(d.acc>>8), byte(d.acc))
			d.n = 0
		}
	case v == 64:
		return d.end(dst)
	}
	return dst
}

// end gives what an unfinished quantum holds.
func (d *base64State) end(dst []byte) []byte {
	switch d.n {
	case 2:
		dst = append(dst, byte(d.acc>>4))
	case 3:
		dst = append(dst, byte(d.acc>>10), byte(d.acc>>2))
	}
	d.n = 0
	return dst
}

type base64Reader struct {
	src   []byte
	state base64State
	out   []byte // decoded but not read: at most 3 octets
	tail  [4]byte
	ended bool
}

func (r *base64Reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	n := copy(p, r.out)
	r.out = r.out[n:]
	for n < len(p) && len(r.out) == 0 {
		if len(p)-n >= 3 && r.state.n == 0 {
			k, used := decodeQuanta(p[n:], r.src)
			n += k
			r.src = r.src[used:]
			if n == len(p) {
				break
			}
		}
		if len(r.src) == 0 {
			if r.ended {
				break
			}
			r.ended = true
			r.out = r.state.end(r.tail[:0])
		} else {
			r.out = r.state.put(r.tail[:0], r.src[0])
			r.src = r.src[1:]
		}
		k := copy(p[n:], r.out)
		n += k
		r.out = r.out[k:]
	}
	if n == 0 && r.ended {
		return 0, io.EOF
	}
	return n, nil
}

// decodeQuanta decodes whole quanta while nothing else comes between them.
func decodeQuanta(dst, src []byte) (n, used int) {
	for len(dst)-n >= 3 && len(src)-used >= 4 {
		s := src[used : used+4 : used+4]
		a, b, c, d := base64Value[s[0]], base64Value[s[1]], base64Value[s[2]], base64Value[s[3]]
		if (a | b | c | d) >= 64 {
			break
		}
		v := uint32(a)<<18 | uint32(b)<<12 | uint32(c)<<6 | uint32(d)
		dst[n], dst[n+1], dst[n+2] = byte(v>>16), byte(v>>8), byte(v)
		n += 3
		used += 4
	}
	return n, used
}

// decodedSize is the length of what DecodeTransfer gives, without making it.
func decodedSize(encoding string, body []byte) int64 {
	switch encoding {
	case "base64":
		return base64Size(body)
	case "quoted-printable":
		n, _ := io.Copy(io.Discard, &qpReader{src: body})
		return n
	}
	return int64(len(body))
}

// base64Size counts letters between paddings; lines without padding are counted
// without a branch per octet.
func base64Size(body []byte) int64 {
	var total int64
	for {
		i := bytes.IndexByte(body, '=')
		seg := body
		if i >= 0 {
			seg = body[:i]
		}
		letters := 0
		for _, c := range seg {
			letters += int(^base64Value[c]>>6) & 1 // 0..63 has its two upper bits clear; 255 has not
		}
		total += int64(letters/4*3) + int64([4]int{0, 0, 1, 2}[letters%4])
		if i < 0 {
			return total
		}
		body = body[i+1:]
	}
}

// qpReader decodes quoted-printable (RFC 2045 section 6.7).
type qpReader struct {
	src  []byte
	line []byte // rest of the line at hand, without trailing white space
	eol  []byte // its line end, empty after a soft break
}

func (r *qpReader) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		switch {
		case len(r.line) > 0:
			k, used := decodeQP(p[n:], r.line)
			n += k
			r.line = r.line[used:]
		case len(r.eol) > 0:
			k := copy(p[n:], r.eol)
			n += k
			r.eol = r.eol[k:]
		case len(r.src) > 0:
			r.nextLine()
		case n == 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
	return n, nil
}

// nextLine takes a line. White space before its end was added on the way and
// goes (section 6.7 rule 3); a last "=" is a soft break (rule 5).
func (r *qpReader) nextLine() {
	var line []byte
	if i := bytes.IndexByte(r.src, '\n'); i >= 0 {
		line, r.src = r.src[:i], r.src[i+1:]
		r.eol = crlf[1:]
		if i > 0 && line[i-1] == '\r' {
			line, r.eol = line[:i-1], crlf
		}
	} else {
		line, r.src, r.eol = r.src, nil, nil
	}
	line = bytes.TrimRight(line, " \t")
	if len(line) > 0 && line[len(line)-1] == '=' {
		line, r.eol = line[:len(line)-1], nil
	}
	r.line = line
}

var crlf = []byte("\r\n")

func decodeQP(dst, src []byte) (n, used int) {
	for n < len(dst) && used < len(src) {
		c := src[used]
		if c == '=' && used+2 < len(src) {
			if hi, lo := unhex(src[used+1]), unhex(src[used+2]); hi >= 0 && lo >= 0 {
				dst[n] = byte(hi<<4 | lo)
				n++
				used += 3
				continue
			}
		}
		dst[n] = c
		n++
		used++
	}
	return n, used
}
