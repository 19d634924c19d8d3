package imapserver

import (
	"context"
	"strings"
	"time"

	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/wire/imap"
)

// matcher decides which messages a search means.
type matcher struct {
	c          *conn
	ctx        context.Context
	key        *imap.SearchKey
	candidates imap.Set // UIDs; the key is asked only of these
	need       Need
	modseq     bool                         // MODSEQ is among the criteria
	sequences  bool                         // sequence numbers are among the criteria
	sets       map[*imap.SearchKey]imap.Set // sets of the key, resolved to UIDs
	now        time.Time
	text       *textReader // of the message at hand; nil until a key needs its content
}

// newMatcher prepares a search. bad is set for a sequence number beyond the mailbox.
func (c *conn) newMatcher(ctx context.Context, key *imap.SearchKey) (m *matcher, bad bool) {
	m = &matcher{c: c, ctx: ctx, key: key, now: c.s.cfg.Clock.Now(), sets: map[*imap.SearchKey]imap.Set{}}
	key.Walk(func(k *imap.SearchKey) {
		switch k.Op {
		case imap.SearchSeq, imap.SearchUID:
			s, b := c.resolve(k.Set, k.Op == imap.SearchUID)
			bad = bad || b
			m.sets[k] = s
			m.sequences = m.sequences || (k.Op == imap.SearchSeq && !k.Set.Saved)
		case imap.SearchModSeq:
			m.modseq = true
		case imap.SearchHeader:
			if m.need |= NeedEnvelope; !inEnvelope(k.Header) {
				m.need |= NeedIndex
			}
		case imap.SearchBody, imap.SearchText:
			m.need |= NeedIndex
		case imap.SearchSentBefore, imap.SearchSentOn, imap.SearchSentSince:
			m.need |= NeedEnvelope
		}
	})
	// Only top-level sets narrow the messages that are looked at.
	m.candidates = c.sel.view.uids().Subtract(c.sel.gone)
	top := []imap.SearchKey{*key}
	if key.Op == imap.SearchAnd {
		top = key.Keys
	}
	for i := range top {
		k := &top[i]
		if key.Op != imap.SearchAnd {
			k = key
		}
		if s, ok := m.sets[k]; ok {
			m.candidates = m.candidates.Intersect(s)
		}
	}
	return m, bad
}

// trivial says whether the candidates are the answer.
func (m *matcher) trivial() bool {
	plain := func(k *imap.SearchKey) bool {
		return k.Op == imap.SearchAll || k.Op == imap.SearchSeq || k.Op == imap.SearchUID
	}
	if m.key.Op != imap.SearchAnd {
		return plain(m.key)
	}
	for i := range m.key.Keys {
		if !plain(&m.key.Keys[i]) {
			return false
		}
	}
	return true
}

func (m *matcher) matches(msg *Message) (bool, error) {
	if err := m.ctx.Err(); err != nil {
		return false, err
	}
	defer func() {
		if m.text != nil {
			m.text.close()
			m.text = nil
		}
	}()
	return m.match(m.key, msg)
}

func (m *matcher) match(k *imap.SearchKey, msg *Message) (bool, error) {
	switch k.Op {
	case imap.SearchAnd:
		return m.all(k.Keys, msg)
	case imap.SearchOr:
		ok, err := m.match(&k.Keys[0], msg)
		if ok || err != nil {
			return ok, err
		}
		return m.match(&k.Keys[1], msg)
	case imap.SearchNot:
		ok, err := m.match(&k.Keys[0], msg)
		return !ok, err
	case imap.SearchHeader, imap.SearchBody, imap.SearchText:
		return m.matchText(k, msg)
	case imap.SearchSentBefore, imap.SearchSentOn, imap.SearchSentSince:
		return m.sent(k, msg), nil
	}
	return m.matchRow(k, msg), nil
}

// all asks the cheap keys first: content is read only for what they leave.
func (m *matcher) all(keys []imap.SearchKey, msg *Message) (bool, error) {
	for _, costly := range [...]bool{false, true} {
		for i := range keys {
			if isCostly(&keys[i]) != costly {
				continue
			}
			if ok, err := m.match(&keys[i], msg); !ok || err != nil {
				return false, err
			}
		}
	}
	return true, nil
}

func isCostly(k *imap.SearchKey) bool {
	switch k.Op {
	case imap.SearchHeader, imap.SearchBody, imap.SearchText, imap.SearchAnd, imap.SearchOr, imap.SearchNot:
		return true
	}
	return false
}

// matchRow answers the keys that need no content.
func (m *matcher) matchRow(k *imap.SearchKey, msg *Message) bool {
	switch k.Op {
	case imap.SearchAll:
		return true
	case imap.SearchSeq, imap.SearchUID:
		return m.sets[k].Contains(msg.UID)
	case imap.SearchFlag:
		return msg.Flags.System&k.System != 0
	case imap.SearchKeyword:
		return msg.Flags.HasKeyword(k.Text)
	case imap.SearchBefore:
		return day(msg.Received).Before(k.Date)
	case imap.SearchOn:
		return day(msg.Received).Equal(k.Date)
	case imap.SearchSince:
		return !day(msg.Received).Before(k.Date)
	case imap.SearchLarger:
		return uint64(max(msg.Size, 0)) > k.Num
	case imap.SearchSmaller:
		return uint64(max(msg.Size, 0)) < k.Num
	case imap.SearchYounger:
		return m.now.Sub(msg.Received) <= time.Duration(k.Num)*time.Second
	case imap.SearchOlder:
		return m.now.Sub(msg.Received) >= time.Duration(k.Num)*time.Second
	case imap.SearchModSeq:
		return msg.ModSeq >= k.Num
	case imap.SearchEmailID:
		return msg.EmailID == k.Text
	case imap.SearchThreadID:
		return msg.ThreadID == k.Text
	}
	return false
}

// day cuts a time to midnight UTC of its day, in the zone that we show
// INTERNALDATE in (RFC 9051 section 6.4.4: "disregarding time and timezone").
func day(t time.Time) time.Time {
	t = t.UTC()
	return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
}

// sent compares by the Date field as it is written, in its own zone.
func (m *matcher) sent(k *imap.SearchKey, msg *Message) bool {
	if msg.Envelope == nil || msg.Envelope.Sent.IsZero() {
		return false
	}
	t := msg.Envelope.Sent
	d := time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
	switch k.Op {
	case imap.SearchSentBefore:
		return d.Before(k.Date)
	case imap.SearchSentOn:
		return d.Equal(k.Date)
	}
	return !d.Before(k.Date)
}

func (m *matcher) matchText(k *imap.SearchKey, msg *Message) (bool, error) {
	if m.text == nil {
		m.text = &textReader{msg: msg, open: func() (Body, error) { return m.c.sess.Body(m.ctx, m.c.sel.box.ID, msg.UID) }}
	}
	want := fold(k.Text)
	var ok bool
	var err error
	switch k.Op {
	case imap.SearchHeader:
		ok, err = m.text.header(k.Header, want)
	case imap.SearchBody:
		ok, err = m.text.bodyHas(want)
	default:
		if ok, err = m.text.anyHeader(want); !ok && err == nil {
			ok, err = m.text.bodyHas(want)
		}
	}
	if fault.Is(err, fault.NotFound) {
		return false, nil // expunged a moment ago
	}
	return ok, err
}

// fold prepares text for comparison without case (RFC 9051 section 6.4.4, i;unicode-casemap in spirit).
func fold(s string) string { return strings.ToLower(s) }
