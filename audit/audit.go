// Package audit is the record of what was decided and done. A record is staged
// in the shard of the change that it tells of, in the same transaction, and is
// carried from there into one Merkle log exactly once.
//
// Owns:      in every shard the keys "o/" + n (outbox) and "o#" (last n given);
// in the log shard "e/" (entries), "t/" (tiles), "c/" (cursor of each source)
// and "k" (the signed checkpoint).
// Trusts:    flow/* for what a record says; nobody for the length of it.
// May touch: store/kv through the caller's transaction or its own Sequencer.
// No files, no network, no clock but base/clock.
// Standards: C2SP tlog-tiles and tlog-checkpoint through wire/tlog; RFC 3339 times.
// States:    S1 absent - S2 staged (durable with the change) - S3 in the log
// under a signed checkpoint - S4 its outbox row removed. A kill between any two
// leaves a record that the next round carries on with.
package audit

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"time"
	"unicode/utf8"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/store/kv"
	"github.com/mohar-mail/mohar/wire/tlog"
)

// Limits of a record. What is longer is cut and marked, never refused: a
// stranger must not be able to prevent a record by making a field long.
const (
	MaxField  = 512 // bytes of a text field or of a detail's value
	MaxDetail = 24  // details
	MaxRules  = 64  // rule ids
)

// Keys in a shard.
const (
	outboxPrefix = "o/"
	outboxLast   = "o#"
)

// Record is one thing that was decided or done. It never holds the content of a
// message, a subject line or a password.
type Record struct {
	Time     time.Time       // when; required
	Kind     string          // what, for example "signin", "submit", "account.disable"; required
	Actor    mohar.AccountID // who did it; "" where nobody is known
	OnBehalf mohar.AccountID // for whom, where an assistant acts
	Door     mohar.Door
	Remote   string // address of the client
	Object   string // what it was done to: an address, a queue id, a domain
	Decision *mohar.Decision
	Detail   map[string]string // further facts by short names
}

// line is the form of a record in the log: one line of JSON whose fields stand
// in this order and whose maps are sorted, so that equal records have equal
// bytes and an auditor can read them without a tool.
type line struct {
	Source   string            `json:"src"`
	N        uint64            `json:"n"`
	Time     string            `json:"time"`
	Kind     string            `json:"kind"`
	Actor    string            `json:"actor,omitempty"`
	OnBehalf string            `json:"behalf,omitempty"`
	Door     string            `json:"door,omitempty"`
	Remote   string            `json:"remote,omitempty"`
	Object   string            `json:"object,omitempty"`
	Decision *decision         `json:"decision,omitempty"`
	Detail   map[string]string `json:"detail,omitempty"`
}

type decision struct {
	Verdict  string   `json:"verdict"`
	Rules    []string `json:"rules,omitempty"`
	Rulebook string   `json:"rulebook"`
}

// Stage puts rec into the outbox of the shard that tx is on. It becomes durable
// with the transaction, or not at all. fault.Invalid where time or kind are
// missing.
func Stage(tx *kv.Tx, rec Record) error {
	if rec.Time.IsZero() || rec.Kind == "" {
		return fault.New(fault.Invalid, "audit.Stage", "The record says neither when nor what.")
	}
	last, err := counter(tx, []byte(outboxLast))
	if err != nil {
		return err
	}
	n := last + 1
	leaf, err := encode(string(tx.Shard()), n, &rec)
	if err != nil {
		return err
	}
	tx.Put([]byte(outboxLast), binary.BigEndian.AppendUint64(nil, n))
	tx.PutOwned(outboxKey(n), leaf)
	return nil
}

func outboxKey(n uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte(outboxPrefix), n)
}

