package mime

import (
	"strconv"
	"strings"
	"time"
)

// maxDate bounds what is read of a Date value.
const maxDate = 256

// ParseDate reads a Date value: RFC 5322 section 3.3, the obsolete forms of
// section 4.3, and what mailers write beside them (no seconds, no zone, year
// before time or after it, month first, comments). Only day, month and year are
// needed. An invalid zone is UTC and an invalid time is 00:00:00, as RFC 5256
// section 2.2 has it.
func ParseDate(s string) (time.Time, bool) {
	d := dateParts{day: -1, year: -1, month: -1, zone: time.UTC}
	for _, w := range dateWords(s) {
		d.word(w)
	}
	if d.day < 1 || d.month < 0 || d.year < 0 {
		return time.Time{}, false
	}
	t := time.Date(d.year, time.Month(d.month+1), d.day, d.hour, d.min, d.sec, 0, d.zone)
	if d.day > 31 || t.Day() != d.day && d.sec != 60 {
		return time.Time{}, false
	}
	return t, true
}

// dateWords parts a value at white space and commas, comments dropped.
func dateWords(s string) []string {
	var words []string
	depth, start := 0, -1
	s = s[:min(len(s), maxDate)]
	for i := 0; i <= len(s); i++ {
		c := byte(' ')
		if i < len(s) {
			c = s[i]
		}
		sep := c <= ' ' || c == ',' || c == '(' || c == ')' || depth > 0
		if sep && start >= 0 {
			words = append(words, s[start:i])
			start = -1
		} else if !sep && start < 0 {
			start = i
		}
		switch c {
		case '(':
			depth++
		case ')':
			depth = max(0, depth-1)
		}
	}
	return words
}

type dateParts struct {
	day, month, year int
	hour, min, sec   int
	timed, zoned     bool
	zone             *time.Location
}

func (d *dateParts) word(w string) {
	switch {
	case (w[0] == '+' || w[0] == '-') && len(w) >= 3:
		d.offset(w)
	case strings.Contains(w, ":"):
		d.clock(w)
	case strings.Count(w, "-") == 2 || strings.Count(w, "/") == 2:
		d.joined(w)
	case w[0] >= '0' && w[0] <= '9':
		d.number(w)
	case monthOf(w) >= 0 && d.month < 0:
		d.month = monthOf(w)
	case d.timed && !d.zoned:
		d.named(w)
	}
}

func (d *dateParts) number(w string) {
	n, err := strconv.Atoi(strings.TrimRight(w, ".thndrs"))
	if err != nil || len(w) > 6 {
		return
	}
	switch {
	case d.day < 0 && n >= 1 && n <= 31 && len(w) <= 4:
		d.day = n
	case d.year < 0:
		d.year = fullYear(n, len(w))
	}
}

// fullYear follows RFC 5322 section 4.3 for years of two and three digits.
func fullYear(n, digits int) int {
	switch {
	case digits <= 2 && n < 50:
		return n + 2000
	case digits <= 3:
		return n + 1900
	case n > 9999:
		return -1
	}
	return n
}

// joined reads "2026-11-23" and "23-Nov-2026".
func (d *dateParts) joined(w string) {
	f := strings.FieldsFunc(w, func(r rune) bool { return r == '-' || r == '/' })
	if len(f) != 3 || d.day >= 0 {
		return
	}
	if len(f[0]) == 4 {
		f[0], f[2] = f[2], f[0]
	}
	if i := strings.IndexByte(f[0], 'T'); i > 0 {
		f[0] = f[0][:i]
	}
	day, err1 := strconv.Atoi(f[0])
	year, err2 := strconv.Atoi(f[2])
	month := monthOf(f[1])
	if n, err := strconv.Atoi(f[1]); err == nil && n >= 1 && n <= 12 {
		month = n - 1
	}
	if err1 == nil && err2 == nil && month >= 0 && year >= 0 {
		d.day, d.month, d.year = day, month, fullYear(year, len(f[2]))
	}
}

// clock reads h:mm, h:mm:ss, fractions and a zone at its end; a leap second
// stands as 60 (RFC 5322 section 3.3).
func (d *dateParts) clock(w string) {
	if i := strings.IndexByte(w, 'T'); i > 0 {
		d.joined(w[:i])
		w = w[i+1:]
	}
	if d.timed {
		return
	}
	zone := ""
	if i := strings.IndexAny(w, "+-Zz"); i > 0 {
		w, zone = w[:i], w[i:]
	}
	f := strings.Split(w, ":")
	if len(f) > 3 {
		return
	}
	var v [3]int
	for i := range f {
		text, _, _ := strings.Cut(f[i], ".")
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 || n > 60 {
			return
		}
		v[i] = n
	}
	d.timed = true
	if v[0] > 23 || v[1] > 59 {
		return
	}
	d.hour, d.min, d.sec = v[0], v[1], v[2]
	if len(zone) > 2 {
		d.offset(strings.ReplaceAll(zone, ":", ""))
	} else if zone != "" {
		d.zoned = true
	}
}

func (d *dateParts) offset(w string) {
	w = w[:1] + strings.ReplaceAll(w[1:], ":", "")
	n, err := strconv.Atoi(w[1:])
	if d.zoned || err != nil || len(w) > 5 {
		return
	}
	if len(w) <= 3 {
		n *= 100
	}
	if n/100 > 23 || n%100 > 59 {
		return
	}
	sec := (n/100*60 + n%100) * 60
	if w[0] == '-' {
		sec = -sec
	}
	d.zoned = true
	if sec != 0 {
		d.zone = time.FixedZone("", sec)
	}
}

// named reads the zones of RFC 5322 section 4.3 and Indian standard time, which
// Indian systems write as a name. Others say nothing: UTC.
func (d *dateParts) named(w string) {
	hours, ok := map[string]float64{"EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7, "IST": 5.5}[strings.ToUpper(w)]
	d.zoned = true
	if ok {
		d.zone = time.FixedZone("", int(hours*3600))
	}
}

func monthOf(w string) int {
	if len(w) < 3 || len(w) > 9 {
		return -1
	}
	const names = "janfebmaraprmayjunjulaugsepoctnovdec"
	i := strings.Index(names, strings.ToLower(w[:3]))
	if i < 0 || i%3 != 0 {
		return -1
	}
	return i / 3
}
