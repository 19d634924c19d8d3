package imap

import (
	"strconv"
	"time"
)

const (
	dateTimeLayout = "_2-Jan-2006 15:04:05 -0700"
	dateLayout     = "2-Jan-2006"
)

// DateTime reads a quoted date-time (RFC 9051 section 9).
func (p *Parser) DateTime() (time.Time, error) {
	q, err := p.Quoted()
	if err != nil {
		return time.Time{}, err
	}
	// A fixed width keeps time.Parse from accepting fractions and one-digit hours.
	if len(q) != 26 {
		return time.Time{}, p.fail("date-time expected")
	}
	t, err := time.Parse(dateTimeLayout, q)
	if err != nil || t.Year() < 1 {
		return time.Time{}, p.fail("date-time expected")
	}
	return t, nil
}

// Date reads a search date, quoted or not; the result is midnight UTC of that day.
func (p *Parser) Date() (time.Time, error) {
	s, err := p.AString()
	if err != nil {
		return time.Time{}, err
	}
	if len(s) < 10 || len(s) > 11 {
		return time.Time{}, p.fail("date expected")
	}
	t, err := time.Parse(dateLayout, s)
	if err != nil {
		return time.Time{}, p.fail("date expected")
	}
	return t, nil
}

// AppendDateTime writes a quoted date-time in the zone that t carries.
func AppendDateTime(b []byte, t time.Time) []byte {
	b = append(b, '"')
	// Years beyond four digits have no form in the grammar.
	if y := t.Year(); y < 0 || y > 9999 {
		t = time.Unix(0, 0).UTC()
	}
	b = t.AppendFormat(b, dateTimeLayout)
	return append(b, '"')
}

// AppendNum writes a number in decimal.
func AppendNum(b []byte, n uint64) []byte { return strconv.AppendUint(b, n, 10) }
