package mime

import (
	"encoding/binary"

	"github.com/mohar-mail/mohar/base/fault"
)

// indexReader takes values from the front of s. After a fault all of them are
// zero, and bad says so.
type indexReader struct {
	s     string
	bad   bool
	parts int
}

func checkVersion(b []byte) error {
	if len(b) == 0 {
		return damaged()
	}
	if b[0] != indexVersion {
		return fault.New(fault.Unsupported, "mime.DecodeIndex", "the index of a message is of another version")
	}
	return nil
}

func newIndexReader(b []byte) (*indexReader, error) {
	if err := checkVersion(b); err != nil {
		return nil, err
	}
	return &indexReader{s: string(b[1:])}, nil
}

func (r *indexReader) err() error {
	if r.bad {
		return damaged()
	}
	return nil
}

func damaged() error {
	return fault.New(fault.Corrupt, "mime.DecodeIndex", "the index of a message is damaged")
}

func (r *indexReader) fail() {
	r.bad, r.s = true, ""
}

func (r *indexReader) number() uint64 {
	if len(r.s) > 0 && r.s[0] < 0x80 {
		n := r.s[0]
		r.s = r.s[1:]
		return uint64(n)
	}
	var n uint64
	for i := 0; i < len(r.s) && i < binary.MaxVarintLen64-1; i++ {
		c := r.s[i]
		n |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			r.s = r.s[i+1:]
			return n
		}
	}
	r.fail()
	return 0
}

func (r *indexReader) signed() int64 {
	n := r.number()
	return int64(n>>1) ^ -int64(n&1)
}

// count reads the number of things that follow, each of at least one octet: so
// no damaged count can ask for more memory than the index has octets.
func (r *indexReader) count() int {
	n := r.number()
	if n > uint64(len(r.s)) {
		r.fail()
		return 0
	}
	return int(n)
}

func (r *indexReader) string() string {
	n := r.number()
	if n&1 == 1 {
		if n>>1 >= uint64(len(knownWords)) {
			r.fail()
			return ""
		}
		return knownWords[n>>1]
	}
	n >>= 1
	if n > uint64(len(r.s)) {
		r.fail()
		return ""
	}
	s := r.s[:n]
	r.s = r.s[n:]
	return s
}

func (r *indexReader) strings() []string {
	n := r.count()
	if n == 0 {
		return nil
	}
	list := make([]string, n)
	for i := range list {
		list[i] = r.string()
	}
	return list
}

func (r *indexReader) params() []Param {
	n := r.count()
	if n == 0 {
		return nil
	}
	list := make([]Param, n)
	for i := range list {
		list[i] = Param{r.string(), r.string()}
	}
	return list
}
