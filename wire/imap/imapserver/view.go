package imapserver

import (
	"sort"

	"github.com/mohar-mail/mohar/wire/imap"
)

// view is what the client believes about the selected mailbox: which UID has
// which sequence number. It is kept as runs of consecutive UIDs, so that an
// idle session on a large mailbox costs little: a mailbox from which nothing
// was deleted is one run.
type view struct{ runs []run }

// run is n messages with UIDs uid, uid+1 ..., the first at sequence number seq.
type run struct{ uid, n, seq uint32 }

func newView(uids imap.Set) view {
	v := view{runs: make([]run, 0, len(uids))}
	seq := uint32(1)
	for _, r := range uids {
		n := r.Stop - r.Start + 1
		v.runs = append(v.runs, run{r.Start, n, seq})
		seq += n
	}
	return v
}

// len is the number of messages, the EXISTS of the client.
func (v *view) len() uint32 {
	if len(v.runs) == 0 {
		return 0
	}
	l := v.runs[len(v.runs)-1]
	return l.seq + l.n - 1
}

// last is the largest UID, 0 for none.
func (v *view) last() uint32 {
	if len(v.runs) == 0 {
		return 0
	}
	l := v.runs[len(v.runs)-1]
	return l.uid + l.n - 1
}

// seq gives the sequence number of a UID, 0 when it is not there.
func (v *view) seq(uid uint32) uint32 {
	i := sort.Search(len(v.runs), func(i int) bool { return v.runs[i].uid > uid }) - 1
	if i < 0 || uid-v.runs[i].uid >= v.runs[i].n {
		return 0
	}
	return v.runs[i].seq + uid - v.runs[i].uid
}

// uid gives the UID of a sequence number that is within 1..len.
func (v *view) uid(seq uint32) uint32 {
	i := sort.Search(len(v.runs), func(i int) bool { return v.runs[i].seq > seq }) - 1
	if i < 0 || seq-v.runs[i].seq >= v.runs[i].n {
		return 0
	}
	return v.runs[i].uid + seq - v.runs[i].seq
}

// add appends a message whose UID is above all others.
func (v *view) add(uid uint32) {
	if k := len(v.runs) - 1; k >= 0 && v.runs[k].uid+v.runs[k].n == uid {
		v.runs[k].n++
		return
	}
	v.runs = append(v.runs, run{uid, 1, v.len() + 1})
}

// uids gives all UIDs.
func (v *view) uids() imap.Set {
	s := make(imap.Set, 0, len(v.runs))
	for _, r := range v.runs {
		s = append(s, imap.Range{Start: r.uid, Stop: r.uid + r.n - 1})
	}
	return s
}

// toUIDs translates sequence numbers within 1..len.
func (v *view) toUIDs(seqs imap.Set) imap.Set {
	spans := make(imap.Set, len(v.runs))
	for i, r := range v.runs {
		spans[i] = imap.Range{Start: r.seq, Stop: r.seq + r.n - 1}
	}
	var out imap.Set
	i := 0
	for _, p := range seqs.Intersect(spans) { // each lies within one span
		for spans[i].Stop < p.Start {
			i++
		}
		off := v.runs[i].uid - v.runs[i].seq // may wrap; so does the sum below
		out.AddRange(p.Start+off, p.Stop+off)
	}
	return out
}

// toSeqs translates UIDs; those that are not there are passed over.
func (v *view) toSeqs(uids imap.Set) imap.Set {
	var out imap.Set
	for _, p := range v.uids().Intersect(uids) {
		// Runs are maximal, so a range of the intersection lies in one run.
		a := v.seq(p.Start)
		out.AddRange(a, a+p.Stop-p.Start)
	}
	return out
}

// remove takes UIDs out and renumbers.
func (v *view) remove(uids imap.Set) { *v = newView(v.uids().Subtract(uids)) }
