package mime

import "strings"

// BaseSubject gives the base subject of RFC 5256 section 2.1 of a raw or decoded
// subject, for threading and sorting. Case is kept: comparison folds it. Only
// the first 4 KiB count, as in Envelope.Subject: the procedure goes back over
// what it has seen, so its work grows with the square of the length.
func BaseSubject(subject string) string {
	subject = subject[:min(len(subject), maxEnvelopeText)]
	// Step 1.
	s := strings.Join(strings.FieldsFunc(DecodeText(subject), func(r rune) bool {
		return r == ' ' || r == '\t' || r == '\r' || r == '\n'
	}), " ")
	for {
		// Step 2.
		for {
			t := strings.TrimRight(s, " ")
			if len(t) >= 5 && strings.EqualFold(t[len(t)-5:], "(fwd)") {
				t = t[:len(t)-5]
			}
			if t == s {
				break
			}
			s = t
		}
		// Steps 3 to 5.
		for {
			t := dropLeader(s)
			if rest, ok := dropBlob(t); ok && rest != "" {
				t = rest
			}
			if t == s {
				break
			}
			s = t
		}
		// Step 6.
		if len(s) < 6 || !strings.EqualFold(s[:5], "[fwd:") || s[len(s)-1] != ']' {
			return s
		}
		s = s[5 : len(s)-1]
	}
}

// dropLeader removes a subj-leader: white space, or blobs and "re", "fw", "fwd"
// with a colon.
func dropLeader(s string) string {
	s = strings.TrimLeft(s, " ")
	t := s
	for {
		rest, ok := dropBlob(t)
		if !ok {
			break
		}
		t = rest
	}
	n := 0
	switch {
	case len(t) >= 3 && strings.EqualFold(t[:3], "fwd"):
		n = 3
	case len(t) >= 2 && (strings.EqualFold(t[:2], "re") || strings.EqualFold(t[:2], "fw")):
		n = 2
	default:
		return s
	}
	t = strings.TrimLeft(t[n:], " ")
	if rest, ok := dropBlob(t); ok {
		t = rest
	}
	if !strings.HasPrefix(t, ":") {
		return s
	}
	return t[1:]
}

// dropBlob removes "[...]" without brackets inside, and the white space after.
func dropBlob(s string) (string, bool) {
	if !strings.HasPrefix(s, "[") {
		return s, false
	}
	i := strings.IndexAny(s[1:], "[]") + 1
	if i == 0 || s[i] != ']' {
		return s, false
	}
	return strings.TrimLeft(s[i+1:], " "), true
}
