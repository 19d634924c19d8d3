// Package field finds the header fields of a message without changing a byte of
// it, and says beforehand how much work they would make.
//
// Owns:      nothing.
// Trusts:    nobody: the bytes come from anyone.
// May touch: nothing; it is pure.
// Standards: RFC 5322 section 2.2.
package field

import (
	"bytes"
	"io"
	"iter"
)

// MaxHeader is the largest header that message authentication looks at. Real
// ones stay below 100 KiB; a larger one is a reason for permerror, not for work.
const MaxHeader = 256 << 10

// firstRead is enough for the header of nearly every message.
const firstRead = 16 << 10

// Field is one header field as it stands in the message.
type Field struct {
	Offset int    // of its first byte, from the start of the header
	Raw    []byte // name, colon, value, with folding and the final line end
	Name   []byte // without the space that obsolete syntax allows before the colon
	Lines  int
}

// Value gives what stands after the colon, folding included.
func (f Field) Value() []byte {
	_, v, _ := bytes.Cut(f.Raw, []byte{':'})
	return v
}

// Is compares the field's name, ignoring case.
func (f Field) Is(name string) bool {
	return len(f.Name) == len(name) && bytes.EqualFold(f.Name, []byte(name))
}

// Read gives the header of a message up to and without its empty line, and
// whether the empty line was found within MaxHeader. Content of size octets is
// read through r only as far as the header goes.
func Read(r io.ReaderAt, size int64) (header []byte, whole bool, err error) {
	for n := min(size, firstRead); ; n = min(size, n*4, MaxHeader) {
		buf := make([]byte, n)
		got, err := r.ReadAt(buf, 0)
		if err != nil && err != io.EOF {
			return nil, false, err
		}
		buf = buf[:got]
		if end := end(buf); end >= 0 {
			return buf[:end], true, nil
		}
		if int64(got) < n || n == size || n == MaxHeader {
			// A message may be all header (RFC 5322 section 3.5).
			return buf, n == size && n <= MaxHeader, nil
		}
	}
}

// end gives the offset of the empty line that ends the header, or -1.
func end(b []byte) int {
	for i := 0; i < len(b); {
		if b[i] == '\n' || (b[i] == '\r' && i+1 < len(b) && b[i+1] == '\n') {
			return i
		}
		nl := bytes.IndexByte(b[i:], '\n')
		if nl < 0 {
			return -1
		}
		i += nl + 1
	}
	return -1
}

// All iterates over the fields of a header in their order. A line that is no
// field is given with an empty Name.
func All(header []byte) iter.Seq[Field] {
	return func(yield func(Field) bool) {
		for i := 0; i < len(header); {
			f := Field{Offset: i}
			j := i
			for {
				nl := bytes.IndexByte(header[j:], '\n')
				if nl < 0 {
					j = len(header)
				} else {
					j += nl + 1
				}
				f.Lines++
				if j >= len(header) || (header[j] != ' ' && header[j] != '\t') {
					break
				}
			}
			f.Raw = header[i:j]
			if name, _, ok := bytes.Cut(f.Raw, []byte{':'}); ok {
				if name = bytes.TrimRight(name, " \t"); !bytes.ContainsAny(name, " \t\r\n") {
					f.Name = name
				}
			}
			i = j
			if !yield(f) {
				return
			}
		}
	}
}