// counter reads 8 bytes big endian; 0 where there are none.
func counter(r kv.Reader, key []byte) (uint64, error) {
	v, err := r.Get(key)
	if errors.Is(err, kv.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	if len(v) != 8 {
		return 0, fault.New(fault.Corrupt, "audit", "A counter of the audit log cannot be read.")
	}
	return binary.BigEndian.Uint64(v), nil
}

func encode(source string, n uint64, r *Record) ([]byte, error) {
	l := line{
		Source: source, N: n, Time: r.Time.UTC().Format("2006-01-02T15:04:05.000000Z"),
		Kind: cut(r.Kind), Actor: cut(string(r.Actor)), OnBehalf: cut(string(r.OnBehalf)),
		Door: cut(string(r.Door)), Remote: cut(r.Remote), Object: cut(r.Object),
	}
	if d := r.Decision; d != nil {
		l.Decision = &decision{Verdict: d.Verdict.String(), Rulebook: cut(d.RulebookHash)}
		for i := range min(len(d.Reasons), MaxRules) {
			l.Decision.Rules = append(l.Decision.Rules, cut(d.Reasons[i].Rule))
		}
	}
	if len(r.Detail) > 0 {
		l.Detail = make(map[string]string, len(r.Detail))
		for _, k := range firstKeys(r.Detail) {
			l.Detail[cut(k)] = cut(r.Detail[k])
		}
	}
	leaf, err := marshal(&l)
	if err == nil && len(leaf) > tlog.MaxLeaf {
		// Only escapes can make it so long. The details go, the fact that
		// they did stays.
		l.Detail = map[string]string{"cut": "details"}
		leaf, err = marshal(&l)
	}
	if err == nil && len(leaf) > tlog.MaxLeaf {
		l.Object, l.Remote, l.Decision = "", "", nil
		leaf, err = marshal(&l)
	}
	return leaf, fault.Wrap(err, fault.Internal, "audit.Stage", "The record cannot be written.")
}

func marshal(l *line) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(l); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// cut shortens s to MaxField bytes at the beginning of a character.
func cut(s string) string {
	const mark = "…"
	if len(s) <= MaxField {
		return s
	}
	end := MaxField - len(mark)
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + mark
}

// Entry is one record as it stands in the log.
type Entry struct {
	Index  int64
	Leaf   []byte // the exact bytes that were hashed
	Source string // the shard it was staged in
	N      uint64 // its place there
	Record Record
}

// Decode reads the bytes of a leaf. Of the decision's reasons the rule ids are
// kept; their sentences stand in the rulebook of that hash.
func Decode(index int64, leaf []byte) (Entry, error) {
	var l line
	if err := json.Unmarshal(leaf, &l); err != nil {
		return Entry{}, fault.Wrap(err, fault.Corrupt, "audit.Decode", "An entry of the audit log cannot be read.")
	}
	at, err := time.Parse(time.RFC3339Nano, l.Time)
	if err != nil {
		return Entry{}, fault.Wrap(err, fault.Corrupt, "audit.Decode", "An entry of the audit log has no time.")
	}
	e := Entry{Index: index, Leaf: leaf, Source: l.Source, N: l.N, Record: Record{
		Time: at, Kind: l.Kind, Actor: mohar.AccountID(l.Actor), OnBehalf: mohar.AccountID(l.OnBehalf),
		Door: mohar.Door(l.Door), Remote: l.Remote, Object: l.Object, Detail: l.Detail,
	}}
	if l.Decision != nil {
		d := &mohar.Decision{RulebookHash: l.Decision.Rulebook}
		for v := mohar.Allow; v <= mohar.Refuse; v++ {
			if v.String() == l.Decision.Verdict {
				d.Verdict = v
			}
		}
		for _, r := range l.Decision.Rules {
			d.Reasons = append(d.Reasons, mohar.Reason{Rule: r})
		}
		e.Record.Decision = d
	}
	return e, nil
}

// firstKeys gives the first MaxDetail keys of m in order.
func firstKeys(m map[string]string) []string {
	keys := slices.Sorted(maps.Keys(m))
	return keys[:min(len(keys), MaxDetail)]
}
