package jmap

import (
	"encoding/json"
	"time"
)

// ID is a record, blob or account id: 1 to 255 octets of the URL and filename
// safe base64 alphabet (RFC 8620 section 1.2).
type ID string

// maxID is the octet limit of RFC 8620 section 1.2.
const maxID = 255

// Valid says whether id follows the grammar of RFC 8620 section 1.2.
func (id ID) Valid() bool {
	if len(id) == 0 || len(id) > maxID {
		return false
	}
	for i := 0; i < len(id); i++ {
		c := id[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}

// MaxInt is the largest Int and UnsignedInt, 2^53-1 (RFC 8620 section 1.3).
const MaxInt = 1<<53 - 1

// UTCDate is an instant printed as the UTCDate of RFC 8620 section 1.4, to the
// second. The zero time prints as null.
type UTCDate time.Time

// MarshalJSON prints the date with the "Z" that the type demands.
func (d UTCDate) MarshalJSON() ([]byte, error) {
	if time.Time(d).IsZero() {
		return []byte("null"), nil
	}
	return json.Marshal(time.Time(d).UTC().Format("2006-01-02T15:04:05Z"))
}

// Date is an instant with its offset, printed as the Date of RFC 8620
// section 1.4, to the second. The zero time prints as null.
type Date time.Time

// MarshalJSON prints the date with the offset that it came with.
func (d Date) MarshalJSON() ([]byte, error) {
	if time.Time(d).IsZero() {
		return []byte("null"), nil
	}
	return json.Marshal(time.Time(d).Format("2006-01-02T15:04:05Z07:00"))
}

// ParseDate reads a Date of RFC 8620 section 1.4: RFC 3339 with upper-case
// letters. Trailing zero fractions, which the section forbids to writers, are
// read.
func ParseDate(s string) (time.Time, bool) {
	if len(s) < len("2006-01-02T15:04:05Z") || len(s) > 64 || s[10] != 'T' {
		return time.Time{}, false
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	return t, err == nil
}

// ParseUTCDate reads a UTCDate of RFC 8620 section 1.4: a Date whose offset is
// "Z".
func ParseUTCDate(s string) (time.Time, bool) {
	if len(s) == 0 || s[len(s)-1] != 'Z' {
		return time.Time{}, false
	}
	return ParseDate(s)
}
